package torrent

import (
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/planktos/planktos/internal/merkle"
)

// A Spec says what [Build] is to make.
type Spec struct {
	// Name is the torrent's name, and the folder its files lie in: one segment.
	Name string
	// PieceLength is a power of two of at least 16 KiB, the one that all files were hashed for.
	PieceLength int64
	// Files are at least two, in any order, none of them empty. Of a list of one, ordinary clients ask a wrong URL.
	Files []FileSpec
	// Trackers are announce URLs in order of preference. Those that are not absolute ws: or wss: URLs are left out:
	// only a browser can resolve a path on its site's host.
	Trackers []string
	// WebSeeds are absolute http: or https: URLs, below each of which the files lie as <Name>/<path>.
	WebSeeds []string
}

// A FileSpec is one file of a [Spec].
type FileSpec struct {
	Path   []string // segments below the torrent's name
	Hashes FileHashes
}

// A Torrent is what [Build] made.
type Torrent struct {
	Encoded    []byte // the .torrent file
	InfoHash   InfoHash
	InfoHashV2 InfoHashV2
	Pieces     int64   // number of pieces
	FirstPiece []int64 // index of the first piece of each file, in the order of Spec.Files
}

// Build makes a hybrid torrent: v1 (BEP 3) and v2 (BEP 52) of the same files, at the same piece indices, by pad files
// (BEP 47) after every file but the last. The same spec gives the same bytes, whatever the order of its files, and the
// info dictionary that libtorrent makes of the same files with canonical_files_no_tail_padding.
func Build(spec Spec) (*Torrent, error) {
	if err := spec.check(); err != nil {
		return nil, fmt.Errorf("torrent: %w", err)
	}
	order := make([]int, len(spec.Files))
	for i := range order {
		order[i] = i
	}
	// The order of the v2 file tree, read depth first: bencode sorts each folder's names by their bytes.
	slices.SortFunc(order, func(a, b int) int { return slices.Compare(spec.Files[a].Path, spec.Files[b].Path) })
	path := func(i int) []string { return spec.Files[order[i]].Path }
	if err := checkOverlap(len(order), path); err != nil {
		return nil, fmt.Errorf("torrent: %w", err)
	}

	t := &Torrent{FirstPiece: make([]int64, len(order))}
	layers := Dict{}
	var pieces []byte
	for n, i := range order {
		f := &spec.Files[i].Hashes
		t.FirstPiece[i] = t.Pieces
		t.Pieces += int64(len(f.V1))
		for k := range f.V1 {
			pieces = append(pieces, f.V1[k][:]...)
		}
		if n == len(order)-1 {
			copy(pieces[len(pieces)-len(f.V1Last):], f.V1Last[:])
		}
		if len(f.Layer) > 0 {
			layers[string(f.Root[:])] = layerBytes(f.Layer)
		}
	}
	info := Encode(Dict{
		"file tree":    fileTree(spec.Files),
		"files":        fileList(spec, order),
		"meta version": 2,
		"name":         spec.Name,
		"piece length": spec.PieceLength,
		"pieces":       pieces,
	})
	t.InfoHash, t.InfoHashV2 = sha1.Sum(info), sha256.Sum256(info)

	meta := Dict{"info": Raw(info), "piece layers": layers}
	addTrackers(meta, spec.Trackers)
	addWebSeeds(meta, spec.WebSeeds)
	t.Encoded = Encode(meta)
	return t, nil
}

// check checks all but what needs the files' order.
func (s *Spec) check() error {
	if err := checkSegment(s.Name); err != nil {
		return err
	}
	if !merkle.ValidPieceLength(s.PieceLength) || s.PieceLength > maxTotal {
		return fmt.Errorf("piece length %d is not a power of two from 16 KiB", s.PieceLength)
	}
	if len(s.Files) < 2 {
		return fmt.Errorf("a torrent has at least two files, not %d", len(s.Files))
	}
	pieces := int64(0)
	for i := range s.Files {
		f := &s.Files[i]
		err := checkPath(f.Path)
		switch {
		case err != nil:
		case f.Path[0] == padFolder:
			err = errors.New("the name is that of pad files")
		default:
			err = f.Hashes.check(s.PieceLength)
		}
		if err != nil {
			return fmt.Errorf("file %q: %w", strings.Join(f.Path, "/"), err)
		}
		if pieces += int64(len(f.Hashes.V1)); pieces > maxTotal/s.PieceLength {
			return errors.New("the files are too large together")
		}
	}
	for _, u := range s.WebSeeds {
		if !absolute(u, "http", "https") || strings.ContainsAny(u, "?#") {
			return fmt.Errorf("web seed %q is not an absolute http or https URL without a query", u)
		}
	}
	return nil
}

// check reports whether f is complete, and of one piece length. It finds a damaged layer, but cannot find a wrong root.
func (f *FileHashes) check(pieceLength int64) error {
	if f.Size <= 0 || f.Size > maxTotal {
		return fmt.Errorf("size %d", f.Size)
	}
	if want := pieceCount(f.Size, pieceLength); int64(len(f.V1)) != want {
		return fmt.Errorf("%d SHA-1 pieces, not %d", len(f.V1), want)
	}
	return merkle.VerifyLayer(f.Root, f.Size, pieceLength, f.Layer)
}

// fileTree returns the v2 files (BEP 52): {folder: {file: {"": {length, pieces root}}}}.
func fileTree(files []FileSpec) Dict {
	root := Dict{}
	for i := range files {
		f := &files[i]
		at := root
		for _, name := range f.Path {
			below, ok := at[name].(Dict)
			if !ok {
				below = Dict{}
				at[name] = below
			}
			at = below
		}
		at[""] = Dict{"length": f.Hashes.Size, "pieces root": f.Hashes.Root[:]}
	}
	return root
}

// padFolder is where clients that know nothing of pad files put them.
const padFolder = ".pad"

// fileList returns the v1 files (BEP 3), with a pad (BEP 47) after each that does not end on a piece, except the last.
func fileList(s Spec, order []int) []any {
	list := make([]any, 0, 2*len(order))
	for n, i := range order {
		f := &s.Files[i]
		list = append(list, Dict{"length": f.Hashes.Size, "path": f.Path})
		if over := f.Hashes.Size % s.PieceLength; over > 0 && n < len(order)-1 {
			pad := s.PieceLength - over
			path := []string{padFolder, strconv.FormatInt(pad, 10)}
			list = append(list, Dict{"attr": "p", "length": pad, "path": path})
		}
	}
	return list
}

// addTrackers adds announce, and announce-list (BEP 12) with a tier for each where there are several.
func addTrackers(meta Dict, trackers []string) {
	var tiers []any
	for _, t := range trackers {
		if absolute(t, "ws", "wss") {
			tiers = append(tiers, []string{t})
		}
	}
	if len(tiers) > 0 {
		meta["announce"] = tiers[0].([]string)[0]
	}
	if len(tiers) > 1 {
		meta["announce-list"] = tiers
	}
}

// addWebSeeds adds url-list (BEP 19): a string if there is one, and each ending in a slash, which has clients append
// the torrent's name and the file's path.
func addWebSeeds(meta Dict, webSeeds []string) {
	var list []string
	for _, w := range webSeeds {
		list = append(list, strings.TrimSuffix(w, "/")+"/")
	}
	switch len(list) {
	case 0:
	case 1:
		meta["url-list"] = list[0]
	default:
		meta["url-list"] = list
	}
}

// absolute reports whether raw is a URL with a host and one of these schemes.
func absolute(raw string, schemes ...string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Host != "" && slices.Contains(schemes, u.Scheme)
}
