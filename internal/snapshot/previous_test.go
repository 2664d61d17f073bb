package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
)

// elsewhere is a packed site that is published, with files that are not what they should be.
type elsewhere struct {
	release.Source
	spoiled map[string]func(good []byte) ([]byte, error)
	opened  func(name string)
}

func (e elsewhere) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if e.opened != nil {
		e.opened(name)
	}
	spoil := e.spoiled[name]
	if spoil == nil {
		return e.Source.Open(ctx, name)
	}
	good, err := release.ReadFile(ctx, e.Source, name, 1<<30)
	if err != nil {
		good = nil
	}
	bad, err := spoil(good)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Where(name), err)
	}
	return io.NopCloser(strings.NewReader(string(bad))), nil
}

func (e elsewhere) Where(name string) string { return "https://host/" + name }

func sourceOf(t testing.TB, dir string) release.Source {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return release.Dir(root)
}

// deployed packs releases of a site that has shards and a content of several pieces, and gives the folder.
func deployed(t testing.TB, keep, releases int) string {
	t.Helper()
	dir, _ := folder(t, map[string]string{"large": strings.Repeat("large 0 ", 20_000)})
	for i := range 200 {
		write(t, filepath.Join(dir, fmt.Sprintf("%c/%03d", 'a'+i/40, i)), fmt.Sprint(i))
	}
	for i := range releases {
		next(t, dir, i)
		publish(t, dir, nil, &PublishOptions{Keep: keep})
	}
	return dir
}

// next changes some of the site.
func next(t testing.TB, dir string, i int) {
	t.Helper()
	write(t, filepath.Join(dir, "a/000"), fmt.Sprintf("release %d", i))
	write(t, filepath.Join(dir, "large"), strings.Repeat(fmt.Sprintf("large %d ", i/2), 20_000))
}

// checkout makes a folder of the site's own files alone.
func checkout(t testing.TB, dir string) string {
	t.Helper()
	files := tree(t, dir)
	maps.DeleteFunc(files, func(name string, _ string) bool { return strings.HasPrefix(name, "planktos") })
	fresh, _ := folder(t, files)
	return fresh
}

// In a fresh checkout, what is published elsewhere makes the same folder as the one that was published from.
func TestPrevious(t *testing.T) {
	for _, keep := range []int{-1, 1, 2, 9} {
		dir := deployed(t, keep, 4)
		fresh := checkout(t, dir)
		next(t, dir, 4)
		next(t, fresh, 4)
		copied := t.TempDir() // of what is deployed, as it was
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		publish(t, dir, nil, &PublishOptions{Keep: keep})
		_, done := publish(t, fresh, nil, &PublishOptions{Keep: keep, Previous: sourceOf(t, copied)})
		if done.Previous == nil || len(done.Lost) > 0 {
			t.Errorf("keep %d: %+v", keep, done)
		}
		got, want := tree(t, fresh), tree(t, dir)
		for name := range want {
			if got[name] != want[name] {
				t.Errorf("keep %d: %s differs", keep, name)
			}
		}
		if len(got) != len(want) {
			t.Errorf("keep %d: %d files, want %d", keep, len(got), len(want))
		}

		// Again, nothing is fetched but what says what there is.
		asked := elsewhere{Source: sourceOf(t, copied), opened: func(name string) {
			if regexp.MustCompile(`^planktos/[0-9a-f]{64}`).MatchString(name) {
				t.Errorf("fetched %s", name)
			}
		}}
		publish(t, fresh, nil, &PublishOptions{Keep: keep, Previous: asked})
	}
}

// Where nothing is published yet, the folder's own past counts: a wrong URL must not cost it.
func TestPreviousOfNothing(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "1"})
	first, done := publish(t, dir, nil, &PublishOptions{Previous: sourceOf(t, t.TempDir())})
	if !done.First || done.Previous != nil || len(done.Superseded) > 0 {
		t.Errorf("%+v", done)
	}
	write(t, filepath.Join(dir, "index.html"), "2")
	_, done = publish(t, dir, nil, &PublishOptions{Previous: sourceOf(t, t.TempDir())})
	if !done.First || done.Previous == nil || *done.Previous != first.Root.Snapshot {
		t.Errorf("%+v", done)
	}
	checkHistory(t, dir, first.Root.Snapshot)
	_, done = publish(t, dir, nil, &PublishOptions{Previous: sourceOf(t, dir)})
	if done.First {
		t.Errorf("%+v", done)
	}
}

// What cannot be believed, or not be reached, ends the pack before anything has changed.
func TestPreviousRefused(t *testing.T) {
	dir := deployed(t, 2, 3)
	good, err := release.Read(t.Context(), sourceOf(t, dir), ManifestFile)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := release.Superseded(t.Context(), sourceOf(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	shard := release.ShardFile(good.Root.Shards[0].Hash)
	errNetwork := errors.New("connection refused")
	say := func(document string) func([]byte) ([]byte, error) {
		return func([]byte) ([]byte, error) { return []byte(document), nil }
	}
	fail := func(err error) func([]byte) ([]byte, error) {
		return func([]byte) ([]byte, error) { return nil, err }
	}
	replace := func(pattern, by string) func([]byte) ([]byte, error) {
		return func(good []byte) ([]byte, error) {
			bad := regexp.MustCompile(pattern).ReplaceAll(good, []byte(by))
			if string(bad) == string(good) {
				t.Errorf("%s is not there", pattern)
			}
			return bad, nil
		}
	}
	for _, test := range []struct {
		name, file string
		spoil      func([]byte) ([]byte, error)
		want       string
	}{
		{"a page instead", ManifestFile, say("<!doctype html>"), "no manifest of a packed site"},
		{"empty", ManifestFile, say(""), "no manifest of a packed site"},
		{"too large", ManifestFile, say(strings.Repeat(" ", 5<<20)), "larger than"},
		{"cut short", ManifestFile, func(good []byte) ([]byte, error) { return good[:len(good)/2], nil }, "not a JSON object"},
		{"another id", ManifestFile, replace(`"snapshot":"........`, `"snapshot":"00000000`), "the snapshot's id"},
		{"unreachable", ManifestFile, fail(errNetwork), "refused"},
		{"a shard is missing", shard, fail(fs.ErrNotExist), "not there"},
		{"a shard is another", shard, replace(`b/04`, `b/05`), "not the shard"},
		{"a shard is unreachable", shard, fail(errNetwork), "refused"},
		{"the list is unreachable", release.SupersededFile, fail(errNetwork), "refused"},
		{"a superseded one is unreachable", release.SnapshotFile(ids[0]), fail(errNetwork), "refused"},
		{"a content is unreachable", contentOf(t, dir, ids[0], "a/000"), fail(errNetwork), "refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fresh := checkout(t, dir)
			next(t, fresh, 3)
			before := tree(t, fresh)
			src := elsewhere{Source: sourceOf(t, dir), spoiled: map[string]func([]byte) ([]byte, error){test.file: test.spoil}}
			_, err := Publish(t.Context(), build(t, rootFS(t, fresh), nil), fresh, &PublishOptions{Keep: 2, Previous: src})
			if _, previous := errors.AsType[*PreviousError](err); !previous ||
				!strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "https://host/"+test.file) {
				t.Errorf("error %v", err)
			}
			if !maps.Equal(tree(t, fresh), before) {
				t.Error("the folder has changed")
			}
		})
	}
}

// contentOf is the name of a file's content in a superseded snapshot.
func contentOf(t testing.TB, dir string, id merkle.Hash, path string) string {
	t.Helper()
	r, err := release.Read(t.Context(), sourceOf(t, dir), release.SnapshotFile(id))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Files {
		if f.Path == path {
			return release.ContentFile(f.Hash)
		}
	}
	t.Fatalf("%s is not in %s", path, id)
	return ""
}

// What is missing or wrong of a superseded snapshot is left out, and the rest is kept.
func TestPreviousLost(t *testing.T) {
	dir := deployed(t, 2, 3)
	ids, err := release.Superseded(t.Context(), sourceOf(t, dir))
	if err != nil || len(ids) != 2 {
		t.Fatal(ids, err)
	}
	content := contentOf(t, dir, ids[0], "a/000")
	say := func(document string) func([]byte) ([]byte, error) {
		return func([]byte) ([]byte, error) { return []byte(document), nil }
	}
	gone := func([]byte) ([]byte, error) { return nil, fs.ErrNotExist }
	for _, test := range []struct {
		name, file string
		spoil      func([]byte) ([]byte, error)
		superseded int
	}{
		{"content gone", content, gone, 2},
		{"content of the same size", content, say("release X"), 2},
		{"content too long", content, say(strings.Repeat("release 1", 1_000_000)), 2},
		{"content empty", content, say(""), 2},
		{"list hostile", release.SupersededFile, say(`{"format":1,"superseded":["../../../../etc/passwd"]}`), 1},
		{"list a page", release.SupersededFile, say(`<!doctype html>`), 1},
		{"manifest gone", release.SnapshotFile(ids[0]), gone, 2},
		{"manifest garbage", release.SnapshotFile(ids[0]), say("{}"), 2},
		{"manifest of another snapshot", release.SnapshotFile(ids[0]), func([]byte) ([]byte, error) {
			return os.ReadFile(filepath.Join(dir, ManifestFile))
		}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			fresh := checkout(t, dir)
			next(t, fresh, 3)
			src := elsewhere{Source: sourceOf(t, dir), spoiled: map[string]func([]byte) ([]byte, error){test.file: test.spoil}}
			_, done := publish(t, fresh, nil, &PublishOptions{Keep: 2, Previous: src})
			if len(done.Lost) != 1 || !strings.Contains(done.Lost[0].Error(), "https://host/"+test.file) {
				t.Errorf("lost %v", done.Lost)
			}
			if len(done.Superseded) != test.superseded {
				t.Errorf("keeps %.6s", done.Superseded)
			}
			if _, err := os.Stat(filepath.Join(fresh, content)); test.file == content && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("wrote the wrong content: %v", err)
			}
		})
	}
}

// A host that has none of the copies is not asked for ever.
func TestPreviousLosesTooMuch(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "1"})
	for i := range maxLost + 10 {
		write(t, filepath.Join(dir, fmt.Sprint(i)), fmt.Sprint(i))
	}
	s, _ := publish(t, dir, nil, nil)
	spoiled := map[string]func([]byte) ([]byte, error){}
	for _, f := range s.Files {
		spoiled[release.ContentFile(f.Hash)] = func([]byte) ([]byte, error) { return nil, fs.ErrNotExist }
	}
	fresh, _ := folder(t, map[string]string{"index.html": "2"})
	src := elsewhere{Source: sourceOf(t, dir), spoiled: spoiled}
	_, err := Publish(t.Context(), build(t, rootFS(t, fresh), nil), fresh, &PublishOptions{Previous: src})
	if _, previous := errors.AsType[*PreviousError](err); !previous || !strings.Contains(err.Error(), "more than 1000 files") {
		t.Errorf("error %v", err)
	}
}

// A manifest may claim any size: what is fetched is bounded before it is.
func TestPreviousTooLarge(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "1"})
	s := build(t, rootFS(t, dir), &Options{Publishing: true})
	r := &release.Release{Root: s.Root, Files: slices.Clone(s.Root.Files)}
	for i := range 10 {
		file := r.Files[0]
		file.Hash[0], file.Size = byte(i), 1_000_000_000
		r.Files = append(r.Files, file)
	}
	if _, _, err := missing(s, []*release.Release{r}); err == nil || !strings.Contains(err.Error(), "keep fewer") {
		t.Errorf("error %v", err)
	}
	r.Files = r.Files[:8]
	if list, bytes, err := missing(s, []*release.Release{r, r}); err != nil || len(list) != 7 || bytes != 7_000_000_000 {
		t.Errorf("%d contents of %d bytes, %v", len(list), bytes, err)
	}
}
