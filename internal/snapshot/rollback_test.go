package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
)

// versions are releases of a site in which everything happens that may happen to a path.
var versions = []map[string]string{
	{"index.html": "<head>1", "same.txt": "same", "gone/deep/a.txt": "gone", "folder": "a file", "file/in.txt": "in", "empty": "",
		"large.bin": strings.Repeat("large 1 ", 20_000), "page.html": "<img src=/same.txt>"},
	{"index.html": "<head>2", "same.txt": "same", "new/b.txt": "new", "folder/is.txt": "now", "file": "not any more", "empty": "no",
		"large.bin": strings.Repeat("large 2 ", 20_000), "page.html": "<img src=/same.txt>", "moved.txt": "gone"},
	{"index.html": "<head>3", "same.txt": "same"},
}

// become makes a folder hold these files of the site's own, and nothing else of them.
func become(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), "planktos") && !strings.HasPrefix(entry.Name(), ".") {
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, data := range files {
		write(t, filepath.Join(dir, name), data)
	}
}

// own gives the files that are the site's own.
func own(t testing.TB, dir string) map[string]string {
	files := tree(t, dir)
	maps.DeleteFunc(files, func(name string, _ string) bool { return strings.HasPrefix(name, "planktos") })
	return files
}

// released packs all versions into a folder, and gives it with what each of them was.
func released(t testing.TB, o *Options) (dir string, published []*Snapshot, files []map[string]string) {
	t.Helper()
	dir = t.TempDir()
	for _, version := range versions {
		become(t, dir, version)
		s, _ := publish(t, dir, o, &PublishOptions{Keep: 5})
		published, files = append(published, s), append(files, own(t, dir))
	}
	return dir, published, files
}

func TestRollback(t *testing.T) {
	dir, published, files := released(t, &Options{Tag: true, Publishing: true})
	if !strings.Contains(files[0]["index.html"], "install.js") {
		t.Fatal("pages have no tag")
	}
	secret := filepath.Join(dir, ".hidden", "file") // is of no release
	write(t, secret, "stays")
	files[0][".hidden/file"], files[1][".hidden/file"], files[2][".hidden/file"] = "stays", "stays", "stays"
	id := func(i int) merkle.Hash { return published[i].Root.Snapshot }
	for _, test := range []struct {
		to         string
		now        int
		superseded []merkle.Hash
	}{
		{"", 1, []merkle.Hash{id(2), id(0)}},
		{"", 2, []merkle.Hash{id(1), id(0)}},
		{id(0).String(), 0, []merkle.Hash{id(2), id(1)}},
		{id(1).String()[:8], 1, []merkle.Hash{id(0), id(2)}},
	} {
		done, err := Rollback(t.Context(), dir, RollbackOptions{Snapshot: test.to, Runtime: scripts})
		if err != nil {
			t.Fatal(err)
		}
		if done.Snapshot != id(test.now) {
			t.Errorf("went back to %s", done.Snapshot)
		}
		checkPublished(t, dir)
		checkHistory(t, dir, test.superseded...)
		for name, want := range map[string][]byte{ManifestFile: published[test.now].Manifest, TorrentFile: published[test.now].Torrent} {
			if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s is not what it was: %v", name, err)
			}
		}
		if got := own(t, dir); !maps.Equal(got, files[test.now]) {
			t.Errorf("version %d: the folder has %q, want %q", test.now+1, got, files[test.now])
		}
		// What was restored is what was packed.
		if s := build(t, rootFS(t, dir), &Options{Tag: true, Publishing: true}); !bytes.Equal(s.Manifest, published[test.now].Manifest) {
			t.Errorf("version %d: packed again, it is another", test.now+1)
		}
	}
}

// An interrupted rollback, and one that was done by hand in part, is completed.
func TestRollbackAfterInterruption(t *testing.T) {
	dir, published, files := released(t, nil)
	write(t, filepath.Join(dir, "index.html"), files[1]["index.html"])
	write(t, filepath.Join(dir, "new/b.txt"), files[1]["new/b.txt"])
	write(t, filepath.Join(dir, stageFolder, "restored-0"), "half")
	done, err := Rollback(t.Context(), dir, RollbackOptions{Runtime: scripts})
	if err != nil {
		t.Fatal(err)
	}
	if got := own(t, dir); !maps.Equal(got, files[1]) || done.Snapshot != published[1].Root.Snapshot {
		t.Errorf("the folder has %q", got)
	}
}

// With the scripts of another version the torrent is another, and the snapshot the same.
func TestRollbackWithAnotherRuntime(t *testing.T) {
	dir, published, files := released(t, nil)
	other := Runtime{Worker: []byte("w2"), Install: []byte("i2"), Engine: bytes.Repeat([]byte("engine"), 20_000)}
	done, err := Rollback(t.Context(), dir, RollbackOptions{Runtime: other})
	if err != nil {
		t.Fatal(err)
	}
	root := checkPublished(t, dir)
	if root.Snapshot != published[1].Root.Snapshot || root.Torrent.InfoHash == published[1].Root.Torrent.InfoHash {
		t.Errorf("snapshot %s, torrent %x", root.Snapshot, root.Torrent.InfoHash)
	}
	if !maps.Equal(own(t, dir), files[1]) || len(done.Superseded) != 2 {
		t.Errorf("%+v", done)
	}
}

func TestRollbackSharded(t *testing.T) {
	dir, _ := folder(t, nil)
	for i := range 300 {
		name := fmt.Sprintf("%c/%03d.html", 'a'+i/60, i)
		write(t, filepath.Join(dir, name), fmt.Sprintf("<img src=/a/000.html><img src=%03d.html>", i/2*2))
	}
	first, _ := publish(t, dir, nil, nil)
	write(t, filepath.Join(dir, "a/000.html"), "other")
	second, _ := publish(t, dir, nil, nil)
	if _, err := Rollback(t.Context(), dir, RollbackOptions{Runtime: scripts}); err != nil {
		t.Fatal(err)
	}
	checkHistory(t, dir, second.Root.Snapshot)
	if got, _ := os.ReadFile(filepath.Join(dir, ManifestFile)); !bytes.Equal(got, first.Manifest) || len(first.Root.Shards) == 0 {
		t.Error("the manifest is not what it was")
	}
}

// Nothing that is of no release is lost, and nothing is half done.
func TestRollbackRefused(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "file")
	write(t, outside, "outside")
	put := func(name, data string) func(*testing.T, string, []*Snapshot) {
		return func(t *testing.T, dir string, _ []*Snapshot) { write(t, filepath.Join(dir, name), data) }
	}
	for _, test := range []struct {
		name, to string
		spoil    func(t *testing.T, dir string, published []*Snapshot)
		want     string
	}{
		{"edited", "", put("same.txt", "edited"),
			"same.txt is not what was packed"},
		{"edited, of the same size", "", put("index.html", "<head>x"), "index.html is not what was packed"},
		{"new file in the way", "", put("moved.txt", "mine"),
			"moved.txt is not what was packed"},
		{"new folder in the way", "", put("file/mine.txt", "mine"),
			"file/mine.txt stands where file was"},
		{"new file in a folder's way", "", put("folder", "mine"),
			"folder stands where folder/is.txt was"},
		{"symbolic link", "", func(t *testing.T, dir string, _ []*Snapshot) {
			os.Rename(filepath.Join(dir, "index.html"), filepath.Join(dir, ".target"))
			if err := os.Symlink(".target", filepath.Join(dir, "index.html")); err != nil {
				t.Fatal(err)
			}
		}, "index.html is reached by a symbolic link"},
		{"link to nowhere", "", func(t *testing.T, dir string, _ []*Snapshot) {
			if err := os.Symlink("nowhere", filepath.Join(dir, "moved.txt")); err != nil {
				t.Fatal(err)
			}
		}, "moved.txt is reached by a symbolic link"},
		{"content missing", "", func(t *testing.T, dir string, published []*Snapshot) {
			f, _ := published[1].Lookup("large.bin")
			os.Remove(filepath.Join(dir, release.ContentFile(f.Hash)))
		}, "the content of large.bin: no such file"},
		{"content damaged", "", func(t *testing.T, dir string, published []*Snapshot) {
			f, _ := published[1].Lookup("moved.txt")
			write(t, filepath.Join(dir, release.ContentFile(f.Hash)), "enog")
		}, "the content of moved.txt, is damaged"},
		{"manifest damaged", "", put(ManifestFile, "{"),
			"no manifest of a packed site"},
		{"unknown snapshot", "0123456789", nil, "none that is kept begins with \"0123456789\""},
		{"several snapshots", "", func(t *testing.T, dir string, published []*Snapshot) {
			write(t, filepath.Join(dir, release.SupersededFile), `{"format":1,"superseded":[]}`)
		}, "no superseded snapshot is kept here"},
		{"in place", "", func(t *testing.T, dir string, _ []*Snapshot) {
			publish(t, dir, &Options{InPlace: true}, nil)
			write(t, filepath.Join(dir, "index.html"), "4")
			publish(t, dir, &Options{InPlace: true}, nil)
		}, "was packed in place"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, published, _ := released(t, nil)
			if test.spoil != nil {
				test.spoil(t, dir, published)
			}
			before := tree(t, dir)
			_, err := Rollback(t.Context(), dir, RollbackOptions{Snapshot: test.to, Runtime: scripts})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if !maps.Equal(tree(t, dir), before) {
				t.Error("the folder has changed")
			}
		})
	}
	if _, err := Rollback(t.Context(), t.TempDir(), RollbackOptions{Runtime: scripts}); !errors.Is(err, ErrNotPacked) {
		t.Errorf("not packed: %v", err)
	}
	dir, _, _ := released(t, nil)
	before := tree(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Rollback(ctx, dir, RollbackOptions{Runtime: scripts}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if !maps.Equal(tree(t, dir), before) {
		t.Error("cancelled: the folder has changed")
	}
}

func TestFindSnapshot(t *testing.T) {
	dir, _, _ := released(t, nil)
	h, err := readHistory(t.Context(), sourceOf(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	h.older[0].Root.Snapshot, h.older[1].Root.Snapshot = merkle.Hash{0xaa, 1}, merkle.Hash{0xaa, 2}
	for begin, want := range map[string]*release.Release{"": h.older[0], "aa01": h.older[0], "aa02": h.older[1], "aa": nil, "b": nil,
		h.current.Root.Snapshot.String(): nil} {
		if got, err := h.find(begin); got != want || (err == nil) != (want != nil) {
			t.Errorf("%q: %v, %v", begin, got, err)
		}
	}
}
