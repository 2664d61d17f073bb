package manifest

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/planktos/planktos/internal/merkle"
)

// vectors is testdata/vectors/manifest.json, which browser/src/shared/manifest.test.ts reads too.
type vectors struct {
	Valid []struct {
		Name, Manifest string
		Paths, Shards  []string
	}
	Refused  []struct{ Name, Manifest string }
	Disabled []struct {
		Name, Manifest string
		Disabled       bool
	}
	Shards []struct {
		Name, Document string
		Paths          []string // null: refused
	}
	ShardFor struct {
		Manifest string
		Cases    [][2]string
	}
	Lookup   struct{ Paths, Absent []string }
	Requests []struct {
		Scope, URL string
		Path       *string
	}
	Encode    [][2]string
	Order     []string
	Snapshots []struct {
		Files []json.RawMessage
		ID    string
	}
	Candidates [][2]json.RawMessage
}

func load(t testing.TB) (v vectors) {
	t.Helper()
	data, err := os.ReadFile("../../testdata/vectors/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Valid) == 0 || len(v.Refused) == 0 || len(v.Disabled) == 0 || len(v.Requests) == 0 {
		t.Fatal("vectors are missing")
	}
	return v
}

func paths(files []File) []string {
	list := []string{}
	for _, f := range files {
		list = append(list, f.Path)
	}
	return list
}

func TestParse(t *testing.T) {
	v := load(t)
	for _, c := range v.Valid {
		t.Run(c.Name, func(t *testing.T) {
			root, err := Parse([]byte(c.Manifest))
			if err != nil {
				t.Fatal(err)
			}
			if c.Shards == nil && !slices.Equal(paths(root.Files), c.Paths) {
				t.Errorf("got paths %q, want %q", paths(root.Files), c.Paths)
			}
			var from []string
			for _, s := range root.Shards {
				from = append(from, s.From)
			}
			if !slices.Equal(from, c.Shards) {
				t.Errorf("got shards %q, want %q", from, c.Shards)
			}
			checkRoundTrip(t, root)
		})
	}
	for _, c := range v.Refused {
		t.Run(c.Name, func(t *testing.T) {
			if root, err := Parse([]byte(c.Manifest)); err == nil {
				t.Errorf("accepted: %+v", root)
			} else if !strings.HasPrefix(err.Error(), "manifest: ") {
				t.Errorf("error %q", err)
			}
		})
	}
}

func TestDisabled(t *testing.T) {
	for _, c := range load(t).Disabled {
		if got := Disabled([]byte(c.Manifest)); got != c.Disabled {
			t.Errorf("%s: got %t", c.Name, got)
		}
		if _, err := Parse([]byte(c.Manifest)); errors.Is(err, ErrDisabled) != c.Disabled {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	if !Disabled(EncodeDisabled()) {
		t.Error("what is encoded is not disabled")
	}
	_, key, _ := ed25519.GenerateKey(nil)
	signed, err := Sign(EncodeDisabled(), key, Seal{Sequence: 9})
	if err != nil || !Disabled(signed) {
		t.Errorf("%s: %v", signed, err)
	}
	if Disabled([]byte(strings.Repeat(" ", MaxBytes) + string(EncodeDisabled()))) {
		t.Error("beyond the limit")
	}
}

func checkRoundTrip(t *testing.T, root *Root) {
	t.Helper()
	encoded, err := root.Encode()
	if len(root.Shards) == 0 && err == nil && len(encoded) > MaxBytes {
		t.Errorf("encoded %d bytes", len(encoded))
	}
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(root, again) {
		t.Errorf("got  %+v\nwant %+v", again, root)
	}
}

func TestParseTooLarge(t *testing.T) {
	document := load(t).Valid[0].Manifest
	if _, err := Parse([]byte(document + strings.Repeat(" ", MaxBytes-len(document)))); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := Parse([]byte(document + strings.Repeat(" ", MaxBytes-len(document)+1))); err == nil {
		t.Error("accepted beyond the limit")
	}
	if _, err := Parse([]byte(strings.Repeat("[", MaxBytes))); err == nil {
		t.Error("accepted nesting")
	}
}

func TestParseShard(t *testing.T) {
	v := load(t)
	root, err := Parse([]byte(v.ShardFor.Manifest))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range v.Shards {
		files, err := ParseShard([]byte(c.Document), root.Torrent)
		if (err == nil) != (c.Paths != nil) || err == nil && !slices.Equal(paths(files), c.Paths) {
			t.Errorf("%s: got %q, %v, want %q", c.Name, paths(files), err, c.Paths)
		}
	}
	if _, err := ParseShard([]byte(v.Shards[0].Document), Torrent{}); err == nil {
		t.Error("accepted a shard without a torrent")
	}
	for _, c := range v.ShardFor.Cases {
		if s, ok := ShardFor(root.Shards, c[0]); !ok || s.From != c[1] {
			t.Errorf("shard for %q: got %q, %v, want %q", c[0], s.From, ok, c[1])
		}
	}
	if _, ok := ShardFor(nil, "a"); ok {
		t.Error("found a shard among none")
	}
}

func TestLookup(t *testing.T) {
	v := load(t)
	var files []File
	for _, p := range v.Lookup.Paths {
		files = append(files, File{Path: p})
	}
	for _, p := range v.Lookup.Paths {
		if f, ok := Lookup(files, p); !ok || f.Path != p {
			t.Errorf("%q: got %q, %v", p, f.Path, ok)
		}
	}
	for _, p := range v.Lookup.Absent {
		if f, ok := Lookup(files, p); ok {
			t.Errorf("%q: got %q", p, f.Path)
		}
	}
}

func TestPaths(t *testing.T) {
	v := load(t)
	for _, c := range v.Requests {
		rest, ok := strings.CutPrefix(cutQuery(c.URL), c.Scope)
		if !ok {
			if c.Path != nil {
				t.Errorf("%s is outside %s", c.URL, c.Scope)
			}
			continue
		}
		path, ok := RequestPath(rest)
		if ok != (c.Path != nil) || ok && path != *c.Path {
			t.Errorf("%s: got %q, %v", c.URL, path, ok)
		}
	}
	for _, c := range v.Encode {
		if got := EncodePath(c[0]); got != c[1] {
			t.Errorf("encoding %q: got %q, want %q", c[0], got, c[1])
		}
		if back, err := url.PathUnescape(c[1]); err != nil || back != c[0] {
			t.Errorf("decoding %q: got %q, %v", c[1], back, err)
		}
	}
	for _, c := range v.Candidates {
		var path string
		var want []string
		if err := json.Unmarshal(c[0], &path); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(c[1], &want); err != nil {
			t.Fatal(err)
		}
		if got := Candidates(path); !slices.Equal(got, want) {
			t.Errorf("candidates of %q: got %q, want %q", path, got, want)
		}
	}
	if !slices.IsSorted(v.Order) {
		t.Error("the vectors' order is not that of UTF-8")
	}
}

func cutQuery(u string) string {
	if i := strings.IndexAny(u, "?#"); i >= 0 {
		return u[:i]
	}
	return u
}

func TestSnapshotID(t *testing.T) {
	for _, c := range load(t).Snapshots {
		var files []File
		for _, raw := range c.Files {
			var f File
			var hash string
			if err := json.Unmarshal(raw, &[]any{&f.Path, &hash, &f.Size, &f.Piece}); err != nil {
				t.Fatal(err)
			}
			f.Hash, _ = merkle.ParseHash(hash)
			files = append(files, f)
		}
		if got := SnapshotID(files).String(); got != c.ID {
			t.Errorf("got %s, want %s", got, c.ID)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	good := Root{Policy: Policy{"auto", "speed", 0}, Torrent: Torrent{PieceLength: MinPieceLength, Pieces: 1}}
	if _, err := good.Encode(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Root){
		"reserved path":    func(r *Root) { r.Files = []File{{Path: "planktos/a"}} },
		"order":            func(r *Root) { r.Files = []File{{Path: "b"}, {Path: "a"}} },
		"policy":           func(r *Root) { r.Policy.Mode = "" },
		"tracker":          func(r *Root) { r.Trackers = []string{"udp://a"} },
		"header line feed": func(r *Root) { r.Headers = []HeaderRule{{"*", map[string]string{"a": "b\nc"}}} },
		"piece":            func(r *Root) { r.Files = []File{{Path: "a", Size: MinPieceLength + 1}} },
	} {
		r := good
		spoil(&r)
		if _, err := r.Encode(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// tree makes a sorted table of n files in directories of twenty.
func tree(n int) []File {
	var files []File
	for i := range n {
		files = append(files, File{Path: fmt.Sprintf("docs/chapter%03d/page%04d.html", i/20, i)})
	}
	return files
}

func TestCut(t *testing.T) {
	for _, n := range []int{0, 1, 128, 129, 3000} {
		files := tree(n)
		shards := Cut(files)
		if got := slices.Concat(shards...); !slices.EqualFunc(got, files, func(a, b File) bool { return a.Path == b.Path }) {
			t.Fatalf("%d files: the shards are not the table", n)
		}
		for i, s := range shards {
			if len(s) > maxShard || len(s) < minShard && i < len(shards)-1 || len(s) == 0 {
				t.Errorf("%d files: shard %d has %d rows", n, i, len(s))
			}
			if i > 0 && s[0].Path[:len("docs/chapter000")] == shards[i-1][len(shards[i-1])-1].Path[:len("docs/chapter000")] {
				t.Errorf("%d files: shard %d begins within a directory, at %s", n, i, s[0].Path)
			}
		}
	}
}

// A new file changes the shards around it: a returning visitor has the others.
func TestCutIsStable(t *testing.T) {
	files := tree(3000)
	before := map[string]bool{}
	for _, s := range Cut(files) {
		document, err := EncodeShard(s)
		if err != nil {
			t.Fatal(err)
		}
		before[string(document)] = true
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		more := append(slices.Clone(files), File{Path: fmt.Sprintf("docs/chapter%03d/new.html", r.IntN(150))})
		slices.SortFunc(more, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
		changed := 0
		for _, s := range Cut(more) {
			if document, _ := EncodeShard(s); !before[string(document)] {
				changed++
			}
		}
		if changed == 0 || changed > 6 {
			t.Errorf("one file more changes %d of %d shards", changed, len(before))
		}
	}
}

func FuzzParse(f *testing.F) {
	v := load(f)
	for _, c := range v.Valid {
		f.Add([]byte(c.Manifest))
	}
	for _, c := range v.Refused {
		f.Add([]byte(c.Manifest))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		root, err := Parse(document)
		if err != nil {
			return
		}
		for _, file := range root.Files {
			if !ValidPath(file.Path) {
				t.Errorf("kept %q", file.Path)
			}
		}
		checkRoundTrip(t, root)
	})
}

func FuzzRequestPath(f *testing.F) {
	for _, c := range load(f).Requests {
		f.Add(strings.TrimPrefix(c.URL, c.Scope))
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		path, ok := RequestPath(escaped)
		if !ok {
			return
		}
		if name := strings.TrimSuffix(path, "/"); name != "" && !ValidPath(name) && !Reserved(name) {
			t.Errorf("%q gives %q", escaped, path)
		}
		if back, ok := RequestPath(EncodePath(path)); !ok || back != path {
			t.Errorf("%q gives %q, which gives %q", escaped, path, back)
		}
	})
}
