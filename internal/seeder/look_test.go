package seeder

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/swarm"
)

// A silent source is a host that accepts requests and says nothing, until it is told what to answer.
type silent struct {
	*host
	says  func(name string) bool // what it answers as ever
	asked chan string
	next  chan []byte
}

func newSilent(h *host, says func(name string) bool) *silent {
	return &silent{h, says, make(chan string, 100), make(chan []byte)}
}

func (s *silent) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if s.says(name) {
		return s.host.Open(ctx, name)
	}
	s.asked <- name
	select {
	case data := <-s.next:
		return io.NopCloser(bytes.NewReader(data)), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A host that says nothing does not keep a seeder waiting that has all of the site.
func TestSilentHostAtTheStart(t *testing.T) {
	h := newHost(t)
	files := map[string]string{"index.html": "one"}
	h.publish(files)
	dir := t.TempDir()
	f := start(t, h, dir, 0)
	all := len(wait(t, "the release", f.completed).All())
	f.stop()

	s := newSilent(h, func(string) bool { return false })
	f = start(t, h, dir, 0, func(f *Follower) { f.Source, f.Patience, f.Interval = s, 50*time.Millisecond, time.Hour })
	f.warned("cannot be joined as it is")
	again := wait(t, "the release, without the host", f.completed)
	f.holds(again, files)
	if len(again.All()) != all {
		t.Errorf("%d contents, and then %d", all, len(again.All()))
	}
	if name := <-s.asked; name != release.ManifestFile || len(s.asked) > 0 {
		t.Errorf("asked for %s and %d more", name, len(s.asked))
	}
}

// Who told of a release that is handed over before the look for it has an answer has told the truth, though the host
// lags behind.
func TestHintThatComesTrueWhileALookHangs(t *testing.T) {
	h, key, first := newSignedHost(t)
	s := newSilent(h, func(name string) bool { return name != release.ManifestFile })
	everything := slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug})
	logged := &news{everything, make(chan string, 1000)}
	f := start(t, h, t.TempDir(), 0, func(f *Follower) {
		f.Source, f.Interval, f.Node.Logger = s, time.Hour, slog.New(logged)
	})
	wait(t, "the first look", s.asked)
	s.next <- first
	wait(t, "the first release", f.completed)
	h.publish(map[string]string{"index.html": "two"})
	second := sign(t, h.packed.Manifest, key, 6, time.Time{})
	f.hear(swarm.Hint{Snapshot: snapshotOf(t, second), Peer: &stranger})
	wait(t, "the look", s.asked)
	if _, err := f.judge(second); err != nil {
		t.Fatal(err)
	}
	wait(t, "the second release", f.completed)
	s.next <- first
	for range 2 { // there is room for one, and none is taken before the look has come to its end
		f.hints.trackers <- swarm.Hint{Snapshot: snapshotOf(t, second)}
	}
	f.stop()
	for len(logged.lines) > 0 {
		if line := <-logged.lines; line == "a peer has told of a release that there is not" {
			t.Error(line)
		}
	}
}

// A release that is handed over is taken up while a look at the site hangs, and what the look shows in the end, which is
// what was known when it began, does not undo it.
func TestHandedOverWhileALookHangs(t *testing.T) {
	h, key, first := newSignedHost(t)
	dir := t.TempDir()
	f := start(t, h, dir, 0)
	wait(t, "the first release", f.completed)
	f.stop()

	s := newSilent(h, func(name string) bool { return name != release.ManifestFile })
	f = start(t, h, dir, 0, func(f *Follower) { f.Source, f.Patience = s, time.Hour })
	wait(t, "the first look", s.asked)
	s.next <- first
	wait(t, "the first release, again", f.completed)
	wait(t, "the look that hangs", s.asked)
	files := map[string]string{"index.html": "two"}
	h.publish(files)
	if _, err := f.judge(sign(t, h.packed.Manifest, key, 6, time.Time{})); err != nil {
		t.Fatal(err)
	}
	second := wait(t, "the second release", f.completed)
	f.holds(second, files)
	s.next <- first
	wait(t, "the next look", s.asked)
	if n := len(f.joined); n != 2 {
		t.Errorf("joined %d times, not for the two releases alone", n)
	}
}
