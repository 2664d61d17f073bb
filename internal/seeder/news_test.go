package seeder

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"io"
	"io/fs"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/swarm"
)

// A shown is a source of a manifest alone; nil while it is gone.
type shown struct {
	document atomic.Pointer[[]byte]
	asked    atomic.Int64
}

func (s *shown) Where(name string) string { return "https://a.example/" + name }

func (s *shown) Open(context.Context, string) (io.ReadCloser, error) {
	s.asked.Add(1)
	document := s.document.Load()
	if document == nil {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(*document)), nil
}

// manifests are those of two releases.
func manifests(t *testing.T) (first, second []byte) {
	host := newHost(t)
	host.publish(map[string]string{"index.html": "one"})
	first = host.packed.Manifest
	host.publish(map[string]string{"index.html": "two"})
	return first, host.packed.Manifest
}

func snapshotOf(t *testing.T, document []byte) merkle.Hash {
	t.Helper()
	root, err := Parse(document, "here")
	if err != nil {
		t.Fatal(err)
	}
	return root.Snapshot
}

// told runs Wait, and gives where its result comes.
func told(t *testing.T, n *News) <-chan merkle.Hash {
	result := make(chan merkle.Hash, 1)
	go func() {
		if snapshot, err := n.Wait(t.Context()); err == nil {
			result <- snapshot
		}
	}()
	return result
}

func TestNewsAreWhatTheSourceShows(t *testing.T) {
	first, second := manifests(t)
	synctest.Test(t, func(t *testing.T) {
		source := &shown{}
		source.document.Store(&first)
		n := NewNews()
		n.Source, n.Known = source, first
		result := told(t, n)
		n.Hear(swarm.Hint{Snapshot: snapshotOf(t, first)})
		synctest.Wait()
		if source.asked.Load() != 0 {
			t.Error("the release at hand is no news")
		}
		// Without a key, what a tracker hands over is a reason to look, and nothing more.
		for range 2 {
			n.Hear(swarm.Hint{Snapshot: merkle.Hash{1}, Root: second})
			synctest.Wait()
		}
		if source.asked.Load() != 1 {
			t.Errorf("looked %d times at once", source.asked.Load())
		}
		source.document.Store(&second)
		began := time.Now()
		if got := <-result; got != snapshotOf(t, second) {
			t.Errorf("got %v", got)
		}
		if rested := time.Since(began); rested < 30*time.Second || source.asked.Load() != 2 {
			t.Errorf("looked %d times, the second after %v", source.asked.Load(), rested)
		}
	})
}

// What peers make up keeps nobody waiting who hears it from a tracker.
func TestNewsOfATrackerGoFirst(t *testing.T) {
	first, second := manifests(t)
	synctest.Test(t, func(t *testing.T) {
		source := &shown{}
		source.document.Store(&first)
		n := NewNews()
		n.Source, n.Known = source, first
		for range 8 {
			n.hints.looked(swarm.Hint{Peer: &stranger}, time.Now(), false)
		}
		result := told(t, n)
		n.Hear(swarm.Hint{Snapshot: merkle.Hash{1}, Peer: &stranger})
		synctest.Wait()
		source.document.Store(&second)
		n.Hear(swarm.Hint{Snapshot: snapshotOf(t, second)})
		began := time.Now()
		if got := <-result; got != snapshotOf(t, second) || time.Since(began) != hintGap {
			t.Errorf("got %v after %v", got, time.Since(began))
		}
	})
}

func TestNewsThatAreSigned(t *testing.T) {
	first, second := manifests(t)
	ours, theirs := testKey(1), testKey(2)
	synctest.Test(t, func(t *testing.T) {
		source := &shown{}
		n := NewNews()
		n.Source, n.Known, n.Key = source, sign(t, first, ours, 5, time.Time{}), public(ours)
		result := told(t, n)
		for _, bad := range []struct {
			key      ed25519.PrivateKey
			sequence int64
		}{{theirs, 6}, {ours, 4}, {ours, 5}} {
			n.Hear(swarm.Hint{Root: sign(t, second, bad.key, bad.sequence, time.Time{})})
			time.Sleep(time.Hour)
			synctest.Wait()
		}
		if len(result) != 0 {
			t.Fatal("believed what is forged, or old")
		}
		asked := source.asked.Load()
		n.Hear(swarm.Hint{Root: sign(t, second, ours, 6, time.Time{})})
		if got := <-result; got != snapshotOf(t, second) || source.asked.Load() != asked {
			t.Errorf("got %v, having asked the source %d times", got, source.asked.Load()-asked)
		}
	})
}
