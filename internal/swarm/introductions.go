package swarm

import (
	"time"

	"github.com/planktos/planktos/internal/wire"
)

// Introductions through common peers (pk_meet): each peer is told whom else we are connected to, and what it has to say
// to one of them is passed on. The twin is browser/src/engine/introductions.ts.

const (
	// tellTime passes from telling peers whom we have met and lost to telling them again.
	tellTime = 5 * time.Second
	// meetBurst messages of one peer are heeded at once, and meetRate a second in the long run.
	meetBurst = 64
	meetRate  = 2
	// maxAhead bytes may be before a peer that something is passed on to. With more, it does not read.
	maxAhead = 1 << 20
)

// An acquaintance is what passes between us and a peer that speaks pk_meet. It is guarded by swarm.mu.
type acquaintance struct {
	number uint8                 // under which the peer takes the messages
	told   map[[20]byte]struct{} // whom it was told of
	knows  map[[20]byte]struct{} // whom it has told of
	credit float64               // messages of it that are heeded, as of since
	since  time.Time
}

// introduce says something to a peer that speaks pk_meet. s.mu is held.
func (p *peer) introduce(m wire.Meet) {
	if p.meets != nil {
		p.send(wire.Extended{Number: p.meets.number, Payload: m.Append(nil)})
	}
}

// met notes under which number a peer speaks pk_meet. s.mu is held.
func (s *Swarm) met(p *peer, number uint8) {
	switch {
	case number == 0:
		p.meets = nil
	case p.meets != nil:
		p.meets.number = number
	default:
		p.meets = &acquaintance{
			number: number, told: map[[20]byte]struct{}{}, knows: map[[20]byte]struct{}{}, credit: meetBurst, since: time.Now(),
		}
		s.introduceOthers(p)
	}
}

// introduceOthers tells a peer whom we have met and lost since it was last told. s.mu is held.
func (s *Swarm) introduceOthers(p *peer) {
	var m wire.Meet
	told := p.meets.told
	for id := range told {
		if s.acquainted(id) == nil {
			m.Lost = append(m.Lost, id)
			delete(told, id)
		}
	}
	for other := range s.peers {
		if _, known := told[other.id]; known || other == p || !other.accepted || other.meets == nil {
			continue
		}
		if len(told) == wire.MaxMet {
			break
		}
		m.Met = append(m.Met, other.id)
		told[other.id] = struct{}{}
	}
	if len(m.Met)+len(m.Lost) > 0 {
		p.introduce(m)
	}
}

// tellAll tells every peer, if it is time. s.mu is held.
func (s *Swarm) tellAll(now time.Time) {
	if now.Sub(s.toldAt) < tellTime {
		return
	}
	s.toldAt = now
	for p := range s.peers {
		if p.meets != nil {
			s.introduceOthers(p)
		}
	}
}

// acquaintances are the connected peers that speak pk_meet.
func (s *Swarm) acquaintances() (peers []*peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.peers {
		if p.accepted && p.meets != nil {
			peers = append(peers, p)
		}
	}
	return peers
}

// acquainted is the connected peer of this id, if it speaks pk_meet. s.mu is held.
func (s *Swarm) acquainted(id [20]byte) *peer {
	for p := range s.peers {
		if p.accepted && p.id == id && p.meets != nil {
			return p
		}
	}
	return nil
}

// heeds tells whether one more message is heeded.
func (a *acquaintance) heeds(now time.Time) bool {
	a.credit = min(meetBurst, a.credit+now.Sub(a.since).Seconds()*meetRate)
	a.since = now
	if a.credit < 1 {
		return false
	}
	a.credit--
	return true
}

// meetMessage does what a message of pk_meet asks for. An error ends the connection.
func (s *Swarm) meetMessage(p *peer, payload []byte) error {
	m, err := wire.DecodeMeet(payload)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.meets == nil || !p.meets.heeds(time.Now()) {
		return nil
	}
	switch m.Kind {
	case wire.MeetPeers:
		for _, id := range m.Lost {
			delete(p.meets.knows, id)
		}
		for _, id := range m.Met {
			if len(p.meets.knows) < wire.MaxMet {
				p.meets.knows[id] = struct{}{}
			}
		}
		s.countStrangers()
	case wire.MeetOffer, wire.MeetAnswer:
		other := s.acquainted(m.Peer)
		if other == nil || other == p || other.ch.Buffered() > maxAhead || other.out.size() > maxAhead {
			return nil
		}
		m.Kind += wire.MeetOffered - wire.MeetOffer
		m.Peer = p.id // who sends it is known by its connection: nobody speaks for another
		other.introduce(m)
	case wire.MeetOffered:
		s.wg.Go(func() {
			s.meeting.offerCame(m.Peer, m.Offer, string(m.SDP), func(answer string) {
				s.mu.Lock()
				defer s.mu.Unlock()
				p.introduce(wire.Meet{Kind: wire.MeetAnswer, Peer: m.Peer, Offer: m.Offer, SDP: []byte(answer)})
			})
		})
	case wire.MeetAnswered:
		s.wg.Go(func() { s.meeting.answerCame(m.Peer, m.Offer, string(m.SDP)) })
	case wire.MeetAgreed:
		s.meeting.agreed(p, m.Offer, string(m.SDP))
	case wire.MeetSpare:
		// Spares are for pages, which are left.
	}
	return nil
}

// known are those whom peers know and we do not, each with a peer that knows it, in no order. s.mu is held.
func (s *Swarm) known() map[[20]byte]*peer {
	known := map[[20]byte]*peer{}
	for p := range s.peers { // in no order, so that no peer alone stands between us and another
		if p.meets == nil || p.gone {
			continue
		}
		for id := range p.meets.knows {
			if id != s.node.id && !s.node.isBanned(id) {
				known[id] = p
			}
		}
	}
	for p := range s.peers {
		if p.accepted {
			delete(known, p.id)
		}
	}
	return known
}

// countStrangers notes how many could be met by way of peers. s.mu is held.
func (s *Swarm) countStrangers() { s.strangers.Store(int64(len(s.known()))) }

// offerToStrangers gives each offer to another stranger; those left over end with their time.
func (s *Swarm) offerToStrangers(offers []introduction) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.known()
	for id, p := range known {
		if len(offers) == 0 {
			return
		}
		p.introduce(wire.Meet{Kind: wire.MeetOffer, Peer: id, Offer: offers[0].id, SDP: []byte(offers[0].sdp)})
		offers = offers[1:]
	}
}
