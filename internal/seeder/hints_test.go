package seeder

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/store"
	"github.com/planktos/planktos/internal/swarm"
	"github.com/planktos/planktos/internal/trackertest"
)

func TestHintsAreFollowedSeldom(t *testing.T) {
	h := newHints()
	now := time.Now()
	if got := h.delay(swarm.Hint{}, now); got != 0 {
		t.Errorf("the first waits %v", got)
	}
	for _, want := range []time.Duration{60, 120, 240, 480, 900, 900} {
		h.looked(swarm.Hint{}, now, false)
		if got := h.delay(swarm.Hint{}, now); got != want*time.Second {
			t.Errorf("the next waits %v, want %v s", got, want)
		}
	}
	h.looked(swarm.Hint{}, now, true)
	if got := h.delay(swarm.Hint{}, now.Add(10*time.Second)); got != 20*time.Second {
		t.Errorf("after a true one the next waits %v", got)
	}
	now = now.Add(time.Hour)
	sum := time.Duration(0)
	for range 1000 {
		got := h.delay(swarm.Hint{Others: 1000}, now)
		if sum += got; got > 10*time.Second {
			t.Fatalf("waits %v", got)
		}
	}
	if mean := sum / 1000; mean < 4*time.Second || mean > 6*time.Second {
		t.Errorf("a swarm of a thousand waits %v, want 5 s", mean)
	}
	if got := h.delay(swarm.Hint{Others: 1 << 30}, now); got > hintMost {
		t.Errorf("waits %v", got)
	}
}

var stranger = [20]byte{1}

// However much peers have made up, a tracker's word waits for as long as it would without them, and goes before theirs.
func TestPeersDoNotKeepTrackersWaiting(t *testing.T) {
	h := newHints()
	now := time.Now()
	lie, truth := swarm.Hint{Snapshot: [32]byte{1}, Peer: &stranger}, swarm.Hint{Snapshot: [32]byte{2}}
	for range 8 {
		h.looked(lie, now, false)
	}
	if lies, truths := h.delay(lie, now), h.delay(truth, now); lies != hintMost || truths != hintGap {
		t.Errorf("what peers say waits %v, what trackers say %v", lies, truths)
	}
	h.follow(lie, now)
	h.follow(truth, now)
	h.follow(lie, now)
	if at := h.dueAt.Sub(now); at != hintGap {
		t.Errorf("the next look is in %v", at)
	}
	if hint := h.take(); hint.Snapshot != truth.Snapshot || h.next != nil {
		t.Errorf("because of %x", hint.Snapshot)
	}
	h.heard(lie)
	h.heard(truth)
	if len(h.trackers) != 1 {
		t.Error("a tracker's word finds no place beside a peer's")
	}
	h.due.Stop()
}

// Peers that are on the snapshot before have nothing to tell, and cost the site no look; one that has made a release up
// is not listened to again.
func TestHintsOfPeers(t *testing.T) {
	h := newHost(t)
	h.publish(map[string]string{"index.html": "one"})
	everything := slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug})
	logged := &news{everything, make(chan string, 1000)}
	f := start(t, h, t.TempDir(), 0, func(f *Follower) { f.Interval, f.Node.Logger = time.Hour, slog.New(logged) })
	first := wait(t, "the first release", f.joined)
	h.publish(map[string]string{"index.html": "two"})
	f.hear(swarm.Hint{Snapshot: [32]byte{2}})
	second := wait(t, "the second release", f.joined)
	h.mu.Lock()
	looks := h.asked[release.ManifestFile]
	h.mu.Unlock()
	for range 3 { // the channel has room for one, so that two have been taken by the end
		f.hints.peers <- swarm.Hint{Snapshot: first.Root.Snapshot, Peer: &stranger}
	}
	f.stop()
	if f.hints.next != nil {
		t.Error("the snapshot before is a reason to look")
	}
	h.mu.Lock()
	if n := h.asked[release.ManifestFile] - looks; n != 0 {
		t.Errorf("looked %d times", n)
	}
	h.mu.Unlock()

	f = start(t, h, t.TempDir(), 0, func(f *Follower) { f.Interval, f.Node.Logger = time.Hour, slog.New(logged) })
	if again := wait(t, "the second release", f.joined); again.Root.Snapshot != second.Root.Snapshot {
		t.Error("another release")
	}
	f.hear(swarm.Hint{Snapshot: [32]byte{3}, Peer: &stranger})
	for line := ""; line != "a peer has told of a release that there is not"; {
		line = wait(t, "the end of the peer's credit", logged.lines)
	}
}

func TestTrackerTellsOfARelease(t *testing.T) {
	url, _ := trackertest.Start(t)
	host := newHost(t)
	host.trackers = []string{url}
	host.publish(map[string]string{"index.html": "one"})
	f := start(t, host, t.TempDir(), 0, func(f *Follower) { f.Interval = time.Hour })
	first := wait(t, "the first release", f.joined)
	host.publish(map[string]string{"index.html": "two"})
	release := swarm.Release{Snapshot: [32]byte{1}, Swarms: [][20]byte{first.Root.Torrent.InfoHash}}
	// It may not have announced yet: then it is told when it does.
	if _, err := swarm.Publish(t.Context(), url, release); err != nil {
		t.Fatal(err)
	}
	second := wait(t, "the release that was told of", f.joined)
	if second.Root.Snapshot == first.Root.Snapshot {
		t.Error("the same release")
	}
}

// A signed release that a tracker hands over needs no word of the site; a forged one is nothing.
func TestTrackerHandsOverARelease(t *testing.T) {
	url, _ := trackertest.Start(t)
	host := newHost(t)
	host.trackers = []string{url}
	host.publish(map[string]string{"index.html": "one"})
	key := testKey(1)
	host.signed(sign(t, host.packed.Manifest, key, 5, time.Time{}), key)
	f := start(t, host, t.TempDir(), 0, func(f *Follower) { f.Interval = time.Hour })
	first := wait(t, "the first release", f.completed)

	files := map[string]string{"index.html": "two"}
	host.publish(files)
	second := sign(t, host.packed.Manifest, key, 6, time.Time{})
	host.breaks(func(name string) []byte {
		if name == release.ManifestFile {
			return []byte{} // gone
		}
		return nil
	})
	for _, root := range [][]byte{sign(t, host.packed.Manifest, testKey(2), 9, time.Time{}), second} {
		told := swarm.Release{Root: root, Swarms: [][20]byte{first.Root.Torrent.InfoHash}}
		if _, err := swarm.Publish(t.Context(), url, told); err != nil {
			t.Fatal(err)
		}
	}
	f.holds(wait(t, "the second release", f.completed), files)
}

// A site that begins to sign, while the seeder hears of it from a visitor alone: there is no key yet to judge by.
func TestPeerTellsOfTheFirstSignedRelease(t *testing.T) {
	url, _ := trackertest.Start(t)
	h := newHost(t)
	h.trackers = []string{url}
	h.publish(map[string]string{"index.html": "one"})
	f := start(t, h, t.TempDir(), 0, func(f *Follower) { f.Interval = time.Hour })
	first := wait(t, "the first release", f.completed)

	h.publish(map[string]string{"index.html": "two"})
	second := sign(t, h.packed.Manifest, testKey(1), 6, time.Time{})
	h.signed(second, testKey(1))
	contents, err := store.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer contents.Close()
	visitor := &swarm.Node{Library: contents}
	defer visitor.Close()
	if err := visitor.Tell(swarm.Newest{Snapshot: snapshotOf(t, second), Sequence: 6, Root: second}); err != nil {
		t.Fatal(err)
	}
	torrent := first.Root.Torrent
	joined, err := visitor.Join(swarm.Torrent{
		InfoHash: torrent.InfoHash, PieceLength: torrent.PieceLength, Pieces: torrent.Pieces, Trackers: h.trackers,
	})
	if err == nil {
		err = joined.Add(first.All()...)
	}
	if err != nil {
		t.Fatal(err)
	}
	joined.Want(first.All()...) // who lacks nothing meets nobody
	wait(t, "the first release, joined", f.joined)
	if got := wait(t, "the second release", f.joined); got.Root.Snapshot != snapshotOf(t, second) {
		t.Errorf("another release: %v", got.Root.Snapshot)
	}
}
