package tracker

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/planktos/planktos/internal/signal"
)

// listen joins a swarm as one that understands releases.
func (c *client) listen(swarm byte) {
	c.t.Helper()
	a := c.announcement(swarm, signal.EventStarted, 1, 0)
	a.Releases = true
	c.send(a)
	c.announced(swarm)
}

// release publishes the snapshot of a number.
func (c *client) release(snapshot byte, root string, swarms ...byte) {
	c.t.Helper()
	r := signal.Release{Snapshot: signal.Snapshot{snapshot}}
	if root != "" {
		r.Root = []byte(`"` + root + `"`)
	}
	for _, swarm := range swarms {
		r.InfoHashes = append(r.InfoHashes, signal.InfoHash{swarm})
	}
	c.write(string(r.AppendJSON(nil)))
}

func (c *client) told() int64 {
	c.t.Helper()
	reply := c.read()
	if reply.Told == nil {
		c.t.Fatalf("peer %d: got %s, want how many were told", c.id[0], describe(reply))
	}
	return reply.Told.Peers
}

// hears reads the release of a swarm.
func (c *client) hears(swarm, snapshot byte, root string) {
	c.t.Helper()
	r := c.read().Release
	if r == nil || r.InfoHashes[0] != (signal.InfoHash{swarm}) || r.Snapshot != (signal.Snapshot{snapshot}) ||
		strings.Trim(string(r.Root), `"`) != root {
		c.t.Fatalf("peer %d: got %+v, want release %d of swarm %d", c.id[0], r, snapshot, swarm)
	}
}

func TestReleaseIsToldToThoseWhoUnderstand(t *testing.T) {
	tracker := &Tracker{}
	url := start(t, tracker)
	one, other, foreign, plain := connect(t, url, 1), connect(t, url, 2), connect(t, url, 3), connect(t, url, 4)
	one.listen(7)
	other.listen(8)
	foreign.listen(9)
	plain.announce(7, signal.EventStarted, 0, 0)
	publisher := connect(t, url, 5) // a member of nothing

	publisher.release(1, "signed", 7, 8, 200)
	if got := publisher.told(); got != 2 {
		t.Errorf("%d were told, want 2", got)
	}
	one.hears(7, 1, "signed")
	other.hears(8, 1, "signed")
	publisher.release(2, "", 7)
	publisher.told()
	one.hears(7, 2, "")
	// All has been passed on: one has had the last of it.
	for _, c := range []*client{one, other, foreign, plain, publisher} {
		c.quiet()
	}
	if s := tracker.Stats(); s.Releases != 2 || s.Told != 3 || s.Failures != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestPublish(t *testing.T) {
	tracker := &Tracker{Filter: func(infoHash [20]byte) bool { return infoHash[0] == 7 }}
	url := start(t, tracker)
	c := connect(t, url, 1)
	c.listen(7)
	for i := range byte(3 * swarmBurst) { // more than a stranger may
		root := []byte(`{"é":"\u003c"}`)
		if told := tracker.Publish(Release{Snapshot: [32]byte{i}, Root: root}, [20]byte{7}, [20]byte{8}); told != 1 {
			t.Fatalf("%d told, want 1", told)
		}
		r := c.read().Release
		if r == nil || r.Snapshot != (signal.Snapshot{i}) || string(r.Root) != string(signal.EncodeRoot(root)) {
			t.Fatalf("got %+v", r)
		}
	}
	// A root that fits into no message is told of all the same.
	if tracker.Publish(Release{Root: bytes.Repeat([]byte("x"), signal.MaxRoot)}, [20]byte{7}) != 1 {
		t.Error("not told")
	}
	c.hears(7, 0, "")
	tracker.Close()
	if tracker.Publish(Release{}, [20]byte{7}) != 0 {
		t.Error("told after Close")
	}
}

func TestLateMembersHearTheLastRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := &Tracker{}
		defer tracker.Close()
		tracker.Publish(Release{Snapshot: [32]byte{1}}, [20]byte{7})
		tracker.Publish(Release{Snapshot: [32]byte{2}}, [20]byte{7})
		hears := func(id byte) *signal.Release {
			p := connectPipe(t, tracker)
			a := (&client{id: signal.PeerID{id}}).announcement(7, signal.EventStarted, 1, 0)
			a.Releases = true
			p.write(text(a.AppendJSON(nil)))
			if p.reply().Announced == nil {
				t.Fatal("no answer")
			}
			p.write(text(a.AppendJSON(nil))) // who is a member already is not told again
			reply := p.reply()
			if reply.Release != nil && p.reply().Announced == nil {
				t.Fatal("told twice")
			}
			p.nc.Close()
			return reply.Release
		}
		time.Sleep(boardTime)
		if r := hears(1); r == nil || r.Snapshot != (signal.Snapshot{2}) {
			t.Errorf("got %+v, want the last release", r)
		}
		time.Sleep(time.Nanosecond)
		if r := hears(2); r != nil {
			t.Errorf("got %+v after its time", r)
		}
		if b := &tracker.board; b.bytes != 0 || b.order.Len() != 0 || len(b.notes) != 0 {
			t.Errorf("%d bytes are left", b.bytes)
		}
	})
}

func TestBoardIsBounded(t *testing.T) {
	var b board
	now := time.Now()
	frame := make([]byte, signal.MaxRoot)
	for i := range 1000 {
		b.pin(signal.InfoHash{byte(i), byte(i >> 8)}, frame, now)
		if b.bytes > boardBytes || b.bytes != b.order.Len()*(len(frame)+noteBytes) || len(b.notes) != b.order.Len() {
			t.Fatalf("%d bytes, %d of %d notes", b.bytes, b.order.Len(), len(b.notes))
		}
	}
	last, first := signal.InfoHash{999 & 255, 999 >> 8}, signal.InfoHash{}
	if b.last(last, now) == nil || b.last(first, now) != nil {
		t.Error("the oldest do not make room")
	}
}

func TestReleasesOfAForeignSwarm(t *testing.T) {
	tracker := &Tracker{Filter: func(infoHash [20]byte) bool { return infoHash[0] == 7 }}
	c := connect(t, start(t, tracker), 1)
	c.release(1, "", 8, 9)
	if f := c.failure(); f.Action != signal.ActionRelease || f.Reason != "this tracker does not serve that info_hash" {
		t.Errorf("got %+v", f)
	}
	c.release(1, "", 8, 7)
	if c.told() != 0 {
		t.Error("somebody is told")
	}
}

func TestFloodOfReleases(t *testing.T) {
	tracker := &Tracker{}
	url := start(t, tracker)
	victim := connect(t, url, 1)
	victim.listen(7)
	flooder := connect(t, url, 2)
	for i := range byte(swarmBurst) {
		flooder.release(i, "", 7)
		flooder.told()
		victim.hears(7, i, "")
	}
	// The swarm has had enough, and then the connection; whoever asks, and however often.
	flooder.release(99, "", 7)
	if f := flooder.failure(); !strings.Contains(f.Reason, "of that info_hash") {
		t.Errorf("got %q", f.Reason)
	}
	another := connect(t, url, 3)
	another.release(99, "", 7)
	another.failure()
	another.release(99, "", 7, 8) // of the other there was none
	if another.told() != 0 {
		t.Error("told again")
	}
	flooder.release(99, "", 8)
	if f := flooder.failure(); !strings.Contains(f.Reason, "too many releases; wait") {
		t.Errorf("got %q", f.Reason)
	}
	for range faultBurst {
		flooder.release(99, "", 8)
	}
	if got := flooder.closed(); got != websocket.StatusPolicyViolation {
		t.Errorf("closed with %d", got)
	}
	victim.quiet()
}

func TestSwarmsAreAdmittedAgain(t *testing.T) {
	var b board
	now, h := time.Now(), signal.InfoHash{7}
	b.pin(h, nil, now)
	for range 100 { // what is refused costs nothing
		if b.admits(h, now) {
			b.pin(h, nil, now)
		}
	}
	if b.admits(h, now.Add(swarmRefill-1)) || !b.admits(h, now.Add(swarmRefill)) {
		t.Error("a swarm is not told of a release every swarmRefill")
	}
}

func TestOversizeReleases(t *testing.T) {
	tracker := &Tracker{}
	url := start(t, tracker)
	c := connect(t, url, 1)
	c.release(1, strings.Repeat("x", signal.MaxRoot), 7)
	if f := c.failure(); f.Reason != "invalid root" {
		t.Errorf("got %q", f.Reason)
	}
	// What is as long as may be fits into a message, swarms included.
	c.release(1, strings.Repeat("x", signal.MaxRoot-2), make([]byte, signal.MaxScrape)...)
	c.told()
	c.write(strings.Repeat(" ", 129<<10))
	if got := c.closed(); got != websocket.StatusMessageTooBig {
		t.Errorf("closed with %d", got)
	}
}

// A member that does not read costs a few references, keeps nobody waiting, and is dropped in time.
func TestReleasesToASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := &Tracker{}
		defer tracker.Close()
		join := func(id byte) *pipe {
			p := connectPipe(t, tracker)
			a := (&client{id: signal.PeerID{id}}).announcement(7, signal.EventStarted, 1, 0)
			a.Releases = true
			p.write(text(a.AppendJSON(nil)))
			p.reply()
			return p
		}
		join(1)
		reader := join(2)
		root := bytes.Repeat([]byte("x"), signal.MaxRoot-2)
		start := time.Now()
		for i := range byte(10 * maxShared) {
			tracker.Publish(Release{Snapshot: [32]byte{i}, Root: root}, [20]byte{7})
			if r := reader.reply().Release; r == nil || r.Snapshot != (signal.Snapshot{i}) {
				t.Fatalf("got %+v", r)
			}
		}
		for _, p := range tracker.members(signal.InfoHash{7}) {
			p.conn.mu.Lock()
			if p.id == (signal.PeerID{1}) && (len(p.conn.shared) != maxShared || len(p.conn.queue) != 0) {
				t.Errorf("%d frames and %d bytes wait", len(p.conn.shared), len(p.conn.queue))
			}
			p.conn.mu.Unlock()
		}
		if time.Since(start) != 0 {
			t.Errorf("the other waited %v", time.Since(start))
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if s := tracker.Stats(); s.Slow != 1 || s.Peers != 1 {
			t.Errorf("got %+v", s)
		}
	})
}

// crowd adds members to a swarm that are never heard of again.
func crowd(tracker *Tracker, h signal.InfoHash, size int) {
	gone := &conn{tracker: tracker, closed: true}
	sh := tracker.swarms.shard(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s := sh.open(h, &tracker.counts)
	for i := range size {
		p := &peer{conn: gone, infoHash: h, id: signal.PeerID{1, byte(i), byte(i >> 8), byte(i >> 16)}, listens: true}
		p.heard = time.Now()
		s.add(p, &tracker.counts)
	}
}

func TestAHundredThousandAreToldMeanwhile(t *testing.T) {
	const size = 99_999
	synctest.Test(t, func(t *testing.T) {
		tracker := &Tracker{}
		defer tracker.Close()
		tracker.init()
		crowd(tracker, signal.InfoHash{7}, size)
		p := connectPipe(t, tracker)
		a := (&client{id: signal.PeerID{2}}).announcement(7, signal.EventStarted, 1, 0)
		a.Releases = true
		p.write(text(a.AppendJSON(nil)))
		p.reply()

		start := time.Now()
		if told := tracker.Publish(Release{Snapshot: [32]byte{1}}, [20]byte{7}); told != size+1 {
			t.Errorf("%d told", told)
		}
		synctest.Wait()
		if told := tracker.Stats().Told; told != cryBatch {
			t.Errorf("%d told so far", told)
		}
		if r := p.reply().Release; r == nil || r.Snapshot != (signal.Snapshot{1}) { // among the first, as it happens
			t.Errorf("got %+v", r)
		}
		a.Event = signal.EventUpdate
		p.write(text(a.AppendJSON(nil)))
		if reply := p.reply(); reply.Announced == nil || time.Since(start) != 0 {
			t.Errorf("got %+v after %v", reply, time.Since(start))
		}
		// Only the last of what waits is told.
		for i := range byte(9) {
			tracker.Publish(Release{Snapshot: [32]byte{2 + i}}, [20]byte{7})
		}
		if r := p.reply().Release; r == nil || r.Snapshot != (signal.Snapshot{10}) {
			t.Errorf("got %+v", r)
		}
		if took := time.Since(start); took < time.Second || took > 2*time.Second {
			t.Errorf("all were told within %v", took)
		}
	})
}

func TestCloseWhileTelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := &Tracker{}
		tracker.init()
		crowd(tracker, signal.InfoHash{7}, 10*cryBatch)
		tracker.Publish(Release{}, [20]byte{7})
		synctest.Wait()
		start := time.Now()
		tracker.Close() // waits
		if tracker.crier.running || time.Since(start) != 0 {
			t.Errorf("still telling after %v", time.Since(start))
		}
	})
}

func TestCriesAreBounded(t *testing.T) {
	var c crier
	for i := range 2 * maxCries {
		c.add(signal.InfoHash{byte(i), byte(i >> 8)}, nil)
	}
	if len(c.order) != maxCries || len(c.frames) != maxCries {
		t.Errorf("%d swarms wait", len(c.order))
	}
}

// A frame goes out whole and once, whatever the tracker has to say besides.
func TestSharedFramesAreWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := &Tracker{}
		defer tracker.Close()
		p := connectPipe(t, tracker)
		a := (&client{id: signal.PeerID{1}}).announcement(7, signal.EventStarted, 1, 0)
		a.Releases = true
		for range 3 {
			p.write(text(a.AppendJSON(nil)))
			synctest.Wait() // the answer waits for a read
			tracker.Publish(Release{Root: bytes.Repeat([]byte(`"`), 1000)}, [20]byte{7})
			synctest.Wait()
		}
		for i := range 6 {
			if reply := p.reply(); (reply.Release != nil) != (i >= 3) {
				t.Errorf("message %d is %s", i, describe(reply))
			}
		}
	})
}
