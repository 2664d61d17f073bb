package tracker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/planktos/planktos/internal/signal"
)

func TestOfferAndAnswer(t *testing.T) {
	url := start(t, &Tracker{})
	seeder, leecher := connect(t, url, 1), connect(t, url, 2)

	got := seeder.announce(7, signal.EventStarted, 0, 2)
	if got.Complete != 1 || got.Incomplete != 0 || got.IntervalSeconds != 120 {
		t.Errorf("got %+v", got)
	}
	asked := leecher.announcement(7, signal.EventStarted, signal.Unknown, 3)
	leecher.send(asked)
	if got := leecher.announced(7); got.Complete != 1 || got.Incomplete != 1 {
		t.Errorf("got %+v", got)
	}
	offer := seeder.offer()
	want := asked.Offers[0]
	if offer.PeerID != leecher.id || offer.OfferID != want.ID || string(offer.Description) != string(want.Description) {
		t.Errorf("got %+v, want %+v", offer, want)
	}
	seeder.quiet() // one offer, although the leecher made three: there is one other peer
	seeder.answer(offer)
	reply := leecher.read()
	if reply.Answer == nil || reply.Answer.PeerID != seeder.id || reply.Answer.OfferID != want.ID {
		t.Errorf("got %s", describe(reply))
	}
	seeder.quiet() // an answer is not replied to
	leecher.quiet()
}

func TestEvents(t *testing.T) {
	tracker := &Tracker{}
	url := start(t, tracker)
	seeder, c := connect(t, url, 1), connect(t, url, 2)
	seeder.announce(7, signal.EventStarted, 0, 0)
	steps := []struct {
		name                 string
		event                signal.Event
		left                 int64
		complete, incomplete int64
		downloaded           int64
	}{
		{"joins by an update", signal.EventUpdate, 100, 1, 1, 0},
		{"starts again", signal.EventStarted, 50, 1, 1, 0},
		{"tells nothing new", signal.EventUpdate, signal.Unknown, 1, 1, 0},
		{"completes", signal.EventCompleted, signal.Unknown, 2, 0, 1},
		{"completes again", signal.EventCompleted, 0, 2, 0, 1},
		{"says nothing of what is left", signal.EventUpdate, signal.Unknown, 2, 0, 1},
		{"lost a file", signal.EventUpdate, 10, 1, 1, 1},
		{"pauses", signal.EventPaused, 10, 1, 1, 1},
		{"has it by an update", signal.EventUpdate, 0, 2, 0, 2},
		{"stops", signal.EventStopped, 0, 1, 0, 2},
		{"stops again", signal.EventStopped, 0, 1, 0, 2},
		{"returns complete", signal.EventStarted, 0, 2, 0, 2},
	}
	for _, step := range steps {
		got := c.announce(7, step.event, step.left, 0)
		if got.Complete != step.complete || got.Incomplete != step.incomplete {
			t.Errorf("%s: got %+v, want %d and %d", step.name, got, step.complete, step.incomplete)
		}
		c.write(`{"action":"scrape","info_hash":"` + "\\u0007" + strings.Repeat("\\u0000", 19) + `"}`)
		reply := c.read()
		want := signal.ScrapedFile{
			InfoHash: signal.InfoHash{7}, Complete: step.complete, Incomplete: step.incomplete, Downloaded: step.downloaded,
		}
		if reply.Scraped == nil || len(reply.Scraped.Files) != 1 || reply.Scraped.Files[0] != want {
			t.Errorf("%s: scraped %s, want %+v", step.name, describe(reply), want)
		}
	}
	if s := tracker.Stats(); s.Peers != 2 || s.Seeders != 2 || s.Swarms != 1 || s.Conns != 2 {
		t.Errorf("got %+v", s)
	}
}

func TestOffersGoToDistinctPeers(t *testing.T) {
	url := start(t, &Tracker{MaxOffers: 4})
	var others []*client
	for i := range 10 {
		c := connect(t, url, byte(10+i))
		c.announce(7, signal.EventStarted, 1, 0)
		others = append(others, c)
	}
	stranger := connect(t, url, 2)
	stranger.announce(8, signal.EventStarted, 1, 0)
	c := connect(t, url, 1)
	tests := []struct {
		name                  string
		offers, numWant, want int
	}{
		{"fewer offers than peers", 3, -1, 3},
		{"more offers than the tracker passes on", 20, -1, 4},
		{"fewer wanted than offered", 4, 2, 2},
		{"none wanted", 4, 0, 0},
		{"more wanted than offered", 1, 50, 1},
		{"none offered", 0, 50, 0},
	}
	for _, test := range tests {
		a := c.announcement(7, signal.EventUpdate, 1, test.offers)
		a.NumWant = int64(test.numWant)
		c.send(a)
		c.announced(7)
		got, ids := 0, map[signal.OfferID]bool{}
		for _, other := range others {
			other.write(`{"action":"scrape"}`)
			reply := other.read()
			if reply.Scraped != nil {
				continue
			}
			if reply.Offer == nil || ids[reply.Offer.OfferID] {
				t.Fatalf("%s: got %s", test.name, describe(reply))
			}
			got++
			ids[reply.Offer.OfferID] = true
			if reply = other.read(); reply.Scraped == nil {
				t.Fatalf("%s: two messages for one peer", test.name)
			}
		}
		if got != test.want {
			t.Errorf("%s: %d offers arrived, want %d", test.name, got, test.want)
		}
		stranger.quiet()
		c.quiet()
	}
}

func TestSeveralSwarmsOnOneSocket(t *testing.T) {
	tracker := &Tracker{MaxSwarmsPerConn: 2}
	url := start(t, tracker)
	c, other := connect(t, url, 1), connect(t, url, 2)
	c.announce(1, signal.EventStarted, 0, 0)
	c.announce(2, signal.EventStarted, 0, 0)
	c.send(c.announcement(3, signal.EventStarted, 0, 0))
	if f := c.failure(); f.InfoHash != (signal.InfoHash{3}) || f.Reason != "too many swarms on one connection" {
		t.Errorf("got %+v", f)
	}
	other.announce(2, signal.EventStarted, 5, 1)
	if offer := c.offer(); offer.InfoHash != (signal.InfoHash{2}) {
		t.Errorf("got %+v", offer)
	}
	c.write(`{"action":"scrape"}`)
	if reply := c.read(); reply.Scraped == nil || len(reply.Scraped.Files) != 2 {
		t.Errorf("got %s", describe(reply))
	}
	c.announce(1, signal.EventStopped, 0, 0)
	c.announce(3, signal.EventStarted, 0, 0) // there is room again
	c.ws.CloseNow()
	await(t, tracker, "leaving", func(s Stats) bool { return s.Conns == 1 && s.Peers == 1 && s.Swarms == 1 })
}

func TestReturnOnANewConnection(t *testing.T) {
	tracker := &Tracker{}
	url := start(t, tracker)
	old, other := connect(t, url, 1), connect(t, url, 2)
	old.announce(7, signal.EventStarted, 0, 0)
	old.announce(8, signal.EventStarted, 0, 0)
	back := connect(t, url, 1)
	if got := back.announce(7, signal.EventStarted, 1, 0); got.Complete != 0 || got.Incomplete != 1 {
		t.Errorf("the peer is there twice, or a seeder still: %+v", got)
	}
	other.announce(7, signal.EventStarted, 1, 1)
	offer := back.offer()
	old.answer(offer) // the old connection can no longer speak for the peer
	if f := old.failure(); f.Reason != "announce before you answer" {
		t.Errorf("got %+v", f)
	}
	other.quiet()
	old.ws.CloseNow()
	await(t, tracker, "leaving", func(s Stats) bool { return s.Conns == 2 })
	if got := other.announce(7, signal.EventUpdate, 1, 0); got.Incomplete != 2 {
		t.Errorf("the old connection took the new one's place with it: %+v", got)
	}
	if got := other.announce(8, signal.EventStarted, 1, 0); got.Complete != 0 {
		t.Errorf("the old connection's other swarm remembers it: %+v", got)
	}
}

func TestAnswersStayInTheSwarm(t *testing.T) {
	url := start(t, &Tracker{})
	a, b := connect(t, url, 1), connect(t, url, 2)
	a.announce(7, signal.EventStarted, 0, 0)
	b.answer(&signal.Relay{InfoHash: signal.InfoHash{7}, PeerID: a.id})
	if f := b.failure(); f.Reason != "announce before you answer" {
		t.Errorf("got %+v", f)
	}
	b.announce(8, signal.EventStarted, 0, 0)
	b.answer(&signal.Relay{InfoHash: signal.InfoHash{8}, PeerID: a.id}) // a is not in it
	b.answer(&signal.Relay{InfoHash: signal.InfoHash{8}, PeerID: b.id}) // to itself
	b.quiet()
	a.quiet()
	spoof := &signal.Announce{
		InfoHash: signal.InfoHash{8}, PeerID: a.id, ToPeerID: b.id, Answer: []byte(`{"type":"answer","sdp":"v=0"}`), Left: signal.Unknown,
	}
	b.send(spoof)
	if f := b.failure(); f.Reason != "announce before you answer" {
		t.Errorf("got %+v", f)
	}
}

func TestFilter(t *testing.T) {
	url := start(t, &Tracker{Filter: func(h [20]byte) bool { return h[0] == 7 }})
	c := connect(t, url, 1)
	c.announce(7, signal.EventStarted, 0, 0)
	c.send(c.announcement(8, signal.EventStarted, 0, 0))
	if f := c.failure(); f.InfoHash != (signal.InfoHash{8}) || f.Action != signal.ActionAnnounce {
		t.Errorf("got %+v", f)
	}
}

func TestFullSwarm(t *testing.T) {
	tracker := &Tracker{MaxPeersPerSwarm: 2}
	url := start(t, tracker)
	a, b, c := connect(t, url, 1), connect(t, url, 2), connect(t, url, 3)
	a.announce(7, signal.EventStarted, 0, 0)
	b.announce(7, signal.EventStarted, 0, 0)
	c.send(c.announcement(7, signal.EventStarted, 0, 1))
	if f := c.failure(); f.Reason != "the swarm is full" {
		t.Errorf("got %+v", f)
	}
	a.announce(7, signal.EventUpdate, 0, 0) // who is in it stays
	a.announce(7, signal.EventStopped, 0, 0)
	c.announce(7, signal.EventStarted, 0, 0)
}

func TestBadMessages(t *testing.T) {
	tracker := &Tracker{}
	url := start(t, tracker)
	c := connect(t, url, 1)
	for i, text := range []string{"", "hello", "[]", "{}", `{"action":"announce"}`, strings.Repeat("[", 100_000)} {
		c.write(text)
		if f := c.failure(); f.Reason == "" {
			t.Errorf("message %d: got %+v", i, f)
		}
	}
	c.announce(7, signal.EventStarted, 0, 0)
	for range faultBurst + 1 {
		c.write("garbage")
	}
	if got := c.closed(); got != websocket.StatusPolicyViolation {
		t.Errorf("closed with %v", got)
	}
	await(t, tracker, "leaving", func(s Stats) bool { return s.Conns == 0 && s.Swarms == 0 })
}

// TestBogusOffers has clients send what no browser does: it costs them their connection, after a word of why.
func TestBogusOffers(t *testing.T) {
	url := start(t, &Tracker{})
	witness := connect(t, url, 1)
	witness.announce(7, signal.EventStarted, 0, 0)
	for i, description := range []string{`{}`, `"v=0"`, `{"type":"offer","sdp":"` + strings.Repeat("x", 20_000) + `"}`} {
		c := connect(t, url, byte(i+2))
		a := c.announcement(7, signal.EventStarted, 0, 2)
		a.Offers[1].Description = []byte(description)
		c.send(a)
		if f := c.failure(); f.Reason != "invalid offer" || f.InfoHash != (signal.InfoHash{7}) {
			t.Errorf("got %+v", f)
		}
		if got := c.closed(); got != websocket.StatusPolicyViolation {
			t.Errorf("closed with %v", got)
		}
	}
	witness.quiet()
}

// TestFloodOfOffers has a client offer without end. What is in its burst goes out.
func TestFloodOfOffers(t *testing.T) {
	tracker := &Tracker{MaxSwarmsPerConn: 3, MaxOffers: 1}
	url := start(t, tracker)
	witness, c := connect(t, url, 1), connect(t, url, 2)
	witness.announce(7, signal.EventStarted, 0, 0)
	for range 3 {
		c.announce(7, signal.EventUpdate, 1, 10)
		witness.offer()
	}
	c.send(c.announcement(7, signal.EventUpdate, 1, 10))
	if got := c.closed(); got != websocket.StatusPolicyViolation {
		t.Errorf("closed with %v", got)
	}
	witness.quiet()
}

// TestOffersToNamedPeers offers to one of many.
func TestOffersToNamedPeers(t *testing.T) {
	url := start(t, &Tracker{})
	var crowd []*client
	for i := range 9 {
		crowd = append(crowd, connect(t, url, byte(i+1)))
		crowd[i].announce(7, signal.EventStarted, 1, 0)
	}
	c := connect(t, url, 100)
	a := c.announcement(7, signal.EventStarted, 1, 2)
	want := a.Offers[1]
	a.Offers = a.Offers[1:]
	a.Offers[0].To = crowd[4].id
	c.send(a)
	c.announced(7)
	if offer := crowd[4].offer(); offer.OfferID != want.ID {
		t.Errorf("got offer %v, want %v", offer.OfferID, want.ID)
	}
	for _, other := range crowd {
		other.quiet()
	}
}

// TestCrowd has many peers come, meet, and go at once, for the race detector and for the sums at the end.
func TestCrowd(t *testing.T) {
	tracker := &Tracker{MessagesPerSecond: 1e6}
	url := start(t, tracker)
	const peers, rounds = 16, 20
	finished := make(chan error, peers)
	for i := range peers {
		c := connect(t, url, byte(i+1))
		go func() { finished <- crowdMember(c, i, rounds) }()
	}
	for range peers {
		if err := <-finished; err != nil {
			t.Error(err)
		}
	}
	s := tracker.Stats()
	if s.Announces < peers*rounds || s.Offers == 0 || s.Answers == 0 || s.Slow != 0 {
		t.Errorf("got %+v", s)
	}
}

// crowdMember announces to three swarms in turn and answers every offer that it is sent.
func crowdMember(c *client, number, rounds int) error {
	for announced, sent := 0, 0; announced < rounds; {
		if sent == announced {
			event := signal.EventUpdate
			if sent%7 == 6 {
				event = signal.EventStopped
			}
			a := c.announcement(byte((number+sent)%3), event, int64(sent%2), 3)
			if sent++; c.ws.Write(c.t.Context(), websocket.MessageText, a.AppendJSON(nil)) != nil {
				return fmt.Errorf("peer %d cannot send", number)
			}
		}
		_, text, err := c.ws.Read(c.t.Context())
		if err != nil {
			return err
		}
		reply, err := signal.DecodeReply(text)
		switch {
		case err != nil:
			return err
		case reply.Announced != nil:
			announced++
		case reply.Offer != nil: // one for a swarm that it has just left gets a failure
			answer := &signal.Announce{
				InfoHash: reply.Offer.InfoHash, PeerID: c.id, ToPeerID: reply.Offer.PeerID, OfferID: reply.Offer.OfferID,
				Answer: []byte(`{"type":"answer","sdp":"v=0"}`),
			}
			if c.ws.Write(c.t.Context(), websocket.MessageText, answer.AppendJSON(nil)) != nil {
				return fmt.Errorf("peer %d cannot answer", number)
			}
		}
	}
	return nil
}
