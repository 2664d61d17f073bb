package seeder

import (
	"errors"
	"fmt"
	"testing"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/swarm"
)

// Who serves a site to visitors of its own follows it to a release that nobody is to share, too: the swarms are left at
// once, and the release comes from the site alone.
func TestUnshared(t *testing.T) {
	h := newHost(t)
	first := map[string]string{"index.html": "one", "late.txt": "not there yet"}
	h.publish(first)
	h.breaks(func(name string) []byte {
		if name == release.ManifestFile {
			return nil
		}
		return []byte{}
	})
	dir := t.TempDir()
	unshared := func(f *Follower) { f.Unshared = true }
	f := start(t, h, dir, 0, unshared)
	shared := wait(t, "the first release", f.joined)
	late, _ := manifest.Lookup(shared.Files, "late.txt")
	c, _ := shared.Content(late)

	second := map[string]string{} // whose table is not in the manifest, and cannot be had yet
	for i := range 200 {
		second[fmt.Sprintf("%d/%d.txt", i%20, i)] = fmt.Sprint(i)
	}
	h.policy.Mode = "off"
	h.publish(second)
	if err := shared.Swarm.Wait(t.Context(), c); !errors.Is(err, swarm.ErrClosed) {
		t.Fatalf("the first release: %v", err)
	}
	h.breaks(nil)
	s := wait(t, "the second release", f.completed)
	f.holds(s, second)
	if s.Root.Policy.Mode != "off" || len(s.Root.Shards) < 2 {
		t.Errorf("mode %s, %d shards", s.Root.Policy.Mode, len(s.Root.Shards))
	}
	f.stop()

	f = start(t, h, dir, 0, unshared)
	f.holds(wait(t, "the second release, again", f.completed), second)
	h.policy.Mode = "auto"
	h.publish(first)
	f.holds(wait(t, "a release that is shared", f.completed), first)
}
