package swarm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/planktos/planktos/internal/wire"
)

const (
	// idleBytes is what a reader begins with: enough for all that does not bring blocks.
	idleBytes = 4 << 10
	// readBytes is the longest channel message that we take, which is what our descriptions say (RFC 8841).
	readBytes = 64 << 10
	// sendBytes is the longest channel message that we send: what fits the buffer of pion's own readers.
	sendBytes = 65_535
	// wireBytes is the longest wire message that a peer may send, unless its bitfield is longer.
	wireBytes = 64 << 10
)

// A channel is a reliable, ordered data channel: what RFC 8831 makes of a stream, without its text messages.
type channel interface {
	// Read gives one message, of at most readBytes. It is io.ErrShortBuffer if p is too short for the message, which the
	// next Read then gives. It ends with the channel.
	Read(p []byte) (int, error)
	// Write queues one message, of at most sendBytes, and does not wait. p may be used again.
	Write(p []byte) (int, error)
	// Buffered is how many bytes have been written and have not reached the other side.
	Buffered() int
	// NotifyAt has the next fall of Buffered to n told on Low.
	NotifyAt(n int)
	// Low receives when Buffered has fallen to what NotifyAt said. It keeps one such news.
	Low() <-chan struct{}
	// Close ends the connection. Idempotent.
	Close() error
}

// A reader makes wire messages of a channel's messages: of a byte stream, that is.
type reader struct {
	ch    channel
	limit int // of a message, without its length
	buf   []byte
	rest  []byte // of buf: not read yet
	body  []byte
}

func newReader(ch channel, limit int) *reader {
	return &reader{ch: ch, limit: limit, buf: make([]byte, idleBytes)}
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		n, err := r.ch.Read(r.buf)
		if errors.Is(err, io.ErrShortBuffer) && len(r.buf) < readBytes {
			r.buf = make([]byte, readBytes)
			continue
		}
		if err != nil {
			return 0, err
		}
		r.rest = r.buf[:n]
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// next reads a message, which is valid until the next one is read.
func (r *reader) next() (wire.Message, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if uint64(length) > uint64(r.limit) {
		return nil, fmt.Errorf("%w: message of %d bytes", wire.ErrProtocol, length)
	}
	size := int(length)
	if size <= len(r.rest) {
		body := r.rest[:size]
		r.rest = r.rest[size:]
		return wire.Decode(body)
	}
	if cap(r.body) < size {
		r.body = make([]byte, size)
	}
	body := r.body[:size]
	if cap(r.body) > wireBytes {
		r.body = nil // a large bitfield comes once
	}
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return wire.Decode(body)
}
