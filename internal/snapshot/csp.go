package snapshot

import (
	"bytes"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// metaPolicies gives the Content-Security-Policies that a page states itself.
func metaPolicies(page []byte) (policies []string) {
	if !bytes.Contains(bytes.ToLower(page), []byte("content-security-policy")) {
		return nil
	}
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return policies
		case html.StartTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			if atom.Lookup(name) != atom.Meta {
				continue
			}
			meta := attributesOf(z)
			if strings.EqualFold(strings.TrimSpace(meta["http-equiv"]), "content-security-policy") {
				policies = append(policies, meta["content"])
			}
		}
	}
}

// allowsInline tells whether a Content-Security-Policy, or several joined by commas, lets an inline script run that has
// this source expression (CSP Level 3, 6.7.3.2).
func allowsInline(policy, expression string) bool {
	for single := range strings.SplitSeq(policy, ",") {
		directives := map[string][]string{}
		for directive := range strings.SplitSeq(single, ";") {
			if words := strings.Fields(directive); len(words) > 0 {
				if name := strings.ToLower(words[0]); directives[name] == nil {
					directives[name] = words[:len(words):len(words)]
				}
			}
		}
		if flags := directives["sandbox"]; flags != nil && !slices.Contains(flags, "allow-scripts") {
			return false
		}
		for _, name := range []string{"script-src-elem", "script-src", "default-src"} {
			if sources := directives[name]; sources != nil {
				if !sourcesAllowInline(sources[1:], expression) {
					return false
				}
				break
			}
		}
	}
	return true
}

func sourcesAllowInline(sources []string, expression string) bool {
	unsafe, strict := false, false
	for _, source := range sources {
		lower := strings.ToLower(source)
		switch {
		case source == expression:
			return true
		case lower == "'unsafe-inline'":
			unsafe = true
		case lower == "'strict-dynamic'", strings.HasPrefix(lower, "'nonce-"), strings.HasPrefix(lower, "'sha"):
			strict = true
		}
	}
	return unsafe && !strict
}
