package cli

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/origin"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/seeder"
	"github.com/planktos/planktos/internal/store"
	"github.com/planktos/planktos/internal/swarm"
)

type getCommand struct {
	keyFlag
	Site     string        `arg:"" name:"site" help:"The site's URL."`
	Paths    []string      `arg:"" optional:"" name:"path" help:"Files and folders of the site to have. Default: all of it."`
	Out      string        `short:"o" required:"" placeholder:"DIR" help:"The folder to fetch into, new or of an earlier fetch."`
	Manifest string        `short:"m" placeholder:"FILE" help:"The site's planktos/manifest.json, where its server is gone. Default: that of the server, or of the earlier fetch."`
	Timeout  time.Duration `default:"1m" placeholder:"TIME" help:"Give up when nothing has come for so long. Default: ${default}."`
	JSON     bool          `help:"Print the summary as JSON."`
}

// Help is shown by `planktos get --help`.
func (getCommand) Help() string {
	return `Get fetches a site, or some of its files, from the site's visitors and its server, whichever has them. Every byte is
verified against the manifest. A fetch that was interrupted goes on where it was; a later one fetches what has changed.
A release that comes out meanwhile is told of; what was begun is fetched to its end.

  planktos get https://example.org/ -o site                      all of a site
  planktos get https://example.org/ docs/ index.html -o site     a folder of it, and a file
  planktos get https://example.org/ -o site -m manifest.json     while its server is gone
  planktos get https://mirror.example/ -o site --key site.pub    from a mirror, if the site's owner has signed it

Without the server the manifest must be known: from an earlier fetch into the same folder, or as a file that you trust.`
}

// originPatience is how long the server may take for the manifest if that is known already.
const originPatience = 10 * time.Second

// Run fetches.
func (c *getCommand) Run(p *program) error {
	if c.Timeout <= 0 {
		return misuse(fmt.Errorf("--timeout %s: it must be more than nothing", c.Timeout))
	}
	site, err := openOrigin(c.Site)
	if err != nil {
		return err
	}
	defer site.Close()
	to, err := seeder.OpenCheckout(c.Out)
	switch {
	case errors.Is(err, seeder.ErrForeign):
		return hint(misuse(err), "give a new folder")
	case errors.Is(err, store.ErrLocked):
		return hint(err, "wait for the other one")
	case err != nil:
		return err
	}
	defer to.Close()
	document, where, err := c.document(p, site, to)
	if err != nil {
		return err
	}
	if _, err := seeder.Parse(document, where); err != nil {
		return err
	}
	node := &swarm.Node{Library: to.Store, Logger: p.logger()}
	defer node.Close()
	joining, cancel := context.WithTimeout(p.ctx, c.Timeout)
	defer cancel()
	news := seeder.NewNews()
	news.Source, news.Known, news.Node = site, document, node
	if c.Key != nil {
		news.Key = ed25519.PublicKey(*c.Key)
	}
	snapshot, err := seeder.Join(joining, node, document, site.Root(), news.Hear)
	switch {
	case err != nil && p.ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return hint(fmt.Errorf("%s: no server and no peer brings its file table", site.Root()), "try again later")
	case err != nil:
		return err
	}
	if err := to.SetManifest(document); err != nil {
		return err
	}
	newest := swarm.Newest{Snapshot: snapshot.Root.Snapshot}
	if seal, err := manifest.Claimed(document); err == nil {
		newest.Sequence, newest.Root = seal.Sequence, document
	}
	if err := node.Tell(newest); err != nil {
		return err
	}
	files, err := choose(snapshot.Files, c.Paths)
	if err != nil {
		return err
	}
	newer, stop := p.listen(news, snapshot)
	defer stop()
	return c.fetch(p, snapshot, to, files, newer)
}

// listen says that a newer release has come out; newer gives its snapshot, empty while there is none. What was begun is
// brought to its end all the same: a copy is of one release, and a site that has one a minute is to be had, too.
func (p *program) listen(news *seeder.News, fetching *seeder.Snapshot) (newer func() string, stop func()) {
	ctx, cancel := context.WithCancel(p.ctx)
	var snapshot atomic.Pointer[merkle.Hash]
	var listening sync.WaitGroup
	listening.Go(func() {
		if found, err := news.Wait(ctx); err == nil {
			snapshot.Store(&found)
			p.note("the site has a newer release, %.12s; going on with %.12s: "+
				"the same command fetches later what has changed", found, fetching.Root.Snapshot)
		}
	})
	newer = func() string {
		if found := snapshot.Load(); found != nil {
			return found.String()
		}
		return ""
	}
	return newer, func() {
		cancel()
		listening.Wait()
	}
}

// document is the manifest: the server's, or one that is known.
func (c *getCommand) document(p *program, site *origin.Site, to *seeder.Checkout) (
	document []byte, where string, err error) {
	if c.Manifest != "" {
		document, err := os.ReadFile(c.Manifest)
		if err == nil {
			err = c.check(document, nil, c.Manifest)
		}
		return document, c.Manifest, err
	}
	kept, keptErr := to.Manifest()
	keptAt := filepath.Join(c.Out, seeder.StateFolder, "manifest.json")
	if keptErr == nil {
		keptErr = c.check(kept, kept, keptAt)
	}
	ctx, cancel := p.ctx, context.CancelFunc(func() {})
	if keptErr == nil {
		ctx, cancel = context.WithTimeout(p.ctx, originPatience)
	}
	defer cancel()
	document, err = release.ReadFile(ctx, site, release.ManifestFile, manifest.MaxBytes)
	if err == nil {
		where = site.Where(release.ManifestFile)
		_, err = seeder.Parse(document, where)
		if err == nil || errors.Is(err, manifest.ErrDisabled) {
			bad := c.check(document, kept, where)
			if bad == nil {
				return document, where, err
			}
			err = bad
		}
	}
	switch {
	case p.ctx.Err() != nil:
		return nil, "", p.ctx.Err()
	case keptErr != nil && errors.Is(err, fs.ErrNotExist):
		return nil, "", hint(err, "give the root of a packed site; where its server is gone, -m FILE gives the manifest")
	case keptErr != nil && errors.As(err, new(*release.BadError)):
		return nil, "", err
	case keptErr != nil:
		return nil, "", hint(err, "-m FILE gives the manifest of a site whose server is gone")
	}
	p.note("%s; going by the manifest of the earlier fetch", plain(err))
	return kept, keptAt, nil
}

// check holds a manifest to the key, if one was given.
func (c *getCommand) check(document, known []byte, where string) error {
	if c.Key == nil {
		return nil
	}
	if _, err := seeder.Check(document, ed25519.PublicKey(*c.Key), known, time.Now()); err != nil {
		return &release.BadError{Where: where, Err: err}
	}
	return nil
}

// choose is the files that paths name: files, and folders with all that is in them.
func choose(files []manifest.File, paths []string) ([]manifest.File, error) {
	for _, file := range files {
		if file.Path == seeder.StateFolder || strings.HasPrefix(file.Path, seeder.StateFolder+"/") {
			return nil, fmt.Errorf("the site has a file %s, where fetching keeps its state", file.Path)
		}
		if !filepath.IsLocal(filepath.FromSlash(file.Path)) {
			return nil, fmt.Errorf("the site has a file %q, which would not lie in the folder on this system", file.Path)
		}
	}
	if len(paths) == 0 {
		return files, nil
	}
	chosen := make(map[string]bool)
	var result []manifest.File
	for _, given := range paths {
		name := strings.Trim(given, "/")
		found := name == ""
		for _, file := range files {
			if name != "" && file.Path != name && !strings.HasPrefix(file.Path, name+"/") {
				continue
			}
			found = true
			if !chosen[file.Path] {
				chosen[file.Path] = true
				result = append(result, file)
			}
		}
		if !found {
			return nil, hint(fmt.Errorf("%s: the site has no such file or folder", given),
				"paths are relative to the site's root, and not percent-encoded")
		}
	}
	return result, nil
}

// fetch fetches what is not there already, and tells what came from where.
func (c *getCommand) fetch(p *program, s *seeder.Snapshot, to *seeder.Checkout, files []manifest.File,
	newer func() string) error {
	var missing []manifest.File
	var bytes int64
	for _, file := range files {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		if !to.Has(file) {
			missing = append(missing, file)
			bytes += file.Size
		}
	}
	progress := p.progress("fetching")
	err := seeder.Fetch(p.ctx, s, to, missing, c.Timeout, progress.set)
	progress.done()
	var stuck *seeder.StuckError
	switch {
	case errors.As(err, &stuck) && newer() != "":
		return hint(err, "the site has a newer release: the same command fetches that, and keeps what has not changed")
	case errors.As(err, &stuck):
		return hint(err, "what has come is kept: the same command goes on where it was")
	case errors.Is(err, store.ErrFull):
		return hint(err, "make room: the same command goes on where it was")
	case err != nil:
		return err
	}
	stats := s.Swarm.Stats()
	// What lies under its path needs no second name.
	if err := to.Store.Sweep(func(store.ID) bool { return false }); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(p.stdout, struct {
			Root      string `json:"root"`
			Snapshot  string `json:"snapshot"`
			Files     int    `json:"files"`
			Fetched   int    `json:"fetched"`
			Bytes     int64  `json:"bytes"`
			FromPeers int64  `json:"fromPeers"`
			FromSeeds int64  `json:"fromWebSeeds"`
			Newer     string `json:"newer,omitempty"`
		}{c.Out, s.Root.Snapshot.String(), len(files), len(missing), bytes, stats.Downloaded, stats.FromSeeds, newer()})
	}
	fmt.Fprintf(p.stdout, "fetched %s, %s, into %s\n", plural(len(missing), "file"), bytesOf(bytes), c.Out)
	fmt.Fprintf(p.stdout, "  from peers %s, from web seeds %s\n", bytesOf(stats.Downloaded), bytesOf(stats.FromSeeds))
	if n := len(files) - len(missing); n > 0 {
		fmt.Fprintf(p.stdout, "  %s were there already\n", plural(n, "file"))
	}
	return nil
}
