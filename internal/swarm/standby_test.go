package swarm

import (
	"context"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/planktos/planktos/internal/wire"
)

// pageTransport makes the connections of a page and of its successor, which peers know by the same names and certificate.
func pageTransport() *transport {
	var e webrtc.SettingEngine
	e.SetIncludeLoopbackCandidate(!networked())
	e.SetICECredentials("agreed", "agreed-on-in-advance-by-both")
	return &transport{api: webrtc.NewAPI(webrtc.WithSettingEngine(e))}
}

// answers makes the other end of an offered connection, and its answer, which is not applied yet.
func answers(t *testing.T, page *transport, offer []byte) (*webrtc.PeerConnection, webrtc.SessionDescription) {
	t.Helper()
	pc, err := page.connect(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.GracefulClose() })
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(offer)}); err != nil {
		t.Fatal(err)
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return pc, answer
}

func TestWayBack(t *testing.T) {
	for name, leave := range map[string]func(*testPeer, *rawPeer){
		"left":    func(_ *testPeer, r *rawPeer) { r.ch.Close() },
		"crashed": func(p *testPeer, _ *rawPeer) { p.meeting.silent(p.acquaintances()[0].link) },
	} {
		t.Run(name, func(t *testing.T) { wayBack(t, leave) })
	}
}

// wayBack has the page that follows one that is left find the peer again.
func wayBack(t *testing.T, leave func(*testPeer, *rawPeer)) {
	site := makeSite(100)
	p := site.join(t, &Node{Logger: logTo(t)}, site.contents...)
	r := raw(t, p, 1, nil).meets()
	given := r.hears(wire.MeetSpare)
	page := pageTransport()
	_, agreed := answers(t, page, given.SDP)
	for _, m := range []wire.Meet{
		{Offer: [20]byte{9}, SDP: []byte(agreed.SDP)}, // of no spare
		{Offer: given.Offer, SDP: []byte("nonsense")},
		{Offer: given.Offer, SDP: []byte(agreed.SDP)},
		{Offer: given.Offer, SDP: []byte("v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel")}, // too late
	} {
		m.Kind = wire.MeetAgreed
		r.says(m)
	}
	r.settles()
	leave(p, r)

	next, answer := answers(t, page, given.SDP)
	opened := make(chan struct{})
	next.OnDataChannel(func(dc *webrtc.DataChannel) { dc.OnOpen(func() { close(opened) }) })
	if err := next.SetLocalDescription(answer); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	select {
	case <-opened:
	case <-ctx.Done():
		t.Error("the page that follows has not found its way back")
	}
}

// Spares are few, and end with their time, with who asks for them, and when a tracker answers.
func TestSparesEnd(t *testing.T) {
	site := makeSite(100)
	p := site.join(t, &Node{}, site.contents...)
	m := p.meeting
	waiting := func() int {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.spared)
	}
	agree := func(id byte) *rawPeer {
		r := raw(t, p, id, nil).meets()
		given := r.hears(wire.MeetSpare)
		_, answer := answers(t, pageTransport(), given.SDP)
		r.says(wire.Meet{Kind: wire.MeetAgreed, Offer: given.Offer, SDP: []byte(answer.SDP)})
		r.settles()
		return r
	}
	agree(1)
	agree(2)
	if got := waiting(); got != 2 {
		t.Errorf("%d spares wait", got)
	}
	tracker := &trackerClient{m: m}
	m.mu.Lock()
	m.trackers = append(m.trackers, tracker)
	m.mu.Unlock()
	m.told(tracker, 1, 0, true)
	if got := waiting(); got != 0 {
		t.Errorf("%d spares wait though a tracker answers", got)
	}
	m.told(tracker, 0, 0, false)
	agree(3)
	m.stop()
	if got := waiting(); got != 0 {
		t.Errorf("%d spares wait of a swarm that was left", got)
	}
}
