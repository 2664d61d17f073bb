package snapshot

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxReferences bounds the URLs that are taken from one page or style sheet.
const maxReferences = 256

// references are the URLs that a document names of what a browser loads with it, as they stand there, in their order.
type references struct {
	// base is the URL of a page's base element, relative to the page's own.
	base string
	urls []string
}

func (r *references) add(url string) {
	if url = strings.Trim(url, cssSpace); url != "" && url[0] != '#' && len(r.urls) < maxReferences {
		r.urls = append(r.urls, url)
	}
}

// pageReferences reads an HTML page: its style sheets, scripts, icons, pictures, and what it says to preload. Media and
// frames are left out: a page does not load them whole, or not at once.
func pageReferences(page []byte) (found references) {
	if bytes.IndexByte(page, 0) >= 0 {
		return found // UTF-16
	}
	z := html.NewTokenizer(bytes.NewReader(page))
	var (
		templates int  // how many template elements are open
		chosen    bool // an open picture element has named its first source, which stands for all
		style     bool // the next text is a style element's
	)
	for {
		kind := z.Next()
		switch kind {
		case html.ErrorToken:
			return found
		case html.TextToken:
			if style {
				for _, url := range styleReferences(z.Text()).urls {
					found.add(url)
				}
			}
			style = false
			continue
		case html.EndTagToken:
			switch name, _ := z.TagName(); atom.Lookup(name) {
			case atom.Template:
				templates = max(templates-1, 0)
			case atom.Picture:
				chosen = false
			}
			continue
		case html.StartTagToken, html.SelfClosingTagToken:
		default:
			continue
		}
		name, _ := z.TagName()
		element := atom.Lookup(name)
		if element == atom.Template {
			templates++
		}
		if templates > 0 {
			continue
		}
		attributes := attributesOf(z)
		switch element {
		case atom.Base:
			if found.base == "" {
				found.base = strings.TrimSpace(attributes["href"])
			}
		case atom.Link:
			if loadsLink(attributes["rel"]) {
				found.add(attributes["href"])
			}
		case atom.Script:
			if _, legacy := attributes["nomodule"]; !legacy {
				found.add(attributes["src"])
			}
		case atom.Style:
			style = kind == html.StartTagToken
		case atom.Video:
			found.add(attributes["poster"])
		case atom.Source:
			if set := attributes["srcset"]; set != "" && !chosen {
				chosen = true
				found.add(firstOfSet(set))
			}
		case atom.Img:
			switch {
			case chosen:
			case attributes["src"] != "":
				found.add(attributes["src"])
			default:
				found.add(firstOfSet(attributes["srcset"]))
			}
		}
	}
}

// attributesOf reads the attributes of the tag whose name has been read. Of equal ones, the first counts.
func attributesOf(z *html.Tokenizer) map[string]string {
	attributes := map[string]string{}
	for more := true; more; {
		var key, value []byte
		key, value, more = z.TagAttr()
		if _, repeated := attributes[string(key)]; !repeated && key != nil {
			attributes[string(key)] = string(value)
		}
	}
	return attributes
}

// loadsLink tells whether a link element's rel makes browsers load what it names.
func loadsLink(rel string) bool {
	loads := false
	for _, word := range strings.Fields(strings.ToLower(rel)) {
		switch word {
		case "alternate":
			return false
		case "stylesheet", "icon", "preload", "modulepreload":
			loads = true
		}
	}
	return loads
}

// firstOfSet gives the first URL of a srcset attribute.
func firstOfSet(set string) string {
	url, _, _ := strings.Cut(strings.TrimLeft(set, cssSpace+","), " ")
	return strings.TrimRight(url, ",")
}

// styleReferences reads a style sheet (CSS Syntax): what its @import rules and url() name. Of the sources of a font, it
// is the first that browsers of today take.
func styleReferences(sheet []byte) (found references) {
	text := string(sheet)
	begin := 0       // of the declaration or rule that is being read
	sourced := false // of its URLs, one has been taken
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case strings.HasPrefix(text[i:], "/*"):
			end := strings.Index(text[i+2:], "*/")
			if end < 0 {
				return found
			}
			i += end + 4
		case c == '"' || c == '\'':
			value, length := cssString(text[i:])
			if before := strings.TrimRight(text[begin:i], cssSpace); strings.EqualFold(before[max(0, len(before)-7):], "@import") {
				found.add(value)
			}
			i += length
		case c == 'u' || c == 'U':
			if len(text) < i+4 || !strings.EqualFold(text[i:i+4], "url(") || i > 0 && isNameByte(text[i-1]) {
				i++
				continue
			}
			value, length := cssURL(text[i+4:])
			before := strings.TrimLeft(text[begin:i], cssSpace)
			isSource := strings.EqualFold(before[:min(3, len(before))], "src")
			if !isSource || !sourced && !strings.Contains(value, ".eot") {
				found.add(value)
				sourced = isSource
			}
			i += 4 + length
		case c == '{' || c == '}' || c == ';':
			i++
			begin, sourced = i, false
		default:
			i++
		}
	}
	return found
}

const cssSpace = "\t\n\f\r "

// cssString reads the string that text begins with, and gives its length with the quotes. One with an escape is none
// that is looked for.
func cssString(text string) (value string, length int) {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case text[0]:
			if value = text[1:i]; strings.Contains(value, `\`) {
				value = ""
			}
			return value, i + 1
		case '\\':
			i++
		case '\n':
			return "", i // a bad string ends with its line
		}
	}
	return "", len(text)
}

// cssURL reads what follows "url(".
func cssURL(text string) (value string, length int) {
	rest := strings.TrimLeft(text, cssSpace)
	start := len(text) - len(rest)
	if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		value, length = cssString(rest)
		return value, start + length
	}
	end := strings.IndexByte(rest, ')')
	if end < 0 {
		return "", len(text)
	}
	if value = rest[:end]; strings.ContainsAny(value, "\\\"'(") {
		value = ""
	}
	return value, start + end
}

func isNameByte(c byte) bool {
	return c == '-' || c == '_' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}
