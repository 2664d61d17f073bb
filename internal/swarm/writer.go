package swarm

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/planktos/planktos/internal/wire"
)

const (
	// batchBytes of blocks are given to a peer at a time while others wait.
	batchBytes = 64 << 10
	// loneBatchBytes are, while nobody waits: six blocks fill two channel messages of 49,191 bytes, where four would be two
	// of 32,794, and messages cost a browser much.
	loneBatchBytes = 96 << 10
	// roomBytes may be on their way to a peer whose turn it is not.
	roomBytes = 64 << 10
	// manyBytes may be on their way to a peer whose turn it is while nobody waits for one, and to all of these together
	// four times as many.
	manyBytes = 1 << 20
	// unreadBytes on their way mean that the peer does not read.
	unreadBytes = 2 << 20
	// slotTime is how long who does not read keeps a slot.
	slotTime  = time.Second
	keepAlive = time.Minute
)

// An outbox is what is to be sent to a peer, blocks excepted.
type outbox struct {
	wake chan struct{} // has an element when the writer has something to look at

	mu   sync.Mutex
	buf  []byte
	lazy []byte // is sent with what comes next, or when poked
}

// push queues a message, to be sent at once or when the writer next wakes.
func (o *outbox) push(m wire.Message, now bool) {
	o.mu.Lock()
	if now {
		o.buf = wire.Append(o.buf, m)
	} else {
		o.lazy = wire.Append(o.lazy, m)
	}
	o.mu.Unlock()
	if now {
		o.poke()
	}
}

// poke has the writer look again.
func (o *outbox) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// nudge pokes if there is something lazy.
func (o *outbox) nudge() {
	o.mu.Lock()
	waiting := len(o.lazy) > 0
	o.mu.Unlock()
	if waiting {
		o.poke()
	}
}

// size is how many bytes wait.
func (o *outbox) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.buf) + len(o.lazy)
}

// take empties the outbox into b.
func (o *outbox) take(b []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	b = append(append(b, o.buf...), o.lazy...)
	o.buf, o.lazy = emptied(o.buf), emptied(o.lazy)
	return b
}

// keptBytes of a buffer are kept for what comes next: most messages are short, and most peers idle.
const keptBytes = 1 << 10

func emptied(b []byte) []byte {
	if cap(b) > keptBytes {
		return nil
	}
	return b[:0]
}

// batches are buffers for what is sent together: blocks, or whatever else is queued.
var batches = sync.Pool{New: func() any { return &batch{data: make([]byte, 0, 2*batchBytes)} }}

type batch struct{ data []byte }

func (b *batch) free() {
	if cap(b.data) <= 8*batchBytes {
		batches.Put(b)
	}
}

// write sends until the connection ends: what is in the outbox at once, and blocks when it is the peer's turn. A turn
// lasts until what was given has left, so that few peers at a time have much on its way.
func (p *peer) write(ctx context.Context) {
	turns := p.swarm.node.turns
	var turn *turn
	var given time.Time // when blocks were last given in this turn; zero before
	defer func() {
		if turn != nil {
			turns.end(turn)
		}
	}()
	timer := time.NewTimer(keepAlive)
	defer timer.Stop()
	sent := time.Now()
	for {
		switch wrote, err := p.flush(); {
		case err != nil:
			return
		case wrote:
			sent = time.Now()
		}
		var begun <-chan struct{}
		wait, mark := keepAlive-time.Since(sent), roomBytes
		switch most := turns.room(); {
		case turn == nil:
			if p.hungry() && p.ch.Buffered() <= roomBytes {
				turn = turns.ask()
				begun = turn.begun
			}
		case given.IsZero():
			begun = turn.begun
		case p.ch.Buffered() <= most/2 && most > roomBytes && p.hungry():
			if p.give(ctx) != nil {
				return
			}
			given, sent = time.Now(), time.Now()
			continue
		case p.ch.Buffered() <= roomBytes || time.Since(given) >= slotTime:
			turns.end(turn)
			turn, given = nil, time.Time{}
			continue
		default:
			wait = slotTime - time.Since(given)
			if most > roomBytes && p.hungry() {
				mark = most / 2
			}
		}
		if begun == nil && p.drained(mark) {
			continue
		}
		timer.Reset(max(wait, 0))
		select {
		case <-ctx.Done():
			return
		case <-p.out.wake:
		case <-p.ch.Low():
		case <-begun:
			if p.give(ctx) != nil {
				return
			}
			given, sent = time.Now(), time.Now()
		case <-timer.C:
			if time.Since(sent) >= keepAlive {
				p.send(wire.KeepAlive{})
			}
		}
	}
}

// drained asks to be told when the channel has drained to mark, unless it has: it tells whether it has done so in
// between.
func (p *peer) drained(mark int) bool {
	if p.ch.Buffered() <= mark {
		return false
	}
	p.ch.NotifyAt(mark)
	return p.ch.Buffered() <= mark
}

// flush sends what is in the outbox.
func (p *peer) flush() (wrote bool, err error) {
	b := batches.Get().(*batch)
	defer b.free()
	b.data = p.out.take(b.data[:0])
	if len(b.data) == 0 {
		return false, nil
	}
	if p.ch.Buffered() > unreadBytes {
		return false, errRefused
	}
	return true, p.sendBytes(b.data)
}

// sendBytes sends bytes in messages of equal length: a small one costs as much as a large one.
func (p *peer) sendBytes(b []byte) error {
	messages := (len(b) + sendBytes - 1) / sendBytes
	step := (len(b) + messages - 1) / messages
	for part := range slices.Chunk(b, step) {
		if _, err := p.ch.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// hungry tells whether the peer waits for blocks.
func (p *peer) hungry() bool {
	p.swarm.mu.Lock()
	defer p.swarm.mu.Unlock()
	return len(p.wanted) > 0
}

// give sends blocks that the peer wants: a batch, and more while there is room and nobody waits.
func (p *peer) give(ctx context.Context) error {
	b := batches.Get().(*batch)
	defer b.free()
	for {
		most := batchBytes
		if p.swarm.node.turns.room() > roomBytes {
			most = loneBatchBytes
		}
		blocks := p.swarm.takeWanted(p, most)
		if len(blocks) == 0 {
			return nil
		}
		b.data = b.data[:0]
		payload := 0
		for _, block := range blocks {
			if err := p.pause(ctx, p.swarm.node.upload.reserve(int(block.Length))); err != nil {
				return err
			}
			b.data, payload = p.swarm.appendBlock(b.data, p, block)
			p.swarm.uploaded.Add(int64(payload))
		}
		if len(b.data) > 0 {
			if err := p.sendBytes(b.data); err != nil {
				return err
			}
		}
		if room := p.swarm.node.turns.room(); room == roomBytes || p.ch.Buffered() >= room {
			return nil
		}
	}
}

// pause waits until more may go out, and sends what is not a block meanwhile.
func (p *peer) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		case <-p.out.wake:
			if _, err := p.flush(); err != nil {
				return err
			}
		}
	}
}
