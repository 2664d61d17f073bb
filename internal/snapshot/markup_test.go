package snapshot

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/planktos/planktos/internal/manifest"
)

const snippet = `<!--planktos:first--><script data-planktos="/x/">first()</script><!--/planktos:first-->`

func firstVisit(rules ...manifest.HeaderRule) *Options {
	return &Options{Base: "/x/", FirstVisit: true, Runtime: Runtime{First: []byte("first()")}, Headers: rules}
}

func TestFirstVisit(t *testing.T) {
	const old = `<!--planktos:first--><script>an older
version</script><!--/planktos:first-->`
	const tagged = `<!--planktos--><script src="/x/planktos/install.js"></script><!--/planktos-->`
	for _, test := range []struct{ name, page, want string }{
		{"head", "<html><head><title>", "<html><head>" + snippet + "<title>"},
		{"before the tag", "<head>" + tagged, "<head>" + snippet + tagged},
		{"a tag by hand", "<head><script src=/x/planktos/install.js></script>", "<head>" + snippet + "<script src=/x/planktos/install.js></script>"},
		{"replaced", "<head>" + old + "<title>", "<head>" + snippet + "<title>"},
		{"replaced where it lay elsewhere", "<head><title>" + old + "</title>", "<head>" + snippet + "<title></title>"},
		{"replaced by one", old + "<head>" + old, "<head>" + snippet},
		{"a begin without its end", "<!--planktos:first--><p>" + old + "<p>", snippet + "<!--planktos:first--><p><p>"},
		{"an end without its begin", "<head><!--/planktos:first-->", "<head>" + snippet + "<!--/planktos:first-->"},
		{"without a head", "<p>", snippet + "<p>"},
		{"there already", "<head>" + snippet, "<head>" + snippet},
		{"UTF-16", "<\x00h\x00", "<\x00h\x00"},
	} {
		edits, reason := newMarkup("/x/", firstVisit()).edits("a.html", []byte(test.page))
		if got := string(apply([]byte(test.page), edits)); got != test.want || reason != "" {
			t.Errorf("%s: got %q, want %q (%s)", test.name, got, test.want, reason)
		}
		if (edits == nil) != (test.page == test.want) {
			t.Errorf("%s: edits %v", test.name, edits)
		}
	}
	both := firstVisit()
	both.Tag = true
	page := []byte("<head>" + old + "<title>")
	edits, _ := newMarkup("/x/", both).edits("a.html", page)
	if got := string(apply(page, edits)); got != "<head>"+snippet+tagged+"<title>" {
		t.Errorf("with the tag: %q", got)
	}
	edits, _ = newMarkup("/x/", &Options{}).edits("a.html", page)
	if got := string(apply(page, edits)); got != "<head><title>" {
		t.Errorf("without the option: %q", got)
	}
}

func TestFirstVisitRefused(t *testing.T) {
	hash := SourceExpression([]byte("first()"))
	if hash != "'sha256-fDYmfWjvur9AxjhDbjHe6RvExc05MbXhhrbgz2vvy/A='" {
		t.Errorf("source expression %s", hash)
	}
	csp := func(policy string) string {
		return `<head><meta http-equiv="Content-Security-Policy" content="` + policy + `">`
	}
	for _, test := range []struct {
		name, page string
		refused    bool
	}{
		{"no inline scripts", csp("script-src 'self'"), true},
		{"inline scripts", csp("script-src 'self' 'unsafe-inline'"), false},
		{"inline scripts, but for a nonce", csp("script-src 'unsafe-inline' 'nonce-abc'"), true},
		{"inline scripts, but for a hash", csp("script-src 'unsafe-inline' 'SHA256-abc='"), true},
		{"strict-dynamic", csp("script-src 'unsafe-inline' 'strict-dynamic'"), true},
		{"its hash", csp("script-src 'self' " + hash), false},
		{"nothing", csp("default-src 'none'"), true},
		{"script-src-elem goes first", csp("default-src 'none'; SCRIPT-SRC-ELEM 'unsafe-inline'"), false},
		{"the first of equal directives", csp("script-src 'self'; script-src 'unsafe-inline'"), true},
		{"other directives", csp("img-src 'none'; ; frame-src 'none'"), false},
		{"a policy in a comment", "<head><!--" + csp("script-src 'self'") + "-->", false},
		{"another meta", `<head><meta name="content-security-policy" content="script-src 'self'">`, false},
		{"the encoding stated first", "<head><meta charset=utf-8>", false},
		{"the encoding stated late", "<head>" + strings.Repeat(" ", 900) + "<meta charset=utf-8>", true},
		{"a worker of its own", "<script data-worker=/sw.js src=/x/planktos/install.js></script>", true},
	} {
		edits, reason := newMarkup("/x/", firstVisit()).edits("a.html", []byte(test.page))
		if (reason != "") != test.refused || (edits == nil) != test.refused {
			t.Errorf("%s: edits %v, reason %q", test.name, edits, reason)
		}
	}
	rules := []manifest.HeaderRule{
		{Pattern: "docs/*", Headers: map[string]string{"content-security-policy": "script-src 'self', default-src *"}},
		{Pattern: "docs/b.html", Headers: map[string]string{"Content-Security-Policy": "sandbox allow-scripts, img-src *"}},
		{Pattern: "docs/c.html", Headers: map[string]string{"Content-Security-Policy": "sandbox"}},
	}
	for name, refused := range map[string]bool{"a.html": false, "docs/a.html": true, "docs/b.html": false, "docs/c.html": true} {
		if _, reason := newMarkup("/x/", firstVisit(rules...)).edits(name, []byte("<head>")); (reason != "") != refused {
			t.Errorf("%s: reason %q", name, reason)
		}
	}
	s := build(t, site(map[string]string{"index.html": csp("script-src 'self'"), "a.js": "1"}), firstVisit())
	if len(s.LeftOut) != 1 || s.LeftOut[0].Path != "index.html" || !strings.Contains(s.LeftOut[0].Reason, "forbids inline scripts") {
		t.Errorf("left out %v", s.LeftOut)
	}
}

// TestSplice reads every range of a page that was edited in several places.
func TestSplice(t *testing.T) {
	page := []byte("0123456789")
	for _, edits := range [][]edit{
		nil,
		{{0, 0, []byte("ab")}},
		{{0, 3, nil}, {5, 5, []byte("xyz")}, {7, 10, []byte("end")}},
		{{10, 10, []byte("after")}},
		{{0, 10, nil}},
	} {
		want := apply(page, edits)
		s := &splice{bytes.NewReader(page), int64(len(page)), edits}
		for from := range len(want) + 1 {
			for n := range len(want) + 2 {
				got := make([]byte, n)
				k, err := s.ReadAt(got, int64(from))
				if end := min(from+n, len(want)); string(got[:k]) != string(want[from:end]) || (k < n) != (err == io.EOF) {
					t.Fatalf("%v: %d bytes from %d: got %q, %v", edits, n, from, got[:k], err)
				}
			}
		}
	}
}
