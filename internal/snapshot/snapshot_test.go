package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/torrent"
)

var scripts = Runtime{Worker: []byte("worker"), Install: []byte("install"), Engine: []byte("engine")}

// site makes a file system of paths and contents.
func site(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, data := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(data), Mode: 0o644, ModTime: time.Unix(1e9, 0)}
	}
	return fsys
}

func build(t testing.TB, fsys fs.FS, o *Options) *Snapshot {
	t.Helper()
	if o == nil {
		o = &Options{}
	}
	if o.Runtime.Engine == nil {
		o.Runtime = scripts
	}
	s, err := Build(t.Context(), fsys, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read opens a file of the packed site and reads it whole.
func read(t testing.TB, s *Snapshot, name string) []byte {
	t.Helper()
	entry, err := s.Open(name)
	if err != nil {
		t.Fatalf("opening %s: %v", name, err)
	}
	defer entry.Close()
	data, err := io.ReadAll(entry.Body)
	if err != nil {
		t.Fatalf("reading %s: %v", name, err)
	}
	if int64(len(data)) != entry.Size {
		t.Errorf("%s: read %d bytes, want %d", name, len(data), entry.Size)
	}
	if merkle.Root(data) != entry.Hash {
		t.Errorf("%s: content and hash differ", name)
	}
	return data
}

func filePaths(s *Snapshot) []string {
	var paths []string
	for _, f := range s.Files {
		paths = append(paths, f.Path)
	}
	return paths
}

func TestBuild(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 200<<10/16)
	files := map[string]string{
		"index.html": "<html>", "empty": "", "a/dup1": "same", "b/dup2": "same", "big.bin": big,
		"100% #1?.txt": "odd", `quo"te'.txt`: "quotes", "ünï/🦀.txt": "unicode", "__proto__": "p", "constructor/prototype": "c",
		strings.Repeat("d/", 200) + "deep.txt": "deep", ".well-known/security.txt": "s", "planktos.html": "mine",
	}
	fsys := site(files)
	for _, name := range []string{"planktos/old", "planktos.sw.min.js", "planktos.json", ".git/config", "x/.hidden", ".planktosignore"} {
		fsys[name] = &fstest.MapFile{Data: []byte("#no")}
	}
	s := build(t, fsys, nil)
	if len(s.Files) != len(files) || !slices.IsSorted(filePaths(s)) {
		t.Errorf("files: %q", filePaths(s))
	}
	for name, data := range files {
		if got := string(read(t, s, name)); got != data {
			t.Errorf("%s: got %.20q, want %.20q", name, got, data)
		}
		row, ok := manifest.Lookup(s.Root.Files, name)
		if !ok || row.Size != int64(len(data)) {
			t.Errorf("%s: row %+v, %v", name, row, ok)
		}
		if sum := sha256.Sum256([]byte(data)); len(data) <= 16384 && row.Hash != sum {
			t.Errorf("%s: the hash of a short content is not its SHA-256", name)
		}
		if len(data) > 0 {
			if got := string(read(t, s, "planktos/"+row.Hash.String())); got != data {
				t.Errorf("%s by hash: got %.20q", name, got)
			}
		}
	}
	types := []manifest.MediaType{{Extension: "html", Type: "text/html; charset=utf-8"},
		{Extension: "txt", Type: "text/plain; charset=utf-8"}}
	if !slices.Equal(s.Root.Types, types) {
		t.Errorf("types %q, want %q", s.Root.Types, types)
	}
	reserved := []string{".git", ".planktosignore", "planktos", "planktos.json", "planktos.sw.min.js", "planktos/old",
		"x/.hidden"}
	var left []string
	for _, l := range s.LeftOut {
		left = append(left, l.Path)
	}
	if !slices.Equal(left, reserved) {
		t.Errorf("left out %q, want %q", left, reserved)
	}

	meta, err := torrent.Parse(s.Torrent)
	if err != nil {
		t.Fatal(err)
	}
	if [20]byte(meta.InfoHash) != s.Root.Torrent.InfoHash || meta.Name != "planktos" {
		t.Errorf("torrent %v %q", meta.InfoHash, meta.Name)
	}
	checkPieces(t, s, meta, func(f File) string { return f.Hash.String() })
	if parsed, err := manifest.Parse(s.Manifest); err != nil || parsed.Snapshot != s.Root.Snapshot {
		t.Errorf("manifest: %v", err)
	}
	row, _ := manifest.Lookup(s.Root.Files, "big.bin")
	if got, want := len(read(t, s, "planktos/"+row.Hash.String()+".layer")), 32*int((row.Size-1)/s.Root.Torrent.PieceLength+1); got != want {
		t.Errorf("layer has %d bytes, want %d", got, want)
	}
	for name, want := range map[string]string{
		"planktos/manifest.json": string(s.Manifest), "planktos/root.torrent": string(s.Torrent), "planktos/install.js": "install",
		"planktos/engine.min.js": "engine", "planktos.sw.min.js": "worker",
	} {
		if got := string(read(t, s, name)); got != want {
			t.Errorf("%s: got %.20q", name, got)
		}
	}
	for _, name := range []string{"", ".", "/", "planktos", "planktos/", "planktos/old", "../x", ".git/config", "index.html/",
		"planktos/" + strings.Repeat("0", 64), "planktos/" + hex.EncodeToString(make([]byte, 31)), "planktos/.layer"} {
		if _, err := s.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("opening %q: %v", name, err)
		}
	}
}

// checkPieces holds the manifest's piece indices to the torrent as another reader sees it.
func checkPieces(t *testing.T, s *Snapshot, meta *torrent.Metainfo, name func(File) string) {
	t.Helper()
	first := map[string]int64{}
	for _, f := range meta.Files {
		first[strings.Join(f.Path, "/")] = f.Offset / meta.PieceLength
	}
	rows := s.Root.Files
	for i, shard := range s.Root.Shards {
		files, err := manifest.ParseShard(s.Shards[i], s.Root.Torrent)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, files...)
		document := "shards/" + shard.Hash.String() + ".json"
		if !s.Root.Copies {
			document = "planktos/" + document
		}
		if got, ok := first[document]; !ok || got != int64(shard.Piece) {
			t.Errorf("%s: manifest says piece %d, torrent %d, %v", document, shard.Piece, got, ok)
		}
		if got := read(t, s, "planktos/shards/"+shard.Hash.String()+".json"); !bytes.Equal(got, s.Shards[i]) {
			t.Errorf("shard %d: got another document", i)
		}
	}
	if len(rows) != len(s.Files) {
		t.Fatalf("%d rows for %d files", len(rows), len(s.Files))
	}
	for i, row := range rows {
		if row.Path != s.Files[i].Path {
			t.Errorf("row %d is %s, want %s", i, row.Path, s.Files[i].Path)
		}
		if got, ok := first[name(s.Files[i])]; row.Size > 0 && (!ok || got != int64(row.Piece)) {
			t.Errorf("%s: manifest says piece %d, torrent %d, %v", row.Path, row.Piece, got, ok)
		}
	}
	if manifest.SnapshotID(rows) != s.Root.Snapshot {
		t.Error("the snapshot's id is not that of its rows")
	}
}

func TestBuildSharded(t *testing.T) {
	files := map[string]string{}
	for i := range 1500 {
		files[fmt.Sprintf("docs/%02d/page-%04d.html", i/40, i)] = fmt.Sprint("page ", i%1400)
		files[fmt.Sprintf("zoo/%04d", i)] = fmt.Sprint("animal ", i)
	}
	for _, inPlace := range []bool{false, true} {
		s := build(t, site(files), &Options{InPlace: inPlace, Base: "/sub/docs/", WebSeeds: []string{"https://h.example/sub/docs/"}})
		meta, err := torrent.Parse(s.Torrent)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Root.Shards) < 20 || s.Root.Files != nil {
			t.Errorf("%d shards", len(s.Root.Shards))
		}
		if inPlace {
			checkPieces(t, s, meta, func(f File) string { return f.Path })
			if meta.Name != "docs" || !slices.Equal(meta.WebSeeds, []string{"https://h.example/sub/"}) {
				t.Errorf("in place: name %q, web seeds %q", meta.Name, meta.WebSeeds)
			}
			if _, err := s.Open("planktos/" + s.Files[0].Hash.String()); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("in place there are no copies: %v", err)
			}
		} else {
			checkPieces(t, s, meta, func(f File) string { return f.Hash.String() })
			if !slices.Equal(meta.WebSeeds, []string{"https://h.example/sub/docs/"}) {
				t.Errorf("web seeds %q", meta.WebSeeds)
			}
		}
	}
}

func TestBuildIsDeterministic(t *testing.T) {
	files := map[string]string{}
	for i := range 300 {
		files[fmt.Sprintf("%d/%d", i%7, i)] = fmt.Sprint(i % 250)
	}
	fsys := site(files)
	a := build(t, fsys, nil)
	for _, f := range fsys {
		f.ModTime = time.Unix(rand.Int64N(1e9), 0)
	}
	b := build(t, fsys, &Options{Paths: []string{"6", "5", "1/", "0", ".", "2", "3", "4", "./1", "1/1"}})
	if !bytes.Equal(a.Manifest, b.Manifest) || !bytes.Equal(a.Torrent, b.Torrent) {
		t.Error("the same tree gives two snapshots")
	}
	c := build(t, fsys, &Options{Policy: manifest.Policy{Mode: "ask", Prefer: "offload"}, Trackers: []string{"wss://t.example/"}})
	if c.ID() != a.ID() || bytes.Equal(a.Manifest, c.Manifest) {
		t.Error("policy makes another snapshot")
	}
}

func TestPaths(t *testing.T) {
	fsys := site(map[string]string{"a/1": "1", "a/2": "2", "b/3": "3", "c": "c", ".x/y": "y"})
	s := build(t, fsys, &Options{Paths: []string{"a/2", "./b/"}})
	if got := filePaths(s); !slices.Equal(got, []string{"a/2", "b/3"}) {
		t.Errorf("got %q", got)
	}
	if s := build(t, fsys, &Options{Paths: []string{"c", ".x/y"}}); len(s.Files) != 1 || len(s.LeftOut) != 1 {
		t.Errorf("got %q, left out %v", filePaths(s), s.LeftOut)
	}
	for path, want := range map[string]string{
		"../x": "outside", "/etc": "outside", "a/../../x": "outside", "missing": "missing", "a/missing/b": "a/missing",
		"c/d": "c/d", "a\xff": "UTF-8", "": "",
	} {
		_, err := Build(t.Context(), fsys, &Options{Paths: []string{path}, Runtime: scripts})
		if path != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: error %v, want %q", path, err, want)
		}
	}
}

func TestBadNames(t *testing.T) {
	for name, want := range map[string]string{
		"a\\b": "backslash", "line\nfeed": "control", "del\x7f": "control", "not\xffutf8": "UTF-8", "d\xff/a": "UTF-8",
	} {
		_, fsys := folder(t, map[string]string{"ok/" + name: "x"})
		_, err := Build(t.Context(), fsys, &Options{Runtime: scripts})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "ok/") {
			t.Errorf("%q: error %v", name, err)
		}
	}
}

func TestNothingToShare(t *testing.T) {
	for _, fsys := range []fs.FS{site(nil), site(map[string]string{"empty": ""})} {
		if _, err := Build(t.Context(), fsys, &Options{Runtime: scripts}); err == nil || !strings.Contains(err.Error(), "nothing") {
			t.Errorf("error %v", err)
		}
	}
	build(t, site(map[string]string{"one": "1"}), nil)
}

func TestBase(t *testing.T) {
	fsys := site(map[string]string{"a": "a"})
	for _, base := range []string{"x", "/x", "x/", "//h/", "/../", "/a/./", `/"/`, "/a b/", "/?/", "/#/", "/\n/", "/<x>/", "/%zz/"} {
		if _, err := Build(t.Context(), fsys, &Options{Base: base, Runtime: scripts}); err == nil {
			t.Errorf("base %q is accepted", base)
		}
	}
}

func TestTorrentFor(t *testing.T) {
	s := build(t, site(map[string]string{"a": "a", "b": "b"}), &Options{
		Trackers: []string{"/planktos/tracker", "wss://t.example/"}, WebSeeds: []string{"https://cdn.example/"}})
	encoded, err := s.TorrentFor("https://h.example:8443/docs/")
	if err != nil {
		t.Fatal(err)
	}
	meta, err := torrent.Parse(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if [20]byte(meta.InfoHash) != s.Root.Torrent.InfoHash {
		t.Error("the info dictionary has changed")
	}
	if want := []string{"https://h.example:8443/docs/", "https://cdn.example/"}; !slices.Equal(meta.WebSeeds, want) {
		t.Errorf("web seeds %q", meta.WebSeeds)
	}
	if want := []string{"wss://h.example:8443/planktos/tracker", "wss://t.example/"}; !slices.Equal(meta.Trackers, want) {
		t.Errorf("trackers %q", meta.Trackers)
	}
	for _, u := range []string{"", "/x/", "https://h.example", "https://h.example/x", "%"} {
		if _, err := s.TorrentFor(u); err == nil {
			t.Errorf("%q is accepted", u)
		}
	}
}

func TestTorrentNameInPlace(t *testing.T) {
	for base, want := range map[string]struct{ name, seed string }{
		"/":            {"site", ""},
		"/docs/":       {"docs", "https://h.example/"},
		"/a/planktos/": {"planktos", "https://h.example/a/"},
		"/%C3%BC%20x/": {"ü x", "https://h.example/"},
		"/a%2Fb/":      {"site", ""},
	} {
		s := build(t, site(map[string]string{"a": "a", "b": "b"}), &Options{InPlace: true, Base: base})
		encoded, err := s.TorrentFor("https://h.example" + base)
		if err != nil {
			t.Fatal(err)
		}
		meta, err := torrent.Parse(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if meta.Name != want.name || strings.Join(meta.WebSeeds, " ") != want.seed {
			t.Errorf("%s: name %q, web seeds %q", base, meta.Name, meta.WebSeeds)
		}
	}
}

func TestTagLeavesOutHugePages(t *testing.T) {
	huge := strings.Repeat("<p>", maxHTML/3+1)
	s := build(t, site(map[string]string{"huge.html": huge, "a.html": ""}), &Options{Tag: true})
	f, _ := s.Lookup("huge.html")
	if f.Edited() || len(s.LeftOut) != 1 || s.LeftOut[0].Path != "huge.html" {
		t.Errorf("edited %v, left out %v", f.Edited(), s.LeftOut)
	}
	if got := len(read(t, s, "a.html")); got != len(tag("/")) {
		t.Errorf("the empty page has %d bytes", got)
	}
}

func TestConcurrentReaders(t *testing.T) {
	s := build(t, site(map[string]string{"a.html": "<head>a", "b": "b"}), &Options{Tag: true})
	f, _ := s.Lookup("a.html")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, name := range []string{"a.html", "b", ManifestFile, TorrentFile, Folder + "/" + f.Hash.String()} {
				if entry, err := s.Open(name); err != nil {
					t.Errorf("%s: %v", name, err)
				} else if data, err := io.ReadAll(entry.Body); err != nil || merkle.Root(data) != entry.Hash {
					t.Errorf("%s: read %d bytes, %v", name, len(data), err)
				}
			}
			if _, err := s.TorrentFor("https://h.example/"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestTag(t *testing.T) {
	page := "<!doctype html><head><title>ü</title>"
	s := build(t, site(map[string]string{"a.html": page, "b.html": page, "c.txt": page,
		"own.html": `<script src="../planktos/install.js"></script>`}), &Options{Tag: true, Base: "/x/"})
	want := `<!doctype html><head><!--planktos--><script src="/x/planktos/install.js"></script><!--/planktos--><title>ü</title>`
	for _, name := range []string{"a.html", "b.html"} {
		if got := string(read(t, s, name)); got != want {
			t.Errorf("%s: got %s", name, got)
		}
		f, _ := s.Lookup(name)
		if got := string(read(t, s, "planktos/"+f.Hash.String())); got != want || !f.Edited() {
			t.Errorf("%s by hash: got %s", name, got)
		}
	}
	if got := string(read(t, s, "c.txt")); got != page {
		t.Errorf("c.txt: got %s", got)
	}
	// Every range of the spliced page is right.
	entry, err := s.Open("a.html")
	if err != nil {
		t.Fatal(err)
	}
	defer entry.Close()
	for from := range len(want) {
		for _, n := range []int{1, 7, 50, len(want) - from} {
			n = min(n, len(want)-from)
			got := make([]byte, n)
			if _, err := entry.Body.Seek(int64(from), io.SeekStart); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(entry.Body, got); err != nil || string(got) != want[from:from+n] {
				t.Fatalf("bytes %d to %d: got %q, %v", from, from+n, got, err)
			}
		}
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	files := map[string]string{}
	for i := range 100 {
		files[fmt.Sprint(i)] = fmt.Sprint(i)
	}
	_, err := Build(ctx, site(files), &Options{Runtime: scripts, Progress: func(p Progress) {
		if p.Files == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// What is told only grows, large files are told of in steps, and in the end everything is done.
func TestProgress(t *testing.T) {
	large := strings.Repeat("x", 3<<20)
	dir, fsys := folder(t, map[string]string{"a": "123", "b": "", "c.html": "45", "large": large})
	want := Progress{4, 4, 5 + 3<<20, 5 + 3<<20}
	var last Progress
	steps := 0
	report := func(p Progress) {
		if p.Bytes < last.Bytes || p.Files < last.Files {
			t.Errorf("%+v after %+v", p, last)
		}
		last, steps = p, steps+1
	}
	s := build(t, fsys, &Options{Progress: report})
	if last != want || steps < 10 {
		t.Errorf("hashing: %d steps to %+v, want %+v", steps, last, want)
	}
	for _, what := range []string{"writing", "finding it there"} {
		last, steps = Progress{}, 0
		want := Progress{3, 3, 5 + 3<<20, 5 + 3<<20}
		if _, err := Publish(t.Context(), s, dir, &PublishOptions{Progress: report}); err != nil {
			t.Fatal(err)
		}
		if last != want || steps < 10 {
			t.Errorf("%s: %d steps to %+v, want %+v", what, steps, last, want)
		}
	}
}

// A large file is given up in the middle.
func TestCancelWithinFile(t *testing.T) {
	dir, fsys := folder(t, map[string]string{"large": strings.Repeat("x", 8<<20)})
	s := build(t, fsys, nil)
	for name, work := range map[string]func(context.Context, func(Progress)) error{
		"hashing": func(ctx context.Context, report func(Progress)) error {
			_, err := Build(ctx, fsys, &Options{Runtime: scripts, Progress: report})
			return err
		},
		"writing": func(ctx context.Context, report func(Progress)) error {
			_, err := Publish(ctx, s, dir, &PublishOptions{Progress: report})
			return err
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var last Progress
		err := work(ctx, func(p Progress) { last = p; cancel() })
		if !errors.Is(err, context.Canceled) || last.Bytes > 4<<20 {
			t.Errorf("%s: %v after %d bytes", name, err, last.Bytes)
		}
	}
}

// folder writes files into a new directory and gives it with its FS.
func folder(t testing.TB, files map[string]string) (string, fs.FS) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		write(t, filepath.Join(dir, name), data)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return dir, root.FS()
}

func write(t testing.TB, name, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}
