package merkle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// vectors is testdata/vectors/merkle.json, computed by a plain implementation in Python and compared with libtorrent.
type vectors struct {
	Roots []struct {
		Size int64
		Root string
	}
	Layers []struct {
		Size, PieceLength int64
		Layer             string
	}
	Requests []struct {
		Size                             int64
		Base, Index, Length, ProofLayers uint32
		ToRoot                           bool
		Count                            int
		SHA256                           string
	}
	Refused []struct {
		Size                             int64
		Base, Index, Length, ProofLayers uint32
	}
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	data, err := os.ReadFile("../../testdata/vectors/merkle.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Roots) == 0 || len(v.Layers) == 0 || len(v.Requests) == 0 || len(v.Refused) == 0 {
		t.Fatal("vectors are missing")
	}
	return v
}

// content is the generator that the vectors describe.
func content(size int64) []byte {
	b, x := make([]byte, size), uint32(size)
	for i := range b {
		x = (x*1103515245 + 12345) & math.MaxInt32
		b[i] = byte(x >> 16)
	}
	return b
}

func parseHash(t *testing.T, s string) Hash {
	t.Helper()
	h, err := ParseHash(s)
	if err != nil {
		t.Fatal(err)
	}
	if h.String() != s {
		t.Fatalf("%v is not %s", h, s)
	}
	return h
}

func parseHashes(t *testing.T, s string) (hashes []Hash) {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || len(b)%32 != 0 {
		t.Fatalf("bad hashes %q", s)
	}
	for part := range slices.Chunk(b, 32) {
		hashes = append(hashes, Hash(part))
	}
	return hashes
}

func concat(hashes []Hash) (b []byte) {
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

// hashed returns what a Hasher makes of data written in steps of step bytes.
func hashed(data []byte, pieceLength int64, step int) (Hash, []Hash) {
	h := NewHasher(pieceLength)
	for part := range slices.Chunk(data, step) {
		h.Write(part)
		if len(data) < 100_000 {
			h.Sum() // must not disturb what follows
		}
	}
	return h.Sum()
}

func TestRoots(t *testing.T) {
	for _, v := range readVectors(t).Roots {
		data, want := content(v.Size), parseHash(t, v.Root)
		if got := Root(data); got != want {
			t.Errorf("Root of %d bytes = %v, want %v", v.Size, got, want)
		}
		for _, step := range []int{1000, BlockSize, BlockSize + 1, 1 << 20} {
			for _, pieceLength := range []int64{BlockSize, 2 * BlockSize, 1 << 20, 1 << 62} {
				if got, _ := hashed(data, pieceLength, step); got != want {
					t.Errorf("%d bytes by %d in pieces of %d: root %v, want %v", v.Size, step, pieceLength, got, want)
				}
			}
		}
		if h, layer := NewHasher(1 << 30).Sum(); h != sha256.Sum256(nil) || layer != nil {
			t.Errorf("a new Hasher sums to %v", h)
		}
	}
}

func TestLayers(t *testing.T) {
	v := readVectors(t)
	root := map[int64]Hash{}
	for _, r := range v.Roots {
		root[r.Size] = parseHash(t, r.Root)
	}
	h := NewHasher(BlockSize) // one for all: Reset must forget everything
	for _, l := range v.Layers {
		data, want := content(l.Size), parseHashes(t, l.Layer)
		h.Reset(l.PieceLength)
		h.Write(data)
		got, layer := h.Sum()
		if got != root[l.Size] || !slices.Equal(layer, want) || h.Size() != l.Size {
			t.Errorf("%d bytes in pieces of %d: wrong root or layer", l.Size, l.PieceLength)
		}
		if err := VerifyLayer(root[l.Size], l.Size, l.PieceLength, want); err != nil {
			t.Errorf("%d bytes in pieces of %d: %v", l.Size, l.PieceLength, err)
		}
		for i := range want {
			bad := slices.Clone(want)
			bad[i][31] ^= 1
			if err := VerifyLayer(root[l.Size], l.Size, l.PieceLength, bad); !errors.Is(err, ErrMismatch) {
				t.Errorf("%d bytes: wrong hash %d gives %v", l.Size, i, err)
			}
		}
		for _, bad := range [][]Hash{nil, want[1:], append(slices.Clone(want), pads[pieceHeight(l.PieceLength)])} {
			if err := VerifyLayer(root[l.Size], l.Size, l.PieceLength, bad); err == nil {
				t.Errorf("%d bytes: a layer of %d hashes is accepted", l.Size, len(bad))
			}
		}
		verifyPieces(t, root[l.Size], data, l.PieceLength, want)
	}
	// Without a layer: not longer than a piece.
	for _, r := range v.Roots {
		if r.Size > 0 {
			verifyPieces(t, root[r.Size], content(r.Size), 1<<20, nil)
		}
	}
}

// verifyPieces checks that every piece is accepted in its place alone, whole and unchanged.
func verifyPieces(t *testing.T, root Hash, data []byte, pieceLength int64, layer []Hash) {
	t.Helper()
	size, index := int64(len(data)), int64(0)
	for piece := range slices.Chunk(data, int(pieceLength)) {
		if err := VerifyPiece(root, size, pieceLength, layer, index, piece); err != nil {
			t.Errorf("piece %d of %d bytes: %v", index, size, err)
		}
		bad := bytes.Clone(piece)
		bad[len(bad)-1] ^= 0x80
		if err := VerifyPiece(root, size, pieceLength, layer, index, bad); !errors.Is(err, ErrMismatch) {
			t.Errorf("changed piece %d of %d bytes: %v", index, size, err)
		}
		for _, wrong := range [][]byte{nil, piece[1:], append(bytes.Clone(piece), 0)} {
			if err := VerifyPiece(root, size, pieceLength, layer, index, wrong); err == nil {
				t.Errorf("piece %d of %d bytes is accepted with %d bytes", index, size, len(wrong))
			}
		}
		for _, wrong := range []int64{-1, index + 1, math.MaxInt64, math.MinInt64} {
			if err := VerifyPiece(root, size, pieceLength, layer, wrong, piece); err == nil {
				t.Errorf("piece %d of %d bytes is accepted as %d", index, size, wrong)
			}
		}
		index++
	}
}

func TestVerifyPieceHostile(t *testing.T) {
	data := content(3 * BlockSize)
	root := Root(data)
	for _, pieceLength := range []int64{0, -1, 1, BlockSize - 1, 3 * BlockSize, math.MinInt64, math.MaxInt64} {
		if VerifyPiece(root, int64(len(data)), pieceLength, nil, 0, data) == nil {
			t.Errorf("piece length %d is accepted", pieceLength)
		}
		if VerifyLayer(root, int64(len(data)), pieceLength, nil) == nil {
			t.Errorf("layer for piece length %d is accepted", pieceLength)
		}
	}
	for _, size := range []int64{-1, math.MinInt64, math.MaxInt64} {
		if VerifyPiece(root, size, 4*BlockSize, nil, 0, data) == nil {
			t.Errorf("size %d is accepted", size)
		}
	}
	// Two leaves as a content of 64 bytes have the root of what they are leaves of: size is part of identity.
	two := content(2 * BlockSize)
	leaves := append(pieceRoot(t, two[:BlockSize], 0), pieceRoot(t, two[BlockSize:], 0)...)
	if Root(leaves) != Root(two) {
		t.Error("a leaf is told from a node: the check below would prove nothing")
	}
	if VerifyPiece(Root(two), int64(len(two)), 2*BlockSize, nil, 0, leaves) == nil {
		t.Error("leaf hashes are accepted as content of another size")
	}
	// An empty content is one empty piece.
	if err := VerifyPiece(sha256.Sum256(nil), 0, BlockSize, nil, 0, nil); err != nil {
		t.Error(err)
	}
}

func pieceRoot(t *testing.T, data []byte, height int) []byte {
	t.Helper()
	h, err := PieceRoot(data, height)
	if err != nil {
		t.Fatal(err)
	}
	return h[:]
}

func TestPieceRoot(t *testing.T) {
	data := content(5 * BlockSize)
	for _, tt := range []struct{ size, height int }{{0, 0}, {1, -1}, {BlockSize + 1, 0}, {5 * BlockSize, 2}, {1, 64}} {
		if _, err := PieceRoot(data[:tt.size], tt.height); err == nil {
			t.Errorf("%d bytes make a tree of height %d", tt.size, tt.height)
		}
	}
	// One level more is the tree beside a padding tree of the same height.
	h2, _ := PieceRoot(data[:3*BlockSize], 2)
	h3, err := PieceRoot(data[:3*BlockSize], 3)
	if err != nil || h3 != node(&h2, &pads[2]) {
		t.Errorf("padding: %v, %v", h3, err)
	}
}

func TestRequests(t *testing.T) {
	v := readVectors(t)
	for _, q := range v.Requests {
		data := content(q.Size)
		r := Request{Root(data), q.Base, q.Index, q.Length, q.ProofLayers}
		// From the leaves, and from the requested layer alone.
		leaves := layerOf(t, data, 0)
		hashes := answer(t, q.Size, 0, leaves, r)
		if again := answer(t, q.Size, int(q.Base), layerOf(t, data, int(q.Base)), r); !slices.Equal(hashes, again) {
			t.Errorf("%+v: another answer from layer %d", q, q.Base)
		}
		digest := sha256.Sum256(concat(hashes))
		if len(hashes) != q.Count || hex.EncodeToString(digest[:]) != q.SHA256 {
			t.Errorf("%+v: wrong answer of %d hashes", q, len(hashes))
		}
		if err := r.Verify(q.Size, hashes); (err == nil) != q.ToRoot || errors.Is(err, ErrMismatch) {
			t.Errorf("%+v: %v", q, err)
		}
		if !q.ToRoot {
			continue
		}
		for i := range hashes {
			bad := slices.Clone(hashes)
			bad[i][0] ^= 1
			if err := r.Verify(q.Size, bad); !errors.Is(err, ErrMismatch) {
				t.Errorf("%+v: wrong hash %d gives %v", q, i, err)
			}
		}
		for _, bad := range [][]Hash{nil, hashes[1:], append(slices.Clone(hashes), Hash{})} {
			if r.Verify(q.Size, bad) == nil {
				t.Errorf("%+v: %d hashes are accepted", q, len(bad))
			}
		}
		if full := r.ToRoot(q.Size); full.Verify(q.Size, answer(t, q.Size, 0, leaves, full)) != nil {
			t.Errorf("%+v: ToRoot does not reach the root", q)
		}
	}
	tree, err := NewTree(65537, 1, layerOf(t, content(65537), 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range v.Refused {
		r := Request{tree.Root(), q.Base, q.Index, q.Length, q.ProofLayers}
		if r.Check(q.Size) == nil || r.Verify(q.Size, nil) == nil {
			t.Errorf("%+v is accepted", q)
		}
		if _, err := tree.Hashes(r); err == nil && q.Size == 65537 {
			t.Errorf("%+v is answered", q)
		}
	}
	for name, r := range map[string]Request{
		"below the tree's base": {tree.Root(), 0, 0, 2, 0},
		"another content":       {Hash{}, 1, 0, 2, 0},
	} {
		if _, err := tree.Hashes(r); err == nil {
			t.Errorf("%s: answered", name)
		}
	}
}

// layerOf returns a layer counted from the leaves, without padding.
func layerOf(t *testing.T, data []byte, base int) (layer []Hash) {
	t.Helper()
	for part := range slices.Chunk(data, BlockSize<<base) {
		layer = append(layer, Hash(pieceRoot(t, part, base)))
	}
	return layer
}

func answer(t *testing.T, size int64, base int, layer []Hash, r Request) []Hash {
	t.Helper()
	tree, err := NewTree(size, base, layer)
	if err != nil {
		t.Fatal(err)
	}
	hashes, err := tree.Hashes(r)
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	return hashes
}

func TestNewTree(t *testing.T) {
	for _, tt := range []struct {
		size  int64
		base  int
		count int
	}{
		{0, 0, 0}, {-1, 0, 1}, {1, 1, 1}, {1, -1, 1}, {1, 1 << 40, 1}, // no such layer
		{1, 0, 2}, {BlockSize + 1, 0, 1}, {math.MaxInt64, 0, 1}, // another number of hashes
	} {
		if _, err := NewTree(tt.size, tt.base, make([]Hash, tt.count)); err == nil {
			t.Errorf("a tree of %d hashes in layer %d for %d bytes", tt.count, tt.base, tt.size)
		}
	}
	tree, err := NewTree(1, 0, []Hash{{1}})
	if err != nil || tree.Root() != (Hash{1}) {
		t.Errorf("tree of one leaf: %v", err)
	}
}

func TestShape(t *testing.T) {
	for _, tt := range []struct {
		size           int64
		blocks, layer  int64
		height         int
		layerOf4Blocks int64
	}{
		{size: 0}, {size: -5},
		{size: 1, blocks: 1},
		{size: BlockSize, blocks: 1},
		{size: BlockSize + 1, blocks: 2, height: 1, layer: 2},
		{size: 4 * BlockSize, blocks: 4, height: 2, layer: 4},
		{size: 4*BlockSize + 1, blocks: 5, height: 3, layer: 5, layerOf4Blocks: 2},
		{size: math.MaxInt64, blocks: 1 << 49, height: 49, layer: 1 << 49, layerOf4Blocks: 1 << 47},
	} {
		if got := Blocks(tt.size); got != tt.blocks {
			t.Errorf("Blocks(%d) = %d", tt.size, got)
		}
		if got := Height(tt.size); got != tt.height {
			t.Errorf("Height(%d) = %d", tt.size, got)
		}
		if got := LayerLength(tt.size, BlockSize); got != tt.layer {
			t.Errorf("LayerLength(%d, 1 block) = %d", tt.size, got)
		}
		if got := LayerLength(tt.size, 4*BlockSize); got != tt.layerOf4Blocks {
			t.Errorf("LayerLength(%d, 4 blocks) = %d", tt.size, got)
		}
	}
}

func TestParseHash(t *testing.T) {
	good := strings.Repeat("0a", 32)
	for _, bad := range []string{"", good[1:], good + "0", strings.ToUpper(good), "g" + good[1:], "é" + good[2:]} {
		if _, err := ParseHash(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if h := parseHash(t, good); h[31] != 10 {
		t.Error(h)
	}
}

// FuzzRequest looks for requests from the network that panic, allocate much, or are answered by what is not verified.
func FuzzRequest(f *testing.F) {
	f.Add(int64(65537), uint32(0), uint32(0), uint32(2), uint32(2))
	f.Add(int64(600000), uint32(2), uint32(8), uint32(4), uint32(3))
	f.Add(int64(math.MaxInt64), uint32(48), uint32(0), uint32(2), uint32(0))
	f.Fuzz(func(t *testing.T, size int64, base, index, length, proofLayers uint32) {
		r := Request{Hash{}, base, index, length, proofLayers}
		if r.Verify(size, nil) == nil {
			t.Fatal("no hashes are accepted")
		}
		if r.Check(size) != nil {
			return
		}
		if r.Hashes() > MaxRequest+64 {
			t.Fatalf("an answer of %d hashes", r.Hashes())
		}
		if size > 64<<20 {
			return
		}
		layer := make([]Hash, Blocks(size))
		for i := range layer {
			layer[i] = Hash{byte(i), byte(i >> 8), 1}
		}
		tree, err := NewTree(size, 0, layer)
		if err != nil {
			t.Fatal(err)
		}
		r.Root = tree.Root()
		r = r.ToRoot(size)
		hashes, err := tree.Hashes(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Verify(size, hashes); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLargeFile(t *testing.T) {
	// A layer whose last piece is a single byte, fed in uneven steps.
	data := content(64*BlockSize + 1)
	root, layer := hashed(data, 4*BlockSize, 77_777)
	if root != Root(data) || len(layer) != 17 || VerifyLayer(root, int64(len(data)), 4*BlockSize, layer) != nil {
		t.Error("root or layer is wrong")
	}
	if _, err := NewHasher(BlockSize).Write(nil); err != nil {
		t.Error(err)
	}
}

func TestHasherRefusesPieceLength(t *testing.T) {
	for _, n := range []int64{0, -BlockSize, 1000, BlockSize / 2, 3 * BlockSize} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("piece length %d is accepted", n)
				}
			}()
			NewHasher(n)
		}()
	}
}
