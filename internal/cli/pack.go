package cli

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/planktos/planktos"
)

type packCommand struct {
	siteFlags
	signFlags
	Paths    []string `arg:"" optional:"" name:"path" help:"Files and directories to pack. Default: all of the root."`
	Root     string   `short:"r" placeholder:"DIR" default:"." help:"The site's root, where the packed site is put; all paths lie inside it. Default: the current directory."`
	LibOnly  *bool    `short:"l" name:"lib-only" negatable:"" help:"Only write the runtime's scripts; leave manifest and contents as they are."`
	InPlace  *bool    `name:"in-place" negatable:"" help:"Make no copies named by hash: for hosts that limit size or number of files."`
	Inject   *bool    `negatable:"" help:"Write the script tag into HTML files that lack it. Without it and --first-visit, no file of the site is changed."`
	HardLink *bool    `name:"hard-link" negatable:"" help:"Link copies instead of making them, for files that are never edited where they are."`
	Keep     *int     `placeholder:"N" help:"Keep the changed files of so many superseded snapshots, for visitors in the middle of a visit and for rollback. Default: 1."`
	Previous *string  `placeholder:"URL|DIR" help:"Where the site is published, for a folder that does not have its last release, such as a fresh checkout."`
	Rehash   bool     `help:"Read every file, also those that have not changed since the last pack as far as the file system tells."`
	JSON     bool     `help:"Print the summary as JSON."`

	privateKey ed25519.PrivateKey
	until      time.Time
}

// Help is shown by `planktos pack --help`.
func (packCommand) Help() string {
	return `Pack writes planktos/ and planktos.sw.min.js into the site's root. Upload the whole folder to any static host.

  planktos                               pack the current directory
  planktos -r public                     pack the folder public
  planktos docs/ index.html              pack these alone
  planktos --inject                      add the script tag to the site's pages, too
  planktos --inject --first-visit peers  and a snippet that has peers serve the very first page of a visit
  planktos --base /docs/                 the site is at https://host/docs/
  planktos --exclude 'drafts/**'         leave these out
  planktos --keep 5                      keep what the five releases before need, see planktos rollback
  planktos --previous https://host/      the same in a fresh checkout: what they need comes from the site
  planktos --sign ~/site.key             sign the release, see planktos keygen
  planktos --tracker /planktos/tracker --ice none
                                         contact nobody but the site's own host

Files that have not changed since the last pack are not read again; --rehash reads them all.
Dot-files, planktos/, planktos.sw.min.js and planktos.json are always left out, and so is what .planktosignore names.
Without --tracker and --ice, public trackers and STUN servers are used; the summary names them.`
}

// Run packs.
func (c *packCommand) Run(p *program) error {
	paths, err := c.relative()
	if err != nil {
		return err
	}
	file, err := readConfig(c.Config, c.Root)
	if err != nil {
		return err
	}
	c.siteFlags.merge(file)
	c.signFlags.merge(file)
	orElse(&c.LibOnly, file.LibOnly)
	orElse(&c.InPlace, file.InPlace)
	orElse(&c.Inject, file.Inject)
	orElse(&c.HardLink, file.HardLink)
	orElse(&c.Keep, file.Keep)
	orElse(&c.Previous, file.Previous)
	opts, err := c.options(file)
	if err != nil {
		return err
	}
	if value(c.InPlace) && value(c.HardLink) {
		return misuse(errors.New("--in-place makes no copies, so there is nothing for --hard-link to link"))
	}
	if c.Keep != nil && (*c.Keep < 0 || *c.Keep > maxKeep) {
		return misuse(fmt.Errorf("keep: %d is not from 0 to %d", *c.Keep, maxKeep))
	}
	opts.Paths = paths
	if len(opts.Paths) == 0 && !value(c.LibOnly) {
		thisOne := "planktos ."
		if filepath.Clean(c.Root) != "." {
			thisOne = fmt.Sprintf("planktos -r %s %[1]s", c.Root)
		}
		if err := refuse(p.ctx, c.Root, "planktos -r DIR", thisOne); err != nil {
			return err
		}
	}
	opts.InPlace = value(c.InPlace)
	opts.TagHTML = value(c.Inject)
	if c.privateKey, c.until, err = c.key(p, c.Root, time.Now()); err != nil {
		return err
	}
	opts.Cache, opts.Rehash = cacheFile(c.Root), c.Rehash
	return c.pack(p, opts)
}

func (c *packCommand) pack(p *program, opts *planktos.Options) error {
	if value(c.LibOnly) {
		if err := planktos.PublishScripts(p.ctx, c.Root); err != nil {
			return err
		}
		return summary{Root: c.Root, LibOnly: true}.print(p, c.JSON)
	}
	s := summary{Root: c.Root, InPlace: opts.InPlace}
	progress := p.progress("hashing")
	opts.Progress = progress.set
	site, err := planktos.PackDir(p.ctx, c.Root, opts)
	progress.done()
	if err != nil {
		return err
	}
	defer site.Close()
	progress = p.progress("writing")
	done, err := site.Publish(p.ctx, &planktos.PublishOptions{
		HardLink: value(c.HardLink), Keep: c.keep(), Previous: value(c.Previous), Key: c.privateKey, Expires: c.until,
		Progress: progress.set,
	})
	progress.done()
	if _, previous := errors.AsType[*planktos.PreviousError](err); previous {
		return hint(err, "nothing was published; without --previous, what visitors on earlier releases need is not kept")
	}
	if err != nil {
		return err
	}
	if done.First {
		p.note("nothing is published yet where --previous says: this is the first release there")
	}
	p.noteLost(done.Lost)
	switch {
	case done.WasSigned:
		p.note("the last release was signed, and this one is not: without --sign it reaches visitors from your server alone")
	case done.OtherKey:
		p.note("the last release was signed by another key")
	case done.Signed != nil && done.Previous == "":
		p.note("signed as the first release; if there is one already, --previous URL names the site")
	}
	if done.CacheError != nil {
		p.note("%v; the next pack takes as long as this one", done.CacheError)
	}
	tidyCache(opts.Cache, time.Now())
	s.Published = *done
	s.Description = site.Describe()
	if opts.FirstVisit == "peers" && s.FirstVisit != "peers" {
		p.note("mode is %s, so that first visits are plain", s.Mode)
	}
	return s.print(p, c.JSON)
}

// maxKeep is the most superseded snapshots that may be kept.
const maxKeep = 99

// keep is --keep for the library, to which none is less than zero.
func (c *packCommand) keep() int {
	if c.Keep != nil && *c.Keep == 0 {
		return -1
	}
	return value(c.Keep)
}

// lostLines is how many files that could not be kept are named.
const lostLines = 4

// noteLost names what could not be kept of earlier releases.
func (p *program) noteLost(lost []string) {
	for i, line := range lost {
		if i == lostLines {
			p.note("and %d more cannot be kept", len(lost)-i)
			break
		}
		p.note("cannot be kept: %s", line)
	}
}

// relative turns the paths on the command line, which are relative to the current directory as a shell completes them,
// into paths relative to the root.
func (c *packCommand) relative() ([]string, error) {
	root, err := filepath.Abs(c.Root)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, hint(fmt.Errorf("%s: there is no such directory", c.Root), "--root names the folder that is the site")
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, hint(misuse(fmt.Errorf("%s: not a directory", c.Root)), "--root names the folder that is the site")
	}
	var paths []string
	for _, given := range c.Paths {
		full, err := filepath.Abs(given)
		if err != nil {
			return nil, err
		}
		name, err := filepath.Rel(root, full)
		if err != nil || name == ".." || strings.HasPrefix(name, ".."+string(filepath.Separator)) {
			return nil, hint(misuse(fmt.Errorf("%s: lies outside the site's root, %s", given, root)),
				"--root names a folder that holds all of the site")
		}
		if _, err := os.Lstat(full); errors.Is(err, fs.ErrNotExist) {
			return nil, hint(fmt.Errorf("%s: there is no such file, directory or command", given), "planktos --help")
		} else if err != nil {
			return nil, err
		}
		if name == "." {
			// The whole root, asked for by name.
			return []string{"."}, nil
		}
		paths = append(paths, filepath.ToSlash(name))
	}
	return paths, nil
}
