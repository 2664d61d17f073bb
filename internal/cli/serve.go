package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/planktos/planktos"
)

type serveCommand struct {
	siteFlags
	Dir   string `arg:"" optional:"" help:"The site's folder. Default: the current directory."`
	Addr  string `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to listen. Default: ${default}. Port 0 is a free one."`
	STUN  string `name:"stun" placeholder:"[HOST]:PORT" help:"Answer STUN as well, and tell visitors so. Over one machine or network it is not needed."`
	Ready string `placeholder:"FILE" help:"Write the URL to this file, too, once the server answers."`
}

// Help is shown by `planktos serve --help`.
func (serveCommand) Help() string {
	return `Serve packs a folder in memory, writes nothing into it, and serves the site, the runtime and a tracker on one port. Pages
that lack the script tag get it on the way. Edited files are packed again when they are next asked for. What is
left out, by --exclude or by .planktosignore, is not served either.

  planktos serve site/                             http://127.0.0.1:8080/
  planktos serve site/ --addr 127.0.0.1:0          a free port; its URL is the first line of the output
  planktos serve site/ --addr :80 --stun :3478     for everybody, with a STUN server of your own

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
	h := &planktos.Handler{FS: root.FS(), Options: opts, STUNPort: stunPort, Logger: p.logger()}
	defer h.Close()
	site, err := h.Site(p.ctx)
	progress.done()
	if err != nil {
		return err
	}
	d := site.Describe()
	if err := p.announce("http://"+urlHost(l.Addr())+d.Base, c.Ready); err != nil {
		return err
	}
	p.note("serving %s of %s, %s", plural(d.Files, "file"), dir, bytesOf(d.Bytes))
	for line := range strings.Lines(thirdPartyText(d.ThirdParties)) {
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
