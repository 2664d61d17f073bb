package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/planktos/planktos/internal/merkle"
)

// A Part is a content that is being put together, piece by piece in any order. Beyond its end the file has notes:
//
//	content | piece layer, 32 bytes a piece | bitfield (BEP 3's byte order) of the pieces that were verified
//
// A Part may be used by several goroutines at a time. It holds no file open.
type Part struct {
	store       *Store
	id          ID
	pieceLength int64
	resumed     bool // a former process wrote here
	begun       bool // Begin succeeded; guarded by store.mu

	mu    sync.Mutex
	layer []merkle.Hash
	have  []byte // bitfield
	left  int64  // pieces that are missing
	noted bool   // the notes are there
}

// Begin opens the part of a content that the store does not hold, for pieces of pieceLength bytes. The layer is the
// content's piece layer, nil for a content that is not longer than a piece. What an earlier process left there is
// verified and taken up. The error wraps [ErrFull] if the content would take the store beyond its limit.
func (s *Store) Begin(id ID, pieceLength int64, layer []merkle.Hash) (*Part, error) {
	if err := merkle.VerifyLayer(id.Hash, id.Size, pieceLength, layer); err != nil {
		return nil, fmt.Errorf("store: %v: %w", id, err)
	}
	part, err := s.claim(id, pieceLength)
	if err != nil {
		return nil, err
	}
	part.mu.Lock()
	defer part.mu.Unlock()
	if part.have != nil {
		return part, nil
	}
	part.layer = layer
	part.left = part.pieces()
	part.have = make([]byte, (part.left+7)/8)
	if part.resumed {
		part.resume()
	}
	return part, nil
}

// claim finds or makes the part, and counts its bytes.
func (s *Store) claim(id ID, pieceLength int64) (*Part, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	part := s.parts[partName(id, pieceLength)]
	if part == nil {
		if s.limit > 0 && s.used+id.Size > s.limit {
			return nil, fmt.Errorf("store: %s holds %d bytes and may hold %d: %d more are too many: %w", s.dir, s.used, s.limit,
				id.Size, ErrFull)
		}
		part = &Part{store: s, id: id, pieceLength: pieceLength}
		s.parts[part.name()] = part
		s.used += id.Size
	}
	part.begun = true
	return part, nil
}

// resume takes up the pieces that the notes name and whose hashes are right.
func (p *Part) resume() {
	f, err := p.store.root.Open(p.path())
	if err != nil {
		return
	}
	defer f.Close()
	noted := make([]byte, len(p.have))
	if _, err := f.ReadAt(noted, p.notesAt()); err != nil {
		return // left before anything was noted
	}
	data := make([]byte, min(p.pieceLength, p.id.Size))
	for i := range p.pieces() {
		if noted[i/8]&(0x80>>(i%8)) == 0 {
			continue
		}
		piece := data[:min(p.pieceLength, p.id.Size-i*p.pieceLength)]
		if _, err := f.ReadAt(piece, i*p.pieceLength); err == nil && p.verify(int(i), piece) == nil {
			p.mark(int(i))
		}
	}
}

// Has tells whether a piece of the content is there.
func (p *Part) Has(index int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.has(index)
}

// Complete tells whether every piece is there: it is time to call [Part.Finish].
func (p *Part) Complete() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left == 0
}

// Write verifies a piece and writes it. The error is [merkle.ErrMismatch] if it is not the content's, and wraps
// [ErrFull] if the disk is full; the pieces before stay.
func (p *Part) Write(index int, data []byte) error {
	if err := p.verify(index, data); err != nil {
		return err
	}
	if p.Has(index) {
		return nil
	}
	f, err := p.store.root.OpenFile(p.path(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return p.writeError(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, int64(index)*p.pieceLength); err != nil {
		return p.writeError(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mark(index)
	if err := p.note(f, index); err != nil {
		p.unmark(index)
		return p.writeError(err)
	}
	return nil
}

// note notes a piece: all that is known, with the first one. p.mu is held.
func (p *Part) note(f *os.File, index int) error {
	if p.noted {
		_, err := f.WriteAt(p.have[index/8:index/8+1], p.notesAt()+int64(index/8))
		return err
	}
	_, err := f.WriteAt(append(hashBytes(p.layer), p.have...), p.id.Size)
	p.noted = err == nil
	return err
}

// Finish makes a complete part a content of the store.
func (p *Part) Finish() error {
	if !p.Complete() {
		return fmt.Errorf("store: %v is not complete", p.id)
	}
	if p.store.Has(p.id) {
		return nil
	}
	f, err := p.store.root.OpenFile(p.path(), os.O_RDWR, 0)
	if err != nil {
		return p.writeError(err)
	}
	// On disk before it has the name that says so, and cut only after it: what is cut and lacks the name has lost its
	// notes.
	if err := errors.Join(f.Sync(), f.Close(), p.store.saveLayer(p.id, p.pieceLength, p.layer)); err != nil {
		return p.writeError(err)
	}
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	if err := p.store.root.Rename(p.path(), contentName(p.id)); err != nil {
		return p.writeError(err)
	}
	delete(p.store.parts, p.name())
	if p.store.complete[p.id] {
		p.store.used -= p.id.Size // by another part, with pieces of another length
	}
	p.store.complete[p.id] = true
	if err := p.store.truncate(contentName(p.id), p.id.Size); err != nil {
		return p.writeError(err)
	}
	return nil
}

func (p *Part) verify(index int, data []byte) error {
	return merkle.VerifyPiece(p.id.Hash, p.id.Size, p.pieceLength, p.layer, int64(index), data)
}

func (p *Part) pieces() int64  { return (p.id.Size-1)/p.pieceLength + 1 }
func (p *Part) notesAt() int64 { return p.id.Size + int64(len(p.layer)*len(merkle.Hash{})) }

func (p *Part) has(index int) bool { return p.have[index/8]&(0x80>>(index%8)) != 0 }

func (p *Part) mark(index int) {
	if !p.has(index) {
		p.have[index/8] |= 0x80 >> (index % 8)
		p.left--
	}
}

func (p *Part) unmark(index int) {
	p.have[index/8] &^= 0x80 >> (index % 8)
	p.left++
}

func (p *Part) name() string { return partName(p.id, p.pieceLength) }
func (p *Part) path() string { return partsFolder + "/" + p.name() }

// writeError names the file, and tells a full disk.
func (p *Part) writeError(err error) error {
	where := filepath.Join(p.store.dir, partsFolder)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("store: %s: the disk is full: %w", where, ErrFull)
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("store: %s: %w", where, path.Err)
	}
	return fmt.Errorf("store: %s: %w", where, err)
}

func partName(id ID, pieceLength int64) string {
	return id.String() + "." + strconv.FormatInt(pieceLength, 10)
}

func parsePartName(name string) (id ID, pieceLength int64, ok bool) {
	content, length, _ := strings.Cut(name, ".")
	id, ok = parseID(content)
	pieceLength, err := strconv.ParseInt(length, 10, 64)
	return id, pieceLength, ok && err == nil && merkle.ValidPieceLength(pieceLength) && partName(id, pieceLength) == name
}
