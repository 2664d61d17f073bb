package tracker

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/planktos/planktos/internal/signal"
)

// patience is how long a test waits for what must come. It is never waited for in a test that passes.
const patience = 10 * time.Second

// client is a peer that holds the tracker to the protocol: every message it receives must decode, be about a swarm it
// announced to, and answer what was asked.
type client struct {
	t    *testing.T
	ws   *websocket.Conn
	id   signal.PeerID
	made byte
}

func start(t *testing.T, tracker *Tracker) (url string) {
	t.Helper()
	server := httptest.NewServer(tracker)
	t.Cleanup(func() {
		tracker.Close()
		server.Close()
		if s := tracker.Stats(); s.Conns != 0 || s.Swarms != 0 || s.Peers != 0 || s.Seeders != 0 {
			t.Errorf("left over after Close: %+v", s)
		}
	})
	return "ws" + server.URL[len("http"):]
}

func connect(t *testing.T, url string, id byte) *client {
	t.Helper()
	c, _, err := dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(1 << 20)
	return &client{t: t, ws: c, id: signal.PeerID{id}}
}

func dial(url string, options *websocket.DialOptions) (*websocket.Conn, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return websocket.Dial(ctx, url, options)
}

func (c *client) write(text string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) read() signal.Reply {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kind, text, err := c.ws.Read(ctx)
	if err != nil {
		c.t.Fatalf("peer %d: %v", c.id[0], err)
	}
	if kind != websocket.MessageText || !json.Valid(text) {
		c.t.Fatalf("peer %d: got %v %q", c.id[0], kind, text)
	}
	reply, err := signal.DecodeReply(text)
	if err != nil {
		c.t.Fatalf("peer %d: %v in %s", c.id[0], err, text)
	}
	for _, relay := range []*signal.Relay{reply.Offer, reply.Answer} {
		if relay != nil && relay.PeerID == c.id {
			c.t.Fatalf("peer %d was sent its own %s", c.id[0], text)
		}
	}
	return reply
}

// closed waits for the connection's end and returns the status of the tracker's close frame.
func (c *client) closed() websocket.StatusCode {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if _, _, err := c.ws.Read(ctx); err != nil {
			if ctx.Err() != nil {
				c.t.Fatal("the connection stays open")
			}
			return websocket.CloseStatus(err)
		}
	}
}

// announcement is one with the given number of offers, each different.
func (c *client) announcement(swarm byte, event signal.Event, left int64, offers int) *signal.Announce {
	a := &signal.Announce{
		InfoHash: signal.InfoHash{swarm}, PeerID: c.id, Event: event, Left: left,
		Uploaded: signal.Unknown, Downloaded: signal.Unknown, NumWant: signal.Unknown,
	}
	for range offers {
		c.made++
		sdp := fmt.Sprintf(`{"type":"offer","sdp":"v=0\r\no=- %d of %d\r\n"}`, c.made, c.id[0])
		a.Offers = append(a.Offers, signal.Offer{ID: signal.OfferID{c.made, c.id[0]}, Description: []byte(sdp)})
	}
	return a
}

func (c *client) send(a *signal.Announce) {
	c.t.Helper()
	c.write(string(a.AppendJSON(nil)))
}

// announce sends an announcement and returns the reply, which must be to it.
func (c *client) announce(swarm byte, event signal.Event, left int64, offers int) *signal.Announced {
	c.t.Helper()
	c.send(c.announcement(swarm, event, left, offers))
	return c.announced(swarm)
}

func (c *client) announced(swarm byte) *signal.Announced {
	c.t.Helper()
	reply := c.read()
	if reply.Announced == nil || reply.Announced.InfoHash != (signal.InfoHash{swarm}) {
		c.t.Fatalf("peer %d: got %s, want the answer to an announce", c.id[0], describe(reply))
	}
	return reply.Announced
}

func (c *client) offer() *signal.Relay {
	c.t.Helper()
	reply := c.read()
	if reply.Offer == nil {
		c.t.Fatalf("peer %d: got %s, want an offer", c.id[0], describe(reply))
	}
	return reply.Offer
}

func (c *client) answer(offer *signal.Relay) {
	c.t.Helper()
	c.send(&signal.Announce{
		InfoHash: offer.InfoHash, PeerID: c.id, ToPeerID: offer.PeerID, OfferID: offer.OfferID,
		Answer: []byte(`{"type":"answer","sdp":"v=0\r\n"}`),
	})
}

func (c *client) failure() *signal.Failure {
	c.t.Helper()
	reply := c.read()
	if reply.Failure == nil {
		c.t.Fatalf("peer %d: got %s, want a failure", c.id[0], describe(reply))
	}
	return reply.Failure
}

// quiet checks that nothing is on its way to the client: what it asks next is answered first.
func (c *client) quiet() {
	c.t.Helper()
	c.write(`{"action":"scrape"}`)
	if reply := c.read(); reply.Scraped == nil {
		c.t.Fatalf("peer %d: got %s, want nothing", c.id[0], describe(reply))
	}
}

func describe(reply signal.Reply) string {
	text, _ := json.Marshal(reply)
	return string(text)
}

// await waits until the tracker's figures satisfy done. (They are all that can be seen of a connection that is gone.)
func await(t testing.TB, tracker *Tracker, what string, done func(Stats) bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done(tracker.Stats()) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not happen: %+v", what, tracker.Stats())
		}
		runtime.Gosched()
	}
}

// raw is a connection on which frames are written by hand.
func raw(t *testing.T, url string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", url[len("ws://"):])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return nc
}

const handshake = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
