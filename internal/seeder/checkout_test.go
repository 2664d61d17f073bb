package seeder

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/store"
)

// checkout opens a checkout whose store holds a content, and gives the row of a file that has it.
func checkout(t *testing.T, dir, text string) (*Checkout, func(path string) manifest.File) {
	t.Helper()
	c, err := OpenCheckout(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	id := store.ID{Hash: merkle.Root([]byte(text)), Size: int64(len(text))}
	part, err := c.Store.Begin(id, merkle.BlockSize, nil)
	if err == nil {
		err = errors.Join(part.Write(0, []byte(text)), part.Finish())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c, func(path string) manifest.File { return manifest.File{Path: path, Hash: id.Hash, Size: id.Size} }
}

func TestPlace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	c, file := checkout(t, dir, "content")
	for _, path := range []string{"a.txt", "deep/er/b.txt", "deep/c d%.txt"} {
		if c.Has(file(path)) {
			t.Errorf("%s is there before it was placed", path)
		}
		if err := c.Place(file(path)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil || string(got) != "content" || !c.Has(file(path)) {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	// In the place of what is there, which is no other name's content.
	if err := os.WriteFile(filepath.Join(dir, "old.txt"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c.Has(file("old.txt")) {
		t.Error("other bytes were taken for the file")
	}
	if err := errors.Join(c.Place(file("old.txt")), c.Place(manifest.File{Path: "empty"})); err != nil {
		t.Error(err)
	}
	if err := c.Place(file("a.txt/below.txt")); err == nil {
		t.Error("a file was placed below a file")
	}
	if err := c.Place(file("deep")); err == nil {
		t.Error("a file took a folder's place")
	}
	// An edited file of an interrupted run is no longer the content that it was linked to.
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("edited!"), 0o644); err != nil {
		t.Fatal(err)
	}
	c.Close()
	again, err := OpenCheckout(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if f := file(""); again.Store.Has(store.ID{Hash: f.Hash, Size: f.Size}) || again.Has(file("a.txt")) {
		t.Error("edited bytes are trusted")
	}
}

// Nothing is written, and nothing believed, outside of the folder.
func TestPlaceOutside(t *testing.T) {
	outside := t.TempDir()
	dir := filepath.Join(t.TempDir(), "new")
	c, file := checkout(t, dir, "content")
	if err := os.WriteFile(filepath.Join(outside, "there.txt"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"link/a.txt", "../a.txt", "link/deep/a.txt"} {
		if err := c.Place(file(path)); err == nil {
			t.Errorf("%s was placed", path)
		}
	}
	if c.Has(file("link/there.txt")) {
		t.Error("a file outside was taken for the site's")
	}
	entries, err := os.ReadDir(outside)
	if err != nil || len(entries) != 1 {
		t.Errorf("outside are %v, %v", entries, err)
	}
}

func TestForeignFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCheckout(dir); !errors.Is(err, ErrForeign) {
		t.Errorf("got %v", err)
	}
}

// A folder's files are given as long as they are what they were.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) manifest.File {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return manifest.File{Path: name, Hash: merkle.Root([]byte(text)), Size: int64(len(text))}
	}
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	good, bad := write("good.txt", "good"), write("bad.txt", "bad")
	write("bad.txt", "BAD")
	r := &release.Release{
		Root:  &manifest.Root{Torrent: manifest.Torrent{PieceLength: merkle.BlockSize, Pieces: 2}},
		Files: []manifest.File{bad, good, {Path: "none.txt", Hash: good.Hash, Size: 5}},
	}
	left, err := f.Take(t.Context(), r, func(int64, int64) {})
	if err != nil || len(left) != 2 || left[0] != "bad.txt" || left[1] != "none.txt" {
		t.Errorf("left %v, %v", left, err)
	}
	id := store.ID{Hash: good.Hash, Size: good.Size}
	got := make([]byte, 2)
	if err := f.ReadAt(id, got, 1); err != nil || string(got) != "oo" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := f.Begin(id, merkle.BlockSize, nil); !errors.Is(err, store.ErrFull) {
		t.Errorf("begun: %v", err)
	}
	write("good.txt", "evil")
	if err := os.Chtimes(filepath.Join(dir, "good.txt"), time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := f.ReadAt(id, got, 1); err == nil || f.Has(id) {
		t.Errorf("a file that has changed is given: %q", got)
	}
}
