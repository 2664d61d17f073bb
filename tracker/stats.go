package tracker

import "sync/atomic"

// Stats are a tracker's figures at one moment. They are read one after the other, so they need not add up exactly.
type Stats struct {
	// Conns are open connections; Swarms, Peers and Seeders what they are in: a connection in two swarms is two peers.
	Conns, Swarms, Peers, Seeders int64
	// Accepted and Rejected count connections since the start.
	Accepted, Rejected uint64
	// Announces, Scrapes and Failures count messages since the start: those that were obeyed, and those answered with a
	// failure.
	Announces, Scrapes, Failures uint64
	// Offers and Answers count what was passed on.
	Offers, Answers uint64
	// Releases counts releases that were passed on, and Told the peers that they were passed to.
	Releases, Told uint64
	// Slow counts connections that were dropped because they did not read.
	Slow uint64
}

type counters struct {
	conns, swarms, peers, seeders atomic.Int64

	accepted, rejected, announces, scrapes, failures, offers, answers, releases, told, slow atomic.Uint64
}

// Stats returns the tracker's figures.
func (t *Tracker) Stats() Stats {
	n := &t.counts
	return Stats{
		Conns: n.conns.Load(), Swarms: n.swarms.Load(), Peers: n.peers.Load(), Seeders: n.seeders.Load(),
		Accepted: n.accepted.Load(), Rejected: n.rejected.Load(),
		Announces: n.announces.Load(), Scrapes: n.scrapes.Load(), Failures: n.failures.Load(),
		Offers: n.offers.Load(), Answers: n.answers.Load(),
		Releases: n.releases.Load(), Told: n.told.Load(),
		Slow: n.slow.Load(),
	}
}
