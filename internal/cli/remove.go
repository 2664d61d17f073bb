package cli

import (
	"fmt"

	"github.com/planktos/planktos"
)

type removeCommand struct {
	Dir   string `arg:"" optional:"" default:"." help:"The packed site's root. Default: the current directory."`
	Force bool   `help:"Leave the service worker that cleans up in a folder that is not packed, too."`
	JSON  bool   `help:"Print what was done as JSON."`
}

// Help is shown by `planktos remove --help`.
func (removeCommand) Help() string {
	return `Remove deletes planktos/, and what pack --inject and --first-visit wrote into pages. In place of the service worker it
leaves one that deletes what visitors' browsers have stored and unregisters itself. It does so whatever a deployment that
went wrong has left of Planktos.

  planktos remove site/             then upload site/ as ever
  planktos remove public/ --force   in a fresh checkout or build, where nothing is of Planktos

To switch Planktos off for a while, planktos disable is less work.

Leave planktos.sw.min.js on the host for as long as visitors may come back that have not been there since.`
}

// Run removes.
func (c *removeCommand) Run(p *program) error {
	done, err := planktos.Remove(p.ctx, c.Dir, &planktos.RemoveOptions{Force: c.Force})
	if err != nil {
		return ofPackedOr(err, "--force leaves the service worker that cleans up in any folder")
	}
	if c.JSON {
		return printJSON(p.stdout, struct {
			Root string `json:"root"`
			*planktos.Removal
		}{c.Dir, done})
	}
	fmt.Fprintf(p.stdout, "removed Planktos from %s: deleted %s, took out what it had put into %s\n", c.Dir,
		plural(done.Files, "file"), plural(len(done.Pages), "page"))
	fmt.Fprintln(p.stdout, "planktos.sw.min.js now cleans up in visitors' browsers: upload it with the rest")
	for _, name := range done.Tagged {
		p.note("%s has a script tag of its own: take it out, and then delete planktos/install.js", name)
	}
	for _, name := range done.Foreign {
		p.note("%s is not of Planktos and stays", name)
	}
	for _, line := range done.Skipped {
		p.note("%s", line)
	}
	return nil
}
