package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"syscall"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
)

// restoration is what is to become of one of the site's own files.
type restoration struct {
	path string
	// content is what the file is to hold; nil if it is to go.
	content *manifest.File
	// found is the file as it was when that was decided; nil if there was none.
	found *source
	mode  fs.FileMode
}

// plan finds out what of the site's files has to change for the folder to be what target has, removals first. What lies
// there must be as current has it, or as target does.
func (p *publisher) plan(ctx context.Context, current, target *release.Release) ([]restoration, error) {
	var plan []restoration
	conflict := new(ConflictError)
	both := map[string][2]*manifest.File{}
	for i, r := range []*release.Release{current, target} {
		for k := range r.Files {
			pair := both[r.Files[k].Path]
			pair[i] = &r.Files[k]
			both[r.Files[k].Path] = pair
		}
	}
	for name, pair := range both {
		r, reason, err := p.compare(ctx, name, pair[0], pair[1])
		switch {
		case err != nil:
			return nil, err
		case reason != "":
			conflict.Files = append(conflict.Files, name+" "+reason)
		case r != nil:
			plan = append(plan, *r)
		}
	}
	slices.SortFunc(plan, func(a, b restoration) int {
		if removed := a.content == nil; removed != (b.content == nil) {
			if removed {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.path, b.path)
	})
	conflict.Files = append(conflict.Files, p.inTheWay(plan)...)
	if len(conflict.Files) > 0 {
		slices.Sort(conflict.Files)
		return nil, conflict
	}
	return plan, nil
}

// compare decides what becomes of one file; reason says why that must not be.
func (p *publisher) compare(ctx context.Context, name string, old, wanted *manifest.File) (
	r *restoration, reason string, err error) {
	info, err := p.root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), err == nil && info.IsDir():
		switch {
		case wanted == nil:
			return nil, "", nil // gone already
		case p.linked(name):
			return nil, "is reached by a symbolic link", nil
		}
		return &restoration{path: name, content: wanted, mode: 0o644}, "", nil
	case err != nil:
		return nil, "", fmt.Errorf("%s: %w", name, cause(err))
	case !info.Mode().IsRegular():
		return nil, "is not a regular file any more", nil
	}
	at := &source{path: name, size: info.Size(), modTime: info.ModTime(), info: info}
	for _, f := range []*manifest.File{wanted, old} {
		same, err := p.contains(ctx, *at, f)
		switch {
		case err != nil:
			return nil, "", err
		case same && f == wanted:
			return nil, "", nil
		case same && p.linked(name):
			return nil, "is reached by a symbolic link", nil
		case same:
			return &restoration{path: name, content: wanted, found: at, mode: info.Mode()}, "", nil
		}
	}
	return nil, "is not what was packed", nil
}

// contains tells whether a file has the content of f.
func (p *publisher) contains(ctx context.Context, at source, f *manifest.File) (bool, error) {
	if f == nil || f.Size != at.size {
		return false, nil
	}
	opened, err := openSource(p.root.FS(), at)
	if err != nil {
		return false, err
	}
	defer opened.Close()
	h := merkle.NewHasher(merkle.BlockSize)
	if err := pump(h, p.tally.reader(ctx, opened)); err != nil {
		return false, fmt.Errorf("%s: %w", at.path, cause(err))
	}
	root, _ := h.Sum()
	return root == f.Hash && h.Size() == f.Size, nil
}

// linked tells whether a symbolic link is on the way to a file.
func (p *publisher) linked(name string) bool {
	for at := name; at != "."; at = path.Dir(at) {
		if info, err := p.root.Lstat(at); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return true
		}
	}
	return false
}

// inTheWay lists what stands where a file is to be restored, or a folder of one, and does not go itself.
func (p *publisher) inTheWay(plan []restoration) (files []string) {
	removed := map[string]bool{}
	for _, r := range plan {
		removed[r.path] = r.content == nil
	}
	for _, r := range plan {
		if r.content == nil || r.found != nil {
			continue
		}
		_ = fs.WalkDir(p.root.FS(), r.path, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && !removed[name] {
				files = append(files, fmt.Sprintf("%s stands where %s was", name, r.path))
			}
			return nil
		})
		for at := path.Dir(r.path); at != "."; at = path.Dir(at) {
			if info, err := p.root.Lstat(at); err == nil && !info.IsDir() && !removed[at] {
				files = append(files, fmt.Sprintf("%s stands where %s was", at, r.path))
			}
		}
	}
	return files
}

// stageRestored writes the files that are to be restored aside.
func (p *publisher) stageRestored(ctx context.Context, plan []restoration) error {
	for i := range plan {
		r := &plan[i]
		if r.content == nil {
			p.staged = append(p.staged, staged{restored: r})
			continue
		}
		temp := stageFolder + "/restored-" + strconv.Itoa(i)
		if err := p.copyContent(ctx, r, temp); err != nil {
			return err
		}
		p.staged = append(p.staged, staged{from: temp, restored: r})
	}
	return nil
}

// copyContent writes a kept content to a file, and verifies it.
func (p *publisher) copyContent(ctx context.Context, r *restoration, temp string) error {
	f, err := p.create(temp)
	if err != nil {
		return err
	}
	defer f.Close()
	if r.content.Size > 0 {
		name := release.ContentFile(r.content.Hash)
		kept, err := p.root.Open(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, cause(err))
		}
		defer kept.Close()
		if clone(f, kept) != nil {
			if err := pump(f, p.tally.reader(ctx, kept)); err != nil {
				return fmt.Errorf("writing %s: %w", r.path, cause(err))
			}
		}
	}
	if err := check(ctx, nil, f, File{Path: r.path, Hash: r.content.Hash, Size: r.content.Size}); err != nil {
		return err
	}
	if err := f.Chmod(r.mode.Perm()); err != nil {
		return fmt.Errorf("writing %s: %w", r.path, cause(err))
	}
	if !syncsAll {
		if err := f.Sync(); err != nil {
			return fmt.Errorf("writing %s: %w", r.path, cause(err))
		}
	}
	return f.Close()
}

// place puts a restored file in its place, or removes one. Whoever has written to it meanwhile wins.
func (r *restoration) place(p *publisher, temp string) error {
	if r.found != nil {
		f, err := openSource(p.root.FS(), *r.found)
		if err != nil {
			return err
		}
		f.Close()
	}
	if r.content == nil {
		if err := p.root.Remove(r.path); err != nil {
			return fmt.Errorf("removing %s: %w", r.path, cause(err))
		}
		// Folders that hold nothing else go, too.
		for at := path.Dir(r.path); at != "." && p.root.Remove(at) == nil; at = path.Dir(at) {
		}
		return nil
	}
	if err := p.root.MkdirAll(path.Dir(r.path), 0o755); err != nil {
		return fmt.Errorf("writing %s: %w", r.path, cause(err))
	}
	if r.found == nil {
		// An empty folder may stand there: it held what has been removed.
		if info, err := p.root.Lstat(r.path); err == nil && info.IsDir() {
			if err := removeEmpty(p, r.path); err != nil {
				return err
			}
		} else if err == nil {
			return fmt.Errorf("%s: %w", r.path, ErrChanged)
		}
	}
	if err := p.root.Rename(temp, r.path); err != nil {
		return fmt.Errorf("writing %s: %w", r.path, err)
	}
	return nil
}

// removeEmpty removes a folder in which there are folders alone.
func removeEmpty(p *publisher, folder string) error {
	entries, err := fs.ReadDir(p.root.FS(), folder)
	if err != nil {
		return fmt.Errorf("%s: %w", folder, cause(err))
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeEmpty(p, path.Join(folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := p.root.Remove(folder); err != nil {
		return fmt.Errorf("%s: %w", folder, cause(err))
	}
	return nil
}
