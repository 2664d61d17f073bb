package tracker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/planktos/planktos/internal/signal"
)

// pipe is a client on an unbuffered connection in memory, so that the clock may be synctest's, a write is over only
// when the tracker has read it, and the tracker's writes wait for a read.
type pipe struct {
	t  *testing.T
	nc net.Conn
	in *bufio.Reader
}

// hijackable hands out one end of a pipe.
type hijackable struct {
	*httptest.ResponseRecorder
	nc net.Conn
}

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.nc, bufio.NewReadWriter(bufio.NewReader(h.nc), bufio.NewWriter(h.nc)), nil
}

func connectPipe(t *testing.T, tracker *Tracker) *pipe {
	t.Helper()
	ours, theirs := net.Pipe()
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(handshake)))
	if err != nil {
		t.Fatal(err)
	}
	go tracker.ServeHTTP(&hijackable{httptest.NewRecorder(), theirs}, request)
	p := &pipe{t, ours, bufio.NewReader(ours)}
	response, err := http.ReadResponse(p.in, request)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(response, err)
	}
	synctest.Wait()
	return p
}

func (p *pipe) write(frame ws.Frame) {
	p.t.Helper()
	if err := ws.WriteFrame(p.nc, ws.MaskFrameWith(frame, [4]byte{1, 2, 3, 4})); err != nil {
		p.t.Fatal(err)
	}
}

// readFrame reads one frame of a length that the tracker may send.
func readFrame(r io.Reader) (ws.Frame, error) {
	header, err := ws.ReadHeader(r)
	if err != nil {
		return ws.Frame{}, err
	}
	if header.Length > 1<<20 {
		return ws.Frame{}, fmt.Errorf("a frame of %d bytes", header.Length)
	}
	frame := ws.Frame{Header: header, Payload: make([]byte, header.Length)}
	_, err = io.ReadFull(r, frame.Payload)
	return frame, err
}

func (p *pipe) read() ws.Frame {
	p.t.Helper()
	frame, err := readFrame(p.in)
	if err != nil {
		p.t.Fatal(err)
	}
	if frame.Header.Masked || frame.Header.Rsv != 0 || !frame.Header.Fin {
		p.t.Fatalf("the tracker sent %+v", frame.Header)
	}
	return frame
}

func (p *pipe) reply() signal.Reply {
	p.t.Helper()
	frame := p.read()
	reply, err := signal.DecodeReply(frame.Payload)
	if err != nil || frame.Header.OpCode != ws.OpText {
		p.t.Fatalf("got %v %q, %v", frame.Header.OpCode, frame.Payload, err)
	}
	return reply
}

// ended reads to the connection's end, and returns how long that took.
func (p *pipe) ended() time.Duration {
	p.t.Helper()
	start := time.Now()
	io.Copy(io.Discard, p.in)
	return time.Since(start)
}

func text(text []byte) ws.Frame { return ws.NewTextFrame(text) }

func announcement(swarm, id byte, offers int) []byte {
	c := &client{id: signal.PeerID{id}}
	return c.announcement(swarm, signal.EventStarted, 1, offers).AppendJSON(nil)
}

func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := &Tracker{}
		defer tracker.Close()
		p := connectPipe(t, tracker)
		for range 3 {
			start := time.Now()
			if frame := p.read(); frame.Header.OpCode != ws.OpPing || time.Since(start) != 45*time.Second {
				t.Fatalf("got %+v after %v", frame, time.Since(start))
			}
			p.write(ws.NewPongFrame(nil))
		}
		p.write(text(announcement(7, 1, 0)))
		p.reply()
		p.read()
		if got := p.ended(); got != 20*time.Second {
			t.Errorf("dropped %v after the ping", got)
		}
		synctest.Wait()
		if s := tracker.Stats(); s.Conns != 0 || s.Peers != 0 {
			t.Errorf("left over: %+v", s)
		}
	})
}

func TestUnfinishedMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := &Tracker{}
		defer tracker.Close()
		p := connectPipe(t, tracker)
		header := ws.Header{OpCode: ws.OpText, Fin: true, Masked: true, Length: 100_000}
		if err := ws.WriteHeader(p.nc, header); err != nil {
			t.Fatal(err)
		}
		if got := p.ended(); got != messageTimeout {
			t.Errorf("dropped after %v", got)
		}
	})
}

// freeze leaves the client to its browser, which answers pings and reads, but does nothing else.
func (p *pipe) freeze() {
	go func() {
		for {
			frame, err := readFrame(p.in)
			if err != nil {
				return
			}
			if frame.Header.OpCode == ws.OpPing && ws.WriteFrame(p.nc, ws.MaskFrame(ws.NewPongFrame(nil))) != nil {
				return
			}
		}
	}()
}

func TestSilentPeersAreNotOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := &Tracker{}
		defer tracker.Close()
		frozen, other := connectPipe(t, tracker), connectPipe(t, tracker)
		frozen.freeze()
		other.freeze()
		frozen.write(text(announcement(7, 1, 0)))
		for minutes := 0; minutes <= 8; minutes += 2 {
			before := tracker.Stats().Offers
			other.write(text(announcement(7, 2, 1)))
			synctest.Wait()
			want := uint64(1)
			if minutes > 6 {
				want = 0
			}
			if got := tracker.Stats().Offers - before; got != want {
				t.Errorf("after %d minutes: %d offers, want %d", minutes, got, want)
			}
			time.Sleep(2 * time.Minute)
		}
		if s := tracker.Stats(); s.Conns != 2 || s.Peers != 1 {
			t.Errorf("got %+v", s)
		}
		frozen.write(text(announcement(7, 1, 0))) // and it thaws
		synctest.Wait()
		if s := tracker.Stats(); s.Peers != 2 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := &Tracker{MaxQueueBytes: 10_000}
		defer tracker.Close()
		slow, other := connectPipe(t, tracker), connectPipe(t, tracker)
		slow.write(text(announcement(7, 1, 0))) // and never reads the reply
		synctest.Wait()
		start := time.Now()
		for offers := 0; tracker.Stats().Slow == 0; offers++ {
			other.write(text(announcement(7, 2, 1)))
			other.reply()
			synctest.Wait()
			if offers > 10_000/100 {
				t.Fatal("the queue knows no bound")
			}
		}
		if time.Since(start) != 0 {
			t.Errorf("others waited for %v", time.Since(start))
		}
		if s := tracker.Stats(); s.Conns != 1 || s.Peers != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestStuckWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := &Tracker{}
		defer tracker.Close()
		p := connectPipe(t, tracker)
		p.write(text(announcement(7, 1, 0)))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if s := tracker.Stats(); s.Slow != 1 || s.Conns != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := &Tracker{MessagesPerSecond: 5}
		defer tracker.Close()
		p := connectPipe(t, tracker)
		start := time.Now()
		for range 50 + 10 {
			p.write(text([]byte(`{"action":"scrape"}`)))
			p.reply()
		}
		if got := time.Since(start); got != 2*time.Second {
			t.Errorf("a burst of 50 and 10 more at 5 a second took %v", got)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := &Tracker{}
		polite, deaf := connectPipe(t, tracker), connectPipe(t, tracker)
		start := time.Now()
		go tracker.Close()
		synctest.Wait()
		frame := polite.read()
		if frame.Header.OpCode != ws.OpClose || binary.BigEndian.Uint16(frame.Payload) != uint16(ws.StatusGoingAway) {
			t.Errorf("got %+v", frame)
		}
		polite.write(ws.NewCloseFrame(frame.Payload))
		if got := polite.ended(); got != 0 {
			t.Errorf("closed %v after the handshake", got)
		}
		tracker.Close()
		if got := time.Since(start); got != closeTimeout {
			t.Errorf("waited %v for a client that does not answer", got)
		}
		tracker.Close()
		deaf.ended()

		recorder := httptest.NewRecorder()
		request, _ := http.ReadRequest(bufio.NewReader(strings.NewReader(handshake)))
		tracker.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusServiceUnavailable {
			t.Errorf("a closed tracker answers %d", recorder.Code)
		}
	})
}

func TestFrames(t *testing.T) {
	scrape := []byte(`{"action":"scrape"}`)
	header := func(h ws.Header) []byte {
		var b bytes.Buffer
		h.Masked = true
		ws.WriteHeader(&b, h)
		return b.Bytes()
	}
	masked := func(frames ...ws.Frame) (wire []byte) {
		for _, f := range frames {
			wire = append(wire, ws.MustCompileFrame(ws.MaskFrameWith(f, [4]byte{9, 8, 7, 6}))...)
		}
		return wire
	}
	tests := []struct {
		name   string
		wire   []byte
		pong   string        // expected first, if not empty
		status ws.StatusCode // of the close frame, or 0 for the answer to a scrape
	}{
		{"text", masked(text(scrape)), "", 0},
		{"binary", masked(ws.NewBinaryFrame(scrape)), "", 0},
		{"ping first", masked(ws.NewPingFrame([]byte("p")), text(scrape)), "p", 0},
		{"ping of most bytes", masked(ws.NewPingFrame(bytes.Repeat([]byte("p"), 125)), text(scrape)),
			strings.Repeat("p", 125), 0},
		{"fragments, and a ping between", masked(ws.NewFrame(ws.OpText, false, scrape[:5]), ws.NewPingFrame([]byte("p")),
			ws.NewFrame(ws.OpContinuation, false, nil), ws.NewFrame(ws.OpContinuation, true, scrape[5:])), "p", 0},
		{"unmasked", ws.MustCompileFrame(text(scrape)), "", ws.StatusProtocolError},
		{"compressed", header(ws.Header{OpCode: ws.OpText, Fin: true, Rsv: 4}), "", ws.StatusProtocolError},
		{"unknown opcode", header(ws.Header{OpCode: 3, Fin: true}), "", ws.StatusProtocolError},
		{"long ping", header(ws.Header{OpCode: ws.OpPing, Fin: true, Length: 126}), "", ws.StatusProtocolError},
		{"fragmented ping", header(ws.Header{OpCode: ws.OpPing}), "", ws.StatusProtocolError},
		{"continuation of nothing", masked(ws.NewFrame(ws.OpContinuation, true, scrape)), "", ws.StatusProtocolError},
		{"a message within another", masked(ws.NewFrame(ws.OpText, false, scrape), text(scrape)), "", ws.StatusProtocolError},
		{"too big", header(ws.Header{OpCode: ws.OpText, Fin: true, Length: 1<<62 + 1}), "", ws.StatusMessageTooBig},
		{"too big together", append(masked(ws.NewFrame(ws.OpText, false, scrape)),
			header(ws.Header{OpCode: ws.OpContinuation, Fin: true, Length: 990})...), "", ws.StatusMessageTooBig},
		{"invalid UTF-8", masked(text([]byte("\xff"))), "", ws.StatusInvalidFramePayloadData},
		{"close", masked(ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "bye"))), "", ws.StatusNormalClosure},
		{"close without a status", masked(ws.NewCloseFrame(nil)), "", ws.StatusNormalClosure},
		{"close with half a status", masked(ws.NewCloseFrame([]byte{3})), "", ws.StatusNormalClosure},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tracker := &Tracker{MaxMessageBytes: 1000}
				defer tracker.Close()
				p := connectPipe(t, tracker)
				go p.nc.Write(test.wire) // the tracker need not read all of it
				if test.pong != "" {
					if frame := p.read(); frame.Header.OpCode != ws.OpPong || string(frame.Payload) != test.pong {
						t.Fatalf("got %+v", frame)
					}
				}
				if test.status == 0 {
					if p.reply().Scraped == nil {
						t.Error("no answer")
					}
					return
				}
				frame := p.read()
				if frame.Header.OpCode != ws.OpClose || binary.BigEndian.Uint16(frame.Payload) != uint16(test.status) {
					t.Fatalf("got %+v", frame)
				}
				if got := p.ended(); got > closeTimeout {
					t.Errorf("closed after %v", got)
				}
			})
		})
	}
}
