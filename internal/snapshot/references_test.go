package snapshot

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/planktos/planktos/internal/manifest"
)

func TestPageReferences(t *testing.T) {
	for _, test := range []struct{ name, page, want string }{
		{"links", `<link rel="Icon stylesheet" href=a.css><link rel=preload href=b><link rel=modulepreload href=c.js>`, "a.css b c.js"},
		{"links that load nothing", `<link rel=next href=a><link rel="alternate stylesheet" href=b><link rel=canonical href=c><link href=d>`, ""},
		{"scripts", `<script src=a.js></script><script nomodule src=b.js></script><script type=module src=" c.js
"></script><script>"<img src=d>"</script>`, "a.js c.js"},
		{"pictures", `<IMG SRC=a><img srcset="b 1x, c 2x"><img src=d srcset="e 2x"><img src=""><img>`, "a b d"},
		{"a picture element", `<picture><source srcset="a.avif, b.avif 2x"><source srcset=c.webp><img src=d.jpg></picture><img src=e>`, "a.avif e"},
		{"media", `<video poster=a src=b><source src=c></video><audio src=d></audio><iframe src=e></iframe>`, "a"},
		{"comments and templates", `<!-- <img src=a> --><template><img src=b><template></template><img src=c></template><img src=d>`, "d"},
		{"style elements", `<style>@import "a.css"; b { background: url(b.png) }</style><p>url(c)</p>`, "a.css b.png"},
		{"the first of equal attributes", `<img src=a src=b>`, "a"},
		{"entities", `<img src="a&amp;b">`, "a&b"},
		{"fragments alone", `<img src="#a">`, ""},
		{"UTF-16", "<\x00i\x00m\x00g\x00 src=a>", ""},
		{"what does not end", `<img src=a><img src="b`, "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(pageReferences([]byte(test.page)).urls, " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if got := pageReferences([]byte("<base href=a/><base href=b/>")).base; got != "a/" {
		t.Errorf("base: got %q", got)
	}
	if got := len(pageReferences([]byte(strings.Repeat("<img src=a>", 2*maxReferences))).urls); got != maxReferences {
		t.Errorf("got %d references, want %d", got, maxReferences)
	}
}

func TestStyleReferences(t *testing.T) {
	for _, test := range []struct{ name, sheet, want string }{
		{"imports", `@import 'a.css'; @IMPORT "b.css" print;@import url(c.css);@import url( "d.css" ) screen;`, "a.css b.css c.css d.css"},
		{"strings", `a::after { content: "e.png" } b { content: "\"url(f.png)" }`, ""},
		{"urls", `a{background:URL(a.png),url('b.png')}b{mask:url(c.svg#x)}`, "a.png b.png c.svg#x"},
		{"comments", `/* url(a) */ b { background: url(b) } /* @import "c"; url(d)`, "b"},
		{"fonts", `@font-face { src: url(a.eot); src: url(a.eot?x), url(a.woff2) format("woff2"), url(a.woff) } @font-face{src:local(b),url(b.woff2)}`,
			"a.woff2 b.woff2"},
		{"no url", `a { curl(b); my-url(c); x: url }`, ""},
		{"what does not end", `a { background: url(a.png`, ""},
		{"a bad string", "a { content: \"x\n} b { background: url(b.png) }", "b.png"},
		{"escapes", `a { background: url(a\)b.png) url("c\.png") }`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(styleReferences([]byte(test.sheet)).urls, " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// loadsOf names what the rows of a packed site say of its pages.
func loadsOf(rows []manifest.File) map[string]string {
	loads := map[string]string{}
	for _, row := range rows {
		var names []string
		for _, at := range row.Loads {
			names = append(names, rows[at].Path)
		}
		if names != nil {
			loads[row.Path] = strings.Join(names, " ")
		}
	}
	return loads
}

func TestLoads(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	fsys := fstest.MapFS{
		"index.html": file(`<link rel=stylesheet href="css/a.css?v=1"><link rel=stylesheet href=css/a.css>
			<img src="/docs/%C3%BC%20b.png"><img src=/other.png><img src=https://elsewhere.example/x.png><img src=//h/x.png>
			<img src=empty.png><img src=missing.png><img src="%zz"><img src="../up.png"><img src=index.html><img src=data:,x>`),
		"css/a.css":  file(`@import "b.css"; a { background: url(../x.png) }`),
		"css/b.css":  file(`a { background: url(deep.png) }`),
		"deep.png":   file("1"),
		"x.png":      file("2"),
		"ü b.png":    file("3"),
		"empty.png":  file(""),
		"based.html": file(`<base href=/docs/css/><img src=../x.png>`),
		"none.html":  file("none"),
		"other.png":  file("4"),
	}
	s := build(t, fsys, &Options{Base: "/docs/"})
	want := map[string]string{"index.html": "css/a.css css/b.css x.png ü b.png", "based.html": "x.png"}
	if got := loadsOf(s.Root.Files); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// What is packed of it does not depend on what names what.
	if strings.Contains(string(s.Manifest), ",[]]") {
		t.Errorf("an empty list is written: %s", s.Manifest)
	}
}

func TestLoadsOfShards(t *testing.T) {
	fsys := fstest.MapFS{"shared.css": {Data: []byte("p {}")}}
	for i := range 400 {
		folder := fmt.Sprintf("chapter%02d/", i/20)
		page := fmt.Sprintf(`<link rel=stylesheet href=/shared.css><img src=%d.png>`, i)
		fsys[fmt.Sprintf("%s%d.html", folder, i)] = &fstest.MapFile{Data: []byte(page)}
		fsys[fmt.Sprintf("%s%d.png", folder, i)] = &fstest.MapFile{Data: []byte{byte(i), byte(i >> 8), 1}}
	}
	s := build(t, fsys, nil)
	if len(s.Shards) < 4 {
		t.Fatalf("%d shards", len(s.Shards))
	}
	pages := 0
	for i, document := range s.Shards {
		rows, err := manifest.ParseShard(document, s.Root.Torrent)
		if err != nil {
			t.Fatal(err)
		}
		for path, loads := range loadsOf(rows) {
			pages++
			want := strings.TrimSuffix(path, "html") + "png"
			if slices.ContainsFunc(rows, func(f manifest.File) bool { return f.Path == "shared.css" }) {
				want = "shared.css " + want
			}
			if loads != want {
				t.Errorf("shard %d, %s: got %q, want %q", i, path, loads, want)
			}
		}
	}
	if pages != 400 {
		t.Errorf("%d pages load something, want 400", pages)
	}
}

// TestSchema holds what is packed to docs/manifest.schema.json.
func TestSchema(t *testing.T) {
	fsys := fstest.MapFS{"index.html": {Data: []byte("<img src=a.png>")}, "a.png": {Data: []byte("a")}, "empty": {}}
	o := &Options{
		Policy: manifest.Policy{Mode: "ask", Prefer: "offload"}, Trackers: []string{"/planktos/tracker"},
		ICE:      []manifest.ICEServer{{URLs: []string{"turn:t.example"}, Username: "u", Credential: "c"}},
		WebSeeds: []string{"https://h.example/"},
		Headers:  []manifest.HeaderRule{{Pattern: "*", Headers: map[string]string{"X-A": "b"}}},
	}
	small := build(t, fsys, o)
	for i := range 200 {
		fsys[fmt.Sprintf("%d.html", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "<img src=a.png>%d", i)}
	}
	large := build(t, fsys, o)
	for schema, documents := range map[string][][]byte{
		"":                      {small.Manifest, large.Manifest},
		"#/$defs/shardDocument": large.Shards,
	} {
		compiled, err := jsonschema.NewCompiler().Compile("../../docs/manifest.schema.json" + schema)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range documents {
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
			if err == nil {
				err = compiled.Validate(value)
			}
			if err != nil {
				t.Errorf("%v: %.300s", err, document)
			}
		}
	}
}

func TestLoadsAreBounded(t *testing.T) {
	fsys, page := fstest.MapFS{}, ""
	for i := range 100 {
		name := fmt.Sprintf("%03d.png", i)
		fsys[name] = &fstest.MapFile{Data: []byte(name)}
		page += "<img src=" + name + ">"
	}
	fsys["index.html"] = &fstest.MapFile{Data: []byte(page)}
	row, _ := manifest.Lookup(build(t, fsys, nil).Root.Files, "index.html")
	if len(row.Loads) != maxLoads || row.Loads[0] != 0 || row.Loads[maxLoads-1] != maxLoads-1 {
		t.Errorf("got %v", row.Loads)
	}
}

func FuzzReferences(f *testing.F) {
	f.Add([]byte(`<base href=a><link rel=stylesheet href=a.css><style>@import "a";url(</style><img srcset="a 1x">`))
	f.Add([]byte(`@import 'a'; @font-face { src: url("a\"b") , url( c ) } /* `))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, found := range []references{pageReferences(data), styleReferences(data)} {
			if len(found.urls) > maxReferences {
				t.Errorf("%d references", len(found.urls))
			}
			for name := range found.paths("/docs/", "a/b.html") {
				if strings.HasPrefix(name, "/") {
					t.Errorf("path %q", name)
				}
			}
		}
	})
}
