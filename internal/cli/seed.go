package cli

import (
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/planktos/planktos/internal/origin"
	"github.com/planktos/planktos/internal/seeder"
	"github.com/planktos/planktos/internal/store"
	"github.com/planktos/planktos/internal/swarm"
)

type seedCommand struct {
	keyFlag
	Site        string        `arg:"" name:"site" help:"The site's URL, or the folder of a packed site."`
	Dir         string        `placeholder:"DIR" help:"Where the site's contents are kept. Default: a folder of the site's own in your cache directory."`
	URL         string        `name:"url" placeholder:"URL" help:"Where the site in a folder is published: for trackers that are paths of its host."`
	UploadLimit rate          `placeholder:"RATE" help:"Most to give to visitors, such as 1MB (a second). Default: no limit."`
	DiskLimit   size          `placeholder:"SIZE" help:"Most to keep. A part of the site is kept if it is larger. Default: no limit."`
	Check       time.Duration `default:"5m" placeholder:"TIME" help:"How often to look for a new release. Default: ${default}."`
	Ready       string        `placeholder:"FILE" help:"Write the site's URL or folder to this file once all of it is there."`
}

// Help is shown by `planktos seed --help`.
func (seedCommand) Help() string {
	return `Seed is a visitor that stays: it keeps what a site consists of and gives it to the site's visitors, whatever becomes of
the server. It follows new releases, signed ones from visitors too while the server is down. Ctrl-C ends it; the next run goes on where it was.

  planktos seed https://example.org/                     keep a site alive
  planktos seed https://example.org/ --upload-limit 1MB  with at most 1 MB a second
  planktos seed https://example.org/ --disk-limit 2GB    with at most 2 GB, perhaps not all of the site
  planktos seed https://example.org/ --key 64-HEX-DIGITS   believe only what the site's owner has signed
  planktos seed public --url https://example.org/        the owner's: seed a packed folder from its own files

What is kept is verified against the manifest, and needs no second look when it is complete.`
}

// Run seeds until it is told to end.
func (c *seedCommand) Run(p *program) error {
	if c.Check <= 0 {
		return misuse(fmt.Errorf("--check %s: how often must be more than nothing", c.Check))
	}
	f := &seeder.Follower{Interval: c.Check, Logger: p.logger(), Limit: int64(c.DiskLimit)}
	if strings.Contains(c.Site, "://") {
		return c.site(p, f)
	}
	return c.folder(p, f)
}

// site seeds what a URL has.
func (c *seedCommand) site(p *program, f *seeder.Follower) error {
	if c.URL != "" {
		return misuse(errors.New("--url belongs to a folder: the site's own URL is given already"))
	}
	site, err := openOrigin(c.Site)
	if err != nil {
		return err
	}
	defer site.Close()
	dir := c.Dir
	if dir == "" {
		if dir, err = cacheFolder("seed", site.Root()); err != nil {
			return hint(err, "--dir DIR")
		}
	}
	contents, err := openStore(dir, int64(c.DiskLimit))
	if err != nil {
		return err
	}
	defer contents.Close()
	f.URL, f.Source, f.Store = site.Root(), site, contents
	c.follow(f)
	f.Node = &swarm.Node{Library: contents, UploadLimit: int64(c.UploadLimit), Logger: p.logger()}
	err = c.run(p, f, site.Root())
	if err != nil {
		if _, keptErr := f.Kept(); errors.Is(keptErr, fs.ErrNotExist) {
			err = hint(err, "a site is seeded without its server once it was seeded with it, from the same --dir")
		}
	}
	return err
}

// folder seeds a packed folder.
func (c *seedCommand) folder(p *program, f *seeder.Follower) error {
	if c.Dir != "" || c.DiskLimit != 0 || c.Key != nil {
		return misuse(errors.New("--dir, --disk-limit and --key belong to a URL: a folder is seeded from its own files"))
	}
	if c.URL != "" {
		site, err := openOrigin(c.URL)
		if err != nil {
			return err
		}
		site.Close()
		f.URL = site.Root()
	}
	root, err := openRoot(c.Site)
	if err != nil {
		return err
	}
	root.Close()
	folder, err := seeder.OpenFolder(c.Site)
	if err != nil {
		return err
	}
	defer folder.Close()
	document, err := folder.Document()
	if err != nil {
		return hint(err, "pack the folder, or give one that is packed")
	}
	manifest, err := seeder.Parse(document, filepath.Join(c.Site, "planktos", "manifest.json"))
	if err != nil {
		return err
	}
	if len(manifest.Trackers) > 0 && len(seeder.Trackers(manifest, f.URL)) == 0 {
		err := fmt.Errorf("%s: its trackers are paths of its own host", c.Site)
		return hint(err, "--url says where the site is published")
	}
	progress := p.progress("reading")
	f.Source, f.Folder, f.Progress = folder.Source(), folder, progress.set
	f.Node = &swarm.Node{Library: folder, UploadLimit: int64(c.UploadLimit), Logger: p.logger()}
	defer progress.done()
	return c.run(p, f, c.Site)
}

// run follows the site, and tells of what it has.
func (c *seedCommand) run(p *program, f *seeder.Follower, name string) error {
	defer f.Node.Close()
	f.Joined = func(s *seeder.Snapshot, bad []string) {
		if len(s.Root.Trackers) == 0 {
			p.note("%s names no tracker, so that nobody will find this seeder", name)
		}
		for _, file := range bad {
			p.note("%s is not what the manifest says, and not seeded: pack the site again", filepath.Join(name, file))
		}
	}
	var ready error
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	f.Completed = func(s *seeder.Snapshot) {
		var bytes int64
		all := s.All()
		for _, content := range all {
			bytes += content.Size
		}
		if f.Limit > 0 {
			bytes = min(bytes, f.Store.Used())
		}
		fmt.Fprintf(p.stdout, "seeding %s of %s, snapshot %.12s\n", bytesOf(bytes), name, s.Root.Snapshot)
		if c.Ready != "" {
			if ready = writeReady(c.Ready, name); ready != nil {
				cancel()
			}
		}
	}
	return errors.Join(f.Run(ctx), ready)
}

// openOrigin reads a site's URL.
func openOrigin(given string) (*origin.Site, error) {
	site, err := origin.New(given)
	if err != nil {
		return nil, hint(misuse(err), "give the URL of the site's root, such as https://example.org/docs/")
	}
	return site, nil
}

// openStore opens a store, with a hint where there is one.
func openStore(dir string, limit int64) (*store.Store, error) {
	contents, err := store.Open(dir, &store.Options{Limit: limit})
	if errors.Is(err, store.ErrLocked) {
		return nil, hint(err, "give each its own --dir")
	}
	return contents, err
}

// cacheFolder is where a command keeps what it has of a site, if it is not told where.
func cacheFolder(command, url string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no cache directory: %w", err)
	}
	_, name, _ := strings.Cut(url, "://")
	name = strings.Trim(unsafeInNames.ReplaceAllString(name, "-"), "-")
	return filepath.Join(cache, "planktos", command, fmt.Sprintf("%.40s-%.4x", name, sha256.Sum256([]byte(url)))), nil
}

var unsafeInNames = regexp.MustCompile(`[^\w.]+`)

// rate is a number of bytes a second, written as a size; "/s" may follow.
type rate int64

var _ encoding.TextUnmarshaler = (*rate)(nil)

// UnmarshalText reads a flag's value.
func (r *rate) UnmarshalText(text []byte) error {
	var s size
	if err := s.UnmarshalText([]byte(strings.TrimSuffix(strings.TrimSpace(string(text)), "/s"))); err != nil {
		return errors.New("not a rate in bytes a second, such as 500kB or 2MB")
	}
	if s == 0 {
		return errors.New("nothing could be given at that rate")
	}
	*r = rate(s)
	return nil
}
