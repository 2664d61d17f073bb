package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
)

// checkHistory holds the list of superseded snapshots to what is wanted, each of them complete, and planktos/ to hold
// nothing by hash that neither they nor the published snapshot name.
func checkHistory(t testing.TB, dir string, want ...merkle.Hash) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	h, err := readHistory(t.Context(), release.Dir(root))
	if err != nil || len(h.lost) > 0 {
		t.Fatalf("%v, lost %v", err, h.lost)
	}
	named := map[string]bool{}
	var got []merkle.Hash
	for i, r := range append([]*release.Release{h.current}, h.older...) {
		id := r.Root.Snapshot
		if i > 0 {
			named[release.SnapshotFile(id)] = true
			if id != h.current.Root.Snapshot {
				got = append(got, id)
			}
		}
		for _, name := range r.Names() {
			named[name] = true
		}
		for _, f := range r.Files {
			data, err := root.ReadFile(release.ContentFile(f.Hash))
			if f.Size > 0 && r.Root.Copies && (err != nil || merkle.Root(data) != f.Hash) {
				t.Errorf("%s of snapshot %.6s: %v", f.Path, id, err)
			}
			_, err = root.Stat(release.LayerFile(f.Hash))
			if f.Size > r.Root.Torrent.PieceLength && err != nil {
				t.Errorf("layer of %s of snapshot %.6s: %v", f.Path, id, err)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("superseded are %.6s, want %.6s", got, want)
	}
	err = fs.WalkDir(root.FS(), Folder, func(name string, _ fs.DirEntry, err error) error {
		if byHash.MatchString(name) && !named[name] {
			t.Errorf("nothing names %s", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPublishKeeps(t *testing.T) {
	for _, keep := range []int{-1, 0, 1, 3} {
		t.Run(fmt.Sprint(keep), func(t *testing.T) {
			dir, _ := folder(t, map[string]string{"same": "same", "large": strings.Repeat("large ", 20_000)})
			var ids []merkle.Hash // the newest first
			want := func() []merkle.Hash {
				n := map[int]int{-1: 0, 0: 1}[keep]
				if keep > 0 {
					n = keep
				}
				return ids[1:min(len(ids), n+1)]
			}
			for i := range 5 {
				write(t, filepath.Join(dir, "index.html"), fmt.Sprintf("page %d", i))
				s, done := publish(t, dir, nil, &PublishOptions{Keep: keep})
				ids = slices.Insert(ids, 0, s.Root.Snapshot)
				checkHistory(t, dir, want()...)
				if !slices.Equal(done.Superseded, want()) {
					t.Errorf("reported %.6s", done.Superseded)
				}
				// The same snapshot anew supersedes none, whatever its manifest.
				publish(t, dir, &Options{Policy: manifest.Policy{Mode: "ask"}}, &PublishOptions{Keep: keep})
				checkHistory(t, dir, want()...)
			}
			// Nor does one that has been there before: it is not superseded any more.
			write(t, filepath.Join(dir, "index.html"), "page 3")
			publish(t, dir, nil, &PublishOptions{Keep: keep})
			ids = []merkle.Hash{ids[1], ids[0], ids[2], ids[3], ids[4]}
			checkHistory(t, dir, want()...)
		})
	}
}

// The shards of a release stay as long as it does, and go when nothing names them any more.
func TestPublishPrunesShards(t *testing.T) {
	files := map[string]string{}
	for i := range 300 {
		files[fmt.Sprintf("%c/%03d", 'a'+i/60, i)] = fmt.Sprint(i)
	}
	dir, _ := folder(t, files)
	var ids []merkle.Hash
	for i := range 4 {
		write(t, filepath.Join(dir, "a/000"), fmt.Sprintf("changed %d", i))
		s, _ := publish(t, dir, nil, nil)
		if len(s.Root.Shards) < 3 {
			t.Fatalf("%d shards", len(s.Root.Shards))
		}
		ids = slices.Insert(ids, 0, s.Root.Snapshot)
		checkHistory(t, dir, ids[1:min(len(ids), 2)]...)
	}
	// Another runtime moves the pieces of an unchanged site, and so makes other shards: the old ones stay for one more
	// manifest.
	old := checkPublished(t, dir).Shards
	longer := scripts
	longer.Engine = []byte(strings.Repeat("engine", 10_000))
	publish(t, dir, &Options{Runtime: longer}, nil)
	exists := func(s manifest.Shard) bool {
		_, err := os.Stat(filepath.Join(dir, release.ShardFile(s.Hash)))
		return err == nil
	}
	if now := checkPublished(t, dir).Shards; slices.Equal(now, old) || !exists(old[0]) {
		t.Errorf("shards %v, then %v", old[0].Hash, now[0].Hash)
	}
	checkHistory(t, dir, ids[1])
	write(t, filepath.Join(dir, "a/000"), "changed again")
	publish(t, dir, &Options{Runtime: longer}, nil)
	write(t, filepath.Join(dir, "a/000"), "and again")
	publish(t, dir, &Options{Runtime: longer}, nil)
	if exists(old[0]) {
		t.Error("a shard that nothing names is still there")
	}
}

// Where it cannot be known what has been published, nothing is pruned.
func TestPublishPrunesNothingUnknown(t *testing.T) {
	for _, spoiled := range []string{"manifest", "list", "superseded manifest"} {
		t.Run(spoiled, func(t *testing.T) {
			dir, _ := folder(t, map[string]string{"index.html": "1"})
			first, _ := publish(t, dir, nil, nil)
			write(t, filepath.Join(dir, "index.html"), "2")
			publish(t, dir, nil, nil)
			name := map[string]string{
				"manifest": ManifestFile, "list": release.SupersededFile,
				"superseded manifest": release.SnapshotFile(first.Root.Snapshot),
			}[spoiled]
			write(t, filepath.Join(dir, name), "{")
			write(t, filepath.Join(dir, "index.html"), "3")
			if _, done := publish(t, dir, nil, nil); done.Removed != 0 {
				t.Errorf("removed %d files", done.Removed)
			}
			// The next pack knows again.
			write(t, filepath.Join(dir, "index.html"), "4")
			if _, done := publish(t, dir, nil, nil); done.Removed == 0 {
				t.Error("removed nothing")
			}
			checkPublished(t, dir)
		})
	}
}

// A pack that was interrupted right before its manifest has the published snapshot among the superseded already.
func TestPublishAfterInterruptedHistory(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "1"})
	first, _ := publish(t, dir, nil, nil)
	write(t, filepath.Join(dir, release.SnapshotFile(first.Root.Snapshot)), string(first.Manifest))
	list, err := manifest.EncodeSuperseded([]merkle.Hash{first.Root.Snapshot})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, release.SupersededFile), string(list))
	if _, err := Rollback(t.Context(), dir, RollbackOptions{Runtime: scripts}); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("went back to what is published: %v", err)
	}
	write(t, filepath.Join(dir, "index.html"), "2")
	publish(t, dir, nil, &PublishOptions{Keep: 2})
	checkHistory(t, dir, first.Root.Snapshot)
}
