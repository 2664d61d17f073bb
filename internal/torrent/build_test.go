package torrent

import (
	"bytes"
	"crypto/sha1"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// file returns a FileSpec with the generator's content.
func file(t testing.TB, path string, size, pieceLength int64) FileSpec {
	t.Helper()
	return FileSpec{strings.Split(path, "/"), hashOf(t, content(size), pieceLength)}
}

func build(t testing.TB, s Spec) *Torrent {
	t.Helper()
	torrent, err := Build(s)
	if err != nil {
		t.Fatal(err)
	}
	return torrent
}

// site is a Spec with what tends to go wrong: order, sizes around pieces, two files of one content.
func site(t testing.TB, pieceLength int64) Spec {
	t.Helper()
	s := Spec{
		Name:        "planktos",
		PieceLength: pieceLength,
		Trackers:    []string{"/planktos/tracker", "wss://one.example/", "udp://no.example:1", "ws://two.example/"},
		WebSeeds:    []string{"https://site.example/docs", "https://cdn.example/"},
	}
	for path, size := range map[string]int64{
		"b": 1, "a/z": pieceLength, "a-b": pieceLength - 1, "a/b/c": pieceLength + 1, "Q": 3*pieceLength + 5,
		"a/ü ñ%?#'\"": 100, "z/1": 5 * pieceLength, "z/2": 5 * pieceLength, "zz": 2*pieceLength + 77,
	} {
		s.Files = append(s.Files, file(t, path, size, pieceLength))
	}
	return s
}

// TestBuildLayout reads a built torrent as a v1 client does, bytes in a row, and checks every piece.
func TestBuildLayout(t *testing.T) {
	for _, pieceLength := range []int64{16 << 10, 64 << 10} {
		s := site(t, pieceLength)
		got := build(t, s)
		m, err := Parse(got.Encoded)
		if err != nil {
			t.Fatal(err)
		}
		if m.InfoHash != got.InfoHash || m.InfoHashV2 != got.InfoHashV2 || m.NumPieces != got.Pieces {
			t.Error("Parse and Build do not agree")
		}
		stream := make([]byte, m.Length)
		for _, f := range m.Files {
			copy(stream[f.Offset:], content(f.Size))
			i := slices.IndexFunc(s.Files, func(s FileSpec) bool { return slices.Equal(s.Path, f.Path) })
			if i < 0 || got.FirstPiece[i]*pieceLength != f.Offset || f.Root != s.Files[i].Hashes.Root {
				t.Errorf("file %q is not where Build says", f.Path)
			}
		}
		pieces := slices.Collect(slices.Chunk(stream, int(pieceLength)))
		if len(pieces) != len(m.Pieces) {
			t.Fatalf("%d pieces, want %d", len(m.Pieces), len(pieces))
		}
		for i, piece := range pieces {
			if sha1.Sum(piece) != m.Pieces[i] {
				t.Errorf("piece %d has another hash", i)
			}
		}
		if last := m.Files[len(m.Files)-1]; m.Length != last.Offset+last.Size {
			t.Error("a pad stands after the last file")
		}
		if want := []string{"wss://one.example/", "ws://two.example/"}; !slices.Equal(m.Trackers, want) {
			t.Errorf("trackers %q", m.Trackers)
		}
		if want := []string{"https://site.example/docs/", "https://cdn.example/"}; !slices.Equal(m.WebSeeds, want) {
			t.Errorf("web seeds %q", m.WebSeeds)
		}
		var paths []string
		for _, f := range m.Files {
			paths = append(paths, strings.Join(f.Path, "/"))
		}
		if want := "Q a/b/c a/z a/ü ñ%?#'\" a-b b z/1 z/2 zz"; strings.Join(paths, " ") != want {
			t.Errorf("order %s, want %s", paths, want)
		}
	}
}

func TestBuildDeterministic(t *testing.T) {
	s := site(t, 16<<10)
	want := build(t, s)
	before := slices.Clone(s.Files)
	if again := build(t, s); !reflect.DeepEqual(again, want) || !reflect.DeepEqual(s.Files, before) {
		t.Error("building twice gives two results, or changes the spec")
	}
	for range 5 {
		order := rand.Perm(len(s.Files))
		shuffled := s
		shuffled.Files = nil
		for _, i := range order {
			shuffled.Files = append(shuffled.Files, s.Files[i])
		}
		got := build(t, shuffled)
		if !bytes.Equal(got.Encoded, want.Encoded) {
			t.Fatal("the order of the files enters the torrent")
		}
		for n, i := range order {
			if got.FirstPiece[n] != want.FirstPiece[i] {
				t.Error("FirstPiece is not in the order given")
			}
		}
	}
	// What is not in the info dictionary does not enter the hashes.
	s.Trackers, s.WebSeeds = nil, nil
	bare := build(t, s)
	if bare.InfoHash != want.InfoHash || bare.InfoHashV2 != want.InfoHashV2 || bytes.Equal(bare.Encoded, want.Encoded) {
		t.Error("trackers or web seeds enter the info hash")
	}
	if m, err := Parse(bare.Encoded); err != nil || m.Trackers != nil || m.WebSeeds != nil {
		t.Errorf("without trackers: %v", err)
	}
}

func TestBuildRefuses(t *testing.T) {
	const pl = 16 << 10
	good := func() Spec {
		return Spec{Name: "planktos", PieceLength: pl, Files: []FileSpec{file(t, "a", 3*pl, pl), file(t, "b/c", 10, pl)}}
	}
	build(t, good())
	segments := func(n int) []string { return slices.Repeat([]string{"d"}, n) }
	for name, spoil := range map[string]func(*Spec){
		"no name":              func(s *Spec) { s.Name = "" },
		"name ..":              func(s *Spec) { s.Name = ".." },
		"name with slash":      func(s *Spec) { s.Name = "a/b" },
		"no piece length":      func(s *Spec) { s.PieceLength = 0 },
		"piece length 3·2^n":   func(s *Spec) { s.PieceLength = 48 << 10 },
		"another piece length": func(s *Spec) { s.PieceLength = 32 << 10 },
		"piece length 2^62":    func(s *Spec) { s.PieceLength = 1 << 62 },
		"no files":             func(s *Spec) { s.Files = nil },
		"one file":             func(s *Spec) { s.Files = s.Files[:1] },
		"no path":              func(s *Spec) { s.Files[0].Path = nil },
		"empty segment":        func(s *Spec) { s.Files[0].Path = []string{"a", ""} },
		"segment ..":           func(s *Spec) { s.Files[0].Path = []string{"..", "a"} },
		"segment .":            func(s *Spec) { s.Files[0].Path = []string{"."} },
		"backslash":            func(s *Spec) { s.Files[0].Path = []string{`a\b`} },
		"NUL":                  func(s *Spec) { s.Files[0].Path = []string{"a\x00"} },
		"not UTF-8":            func(s *Spec) { s.Files[0].Path = []string{"\xff"} },
		"too deep":             func(s *Spec) { s.Files[0].Path = segments(maxPathSegments + 1) },
		"pad folder":           func(s *Spec) { s.Files[0].Path = []string{".pad", "1"} },
		"same path twice":      func(s *Spec) { s.Files[0].Path = []string{"b", "c"} },
		"file and folder":      func(s *Spec) { s.Files[0].Path = []string{"b"} },
		"folder and file":      func(s *Spec) { s.Files[0].Path = []string{"b", "c", "d"} },
		"empty file":           func(s *Spec) { s.Files[0].Hashes = hashOf(t, nil, pl) },
		"negative size":        func(s *Spec) { s.Files[0].Hashes.Size = -1 },
		"other size":           func(s *Spec) { s.Files[0].Hashes.Size += pl },
		"enormous size":        func(s *Spec) { s.Files[0].Hashes.Size = math.MaxInt64 },
		"missing SHA-1":        func(s *Spec) { s.Files[0].Hashes.V1 = s.Files[0].Hashes.V1[1:] },
		"missing layer":        func(s *Spec) { s.Files[0].Hashes.Layer = nil },
		"wrong layer":          func(s *Spec) { s.Files[0].Hashes.Layer[1][0] ^= 1 },
		"layer of a short one": func(s *Spec) { s.Files[1].Hashes.Layer = s.Files[0].Hashes.Layer[:1] },
		"relative web seed":    func(s *Spec) { s.WebSeeds = []string{"/files/"} },
		"ftp web seed":         func(s *Spec) { s.WebSeeds = []string{"ftp://a.example/"} },
		"web seed with query":  func(s *Spec) { s.WebSeeds = []string{"https://a.example/?x=1"} },
		"web seed, no host":    func(s *Spec) { s.WebSeeds = []string{"https:///x"} },
		"malformed web seed":   func(s *Spec) { s.WebSeeds = []string{"https://a b\x7f"} },
	} {
		s := good()
		spoil(&s)
		if _, err := Build(s); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	s := good()
	s.Files[0].Path = segments(maxPathSegments)
	if _, err := Parse(build(t, s).Encoded); err != nil {
		t.Errorf("the deepest path: %v", err)
	}
}
