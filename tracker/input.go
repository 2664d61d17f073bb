package tracker

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// scratch is the memory that handling a message takes. A connection holds one only while bytes are under way, so that
// an idle one costs little more than its goroutine.
type scratch struct {
	reader  *bufio.Reader
	header  [ws.MaxHeaderSize]byte
	control [ws.MaxControlFramePayloadSize]byte
	message []byte
	reply   []byte
	picked  []*peer
}

const (
	readBufferBytes = 16 << 10
	// keepBytes is the largest message buffer that is kept for another message.
	keepBytes = 64 << 10
)

var scratches = sync.Pool{New: func() any { return &scratch{reader: bufio.NewReaderSize(nil, readBufferBytes)} }}

// input is the reading half of a connection, used by its goroutine alone.
type input struct {
	conn  net.Conn
	early []byte  // bytes that were read before scratch was at hand, to be read first
	one   [1]byte // early's memory
	work  *scratch
}

// Read reads past early. It is what the buffered reader reads from.
func (in *input) Read(p []byte) (int, error) {
	if len(in.early) > 0 {
		n := copy(p, in.early)
		in.early = in.early[n:]
		return n, nil
	}
	return in.conn.Read(p)
}

// await blocks until there is a byte to read, and sees to it that work is there.
func (in *input) await() error {
	if in.work != nil {
		if in.work.reader.Buffered() > 0 {
			return nil
		}
		in.release()
	}
	for len(in.early) == 0 {
		n, err := in.conn.Read(in.one[:])
		if n == 0 && err != nil {
			return err
		}
		in.early = in.one[:n] // a Reader may return nothing, and no error
	}
	in.work = scratches.Get().(*scratch)
	in.work.reader.Reset(in)
	return nil
}

// release gives the memory back. What the reader had buffered is lost.
func (in *input) release() {
	w := in.work
	if w == nil {
		return
	}
	in.work = nil
	w.reader.Reset(nil)
	clear(w.picked)
	if cap(w.message) > keepBytes {
		w.message = nil
	}
	if cap(w.reply) > keepBytes {
		w.reply = nil
	}
	scratches.Put(w)
}

// A closeError ends a connection with the status and reason of a close frame (RFC 6455, section 7.4).
type closeError struct {
	status ws.StatusCode
	reason string
}

func (e *closeError) Error() string { return fmt.Sprintf("%d %s", e.status, e.reason) }

var (
	goingAway  = &closeError{ws.StatusGoingAway, "tracker is shutting down"}
	tooBig     = &closeError{ws.StatusMessageTooBig, "message too big"}
	tooManyBad = &closeError{ws.StatusPolicyViolation, "too many bad messages"}
	bogus      = &closeError{ws.StatusPolicyViolation, "bogus offer or answer"}
	flood      = &closeError{ws.StatusPolicyViolation, "too many offers"}
	byPeer     = &closeError{ws.StatusNormalClosure, ""}
	errDead    = errors.New("no answer to ping")
)

// receive returns the next message. It is valid until the next call. Control frames are dealt with on the way.
func (c *conn) receive() ([]byte, error) {
	state := ws.StateServerSide
	pinged := false
	for {
		if !state.Fragmented() {
			silence := c.tracker.limits.ping
			if pinged {
				silence = c.tracker.limits.pong
			}
			c.readBy(time.Now().Add(silence))
			err := c.in.await()
			if timeout(err) && !pinged {
				pinged = true
				c.send(ws.OpPing, nil)
				continue
			}
			if timeout(err) {
				return nil, errDead
			}
			if err != nil {
				return nil, err
			}
			pinged = false
			c.in.work.message = c.in.work.message[:0]
			c.readBy(time.Now().Add(messageTimeout))
		}
		work := c.in.work
		header, err := ws.ReadHeaderBuffer(work.reader, work.header[:])
		if err != nil {
			return nil, err
		}
		if err := ws.CheckHeader(header, state); err != nil {
			return nil, &closeError{ws.StatusProtocolError, err.Error()}
		}
		if header.OpCode.IsControl() {
			if err := c.control(header); err != nil {
				return nil, err
			}
			continue
		}
		if err := c.payload(header); err != nil {
			return nil, err
		}
		if header.Fin {
			return work.message, nil
		}
		state = state.Set(ws.StateFragmented)
	}
}

// payload appends a data frame's payload to the message. Memory is taken as bytes arrive, not as they are announced.
func (c *conn) payload(header ws.Header) error {
	work := c.in.work
	start := len(work.message)
	if header.Length > int64(c.tracker.limits.message-start) {
		return tooBig
	}
	c.pace(header.Length)
	end := start + int(header.Length)
	for len(work.message) < end {
		have := len(work.message)
		if have == cap(work.message) {
			work.message = append(work.message, make([]byte, max(4<<10, have))...)
		}
		work.message = work.message[:min(end, cap(work.message))]
		if _, err := io.ReadFull(work.reader, work.message[have:]); err != nil {
			return err
		}
	}
	ws.Cipher(work.message[start:], header.Mask, 0)
	return nil
}

// control deals with a ping, pong or close frame.
func (c *conn) control(header ws.Header) error {
	body := c.in.work.control[:header.Length]
	if _, err := io.ReadFull(c.in.work.reader, body); err != nil {
		return err
	}
	ws.Cipher(body, header.Mask, 0)
	if header.OpCode == ws.OpClose {
		return byPeer
	}
	c.pace(0)
	if header.OpCode == ws.OpPing {
		c.send(ws.OpPong, body)
	}
	return nil
}

// pace waits until the connection may be served a frame of so many bytes, or the tracker is closed. Not reading is all
// that it takes to slow a sender down.
func (c *conn) pace(size int64) {
	limits := &c.tracker.limits
	wait := c.rate.take(time.Now(), limits.rate, limits.burst, 1+float64(size/tokenBytes))
	if wait <= 0 {
		return
	}
	c.readBy(time.Now().Add(wait + messageTimeout))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.tracker.closing:
	}
}

func timeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}
