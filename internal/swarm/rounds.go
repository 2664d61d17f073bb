package swarm

import (
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/planktos/planktos/internal/signal"
)

// Rounds of offers: to trackers, and to peers where those are not enough.

// lackingTime is how long fewer peers are met than wanted before peers are asked for theirs though a tracker answers.
const lackingTime = 10 * time.Second

// An introduction is a session description on its way to another peer.
type introduction struct {
	id  signal.OfferID
	sdp string
	to  signal.PeerID // zero: to anybody
}

// lacking is how many peers more are looked for. m.mu is held, as by all that follows and does not say otherwise.
func (m *meeting) lacking() int {
	if m.s.missing.Load() == 0 {
		return 0
	}
	return min(usefulPeers, m.s.node.MaxPeers) - len(m.connections)
}

// wanted is how many peers more are looked for by way of a tracker. A seed looks for nobody, but once: who came before
// it may not announce again for minutes.
func (m *meeting) wanted(t *trackerClient) int {
	if lacking := m.lacking(); lacking > 0 {
		return lacking
	}
	return min(t.waiting, maxOffers, m.s.node.MaxPeers-len(m.connections))
}

// byPeers is how many strangers are to be met by way of common peers: any only while trackers do not bring enough.
func (m *meeting) byPeers() int {
	if time.Since(m.openedAt) <= lackingTime && !m.orphan() {
		return 0
	}
	making := 0
	for _, c := range m.connections {
		if c.state != open {
			making++
		}
	}
	return max(0, int(m.s.strangers.Load())-making)
}

// searching tells a tracker whether more peers are wanted than it has shown. Takes m.mu.
func (m *meeting) searching(t *trackerClient) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lacking() > 0 && t.others <= len(m.connections)
}

// count is how many others a tracker knows, as far as it has told.
func (m *meeting) count(t *trackerClient) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(0, t.others)
}

// told notes how many others a tracker knows, how many of them had waited for somebody to come, and whether the tracker
// is of use at all. Takes m.mu.
func (m *meeting) told(t *trackerClient, others, waiting int, alive bool) {
	m.mu.Lock()
	t.others, t.alive = others, alive
	t.waiting = min(t.waiting+waiting, others)
	if alive {
		m.endSpares()
	}
	m.mu.Unlock()
	m.balance()
}

// lost notes that a tracker is of no use, and tells how many others it knew. Takes m.mu.
func (m *meeting) lost(t *trackerClient) (others int) {
	m.mu.Lock()
	others = max(0, t.others)
	m.mu.Unlock()
	m.told(t, 0, 0, false)
	return others
}

// balance has offers made while peers are lacking. Takes m.mu.
func (m *meeting) balance() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return
	}
	// Peers pass each offer to another stranger, so that none is wasted: they come first.
	if count := offersFor(m.lacking(), m.byPeers(), 0); count > 0 && !m.round(nil, count, m.s.offerToStrangers) {
		return
	}
	for _, t := range m.trackers {
		count := offersFor(m.wanted(t), max(t.others, 0), len(m.connections))
		if count > 0 && !m.round(t, count, t.announceOffers) {
			return
		}
	}
}

// round begins a round of offers for a tracker, or for our peers, or has it begin when it is time: then it is false.
func (m *meeting) round(t *trackerClient, count int, announce func([]introduction)) bool {
	if m.offering[t] {
		return true
	}
	if wait := time.Until(m.nextRound); wait > 0 {
		if m.timer != nil {
			m.timer.Stop()
		}
		m.timer = time.AfterFunc(wait, m.balance)
		return false
	}
	m.nextRound = time.Now().Add(pauseAfter(m.rounds))
	m.rounds++
	m.offering[t] = true
	if t != nil {
		t.waiting = 0
	}
	m.s.wg.Go(func() { m.offer(t, count, announce) })
	return true
}

// offer announces offers once all of them are made or have failed. Takes m.mu.
func (m *meeting) offer(t *trackerClient, count int, announce func([]introduction)) {
	offers := make([]introduction, count)
	var made sync.WaitGroup
	for i := range offers {
		made.Go(func() {
			var id signal.OfferID
			rand.Read(id[:])
			c, ctx := m.connect(id, true, signal.PeerID{})
			if c == nil {
				return
			}
			if sdp, ok := m.describe(ctx, c, ""); ok {
				offers[i] = introduction{id: id, sdp: sdp}
			}
		})
	}
	made.Wait()
	offers = slices.DeleteFunc(offers, func(o introduction) bool { return o.sdp == "" })
	if len(offers) > 0 {
		announce(offers)
	}
	m.mu.Lock()
	delete(m.offering, t)
	m.mu.Unlock()
	m.balance()
}
