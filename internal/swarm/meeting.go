package swarm

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/planktos/planktos/internal/signal"
)

const (
	// maxTrackers of a torrent are used; more would only cost connections.
	maxTrackers = 4
	// maxAccepting connections from remote offers may be in the making.
	maxAccepting = 32
	// connectTime is how long a connection may take from both descriptions to an open channel, and a description to be
	// made.
	connectTime = 15 * time.Second
	// lastingTime shows that connecting works.
	lastingTime = 10 * time.Second
)

// A connection is on its way from a description to a channel:
//
//	making ─▶ offered ─▶ connecting ─▶ open      our offer: described, with the tracker, answered
//	making ────────────▶ connecting ─▶ open      a remote offer: answered
//
// Its fields are guarded by meeting.mu, once it is one of the meeting's.
type connection struct {
	id     signal.OfferID
	ours   bool          // we make the offer
	peer   signal.PeerID // how the other side names itself on the tracker; zero until it answers
	pc     *webrtc.PeerConnection
	state  connectionState
	since  time.Time // when it came into its state
	ending *time.Timer
	cancel context.CancelFunc
}

type connectionState int

const (
	making connectionState = iota
	offered
	connecting
	open
)

func (c *connection) link() string { return hex.EncodeToString(c.id[:]) }

// A meeting meets the peers of a torrent: it offers connections through trackers, and through peers where those are not
// enough, answers the offers of others, and passes the channels on. Rounds of offers follow each other ever slower until a connection lasts.
type meeting struct {
	s *Swarm

	mu          sync.Mutex
	stopped     bool
	trackers    []*trackerClient
	connections map[signal.OfferID]*connection
	offering    map[*trackerClient]bool // a round of offers for it is being made; nil stands for our peers together
	spared      map[*peer]*spare        // what peers were offered
	openedAt    time.Time               // when a connection last opened, or the search began
	rounds      int                     // since a connection last lasted
	nextRound   time.Time
	timer       *time.Timer
}

func newMeeting(s *Swarm) *meeting {
	return &meeting{
		s: s, connections: map[signal.OfferID]*connection{}, offering: map[*trackerClient]bool{},
		spared: map[*peer]*spare{},
	}
}

func (m *meeting) start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.openedAt = time.Now()
	var urls []string
	for _, url := range m.s.torrent.Trackers {
		if len(urls) < maxTrackers && !slices.Contains(urls, url) {
			urls = append(urls, url)
		}
	}
	for _, url := range urls {
		t := newTrackerClient(url, m)
		m.trackers = append(m.trackers, t)
		m.s.wg.Go(func() { t.run(m.s.ctx) })
	}
}

// stop ends every connection, and keeps others from being made.
func (m *meeting) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	if m.timer != nil {
		m.timer.Stop()
	}
	m.endSpares()
	for _, c := range m.connections {
		m.end(c)
	}
}

// hopeful tells whether peers may be connected soon: trackers have not told yet, or know of some.
func (m *meeting) hopeful() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.trackers {
		if t.others != 0 {
			return true
		}
	}
	return len(m.connections) > 0
}

// offerCame answers a peer's offer by reply, if it is to be connected. Takes m.mu.
func (m *meeting) offerCame(from signal.PeerID, id signal.OfferID, offer string, reply func(answer string)) {
	sdp, ok := trimSDP(offer)
	if !ok || from == m.s.node.id || m.s.node.isBanned(from) {
		return
	}
	m.mu.Lock()
	accepting := 0
	for _, c := range m.connections {
		if !c.ours && c.state != open {
			accepting++
		}
	}
	accepts := !m.stopped && m.connections[id] == nil && accepting < maxAccepting &&
		len(m.connections) < m.s.node.MaxPeers+maxAccepting && m.yields(from, false)
	m.mu.Unlock()
	if !accepts {
		return
	}
	m.s.wg.Go(func() {
		c, ctx := m.connect(id, false, from)
		if c == nil {
			return
		}
		if answer, ok := m.describe(ctx, c, sdp); ok {
			reply(answer)
		}
	})
}

// answerCame completes one of our offers. Takes m.mu.
func (m *meeting) answerCame(from signal.PeerID, id signal.OfferID, answer string) {
	sdp, ok := trimSDP(answer)
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.connections[id]
	if c == nil || c.state != offered {
		return
	}
	if !ok || from == m.s.node.id || m.s.node.isBanned(from) || !m.yields(from, true) {
		m.end(c)
		return
	}
	c.peer = from
	m.enter(c, connecting)
	m.s.wg.Go(func() {
		if c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}) != nil {
			m.close(c)
		}
	})
}

// yields tells whether a new connection with a peer is to be made; one with it that is to give way is ended. m.mu is
// held, as by all that follows and does not say otherwise.
func (m *meeting) yields(from signal.PeerID, ours bool) bool {
	for _, c := range m.connections {
		if c.peer != from {
			continue
		}
		old := rival{ours: c.ours, open: c.state == open, age: time.Since(c.since)}
		if keepsOld(old, ours, bytes.Compare(m.s.node.id[:], from[:]) < 0) {
			return false
		}
		m.end(c)
	}
	return true
}

// connect makes a connection, and a context that ends with it; nil where that fails. Takes m.mu.
func (m *meeting) connect(id signal.OfferID, ours bool, peer signal.PeerID) (*connection, context.Context) {
	pc, err := m.s.node.transport.connect(m.s.torrent.ICE)
	if err != nil {
		m.s.node.log.Warn("no connection can be made", "error", err)
		return nil, nil
	}
	c := &connection{id: id, ours: ours, peer: peer, pc: pc}
	ctx, cancel := context.WithCancel(m.s.ctx)
	c.cancel = cancel
	m.mu.Lock()
	refused := m.stopped || m.connections[id] != nil
	if !refused {
		m.connections[id] = c
		m.enter(c, making)
	}
	m.mu.Unlock()
	if !refused {
		err = opening(pc, c.link(), ours, func(dc *webrtc.DataChannel) { m.opened(c, dc) })
		pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
			switch state {
			case webrtc.PeerConnectionStateDisconnected:
				m.silent(c.link())
			case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
				m.close(c)
			}
		})
	}
	switch {
	case refused:
		cancel()
		pc.GracefulClose()
		return nil, nil
	case err != nil:
		m.close(c)
		return nil, nil
	}
	return c, ctx
}

// describe makes a connection's description, and notes that the other side may now be expected. Takes m.mu.
func (m *meeting) describe(ctx context.Context, c *connection, offer string) (string, bool) {
	sdp, err := describe(ctx, c.pc, offer)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.connections[c.id] != c {
		return "", false
	}
	if err != nil {
		m.s.node.log.Debug("connection cannot be described", "error", err)
		m.end(c)
		return "", false
	}
	if c.state == making {
		if c.ours {
			m.enter(c, offered)
		} else {
			m.enter(c, connecting)
		}
	}
	return sdp, true
}

// opened serves the channel that has come to be. Takes m.mu.
func (m *meeting) opened(c *connection, dc *webrtc.DataChannel) {
	ch, err := detach(dc, func() { m.close(c) })
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.connections[c.id] != c {
		return
	}
	if err != nil || c.state == open {
		m.end(c)
		return
	}
	m.enter(c, open)
	m.openedAt = time.Now()
	m.s.wg.Go(func() {
		m.s.connected(ch, c.link())
		m.close(c)
	})
}

// enter has a connection come into a state, and end if that lasts too long.
func (m *meeting) enter(c *connection, state connectionState) {
	c.state, c.since = state, time.Now()
	if c.ending != nil {
		c.ending.Stop()
	}
	switch state {
	case open:
		c.ending = nil
	case offered:
		c.ending = time.AfterFunc(answerTime, func() { m.close(c) })
	default:
		c.ending = time.AfterFunc(connectTime, func() { m.close(c) })
	}
}

// close ends a connection. Idempotent. Takes m.mu.
func (m *meeting) close(c *connection) {
	m.mu.Lock()
	ended := m.connections[c.id] == c
	if ended {
		m.end(c)
	}
	m.mu.Unlock()
	if ended {
		m.balance()
	}
}

// end ends a connection that is one of the meeting's.
func (m *meeting) end(c *connection) {
	delete(m.connections, c.id)
	if c.state == open && time.Since(c.since) >= lastingTime {
		m.rounds = 0
	}
	if c.ending != nil {
		c.ending.Stop()
	}
	c.cancel()
	// It waits for its goroutines, one of which may be ours.
	m.s.wg.Go(func() { c.pc.GracefulClose() })
}

// A description is a session description as trackers pass it on.
type description struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
}

func encodeDescription(kind, sdp string) []byte {
	b, _ := json.Marshal(description{kind, sdp}) // strings always marshal
	return b
}

// decodeDescription reads a description of a kind; it is empty if it is none.
func decodeDescription(kind string, data []byte) (sdp string) {
	var d description
	if len(data) > 2*maxDescription || json.Unmarshal(data, &d) != nil || d.Type != kind {
		return ""
	}
	return d.SDP
}
