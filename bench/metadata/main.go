// Command metadata measures what a visitor of one page fetches to know a site: the manifest and the shards that the page
// and its files lie in, compressed as a host sends them. Beside it stands one flat JSON object of the same paths.
//
//	make bench-metadata
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"math/rand/v2"
	"testing/fstest"

	"github.com/planktos/planktos/internal/defaults"
	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/snapshot"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("metadata: ")
	fmt.Printf("%-28s %7s %8s %13s %12s\n", "site", "files", "shards", "one page, gzip", "flat, gzip")
	for _, s := range sites {
		m := measure(s.files, s.page)
		fmt.Printf("%-28s %7d %8d %14d %12d\n", s.name, len(s.files), m.shards, m.onePage, m.flat)
	}
}

// sites are what is measured; limit is the most that a visitor of the page may fetch, in bytes of gzip.
var sites = []struct {
	name  string
	files fstest.MapFS
	page  string
	limit int
}{
	{"a site of 40 files", tree(10, 1), "section-000/page-0004.html", 4 << 10},
	{"documentation, 3,000 pages", tree(3000, 30), "section-013/page-1300.html", 24 << 10},
	{"a blog, one folder", tree(3000, 1), "section-000/page-1300.html", 24 << 10},
}

// tree is a site of pages in sections, with 30 style sheets, scripts and pictures that all pages share. Each page loads
// nine of them and, of a larger site, a picture that lies beside every fifth.
func tree(pages, sections int) fstest.MapFS {
	random := rand.New(rand.NewPCG(1, 2))
	file := func() *fstest.MapFile {
		data := make([]byte, 500+random.IntN(4000))
		for i := range data {
			data[i] = '!' + byte(random.UintN('<'-'!')) // text without tags
		}
		return &fstest.MapFile{Data: data}
	}
	site := fstest.MapFS{}
	for i := range pages {
		section := fmt.Sprintf("section-%03d", i*sections/pages)
		page := file()
		for k := range 3 {
			n := (i + k) % 10
			page.Data = fmt.Appendf(page.Data, "<link rel=stylesheet href=/assets/style-%d.css>", n)
			page.Data = fmt.Appendf(page.Data, "<script src=/assets/script-%d.js></script><img src=/assets/picture-%[1]d.png>", n)
		}
		site[fmt.Sprintf("%s/page-%04d.html", section, i)] = page
		if pages < 100 {
			continue
		}
		picture := fmt.Sprintf("figure-%04d.png", i-i%5)
		page.Data = fmt.Appendf(page.Data, "<img src=%s>", picture)
		if i%5 == 0 {
			site[section+"/"+picture] = file()
		}
	}
	for i := range 10 {
		site[fmt.Sprintf("assets/style-%d.css", i)] = file()
		site[fmt.Sprintf("assets/script-%d.js", i)] = file()
		site[fmt.Sprintf("assets/picture-%d.png", i)] = file()
	}
	return site
}

// measured are the sizes, in bytes of gzip, of what a visitor of one page fetches and of the flat form.
type measured struct{ shards, onePage, flat int }

func measure(site fstest.MapFS, page string) measured {
	packed, err := snapshot.Build(context.Background(), site, &snapshot.Options{
		Base:     "/",
		Trackers: defaults.Trackers(),
		ICE:      []manifest.ICEServer{{URLs: defaults.STUN()}},
		Runtime:  snapshot.Runtime{Worker: []byte("w"), Install: []byte("i"), Engine: []byte("e")},
	})
	if err != nil {
		log.Fatal(err)
	}
	root, err := manifest.Parse(packed.Manifest)
	if err != nil {
		log.Fatal(err)
	}
	m := measured{len(root.Shards), zipped(packed.Manifest), zipped(flat(packed))}
	needed := map[string]bool{}
	for _, path := range []string{page, "assets/style-3.css", "assets/script-3.js", "assets/picture-3.png"} {
		if shard, ok := manifest.ShardFor(root.Shards, path); ok {
			needed[shard.Hash.String()] = true
		}
	}
	for i, document := range packed.Shards {
		if needed[root.Shards[i].Hash.String()] {
			m.onePage += zipped(document)
		}
	}
	return m
}

// flat is the plain form of the same knowledge: {path: {hash, size}}.
func flat(packed *snapshot.Snapshot) []byte {
	type entry struct {
		Hash string `json:"hash"`
		Size int64  `json:"size"`
	}
	files := maps.Collect(func(yield func(string, entry) bool) {
		for _, f := range packed.Files {
			if !yield(f.Path, entry{f.Hash.String(), f.Size}) {
				return
			}
		}
	})
	document, err := json.Marshal(files)
	if err != nil {
		log.Fatal(err)
	}
	return document
}

func zipped(data []byte) int {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	_, _ = w.Write(data)
	_ = w.Close()
	return out.Len()
}
