package swarm

import (
	"encoding/hex"
	"math"
	"sync"
	"time"

	"github.com/planktos/planktos/internal/wire"
)

// What peers tell each other of releases (pk_release), whatever torrent they met in. The twin is
// browser/src/engine/news.ts. A peer whose word was no good is not listened to again; it is not banned, since it may be
// honest: it has the site's new key already, say.

const (
	// MaxRoot is the largest signed root that is handed on, in bytes.
	MaxRoot = 256 << 10
	// handTime is how long handing a root over may take.
	handTime = 30 * time.Second
	// maxAsks is how often a peer may ask for a release that it was told of.
	maxAsks = 3
	// maxDeaf bounds the peers that are remembered for what they told.
	maxDeaf = 1000
)

// Newest is what a node tells peers of the newest release that it knows.
type Newest struct {
	Snapshot [32]byte
	// Sequence and Root are of a signed release; 0 and nil of another, and of one whose root is larger than MaxRoot.
	Sequence int64
	Root     []byte
	// Above is the number beyond which a root is of interest; [math.MaxInt64] where there is no key to judge it by, so
	// that to be told of it is a hint.
	Above int64
}

// news is what a node knows of releases. Its mu is taken with a swarm's held, never the other way round.
type news struct {
	mu     sync.Mutex
	newest *Newest
	deaf   map[[20]byte]bool // by peer id: not listened to
	asked  *peer             // whom we have asked for a root
	since  time.Time
	root   []byte // as far as it has come
	judged bool   // it is whole, and with Node.Judge
}

// told is what passes between us and a peer that speaks pk_release. It is guarded by swarm.mu.
type told struct {
	number   uint8 // under which the peer takes the messages; 0 if it takes none
	sequence int64 // that it told last
	asks     int   // how often it may yet ask
}

// Tell has peers told which release is the newest, now and when they connect.
func (n *Node) Tell(newest Newest) error {
	if err := n.setUp(); err != nil {
		return err
	}
	if newest.Sequence == 0 || len(newest.Root) > MaxRoot {
		newest.Sequence, newest.Root = 0, nil
	}
	n.news.mu.Lock()
	before := n.news.newest
	n.news.newest = &newest
	n.news.mu.Unlock()
	if before != nil && before.Snapshot == newest.Snapshot && before.Sequence == newest.Sequence {
		return nil
	}
	for _, s := range n.joined() {
		s.mu.Lock()
		for p := range s.peers {
			s.tellNewest(p)
		}
		s.mu.Unlock()
	}
	return nil
}

// Bogus notes that there was nothing to a hint: a peer that gave it is not listened to about releases any more.
func (n *Node) Bogus(hint Hint) {
	if hint.Peer == nil {
		return
	}
	n.log.Debug("a peer has told of a release that there is not", "peer", hex.EncodeToString(hint.Peer[:]))
	n.news.mu.Lock()
	defer n.news.mu.Unlock()
	n.news.shut(*hint.Peer)
}

// tellNewest tells a peer of the newest release, if it takes that. s.mu is held.
func (s *Swarm) tellNewest(p *peer) {
	s.node.news.mu.Lock()
	newest := s.node.news.newest
	s.node.news.mu.Unlock()
	if newest == nil || p.told.number == 0 || !p.accepted {
		return
	}
	p.told.asks = 0
	if newest.Sequence > 0 {
		p.told.asks = maxAsks
	}
	p.say(wire.News{Kind: wire.Newest, Snapshot: newest.Snapshot, Sequence: newest.Sequence})
}

func (p *peer) say(m wire.News) {
	p.send(wire.Extended{Number: p.told.number, Payload: m.Append(nil)})
}

// newsMessage takes a message of pk_release. An error ends the connection. s.mu is held.
func (s *Swarm) newsMessage(p *peer, payload []byte) error {
	m, err := wire.DecodeNews(payload)
	if err != nil {
		return err
	}
	switch m.Kind {
	case wire.Newest:
		s.toldOf(p, m)
	case wire.AskRoot:
		s.handRoot(p)
	case wire.Part, wire.LastPart:
		return s.rootCame(p, m)
	}
	return nil
}

// toldOf takes what a peer says of the newest release. s.mu is held.
func (s *Swarm) toldOf(p *peer, m wire.News) {
	n := &s.node.news
	p.told.sequence = m.Sequence
	n.mu.Lock()
	hint := n.newest != nil && n.newest.Snapshot != m.Snapshot && !n.deaf[p.id] &&
		(m.Sequence == 0 || s.node.Judge == nil || n.newest.Above == math.MaxInt64)
	n.mu.Unlock()
	if hint && s.torrent.Released != nil {
		id := p.id
		s.torrent.Released(Hint{Snapshot: m.Snapshot, Peer: &id})
	}
	s.lookForRoot(time.Now())
}

// handRoot gives a peer the root that it was told of. s.mu is held.
func (s *Swarm) handRoot(p *peer) {
	s.node.news.mu.Lock()
	newest := s.node.news.newest
	s.node.news.mu.Unlock()
	if newest == nil || newest.Sequence == 0 || p.told.number == 0 || p.told.asks == 0 {
		return
	}
	p.told.asks--
	for root := newest.Root; len(root) > 0; {
		part := root[:min(len(root), wire.MaxPart)]
		root = root[len(part):]
		kind := wire.Part
		if len(root) == 0 {
			kind = wire.LastPart
		}
		p.say(wire.News{Kind: kind, Data: part})
	}
}

// rootCame takes a part of a root, and has the whole judged. s.mu is held.
func (s *Swarm) rootCame(p *peer, m wire.News) error {
	n := &s.node.news
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked != p || n.judged {
		return nil // given up already
	}
	if len(n.root)+len(m.Data) > MaxRoot {
		n.asked = nil
		return errRootSize
	}
	n.root = append(n.root, m.Data...)
	if m.Kind == wire.Part {
		return nil
	}
	root, sequence := n.root, p.told.sequence
	n.root, n.judged = nil, true
	s.wg.Go(func() { s.node.judge(p, root, sequence) })
	return nil
}

// judge has a root judged that a peer has handed over as that of the release with a number.
func (n *Node) judge(p *peer, root []byte, sequence int64) {
	number, err := n.Judge(root)
	n.news.mu.Lock()
	defer n.news.mu.Unlock()
	if n.news.asked == p {
		n.news.asked = nil
	}
	if err == nil && number >= sequence {
		n.news.newest.Above = max(n.news.newest.Above, number)
		return
	}
	n.log.Debug("a release is refused", "peer", hex.EncodeToString(p.id[:]), "error", err)
	n.news.shut(p.id)
}

// shut listens to a peer no more. n.mu is held.
func (n *news) shut(id [20]byte) {
	if len(n.deaf) >= maxDeaf {
		for oldest := range n.deaf { // any: an id is made up at no cost
			delete(n.deaf, oldest)
			break
		}
	}
	n.deaf[id] = true
}

// lookForRoot asks one of the peers that have told of a higher number, one at a time over all swarms. s.mu is held.
func (s *Swarm) lookForRoot(now time.Time) {
	n := &s.node.news
	if s.node.Judge == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked != nil && !n.judged && now.Sub(n.since) > handTime {
		n.shut(n.asked.id)
		n.asked = nil
	}
	if n.newest == nil || n.asked != nil {
		return
	}
	for p := range s.peers {
		if p.told.sequence > n.newest.Above && p.accepted && p.told.number != 0 && !n.deaf[p.id] {
			n.asked, n.since, n.root, n.judged = p, now, nil, false
			p.say(wire.News{Kind: wire.AskRoot})
			return
		}
	}
}

// forgetNews lets another peer hand a root over if this one, which is gone, was about to. s.mu is held.
func (s *Swarm) forgetNews(p *peer) {
	n := &s.node.news
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asked == p && !n.judged {
		n.asked, n.root = nil, nil
	}
}
