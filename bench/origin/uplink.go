package main

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A connection sends this much, in bytes, before it is another's turn.
	turn = 8 << 10
	// What the uplink may make up for at once when a sleep took longer than it should.
	slack = 20 * time.Millisecond
)

// uplink is what all connections share. Each has one turn outstanding, and turns are given in the order in which they
// are asked for: the rate is divided evenly among those that have something to send.
type uplink struct {
	// rate in bytes a second; 0 is unlimited.
	rate float64

	mu   sync.Mutex
	free time.Time // when the turns given so far have been sent
}

// take returns when n further bytes have been sent.
func (u *uplink) take(n int) {
	if u.rate <= 0 {
		return
	}
	u.mu.Lock()
	if earliest := time.Now().Add(-slack); u.free.Before(earliest) {
		u.free = earliest
	}
	u.free = u.free.Add(time.Duration(float64(n) / u.rate * float64(time.Second)))
	until := u.free
	u.mu.Unlock()
	time.Sleep(time.Until(until))
}

// conn sends through the uplink and books what it sends to the request that it carries at the time; by HTTP/2, and during
// a TLS handshake, to all together.
type conn struct {
	net.Conn
	uplink  *uplink
	visitor int
	// ready is when the connection is established, from the visitor's view.
	ready   time.Time
	request atomic.Pointer[request]
	shared  atomic.Int64
	// late is the tracker's way out, once the connection is a WebSocket.
	late atomic.Pointer[delayLine]
}

func (c *conn) Read(p []byte) (int, error) {
	time.Sleep(time.Until(c.ready))
	return c.Conn.Read(p)
}

func (c *conn) Write(p []byte) (int, error) {
	if late := c.late.Load(); late != nil {
		return late.Write(p)
	}
	sent := 0
	for len(p) > 0 {
		part := p[:min(turn, len(p))]
		c.uplink.take(len(part))
		// Booked first, so that whoever has received something finds it in the report.
		booked := &c.shared
		if r := c.request.Load(); r != nil {
			booked = &r.wire
		}
		booked.Add(int64(len(part)))
		n, err := c.Conn.Write(part)
		sent += n
		if err != nil {
			booked.Add(int64(n - len(part)))
			return sent, err
		}
		p = p[n:]
	}
	return sent, nil
}

func (c *conn) Close() error {
	if late := c.late.Load(); late != nil {
		late.close()
	}
	return c.Conn.Close()
}

// delayLine sends each message a round trip late, in order, and books it to its request.
type delayLine struct {
	to      net.Conn
	delay   time.Duration
	request *request
	queue   chan delayed
	once    sync.Once
	closed  chan struct{}
}

type delayed struct {
	due  time.Time
	data []byte
}

func newDelayLine(to net.Conn, delay time.Duration, r *request) *delayLine {
	d := &delayLine{to: to, delay: delay, request: r, queue: make(chan delayed, 1024), closed: make(chan struct{})}
	go func() {
		for {
			select {
			case next := <-d.queue:
				time.Sleep(time.Until(next.due))
				n, err := d.to.Write(next.data)
				r.wire.Add(int64(n))
				if err != nil {
					d.to.Close()
					return
				}
			case <-d.closed:
				return
			}
		}
	}()
	return d
}

func (d *delayLine) Write(p []byte) (int, error) {
	select {
	case d.queue <- delayed{time.Now().Add(d.delay), append([]byte(nil), p...)}:
		return len(p), nil
	case <-d.closed:
		return 0, net.ErrClosed
	}
}

func (d *delayLine) close() { d.once.Do(func() { close(d.closed) }) }
