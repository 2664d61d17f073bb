package store

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk that is full stops the content that does not fit, and costs nothing of what is there.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("no small disk can be made here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	data, id, layer := content(t, 3*pieceLength)
	large, largeID, largeLayer := content(t, 20*pieceLength)
	s := open(t, dir, 0)
	put(t, s, data, id, layer)
	p := begin(t, s, largeID, largeLayer)
	var err error
	i := 0
	for ; err == nil && i < 20; i++ {
		err = p.Write(i, piece(large, i))
	}
	if !errors.Is(err, ErrFull) || i < 2 {
		t.Fatalf("after %d pieces: %v", i, err)
	}
	if !bytes.Equal(readAll(t, s, id), data) {
		t.Error("the content that was there is lost")
	}
	s.Close()
	s = open(t, dir, 0)
	p = begin(t, s, largeID, largeLayer)
	for j := range i - 1 {
		if !p.Has(j) {
			t.Errorf("piece %d is lost", j)
		}
	}
	if err := s.Sweep(func(kept ID) bool { return kept != id }); err != nil {
		t.Fatal(err)
	}
	if err := p.Write(i-1, piece(large, i-1)); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}
