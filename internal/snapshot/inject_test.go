package snapshot

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// inject gives a page with the script tag of a site with this base.
func inject(page []byte, base string) []byte {
	edits, _ := newMarkup(base, &Options{Tag: true}).edits("page.html", page)
	return apply(page, edits)
}

func TestInject(t *testing.T) {
	const mark = "¦" // where the tag goes
	for name, page := range map[string]string{
		"head":                   "<!doctype html><html><head>¦<title>x</title></head><body>",
		"head with attributes":   "<html><HEAD\n prefix=\"a>b\" x='>'>¦<meta charset=utf-8>",
		"header is no head":      "<!doctype html>¦<header>x</header><head>",
		"html alone":             "<!DOCTYPE html>\n<html lang=en>¦\n<title>x</title>",
		"doctype alone":          "<!doctype html>¦<p>x",
		"nothing":                "¦<p>x</p>",
		"empty":                  "¦",
		"text":                   "¦just text <head>",
		"comment":                "<!-- <head> --><html><!-- > <head> --><head>¦<p>",
		"comment before doctype": "<!-- x -->\n<!doctype html>¦\n<p>",
		"comment alone":          "¦<!-- x -->",
		"unfinished comment":     "¦<!-- <head>",
		"unfinished head":        "<html>¦<head class=",
		"head in a script":       "¦<script>'<head>'</script><head>",
		"head in a title":        "<html>¦<title><head></title>",
		"byte order mark":        "\ufeff<!doctype html><head>¦<p>",
		"mark alone":             "\ufeff¦",
		"legacy doctype":         `<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0//EN" "x.dtd" >¦`,
		"not UTF-8":              "<head>¦<title>\xe4\xf6",
		"a comment about it":     "<head>¦<!-- <script src=planktos/install.js></script> -->",
		"another script":         `<head>¦<script src="/myplanktos/install.js"></script><script data-src="planktos/install.js"></script>`,
		"a script's text":        `<head>¦<script>"<script src='planktos/install.js'>"</script>`,
	} {
		before, after, _ := strings.Cut(page, mark)
		want := before + `<!--planktos--><script src="/x/planktos/install.js"></script><!--/planktos-->` + after
		got := inject([]byte(before+after), "/x/")
		if string(got) != want {
			t.Errorf("%s: got  %q\nwant %q", name, got, want)
		}
		if again := inject(got, "/x/"); !bytes.Equal(again, got) {
			t.Errorf("%s: injected twice: %q", name, again)
		}
		if back := Strip(got); string(back) != before+after {
			t.Errorf("%s: stripped: %q", name, back)
		}
	}
	for name, page := range map[string]string{
		"tagged":              `<head><script src="/planktos/install.js"></script>`,
		"tagged at the end":   "<head></head><body>" + strings.Repeat("<p>x", 10000) + "<SCRIPT defer SRC=planktos/install.js></SCRIPT>",
		"tagged with a query": "<script src='https://h.example/planktos/install.js?v=1#x'></script>",
		"tagged elsewhere":    `<!--planktos--><script src="/old/planktos/install.js"></script><!--/planktos-->`,
		"UTF-16 LE":           "\xff\xfe<\x00h\x00",
		"UTF-16 BE":           "\xfe\xff\x00<\x00h",
		"UTF-16 without mark": "<\x00h\x00",
	} {
		if got := inject([]byte(page), "/"); string(got) != page {
			t.Errorf("%s: got %.200q", name, got)
		}
	}
}

// TestInjectVectors holds Locate to the cases that the browser's twin is held to.
func TestInjectVectors(t *testing.T) {
	data, err := os.ReadFile("../../testdata/vectors/inject.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ Name, Page string }
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 50 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		// One character a byte; | marks where the tag goes.
		page := make([]byte, 0, len(c.Page))
		want, marked := 0, false
		for _, r := range c.Page {
			if r == '|' {
				want, marked = len(page), true
				continue
			}
			page = append(page, byte(r))
		}
		at, ok := Locate(page)
		if ok != marked || at != want {
			t.Errorf("%s: got %d, %t, want %d, %t: %q", c.Name, at, ok, want, marked, c.Page)
		}
	}
}

func FuzzInject(f *testing.F) {
	f.Add([]byte("<!doctype html><html><head><title>x</title>"), true)
	f.Add([]byte("\ufeff<!-- <head> --><html ><script>'<head>'</script>"), false)
	f.Add([]byte("<head><script src=planktos/install.js>"), true)
	f.Add([]byte(firstBegin+"<html><head>"+firstEnd[1:]), true)
	f.Add([]byte(firstBegin+"<html><head><p>"), true)
	f.Add([]byte("<svg><![CDATA[<head>]]><plaintext>"), false)
	f.Add([]byte(firstBegin+"<head>"+firstEnd+"<html>"+firstBegin+"old"+firstEnd+"<head>"+firstEnd), true)
	f.Fuzz(func(t *testing.T, page []byte, first bool) {
		m := newMarkup("/", &Options{Tag: true, FirstVisit: first, Runtime: Runtime{First: []byte("first()")}})
		edits, _ := m.edits("page.html", page)
		got := apply(page, edits)
		if size := int64(len(page)) + grown(edits); size != int64(len(got)) {
			t.Errorf("%d bytes, want %d", len(got), size)
		}
		spliced := make([]byte, len(got))
		if _, err := (&splice{bytes.NewReader(page), int64(len(page)), edits}).ReadAt(spliced, 0); err != nil || !bytes.Equal(spliced, got) {
			t.Errorf("spliced: %q, %v, want %q", spliced, err, got)
		}
		// Taking blocks out can make others of what was around them; ours cannot.
		if firstBlocks(page) != nil || injectedTag.Match(page) {
			return
		}
		if again, _ := m.edits("page.html", got); again != nil {
			t.Errorf("edited twice: %q", apply(got, again))
		}
		if back := Strip(got); !bytes.Equal(back, page) {
			t.Errorf("stripped: %q", back)
		}
	})
}
