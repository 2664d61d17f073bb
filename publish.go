package planktos

import (
	"context"
	"errors"
	"fmt"

	"github.com/planktos/planktos/internal/bundle"
	"github.com/planktos/planktos/internal/snapshot"
)

// PublishOptions says how [Site.Publish] writes.
type PublishOptions struct {
	// HardLink lets a content's copy be a hard link to the file it is of, where the file system cannot clone: for
	// files that are replaced, never edited where they are.
	HardLink bool

	// DropSuperseded removes at once what only the snapshot before names. Otherwise it stays until the next one, for
	// visitors in the middle of a visit.
	DropSuperseded bool
}

// ErrNotPacked reports that a folder holds no packed site.
var ErrNotPacked = snapshot.ErrNotPacked

// Publish writes the packed site into the folder it was made from. It is atomic: the manifest is put in place last, and
// whatever interrupts it leaves the snapshot before usable. opts may be nil. Only a site of [PackDir] without TagHTML
// can be published: the others' contents are in no folder.
func (s *Site) Publish(ctx context.Context, opts *PublishOptions) error {
	if s.root == nil {
		return errors.New("planktos: this site was not made by PackDir")
	}
	if opts == nil {
		opts = &PublishOptions{}
	}
	_, err := snapshot.Publish(ctx, s.packed, s.dir, &snapshot.PublishOptions{
		AllowHardLink: opts.HardLink, DropSuperseded: opts.DropSuperseded,
	})
	return err
}

// PublishScripts writes the runtime's scripts alone into a site's folder: the manifest there goes on to be used.
func PublishScripts(ctx context.Context, dir string) error {
	scripts, err := runtimeScripts()
	if err != nil {
		return err
	}
	_, err = snapshot.PublishRuntime(ctx, dir, scripts)
	return err
}

// runtimeScripts compiles the scripts that a packed site carries.
func runtimeScripts() (snapshot.Runtime, error) {
	scripts, err := bundle.Runtime()
	if err != nil {
		return snapshot.Runtime{}, fmt.Errorf("planktos: compiling the runtime: %w", err)
	}
	return snapshot.Runtime{Worker: scripts.Worker, Install: scripts.Install, Engine: scripts.Engine}, nil
}

// Inject writes the script tag into those HTML files of the folder dir that lack it, of what opts would pack, and lists
// them. The runtime's scripts are written before, and no page is changed if there is a mistake in opts, which is an
// [*OptionError], or if the scripts cannot be written. Done again, it changes nothing. [Remove] takes the tags out and
// leaves the bytes that were there before.
func Inject(ctx context.Context, dir string, opts *Options) ([]string, error) {
	if opts == nil {
		opts = &Options{}
	}
	s, err := opts.settings()
	if err != nil {
		return nil, err
	}
	scripts, err := runtimeScripts()
	if err != nil {
		return nil, err
	}
	return snapshot.InjectTree(ctx, dir, &snapshot.Options{
		Paths: opts.Paths, Exclude: opts.Exclude, Base: s.base, Runtime: scripts,
	})
}

// Removal tells what [Remove] did.
type Removal struct {
	// Files is the number of files of planktos/ that were deleted.
	Files int `json:"files"`
	// Pages are those whose injected tag was taken out.
	Pages []string `json:"pages"`
	// Tagged are pages that carry a script tag written by hand. As long as there are any, planktos/install.js stays as
	// a script that does nothing.
	Tagged []string `json:"tagged"`
	// Foreign are files in planktos/ that are not of Planktos. They stay.
	Foreign []string `json:"foreign"`
	// Skipped are paths that could not be looked at, each with the reason. A page among them keeps its tag.
	Skipped []string `json:"skipped"`
}

// Remove takes Planktos out of the packed site in the folder dir. In the service worker's place it leaves one that
// deletes what visitors' browsers have stored and unregisters itself. Done again, it does nothing more. The error wraps
// [ErrNotPacked] if nothing there is of Planktos.
func Remove(ctx context.Context, dir string) (*Removal, error) {
	scripts, err := bundle.Runtime()
	if err != nil {
		return nil, fmt.Errorf("planktos: compiling the runtime: %w", err)
	}
	done, err := snapshot.Remove(ctx, dir, snapshot.RemoveOptions{Worker: scripts.Remove})
	if err != nil {
		return nil, err
	}
	r := Removal(*done)
	for _, list := range []*[]string{&r.Pages, &r.Tagged, &r.Foreign, &r.Skipped} {
		if *list == nil {
			*list = []string{}
		}
	}
	return &r, nil
}
