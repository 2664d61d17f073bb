package seeder

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/snapshot"
)

// A network of servers some of which have the new release yet, and answers by one or another: whatever is shown, nothing
// is mixed, what is the same in both is not fetched anew, and all of the new release is here once all have it.
func TestFollowHostOfTwoMinds(t *testing.T) {
	h := newHost(t)
	first := map[string]string{"index.html": "one", "same.txt": "same", "c.txt": "first"}
	second := map[string]string{"index.html": "two", "same.txt": "same", "c.txt": "second", "d.txt": "new"}
	h.publish(first)
	old := h.packed
	f := start(t, h, t.TempDir(), 0)
	s := wait(t, "the first release", f.completed)
	same, _ := manifest.Lookup(s.Files, "same.txt")

	h.publish(second)
	minds := []*snapshot.Snapshot{old, h.packed}
	h.breaks(func(name string) []byte {
		entry, err := minds[rand.IntN(len(minds))].Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return []byte{}
		} else if err != nil {
			return nil
		}
		defer entry.Close()
		data, err := io.ReadAll(entry.Body)
		if err != nil {
			t.Error(err)
		}
		return data
	})
	for range 8 {
		joined := wait(t, "one of both to be joined", f.joined)
		if got := joined.Root.Snapshot; got != minds[0].Root.Snapshot && got != minds[1].Root.Snapshot {
			t.Fatalf("joined %v", got)
		}
	}
	h.breaks(nil)
	for s = wait(t, "the second release", f.completed); s.Root.Snapshot != minds[1].Root.Snapshot; {
		s = wait(t, "the second release", f.completed)
	}
	f.holds(s, second)
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.asked["same.txt"] + h.asked[release.ContentFile(same.Hash)]; n != 1 {
		t.Errorf("an unchanged file was fetched %d times", n)
	}
}
