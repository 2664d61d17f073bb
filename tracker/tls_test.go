package tracker

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/planktos/planktos/internal/signal"
)

// TestPingOverTLS holds crypto/tls to what pings rely on: that a read goes on after one that timed out.
func TestPingOverTLS(t *testing.T) {
	tracker := &Tracker{PingInterval: time.Millisecond, PongTimeout: patience}
	server := httptest.NewTLSServer(tracker)
	defer server.Close()
	defer tracker.Close()
	pings := make(chan struct{}, 3)
	ws, _, err := dial("wss"+server.URL[len("https"):], &websocket.DialOptions{
		HTTPClient: server.Client(),
		OnPingReceived: func(context.Context, []byte) bool {
			select {
			case pings <- struct{}{}:
			default:
			}
			return true
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	c := &client{t: t, ws: ws, id: signal.PeerID{1}}
	received := make(chan signal.Reply, 1)
	go func() {
		_, text, _ := ws.Read(t.Context()) // answers pings until the reply comes
		reply, _ := signal.DecodeReply(text)
		received <- reply
	}()
	for range cap(pings) {
		<-pings
	}
	c.send(c.announcement(7, signal.EventStarted, 0, 0))
	if reply := <-received; reply.Announced == nil || reply.Announced.Complete != 1 {
		t.Errorf("got %s", describe(reply))
	}
}
