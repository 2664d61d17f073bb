package tracker

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/planktos/planktos/internal/signal"
)

func check(t *testing.T, s *swarm) {
	t.Helper()
	seeders, listeners := 0, 0
	for i, p := range s.peers {
		if p.index != i || p.swarm != s || s.byID[p.id] != p {
			t.Fatalf("peer %d of %d is out of order: %+v", i, len(s.peers), p)
		}
		if p.seeder {
			seeders++
		}
		if p.listens {
			listeners++
		}
	}
	if len(s.byID) != len(s.peers) || s.seeders != seeders || s.listeners != listeners {
		t.Fatalf("%d peers, %d ids, %d seeders counted as %d, %d listeners as %d",
			len(s.peers), len(s.byID), seeders, s.seeders, listeners, s.listeners)
	}
}

func newSwarm(n int, heard time.Time, counts *counters) *swarm {
	s := &swarm{byID: make(map[signal.PeerID]*peer)}
	for i := range n {
		s.add(&peer{id: signal.PeerID{byte(i), byte(i >> 8)}, seeder: i%3 == 0, listens: i%2 == 0, heard: heard}, counts)
	}
	return s
}

func TestPickIsFair(t *testing.T) {
	var counts counters
	s := newSwarm(21, time.Now(), &counts)
	self := s.peers[13]
	const rounds, want = 20_000, 4
	picked := map[*peer]int{}
	for range rounds {
		distinct := map[*peer]bool{}
		for _, p := range s.pick(nil, self, make([]signal.Offer, want), time.Time{}, &counts) {
			distinct[p] = true
			picked[p]++
		}
		if len(distinct) != want || distinct[self] {
			t.Fatalf("picked %d others, itself %v", len(distinct), distinct[self])
		}
	}
	check(t, s)
	// Each of 20 is picked with probability 1/5: 4,000 times, give or take 57. Six of that is one in 500 million.
	for p, n := range picked {
		if n < 4000-6*57 || n > 4000+6*57 {
			t.Errorf("peer %d was picked %d times of %d", p.id[0], n, rounds)
		}
	}
	if len(picked) != 20 {
		t.Errorf("%d were picked at all", len(picked))
	}
}

func TestPickTakesTheNamedFirst(t *testing.T) {
	var counts counters
	now := time.Now()
	for range 100 {
		s := newSwarm(20, now, &counts)
		self, named, silent := s.peers[7], s.peers[3], s.peers[9]
		silent.heard = now.Add(-time.Hour)
		offers := make([]signal.Offer, 6)
		for i, to := range []signal.PeerID{{}, self.id, silent.id, {99}, named.id, named.id} {
			offers[i] = signal.Offer{ID: signal.OfferID{byte(i)}, To: to}
		}
		picked := s.pick(nil, self, offers, now.Add(-time.Minute), &counts)
		check(t, s)
		if picked[0] != named || offers[0].To != named.id {
			t.Fatalf("picked %v first, by offer %d", picked[0].id, offers[0].ID[0])
		}
		distinct := map[*peer]bool{self: true, silent: true}
		for _, p := range picked {
			if distinct[p] {
				t.Fatalf("picked %v", p.id)
			}
			distinct[p] = true
		}
		if len(picked) != len(offers) {
			t.Fatalf("picked %d for %d offers", len(picked), len(offers))
		}
	}
}

func TestPickRemovesTheSilent(t *testing.T) {
	var counts counters
	now := time.Now()
	s := newSwarm(50, now, &counts)
	self := s.peers[0]
	for i, p := range s.peers[1:] {
		if i%2 == 0 {
			p.heard = now.Add(-time.Hour)
		}
	}
	got := s.pick(nil, self, make([]signal.Offer, 100), now.Add(-time.Minute), &counts)
	if len(got) != 24 || len(s.peers) != 25 || counts.peers.Load() != 25 {
		t.Errorf("picked %d, %d stay", len(got), len(s.peers))
	}
	check(t, s)
}

func TestSwarmKeepsItsOrder(t *testing.T) {
	var counts counters
	s := newSwarm(10, time.Now(), &counts)
	for i := range 2000 {
		switch self := s.peers[rand.IntN(len(s.peers))]; rand.IntN(4) {
		case 0:
			s.add(&peer{id: signal.PeerID{1, 1, byte(i), byte(i >> 8)}, heard: time.Now()}, &counts)
		case 1:
			if len(s.peers) > 1 {
				s.remove(self, &counts)
			}
		case 2:
			s.setSeeder(self, rand.IntN(2) == 0, &counts)
		default:
			offers := make([]signal.Offer, rand.IntN(8))
			for i := range offers {
				offers[i].To = s.peers[rand.IntN(len(s.peers))].id
			}
			s.pick(nil, self, offers, time.Time{}, &counts)
		}
		check(t, s)
	}
	if counts.peers.Load() != int64(len(s.peers)) || counts.seeders.Load() != int64(s.seeders) {
		t.Errorf("counted %d peers and %d seeders", counts.peers.Load(), counts.seeders.Load())
	}
}

// TestCloseWhileConnecting closes the tracker amid handshakes and announces: whoever got in is closed, whoever did not
// is refused, and nothing is left (which start checks).
func TestCloseWhileConnecting(t *testing.T) {
	tracker := &Tracker{}
	url := start(t, tracker)
	announce := announcement(7, 1, 1)
	var group sync.WaitGroup
	for i := range 24 {
		group.Go(func() {
			if i%8 == 7 {
				tracker.Close()
				return
			}
			c, _, err := dial(url, nil)
			if err != nil {
				return
			}
			defer c.CloseNow()
			for err == nil {
				if err = c.Write(t.Context(), 1, announce); err == nil {
					_, _, err = c.Read(t.Context())
				}
			}
		})
	}
	group.Wait()
}
