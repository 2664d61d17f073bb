package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/planktos/planktos"
)

type diffCommand struct {
	Old    string `arg:"" help:"The release that visitors have: a site's URL, a folder, or a manifest."`
	New    string `arg:"" optional:"" default:"." help:"The one they will get. Default: the current directory."`
	Repack bool   `help:"Look at the folder NEW as packing it now would find it, though it has been packed."`
	JSON   bool   `help:"Print the same as JSON."`
}

// Help is shown by `planktos diff --help`.
func (diffCommand) Help() string {
	return `Diff tells what a release changes, and what of it a visitor who has all of the old one will fetch. Either may be the URL of
a site, a folder, or a manifest (planktos/manifest.json, or one of planktos/snapshots/). A folder counts as it was packed
last, and one that never was, as packing it would find it, by its planktos.json.

  planktos diff https://example.org/ public/     what uploading public/ will change
  planktos diff --repack public/ public/         what has changed since public/ was packed
  planktos diff planktos/snapshots/5f70….json    what the last release has changed, in the current directory

Sizes are those of the files; most hosts send text compressed.`
}

// Run compares.
func (c *diffCommand) Run(p *program) error {
	old, err := p.release(c.Old, false)
	if err != nil {
		return err
	}
	next, err := p.release(c.New, c.Repack)
	if err != nil {
		return err
	}
	d := planktos.Compare(old, next)
	if c.JSON {
		return printJSON(p.stdout, d)
	}
	_, err = fmt.Fprint(p.stdout, differenceText(d))
	return err
}

// release reads the release that an argument names; of a folder that has none, or if repack is set, it packs it in
// memory.
func (p *program) release(where string, repack bool) (*planktos.Release, error) {
	info, err := os.Stat(where)
	folder := err == nil && info.IsDir()
	if repack && !folder {
		return nil, misuse(fmt.Errorf("%s: not a folder, so it cannot be packed again", where))
	}
	if !repack {
		r, err := planktos.ReadRelease(p.ctx, where)
		switch {
		case !errors.Is(err, planktos.ErrNotPacked):
			return r, err
		case !folder:
			return nil, hint(err, "give the URL of a site's root, a folder, or a manifest")
		}
	}
	file, err := readConfig("", where)
	if err != nil {
		return nil, err
	}
	var flags siteFlags
	flags.merge(file)
	opts, err := flags.options(file)
	if err != nil {
		return nil, err
	}
	opts.InPlace, opts.TagHTML, opts.Cache = value(file.InPlace), value(file.Inject), cacheFile(where)
	progress := p.progress("hashing")
	opts.Progress = progress.set
	site, err := planktos.PackDir(p.ctx, where, opts)
	progress.done()
	if err != nil {
		return nil, err
	}
	defer site.Close()
	return site.Release(), nil
}

// differenceText tells of each change on a line of its own, and then what it comes to.
func differenceText(d *planktos.Difference) string {
	var b strings.Builder
	for _, change := range d.Changes {
		line := func(path, size string) { fmt.Fprintf(&b, "%-7s  %s  (%s)\n", change.Kind, path, size) }
		switch {
		case change.Kind == "moved":
			line(change.From+" -> "+change.Path, bytesOf(change.Size)+", nothing to fetch")
		case change.Kind == "removed":
			line(change.Path, bytesOf(change.OldSize))
		case change.Kind == "changed" && change.Fetch == 0:
			line(change.Path, bytesOf(change.OldSize)+" -> "+bytesOf(change.Size)+", nothing to fetch")
		case change.Kind == "changed":
			line(change.Path, bytesOf(change.OldSize)+" -> "+bytesOf(change.Size))
		case change.Fetch == 0:
			line(change.Path, bytesOf(change.Size)+", nothing to fetch")
		default:
			line(change.Path, bytesOf(change.Size))
		}
	}
	if len(d.Changes) == 0 {
		fmt.Fprintf(&b, "no file differs, of %d\n", d.Unchanged)
	} else {
		fmt.Fprintf(&b, "%s, %d unchanged\n", countsText(d.Changes), d.Unchanged)
		share := 0.0
		if d.TotalBytes > 0 {
			share = 100 * float64(d.FetchBytes) / float64(d.TotalBytes)
		}
		fmt.Fprintf(&b, "a visitor who has all of the old release fetches %s in %s: %.1f %% of the site's %s\n",
			bytesOf(d.FetchBytes), plural(d.FetchFiles, "file"), share, bytesOf(d.TotalBytes))
	}
	if d.TableBytes > 0 {
		fmt.Fprintf(&b, "and at most %s of manifest%s\n", bytesOf(d.TableBytes), shardsOf(d.Shards))
	}
	return b.String()
}

// countsText says how many changes there are of each kind.
func countsText(changes []planktos.Change) string {
	counts := map[string]int{}
	for _, change := range changes {
		counts[change.Kind]++
	}
	var parts []string
	for _, kind := range []string{"added", "changed", "moved", "removed"} {
		if counts[kind] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[kind], kind))
		}
	}
	return strings.Join(parts, ", ")
}
