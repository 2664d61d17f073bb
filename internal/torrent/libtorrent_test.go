package torrent

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const vectorsDir = "../../testdata/vectors/torrents"

// A foreign torrent was made by libtorrent from the generator's contents (testdata/vectors/torrents/make.py).
type foreign struct {
	Name                 string
	Single               bool
	PieceLength, Pieces  int64
	InfoHash, InfoHashV2 string // empty for a version it has not
	Files                map[string]int64
}

func readForeign(t testing.TB) []foreign {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(vectorsDir, "torrents.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Torrents []foreign }
	if err := json.Unmarshal(data, &v); err != nil || len(v.Torrents) == 0 {
		t.Fatal("no vectors", err)
	}
	return v.Torrents
}

func (f *foreign) read(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(vectorsDir, f.Name+".torrent"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseLibtorrent(t *testing.T) {
	for _, want := range readForeign(t) {
		t.Run(want.Name, func(t *testing.T) {
			m, err := Parse(want.read(t))
			if err != nil {
				t.Fatal(err)
			}
			v1, v2 := want.InfoHash != "", want.InfoHashV2 != ""
			if m.V1 != v1 || m.V2 != v2 || v1 && m.InfoHash.String() != want.InfoHash ||
				v2 && m.InfoHashV2.String() != want.InfoHashV2 {
				t.Errorf("versions or hashes: %v %v %v %v", m.V1, m.V2, m.InfoHash, m.InfoHashV2)
			}
			if m.Single != want.Single || m.PieceLength != want.PieceLength || m.NumPieces != want.Pieces {
				t.Errorf("single %v, piece length %d, %d pieces", m.Single, m.PieceLength, m.NumPieces)
			}
			if len(m.Files) != len(want.Files) {
				t.Errorf("%d files", len(m.Files))
			}
			for _, f := range m.Files {
				size, ok := want.Files[strings.Join(f.Path, "/")]
				if !ok || size != f.Size {
					t.Errorf("file %q of %d bytes", f.Path, f.Size)
				}
				if hashes := hashOf(t, content(size), m.PieceLength); v2 && size > 0 &&
					(f.Root != hashes.Root || !slices.Equal(f.Layer, hashes.Layer)) {
					t.Errorf("file %q has other hashes", f.Path)
				}
			}
			if want := []string{"wss://one.example/", "wss://two.example/"}; !slices.Equal(m.Trackers, want) {
				t.Errorf("trackers %q", m.Trackers)
			}
			if want := []string{"https://site.example/"}; !slices.Equal(m.WebSeeds, want) {
				t.Errorf("web seeds %q", m.WebSeeds)
			}
		})
	}
}

// TestBuildLikeLibtorrent builds the same torrents and compares every byte.
func TestBuildLikeLibtorrent(t *testing.T) {
	compared := 0
	for _, f := range readForeign(t) {
		if f.Name != "hybrid" && f.Name != "hybrid-64k" {
			continue // Build makes one kind: hybrid, no empty files, no pad at the end
		}
		s := Spec{
			Name:        "planktos",
			PieceLength: f.PieceLength,
			Trackers:    []string{"wss://one.example/", "wss://two.example/"},
			WebSeeds:    []string{"https://site.example/"},
		}
		for path, size := range f.Files {
			s.Files = append(s.Files, file(t, path, size, f.PieceLength))
		}
		if got := build(t, s); !bytes.Equal(got.Encoded, f.read(t)) || got.InfoHash.String() != f.InfoHash {
			t.Errorf("%s: differs from libtorrent's", f.Name)
		}
		compared++
	}
	if compared != 2 {
		t.Errorf("%d torrents compared", compared)
	}
}

// describe has libtorrent load a torrent from standard input and say what it found.
const describe = `
import json, sys
import libtorrent as lt
info = lt.torrent_info(sys.stdin.buffer.read())
hashes, files = info.info_hashes(), info.files()
pad = lt.file_storage.flag_pad_file
names = [i for i in range(files.num_files()) if not files.file_flags(i) & pad]
print(json.dumps({
    'infoHash': str(hashes.v1), 'infoHashV2': str(hashes.v2), 'pieces': info.num_pieces(),
    'pieceLength': info.piece_length(), 'valid': info.is_valid(),
    'files': {files.file_path(i): [files.file_size(i), files.file_offset(i)] for i in names},
    'trackers': [t.url for t in info.trackers()], 'webSeeds': [w['url'] for w in info.web_seeds()],
}))
`

// libtorrent returns the path of a Python that has it, or skips.
func libtorrent(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import libtorrent").Run() == nil {
			return name
		}
	}
	t.Skip("no Python with libtorrent (Debian: python3-libtorrent)")
	return ""
}

func TestLibtorrentLoadsBuilt(t *testing.T) {
	python := libtorrent(t)
	deep := Spec{Name: "site", PieceLength: 16 << 10, Files: []FileSpec{
		file(t, strings.Repeat("d/", maxPathSegments-1)+"f", 40000, 16<<10), file(t, "g", 1, 16<<10),
	}}
	for name, s := range map[string]Spec{"16K": site(t, 16<<10), "256K": site(t, 256<<10), "deep": deep} {
		built := build(t, s)
		cmd := exec.Command(python, "-c", describe)
		cmd.Stdin = bytes.NewReader(built.Encoded)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, &stderr)
			continue
		}
		var got struct {
			InfoHash, InfoHashV2 string
			Pieces, PieceLength  int64
			Valid                bool
			Files                map[string][2]int64
			Trackers, WebSeeds   []string
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		if !got.Valid || got.InfoHash != built.InfoHash.String() || got.InfoHashV2 != built.InfoHashV2.String() ||
			got.Pieces != built.Pieces || got.PieceLength != s.PieceLength || len(got.Files) != len(s.Files) {
			t.Errorf("%s: libtorrent reads %s", name, out)
		}
		for i, f := range s.Files {
			path := s.Name + "/" + strings.Join(f.Path, "/")
			if want := [2]int64{f.Hashes.Size, built.FirstPiece[i] * s.PieceLength}; got.Files[path] != want {
				t.Errorf("%s: libtorrent has %q at %v, not %v", name, path, got.Files[path], want)
			}
		}
		if name != "deep" && (len(got.Trackers) != 2 || len(got.WebSeeds) != 2) {
			t.Errorf("%s: trackers %q, web seeds %q", name, got.Trackers, got.WebSeeds)
		}
	}
}
