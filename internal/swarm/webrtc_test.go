package swarm

import (
	"context"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/planktos/planktos/internal/signal"
	"github.com/planktos/planktos/internal/trackertest"
)

// Clients as WebTorrent's announce every two minutes, whoever comes meanwhile.
func TestSeedComesLast(t *testing.T) {
	site := makeSite(100)
	url, _ := trackertest.Start(t)
	site.torrent.Trackers = []string{url}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	early, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer early.CloseNow()
	announce := signal.Announce{InfoHash: site.torrent.InfoHash, PeerID: signal.PeerID{1}, Left: 100}
	if err := early.Write(ctx, websocket.MessageText, announce.AppendJSON(nil)); err != nil {
		t.Fatal(err)
	}
	offered := func() bool {
		t.Helper()
		_, data, err := early.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := signal.DecodeReply(data)
		if err != nil {
			t.Fatal(err)
		}
		return reply.Offer != nil
	}
	if offered() {
		t.Fatal("an offer before anybody came")
	}
	site.join(t, &Node{Logger: logTo(t)}, site.contents...)
	if !offered() {
		t.Fatal("the seed that came last did not offer itself")
	}
}

func TestWebRTC(t *testing.T) {
	site := makeSite(100, 40*testPiece+12345, testPiece)
	url, _ := trackertest.Start(t)
	site.torrent.Trackers = []string{url}
	giver := site.join(t, &Node{Logger: logTo(t)}, site.contents...)
	_ = giver
	taker := site.join(t, &Node{Logger: logTo(t)})
	taker.fetch(t, site, site.contents...)
}
