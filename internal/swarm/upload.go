package swarm

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/planktos/planktos/internal/wire"
)

// uploadSlots is how many peers are given blocks at a time: the more, the longer each waits for what it could give on
// itself; the fewer, the worse a fast uplink is used.
const uploadSlots = 16

// turns give some peers at a time the right to be sent blocks, in the order in which they asked: little is under way at
// a time however many ask, a newcomer is served soon, and nobody's slowness keeps the others.
type turns struct {
	slots   int
	mu      sync.Mutex
	free    int
	waiting []*turn
}

type turn struct{ begun chan struct{} }

func newTurns(slots int) *turns { return &turns{slots: slots, free: slots} }

// ask asks for a turn, which begins at once or when it comes. It must be ended, whether it has begun or not.
func (t *turns) ask() *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := &turn{begun: make(chan struct{})}
	if t.free > 0 {
		t.free--
		close(one.begun)
	} else {
		t.waiting = append(t.waiting, one)
	}
	return one
}

// end passes the turn on.
func (t *turns) end(one *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.waiting, one); i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
		return
	}
	if len(t.waiting) == 0 {
		t.free++
		return
	}
	close(t.waiting[0].begun)
	t.waiting = slices.Delete(t.waiting, 0, 1)
}

// room is how much may be on its way to a peer whose turn it is.
func (t *turns) room() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) > 0 {
		return roomBytes
	}
	return min(manyBytes, 4*manyBytes/max(1, t.slots-t.free))
}

// limiterBurst may go out at once.
const limiterBurst = 50 * time.Millisecond

// A limiter says when bytes may go out at a rate.
type limiter struct {
	rate float64 // bytes a second; 0: no limit

	mu    sync.Mutex
	clock time.Time // when all that was let go is out
}

// reserve lets n bytes go, after the time it returns.
func (l *limiter) reserve(n int) time.Duration {
	if l.rate <= 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if earliest := now.Add(-limiterBurst); l.clock.Before(earliest) {
		l.clock = earliest
	}
	l.clock = l.clock.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
	return l.clock.Sub(now)
}

// takeWanted takes the next of what a peer wants: up to most bytes, and one request in any case.
func (s *Swarm) takeWanted(p *peer, most int) []wire.Block {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes, n := 0, 0
	for n < len(p.wanted) && (n == 0 || bytes+int(p.wanted[n].Length) <= most) {
		bytes += int(p.wanted[n].Length)
		n++
	}
	blocks := p.wanted[:n:n]
	if p.wanted = p.wanted[n:]; len(p.wanted) == 0 {
		p.wanted = nil
	}
	return blocks
}

// appendBlock appends the message that answers a request, a reject where it cannot be read, and tells how many of its
// bytes are content: what lies beyond a content's end is zeros (BEP 47).
func (s *Swarm) appendBlock(b []byte, p *peer, block wire.Block) (_ []byte, payload int) {
	s.mu.Lock()
	c := s.layout.at(int(block.Piece))
	have := s.have.has(int(block.Piece))
	s.mu.Unlock()
	start := len(b)
	if c != nil && have {
		b = wire.Append(b, wire.Piece{Piece: block.Piece, Begin: block.Begin})
		head := len(b)
		b = slices.Grow(b, int(block.Length))[:head+int(block.Length)]
		offset := int64(int(block.Piece)-c.Piece)*s.torrent.PieceLength + int64(block.Begin)
		payload = int(max(0, min(int64(block.Length), c.Size-offset)))
		clear(b[head+payload:])
		var err error
		if payload > 0 {
			err = s.node.Library.ReadAt(c.ID, b[head:head+payload], offset)
		}
		if err == nil {
			binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
			return b, payload
		}
		s.node.log.Warn("content cannot be read", "content", c.ID.String(), "error", err)
		s.lose(c)
	}
	if p.fast {
		block.ID = wire.Reject
		return wire.Append(b[:start], block), 0
	}
	return b[:start], 0
}
