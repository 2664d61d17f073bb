package tracker

import (
	"slices"
	"sync"
	"time"

	"github.com/planktos/planktos/internal/signal"
)

const (
	// cryBatch members are told at a time, and cryPause later the next, so that announcements are served meanwhile and
	// no more writers run at a time than the system can bear.
	cryBatch = 256
	cryPause = 4 * time.Millisecond
	// maxCries is how many swarms may wait for their turn. Beyond it those who join hear, and nobody else.
	maxCries = 1024
)

// A crier is what is to be told to swarms, one after the other.
type crier struct {
	mu      sync.Mutex
	running bool
	order   []signal.InfoHash
	frames  map[signal.InfoHash][]byte // of those in order: only a swarm's last release is worth telling
}

// cry has a swarm told in the background.
func (t *Tracker) cry(h signal.InfoHash, frame []byte) {
	if !t.crier.add(h, frame) {
		return
	}
	t.mu.Lock()
	closed := t.closed
	if !closed {
		t.wait.Add(1)
	}
	t.mu.Unlock()
	if closed {
		t.crier.clear()
		return
	}
	go func() {
		defer t.wait.Done()
		for h, frame, ok := t.crier.next(); ok; h, frame, ok = t.crier.next() {
			if !t.tellAll(t.members(h), frame) {
				t.crier.clear()
				return
			}
		}
	}()
}

// tellAll sends a frame to those who understand it. It reports whether the tracker is still open.
func (t *Tracker) tellAll(peers []*peer, frame []byte) bool {
	pause := time.NewTimer(cryPause)
	defer pause.Stop()
	for batch := range slices.Chunk(peers, cryBatch) {
		for _, p := range batch {
			if p.listens {
				p.conn.share(frame)
				t.counts.told.Add(1)
			}
		}
		if len(batch) < cryBatch {
			break
		}
		pause.Reset(cryPause)
		select {
		case <-pause.C:
		case <-t.closing:
			return false
		}
	}
	return true
}

// add notes what a swarm is to be told, and reports whether somebody has to be started to do it.
func (c *crier) add(h signal.InfoHash, frame []byte) (start bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, waits := c.frames[h]; !waits {
		if len(c.order) >= maxCries {
			return false
		}
		c.order = append(c.order, h)
	}
	if c.frames == nil {
		c.frames = make(map[signal.InfoHash][]byte)
	}
	c.frames[h] = frame
	start, c.running = !c.running, true
	return start
}

// next returns the swarm whose turn it is. If there is none, who asks is done.
func (c *crier) next() (h signal.InfoHash, frame []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.order) == 0 {
		c.running, c.order = false, nil
		return h, nil, false
	}
	h, c.order = c.order[0], c.order[1:]
	frame = c.frames[h]
	delete(c.frames, h)
	return h, frame, true
}

// clear forgets everything, and is what the one who was started calls if it does not go on to the end.
func (c *crier) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running, c.order = false, nil
	clear(c.frames)
}
