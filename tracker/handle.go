package tracker

import (
	"errors"
	"slices"
	"time"

	"github.com/gobwas/ws"

	"github.com/planktos/planktos/internal/signal"
)

// handle does what a message asks for. The error, if any, ends the connection.
func (t *Tracker) handle(c *conn, message []byte) error {
	request, err := signal.DecodeRequest(message)
	if err == nil {
		switch {
		case request.Scrape != nil:
			t.scrape(c, request.Scrape)
		case request.Release != nil:
			err = t.release(c, request.Release)
		case request.Announce.Answer != nil:
			err = t.answer(c, request.Announce)
		default:
			err = t.announce(c, request.Announce)
		}
	}
	if err == nil {
		return nil
	}
	var failure *signal.Failure
	if !errors.As(err, &failure) {
		return err
	}
	t.counts.failures.Add(1)
	c.reply(failure.AppendJSON)
	if failure.Bogus {
		return bogus
	}
	if c.faults.take(time.Now(), 1/faultRefill.Seconds(), faultBurst, 1) > 0 {
		return tooManyBad
	}
	return nil
}

// reply sends the conn's own client a message.
func (c *conn) reply(appendJSON func([]byte) []byte) {
	work := c.in.work
	work.reply = appendJSON(work.reply[:0])
	c.send(ws.OpText, work.reply)
}

func refuse(a *signal.Announce, reason string) error {
	return &signal.Failure{
		Action: signal.ActionAnnounce, InfoHash: a.InfoHash, HasInfoHash: true, Reason: reason,
	}
}

// announce notes a peer's state, tells it the swarm's, and passes its offers on.
func (t *Tracker) announce(c *conn, a *signal.Announce) error {
	if t.Filter != nil && !t.Filter(a.InfoHash) {
		return refuse(a, "this tracker does not serve that info_hash")
	}
	want := min(len(a.Offers), t.limits.offers)
	if a.NumWant != signal.Unknown {
		want = int(min(int64(want), a.NumWant))
	}
	announced := signal.Announced{InfoHash: a.InfoHash, IntervalSeconds: t.intervalSeconds()}
	picked := c.in.work.picked[:0]
	var joined bool
	var err error
	if a.Event == signal.EventStopped {
		want = 0
		announced.Complete, announced.Incomplete = t.leave(c, a)
	} else if picked, joined, err = t.join(c, a, &announced, picked, want); err != nil {
		return err
	}
	// Every offer makes somebody else's browser work.
	if c.offers.take(time.Now(), t.limits.rate/4, float64(10*t.limits.swarms), float64(len(a.Offers))) > 0 {
		return flood
	}
	t.counts.announces.Add(1)
	c.reply(announced.AppendJSON)
	if joined && a.Releases {
		if frame := t.board.last(a.InfoHash, time.Now()); frame != nil {
			c.share(frame)
			t.counts.told.Add(1)
		}
	}
	for i, p := range picked {
		relay := signal.Relay{
			InfoHash: a.InfoHash, PeerID: a.PeerID, OfferID: a.Offers[i].ID, Description: a.Offers[i].Description,
		}
		work := c.in.work
		work.reply = relay.AppendOffer(work.reply[:0])
		p.conn.send(ws.OpText, work.reply)
	}
	t.counts.offers.Add(uint64(len(picked)))
	clear(picked) // holds no connections alive
	c.in.work.picked = picked
	return nil
}

// join makes the sender a member of the swarm, or notes its new state, fills in the swarm's counts, and picks up to
// want others, in the order of the offers, which it changes. It reports whether the sender was no member before.
func (t *Tracker) join(
	c *conn, a *signal.Announce, counts *signal.Announced, picked []*peer, want int,
) (_ []*peer, joined bool, err error) {
	member := c.member(a.InfoHash, a.PeerID)
	known := member != nil
	if !known {
		if len(c.members) >= t.limits.swarms && !t.forgetOne(c) {
			return picked, false, refuse(a, "too many swarms on one connection")
		}
		member = &peer{conn: c, infoHash: a.InfoHash, id: a.PeerID, listens: a.Releases}
	}
	now := time.Now()
	silent := now.Add(-t.limits.peerTTL)

	sh := t.swarms.shard(a.InfoHash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.open(a.InfoHash, &t.counts)
	member.heard = now
	if joined = member.swarm == nil; joined {
		member.seeder = a.Left == 0 || a.Event == signal.EventCompleted
		if other := s.byID[a.PeerID]; other != nil {
			s.remove(other, &t.counts) // the peer is back on a new connection before its old one was missed
		} else if len(s.peers) >= t.limits.peers {
			if s.makeRoom(silent, &t.counts); len(s.peers) >= t.limits.peers {
				return picked, false, refuse(a, "the swarm is full")
			}
		}
		s.add(member, &t.counts)
		if a.Event == signal.EventCompleted {
			s.downloaded++
		}
		if !known {
			c.members = append(c.members, member)
		}
	} else if a.Event == signal.EventCompleted || a.Left != signal.Unknown {
		s.setSeeder(member, a.Event == signal.EventCompleted || a.Left == 0, &t.counts)
	}
	picked = s.pick(picked, member, a.Offers[:want], silent, &t.counts)
	counts.Complete, counts.Incomplete = s.counts()
	return picked, joined, nil
}

// leave ends the sender's membership, if it is a member, and returns the swarm's counts.
func (t *Tracker) leave(c *conn, a *signal.Announce) (complete, incomplete int64) {
	if i := c.memberIndex(a.InfoHash, a.PeerID); i >= 0 {
		t.remove(c.members[i])
		c.members = slices.Delete(c.members, i, i+1)
	}
	file := t.count(a.InfoHash)
	return file.Complete, file.Incomplete
}

// leaveAll ends all memberships of a connection that is gone.
func (t *Tracker) leaveAll(c *conn) {
	for _, p := range c.members {
		t.remove(p)
	}
	c.members = nil
}

// remove ends a membership, if it has not ended already.
func (t *Tracker) remove(p *peer) {
	sh := t.swarms.shard(p.infoHash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s := p.swarm; s != nil {
		s.remove(p, &t.counts)
		sh.prune(p.infoHash, s, &t.counts)
	}
}

// forgetOne drops a membership of the connection that others have ended, and reports whether there was one.
func (t *Tracker) forgetOne(c *conn) bool {
	for i, p := range c.members {
		sh := t.swarms.shard(p.infoHash)
		sh.mu.Lock()
		ended := p.swarm == nil
		sh.mu.Unlock()
		if ended {
			c.members = slices.Delete(c.members, i, i+1)
			return true
		}
	}
	return false
}

// answer passes an answer on to the author of the offer. Both must be members of the swarm: a peer can neither speak
// for another nor reach one outside.
func (t *Tracker) answer(c *conn, a *signal.Announce) error {
	member := c.member(a.InfoHash, a.PeerID)
	if member == nil {
		return refuse(a, "announce before you answer")
	}
	sh := t.swarms.shard(a.InfoHash)
	sh.mu.Lock()
	s := member.swarm
	var to *peer
	if s != nil {
		member.heard = time.Now()
		to = s.byID[a.ToPeerID]
	}
	sh.mu.Unlock()
	if s == nil {
		return refuse(a, "announce before you answer")
	}
	if to == nil || to == member {
		return nil // it has left meanwhile, which is nobody's fault
	}
	relay := signal.Relay{InfoHash: a.InfoHash, PeerID: a.PeerID, OfferID: a.OfferID, Description: a.Answer}
	work := c.in.work
	work.reply = relay.AppendAnswer(work.reply[:0])
	to.conn.send(ws.OpText, work.reply)
	t.counts.answers.Add(1)
	return nil
}

// scrape tells the counts of the swarms asked for; of none in particular, those that the connection is in. (Listing
// all would tell anybody what everybody is looking at.)
func (t *Tracker) scrape(c *conn, q *signal.Scrape) {
	scraped := signal.Scraped{MinRequestIntervalSeconds: t.intervalSeconds()}
	for _, h := range q.InfoHashes {
		scraped.Files = append(scraped.Files, t.count(h))
	}
	if len(q.InfoHashes) == 0 {
		for _, p := range c.members[:min(len(c.members), signal.MaxScrape)] {
			scraped.Files = append(scraped.Files, t.count(p.infoHash))
		}
	}
	t.counts.scrapes.Add(1)
	c.reply(scraped.AppendJSON)
}

// count returns a swarm's counts, zeros if there is no such swarm.
func (t *Tracker) count(h signal.InfoHash) signal.ScrapedFile {
	file := signal.ScrapedFile{InfoHash: h}
	sh := t.swarms.shard(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s := sh.swarms[h]; s != nil {
		file.Complete, file.Incomplete = s.counts()
		file.Downloaded = s.downloaded
	}
	return file
}

// counts returns how many seeders and leechers there are.
func (s *swarm) counts() (complete, incomplete int64) {
	return int64(s.seeders), int64(len(s.peers) - s.seeders)
}

func (c *conn) memberIndex(h signal.InfoHash, id signal.PeerID) int {
	return slices.IndexFunc(c.members, func(p *peer) bool { return p.infoHash == h && p.id == id })
}

func (c *conn) member(h signal.InfoHash, id signal.PeerID) *peer {
	if i := c.memberIndex(h, id); i >= 0 {
		return c.members[i]
	}
	return nil
}

func (t *Tracker) intervalSeconds() int64 {
	return max(1, int64(t.limits.interval/time.Second))
}
