package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"sync"
	"time"

	"github.com/planktos/planktos/internal/mirror"
	"github.com/planktos/planktos/internal/seeder"
	"github.com/planktos/planktos/internal/swarm"
	"github.com/planktos/planktos/tracker"
)

type mirrorCommand struct {
	keyFlag
	Site        string        `arg:"" name:"site" help:"The site's URL."`
	Addr        string        `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to listen. Default: ${default}. Port 0 is a free one."`
	Dir         string        `placeholder:"DIR" help:"Where the site's contents are kept. Default: a folder of the site's own in your cache directory."`
	UploadLimit rate          `placeholder:"RATE" help:"Most to give to peers, such as 1MB (a second). Default: no limit."`
	Check       time.Duration `default:"5m" placeholder:"TIME" help:"How often to look for a new release. Default: ${default}."`
	Ready       string        `placeholder:"FILE" help:"Write the mirror's URL to this file, too, once it answers."`
}

// Help is shown by `planktos mirror --help`.
func (mirrorCommand) Help() string {
	return `Mirror seeds a site, and serves it over HTTP under its own path, with the runtime: a second host name for it, or what a
CDN falls back on. It goes on when the site's server is gone, after a restart too, and follows its releases. If the site
disables Planktos, the mirror has it leave its own visitors, too.

  planktos mirror https://example.org/docs/ --addr :80     http://this-host/docs/

Browsers run service workers over HTTPS only, except on localhost: put a proxy with a certificate in front.`
}

// Run mirrors until it is told to end.
func (c *mirrorCommand) Run(p *program) error {
	if c.Check <= 0 {
		return misuse(fmt.Errorf("--check %s: how often must be more than nothing", c.Check))
	}
	site, err := openOrigin(c.Site)
	if err != nil {
		return err
	}
	defer site.Close()
	root, err := url.Parse(site.Root())
	if err != nil {
		return err
	}
	dir := c.Dir
	if dir == "" {
		if dir, err = cacheFolder("mirror", site.Root()); err != nil {
			return hint(err, "--dir DIR")
		}
	}
	contents, err := openStore(dir, 0)
	if err != nil {
		return err
	}
	defer contents.Close()
	l, err := listen(c.Addr)
	if err != nil {
		return err
	}
	defer l.Close()
	meeting := &tracker.Tracker{Logger: p.logger()}
	defer meeting.Close()
	h := &mirror.Handler{Store: contents, Base: root.EscapedPath(), Tracker: meeting}

	node := &swarm.Node{Library: contents, UploadLimit: int64(c.UploadLimit), Logger: p.logger()}
	defer node.Close()
	joined := make(chan struct{})
	known := sync.OnceFunc(func() { close(joined) })
	f := &seeder.Follower{
		Node: node, URL: site.Root(), Source: site, Store: contents, Unshared: true, Interval: c.Check,
		Logger:    p.logger(),
		Completed: func(s *seeder.Snapshot) { p.note("all of %s is here, snapshot %.12s", site.Root(), s.Root.Snapshot) },
	}
	f.Joined = func(s *seeder.Snapshot, _ []string) {
		h.Take(s, f.Key)
		known()
	}
	f.Disabled = func(document []byte) {
		h.Disable(document, f.Key)
		known()
	}
	c.follow(f)
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	select {
	case err := <-ended:
		if _, keptErr := f.Kept(); err != nil && errors.Is(keptErr, fs.ErrNotExist) {
			return hint(err, "a site is mirrored without its server once it was mirrored with it, from the same --dir")
		}
		return err
	case <-joined:
	}
	err = p.announce("http://"+urlHost(l.Addr())+root.EscapedPath(), c.Ready)
	if err == nil {
		err = p.serve(ctx, l, h)
	}
	cancel()
	return errors.Join(err, <-ended)
}
