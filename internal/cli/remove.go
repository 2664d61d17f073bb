package cli

import (
	"errors"
	"fmt"

	"github.com/planktos/planktos"
)

type removeCommand struct {
	Dir  string `arg:"" optional:"" default:"." help:"The packed site's root. Default: the current directory."`
	JSON bool   `help:"Print what was done as JSON."`
}

// Help is shown by `planktos remove --help`.
func (removeCommand) Help() string {
	return `Remove deletes planktos/ and the script tags that pack --inject wrote. In place of the service worker it leaves one that
deletes what visitors' browsers have stored and unregisters itself.

  planktos remove site/     then upload site/ as ever

Leave planktos.sw.min.js on the host for as long as visitors may come back that have not been there since.`
}

// Run removes.
func (c *removeCommand) Run(p *program) error {
	done, err := planktos.Remove(p.ctx, c.Dir)
	switch {
	case errors.Is(err, planktos.ErrNotPacked):
		return hint(err, "give the folder that was packed")
	case err != nil:
		return err
	}
	if c.JSON {
		return printJSON(p.stdout, struct {
			Root string `json:"root"`
			*planktos.Removal
		}{c.Dir, done})
	}
	fmt.Fprintf(p.stdout, "removed Planktos from %s: deleted %s, took the script tag out of %s\n", c.Dir,
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
