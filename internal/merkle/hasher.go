package merkle

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"slices"
)

// A Hasher computes the root and piece layer of what is written to it. It keeps one node a level and the layer, never
// content. A Hasher is not safe for concurrent use.
type Hasher struct {
	height int       // of the piece layer above the leaves
	size   int64     // bytes written
	block  hash.Hash // over the bytes since the last block boundary
	blocks stack     // leaves of the current piece
	pieces stack     // pieces before it
	layer  []Hash    // the same, as a list
}

// NewHasher returns a Hasher for pieces of pieceLength bytes. It panics if that is no [ValidPieceLength].
func NewHasher(pieceLength int64) *Hasher {
	h := &Hasher{block: sha256.New()}
	h.Reset(pieceLength)
	return h
}

// Reset makes h as new, for pieces of pieceLength bytes, keeping its buffers.
func (h *Hasher) Reset(pieceLength int64) {
	if !ValidPieceLength(pieceLength) {
		panic(fmt.Sprintf("merkle: piece length %d is not a power of two from %d", pieceLength, BlockSize))
	}
	h.height = pieceHeight(pieceLength)
	h.size = 0
	h.block.Reset()
	h.blocks.count, h.pieces.count = 0, 0
	h.layer = h.layer[:0]
}

// Size returns the number of bytes written.
func (h *Hasher) Size() int64 { return h.size }

// Write adds p to the content. It never fails.
func (h *Hasher) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		filled := int(h.size % BlockSize)
		step := min(BlockSize-filled, len(p))
		h.size += int64(step)
		switch {
		case step == BlockSize: // a whole block, without a copy
			h.push(sha256.Sum256(p[:step]))
		case filled+step == BlockSize:
			h.block.Write(p[:step])
			h.push(h.leaf())
			h.block.Reset()
		default:
			h.block.Write(p[:step])
		}
		p = p[step:]
	}
	return n, nil
}

// leaf returns the hash of the unfinished block.
func (h *Hasher) leaf() (leaf Hash) {
	h.block.Sum(leaf[:0])
	return leaf
}

// push adds a whole block's leaf.
func (h *Hasher) push(leaf Hash) {
	h.blocks.push(leaf)
	if h.blocks.count == 1<<h.height {
		piece := h.blocks.nodes[h.height]
		h.blocks.count = 0
		h.pieces.push(piece)
		h.layer = append(h.layer, piece)
	}
}

// Sum returns the root of what has been written, and its piece layer, which is nil unless more than a piece was
// written. The root of nothing is SHA-256 of nothing. Writing may continue.
func (h *Hasher) Sum() (root Hash, layer []Hash) {
	if h.size == 0 {
		return sha256.Sum256(nil), nil
	}
	if h.size == BlockSize<<h.height {
		return h.layer[0], nil
	}
	blocks := h.blocks
	if h.size%BlockSize > 0 {
		blocks.push(h.leaf())
	}
	if len(h.layer) == 0 {
		return blocks.root(0, Height(h.size)), nil
	}
	layer, pieces := slices.Clone(h.layer), h.pieces
	if blocks.count > 0 {
		last := blocks.root(0, h.height)
		layer = append(layer, last)
		pieces.push(last)
	}
	return pieces.root(h.height, log2(int64(len(layer)))), layer
}
