// Package merkle implements the hash trees of BitTorrent v2 (BEP 52), by which Planktos identifies and verifies every
// content.
//
// A content is cut into blocks of 16 KiB, the last one as short as it is. The leaves are the blocks' SHA-256; the leaf
// layer is filled up to a power of two with zero hashes, and
//
//	node = SHA256(left || right)
//
// up to the root, BEP 52's "pieces root". Nothing in the tree tells a leaf from a node, so a root means something only
// together with the content's size, from which the tree's height follows.
//
// The layer whose nodes cover one piece each is the "piece layer": it stands beside the root for every content longer
// than a piece, and makes each piece verifiable by itself. A content that is not longer than a piece has none, and its
// tree is only as wide as its own blocks need.
//
// browser/src/shared/merkle.ts is the same in TypeScript; both are held to testdata/vectors/merkle.json.
package merkle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
)

// BlockSize is the number of bytes under one leaf.
const BlockSize = 16 << 10

// ErrMismatch reports data or hashes that are not those of the tree they claim to belong to.
var ErrMismatch = errors.New("merkle: hash mismatch")

// A Hash is a node of a tree: a SHA-256, or zeros for a leaf beyond the content's end.
type Hash [sha256.Size]byte

// String returns 64 lower-case hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes a hash as [Hash.String] does.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads it as [ParseHash] does.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(string(text))
	return err
}

// ParseHash is the inverse of [Hash.String]. It accepts lower case only, so that a hash has one spelling.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != hex.EncodedLen(len(h)) {
		return Hash{}, fmt.Errorf("merkle: a hash has 64 hex digits, not %d", len(s))
	}
	for i := range s {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Hash{}, fmt.Errorf("merkle: %q is no lower-case hex digit", c)
		}
	}
	_, err := hex.Decode(h[:], []byte(s))
	return h, err
}

// Blocks returns the number of leaves that stand for bytes of a content: ⌈size / BlockSize⌉.
func Blocks(size int64) int64 { return pieces(size, BlockSize) }

// Height returns the number of layers above the leaves in the tree of a content of size bytes: ⌈log2(blocks)⌉.
func Height(size int64) int { return log2(Blocks(size)) }

// ValidPieceLength reports whether n is a power of two of at least 16 KiB, as BEP 52 wants.
func ValidPieceLength(n int64) bool { return n >= BlockSize && n&(n-1) == 0 }

// LayerLength returns the number of hashes in the piece layer of a content of size bytes: one a piece, or 0 if the
// content is not longer than a piece and so has no layer.
func LayerLength(size, pieceLength int64) int64 {
	if size <= pieceLength {
		return 0
	}
	return pieces(size, pieceLength)
}

// pieces returns ⌈size / length⌉, without overflow.
func pieces(size, length int64) int64 {
	if size <= 0 {
		return 0
	}
	return (size-1)/length + 1
}

// pieceHeight returns the layer, counted from the leaves, whose nodes cover pieceLength bytes.
func pieceHeight(pieceLength int64) int { return log2(pieceLength / BlockSize) }

// log2 returns ⌈log2(n)⌉ for n >= 1, and 0 below.
func log2(n int64) int {
	if n <= 1 {
		return 0
	}
	return bits.Len64(uint64(n - 1))
}

// node returns SHA256(left || right).
func node(left, right *Hash) Hash {
	var both [2 * sha256.Size]byte
	copy(both[:], left[:])
	copy(both[sha256.Size:], right[:])
	return sha256.Sum256(both[:])
}

// pads[k] is the root of 2^k zero leaves: pads[0] = 0, pads[k+1] = node(pads[k], pads[k]).
var pads = func() (p [64]Hash) {
	for k := range len(p) - 1 {
		p[k+1] = node(&p[k], &p[k])
	}
	return p
}()
