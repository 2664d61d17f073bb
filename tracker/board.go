package tracker

import (
	"container/list"
	"sync"
	"time"

	"github.com/planktos/planktos/internal/signal"
)

const (
	// boardTime is how long a release is told to those who join its swarm: a page that was frozen, or lost its socket,
	// is back by then.
	boardTime = 10 * time.Minute
	// boardBytes bounds what is kept of all swarms' releases. The oldest make room.
	boardBytes = 16 << 20
	// noteBytes is about what a note takes besides its frame.
	noteBytes = 256
)

// A board keeps each swarm's last release for a while. The zero value is empty.
type board struct {
	mu    sync.Mutex
	notes map[signal.InfoHash]*list.Element // of order
	order list.List                         // of *note, the oldest first
	bytes int
}

type note struct {
	infoHash signal.InfoHash
	frame    []byte // shared by all who are sent it
	at       time.Time
	rate     bucket
}

// admits reports whether a swarm may be told of a release that a stranger publishes.
func (b *board) admits(h signal.InfoHash, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire(now)
	e := b.notes[h]
	if e == nil {
		return true
	}
	rate := &e.Value.(*note).rate
	after := *rate
	if after.take(now, 1/swarmRefill.Seconds(), swarmBurst, 1) > 0 {
		return false // and costs nothing, so that who asks too often keeps nobody else waiting
	}
	*rate = after
	return true
}

// pin puts a frame in the place of what was known of the swarm.
func (b *board) pin(h signal.InfoHash, frame []byte, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := &note{infoHash: h, rate: bucket{used: 1, last: now}}
	if e := b.notes[h]; e != nil {
		n.rate = b.remove(e).rate
	}
	n.frame, n.at = frame, now
	if b.notes == nil {
		b.notes = make(map[signal.InfoHash]*list.Element)
	}
	b.notes[h] = b.order.PushBack(n)
	b.bytes += noteBytes + len(frame)
	for b.bytes > boardBytes {
		b.remove(b.order.Front())
	}
	b.expire(now)
}

// last returns the frame of a swarm's last release, nil if there was none of late.
func (b *board) last(h signal.InfoHash, now time.Time) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire(now)
	if e := b.notes[h]; e != nil {
		return e.Value.(*note).frame
	}
	return nil
}

// expire removes what is too old. b.mu is held.
func (b *board) expire(now time.Time) {
	for e := b.order.Front(); e != nil && now.Sub(e.Value.(*note).at) > boardTime; e = b.order.Front() {
		b.remove(e)
	}
}

// remove takes a note off. b.mu is held.
func (b *board) remove(e *list.Element) *note {
	n := b.order.Remove(e).(*note)
	delete(b.notes, n.infoHash)
	b.bytes -= noteBytes + len(n.frame)
	return n
}
