package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/planktos/planktos"
)

type packCommand struct {
	siteFlags
	Paths    []string `arg:"" optional:"" name:"path" help:"Files and directories to pack. Default: all of the root."`
	Root     string   `short:"r" placeholder:"DIR" default:"." help:"The site's root, where the packed site is put; all paths lie inside it. Default: the current directory."`
	LibOnly  *bool    `short:"l" name:"lib-only" negatable:"" help:"Only write the runtime's scripts; leave manifest and contents as they are."`
	InPlace  *bool    `name:"in-place" negatable:"" help:"Make no copies named by hash: for hosts that limit size or number of files."`
	Inject   *bool    `negatable:"" help:"Write the script tag into HTML files that lack it. Without it, no file of the site is changed."`
	HardLink *bool    `name:"hard-link" negatable:"" help:"Link copies instead of making them, for files that are never edited where they are."`
	Drop     *bool    `name:"drop-superseded" negatable:"" help:"Delete at once what only the snapshot before names, instead of with the next."`
	JSON     bool     `help:"Print the summary as JSON."`
}

// Help is shown by `planktos pack --help`.
func (packCommand) Help() string {
	return `Pack writes planktos/ and planktos.sw.min.js into the site's root. Upload the whole folder to any static host.

  planktos                               pack the current directory
  planktos -r public                     pack the folder public
  planktos docs/ index.html              pack these alone
  planktos --inject                      add the script tag to the site's pages, too
  planktos --base /docs/                 the site is at https://host/docs/
  planktos --exclude 'drafts/**'         leave these out
  planktos --tracker /planktos/tracker --ice none
                                         contact nobody but the site's own host

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
	c.merge(file)
	orElse(&c.LibOnly, file.LibOnly)
	orElse(&c.InPlace, file.InPlace)
	orElse(&c.Inject, file.Inject)
	orElse(&c.HardLink, file.HardLink)
	orElse(&c.Drop, file.Drop)
	opts, err := c.options(file)
	if err != nil {
		return err
	}
	if value(c.InPlace) && value(c.HardLink) {
		return misuse(errors.New("--in-place makes no copies, so there is nothing for --hard-link to link"))
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
	if value(c.Inject) {
		injected, err := planktos.Inject(p.ctx, c.Root, opts)
		if err != nil {
			return err
		}
		s.Injected = injected
	}
	progress := p.progress("hashing")
	opts.Progress = progress.set
	site, err := planktos.PackDir(p.ctx, c.Root, opts)
	progress.done()
	if err != nil {
		return err
	}
	defer site.Close()
	err = site.Publish(p.ctx, &planktos.PublishOptions{HardLink: value(c.HardLink), DropSuperseded: value(c.Drop)})
	if err != nil {
		return err
	}
	s.Description = site.Describe()
	return s.print(p, c.JSON)
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
