package release

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
)

// files makes a file table of "path content" lines, sorted by path.
func files(lines ...string) *Release {
	r := &Release{Root: new(manifest.Root), Manifest: []byte(strings.Join(lines, "\n"))}
	for _, line := range lines {
		path, content, _ := strings.Cut(line, " ")
		r.Files = append(r.Files, manifest.File{Path: path, Hash: merkle.Root([]byte(content)), Size: int64(len(content))})
	}
	return r
}

func TestCompare(t *testing.T) {
	for _, test := range []struct {
		name       string
		old, new   []string
		want       []Change
		contents   int
		bytes      int64
		totalBytes int64
		unchanged  int
	}{
		{"the same", []string{"a 1", "b 22"}, []string{"a 1", "b 22"}, nil, 0, 0, 3, 2},
		{"changed", []string{"a 1", "b 22"}, []string{"a 4444", "b 22"},
			[]Change{{Changed, "a", "", 1, 4, 4}}, 1, 4, 6, 1},
		{"added and removed", []string{"a 1", "c 333"}, []string{"b 22", "c 333"},
			[]Change{{Removed, "a", "", 1, 0, 0}, {Added, "b", "", 0, 2, 2}}, 1, 2, 5, 1},
		{"moved", []string{"a 1", "z 333"}, []string{"b 1", "c 333"},
			[]Change{{Moved, "b", "a", 1, 1, 0}, {Moved, "c", "z", 3, 3, 0}}, 0, 0, 4, 0},
		{"one of two moved", []string{"a 1", "b 1"}, []string{"c 1"},
			[]Change{{Removed, "b", "", 1, 0, 0}, {Moved, "c", "a", 1, 1, 0}}, 0, 0, 1, 0},
		{"copied", []string{"a 1"}, []string{"a 1", "b 1"},
			[]Change{{Added, "b", "", 0, 1, 0}}, 0, 0, 1, 1},
		{"swapped", []string{"a 1", "b 22"}, []string{"a 22", "b 1"},
			[]Change{{Changed, "a", "", 1, 2, 0}, {Changed, "b", "", 2, 1, 0}}, 0, 0, 3, 0},
		{"one content twice", nil, []string{"a 1", "b 1"},
			[]Change{{Added, "a", "", 0, 1, 1}, {Added, "b", "", 0, 1, 0}}, 1, 1, 1, 0},
		{"empty files", []string{"a "}, []string{"b "},
			[]Change{{Removed, "a", "", 0, 0, 0}, {Added, "b", "", 0, 0, 0}}, 0, 0, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			old, now := files(test.old...), files(test.new...)
			got := Compare(old, now)
			if !slices.Equal(got.Changes, test.want) {
				t.Errorf("got  %+v\nwant %+v", got.Changes, test.want)
			}
			if got.Contents != test.contents || got.Bytes != test.bytes || got.TotalBytes != test.totalBytes ||
				got.Unchanged != test.unchanged {
				t.Errorf("got %+v", got)
			}
			if tables := string(old.Manifest) != string(now.Manifest); tables != (got.TableBytes > 0) {
				t.Errorf("tables of %d bytes", got.TableBytes)
			}
		})
	}
	old, now := files("a 1"), files("b 1")
	old.Root.Shards = []manifest.Shard{{From: "", Hash: merkle.Hash{1}, Size: 100}, {From: "b", Hash: merkle.Hash{2}, Size: 200}}
	now.Root.Shards = []manifest.Shard{{From: "", Hash: merkle.Hash{1}, Size: 100}, {From: "b", Hash: merkle.Hash{3}, Size: 300}}
	if got := Compare(old, now); got.Shards != 1 || got.TableBytes != 300+int64(len(now.Manifest)) {
		t.Errorf("shards: %+v", got)
	}
}

func TestDir(t *testing.T) {
	path := t.TempDir()
	root, err := os.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	src := Dir(root)
	if err := os.Mkdir(filepath.Join(path, "planktos"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = Read(t.Context(), src, ManifestFile)
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), src.Where(ManifestFile)+": ") {
		t.Errorf("nothing there: %v", err)
	}
	// A pipe would be waited for, for ever.
	if err := syscall.Mkfifo(filepath.Join(path, ManifestFile), 0o644); err != nil {
		t.Skip(err)
	}
	if _, err := Read(t.Context(), src, ManifestFile); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a pipe: %v", err)
	}
	if err := os.Remove(filepath.Join(path, ManifestFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(path, ManifestFile)); err != nil {
		t.Fatal(err)
	}
	if f, err := src.Open(context.Background(), ManifestFile); err == nil {
		f.Close()
		t.Error("followed a link out of the folder")
	}
}
