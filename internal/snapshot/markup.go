package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/planktos/planktos/internal/manifest"
)

// The first-visit snippet stands between markers of its own, so that the next pack can replace or remove it, whatever
// version wrote it. Its text is the same for every site: the base stands in an attribute.
const (
	firstBegin = "<!--planktos:first-->"
	firstEnd   = "<!--/planktos:first-->"
)

// firstBlocks finds the snippets between their markers. A begin without its end, which somebody's editing may have left,
// takes nothing of the page with it.
func firstBlocks(page []byte) (blocks []edit) {
	for from := 0; ; {
		end := bytes.Index(page[from:], []byte(firstEnd))
		if end < 0 {
			return blocks
		}
		end += from
		if begin := bytes.LastIndex(page[from:end], []byte(firstBegin)); begin >= 0 {
			blocks = append(blocks, edit{from + begin, end + len(firstEnd), nil})
		}
		from = end + len(firstEnd)
	}
}

// prescan is how many bytes of a document browsers look for its encoding in (HTML, 13.2.3.2).
const prescan = 1024

// markup is what packing makes of pages: what earlier packs wrote for first visits goes, and what is not nil comes.
type markup struct {
	tag   []byte // the script tag
	first []byte // the first-visit snippet and its markers
	// hash is the snippet's source expression in a Content-Security-Policy.
	hash string
	// headers are the rules that may give pages a Content-Security-Policy.
	headers []manifest.HeaderRule
}

func newMarkup(base string, o *Options) *markup {
	m := &markup{headers: o.Headers}
	if o.Tag {
		m.tag = tag(base)
	}
	if o.FirstVisit {
		m.first = []byte(firstBegin + `<script data-planktos="` + base + `">` + string(o.Runtime.First) + "</script>" + firstEnd)
		m.hash = SourceExpression(o.Runtime.First)
	}
	return m
}

// digest stands for all that edits depend on but the page.
func (m *markup) digest() string {
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%q %q %q", m.tag, m.first, m.headers)))
}

// SourceExpression is how a Content-Security-Policy names an inline script: 'sha256-…' (CSP Level 3, 2.3.1).
func SourceExpression(script []byte) string {
	sum := sha256.Sum256(script)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// edit replaces the bytes from at to end of a page.
type edit struct {
	at, end int
	put     []byte
}

// edits says how a page becomes what it is packed as, in order; nil if it is that already. reason is why it does not get
// the first-visit snippet, if it was to have it.
func (m *markup) edits(name string, page []byte) (edits []edit, reason string) {
	edits = firstBlocks(page)
	bare := apply(page, edits)
	insert := func(at int, put []byte) {
		for _, e := range edits {
			if e.at < at {
				at += e.end - e.at
			}
		}
		i := slices.IndexFunc(edits, func(e edit) bool { return e.at == at })
		if i < 0 {
			i = len(edits)
			edits = append(edits, edit{at, at, nil})
		}
		edits[i].put = append(edits[i].put, put...)
	}
	if m.first != nil {
		at, ok := headPosition(bare)
		if reason = m.refuses(name, bare); reason == "" && ok {
			insert(at, m.first)
		}
	}
	if at, ok := Locate(bare); ok && m.tag != nil {
		insert(at, m.tag)
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.at - b.at })
	edits = slices.DeleteFunc(edits, func(e edit) bool { return bytes.Equal(page[e.at:e.end], e.put) })
	if len(edits) == 0 {
		return nil, reason
	}
	return edits, reason
}

// refuses says why a page is left without the first-visit snippet; "" if it is not.
func (m *markup) refuses(name string, page []byte) string {
	begin := bytes.ToLower(page[:min(prescan, len(page))])
	if i := bytes.LastIndex(begin, []byte("charset")); i >= 0 && i+len(m.first)+len(m.tag)+64 > prescan {
		return "its encoding would no longer be found"
	}
	sent := "" // by the host, as far as is known; later rules override earlier ones
	for _, rule := range m.headers {
		for header, value := range rule.Headers {
			if rule.Matches(name) && strings.EqualFold(header, "Content-Security-Policy") {
				sent = value
			}
		}
	}
	policies := append(metaPolicies(page), sent)
	if slices.ContainsFunc(policies, func(policy string) bool { return !allowsInline(policy, m.hash) }) {
		return "its Content-Security-Policy forbids inline scripts"
	}
	if script, _ := findTag(page); script["data-worker"] != "" {
		return "it has a service worker of its own"
	}
	return ""
}

// apply gives the page that edits make.
func apply(page []byte, edits []edit) []byte {
	if len(edits) == 0 {
		return page
	}
	var out []byte
	from := 0
	for _, e := range edits {
		out = append(append(out, page[from:e.at]...), e.put...)
		from = e.end
	}
	return append(out, page[from:]...)
}

// grown is how many bytes edits make a page longer.
func grown(edits []edit) (n int64) {
	for _, e := range edits {
		n += int64(len(e.put) - (e.end - e.at))
	}
	return n
}

// splice reads a file of size bytes as edits make it.
type splice struct {
	file  io.ReaderAt
	size  int64
	edits []edit
}

func (s *splice) ReadAt(p []byte, offset int64) (n int, err error) {
	from := int64(0) // of the file, what comes next
	// take reads what p has room for of the next length bytes, and passes over those before offset.
	take := func(length int64, read func(p []byte, at int64) (int, error)) {
		if skipped := min(length, offset); n == len(p) || err != nil || skipped == length {
			offset -= skipped
			return
		}
		var k int
		k, err = read(p[n:min(int64(len(p)), int64(n)+length-offset)], offset)
		n, offset = n+k, 0
	}
	file := func(length int64) {
		take(length, func(p []byte, at int64) (int, error) {
			k, err := s.file.ReadAt(p, from+at)
			if k == len(p) {
				err = nil // the file may end here
			}
			return k, err
		})
		from += length
	}
	for _, e := range s.edits {
		file(int64(e.at) - from)
		take(int64(len(e.put)), func(p []byte, at int64) (int, error) { return copy(p, e.put[at:]), nil })
		from = int64(e.end)
	}
	file(s.size - from)
	if n < len(p) && err == nil {
		err = io.EOF
	}
	return n, err
}
