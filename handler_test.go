package planktos

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/coder/websocket"

	"github.com/planktos/planktos/internal/manifest"
)

var text = strings.Repeat("plankton drifts ", 200)

// tree is a site with a bit of everything.
func tree() fstest.MapFS {
	files := fstest.MapFS{}
	for name, data := range map[string]string{
		"index.html":               "<!doctype html><html><head><title>a</title></head></html>",
		"long.html":                "<!doctype html><html><head></head><body>" + text + "</body></html>",
		"docs/index.html":          "<!doctype html>docs",
		"docs/a b?.txt":            "odd",
		"data.bin":                 text,
		"text.txt":                 text,
		"empty.txt":                "",
		"__proto__":                "proto",
		".env":                     "SECRET=1",
		".git/config":              "[core]",
		"bare/only.txt":            "no index here",
		".well-known/security.txt": "Contact: mailto:a@b.example",
		"planktos/stray":           "left from another time",
		"planktos.json":            "{}",
		"docs/colon: c/index.html": "colon",
		"404.html":                 "<!doctype html>lost " + text,
		"copy-of-text.txt":         text,
	} {
		files[name] = &fstest.MapFile{Data: []byte(data), ModTime: time.Unix(1_700_000_000, 0), Mode: 0o644}
	}
	return files
}

func handlerFor(t *testing.T, files fstest.MapFS, o *Options) *Handler {
	t.Helper()
	h := &Handler{FS: files, Options: o}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// ask sends one request; headers are pairs.
func ask(h http.Handler, method, url string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandlerStatus(t *testing.T) {
	h := handlerFor(t, tree(), nil)
	for _, test := range []struct {
		method, url string
		status      int
		location    string
		body        string
	}{
		{"GET", "/", 200, "", "<title>a</title>"},
		{"GET", "/?query=1", 200, "", "<title>a</title>"},
		{"HEAD", "/", 200, "", ""},
		{"GET", "/index.html", 200, "", "<title>a</title>"},
		{"GET", "/docs", 301, "./docs/", ""},
		{"GET", "/docs?a=b&c", 301, "./docs/?a=b&c", ""},
		{"GET", "/docs/", 200, "", "docs"},
		{"GET", "/docs/colon:%20c", 301, "./colon%3A%20c/", ""},
		{"GET", "/docs/a%20b%3F.txt", 200, "", "odd"},
		{"GET", "/__proto__", 200, "", "proto"},
		{"GET", "/constructor", 404, "", "lost"},
		{"GET", "/empty.txt", 200, "", ""},
		{"GET", "/.well-known/security.txt", 200, "", "Contact"},
		{"GET", "/bare", 404, "", "lost"},
		{"GET", "/bare/", 404, "", "lost"},
		{"HEAD", "/none", 404, "", ""},
		{"GET", "/.env", 404, "", "lost"},
		{"GET", "/.git/config", 404, "", "lost"},
		{"GET", "/planktos.json", 404, "", "lost"},
		{"GET", "/planktos/stray", 404, "", "lost"},
		{"GET", "/planktos/", 404, "", "lost"},
		{"GET", "/docs%2findex.html", 404, "", "lost"},
		{"GET", "/docs/%2e%2e/index.html", 404, "", "lost"},
		{"GET", "/..%2f..%2fetc/passwd", 404, "", "lost"},
		{"GET", "//docs/", 404, "", "lost"},
		{"GET", "/docs//index.html", 404, "", "lost"},
		{"GET", "/docs%5cindex.html", 404, "", "lost"},
		{"GET", "/index.html%00", 404, "", "lost"},
		{"GET", "/index.html/", 404, "", "lost"},
		{"GET", "/%ff", 404, "", "lost"},
		{"POST", "/", 405, "", ""},
		{"OPTIONS", "/", 405, "", ""},
		{"DELETE", "/planktos/manifest.json", 405, "", ""},
		{"GET", "/planktos/manifest.json", 200, "", `"format":1`},
		{"GET", "/planktos/install.js", 200, "", ""},
		{"GET", "/planktos/engine.min.js", 200, "", ""},
		{"GET", "/planktos.sw.min.js", 200, "", ""},
		{"GET", "/planktos/root.torrent", 200, "", "8:announce"},
		{"GET", "/planktos/tracker", 426, "", ""},
		{"GET", "/planktos/.pad/5", 200, "", "\x00\x00\x00\x00\x00"},
		{"GET", "/planktos/.pad/0", 200, "", ""},
		{"GET", "/planktos/.pad/16777216", 200, "", "\x00"},
		{"GET", "/planktos/.pad/16777217", 404, "", ""},
		{"GET", "/planktos/.pad/05", 404, "", ""},
		{"GET", "/planktos/.pad/-1", 404, "", ""},
		{"GET", "/planktos/.pad/99999999999999999999", 404, "", ""},
	} {
		t.Run(test.method+" "+test.url, func(t *testing.T) {
			w := ask(h, test.method, test.url)
			if w.Code != test.status {
				t.Errorf("status %d, want %d", w.Code, test.status)
			}
			if got := w.Header().Get("Location"); got != test.location {
				t.Errorf("Location %q, want %q", got, test.location)
			}
			if !strings.Contains(w.Body.String(), test.body) {
				t.Errorf("body %.80q lacks %q", w.Body, test.body)
			}
			if test.method == "HEAD" && w.Body.Len() > 0 {
				t.Errorf("HEAD has a body of %d bytes", w.Body.Len())
			}
		})
	}
}

func TestHandlerRanges(t *testing.T) {
	h := handlerFor(t, tree(), nil)
	size := len(text)
	for _, test := range []struct {
		url, value string
		status     int
		want       string
		content    string
	}{
		{"/data.bin", "bytes=0-3", 206, text[:4], fmt.Sprintf("bytes 0-3/%d", size)},
		{"/data.bin", "bytes=3190-", 206, text[3190:], fmt.Sprintf("bytes 3190-%d/%d", size-1, size)},
		{"/data.bin", "bytes=-5", 206, text[size-5:], fmt.Sprintf("bytes %d-%d/%d", size-5, size-1, size)},
		{"/data.bin", fmt.Sprintf("bytes=%d-", size), 416, "", fmt.Sprintf("bytes */%d", size)},
		{"/data.bin", "cats=1-2", 416, "", ""},
		{"/text.txt", "bytes=8-14", 206, text[8:15], fmt.Sprintf("bytes 8-14/%d", size)},
		{"/planktos/.pad/100", "bytes=90-", 206, string(make([]byte, 10)), "bytes 90-99/100"},
	} {
		t.Run(test.url+" "+test.value, func(t *testing.T) {
			w := ask(h, "GET", test.url, "Range", test.value, "Accept-Encoding", "gzip")
			if w.Code != test.status {
				t.Fatalf("status %d, want %d", w.Code, test.status)
			}
			if test.status == 206 && w.Body.String() != test.want {
				t.Errorf("body %q, want %q", w.Body, test.want)
			}
			if got := w.Header().Get("Content-Range"); got != test.content {
				t.Errorf("Content-Range %q, want %q", got, test.content)
			}
			if got := w.Header().Get("Content-Encoding"); got != "" {
				t.Errorf("a range is compressed: %s", got)
			}
		})
	}
}

func TestHandlerCompression(t *testing.T) {
	h := handlerFor(t, tree(), nil)
	root, err := manifest.Parse(ask(h, "GET", "/planktos/manifest.json").Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	row, _ := manifest.Lookup(root.Files, "text.txt")
	for _, test := range []struct {
		url, accept, coding string
	}{
		{"/text.txt", "gzip, br", "br"},
		{"/text.txt", "gzip, deflate, br;q=0.9", "gzip"},
		{"/text.txt", "*", "br"},
		{"/text.txt", "br;q=0, *", "gzip"},
		{"/text.txt", "gzip;q=0, br;q=0, *", ""},
		{"/text.txt", "zstd, x-gzip", "gzip"},
		{"/text.txt", "br", "br"},
		{"/text.txt", "br;q=x", ""},
		{"/text.txt", "", ""},
		{"/data.bin", "gzip", ""},
		{"/index.html", "gzip", ""}, // fits into one packet
		{"/long.html", "gzip;q=0.5", "gzip"},
		{"/planktos/manifest.json", "gzip", "gzip"},
		{"/planktos/manifest.json", "gzip, br", "br"},
		{"/planktos/install.js", "gzip", "gzip"},
		{"/planktos/engine.min.js", "br", "br"},
		{"/planktos.sw.min.js", "br", "br"},
		{"/planktos/" + row.Hash.String(), "gzip", ""},
		{"/none", "gzip", "gzip"}, // 404.html
	} {
		t.Run(test.url+" "+test.accept, func(t *testing.T) {
			plain := ask(h, "GET", test.url)
			w := ask(h, "GET", test.url, "Accept-Encoding", test.accept)
			if got := w.Header().Get("Content-Encoding"); got != test.coding {
				t.Fatalf("compressed by %q, want %q", got, test.coding)
			}
			var r io.Reader
			if length := w.Header().Get("Content-Length"); length != "" && length != strconv.Itoa(w.Body.Len()) {
				t.Errorf("length %s of %d bytes", length, w.Body.Len())
			}
			switch test.coding {
			case "":
				return
			case "br":
				r = brotli.NewReader(w.Body)
			case "gzip":
				if r, err = gzip.NewReader(w.Body); err != nil {
					t.Fatal(err)
				}
			}
			body, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(body, plain.Body.Bytes()) {
				t.Errorf("decompressed body differs (%v)", err)
			}
			if w.Header().Get("Vary") != "Accept-Encoding" {
				t.Errorf("headers of a compressed response: %v", w.Header())
			}
			if tag := w.Header().Get("ETag"); tag != "" && tag == plain.Header().Get("ETag") {
				t.Error("two representations have one strong validator")
			}
			if head := ask(h, "HEAD", test.url, "Accept-Encoding", test.accept); head.Body.Len() > 0 {
				t.Errorf("HEAD has a body of %d bytes", head.Body.Len())
			}
		})
	}
}

// What a new visitor is sent of Planktos, in bytes on the wire: what is aimed at, and what it must not exceed until then.
const (
	newVisitorAim     = 30_000
	newVisitorCeiling = 52_880
)

func TestNewVisitor(t *testing.T) {
	fsys := fstest.MapFS{}
	for i := range 40 {
		fsys[fmt.Sprintf("folder/file-%02d.html", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "<title>%d</title>", i)}
	}
	h := handlerFor(t, fsys, nil)
	total := 0
	for _, url := range []string{"planktos/install.js", "planktos.sw.min.js", "planktos/engine.min.js", "planktos/manifest.json"} {
		sent := ask(h, "GET", "/"+url, "Accept-Encoding", "gzip, deflate, br, zstd").Body.Len()
		t.Logf("%-24s %6d", url, sent)
		total += sent
	}
	t.Logf("%-24s %6d, aim %d", "together", total, newVisitorAim)
	if total > newVisitorCeiling {
		t.Errorf("a new visitor is sent %d bytes, over %d", total, newVisitorCeiling)
	}
}

func TestHandlerRevalidation(t *testing.T) {
	h := handlerFor(t, tree(), nil)
	for _, encoding := range []string{"", "gzip", "br"} {
		for _, url := range []string{"/text.txt", "/data.bin", "/", "/planktos/manifest.json", "/planktos/install.js"} {
			first := ask(h, "GET", url, "Accept-Encoding", encoding)
			tag := first.Header().Get("ETag")
			if !strings.HasPrefix(tag, `"`) {
				t.Errorf("%s: no strong validator: %q", url, tag)
			}
			if got := first.Header().Get("Cache-Control"); got != "no-cache" {
				t.Errorf("%s: Cache-Control %q", url, got)
			}
			w := ask(h, "GET", url, "Accept-Encoding", encoding, "If-None-Match", tag)
			if w.Code != http.StatusNotModified || w.Body.Len() != 0 {
				t.Errorf("%s %s: status %d with %d bytes, want 304", url, encoding, w.Code, w.Body.Len())
			}
		}
	}
	root, err := manifest.Parse(ask(h, "GET", "/planktos/manifest.json").Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range root.Files {
		if row.Size == 0 {
			continue
		}
		w := ask(h, "GET", "/planktos/"+row.Hash.String())
		if w.Code != 200 || int64(w.Body.Len()) != row.Size {
			t.Errorf("%s by its hash: status %d, %d bytes", row.Path, w.Code, w.Body.Len())
		}
		if !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s by its hash: Cache-Control %q", row.Path, w.Header().Get("Cache-Control"))
		}
	}
}

func TestHandlerHeaders(t *testing.T) {
	h := handlerFor(t, tree(), &Options{Headers: []HeaderRule{
		{"*", map[string]string{"X-Frame-Options": "DENY", "Cache-Control": "no-cache, private"}},
		{"docs/*", map[string]string{"X-Frame-Options": "SAMEORIGIN"}},
		{"data.bin", map[string]string{"Content-Type": "image/x-plankton"}},
	}})
	for _, test := range []struct{ url, header, want string }{
		{"/", "X-Frame-Options", "DENY"},
		{"/docs/", "X-Frame-Options", "SAMEORIGIN"},
		{"/none", "X-Frame-Options", "DENY"},
		{"/data.bin", "Content-Type", "image/x-plankton"},
		{"/", "Cache-Control", "no-cache, private"},
		{"/planktos/install.js", "X-Frame-Options", ""},
	} {
		if got := ask(h, "GET", test.url).Header().Get(test.header); got != test.want {
			t.Errorf("%s: %s %q, want %q", test.url, test.header, got, test.want)
		}
	}
	root, err := manifest.Parse(ask(h, "GET", "/planktos/manifest.json").Body.Bytes())
	if err != nil || len(root.Headers) != 3 {
		t.Errorf("the manifest has %d rules for headers (%v), want 3", len(root.Headers), err)
	}
}

func TestHandlerBase(t *testing.T) {
	h := handlerFor(t, tree(), &Options{Base: "/sub/site/", TagHTML: true})
	mux := http.NewServeMux()
	mux.Handle("/sub/site/", h)
	for _, test := range []struct {
		url    string
		status int
	}{
		{"/sub/site/", 200}, {"/sub/site/docs/", 200}, {"/sub/site/planktos/manifest.json", 200}, {"/docs/", 404},
		{"/sub/site/sub/site/", 404},
	} {
		if w := ask(mux, "GET", test.url); w.Code != test.status {
			t.Errorf("%s: status %d, want %d", test.url, w.Code, test.status)
		}
	}
	if w := ask(h, "GET", "/sub/site"); w.Code != 301 || w.Header().Get("Location") != "./site/" {
		t.Errorf("/sub/site: status %d to %q", w.Code, w.Header().Get("Location"))
	}
	if body := ask(h, "GET", "/sub/site/").Body.String(); !strings.Contains(body, `src="/sub/site/planktos/install.js"`) {
		t.Errorf("the page has no script tag of its base: %s", body)
	}
	root, err := manifest.Parse(ask(h, "GET", "/sub/site/planktos/manifest.json").Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if len(root.Trackers) != 1 || root.Trackers[0] != "/sub/site/planktos/tracker" || len(root.ICE) != 0 {
		t.Errorf("trackers %v, ice %v: want the handler's own alone", root.Trackers, root.ICE)
	}
	torrent := ask(h, "GET", "http://host.example:81/sub/site/planktos/root.torrent").Body.String()
	if !strings.Contains(torrent, "http://host.example:81/sub/site/") {
		t.Errorf("the torrent's web seed is not the request's host")
	}
}

func TestHandlerSTUNPort(t *testing.T) {
	h := handlerFor(t, tree(), nil)
	h.STUNPort = 3478
	for host, want := range map[string]string{"localhost:80": "stun:localhost:3478", "[::1]:8080": "stun:[::1]:3478"} {
		root, err := manifest.Parse(ask(h, "GET", "http://"+host+"/planktos/manifest.json").Body.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if len(root.ICE) != 1 || root.ICE[0].URLs[0] != want {
			t.Errorf("%s: ice %v, want %s", host, root.ICE, want)
		}
	}
	r := httptest.NewRequest("GET", "/planktos/manifest.json", nil)
	r.Host = `evil"<script>`
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 200 || strings.Contains(w.Body.String(), "evil") {
		t.Errorf("a hostile Host header: status %d, body %s", w.Code, w.Body)
	}
}

// TestHandlerRepacks edits files between requests: each answer is of one snapshot, and a document is never stale.
func TestHandlerRepacks(t *testing.T) {
	dir := t.TempDir()
	write := func(name, data string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("index.html", "<!doctype html>one")
	write("style.css", "body{}")
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	h := &Handler{FS: root.FS(), CheckInterval: time.Nanosecond}
	t.Cleanup(func() { _ = h.Close() })
	site, err := h.Site(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]manifest.File{}
	for _, f := range site.packed.Root.Files {
		rows[f.Path] = f
	}

	write("index.html", "<!doctype html>two, longer")
	write("new/index.html", "new")
	// The tree is walked less often than a tenth of the time: a changed file is noticed at once all the same.
	if got := ask(h, "GET", "/").Body.String(); got != "<!doctype html>two, longer" {
		t.Errorf("after the edit: %q", got)
	}
	if w := ask(h, "GET", "/new/"); w.Code != 200 {
		t.Errorf("a new page: status %d", w.Code)
	}
	now, err := h.Site(context.Background())
	if err != nil || now.Snapshot() == site.Snapshot() {
		t.Errorf("the snapshot is the same (%v)", err)
	}
	if w := ask(h, "GET", "/planktos/"+rows["style.css"].Hash.String()); w.Code != 200 {
		t.Errorf("content of both snapshots: status %d", w.Code)
	}
	if w := ask(h, "GET", "/planktos/"+rows["index.html"].Hash.String()); w.Code == 200 {
		t.Errorf("content that is no more was answered: %q", w.Body)
	}
	if !h.hasSwarm(site.packed.Root.Torrent.InfoHash) || !h.hasSwarm(now.packed.Root.Torrent.InfoHash) {
		t.Error("the tracker does not serve the present and the superseded swarm")
	}
	if h.hasSwarm([20]byte{1}) {
		t.Error("the tracker serves a stranger's swarm")
	}

	// What was superseded and comes back is found by its hash again.
	write("index.html", "")
	if err := os.Remove(filepath.Join(dir, "index.html")); err != nil {
		t.Fatal(err)
	}
	if w := ask(h, "GET", "/index.html"); w.Code != 404 {
		t.Errorf("a deleted page: status %d", w.Code)
	}
}

// TestHandlerTrackerFirst asks a handler that has answered nothing yet for its tracker, as visitors of before a restart
// do: it knows the swarm by then.
func TestHandlerTrackerFirst(t *testing.T) {
	site, err := handlerFor(t, tree(), nil).Site(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	infoHash := site.packed.Root.Torrent.InfoHash
	h := handlerFor(t, tree(), nil)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	conn, _, err := websocket.Dial(t.Context(), server.URL+"/planktos/tracker", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	binary := func(b []byte) string { // a byte a character, as WebTorrent has it
		runes := make([]rune, len(b))
		for i, c := range b {
			runes[i] = rune(c)
		}
		return string(runes)
	}
	announce, err := json.Marshal(map[string]any{
		"action": "announce", "info_hash": binary(infoHash[:]), "peer_id": strings.Repeat("p", 20),
		"event": "started", "numwant": 0, "offers": []any{}, "uploaded": 0, "downloaded": 0, "left": 0,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Write(t.Context(), websocket.MessageText, announce); err != nil {
		t.Fatal(err)
	}
	_, reply, err := conn.Read(t.Context())
	if err != nil || !strings.Contains(string(reply), `"interval":`) {
		t.Errorf("the tracker replied %s (%v)", reply, err)
	}

	// A site that cannot be packed has no swarm.
	broken := handlerFor(t, fstest.MapFS{}, nil)
	if w := ask(broken, "GET", "/planktos/tracker"); w.Code != http.StatusInternalServerError {
		t.Errorf("without a site: status %d", w.Code)
	}
}

// TestHandlerLinkedFolder edits what a symbolic link leads to: links are followed when changes are looked for, too.
func TestHandlerLinkedFolder(t *testing.T) {
	dir := t.TempDir()
	write := func(name, data string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, ".build/docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	write("index.html", "<!doctype html>home")
	write(".build/docs/index.html", "<!doctype html>one")
	if err := os.Symlink(".build/docs", filepath.Join(dir, "docs")); err != nil {
		t.Fatal(err)
	}
	h := &Handler{FS: os.DirFS(dir), CheckInterval: time.Nanosecond}
	t.Cleanup(func() { _ = h.Close() })
	if w := ask(h, "GET", "/docs/"); w.Code != 200 || w.Body.String() != "<!doctype html>one" {
		t.Fatalf("status %d, body %q", w.Code, w.Body)
	}
	write(".build/docs/index.html", "<!doctype html>two, longer")
	if w := ask(h, "GET", "/docs/"); w.Code != 200 || w.Body.String() != "<!doctype html>two, longer" {
		t.Errorf("after the edit: status %d, body %q", w.Code, w.Body)
	}
	write(".build/docs/new.html", "<!doctype html>new")
	h.current.Load().checkTook.Store(0) // so that the next page looks again at once
	if w := ask(h, "GET", "/docs/new.html"); w.Code != 200 {
		t.Errorf("a page new in the linked folder: status %d", w.Code)
	}
}

// countingFS counts how often a file is opened.
type countingFS struct {
	fs.FS
	name    string
	refuses bool // to open it
	opened  atomic.Int64
}

func (c *countingFS) Open(name string) (fs.File, error) {
	if name == c.name {
		c.opened.Add(1)
		if c.refuses {
			return nil, fs.ErrPermission
		}
	}
	return c.FS.Open(name)
}

// Stat keeps looking at the tree apart from reading it.
func (c *countingFS) Stat(name string) (fs.FileInfo, error) { return fs.Stat(c.FS, name) }

// TestHandlerUnpackable makes the tree unpackable while it is served: what was packed is served on, and the tree is not
// read again for every request.
func TestHandlerUnpackable(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"index.html", "other.html"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("<!doctype html>"+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	counted := &countingFS{FS: os.DirFS(dir), name: "other.html"}
	h := &Handler{FS: counted, CheckInterval: time.Nanosecond}
	t.Cleanup(func() { _ = h.Close() })
	if w := ask(h, "GET", "/"); w.Code != 200 {
		t.Fatalf("status %d", w.Code)
	}
	if err := os.Symlink("gone", filepath.Join(dir, "broken")); err != nil {
		t.Fatal(err)
	}
	before := counted.opened.Load()
	for range 20 {
		if w := ask(h, "GET", "/"); w.Code != 200 || w.Body.String() != "<!doctype html>index.html" {
			t.Fatalf("status %d, body %q", w.Code, w.Body)
		}
	}
	if n := counted.opened.Load() - before; n > 2 {
		t.Errorf("an unpackable tree was read %d times by 20 requests", n)
	}
	if err := os.Remove(filepath.Join(dir, "broken")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("<!doctype html>mended"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := ask(h, "GET", "/").Body.String(); got != "<!doctype html>mended" {
		t.Errorf("after mending: %q", got)
	}
}

// TestHandlerUnpackableFirst asks for a site that has never been packed, and cannot be.
func TestHandlerUnpackableFirst(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "other.html"), []byte("<!doctype html>"), 0o644); err != nil {
		t.Fatal(err)
	}
	counted := &countingFS{FS: os.DirFS(dir), name: "other.html", refuses: true}
	h := &Handler{FS: counted}
	t.Cleanup(func() { _ = h.Close() })
	for range 20 {
		if w := ask(h, "GET", "/"); w.Code != 500 {
			t.Fatalf("status %d", w.Code)
		}
	}
	if n := counted.opened.Load(); n != 1 {
		t.Errorf("an unpackable tree was read %d times by 20 requests", n)
	}
	// A change is tried at once.
	counted.refuses = false
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("<!doctype html>"), 0o644); err != nil {
		t.Fatal(err)
	}
	if w := ask(h, "GET", "/"); w.Code != 200 {
		t.Errorf("after mending: status %d", w.Code)
	}
}

// TestHandlerConcurrent reads and edits at once: each body belongs to the validator it came with.
func TestHandlerConcurrent(t *testing.T) {
	dir := t.TempDir()
	bodies := map[string]string{}
	replace := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), 100+i) }
	name := filepath.Join(dir, "index.html")
	put := func(i int) {
		next := filepath.Join(dir, ".next")
		if err := os.WriteFile(next, []byte(replace(i)), 0o644); err != nil {
			t.Error(err)
		}
		if err := os.Rename(next, name); err != nil {
			t.Error(err)
		}
	}
	put(0)
	h := &Handler{FS: os.DirFS(dir), CheckInterval: time.Nanosecond}
	t.Cleanup(func() { _ = h.Close() })
	var (
		wg sync.WaitGroup
		mu sync.Mutex // guards bodies
	)
	for range 4 {
		wg.Go(func() {
			for range 50 {
				w := ask(h, "GET", "/")
				if w.Code == http.StatusServiceUnavailable {
					continue
				}
				tag, body := w.Header().Get("ETag"), w.Body.String()
				mu.Lock()
				if before, ok := bodies[tag]; w.Code != 200 || ok && before != body {
					t.Errorf("status %d; one validator, two bodies: %q, %q", w.Code, before, body)
				}
				bodies[tag] = body
				mu.Unlock()
			}
		})
	}
	for i := range 30 {
		put(i)
	}
	wg.Wait()
	if got := ask(h, "GET", "/").Body.String(); got != replace(29) {
		t.Errorf("after the last edit: %.40q", got)
	}
}

func TestHandlerFailures(t *testing.T) {
	for _, test := range []struct {
		name string
		h    *Handler
	}{
		{"no FS", &Handler{}},
		{"bad base", &Handler{FS: tree(), Options: &Options{Base: "/a/../b/"}}},
		{"bad tracker", &Handler{FS: tree(), Options: &Options{Trackers: []string{"udp://x:1"}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if w := ask(test.h, "GET", "/"); w.Code != http.StatusInternalServerError {
				t.Errorf("status %d, want 500", w.Code)
			}
			if err := test.h.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	without := tree()
	maps.DeleteFunc(without, func(name string, _ *fstest.MapFile) bool { return name == "404.html" })
	if w := ask(handlerFor(t, without, nil), "GET", "/none"); w.Code != 404 || w.Body.Len() == 0 {
		t.Errorf("without 404.html: status %d, %d bytes", w.Code, w.Body.Len())
	}
}
