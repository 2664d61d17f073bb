package merkle

import (
	"fmt"
	"math/bits"
	"slices"
)

// MaxRequest is the most hashes of its base layer that a [Request] may ask for, BEP 52's recommendation.
const MaxRequest = 512

// A Request asks for hashes of a content's tree, with the proof that they belong to it: the body of BEP 52's messages
// 21 (hash request), 22 (hashes) and 23 (hash reject).
//
// The answer is Length hashes of the base layer followed by uncle hashes, the lowest first. Of the ProofLayers layers
// above the base those below and at the root of the Length hashes need no uncle, as they follow from the hashes:
//
//	uncles = max(0, ProofLayers - (log2(Length) - 1))
type Request struct {
	Root        Hash   // of the content
	Base        uint32 // layer of the hashes, counted from the leaves: 0 are the leaves
	Index       uint32 // of the first hash in its layer; a multiple of Length
	Length      uint32 // number of hashes, a power of two from 2 to MaxRequest
	ProofLayers uint32 // layers above the base layer to prove, at most up to the one below the root
}

// ToRoot returns r with the ProofLayers by which an answer is proven up to the root of a content of size bytes.
func (r Request) ToRoot(size int64) Request {
	r.ProofLayers = uint32(max(0, Height(size)-1-int(min(r.Base, 64))))
	return r
}

// Check reports whether r can be asked of a content of size bytes.
func (r Request) Check(size int64) error {
	height := uint32(Height(size))
	if size <= 0 || r.Base >= height {
		return fmt.Errorf("merkle: layer %d of a tree of height %d", r.Base, height)
	}
	width := uint64(1) << (height - r.Base)
	if r.Length < 2 || r.Length > MaxRequest || r.Length&(r.Length-1) != 0 || uint64(r.Length) > width {
		return fmt.Errorf("merkle: request of %d hashes in a layer of %d", r.Length, width)
	}
	if r.Index%r.Length != 0 || uint64(r.Index)+uint64(r.Length) > width {
		return fmt.Errorf("merkle: request of %d hashes from %d in a layer of %d", r.Length, r.Index, width)
	}
	if r.ProofLayers >= height-r.Base {
		return fmt.Errorf("merkle: %d proof layers above layer %d of a tree of height %d", r.ProofLayers, r.Base, height)
	}
	return nil
}

// uncles returns the number of uncle hashes in the answer.
func (r Request) uncles() int { return max(0, int(r.ProofLayers)-(r.levels()-1)) }

// levels returns log2(Length).
func (r Request) levels() int { return bits.TrailingZeros32(r.Length) }

// Hashes returns the number of hashes in the answer to a request that [Request.Check] accepts.
func (r Request) Hashes() int { return int(r.Length) + r.uncles() }

// Verify checks that hashes answer r, for a content of size bytes, and lead to its root. A request whose ProofLayers
// stop short of the root (see [Request.ToRoot]) cannot be verified. The error is [ErrMismatch] where only the hashes
// are wrong.
func (r Request) Verify(size int64, hashes []Hash) error {
	if err := r.Check(size); err != nil {
		return err
	}
	if r.levels()+r.uncles() != Height(size)-int(r.Base) {
		return fmt.Errorf("merkle: %d proof layers above layer %d do not reach the root", r.ProofLayers, r.Base)
	}
	if len(hashes) != r.Hashes() {
		return fmt.Errorf("merkle: %d hashes, not %d", len(hashes), r.Hashes())
	}
	acc := layerRoot(hashes[:r.Length], int(r.Base))
	position := r.Index >> r.levels()
	for _, uncle := range hashes[r.Length:] {
		if position&1 == 1 {
			acc = node(&uncle, &acc)
		} else {
			acc = node(&acc, &uncle)
		}
		position >>= 1
	}
	if acc != r.Root {
		return ErrMismatch
	}
	return nil
}

// A Tree holds the upper layers of a content's tree, to answer [Request]s for them. It is immutable.
type Tree struct {
	size   int64
	base   int      // of layers[0], counted from the leaves
	layers [][]Hash // up to the root, each without the hashes of mere padding at its end
}

// NewTree returns the tree above a layer of a content of size bytes. Layer base, counted from the leaves, has one hash
// for each 16 KiB << base bytes of content; the leaves and the piece layer are the usual ones. The tree is what the
// layer makes it: compare [Tree.Root] if the layer's source is not trusted.
func NewTree(size int64, base int, layer []Hash) (*Tree, error) {
	if size <= 0 || base < 0 || base > Height(size) {
		return nil, fmt.Errorf("merkle: layer %d of a content of %d bytes", base, size)
	}
	if want := (Blocks(size)-1)>>base + 1; int64(len(layer)) != want {
		return nil, fmt.Errorf("merkle: layer of %d hashes, not %d", len(layer), want)
	}
	t := &Tree{size: size, base: base, layers: [][]Hash{slices.Clone(layer)}}
	for level := base; level < Height(size); level++ {
		below := t.layers[len(t.layers)-1]
		above := make([]Hash, (len(below)+1)/2)
		for i := range above {
			right := &pads[level]
			if 2*i+1 < len(below) {
				right = &below[2*i+1]
			}
			above[i] = node(&below[2*i], right)
		}
		t.layers = append(t.layers, above)
	}
	return t, nil
}

// Root returns the tree's root.
func (t *Tree) Root() Hash { return t.layers[len(t.layers)-1][0] }

// Hashes answers r. It is an error, and the answer to a peer a hash reject, if r does not fit the tree or asks for a
// layer below its base.
func (t *Tree) Hashes(r Request) ([]Hash, error) {
	if err := r.Check(t.size); err != nil {
		return nil, err
	}
	if r.Root != t.Root() || int(r.Base) < t.base {
		return nil, fmt.Errorf("merkle: no layer %d of %v", r.Base, r.Root)
	}
	hashes := make([]Hash, 0, r.Hashes())
	for i := range int(r.Length) {
		hashes = append(hashes, t.at(int(r.Base), int(r.Index)+i))
	}
	level, position := int(r.Base)+r.levels(), int(r.Index>>r.levels())
	for range r.uncles() {
		hashes = append(hashes, t.at(level, position^1))
		level, position = level+1, position>>1
	}
	return hashes, nil
}

// at returns a node of a layer counted from the leaves.
func (t *Tree) at(level, position int) Hash {
	if layer := t.layers[level-t.base]; position < len(layer) {
		return layer[position]
	}
	return pads[level]
}
