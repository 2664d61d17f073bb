package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/planktos/planktos"
)

type disableCommand struct {
	signFlags
	Dir   string `arg:"" optional:"" default:"." help:"The packed site's root. Default: the current directory."`
	Force bool   `help:"Write the manifest into a folder that is not packed, too."`
	JSON  bool   `help:"Print what was done as JSON."`
}

// Help is shown by `planktos disable --help`.
func (disableCommand) Help() string {
	return `Disable replaces planktos/manifest.json by one that says that Planktos is to go: a visitor's browser that reads it deletes
what is stored of the site and unregisters the service worker, and the site is as over plain HTTP. That one file is all
that has to be uploaded. No other file is changed. planktos publish tells open pages; if the manifest is signed, seeders
and visitors hand it on, and it is obeyed though the site's server is down.

  planktos disable site/                     then upload site/planktos/manifest.json
  planktos disable site/ --sign ~/site.key   for a site whose releases are signed
  planktos disable public/ --force           a fresh checkout, or a folder that planktos serve serves
  planktos -r site/                          pack: Planktos is back

planktos remove takes out everything, for good.`
}

// Run disables.
func (c *disableCommand) Run(p *program) error {
	file, err := readConfig("", c.Dir)
	if err != nil {
		return err
	}
	c.merge(file)
	key, expires, err := c.key(p, c.Dir, time.Now())
	if err != nil {
		return err
	}
	signature, err := planktos.Disable(p.ctx, c.Dir, &planktos.DisableOptions{Key: key, Expires: expires, Force: c.Force})
	if errors.Is(err, planktos.ErrNoNumber) {
		return hint(err, `fetch the site's planktos/manifest.json into the folder; or --sign "" signs nothing, and only the site itself is obeyed`)
	}
	if err != nil {
		return ofPackedOr(err, "--force writes the manifest into any folder")
	}
	if c.JSON {
		return printJSON(p.stdout, struct {
			Root   string              `json:"root"`
			Signed *planktos.Signature `json:"signed"`
		}{c.Dir, signature})
	}
	fmt.Fprintf(p.stdout, "disabled Planktos in %s: upload planktos/manifest.json\n", c.Dir)
	if signature != nil {
		fmt.Fprintf(p.stdout, "  signed     %s\n", signatureText(signature))
	}
	fmt.Fprintln(p.stdout, "the next pack brings it back")
	return nil
}
