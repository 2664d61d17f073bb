package snapshot

import (
	"bytes"
	"regexp"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// The tag stands between markers, by which it is known as ours and taken out again.
const (
	tagBegin = `<!--planktos--><script src="`
	tagEnd   = `planktos/install.js"></script><!--/planktos-->`
)

// tag is what a page of a site with this base gets.
func tag(base string) []byte { return []byte(tagBegin + base + tagEnd) }

var injectedTag = regexp.MustCompile(regexp.QuoteMeta(tagBegin) + `[^"<>]*` + regexp.QuoteMeta(tagEnd))

// Locate finds where in an HTML page the script tag goes: after the start tag of its head, or else of html, or else
// after the doctype, or else at the start. It is false for a page that is to be left alone: one that carries the tag
// already, or is not in an encoding that contains ASCII (UTF-16). browser/src/shared/html.ts does the same to a page as
// it streams by; both are held to testdata/vectors/inject.json.
func Locate(page []byte) (at int, ok bool) {
	if _, found := findTag(page); found {
		return 0, false
	}
	return headPosition(page)
}

// headPosition finds where the head of a page begins, or would. It is false for a page that is in UTF-16.
func headPosition(page []byte) (at int, ok bool) {
	if bytes.IndexByte(page, 0) >= 0 || bytes.HasPrefix(page, []byte("\xff\xfe")) || bytes.HasPrefix(page, []byte("\xfe\xff")) {
		return 0, false
	}
	const bom = "\ufeff"
	if bytes.HasPrefix(page, []byte(bom)) {
		at = len(bom)
	}
	z := html.NewTokenizer(bytes.NewReader(page[at:]))
	for offset := at; ; {
		kind := z.Next()
		raw := len(z.Raw())
		offset += raw
		switch kind {
		case html.CommentToken:
		case html.DoctypeToken:
			if bytes.HasSuffix(z.Raw(), []byte(">")) {
				at = offset
			}
		case html.TextToken:
			// Only white space may stand before the head; other text begins the body.
			if len(bytes.Trim(z.Raw(), "\t\n\f\r ")) > 0 {
				return at, true
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			switch name, _ := z.TagName(); atom.Lookup(name) {
			case atom.Html:
				at = offset
			case atom.Head:
				return offset, true
			default:
				return at, true
			}
		default:
			return at, true
		}
	}
}

// findTag gives the attributes of the page's script whose URL ends in planktos/install.js, if there is one.
func findTag(page []byte) (attributes map[string]string, found bool) {
	if !bytes.Contains(page, []byte("install.js")) {
		return nil, false
	}
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return nil, false
		case html.StartTagToken, html.SelfClosingTagToken:
			if name, _ := z.TagName(); atom.Lookup(name) != atom.Script {
				continue
			}
			attributes := attributesOf(z)
			src, _, _ := strings.Cut(strings.TrimSpace(attributes["src"]), "?")
			src, _, _ = strings.Cut(src, "#")
			if src == "planktos/install.js" || strings.HasSuffix(src, "/planktos/install.js") {
				return attributes, true
			}
		}
	}
}

// Strip takes out what packing put into a page, and nothing else.
func Strip(page []byte) []byte {
	page = injectedTag.ReplaceAll(page, nil)
	return apply(page, firstBlocks(page))
}
