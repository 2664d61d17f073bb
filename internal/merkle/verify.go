package merkle

import (
	"crypto/sha256"
	"fmt"
)

// Root returns the pieces root of data: SHA-256 of nothing for no data.
func Root(data []byte) Hash {
	if len(data) == 0 {
		return sha256.Sum256(nil)
	}
	return subtree(data, Height(int64(len(data))))
}

// PieceRoot returns the root of data in a tree of 2^height blocks, the missing ones zero leaves. A piece of a content
// longer than a piece has the height of the piece length; the only piece of a shorter content the [Height] of its size.
// It is an error if data is empty or has more blocks than that.
func PieceRoot(data []byte, height int) (Hash, error) {
	if blocks := Blocks(int64(len(data))); blocks == 0 || height < 0 || log2(blocks) > height || height >= len(pads) {
		return Hash{}, fmt.Errorf("merkle: %d bytes do not make a tree of height %d", len(data), height)
	}
	return subtree(data, height), nil
}

// subtree is PieceRoot without its checks.
func subtree(data []byte, height int) Hash {
	var s stack
	for len(data) > 0 {
		n := min(BlockSize, len(data))
		s.push(sha256.Sum256(data[:n]))
		data = data[n:]
	}
	return s.root(0, height)
}

// VerifyPiece checks that data is piece index of the content with this root and size, whole: every piece is pieceLength
// bytes long, the last one what remains. The layer is the content's piece layer as [VerifyLayer] has accepted it; a
// content that is not longer than a piece has none and is checked against the root. The error is [ErrMismatch] where
// the data has the right length and the wrong bytes.
func VerifyPiece(root Hash, size, pieceLength int64, layer []Hash, index int64, data []byte) error {
	if !ValidPieceLength(pieceLength) {
		return fmt.Errorf("merkle: piece length %d", pieceLength)
	}
	if index < 0 || index >= max(1, pieces(size, pieceLength)) {
		return fmt.Errorf("merkle: piece %d of a content of %d bytes", index, size)
	}
	if want := min(pieceLength, size-index*pieceLength); int64(len(data)) != want {
		return fmt.Errorf("merkle: piece %d has %d bytes, not %d", index, want, len(data))
	}
	if LayerLength(size, pieceLength) == 0 {
		if Root(data) != root {
			return ErrMismatch
		}
		return nil
	}
	if int64(len(layer)) != LayerLength(size, pieceLength) {
		return fmt.Errorf("merkle: layer of %d hashes, not %d", len(layer), LayerLength(size, pieceLength))
	}
	if subtree(data, pieceHeight(pieceLength)) != layer[index] {
		return ErrMismatch
	}
	return nil
}

// VerifyLayer checks that layer is the piece layer of the content with this root and size: [LayerLength] hashes that
// lead to the root, the missing ones being roots of zero leaves. A content that is not longer than a piece has no
// layer, and an empty one says nothing of its root. The error is [ErrMismatch] where only the hashes are wrong.
func VerifyLayer(root Hash, size, pieceLength int64, layer []Hash) error {
	if !ValidPieceLength(pieceLength) {
		return fmt.Errorf("merkle: piece length %d", pieceLength)
	}
	if want := LayerLength(size, pieceLength); int64(len(layer)) != want {
		return fmt.Errorf("merkle: layer of %d hashes, not %d", len(layer), want)
	}
	if len(layer) > 0 && layerRoot(layer, pieceHeight(pieceLength)) != root {
		return ErrMismatch
	}
	return nil
}

// layerRoot returns the root of the tree of which layer stands base layers above the leaves.
func layerRoot(layer []Hash, base int) Hash {
	var s stack
	for _, h := range layer {
		s.push(h)
	}
	return s.root(base, log2(int64(len(layer))))
}
