package seeder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planktos/planktos/internal/leaktest"
	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/snapshot"
	"github.com/planktos/planktos/internal/store"
	"github.com/planktos/planktos/internal/swarm"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// A host is a packed site that can change, over HTTP and as a source.
type host struct {
	t      testing.TB
	server *httptest.Server
	policy manifest.Policy
	// trackers are those of the manifest
	trackers []string

	mu     sync.Mutex
	packed *snapshot.Snapshot
	break_ func(name string) []byte // what a file is answered with instead; nil for as it is, empty for 404
	asked  map[string]int
}

func newHost(t testing.TB) *host {
	h := &host{t: t, asked: map[string]int{}, policy: manifest.Policy{Mode: "auto", Prefer: "speed"}}
	h.server = httptest.NewServer(h)
	t.Cleanup(h.server.Close)
	return h
}

func (h *host) url() string { return h.server.URL + "/" }

// publish packs files, by path, in the place of what there was.
func (h *host) publish(files map[string]string) {
	h.t.Helper()
	dir := h.t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			h.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			h.t.Fatal(err)
		}
	}
	packed, err := snapshot.Build(h.t.Context(), os.DirFS(dir), &snapshot.Options{
		Policy: h.policy, Trackers: h.trackers, Runtime: snapshot.Runtime{Engine: []byte("engine")},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.packed = packed
}

func (h *host) breaks(how func(name string) []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.break_ = how
}

// shows has the host answer with another manifest; none if it is empty.
func (h *host) shows(document []byte) {
	h.breaks(func(name string) []byte {
		if name == release.ManifestFile {
			return document
		}
		return nil
	})
}

func (h *host) open(name string) ([]byte, error) {
	h.mu.Lock()
	packed, how := h.packed, h.break_
	h.asked[name]++
	h.mu.Unlock()
	if how != nil {
		if data := how(name); data != nil && len(data) == 0 {
			return nil, fs.ErrNotExist
		} else if data != nil {
			return data, nil
		}
	}
	entry, err := packed.Open(name)
	if err != nil {
		return nil, err
	}
	defer entry.Close()
	return io.ReadAll(entry.Body)
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := h.open(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// Open and Where make a source of it, which has no patience to lose.
func (h *host) Open(_ context.Context, name string) (io.ReadCloser, error) {
	data, err := h.open(name)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (h *host) Where(name string) string { return h.url() + name }

// A follow is a follower that runs.
type follow struct {
	*Follower
	t         testing.TB
	joined    chan *Snapshot
	completed chan *Snapshot
	log       *news
	ended     chan error
	stop      func() error
}

// news is a log that can be waited on.
type news struct {
	slog.Handler
	lines chan string
}

func (n *news) Handle(_ context.Context, r slog.Record) error {
	select {
	case n.lines <- r.Message:
	default:
	}
	return nil
}

// start follows the host into a store.
func start(t testing.TB, h *host, dir string, limit int64, changes ...func(*Follower)) *follow {
	t.Helper()
	contents, err := store.Open(dir, &store.Options{Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	n := &news{slog.NewTextHandler(io.Discard, nil), make(chan string, 100)}
	f := &follow{
		t: t, joined: make(chan *Snapshot, 10), completed: make(chan *Snapshot, 10), log: n, ended: make(chan error, 1),
	}
	f.Follower = &Follower{
		Node: &swarm.Node{Library: contents}, URL: h.url(), Source: h, Store: contents, Limit: limit,
		Interval: 20 * time.Millisecond, Logger: slog.New(n),
		Joined:    func(s *Snapshot, _ []string) { f.joined <- s },
		Completed: func(s *Snapshot) { f.completed <- s },
	}
	for _, change := range changes {
		change(f.Follower)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { f.ended <- f.Run(ctx) }()
	f.stop = sync.OnceValue(func() error {
		cancel()
		err := <-f.ended
		f.Node.Close()
		contents.Close()
		return err
	})
	t.Cleanup(func() { f.stop() })
	return f
}

func wait[T any](t testing.TB, what string, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(time.Minute):
		t.Fatalf("%s did not come", what)
	}
	return got
}

func (f *follow) warned(about string) {
	f.t.Helper()
	for line := ""; !strings.Contains(line, about); {
		line = wait(f.t, about, f.log.lines)
	}
}

// holds looks at what the store has of the site's files.
func (f *follow) holds(s *Snapshot, files map[string]string) {
	f.t.Helper()
	for name, text := range files {
		file, ok := manifest.Lookup(s.Files, name)
		if !ok {
			f.t.Errorf("%s is not in the table", name)
			continue
		}
		got := make([]byte, file.Size)
		if err := f.Store.ReadAt(store.ID{Hash: file.Hash, Size: file.Size}, got, 0); err != nil || string(got) != text {
			f.t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestFollow(t *testing.T) {
	h := newHost(t)
	first := map[string]string{"index.html": "one", "a/b.txt": "same", "c.txt": "first"}
	h.publish(first)
	f := start(t, h, t.TempDir(), 0)
	s := wait(t, "the first release", f.completed)
	f.holds(s, first)

	// Only what has changed is fetched.
	same, _ := manifest.Lookup(s.Files, "a/b.txt")
	second := map[string]string{"index.html": "two", "a/b.txt": "same", "c.txt": "second"}
	h.publish(second)
	s = wait(t, "the second release", f.completed)
	f.holds(s, second)
	f.holds(s, map[string]string{"a/b.txt": "same"})
	h.mu.Lock()
	if n := h.asked["a/b.txt"] + h.asked[release.ContentFile(same.Hash)]; n != 1 {
		t.Errorf("an unchanged file was fetched %d times", n)
	}
	h.mu.Unlock()

	// A site that goes back, and one that changes its policy alone.
	h.publish(first)
	f.holds(wait(t, "the first release, again", f.completed), first)
	h.policy.Mode = "off"
	h.publish(first)
	f.warned("nobody shares")
	h.policy.Mode = "ask"
	h.publish(first)
	f.holds(wait(t, "a release that may be shared", f.completed), first)
	h.shows(manifest.EncodeDisabled())
	f.warned("disabled Planktos")
	h.breaks(nil)
	f.holds(wait(t, "a release, once more", f.completed), first)
	if err := f.stop(); err != nil {
		t.Error(err)
	}
}

// A site that is not to be shared any more is not taken up by the next run either, though a release of it is known; not
// even while its server is gone, which may only have been the case for a moment.
func TestWithdrawn(t *testing.T) {
	off := newHost(t)
	off.policy.Mode = "off"
	off.publish(map[string]string{"index.html": "one"})
	for name, c := range map[string]struct {
		document []byte
		want     error
	}{
		"off":      {off.packed.Manifest, ErrOff},
		"disabled": {manifest.EncodeDisabled(), manifest.ErrDisabled},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.publish(map[string]string{"index.html": "one"})
			dir := t.TempDir()
			f := start(t, h, dir, 0)
			wait(t, "the release", f.completed)
			f.stop()
			for _, document := range [][]byte{c.document, {}} {
				h.shows(document)
				f = start(t, h, dir, 0)
				if err := wait(t, "the end", f.ended); !errors.Is(err, c.want) {
					t.Errorf("showing %q: %v", document, err)
				}
				f.ended <- nil
				f.stop()
			}
			h.breaks(nil)
			f = start(t, h, dir, 0)
			wait(t, "the release, once more", f.completed)
		})
	}
}

// Who has a use for it begins with the manifest of a site that has disabled Planktos, and goes on from there.
func TestBeginsDisabled(t *testing.T) {
	h := newHost(t)
	h.publish(map[string]string{"index.html": "one"})
	h.shows(manifest.EncodeDisabled())
	disabled := make(chan []byte, 1)
	f := start(t, h, t.TempDir(), 0, func(f *Follower) { f.Disabled = func(document []byte) { disabled <- document } })
	if got := wait(t, "the manifest", disabled); !bytes.Equal(got, manifest.EncodeDisabled()) {
		t.Errorf("%s", got)
	}
	h.breaks(nil)
	wait(t, "a release", f.completed)
}

// What is published that is no release, or not all of one, leaves everything as it is.
func TestFollowThroughBadReleases(t *testing.T) {
	h := newHost(t)
	first := map[string]string{"index.html": "one", "c.txt": "first"}
	h.publish(first)
	f := start(t, h, t.TempDir(), 0)
	s := wait(t, "the first release", f.completed)
	for _, broken := range []string{"<!doctype html>sorry", `{"format": 2}`} {
		h.shows([]byte(broken))
		f.warned("a new release cannot be taken up")
		f.holds(s, first)
	}
	// Not all of it is uploaded yet.
	second := map[string]string{"index.html": "two", "c.txt": "first"}
	h.breaks(func(name string) []byte {
		if name == "index.html" || len(name) == len(release.ContentFile(s.Root.Snapshot)) {
			return []byte{}
		}
		return nil
	})
	h.publish(second)
	wait(t, "the second release, to be joined", f.joined)
	next := wait(t, "the second release, to be joined", f.joined)
	f.holds(s, first)
	h.breaks(nil)
	wait(t, "the second release", f.completed)
	f.holds(next, second)
}

func TestWithoutTheSite(t *testing.T) {
	h := newHost(t)
	files := map[string]string{"index.html": "one", "c.txt": strings.Repeat("large ", 100_000)}
	h.publish(files)
	dir := t.TempDir()
	f := start(t, h, dir, 0)
	wait(t, "the release", f.completed)
	if err := f.stop(); err != nil {
		t.Fatal(err)
	}
	gone := func(string) []byte { return []byte{} }
	h.breaks(gone)
	f = start(t, h, dir, 0)
	f.holds(wait(t, "the release, without the site", f.completed), files)
	f.stop()

	empty := start(t, h, t.TempDir(), 0)
	if err := wait(t, "the end", empty.ended); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing is known: %v", err)
	}
	empty.ended <- nil

	other := newHost(t)
	other.publish(files)
	f = start(t, other, dir, 0)
	if err := wait(t, "the end", f.ended); err == nil || !strings.Contains(err.Error(), "holds another site") {
		t.Errorf("another site's folder: %v", err)
	}
	f.ended <- nil
}

// tenFiles are ten files of 1,000 bytes, named by what they consist of.
func tenFiles() map[string]string {
	files := map[string]string{}
	for _, name := range strings.Split("abcdefghij", "") {
		files[name] = strings.Repeat(name, 1000)
	}
	return files
}

func TestDiskLimit(t *testing.T) {
	h := newHost(t)
	files := tenFiles()
	h.publish(files)
	dir := t.TempDir()
	f := start(t, h, dir, 3500)
	s := wait(t, "what fits", f.completed)
	if used := f.Store.Used(); used < 3000 || used > 3500 {
		t.Errorf("%d bytes are kept", used)
	}
	kept := func() (names string) {
		for _, file := range s.Files {
			if f.Store.Has(store.ID{Hash: file.Hash, Size: file.Size}) {
				names += file.Path
			}
		}
		return names
	}
	before := kept()
	f.stop()
	f = start(t, h, dir, 3500)
	s = wait(t, "what fits, again", f.completed)
	if after := kept(); after != before {
		t.Errorf("kept %s, and then %s", before, after)
	}
	f.stop()
	f = start(t, h, dir, 1500)
	s = wait(t, "what fits into less", f.completed)
	if after, used := kept(), f.Store.Used(); len(after) != 1 || !strings.Contains(before, after) || used > 1500 {
		t.Errorf("kept %s, and of it with less room %s, %d bytes", before, after, used)
	}
}

// What a former run has begun is gone on with, where there is room for a part of the site only.
func TestDiskLimitAndParts(t *testing.T) {
	h := newHost(t)
	files := tenFiles()
	h.publish(files)
	dir := t.TempDir()
	contents, err := store.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	root, err := Parse(h.packed.Manifest, "here")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{files["c"], files["g"]} {
		id := store.ID{Hash: merkle.Root([]byte(text)), Size: 1000}
		name := fmt.Sprintf("%v.%d", id, root.Torrent.PieceLength)
		if err := contents.Root().WriteFile("parts/"+name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	contents.Close()
	f := start(t, h, dir, 2500)
	s := wait(t, "what was begun", f.completed)
	f.holds(s, map[string]string{"c": files["c"], "g": files["g"]})
}

// A store that is full takes up a new release, whose file table comes before it is known what of the old one may go, and
// also where there is no room for both tables.
func TestDiskLimitAcrossReleases(t *testing.T) {
	for _, limit := range []int64{20_000, 45_000} {
		h := newHost(t)
		files := map[string]string{}
		for i := range 200 {
			files[fmt.Sprintf("%d/%d.txt", i%10, i)] = fmt.Sprintf("%0299d", i)
		}
		h.publish(files)
		f := start(t, h, t.TempDir(), limit)
		s := wait(t, "what fits", f.completed)
		if used := f.Store.Used(); used <= limit-299 || used > limit || len(s.Root.Shards) < 2 {
			t.Fatalf("%d bytes are used of %d, and the table has %d shards", used, limit, len(s.Root.Shards))
		}
		for name := range files {
			files[name] += "!"
		}
		h.publish(files)
		s = wait(t, "what fits of the second release", f.completed)
		if used := f.Store.Used(); used <= limit-300 || used > limit {
			t.Errorf("%d bytes are used of %d", used, limit)
		}
		for _, c := range s.All() {
			if f.Store.Has(c.ID) {
				limit -= c.Size
			}
		}
		if limit >= 300 {
			t.Errorf("%d bytes are used for something else than the release", limit)
		}
	}
}

func TestShards(t *testing.T) {
	h := newHost(t)
	files := map[string]string{}
	for _, a := range strings.Split("abcdefghijklmnopqrst", "") {
		for _, b := range strings.Split("0123456789", "") {
			files[a+"/"+b+".txt"] = a + b
		}
	}
	h.publish(files)
	f := start(t, h, t.TempDir(), 0)
	s := wait(t, "the site", f.completed)
	if len(s.Root.Shards) < 2 || len(s.Files) != len(files) {
		t.Errorf("%d shards, %d files", len(s.Root.Shards), len(s.Files))
	}
	f.holds(s, files)
}
