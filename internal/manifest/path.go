package manifest

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ValidPath tells whether path may name a file of a site. Readers skip the rows of others.
func ValidPath(path string) bool {
	if Reserved(path) || !plain(path) {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// Reserved tells whether path belongs to Planktos rather than to the site: the folder planktos, and the worker.
func Reserved(path string) bool {
	return path == "planktos" || strings.HasPrefix(path, "planktos/") || path == "planktos.sw.min.js"
}

// plain tells whether text is UTF-8 without control characters (Unicode's Cc) and backslashes.
func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r == '\\' || unicode.IsControl(r) })
}

// RequestPath gives the path that a request names, from the escaped path of its URL relative to the site's root. It is
// decoded once, segment by segment; a trailing slash is kept, and the root itself is "". It is false for what can name
// no file.
func RequestPath(escaped string) (path string, ok bool) {
	segments := strings.Split(escaped, "/")
	for i, segment := range segments {
		decoded, err := url.PathUnescape(segment)
		switch {
		case err != nil, !plain(decoded), strings.Contains(decoded, "/"), decoded == ".", decoded == "..",
			decoded == "" && i < len(segments)-1:
			return "", false
		}
		segments[i] = decoded
	}
	return strings.Join(segments, "/"), true
}

// EncodePath gives a path as a URL relative to the site's root, escaped as encodeURIComponent does, segment by segment.
func EncodePath(path string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("/-_.!~*'()", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
	}
	return b.String()
}

// Candidates gives the files that a static host may answer a request path with, best first. "a" answered by
// "a/index.html" is what a host redirects to "a/".
func Candidates(path string) []string {
	name := strings.TrimSuffix(path, "/")
	switch {
	case name == "":
		return []string{"index.html"}
	case name == path:
		return []string{name, name + ".html", name + "/index.html"}
	default:
		return []string{name + "/index.html", name + ".html", name}
	}
}
