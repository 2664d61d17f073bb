package store

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/planktos/planktos/internal/merkle"
)

const pieceLength = 32 << 10

// content makes a content of size bytes, and its piece layer.
func content(t testing.TB, size int) ([]byte, ID, []merkle.Hash) {
	t.Helper()
	data := make([]byte, size)
	if _, err := io.ReadFull(rand.NewChaCha8([32]byte{byte(size), byte(size >> 8)}), data); err != nil {
		t.Fatal(err)
	}
	h := merkle.NewHasher(pieceLength)
	h.Write(data)
	root, layer := h.Sum()
	return data, ID{root, int64(size)}, layer
}

func piece(data []byte, i int) []byte { return data[i*pieceLength : min(len(data), (i+1)*pieceLength)] }

func open(t testing.TB, dir string, limit int64) *Store {
	t.Helper()
	s, err := Open(dir, &Options{Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func begin(t testing.TB, s *Store, id ID, layer []merkle.Hash) *Part {
	t.Helper()
	p, err := s.Begin(id, pieceLength, layer)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t testing.TB, p *Part, data []byte, indices ...int) {
	t.Helper()
	for _, i := range indices {
		if err := p.Write(i, piece(data, i)); err != nil {
			t.Fatal(err)
		}
	}
}

// put stores a whole content.
func put(t testing.TB, s *Store, data []byte, id ID, layer []merkle.Hash) {
	t.Helper()
	p := begin(t, s, id, layer)
	for i := 0; i*pieceLength < len(data); i++ {
		write(t, p, data, i)
	}
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
}

func readAll(t testing.TB, s *Store, id ID) []byte {
	t.Helper()
	p := make([]byte, id.Size)
	if err := s.ReadAt(id, p, 0); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPiecesInAnyOrder(t *testing.T) {
	for _, size := range []int{1, 16 << 10, pieceLength, pieceLength + 1, 5*pieceLength + 77} {
		data, id, layer := content(t, size)
		s := open(t, t.TempDir(), 0)
		p := begin(t, s, id, layer)
		for i := (size - 1) / pieceLength; i >= 0; i-- {
			if p.Has(i) || p.Complete() || s.Has(id) || p.Finish() == nil {
				t.Fatalf("%d bytes: complete before piece %d", size, i)
			}
			write(t, p, data, i, i)
			got := make([]byte, len(piece(data, i)))
			if err := s.ReadAt(id, got, int64(i)*pieceLength); err != nil || !bytes.Equal(got, piece(data, i)) {
				t.Fatalf("%d bytes: piece %d of a part: %v", size, i, err)
			}
		}
		if err := p.Finish(); err != nil {
			t.Fatal(err)
		}
		if !s.Has(id) || !bytes.Equal(readAll(t, s, id), data) || s.Used() != id.Size {
			t.Errorf("%d bytes: has %v, used %d", size, s.Has(id), s.Used())
		}
		got, err := s.Layer(id, pieceLength)
		if err != nil || len(got) != len(layer) {
			t.Errorf("%d bytes: layer of %d hashes, want %d: %v", size, len(got), len(layer), err)
		}
	}
}

func TestWrongBytesDoNotEnter(t *testing.T) {
	data, id, layer := content(t, 3*pieceLength)
	s := open(t, t.TempDir(), 0)
	p := begin(t, s, id, layer)
	bad := bytes.Clone(piece(data, 1))
	bad[100] ^= 1
	if err := p.Write(1, bad); !errors.Is(err, merkle.ErrMismatch) || p.Has(1) {
		t.Errorf("got %v, has %v", err, p.Has(1))
	}
	for _, bad := range []struct {
		index int
		data  []byte
	}{{-1, data[:pieceLength]}, {3, data[:pieceLength]}, {0, data[:10]}, {0, nil}} {
		if p.Write(bad.index, bad.data) == nil {
			t.Errorf("piece %d of %d bytes was taken", bad.index, len(bad.data))
		}
	}
	layer[0][0] ^= 1
	if _, err := s.Begin(id, pieceLength, layer); !errors.Is(err, merkle.ErrMismatch) {
		t.Errorf("a wrong layer: %v", err)
	}
}

func TestRestart(t *testing.T) {
	data, id, layer := content(t, 9*pieceLength+5)
	whole, wholeID, wholeLayer := content(t, 3*pieceLength)
	dir := t.TempDir()
	s := open(t, dir, 0)
	put(t, s, whole, wholeID, wholeLayer)
	write(t, begin(t, s, id, layer), data, 9, 2, 4)
	if _, err := Open(dir, nil); !errors.Is(err, ErrLocked) {
		t.Fatalf("opened twice: %v", err)
	}
	s.Close()

	// A piece that did not reach the disk, though its note did.
	name := filepath.Join(dir, partsFolder, partName(id, pieceLength))
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 100), 4*pieceLength); err != nil {
		t.Fatal(err)
	}
	f.Close()

	s = open(t, dir, 0)
	if !bytes.Equal(readAll(t, s, wholeID), whole) {
		t.Error("the complete content is not what it was")
	}
	noted, err := s.Layer(id, pieceLength)
	if err != nil || len(noted) != len(layer) {
		t.Fatalf("noted layer of %d hashes: %v", len(noted), err)
	}
	p := begin(t, s, id, noted)
	for i := range 10 {
		if want := i == 2 || i == 9; p.Has(i) != want {
			t.Errorf("piece %d: %v", i, p.Has(i))
		}
	}
	if want := id.Size + wholeID.Size; s.Used() != want {
		t.Errorf("used %d, want %d", s.Used(), want)
	}
	write(t, p, data, 0, 1, 3, 4, 5, 6, 7, 8)
	if err := p.Finish(); err != nil || !bytes.Equal(readAll(t, s, id), data) {
		t.Errorf("resumed: %v", err)
	}
}

// A crash between naming a complete content and cutting its notes off, and files that are nobody's.
func TestRestartInTheMiddle(t *testing.T) {
	data, id, layer := content(t, 2*pieceLength)
	dir := t.TempDir()
	s := open(t, dir, 0)
	write(t, begin(t, s, id, layer), data, 0, 1)
	s.Close()
	part := filepath.Join(dir, partsFolder, partName(id, pieceLength))
	if err := os.Rename(part, filepath.Join(dir, contentName(id))); err != nil {
		t.Fatal(err)
	}
	_, short, _ := content(t, 100)
	for name, data := range map[string][]byte{
		contentName(short):                     make([]byte, 99),
		contentsFolder + "/readme":             []byte("x"),
		partsFolder + "/readme":                []byte("x"),
		partsFolder + "/" + id.String() + ".7": []byte("x"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, 0)
	if s.Has(short) || !bytes.Equal(readAll(t, s, id), data) {
		t.Error("the folder was misread")
	}
	info, err := os.Stat(filepath.Join(dir, contentName(id)))
	if err != nil || info.Size() != id.Size {
		t.Errorf("size %d, %v", info.Size(), err)
	}
	got, err := s.Layer(id, pieceLength)
	if err != nil || merkle.VerifyLayer(id.Hash, id.Size, pieceLength, got) != nil {
		t.Errorf("a layer that was lost: %v", err)
	}
}

func TestLimit(t *testing.T) {
	data, id, layer := content(t, 3*pieceLength)
	_, other, _ := content(t, pieceLength)
	s := open(t, t.TempDir(), 3*pieceLength+100)
	put(t, s, data, id, layer)
	if _, err := s.Begin(other, pieceLength, nil); !errors.Is(err, ErrFull) {
		t.Fatalf("beyond the limit: %v", err)
	}
	if err := s.Sweep(func(id ID) bool { return id == other }); err != nil {
		t.Fatal(err)
	}
	if s.Has(id) || s.Used() != 0 {
		t.Errorf("swept: has %v, used %d", s.Has(id), s.Used())
	}
	if left, err := fs.ReadDir(s.Root().FS(), contentsFolder); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	begin(t, s, other, nil)
}

// What a former run left in part may go as whatever is complete may; not what is named, or being put together.
func TestShrink(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	var ids []ID
	for size := range 10 {
		data, id, layer := content(t, 1000+size)
		put(t, s, data, id, layer)
		ids = append(ids, id)
	}
	left, leftID, leftLayer := content(t, 2*pieceLength)
	write(t, begin(t, s, leftID, leftLayer), left, 0)
	s.Close()

	s = open(t, dir, 0)
	_, begunID, begunLayer := content(t, 3*pieceLength)
	begin(t, s, begunID, begunLayer)
	named := ids[4]
	names := func(id ID) bool { return id == named }
	before := s.Used()
	if err := s.Shrink(before, names); err != nil || s.Used() != before {
		t.Errorf("though there is room: %d bytes, and then %d, %v", before, s.Used(), err)
	}
	if err := s.Shrink(before-1500, names); err != nil || s.Used() > before-1500 || s.Used() < 3*pieceLength+7000 {
		t.Errorf("%d bytes, and then %d, %v", before, s.Used(), err)
	}
	if err := s.Shrink(0, names); err != nil || s.Used() != begunID.Size+named.Size || !s.Has(named) ||
		!s.Holds(begunID, pieceLength) || s.Holds(leftID, pieceLength) {
		t.Errorf("of all, %d bytes are left, %v", s.Used(), err)
	}
	for folder, want := range map[string]int{contentsFolder: 1, partsFolder: 0} {
		if entries, err := fs.ReadDir(s.Root().FS(), folder); err != nil || len(entries) != want {
			t.Errorf("%s: %v, %v", folder, entries, err)
		}
	}
}

// What is whole and was begun with pieces of another length goes at once, and nothing goes for it a second time.
func TestShrinkWholeAndBegun(t *testing.T) {
	for range 20 { // which goes first is chance
		dir := t.TempDir()
		s := open(t, dir, 0)
		data, id, layer := content(t, pieceLength)
		h := merkle.NewHasher(merkle.BlockSize)
		h.Write(data)
		_, small := h.Sum()
		part, err := s.Begin(id, merkle.BlockSize, small)
		if err != nil {
			t.Fatal(err)
		}
		if err := part.Write(0, data[:merkle.BlockSize]); err != nil {
			t.Fatal(err)
		}
		put(t, s, data, id, layer)
		data, other, layer := content(t, 2*pieceLength)
		put(t, s, data, other, layer)
		s.Close()

		s = open(t, dir, 0)
		if used := s.Used(); used != 4*pieceLength {
			t.Fatalf("%d bytes are used", used)
		}
		if err := s.Shrink(2*pieceLength, func(ID) bool { return false }); err != nil {
			t.Fatal(err)
		}
		if s.Used() != 2*pieceLength || s.Holds(id, merkle.BlockSize) == s.Has(other) {
			t.Fatalf("%d bytes are left", s.Used())
		}
		s.Close()
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	good, goodID, goodLayer := content(t, 3*pieceLength)
	bad, badID, badLayer := content(t, 100)
	s := open(t, dir, 0)
	put(t, s, good, goodID, goodLayer)
	put(t, s, bad, badID, badLayer)
	bad[0] ^= 1
	if err := os.WriteFile(filepath.Join(dir, contentName(badID)), bad, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if !s.Has(goodID) || s.Has(badID) {
		t.Errorf("good %v, bad %v", s.Has(goodID), s.Has(badID))
	}
}

func FuzzNames(f *testing.F) {
	_, id, _ := content(f, 100)
	f.Add(id.String())
	f.Add(partName(id, pieceLength))
	f.Add(id.String() + ".16384.layer")
	f.Fuzz(func(t *testing.T, name string) {
		if id, ok := parseID(name); ok && id.String() != name {
			t.Errorf("%q is %v", name, id)
		}
		if id, length, ok := parsePartName(name); ok && partName(id, length) != name {
			t.Errorf("%q is %v, %d", name, id, length)
		}
	})
}
