package swarm

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/planktos/planktos/internal/trackertest"
	"github.com/planktos/planktos/internal/wire"
)

// meets makes a raw peer one that speaks pk_meet, under the number 9.
func (r *rawPeer) meets() *rawPeer {
	r.send(wire.Extended{Payload: []byte("d1:md7:pk_meeti9eee")})
	return r
}

func (r *rawPeer) says(m wire.Meet) {
	r.send(wire.Extended{Number: wire.MeetNumber, Payload: m.Append(nil)})
}

// hears reads to the next message of pk_meet of a kind.
func (r *rawPeer) hears(kind wire.MeetKind) wire.Meet {
	r.t.Helper()
	var got wire.Meet
	r.until(func(m wire.Message) bool {
		e, ok := m.(wire.Extended)
		if !ok || e.Number != 9 {
			return false
		}
		var err error
		if got, err = wire.DecodeMeet(e.Payload); err != nil {
			r.t.Fatal(err)
		}
		return got.Kind == kind
	})
	return got
}

// settles waits until what was sent before has been read.
func (r *rawPeer) settles() {
	r.send(wire.Block{ID: wire.Request, Length: 1})
	r.until(func(m wire.Message) bool { _, ok := m.(wire.Piece); return ok })
}

func peerID(n byte) [20]byte { return [20]byte{n} }

// introduces runs a test, on a clock of its own, of a peer that has everything: its store is made before the clock is.
func introduces(t *testing.T, test func(*testing.T, *testPeer)) {
	site := makeSite(100)
	kept := openStore(t)
	site.keep(t, kept, site.contents...)
	synctest.Test(t, func(t *testing.T) {
		node := &Node{Library: kept}
		defer node.Close()
		test(t, site.join(t, node))
	})
}

func TestWhoIsIntroduced(t *testing.T) {
	introduces(t, func(t *testing.T, p *testPeer) {
		one, two, mute := raw(t, p, 1, nil).meets(), raw(t, p, 2, nil), raw(t, p, 3, nil)
		mute.settles() // speaks no pk_meet, so nobody hears of it
		one.settles()
		two.meets()
		if got := two.hears(wire.MeetPeers); len(got.Met) != 1 || got.Met[0] != peerID(1) {
			t.Errorf("the second is told of %x", got.Met)
		}
		begun := time.Now()
		if got := one.hears(wire.MeetPeers); len(got.Met) != 1 || got.Met[0] != peerID(2) {
			t.Errorf("the first is told of %x", got.Met)
		}
		if took := time.Since(begun); took > tellTime+time.Second {
			t.Errorf("told after %v", took)
		}
		two.ch.Close()
		if got := one.hears(wire.MeetPeers); len(got.Lost) != 1 || got.Lost[0] != peerID(2) || len(got.Met) != 0 {
			t.Errorf("the first is told that %x have left, and %x come", got.Lost, got.Met)
		}
		one.ch.Close()
		mute.ch.Close()
	})
}

func TestPassingOn(t *testing.T) {
	site := makeSite(100)
	p := site.join(t, &Node{}, site.contents...)
	from, to, mute := raw(t, p, 1, nil).meets(), raw(t, p, 2, nil).meets(), raw(t, p, 3, nil)
	for _, r := range []*rawPeer{from, to, mute} {
		r.settles()
	}
	said := wire.Meet{Kind: wire.MeetOffer, Peer: peerID(2), Offer: [20]byte{5}, SDP: []byte("v=0")}
	stranger, itself, unable := said, said, said
	stranger.Peer, itself.Peer, unable.Peer = peerID(77), peerID(1), peerID(3)
	for _, m := range []wire.Meet{stranger, itself, unable} {
		from.says(m) // is for nobody here
	}
	// What was passed on already goes no further, whomever it names.
	relayed := said
	relayed.Kind, relayed.SDP = wire.MeetAnswered, []byte("of another")
	from.says(relayed)
	from.says(said)
	got := to.hears(wire.MeetOffered)
	if got.Peer != peerID(1) || got.Offer != said.Offer || !bytes.Equal(got.SDP, said.SDP) {
		t.Errorf("passed on: %+v", got)
	}
	to.says(wire.Meet{Kind: wire.MeetAnswer, Peer: peerID(1), Offer: said.Offer, SDP: []byte("v=1")})
	if got := from.hears(wire.MeetAnswered); got.Peer != peerID(2) || string(got.SDP) != "v=1" {
		t.Errorf("answered: %+v", got)
	}
}

func TestFloodOfIntroductions(t *testing.T) {
	introduces(t, func(t *testing.T, p *testPeer) {
		from, to := raw(t, p, 1, nil).meets(), raw(t, p, 2, nil).meets()
		from.settles()
		to.settles()
		offer := wire.Meet{Kind: wire.MeetOffer, Peer: peerID(2), SDP: make([]byte, 1000)}
		for range 3 * meetBurst {
			from.says(offer)
		}
		from.settles()
		last := wire.Meet{Kind: wire.MeetOffer, Peer: peerID(2), SDP: []byte("last")}
		time.Sleep(time.Second) // credit comes with time
		from.says(last)
		passed := 0
		for string(to.hears(wire.MeetOffered).SDP) != "last" {
			passed++
		}
		if passed < meetBurst-1 || passed > meetBurst {
			t.Errorf("%d of a flood were passed on", passed)
		}
		// What a peer says of others is remembered within bounds, and none of it is met while nothing is wanted.
		for i := range byte(10) {
			m := wire.Meet{}
			for j := range byte(wire.MaxMet) {
				m.Met = append(m.Met, [20]byte{100, i, j})
			}
			time.Sleep(time.Second)
			from.says(m)
		}
		from.settles()
		if got := p.strangers.Load(); got != wire.MaxMet {
			t.Errorf("%d strangers are remembered", got)
		}
		from.ch.Close()
		to.ch.Close()
		synctest.Wait()
		if got := p.strangers.Load(); got != 0 {
			t.Errorf("%d strangers are remembered of who has left", got)
		}
	})
}

func TestBogusIntroductions(t *testing.T) {
	site := makeSite(100)
	p := site.join(t, &Node{}, site.contents...)
	for name, payload := range map[string][]byte{
		"nothing":                {},
		"another kind":           bytes.Repeat([]byte{7}, 50),
		"too many":               append([]byte{0, 1}, make([]byte, 20*(2*wire.MaxMet+1))...),
		"a huge description":     append([]byte{1}, make([]byte, 40+16<<10+1)...),
		"no description":         append([]byte{3}, make([]byte, 40)...),
		"fewer than are counted": append([]byte{0, 2}, make([]byte, 20)...),
	} {
		t.Run(name, func(t *testing.T) {
			r := raw(t, p, 1, nil).meets()
			r.send(wire.Extended{Number: wire.MeetNumber, Payload: payload})
			r.ended()
		})
	}
	// Descriptions of no connection, and such as answer nothing, cost nothing.
	r := raw(t, p, 1, nil).meets()
	for _, kind := range []wire.MeetKind{wire.MeetOffered, wire.MeetAnswered, wire.MeetSpare, wire.MeetAgreed} {
		r.says(wire.Meet{Kind: kind, Peer: peerID(4), SDP: []byte("nonsense")})
		r.says(wire.Meet{Kind: kind, Peer: p.id, SDP: []byte("v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel")})
	}
	r.settles()
}

// Three nodes, of which two have met nobody but the third: they meet by way of it, without a tracker.
func TestSwarmWithoutTracker(t *testing.T) {
	site := makeSite(100, 20*testPiece+12345)
	url, stop := trackertest.Start(t)
	tracked := *site
	tracked.torrent.Trackers = []string{url}
	giver := tracked.join(t, &Node{Logger: logTo(t)}, site.contents...)
	middle := tracked.join(t, &Node{Logger: logTo(t)})
	middle.fetch(t, site, site.contents[0])
	stop()
	alone := site.join(t, &Node{Logger: logTo(t)})
	link(alone, middle)
	alone.fetch(t, site, site.contents[1]) // the giver alone has it
	if got := giver.Stats().Peers; got != 2 {
		t.Errorf("the giver is connected to %d", got)
	}
}
