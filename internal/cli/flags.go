package cli

import (
	"cmp"
	"fmt"

	"github.com/planktos/planktos"
)

// siteFlags are what pack and serve have in common; planktos.json has the same keys. A flag that is not given is nil.
type siteFlags struct {
	Config   string   `short:"c" placeholder:"FILE" help:"Read options from a JSON file whose keys are these flags' names. Without it, planktos.json in the root, if there is one."`
	WebSeed  []string `short:"w" name:"webseed" sep:"none" placeholder:"URL" help:"Another host's copy of the packed site. Repeatable."`
	Tracker  []string `sep:"none" placeholder:"URL" help:"Tracker that introduces visitors: wss://HOST/, or a path of the site's own host such as /planktos/tracker. Repeatable; none for no tracker."`
	ICE      []string `name:"ice" sep:"none" placeholder:"URL" help:"STUN or TURN server: stun:HOST:PORT, or turn:USER:CREDENTIAL@HOST:PORT. Repeatable; none for no server."`
	Exclude  []string `sep:"none" placeholder:"GLOB" help:"Leave out paths that match, such as drafts/**. Repeatable. A .planktosignore file (gitignore's syntax) does the same."`
	Base     *string  `placeholder:"/PATH/" help:"Where the site is on its host, such as /docs/. Default: /."`
	Mode     *string  `placeholder:"auto|ask|off" help:"Visitors share at once (auto), once they agreed (ask), or never (off). Default: auto."`
	Prefer   *string  `placeholder:"speed|offload" help:"What matters more: the visitor's time, or the origin's traffic. Default: speed."`
	First    *string  `name:"first-visit" placeholder:"plain|peers" help:"How a visitor's first page is loaded: untouched (plain), or by a snippet in the pages that lets peers serve it, too (peers). Default: plain."`
	Prefetch *size    `placeholder:"SIZE" help:"How much a page may fetch from other visitors, in idle time, of what its links lead to: 500kB, 2MB, or 0 for nothing. Default: 2MB."`
}

// merge puts the file's value in the place of every flag that was not given.
func (f *siteFlags) merge(c *config) {
	fallback(&f.WebSeed, c.WebSeed)
	fallback(&f.Tracker, c.Tracker)
	fallback(&f.ICE, c.ICE)
	fallback(&f.Exclude, c.Exclude)
	orElse(&f.Base, c.Base)
	orElse(&f.Mode, c.Mode)
	orElse(&f.Prefer, c.Prefer)
	orElse(&f.Prefetch, c.Prefetch)
	orElse(&f.First, c.First)
}

func fallback(flag *[]string, file []string) {
	if *flag == nil {
		*flag = file
	}
}

func orElse[T any](flag **T, file *T) {
	if *flag == nil {
		*flag = file
	}
}

// value is what a pointer points to, or the zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// options makes the library's options of merged flags. Lists that nobody gave stay nil.
func (f *siteFlags) options(c *config) (*planktos.Options, error) {
	o := &planktos.Options{
		Exclude: f.Exclude, WebSeeds: f.WebSeed, Base: value(f.Base), Mode: value(f.Mode), Prefer: value(f.Prefer),
		FirstVisit: value(f.First),
	}
	for _, given := range []struct {
		name string
		text *string
	}{{"mode", f.Mode}, {"prefer", f.Prefer}, {"base", f.Base}, {"first-visit", f.First}} {
		if given.text != nil && *given.text == "" {
			return nil, misuse(fmt.Errorf("%s is given, but empty", given.name))
		}
	}
	if f.Prefetch != nil {
		// To the library, none is less than zero.
		o.Prefetch = cmp.Or(int64(*f.Prefetch), -1)
	}
	trackers, err := listOrNone("tracker", f.Tracker)
	if err != nil {
		return nil, err
	}
	o.Trackers = trackers
	servers, err := listOrNone("ice", f.ICE)
	if err != nil {
		return nil, err
	}
	if servers != nil {
		o.ICE = []planktos.ICEServer{}
	}
	for _, s := range servers {
		server, err := planktos.ParseICE(s)
		if err != nil {
			return nil, err
		}
		o.ICE = append(o.ICE, server)
	}
	for _, rule := range c.Headers {
		o.Headers = append(o.Headers, planktos.HeaderRule{Pattern: rule.Path, Headers: rule.Headers})
	}
	return o, nil
}

// listOrNone reads a list that the single word "none" empties.
func listOrNone(name string, list []string) ([]string, error) {
	for _, item := range list {
		if item != "none" {
			continue
		}
		if len(list) > 1 {
			return nil, misuse(fmt.Errorf("%s none stands alone, or not at all", name))
		}
		return []string{}, nil
	}
	return list, nil
}
