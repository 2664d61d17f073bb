package tracker

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// conn is one client's WebSocket. Its goroutine reads; another writes, and exists only while there is something to
// write.
type conn struct {
	tracker *Tracker
	ip      netip.Prefix
	in      input

	// members are the swarms joined, the buckets what it sent of late. They belong to the conn's goroutine.
	members  []*peer
	rate     bucket
	faults   bucket
	offers   bucket
	releases bucket

	mu       sync.Mutex
	nc       net.Conn // set before anybody else knows the conn has started
	queue    []byte   // frames that wait to be written
	shared   [][]byte // frames that others are sent, too, to be written after those
	inFlight int      // bytes being written
	writing  bool     // the writer exists
	ending   bool     // a close frame is the last thing in the queue: nothing is added, and the peer has until endBy
	endBy    time.Time
	done     bool // the reader has ended: whoever is last closes
	closed   bool
}

// start begins to serve a connection that admit counted in.
func (c *conn) start(nc net.Conn) {
	c.mu.Lock()
	c.nc = nc
	if c.ending { // the tracker was closed during the handshake
		c.done, c.closed = true, true
	}
	late := c.closed
	c.mu.Unlock()
	if late {
		nc.Close()
		c.tracker.dismiss(c)
		return
	}
	c.tracker.counts.accepted.Add(1)
	c.tracker.counts.conns.Add(1)
	go c.serve()
}

// serve reads and handles messages until the connection ends.
func (c *conn) serve() {
	t := c.tracker
	err := c.loop()
	t.leaveAll(c)
	c.in.release()
	c.finish()
	t.counts.conns.Add(-1)
	t.log.Debug("disconnected", "ip", c.ip.Addr(), "reason", err)
	t.dismiss(c)
}

func (c *conn) loop() error {
	for {
		message, err := c.receive()
		if err == nil && c.isEnding() {
			continue // until the peer's close frame, or the end of its patience
		}
		if err == nil && !utf8.Valid(message) {
			err = &closeError{ws.StatusInvalidFramePayloadData, "invalid UTF-8"}
		}
		if err == nil {
			err = c.tracker.handle(c, message)
		}
		if err == nil {
			continue
		}
		var reason *closeError
		if errors.As(err, &reason) {
			c.end(reason)
		}
		if reason == nil || reason == byPeer {
			return err
		}
		if reason.status == ws.StatusProtocolError || reason.status == ws.StatusMessageTooBig {
			c.drain() // the frames cannot be followed any more
			return err
		}
	}
}

// drain reads and drops what still comes after our close frame, for as long as the peer has to read it: to close with
// bytes unread would reset the connection and lose the frame.
func (c *conn) drain() {
	var sink [512]byte
	for {
		if _, err := c.in.conn.Read(sink[:]); err != nil {
			return
		}
	}
}

func (c *conn) isEnding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

// readBy sets the time by which the next byte must have come.
func (c *conn) readBy(deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		deadline = c.endBy
	}
	c.nc.SetReadDeadline(deadline)
}

// send queues a frame. It never blocks; a connection whose queue overflows is dropped.
func (c *conn) send(op ws.OpCode, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending || c.closed {
		return
	}
	if len(payload)+len(c.queue)+c.inFlight > c.tracker.limits.queue {
		c.tracker.counts.slow.Add(1)
		c.close()
		return
	}
	c.enqueue(op, payload)
}

// share queues a frame that many are sent, as it is: it must not change any more. Of more than maxShared that wait, the
// oldest are dropped.
func (c *conn) share(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending || c.closed {
		return
	}
	if len(c.shared) == maxShared {
		c.shared = c.shared[1:]
	}
	c.shared = append(c.shared, frame)
	c.startWriting()
}

// end sends a close frame as the last thing, and gives the peer closeTimeout to take it.
func (c *conn) end(reason *closeError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending || c.closed {
		return
	}
	c.ending, c.endBy, c.shared = true, time.Now().Add(closeTimeout), nil
	if c.nc == nil {
		return // not started: start closes it
	}
	c.nc.SetDeadline(c.endBy)
	c.enqueue(ws.OpClose, ws.NewCloseFrameBody(reason.status, reason.reason))
}

// finish is called once, when the reader has ended.
func (c *conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
	if !c.writing || !c.ending {
		c.close()
	}
}

// close closes the connection and drops the queue. c.mu is held.
func (c *conn) close() {
	if c.closed {
		return
	}
	c.closed, c.queue, c.shared = true, nil, nil
	c.nc.Close()
}
