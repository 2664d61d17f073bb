package snapshot

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/planktos/planktos/internal/merkle"
)

// check makes sure that what is open for reading is the content it was when it was packed.
func check(ctx context.Context, t *tally, r io.ReadSeeker, file File) error {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return err
	}
	h := merkle.NewHasher(merkle.BlockSize)
	if err := pump(h, t.reader(ctx, r)); err != nil {
		return err
	}
	if root, _ := h.Sum(); root != file.Hash || h.Size() != file.Size {
		return fmt.Errorf("%s: %w", file.Path, ErrChanged)
	}
	return nil
}

var buffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// pump is [io.Copy] through a pooled buffer: of many small files, each would else cost one of its own.
func pump(w io.Writer, r io.Reader) error {
	buf := buffers.Get().(*[128 << 10]byte)
	defer buffers.Put(buf)
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, buf[:])
	return err
}

// holds tells whether a regular file of this content is in place, by its stamp or, if that is not known, by reading it.
func (p *publisher) holds(ctx context.Context, t *tally, name string, size int64, hash merkle.Hash) bool {
	info, err := p.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != size {
		return false
	}
	at := stampOf(info)
	if p.known[name] == (known{at, hash}) {
		p.remember(name, known{at, hash})
		return true
	}
	began := time.Now()
	f, err := p.root.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	if check(ctx, t, f, File{Path: name, Hash: hash, Size: size}) != nil {
		return false
	}
	if info, err := f.Stat(); err == nil && stampOf(info) == at && settled(at.changed(), began.Add(p.ahead)) {
		p.remember(name, known{at, hash})
	}
	return true
}
