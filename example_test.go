package planktos_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing/fstest"

	"github.com/planktos/planktos"
)

// A folder is packed, and the result written into it: upload it to any static host.
func ExamplePackDir() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "site")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	page := []byte(`<!doctype html><script src="/planktos/install.js"></script>Hello, plankton`)
	if err := os.WriteFile(filepath.Join(dir, "index.html"), page, 0o644); err != nil {
		panic(err)
	}

	site, err := planktos.PackDir(ctx, dir, &planktos.Options{
		Trackers: []string{"wss://tracker.example/"},
		ICE:      []planktos.ICEServer{{URLs: []string{"stun:stun.example:3478"}}},
	})
	if err != nil {
		panic(err)
	}
	defer site.Close()
	if _, err := site.Publish(ctx, nil); err != nil {
		panic(err)
	}

	for _, party := range site.Describe().ThirdParties {
		fmt.Println(party.Role, party.Host)
	}
	_, err = os.Stat(filepath.Join(dir, "planktos/manifest.json"))
	fmt.Println(err)
	// Output:
	// stun stun.example:3478
	// tracker tracker.example
	// <nil>
}

// Anything that is an fs.FS can be packed: an embedded folder, for one.
func ExamplePack() {
	files := fstest.MapFS{
		"index.html":     {Data: []byte("<!doctype html>Hello, plankton")},
		"drafts/new.txt": {Data: []byte("not yet")},
	}
	site, err := planktos.Pack(context.Background(), files, &planktos.Options{Exclude: []string{"drafts"}})
	if err != nil {
		panic(err)
	}
	d := site.Describe()
	fmt.Println(d.Files, "file,", d.Bytes, "bytes, without", d.LeftOut[0].Path)
	// Output: 1 file, 30 bytes, without drafts
}

// A Go web server mounts a site with everything its visitors need to share it.
func ExampleHandler() {
	site := &planktos.Handler{
		FS:      fstest.MapFS{"index.html": {Data: []byte("<!doctype html>Hello, plankton")}},
		Options: &planktos.Options{Base: "/docs/", TagHTML: true},
	}
	defer site.Close()
	mux := http.NewServeMux()
	mux.Handle("/docs/", site)
	server := httptest.NewServer(mux)
	defer server.Close()

	response, err := http.Get(server.URL + "/docs/")
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		panic(err)
	}
	fmt.Println(strings.Contains(string(page), `<script src="/docs/planktos/install.js"></script>`))
	// Output: true
}
