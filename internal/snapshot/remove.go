package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/planktos/planktos/internal/release"
)

// RemoveOptions say what [Remove] leaves in the place of Planktos.
type RemoveOptions struct {
	// Worker is a service worker that unregisters itself. It stays, since browsers that have the old one come for it
	// by name: were it missing, they would keep the old one.
	Worker []byte
	// Force has it left in a folder without anything of Planktos, too: a site's source, of which the published site is made.
	Force bool
}

// Removed tells what [Remove] did.
type Removed struct {
	// Files is how many files of planktos/ were removed.
	Files int
	// Pages are those whose injected tag was taken out.
	Pages []string
	// Tagged are pages that carry a script tag written by hand. As long as there are any, planktos/install.js stays,
	// as a script that does nothing, so that they do not run into a 404.
	Tagged []string
	// Foreign are files of planktos/ that are not Planktos's. They stay.
	Foreign []string
	// Skipped are paths that could not be looked at, each with the reason: what packing had been told to leave out, such
	// as a folder with a broken link.
	Skipped []string
}

// ErrNotPacked reports that a folder holds no packed site.
var ErrNotPacked = errors.New("no packed site")

// idleInstall takes the place of the install script where pages still include it.
const idleInstall = "// Planktos was removed from this site: this script tag can go.\n"

// Remove takes Planktos out of the packed site in dir: what it added to planktos/, and the tags it injected. Of what it
// added not all need be there. Done again, it does nothing more, and an interrupted removal goes on. The error wraps
// [ErrNotPacked] if there is nothing that Planktos has written, unless it is forced.
func Remove(ctx context.Context, dir string, o RemoveOptions) (*Removed, error) {
	if len(o.Worker) == 0 {
		return nil, errors.New("removing needs a worker that unregisters itself")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, cause(err))
	}
	defer root.Close()
	ours, foreign, err := inFolder(root.FS())
	if err != nil {
		return nil, err
	}
	if !o.Force && !hasPacked(root) {
		return nil, fmt.Errorf("%s: %w here", dir, ErrNotPacked)
	}
	removed := &Removed{Foreign: foreign}
	files, left, err := walk(ctx, root.FS(), &Options{all: true})
	if err != nil {
		return nil, err
	}
	for _, l := range left {
		if !strings.HasPrefix(l.Reason, skipped) {
			continue
		}
		name := l.Path
		if checkName(name) != nil {
			name = strconv.Quote(name)
		}
		removed.Skipped = append(removed.Skipped, name+" "+l.Reason)
	}
	if err := removeLeftovers(root, left); err != nil {
		return nil, err
	}
	if removed.Pages, err = rewritePages(ctx, root, files, Strip); err != nil {
		return removed, err
	}
	if removed.Tagged, err = taggedPages(ctx, root, files); err != nil {
		return removed, err
	}
	scripts := Runtime{Worker: o.Worker}
	if len(removed.Tagged) > 0 {
		scripts.Install = []byte(idleInstall)
	}
	if _, err := PublishRuntime(ctx, dir, scripts); err != nil {
		return removed, err
	}
	for _, name := range ours {
		if err := ctx.Err(); err != nil {
			return removed, err
		}
		if name == InstallFile && len(removed.Tagged) > 0 {
			continue
		}
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, fmt.Errorf("removing %s: %w", name, cause(err))
		}
		removed.Files++
	}
	// Folders that hold something else stay.
	for _, folder := range slices.Backward(ownFolders) {
		root.Remove(folder)
	}
	return removed, nil
}

// hasPacked tells whether there is something in a folder by which a packed site is known. A deployment that went wrong may
// have left any of it.
func hasPacked(root *os.Root) bool {
	return slices.ContainsFunc([]string{WorkerFile, InstallFile, ManifestFile, TorrentFile}, func(name string) bool {
		_, err := root.Lstat(name)
		return err == nil
	})
}

// inFolder lists the files under planktos/: those that packing writes, and others.
func inFolder(fsys fs.FS) (ours, foreign []string, err error) {
	err = fs.WalkDir(fsys, Folder, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && name == Folder:
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", name, cause(err))
		case entry.IsDir() && name == stageFolder:
			return fs.SkipDir
		case entry.IsDir():
		case byHash.MatchString(name),
			slices.Contains([]string{ManifestFile, TorrentFile, InstallFile, EngineFile, release.SupersededFile}, name):
			ours = append(ours, name)
		default:
			foreign = append(foreign, name)
		}
		return nil
	})
	return ours, foreign, err
}

// foreignFiles names the site's own files in the folder that belongs to Planktos, if a walk came by it: its owner may
// expect to find them packed.
func foreignFiles(fsys fs.FS, left []LeftOut) []LeftOut {
	if !slices.ContainsFunc(left, func(l LeftOut) bool { return l.Path == Folder }) {
		return nil
	}
	_, foreign, err := inFolder(fsys)
	if err != nil {
		return nil // nothing of it is packed, and publishing will say what is wrong
	}
	var found []LeftOut
	for _, name := range foreign {
		if name != Folder {
			found = append(found, LeftOut{name, "lies in Planktos' own folder"})
		}
	}
	return found
}

// taggedPages lists the pages among files that carry a script tag of Planktos.
func taggedPages(ctx context.Context, root *os.Root, files []source) ([]string, error) {
	var tagged []string
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !isHTML(f.path) || f.size > maxHTML {
			continue
		}
		page, err := fs.ReadFile(root.FS(), f.path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.path, cause(err))
		}
		if _, found := findTag(page); found {
			tagged = append(tagged, f.path)
		}
	}
	return tagged, nil
}
