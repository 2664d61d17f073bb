package swarm

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/planktos/planktos/internal/signal"
	"github.com/planktos/planktos/internal/wire"
)

// Spares are a way back for pages that are left while no tracker answers: offers that they keep, whose answer is agreed
// on in advance. docs/protocol.md tells how. Nodes give them, and need none: nobody reloads a node. The twin of the
// giving half is browser/src/engine/standby.ts.

const (
	// maxSpares are given at a time.
	maxSpares = 32
	// spareTime is how long a spare is good; then there is another.
	spareTime = 5 * time.Minute
	// againTime passes before who did not take one is asked again: it may have thought that a tracker answers.
	againTime = time.Minute
	// awayTime is how long a page may take from being left to its successor.
	awayTime = time.Minute
)

// A spare is a connection that waits for another to end. It is guarded by meeting.mu.
type spare struct {
	peer   *peer     // whom it is for
	at     time.Time // when the peer was asked
	making bool
	c      *connection // once it is described
	answer string      // once the peer has agreed on it; it never may
	timer  *time.Timer // ends it, once that is so
}

// orphan tells whether no tracker answers. m.mu is held.
func (m *meeting) orphan() bool {
	for _, t := range m.trackers {
		if t.alive || t.others < 0 {
			return false
		}
	}
	return true
}

// giveSpares gives spares to peers that have not been offered one, while no tracker answers. Takes m.mu.
func (m *meeting) giveSpares() {
	m.mu.Lock()
	gives := !m.stopped && m.orphan()
	m.mu.Unlock()
	if !gives {
		return
	}
	peers := m.s.acquaintances()
	m.mu.Lock()
	defer m.mu.Unlock()
	given := 0
	for p, one := range m.spared {
		if one.making || one.answer != "" {
			given++
		} else if !slices.Contains(peers, p) || time.Since(one.at) > againTime {
			delete(m.spared, p) // it did not take it, or left while it was looked at
		}
	}
	for _, p := range peers {
		if given >= maxSpares || m.stopped {
			return
		}
		if m.spared[p] == nil {
			one := &spare{peer: p, at: time.Now(), making: true}
			m.spared[p] = one
			m.s.wg.Go(func() { m.giveSpare(one) })
			given++
		}
	}
}

// giveSpare offers a peer a spare. One that is not agreed on ends as offers do that nobody answers. Takes m.mu.
func (m *meeting) giveSpare(one *spare) {
	var id signal.OfferID
	rand.Read(id[:])
	offer := ""
	c, ctx := m.connect(id, true, signal.PeerID{})
	if c != nil {
		offer, _ = m.describe(ctx, c, "")
	}
	m.mu.Lock()
	one.making, one.c = false, c
	m.mu.Unlock()
	if offer != "" {
		m.s.mu.Lock()
		defer m.s.mu.Unlock()
		one.peer.introduce(wire.Meet{Kind: wire.MeetSpare, Peer: m.s.node.id, Offer: id, SDP: []byte(offer)})
	}
}

// agreed keeps a spare whose answer a peer has agreed on. Takes m.mu.
func (m *meeting) agreed(p *peer, id signal.OfferID, answer string) {
	answer, ok := trimSDP(answer)
	m.mu.Lock()
	defer m.mu.Unlock()
	given := m.spared[p]
	if !ok || m.stopped || given == nil || given.answer != "" || given.c == nil || m.connections[id] != given.c {
		return
	}
	// It does not count before it is of use.
	delete(m.connections, id)
	given.c.ending.Stop()
	given.answer = answer
	given.timer = time.AfterFunc(spareTime, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.spared[p] == given {
			m.endSpare(given)
		}
	})
}

// left has the spare of a peer wait for its return. Takes m.mu.
func (m *meeting) left(p *peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	given := m.spared[p]
	delete(m.spared, p)
	if given == nil || given.answer == "" || m.stopped {
		return
	}
	given.timer.Stop()
	c := given.c
	m.connections[c.id] = c
	m.enter(c, connecting)
	c.ending.Reset(awayTime)
	m.s.wg.Go(func() {
		if c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: given.answer}) != nil {
			m.close(c)
		}
	})
}

// silent takes a page for left from whose connection nothing comes any more: one that has crashed does not say so. If it
// is there after all, it is given another spare. Takes m.mu and s.mu.
func (m *meeting) silent(link string) {
	for _, p := range m.s.acquaintances() {
		if p.link == link {
			m.left(p)
		}
	}
}

// endSpare ends a spare, whose peer may be given another. m.mu is held.
func (m *meeting) endSpare(given *spare) {
	delete(m.spared, given.peer)
	if given.answer != "" {
		given.timer.Stop()
		m.end(given.c)
	}
}

// endSpares ends all spares that wait. m.mu is held.
func (m *meeting) endSpares() {
	for _, given := range m.spared {
		m.endSpare(given)
	}
}
