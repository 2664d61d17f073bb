package snapshot

import (
	"net/url"
	"slices"
	"strings"

	"github.com/planktos/planktos/internal/manifest"
)

// maxLoads is how many files a page's row names: what a page shows first is named first, and rows stay short.
const maxLoads = 32

// loads gives, for each file that is a page, the indices in s.Files of what a browser loads with it: what the page names
// and, after each style sheet, what that names. refs are those of the files, in their order.
func (s *Snapshot) loads(base string, refs []references) [][]int {
	index := make(map[string]int, len(s.Files))
	for i, f := range s.Files {
		index[f.Path] = i
	}
	loads := make([][]int, len(s.Files))
	for i, page := range s.Files {
		if !isHTML(page.Path) {
			continue
		}
		var list []int
		add := func(name string) (at int, ok bool) {
			at, ok = index[name]
			ok = ok && at != i && s.Files[at].Size > 0 && len(list) < maxLoads && !slices.Contains(list, at)
			if ok {
				list = append(list, at)
			}
			return at, ok
		}
		for name := range refs[i].paths(base, page.Path) {
			if at, ok := add(name); ok && isCSS(name) {
				for inner := range refs[at].paths(base, name) {
					add(inner)
				}
			}
		}
		loads[i] = list
	}
	return loads
}

// paths gives the paths of the site that a document's references name.
func (r references) paths(base, document string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		// Any origin will do: what names another is not of this site, and neither is what names the site's own, which
		// packing does not know.
		root := &url.URL{Scheme: "https", Host: "origin.invalid", Path: "/"}
		at, err := root.Parse(base + manifest.EncodePath(document))
		if err != nil {
			return
		}
		if r.base != "" {
			if at, err = at.Parse(r.base); err != nil {
				return
			}
		}
		for _, ref := range r.urls {
			target, err := at.Parse(ref)
			if err != nil || target.Scheme != root.Scheme || target.Host != root.Host {
				continue
			}
			escaped, ok := strings.CutPrefix(target.EscapedPath(), base)
			if !ok {
				continue
			}
			if name, ok := manifest.RequestPath(escaped); ok && !yield(name) {
				return
			}
		}
	}
}

// within gives the part of loads that lies in the table of the rows from first on, as indices of that table.
func within(loads []int, first, rows int) []int {
	var inside []int
	for _, at := range loads {
		if at >= first && at < first+rows {
			inside = append(inside, at-first)
		}
	}
	return inside
}
