package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/planktos/planktos/internal/manifest"
)

const (
	// maxLinks is how many symbolic links to folders a path may go through, as Linux has it.
	maxLinks = 40
	// maxDepth is how many folders deep a file may lie.
	maxDepth = 1000
)

// source is a file as walking found it.
type source struct {
	path    string
	size    int64
	modTime time.Time
	stamp   stamp
	linked  bool // reached through a symbolic link
	keep    bool // packed as it is, see keepUnreachable
	info    fs.FileInfo
}

// walk lists the files to pack, sorted by path, and what it leaves out.
func walk(ctx context.Context, fsys fs.FS, o *Options) ([]source, []LeftOut, error) {
	var ignored *ignore
	if !o.all {
		var err error
		if ignored, err = readIgnore(fsys, o.Exclude); err != nil {
			return nil, nil, err
		}
	}
	w := &walker{
		ctx: ctx, fsys: fsys, ignored: ignored, lenient: o.all, files: map[string]source{}, left: map[string]string{},
	}
	paths := o.Paths
	if len(paths) == 0 {
		paths = []string{"."}
	}
	for _, name := range paths {
		if err := w.path(name); err != nil {
			return nil, nil, err
		}
	}
	files := make([]source, 0, len(w.files))
	for _, f := range w.files {
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b source) int { return strings.Compare(a.path, b.path) })
	left := make([]LeftOut, 0, len(w.left))
	for name, reason := range w.left {
		left = append(left, LeftOut{name, reason})
	}
	slices.SortFunc(left, func(a, b LeftOut) int { return strings.Compare(a.Path, b.Path) })
	return files, left, nil
}

type walker struct {
	ctx     context.Context // of the one call of walk
	fsys    fs.FS
	ignored *ignore
	lenient bool // what cannot be looked at is left out
	files   map[string]source
	left    map[string]string
}

// trail is how a folder was reached.
type trail struct {
	folders []fs.FileInfo // from the root down
	links   int           // symbolic links on the way
}

// path walks one of the paths asked for.
func (w *walker) path(name string) error {
	clean := path.Clean(strings.TrimSuffix(name, "/"))
	if !fs.ValidPath(clean) {
		if err := checkName(name); err != nil {
			return err
		}
		return fmt.Errorf("%s: is outside the site's root", name)
	}
	info, err := fs.Stat(w.fsys, ".")
	if err != nil {
		return fmt.Errorf("site's root: %w", err)
	}
	at := trail{folders: []fs.FileInfo{info}}
	if clean == "." {
		return w.folder(".", at)
	}
	for i, c := range clean {
		if c != '/' {
			continue
		}
		folder := clean[:i]
		if reason := w.reason(folder, true); reason != "" {
			w.left[folder] = reason
			return nil
		}
		info, err := fs.Lstat(w.fsys, folder)
		if err != nil {
			return fmt.Errorf("%s: %w", name, cause(err))
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			at.links++
			if info, err = fs.Stat(w.fsys, folder); err != nil {
				return fmt.Errorf("%s: %w", folder, linkError(err))
			}
		}
		at.folders = append(at.folders, info)
	}
	if info, err = fs.Lstat(w.fsys, clean); err != nil {
		return fmt.Errorf("%s: %w", name, cause(err))
	}
	return w.visit(clean, fs.FileInfoToDirEntry(info), at)
}

func (w *walker) folder(name string, at trail) error {
	if len(at.folders) > maxDepth {
		return fmt.Errorf("%s: lies more than %d folders deep", name, maxDepth)
	}
	entries, err := fs.ReadDir(w.fsys, name)
	if err != nil {
		return fmt.Errorf("%s: reading the folder: %w", name, cause(err))
	}
	for _, entry := range entries {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		inside := path.Join(name, entry.Name())
		err := checkName(inside)
		if err == nil {
			err = w.visit(inside, entry, at)
		}
		switch {
		case err == nil:
		case w.lenient && w.ctx.Err() == nil:
			w.left[inside] = skipped + strings.TrimPrefix(err.Error(), inside+": ")
		default:
			return err
		}
	}
	return nil
}

// skipped begins the reason of what a lenient walk could not look at.
const skipped = "cannot be looked at: "

// visit packs what entry is: the folder it stands in was reached by the trail.
func (w *walker) visit(name string, entry fs.DirEntry, at trail) error {
	// What is left out by its name alone is not looked at: a broken link among it is nobody's business.
	if reason := w.reason(name, entry.IsDir()); reason != "" {
		w.left[name] = reason
		return nil
	}
	info, err := entry.Info()
	if err != nil {
		return fmt.Errorf("%s: %w", name, cause(err))
	}
	linked := info.Mode()&fs.ModeSymlink != 0
	if linked {
		at.links++
		if info, err = fs.Stat(w.fsys, name); err != nil {
			return fmt.Errorf("%s: %w", name, linkError(err))
		}
		if reason := w.reason(name, info.IsDir()); reason != "" {
			w.left[name] = reason
			return nil
		}
	}
	switch {
	case info.IsDir():
		if linked && (at.links > maxLinks || slices.ContainsFunc(at.folders, func(folder fs.FileInfo) bool {
			return os.SameFile(folder, info)
		})) {
			return fmt.Errorf("%s: the symbolic link leads back to a folder it lies in", name)
		}
		return w.folder(name, trail{append(slices.Clip(at.folders), info), at.links})
	case info.Mode().IsRegular():
		if info.Size() > manifest.MaxSize {
			return fmt.Errorf("%s: is too large", name)
		}
		w.files[name] = source{
			path: name, size: info.Size(), modTime: info.ModTime(), stamp: stampOf(info), linked: at.links > 0, info: info,
		}
	default:
		w.left[name] = "is not a regular file (" + kind(info.Mode()) + ")"
	}
	return nil
}

// reason says why what bears this name is left out; "" if it is not.
func (w *walker) reason(name string, folder bool) string {
	base := path.Base(name)
	switch {
	case manifest.Reserved(name):
		return "belongs to Planktos"
	case name == ConfigFile:
		return "is Planktos's configuration"
	case base[0] == '.' && base != ".well-known":
		return "is hidden"
	case w.ignored != nil:
		return w.ignored.match(name, folder)
	}
	return ""
}

// checkName refuses names that a manifest cannot hold.
func checkName(name string) error {
	switch {
	case !utf8.ValidString(name):
		return fmt.Errorf("%q: the name is not UTF-8: rename it, or exclude its folder", name)
	case strings.ContainsRune(name, '\\'):
		return fmt.Errorf("%q: the name holds a backslash, which browsers take for a slash: rename it", name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%q: the name holds a control character: rename it", name)
	}
	return nil
}

// cause strips the path that errors of package os repeat.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

func linkError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the symbolic link leads nowhere: %w", cause(err))
	}
	return fmt.Errorf("the symbolic link cannot be followed: %w", cause(err))
}

func kind(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "of an unknown kind"
}
