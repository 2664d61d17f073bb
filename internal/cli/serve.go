package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/planktos/planktos"
	"github.com/planktos/planktos/internal/manifest"
)

type serveCommand struct {
	siteFlags
	Dir   string  `arg:"" optional:"" help:"The site's folder. Default: the current directory."`
	Addr  string  `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to listen. Default: ${default}. Port 0 is a free one."`
	STUN  string  `name:"stun" placeholder:"[HOST]:PORT" help:"Answer STUN as well, and tell visitors so. Over one machine or network it is not needed."`
	Seed  bool    `help:"Be a peer of the site as well, for BitTorrent clients and seeders. Visitors have everything over HTTP anyway."`
	Sign  *string `placeholder:"FILE" help:"Sign what is served by the private key in this file, see planktos keygen: visitors hand a release on while this server is gone."`
	Ready string  `placeholder:"FILE" help:"Write the URL to this file, too, once the server answers."`
}

// Help is shown by `planktos serve --help`.
func (serveCommand) Help() string {
	return `Serve packs a folder in memory, writes nothing into it, and serves the site, the runtime and a tracker on one port. Pages
that lack the script tag get it on the way. Edited files are packed again when they are next asked for, or, while pages
are open, once they have been left alone for a second: then these pages are told. What is left out, by --exclude or by
.planktosignore, is not served either. A folder that planktos disable was run on is served without Planktos.

  planktos serve site/                             http://127.0.0.1:8080/
  planktos serve site/ --addr 127.0.0.1:0          a free port; its URL is the first line of the output
  planktos serve site/ --addr :80 --stun :3478     for everybody, with a STUN server of your own
  planktos serve site/ --sign ~/site.key           signed, so that visitors hand a release on to others

Unless --tracker or --ice say otherwise, visitors meet at this server alone and no third party is contacted. Browsers run
service workers over HTTPS only, except on localhost: put a proxy with a certificate in front for other machines.`
}

// Run serves until it is told to end.
func (c *serveCommand) Run(p *program) error {
	dir := c.Dir
	if dir == "" {
		dir = "."
	}
	root, err := openRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if c.Dir == "" {
		if err := refuse(p.ctx, dir, "planktos serve DIR", "planktos serve ."); err != nil {
			return err
		}
	}
	file, err := readConfig(c.Config, dir)
	if err != nil {
		return err
	}
	c.merge(file)
	opts, err := c.options(file)
	if err != nil {
		return err
	}
	opts.TagHTML = true

	orElse(&c.Sign, file.Sign)
	key, _, err := (&signFlags{Sign: c.Sign}).key(p, dir, time.Time{})
	if err != nil {
		return err
	}

	l, err := listen(c.Addr)
	if err != nil {
		return err
	}
	defer l.Close()
	stunPort, stopSTUN, err := p.startSTUN(c.STUN)
	if err != nil {
		return err
	}
	defer stopSTUN()
	if opts.ICE != nil && len(opts.ICE) == 0 {
		stunPort = 0 // --ice none: visitors are not told
	}

	progress := p.progress("hashing")
	opts.Progress = progress.set
	h := &planktos.Handler{FS: root.FS(), Options: opts, Key: key, STUNPort: stunPort, Logger: p.logger()}
	defer h.Close()
	site, err := h.Site(p.ctx)
	progress.done()
	if err != nil {
		return err
	}
	d := site.Describe()
	url := "http://" + urlHost(l.Addr()) + d.Base
	if err := p.announce(url, c.Ready); err != nil {
		return err
	}
	watching, stop := context.WithCancel(p.ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { h.Watch(watching) })
	defer watcher.Wait()
	defer stop()
	if c.Seed {
		defer p.seedOwn(h, url, 0)()
	}
	p.note("serving %s of %s, %s", plural(d.Files, "file"), dir, bytesOf(d.Bytes))
	if key != nil {
		p.note("signing by the key %x", key.Public())
	}
	if manifest.Disabled(site.Manifest()) {
		p.note("planktos/manifest.json there disables Planktos: visitors' browsers are rid of it")
		return p.serve(p.ctx, l, h)
	}
	for line := range strings.Lines(thirdPartyText(d.ThirdParties) + outageText(d)) {
		p.note("%s", strings.TrimSuffix(line, "\n"))
	}
	return p.serve(p.ctx, l, h)
}

// openRoot opens a folder that is to be served.
func openRoot(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	switch {
	case err == nil:
		return root, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: there is no such directory", dir)
	}
	if info, statErr := os.Stat(dir); statErr == nil && !info.IsDir() {
		return nil, hint(misuse(fmt.Errorf("%s: not a directory", dir)), "give the folder that holds the site")
	}
	return nil, err
}
