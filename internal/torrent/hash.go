package torrent

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/planktos/planktos/internal/merkle"
)

// ErrSize reports that a reader gave more or fewer bytes than it was said to have: the file changed meanwhile.
var ErrSize = errors.New("size differs from the one stated")

// FileHashes is all that a hybrid torrent says of a file's content, for one piece length.
type FileHashes struct {
	Size   int64
	Root   merkle.Hash   // BEP 52 pieces root
	Layer  []merkle.Hash // BEP 52 piece layer; nil if Size is at most a piece
	V1     [][20]byte    // SHA-1 of each piece, the last one filled up with zeros to a whole piece
	V1Last [20]byte      // SHA-1 of the last piece without the zeros, for the file that ends a torrent
}

const (
	// Go's SHA-1 is slower on long writes than on short ones, and a block's SHA-256 takes 16 KiB in one call.
	hashStep = merkle.BlockSize
	// readSize is what is read at once: enough that the two hashes of a large file rarely wait for each other.
	readSize = 8 * hashStep
	// From here on a second goroutine is cheaper than hashing twice in one: it costs some microseconds.
	parallelSize = 1 << 20
)

var zeros [hashStep]byte

// HashFile reads a content of exactly size bytes and hashes it for pieces of pieceLength bytes, by SHA-1 and SHA-256
// in one pass; a large one by two goroutines. The error wraps [ErrSize] if r has more or fewer bytes. Any number may
// run at once: buffers are pooled, so that many small files cost little more than their hashes.
func HashFile(r io.Reader, size, pieceLength int64) (FileHashes, error) {
	if !merkle.ValidPieceLength(pieceLength) {
		return FileHashes{}, fmt.Errorf("torrent: piece length %d is not a power of two from 16 KiB", pieceLength)
	}
	if size < 0 {
		return FileHashes{}, fmt.Errorf("torrent: size %d: %w", size, ErrSize)
	}
	s := hashers.Get().(*hasher)
	defer hashers.Put(s)
	s.v1.reset(pieceLength)
	s.v2.Reset(pieceLength)

	var err error
	if size < parallelSize {
		err = s.serial(r, size)
	} else {
		err = s.parallel(r, size)
	}
	if err == nil {
		err = atEnd(r, s.buf[:1])
	}
	if err != nil {
		return FileHashes{}, fmt.Errorf("torrent: hashing: %w", err)
	}
	f := FileHashes{Size: size}
	f.Root, f.Layer = s.v2.Sum()
	f.V1, f.V1Last = s.v1.sum()
	return f, nil
}

// A hasher is what HashFile needs for one file.
type hasher struct {
	v1  pieceHasher
	v2  *merkle.Hasher
	buf []byte
}

var hashers = sync.Pool{New: func() any {
	return &hasher{
		v1:  pieceHasher{h: sha1.New()},
		v2:  merkle.NewHasher(merkle.BlockSize),
		buf: make([]byte, readSize),
	}
}}

func (s *hasher) serial(r io.Reader, size int64) error {
	for size > 0 {
		b := s.buf[:min(size, readSize)]
		if err := readFull(r, b); err != nil {
			return err
		}
		size -= int64(len(b))
		for len(b) > 0 {
			step := b[:min(hashStep, len(b))]
			b = b[len(step):]
			s.v1.write(step)
			s.v2.Write(step)
		}
	}
	return nil
}

// buffersAhead is how many buffers of readSize the two hashes of a large file may be apart.
const buffersAhead = 4

// parallel is serial with SHA-1 in a goroutine of its own, which has ended when parallel returns.
func (s *hasher) parallel(r io.Reader, size int64) error {
	full, free := make(chan []byte, buffersAhead), make(chan []byte, buffersAhead)
	for range buffersAhead {
		free <- readBuffers.Get().(*[readSize]byte)[:]
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := range full {
			for rest := b; len(rest) > 0; {
				n := min(hashStep, len(rest))
				s.v1.write(rest[:n])
				rest = rest[n:]
			}
			free <- b
		}
	}()
	defer func() {
		close(full)
		<-done
		for range len(free) {
			readBuffers.Put((*[readSize]byte)((<-free)[:readSize]))
		}
	}()
	for size > 0 {
		b := (<-free)[:min(size, readSize)]
		if err := readFull(r, b); err != nil {
			free <- b
			return err
		}
		size -= int64(len(b))
		// The other goroutine only reads b, and hands it back on free: it may do so before this one has hashed it,
		// but only this one takes buffers from there.
		full <- b
		s.v2.Write(b)
	}
	return nil
}

var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// readFull is io.ReadFull with ErrSize for a premature end.
func readFull(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("content ends early: %w", ErrSize)
	}
	return err
}

// atEnd returns an error unless r is at its end.
func atEnd(r io.Reader, b []byte) error {
	switch n, err := io.ReadFull(r, b); {
	case n > 0:
		return fmt.Errorf("content goes on: %w", ErrSize)
	case err != io.EOF:
		return err
	}
	return nil
}

// A pieceHasher computes the SHA-1 of each piece (BEP 3).
type pieceHasher struct {
	h      hash.Hash
	length int64
	filled int64 // bytes of the piece in h; a whole piece stays there until the next byte
	pieces [][20]byte
}

func (p *pieceHasher) reset(pieceLength int64) {
	p.h.Reset()
	p.length, p.filled, p.pieces = pieceLength, 0, nil
}

// write adds at most hashStep bytes, which lie in one piece: calls start on multiples of hashStep.
func (p *pieceHasher) write(b []byte) {
	if p.filled == p.length {
		p.pieces = append(p.pieces, p.digest())
		p.h.Reset()
		p.filled = 0
	}
	p.h.Write(b)
	p.filled += int64(len(b))
}

func (p *pieceHasher) digest() (d [20]byte) {
	p.h.Sum(d[:0])
	return d
}

// sum returns the pieces, the last one padded, and the last one unpadded: SHA-1 of nothing if there is none.
func (p *pieceHasher) sum() (pieces [][20]byte, last [20]byte) {
	last = p.digest()
	if p.filled == 0 {
		return nil, last
	}
	for p.filled < p.length {
		n := min(hashStep, p.length-p.filled)
		p.h.Write(zeros[:n])
		p.filled += n
	}
	return append(p.pieces, p.digest()), last
}
