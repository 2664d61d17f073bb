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
	measure("a site of 40 files", tree(10, 1), "section-000/page-0004.html")
	measure("documentation, 3,000 pages", tree(3000, 30), "section-013/page-1300.html")
	measure("a blog, one folder", tree(3000, 1), "section-000/page-1300.html")
}

// tree is a site of pages in sections, with 30 style sheets, scripts and pictures that all pages share.
func tree(pages, sections int) fstest.MapFS {
	random := rand.New(rand.NewPCG(1, 2))
	file := func() *fstest.MapFile {
		data := make([]byte, 500+random.IntN(4000))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		return &fstest.MapFile{Data: data}
	}
	site := fstest.MapFS{}
	for i := range pages {
		site[fmt.Sprintf("section-%03d/page-%04d.html", i*sections/pages, i)] = file()
	}
	for i := range 10 {
		site[fmt.Sprintf("assets/style-%d.css", i)] = file()
		site[fmt.Sprintf("assets/script-%d.js", i)] = file()
		site[fmt.Sprintf("assets/picture-%d.png", i)] = file()
	}
	return site
}

func measure(name string, site fstest.MapFS, page string) {
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
	total := zipped(packed.Manifest)
	needed := map[string]bool{}
	for _, path := range []string{page, "assets/style-3.css", "assets/script-3.js", "assets/picture-3.png"} {
		if shard, ok := manifest.ShardFor(root.Shards, path); ok {
			needed[shard.Hash.String()] = true
		}
	}
	for i, document := range packed.Shards {
		if needed[root.Shards[i].Hash.String()] {
			total += zipped(document)
		}
	}
	fmt.Printf("%-28s %7d %8d %14d %12d\n", name, len(site), len(root.Shards), total, zipped(flat(packed)))
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
