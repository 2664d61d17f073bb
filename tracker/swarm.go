package tracker

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/planktos/planktos/internal/signal"
)

// swarms are all swarms, in shards with a lock each.
type swarms struct {
	shards [64]shard
}

// shard holds the swarms whose info-hash ends in its number. Its lock guards them, and the fields of their peers.
type shard struct {
	mu     sync.Mutex
	swarms map[signal.InfoHash]*swarm
}

func (s *swarms) shard(h signal.InfoHash) *shard {
	return &s.shards[int(h[len(h)-1])%len(s.shards)]
}

// swarm is the peers of one torrent. It exists while there are any.
type swarm struct {
	peers      []*peer // in no order, so that choosing costs only what is chosen
	byID       map[signal.PeerID]*peer
	seeders    int
	listeners  int   // who understands releases
	downloaded int64 // peers that became seeders here
}

// peer is a connection's membership in a swarm, under one peer id.
type peer struct {
	conn     *conn
	infoHash signal.InfoHash
	id       signal.PeerID
	listens  bool // understands releases

	// The rest is guarded by the shard's lock.
	swarm  *swarm // nil when it is no longer a member: it left, fell silent, or another connection took its id
	index  int    // in swarm.peers
	seeder bool
	heard  time.Time
}

// add makes p a member. It was none, and nobody has its id.
func (s *swarm) add(p *peer, n *counters) {
	p.swarm, p.index = s, len(s.peers)
	s.peers = append(s.peers, p)
	s.byID[p.id] = p
	n.peers.Add(1)
	if p.listens {
		s.listeners++
	}
	if p.seeder {
		s.seeders++
		n.seeders.Add(1)
	}
}

// remove ends p's membership. Who removes the last one removes the swarm (shard.prune).
func (s *swarm) remove(p *peer, n *counters) {
	last := len(s.peers) - 1
	s.swap(p.index, last)
	s.peers[last] = nil
	s.peers = s.peers[:last]
	delete(s.byID, p.id)
	p.swarm = nil
	n.peers.Add(-1)
	if p.listens {
		s.listeners--
	}
	if p.seeder {
		s.seeders--
		n.seeders.Add(-1)
	}
}

func (s *swarm) swap(i, j int) {
	a, b := s.peers[i], s.peers[j]
	s.peers[i], s.peers[j] = b, a
	a.index, b.index = j, i
}

// setSeeder notes whether a member has everything.
func (s *swarm) setSeeder(p *peer, seeder bool, n *counters) {
	if p.seeder == seeder {
		return
	}
	p.seeder = seeder
	if seeder {
		s.seeders++
		s.downloaded++
		n.seeders.Add(1)
	} else {
		s.seeders--
		n.seeders.Add(-1)
	}
}

// pick appends to dst a member for each offer while there are any: distinct, other than self, and first those that
// offers name, which it brings to the front, then others, each as likely as any. It shuffles as much of the list as it
// needs (Fisher-Yates), and removes those that it meets who have not been heard of since silent. dst is empty.
func (s *swarm) pick(dst []*peer, self *peer, offers []signal.Offer, silent time.Time, n *counters) []*peer {
	s.swap(self.index, 0)
	for i, offer := range offers {
		to := s.byID[offer.To] // at the front: self, or one that is named already
		if offer.To == (signal.PeerID{}) || to == nil || to.index <= len(dst) || to.heard.Before(silent) {
			continue
		}
		offers[i], offers[len(dst)] = offers[len(dst)], offer
		dst = append(dst, to)
		s.swap(to.index, len(dst))
	}
	for i := 1 + len(dst); i < len(s.peers) && len(dst) < len(offers); {
		s.swap(i, i+rand.IntN(len(s.peers)-i))
		if p := s.peers[i]; p.heard.Before(silent) {
			s.remove(p, n)
		} else {
			dst = append(dst, p)
			i++
		}
	}
	return dst
}

// makeRoom looks for a member who has not been heard of since silent among a few, and removes it.
func (s *swarm) makeRoom(silent time.Time, n *counters) {
	for range 8 {
		if p := s.peers[rand.IntN(len(s.peers))]; p.heard.Before(silent) {
			s.remove(p, n)
			return
		}
	}
}

// prune forgets a swarm that has become empty. The shard's lock is held.
func (sh *shard) prune(h signal.InfoHash, s *swarm, n *counters) {
	if len(s.peers) == 0 {
		delete(sh.swarms, h)
		n.swarms.Add(-1)
	}
}

// open returns a swarm, made if need be. The shard's lock is held, and the caller adds a member or prunes.
func (sh *shard) open(h signal.InfoHash, n *counters) *swarm {
	if s := sh.swarms[h]; s != nil {
		return s
	}
	if sh.swarms == nil {
		sh.swarms = make(map[signal.InfoHash]*swarm)
	}
	s := &swarm{byID: make(map[signal.PeerID]*peer)}
	sh.swarms[h] = s
	n.swarms.Add(1)
	return s
}
