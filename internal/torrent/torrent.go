// Package torrent reads and writes .torrent files: bencode and metainfo (BEP 3), tracker lists (BEP 12), web seeds
// (BEP 19), pad files (BEP 47), and BitTorrent v2 with its hybrids (BEP 52).
//
// A packer hashes each file with [HashFile], for a piece length that [ChoosePieceLength] found, and gives the results
// to [Build]. A seeder reads what others made with [Parse]. Neither touches a file system or a socket.
package torrent

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/planktos/planktos/internal/merkle"
)

// An InfoHash is the SHA-1 of a torrent's info dictionary (BEP 3), by which trackers and WebRTC peers know the swarm.
type InfoHash [20]byte

// String returns 40 lower-case hex digits.
func (h InfoHash) String() string { return hex.EncodeToString(h[:]) }

// An InfoHashV2 is the SHA-256 of the same dictionary (BEP 52).
type InfoHashV2 [32]byte

// String returns 64 lower-case hex digits.
func (h InfoHashV2) String() string { return hex.EncodeToString(h[:]) }

const (
	// maxTotal bounds the bytes of a torrent, pads included: what JavaScript counts exactly.
	maxTotal = 1 << 53
	// maxPathSegments bounds a path's depth: libtorrent reads at most 100 levels of bencode, of which a few lie around
	// the file tree.
	maxPathSegments = 90
)

// checkSegment returns an error unless s is safe as the name of a file or folder on any system.
func checkSegment(s string) error {
	switch {
	case s == "" || s == "." || s == "..":
		return fmt.Errorf("name %q", s)
	case strings.ContainsAny(s, "/\\\x00"):
		return fmt.Errorf("name %q has a separator or NUL in it", s)
	case !utf8.ValidString(s):
		return fmt.Errorf("name %q is not UTF-8", s)
	}
	return nil
}

func checkPath(path []string) error {
	if len(path) == 0 || len(path) > maxPathSegments {
		return fmt.Errorf("path of %d names", len(path))
	}
	for _, s := range path {
		if err := checkSegment(s); err != nil {
			return err
		}
	}
	return nil
}

// checkOverlap returns an error if two paths are equal or one is a folder of the other. The paths are in the order of
// slices.Compare, which is that of a v2 file tree: a folder's paths stand together, behind the folder's own.
func checkOverlap(n int, path func(i int) []string) error {
	for i := 1; i < n; i++ {
		a, b := path(i-1), path(i)
		if slices.Equal(a, b) {
			return fmt.Errorf("path %q occurs twice", strings.Join(a, "/"))
		}
		if len(a) < len(b) && slices.Equal(a, b[:len(a)]) {
			return fmt.Errorf("path %q is a file and a folder", strings.Join(a, "/"))
		}
	}
	return nil
}

// pieceCount returns ⌈size / pieceLength⌉ for positive numbers.
func pieceCount(size, pieceLength int64) int64 {
	if size <= 0 {
		return 0
	}
	return (size-1)/pieceLength + 1
}

// layerBytes returns the layer as it stands in "piece layers".
func layerBytes(layer []merkle.Hash) []byte {
	b := make([]byte, 0, len(layer)*len(merkle.Hash{}))
	for i := range layer {
		b = append(b, layer[i][:]...)
	}
	return b
}

// parseLayer is the inverse of layerBytes; nil if b is no list of hashes.
func parseLayer(b []byte) []merkle.Hash {
	const width = len(merkle.Hash{})
	if len(b)%width != 0 {
		return nil
	}
	layer := make([]merkle.Hash, len(b)/width)
	for i := range layer {
		copy(layer[i][:], b[i*width:])
	}
	return layer
}
