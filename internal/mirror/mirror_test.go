package mirror

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/planktos/planktos/internal/leaktest"
	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/seeder"
	"github.com/planktos/planktos/internal/store"
	"github.com/planktos/planktos/internal/swarm"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// A file that is not there yet is fetched when it is asked for, and given with what the manifest says of it.
func TestOnDemand(t *testing.T) {
	const text = "one, two, three"
	var asked atomic.Int32
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/a.txt" {
			http.NotFound(w, r)
			return
		}
		asked.Add(1)
		w.Write([]byte(text))
	}))
	defer origin.Close()
	files := []manifest.File{{Path: "a.txt", Hash: merkle.Root([]byte(text)), Size: int64(len(text))}}
	root := &manifest.Root{
		Snapshot: manifest.SnapshotID(files), Policy: manifest.Policy{Mode: "auto", Prefer: "speed"}, Copies: true, Files: files,
		Torrent:  manifest.Torrent{PieceLength: merkle.BlockSize, Pieces: 1},
		Headers:  []manifest.HeaderRule{{Pattern: "*", Headers: map[string]string{"X-Frame-Options": "DENY"}}},
		Trackers: []string{"/docs/planktos/tracker"},
	}
	document, err := root.Encode()
	if err != nil {
		t.Fatal(err)
	}
	contents, err := store.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer contents.Close()
	node := &swarm.Node{Library: contents}
	defer node.Close()
	h := &Handler{Store: contents, Base: "/docs/", Tracker: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	})}
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	if w := get("/docs/a.txt"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("before anything is known: %d", w.Code)
	}
	snapshot, err := seeder.Join(t.Context(), node, document, origin.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	h.Take(snapshot, nil)
	for range 2 {
		w := get("/docs/a.txt")
		if w.Code != http.StatusOK || w.Body.String() != text || w.Header().Get("X-Frame-Options") != "DENY" ||
			!strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("%d, %q, %v", w.Code, w.Body, w.Header())
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the origin was asked %d times", n)
	}
	for path, want := range map[string]int{
		"/docs/planktos/manifest.json": 200, "/docs/planktos/" + files[0].Hash.String(): 200, "/docs/planktos/tracker": 418,
		"/docs/planktos.sw.min.js": 200, "/docs/planktos/" + merkle.Root(nil).String(): 404, "/docs/none": 404, "/a.txt": 404,
		"/docs/planktos/root.torrent": 404, "/docs/%2e%2e/a.txt": 404, "/docs/planktos/" + files[0].Hash.String() + ".layer": 404,
	} {
		if w := get(path); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	if w := get("/docs/planktos/manifest.json"); w.Body.String() != string(document) {
		t.Errorf("the manifest is another: %s", w.Body)
	}
	key := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	const worker = "/docs/planktos.sw.min.js"
	without := get(worker).Body.Bytes()
	h.Take(snapshot, key)
	if got := get(worker).Body.Bytes(); release.KeyOf(without) != nil || !bytes.Equal(got, release.WithKey(without, key)) {
		t.Errorf("the worker's script of a signed site begins %.100s", got)
	}
	if err := errors.Join(node.Close(), snapshot.Swarm.Close()); err != nil {
		t.Error(err)
	}
}

// A site that has disabled Planktos: visitors are told so, and have the files that are here.
func TestDisable(t *testing.T) {
	const text = "one"
	contents, err := store.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer contents.Close()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(text)) }))
	defer origin.Close()
	h := &Handler{Store: contents, Base: "/"}
	expect := func(when string, want map[string]int) {
		t.Helper()
		for path, code := range want {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if w.Code != code {
				t.Errorf("%s: %s: %d, want %d", when, path, w.Code, code)
			}
			if body := w.Body.String(); path == "/planktos/manifest.json" && body != string(manifest.EncodeDisabled()) {
				t.Errorf("%s: the manifest is %s", when, body)
			}
		}
	}
	files := []manifest.File{
		{Path: "a.txt", Hash: merkle.Root([]byte(text)), Size: int64(len(text))},
		{Path: "b.txt", Hash: merkle.Root([]byte("two")), Size: 3, Piece: 1},
	}
	h.Disable(manifest.EncodeDisabled(), nil)
	expect("before anything else is known", map[string]int{
		"/planktos/manifest.json": 200, "/planktos.sw.min.js": 200, "/planktos/install.js": 200, "/a.txt": 503, "/": 503,
		"/planktos/root.torrent": 404, "/planktos/" + files[0].Hash.String(): 404,
	})

	root := &manifest.Root{
		Snapshot: manifest.SnapshotID(files), Policy: manifest.Policy{Mode: "auto", Prefer: "speed"}, Files: files,
		Torrent: manifest.Torrent{PieceLength: merkle.BlockSize, Pieces: 2},
	}
	document, err := root.Encode()
	if err != nil {
		t.Fatal(err)
	}
	node := &swarm.Node{Library: contents}
	defer node.Close()
	snapshot, err := seeder.Join(t.Context(), node, document, origin.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := snapshot.Content(files[0])
	snapshot.Swarm.Want(a)
	if err := snapshot.Swarm.Wait(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	h.Take(snapshot, nil)
	if err := snapshot.Swarm.Close(); err != nil {
		t.Fatal(err)
	}
	h.Disable(manifest.EncodeDisabled(), nil)
	expect("after a release", map[string]int{
		"/planktos/manifest.json": 200, "/planktos.sw.min.js": 200, "/a.txt": 200, "/b.txt": 503, "/none": 404,
	})
}
