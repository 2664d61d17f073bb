package tracker

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// maxShared is how many shared frames may wait for a connection.
const maxShared = 4

// queues keeps the memory of queues that have been written.
var queues = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// enqueue appends a frame to the queue and sees to it that somebody writes it. c.mu is held.
func (c *conn) enqueue(op ws.OpCode, payload []byte) {
	if c.queue == nil {
		c.queue = (*queues.Get().(*[]byte))[:0]
	}
	c.queue = appendFrame(c.queue, op, payload)
	c.startWriting()
}

// startWriting sees to it that somebody writes. c.mu is held.
func (c *conn) startWriting() {
	if !c.writing {
		c.writing = true
		c.tracker.wait.Add(1)
		go c.write()
	}
}

// write writes until the queue is empty, all that has gathered in one call, and then what is shared.
func (c *conn) write() {
	defer c.tracker.wait.Done()
	for {
		c.mu.Lock()
		if c.closed || len(c.queue) == 0 && len(c.shared) == 0 {
			c.writing, c.shared = false, nil
			if c.done {
				c.close()
			}
			c.mu.Unlock()
			return
		}
		batch, own := c.queue, true
		if c.queue = nil; len(batch) == 0 {
			batch, own = c.shared[0], false
			c.shared = c.shared[1:]
		}
		c.inFlight = len(batch)
		if !c.ending {
			c.nc.SetWriteDeadline(time.Now().Add(c.tracker.limits.write))
		}
		c.mu.Unlock()

		_, err := c.nc.Write(batch)
		if own && cap(batch) <= keepBytes {
			queues.Put(&batch)
		}

		c.mu.Lock()
		c.inFlight = 0
		if err != nil {
			if timeout(err) && !c.ending {
				c.tracker.counts.slow.Add(1)
			}
			c.close()
		}
		c.mu.Unlock()
	}
}

// appendFrame appends a whole, unmasked frame, as servers send them (RFC 6455, section 5.2).
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	dst = append(dst, 0x80|byte(op)) // FIN
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}
