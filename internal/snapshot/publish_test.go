package snapshot

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
)

// publish packs dir and writes the snapshot into it.
func publish(t testing.TB, dir string, o *Options, po *PublishOptions) (*Snapshot, *Published) {
	t.Helper()
	s := build(t, rootFS(t, dir), o)
	done, err := Publish(t.Context(), s, dir, po)
	if err != nil {
		t.Fatal(err)
	}
	checkPublished(t, dir)
	return s, done
}

func rootFS(t testing.TB, dir string) fs.FS {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root.FS()
}

// checkPublished holds the packed site to its own manifest: all that it names is there and right, and nothing is left
// over from writing.
func checkPublished(t testing.TB, dir string) *manifest.Root {
	t.Helper()
	document, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	root, err := manifest.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	rows := root.Files
	for _, shard := range root.Shards {
		document, err := os.ReadFile(filepath.Join(dir, release.ShardFile(shard.Hash)))
		if err != nil || merkle.Root(document) != shard.Hash {
			t.Fatalf("shard %s: %v", shard.Hash, err)
		}
		files, err := manifest.ParseShard(document, root.Torrent)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, files...)
	}
	for _, row := range rows {
		copied := filepath.Join(dir, Folder, row.Hash.String())
		if root.Copies && row.Size > 0 {
			data, err := os.ReadFile(copied)
			if err != nil || merkle.Root(data) != row.Hash || int64(len(data)) != row.Size {
				t.Errorf("copy of %s: %v", row.Path, err)
			}
		}
		if row.Size > root.Torrent.PieceLength {
			layer, err := os.ReadFile(copied + ".layer")
			if err != nil {
				t.Fatal(err)
			}
			hashes := make([]merkle.Hash, len(layer)/32)
			for i := range hashes {
				copy(hashes[i][:], layer[32*i:])
			}
			if err := merkle.VerifyLayer(row.Hash, row.Size, root.Torrent.PieceLength, hashes); err != nil {
				t.Errorf("layer of %s: %v", row.Path, err)
			}
		}
	}
	if left := temporary(t, dir); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
	return root
}

// temporary lists what writing may leave behind.
func temporary(t testing.TB, dir string) (left []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if base := filepath.Base(name); base == ".pack" || strings.HasPrefix(base, tempPrefix) {
			left = append(left, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// tree gives the contents of all files of a folder.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			data, readErr := os.ReadFile(filepath.Join(dir, name))
			files[name], err = string(data), readErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestPublish(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "one", "a/b.css": "same", "c.css": "same", "empty": "",
		"big": strings.Repeat("big ", 1<<18), "planktos/mine.txt": "foreign"})
	s, done := publish(t, dir, nil, nil)
	if want := 3 + 1 + 3 + 2; done.Written != want || done.Kept != 0 {
		t.Errorf("wrote %+v, want %d", done, want)
	}
	before := tree(t, dir)
	for name, data := range before {
		if entry, err := s.Open(name); err == nil {
			entry.Close()
			if string(read(t, s, name)) != data {
				t.Errorf("%s: what is served and what is published differ", name)
			}
		} else if name != "planktos/mine.txt" {
			t.Errorf("%s is written, and not served", name)
		}
	}
	// Once more: the same bytes, and nothing is written.
	if _, done := publish(t, dir, nil, nil); done.Written != 0 || done.Removed != 0 {
		t.Errorf("second time: %+v", done)
	}
	if after := tree(t, dir); len(after) != len(before) {
		t.Errorf("second time: %d files, then %d", len(before), len(after))
	}
	// A copy that was damaged is made anew.
	f, _ := s.Lookup("index.html")
	write(t, filepath.Join(dir, Folder, f.Hash.String()), "0ne")
	if _, done := publish(t, dir, nil, nil); done.Written != 1 {
		t.Errorf("after damage: %+v", done)
	}
}

func TestPublishKeepsOneSupersededSnapshot(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "1", "same": "same"})
	copies := func(s *Snapshot, name string) string {
		f, _ := s.Lookup(name)
		return filepath.Join(dir, Folder, f.Hash.String())
	}
	exists := func(name string) bool { _, err := os.Stat(name); return err == nil }
	var old []string
	for _, version := range []string{"1", "2", "3"} {
		write(t, filepath.Join(dir, "index.html"), version)
		s, _ := publish(t, dir, nil, nil)
		publish(t, dir, &Options{Policy: manifest.Policy{Mode: "ask"}}, nil) // the same snapshot supersedes none
		old = append(old, copies(s, "index.html"))
	}
	if exists(old[0]) || !exists(old[1]) || !exists(old[2]) {
		t.Errorf("versions 1 to 3 exist: %v %v %v", exists(old[0]), exists(old[1]), exists(old[2]))
	}
	write(t, filepath.Join(dir, "index.html"), "4")
	publish(t, dir, nil, &PublishOptions{Keep: -1})
	if exists(old[1]) || exists(old[2]) {
		t.Error("superseded contents are still there")
	}
}

func TestPublishSharded(t *testing.T) {
	files := map[string]string{}
	for i := range 400 {
		name := string(rune('a'+i%20)) + "/" + strings.Repeat("x", i/20+1)
		files[name] = name
	}
	dir, _ := folder(t, files)
	for _, inPlace := range []bool{false, true, false} {
		publish(t, dir, &Options{InPlace: inPlace}, nil)
	}
	if root := checkPublished(t, dir); len(root.Shards) < 3 {
		t.Errorf("%d shards", len(root.Shards))
	}
	if s := build(t, rootFS(t, dir), nil); len(s.Files) != 400 {
		t.Errorf("packed again: %d files", len(s.Files))
	}
}

// An interrupted pack: what it has staged lies there, and its contents may be in place already.
func TestPublishAfterInterruption(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "1"})
	publish(t, dir, nil, nil)
	stray := filepath.Join(dir, Folder, strings.Repeat("ab", 32))
	write(t, stray, "of a snapshot that never was")
	write(t, filepath.Join(dir, stageFolder, "deep", "manifest.json"), "{")
	checkStill(t, dir, "1")
	write(t, filepath.Join(dir, "index.html"), "2")
	publish(t, dir, nil, nil)
	if _, err := os.Stat(stray); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the stray content: %v", err)
	}
}

// checkStill checks that the published snapshot is the one of index.html with this content.
func checkStill(t testing.TB, dir, want string) {
	t.Helper()
	document, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	root, err := manifest.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	row, _ := manifest.Lookup(root.Files, "index.html")
	if data, err := os.ReadFile(filepath.Join(dir, Folder, row.Hash.String())); err != nil || string(data) != want {
		t.Errorf("published is %q, %v, want %q", data, err, want)
	}
}

func TestPublishRefusals(t *testing.T) {
	dir, fsys := folder(t, map[string]string{"index.html": "1", "x": "x"})
	publish(t, dir, nil, nil)

	write(t, filepath.Join(dir, "index.html"), "2")
	s := build(t, fsys, nil)
	write(t, filepath.Join(dir, "index.html"), "changed since")
	if _, err := Publish(t.Context(), s, dir, nil); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "index.html") {
		t.Errorf("changed file: %v", err)
	}
	checkStill(t, dir, "1")
	if left := temporary(t, dir); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Publish(ctx, build(t, fsys, nil), dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	checkStill(t, dir, "1")

	if _, err := Publish(t.Context(), s, filepath.Join(dir, "missing"), nil); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("missing folder: %v", err)
	}
	other := t.TempDir()
	write(t, filepath.Join(other, "planktos"), "a file in the way")
	if _, err := Publish(t.Context(), s, other, nil); err == nil || !strings.Contains(err.Error(), other) {
		t.Errorf("a file in the way: %v", err)
	}
	outside := t.TempDir()
	other = t.TempDir()
	if err := os.Symlink(outside, filepath.Join(other, "planktos")); err != nil {
		t.Fatal(err)
	}
	if _, err := Publish(t.Context(), s, other, nil); err == nil {
		t.Error("wrote through a symbolic link that leaves the folder")
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("wrote outside: %v", left)
	}
}

func TestPublishRuntime(t *testing.T) {
	dir := t.TempDir()
	if _, err := PublishRuntime(t.Context(), dir, scripts); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{WorkerFile: "worker", InstallFile: "install", EngineFile: "engine"}
	got := tree(t, dir)
	if len(got) != len(want) || got[WorkerFile] != "worker" || got[InstallFile] != "install" || got[EngineFile] != "engine" {
		t.Errorf("got %q", got)
	}
}

func TestHardLink(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "1", "target": "2"})
	if err := os.Symlink("target", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	publish(t, dir, nil, &PublishOptions{AllowHardLink: true})
}

func TestRemove(t *testing.T) {
	files := map[string]string{"index.html": "<head><p>ü", "a/b.html": "<!doctype html>\r\n<title>x</title>", "c.txt": "c",
		"ignored.html": "<html>", "utf16.html": "\xff\xfe<\x00"}
	for _, hand := range []bool{false, true} {
		dir, _ := folder(t, files)
		want := tree(t, dir)
		if hand {
			const page = `<script defer src=planktos/install.js></script>`
			write(t, filepath.Join(dir, "hand.html"), page)
			want["hand.html"], want[InstallFile] = page, idleInstall
		}
		both := &Options{Base: "/x/", Tag: true, FirstVisit: true}
		if _, done := publish(t, dir, both, nil); done.Pages != 3 && !hand || done.Pages != 4 && hand {
			t.Fatalf("changed %d pages", done.Pages)
		}
		once := tree(t, dir)
		if _, done := publish(t, dir, both, nil); done.Pages != 0 || done.Written != 0 {
			t.Errorf("again: %+v", done)
		}
		if !maps.Equal(tree(t, dir), once) {
			t.Error("packed twice, the folder is not the same")
		}
		write(t, filepath.Join(dir, IgnoreFile), "ignored.html\n")
		write(t, filepath.Join(dir, "planktos/mine.txt"), "mine")
		want[IgnoreFile], want["planktos/mine.txt"], want[WorkerFile] = "ignored.html\n", "mine", "bye"
		publish(t, dir, both, nil)
		removed, err := Remove(t.Context(), dir, RemoveOptions{Worker: []byte("bye")})
		if err != nil {
			t.Fatal(err)
		}
		if len(removed.Pages) != 3 && !hand || len(removed.Pages) != 4 && hand || !slices.Equal(removed.Foreign, []string{"planktos/mine.txt"}) || (len(removed.Tagged) > 0) != hand {
			t.Errorf("removed %+v", removed)
		}
		got := tree(t, dir)
		for name := range want {
			if got[name] != want[name] {
				t.Errorf("%s: got %q, want %q", name, got[name], want[name])
			}
		}
		if len(got) != len(want) {
			t.Errorf("got %d files, want %d", len(got), len(want))
		}
		again, err := Remove(t.Context(), dir, RemoveOptions{Worker: []byte("bye")})
		if err != nil || again.Files > 0 || len(again.Pages) > 0 || !maps.Equal(tree(t, dir), got) {
			t.Errorf("again: %+v, %v", again, err)
		}
	}
	dir, _ := folder(t, map[string]string{"index.html": "x", "planktos/install.txt": "x"})
	before := tree(t, dir)
	if _, err := Remove(t.Context(), dir, RemoveOptions{Worker: []byte("bye")}); !errors.Is(err, ErrNotPacked) {
		t.Errorf("a folder that is not packed: %v", err)
	}
	if len(tree(t, dir)) != len(before) {
		t.Error("touched a folder that is not packed")
	}
	if _, err := Remove(t.Context(), dir, RemoveOptions{Worker: []byte("bye"), Force: true}); err != nil {
		t.Error(err)
	}
	before[WorkerFile] = "bye"
	if got := tree(t, dir); !maps.Equal(got, before) {
		t.Errorf("forced: %v", got)
	}
}

func TestPublishPages(t *testing.T) {
	dir, fsys := folder(t, map[string]string{"index.html": "<head>", "same.html": "<head>", tempPrefix + "left": "over",
		".hidden/page.html": "<head>hidden"})
	page := filepath.Join(dir, "index.html")
	if err := os.Chmod(page, 0o640); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"in.html": "index.html", "out.html": ".hidden/page.html"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	before := tree(t, dir)
	s := build(t, fsys, &Options{Tag: true, Publishing: true})
	if after := tree(t, dir); !maps.Equal(after, before) {
		t.Error("building changed the folder")
	}
	done, err := Publish(t.Context(), s, dir, nil)
	if err != nil || done.Pages != 2 {
		t.Fatalf("%+v, %v", done, err)
	}
	info, err := os.Lstat(page)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(filepath.Join(dir, "in.html")); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
	if left := temporary(t, dir); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
	// What was packed is what lies there now, and packing anew finds nothing to do.
	for _, f := range s.Files {
		data, err := os.ReadFile(filepath.Join(dir, f.Path))
		if err != nil || merkle.Root(data) != f.Hash {
			t.Errorf("%s: %q, %v, is not what was packed", f.Path, data, err)
		}
		copied, err := os.ReadFile(filepath.Join(dir, Folder, f.Hash.String()))
		if err != nil || merkle.Root(copied) != f.Hash {
			t.Errorf("the copy of %s: %v", f.Path, err)
		}
	}
	again := build(t, fsys, &Options{Tag: true, Publishing: true})
	if again.ID() != s.ID() {
		t.Error("packed again, it is another snapshot")
	}
}

// A pack that fails leaves every page as it was, whether it fails before or while pages are written.
func TestPublishFailsWithoutTouchingPages(t *testing.T) {
	for name, spoil := range map[string]func(dir string){
		"a content has changed": func(dir string) { write(t, filepath.Join(dir, "data.bin"), "other") },
		"a page has changed":    func(dir string) { write(t, filepath.Join(dir, "b.html"), "<head>other") },
		"a page has gone":       func(dir string) { os.Remove(filepath.Join(dir, "b.html")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, fsys := folder(t, map[string]string{"a.html": "<head>a", "b.html": "<head>b", "data.bin": "data"})
			publish(t, dir, nil, nil)
			write(t, filepath.Join(dir, "data.bin"), "new data")
			s := build(t, fsys, &Options{Tag: true, Publishing: true})
			spoil(dir)
			want := tree(t, dir)
			if _, err := Publish(t.Context(), s, dir, nil); !errors.Is(err, ErrChanged) {
				t.Errorf("error %v", err)
			}
			if got := tree(t, dir); !maps.Equal(got, want) {
				t.Error("the folder has changed")
			}
		})
	}
	dir, fsys := folder(t, map[string]string{"a.html": "<head>a"})
	s := build(t, fsys, &Options{Tag: true, Publishing: true})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Publish(ctx, s, dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got := tree(t, dir); len(got) != 1 || got["a.html"] != "<head>a" {
		t.Errorf("cancelled: %q", got)
	}
}
