package cli

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/planktos/planktos"
)

type rollbackCommand struct {
	signFlags
	Dir      string `arg:"" optional:"" help:"The packed site's root. Default: the current directory."`
	Snapshot string `arg:"" optional:"" help:"The snapshot to go back to, or the beginning of its id. Default: the last one before the published."`
	List     bool   `help:"Only list the snapshots that are kept, the newest first."`
	JSON     bool   `help:"Print what was done, or the list, as JSON."`
}

// Help is shown by `planktos rollback --help`.
func (rollbackCommand) Help() string {
	return `Rollback publishes a release again that pack --keep has kept: the site's files become what they were, files that it did
not have go, and planktos/ is that of the release. What was published is kept in its place, so that a second rollback
undoes the first. Upload the folder afterwards.

  planktos rollback                 go back to the release before the published one, in the current directory
  planktos rollback --list site/    the releases that are kept there
  planktos rollback site/ 5f70      go back to the snapshot whose id begins so

Files that were edited since they were packed, and others that would be lost, end it before anything changes.`
}

// snapshotID matches the beginning of a snapshot's id.
var snapshotID = regexp.MustCompile(`^[0-9a-f]{1,64}$`)

// Run goes back.
func (c *rollbackCommand) Run(p *program) error {
	if c.Snapshot == "" && snapshotID.MatchString(c.Dir) {
		if _, err := os.Stat(c.Dir); err != nil {
			c.Dir, c.Snapshot = "", c.Dir
		}
	}
	if c.Dir == "" {
		c.Dir = "."
	}
	if c.Snapshot != "" && !snapshotID.MatchString(c.Snapshot) {
		return hint(misuse(fmt.Errorf("%s: not the id of a snapshot", c.Snapshot)), "planktos rollback --list")
	}
	if c.List {
		return c.list(p)
	}
	file, err := readConfig("", c.Dir)
	if err != nil {
		return err
	}
	c.merge(file)
	key, expires, err := c.key(p, c.Dir, time.Now())
	if err != nil {
		return err
	}
	progress := p.progress("verifying")
	done, err := planktos.Rollback(p.ctx, c.Dir, &planktos.RollbackOptions{
		Snapshot: c.Snapshot, Key: key, Expires: expires, Progress: progress.set,
	})
	progress.done()
	if err != nil {
		return rollbackHint(err)
	}
	if c.JSON {
		return printJSON(p.stdout, struct {
			Root string `json:"root"`
			*planktos.RolledBack
		}{c.Dir, done})
	}
	fmt.Fprintf(p.stdout, "published snapshot %s again in %s\n", done.Snapshot, c.Dir)
	if done.Signed != nil {
		fmt.Fprintf(p.stdout, "  signed     %s\n", signatureText(done.Signed))
	}
	fmt.Fprintf(p.stdout, "  restored   %s\n", plural(len(done.Restored), "file"))
	fmt.Fprintf(p.stdout, "  removed    %s\n", plural(len(done.Removed), "file"))
	fmt.Fprintf(p.stdout, "snapshot %s, which was published, is kept: planktos rollback undoes this\n", done.From)
	return nil
}

// rollbackHint adds the next step to what went wrong.
func rollbackHint(err error) error {
	var conflict *planktos.ConflictError
	switch {
	case errors.As(err, &conflict):
		return hint(err, "nothing was changed; pack first, so that these files are kept, or move them away")
	case errors.Is(err, planktos.ErrDisabled):
		return hint(err, "pack it, which brings Planktos back, and then roll back")
	case errors.Is(err, planktos.ErrNoKey):
		return hint(err, "--sign FILE signs it")
	case errors.Is(err, planktos.ErrNoSnapshot):
		return hint(err, "planktos rollback --list names those that are kept; pack --keep N keeps more")
	}
	return ofPacked(err)
}

// list prints the kept snapshots.
func (c *rollbackCommand) list(p *program) error {
	releases, err := planktos.Superseded(p.ctx, c.Dir)
	if err != nil {
		return rollbackHint(err)
	}
	type kept struct {
		Snapshot string `json:"snapshot"`
		Files    int    `json:"files"`
		Bytes    int64  `json:"bytes"`
	}
	list := []kept{}
	for _, r := range releases {
		list = append(list, kept{r.Snapshot(), r.Files(), r.Bytes()})
	}
	if c.JSON {
		return printJSON(p.stdout, list)
	}
	for _, k := range list {
		fmt.Fprintf(p.stdout, "%s  %s, %s\n", k.Snapshot, plural(k.Files, "file"), bytesOf(k.Bytes))
	}
	if len(list) == 0 {
		p.note("no superseded snapshot is kept in %s", c.Dir)
	}
	return nil
}
