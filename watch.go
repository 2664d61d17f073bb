package planktos

import (
	"context"
	"slices"
	"time"

	"github.com/planktos/planktos/internal/snapshot"
	"github.com/planktos/planktos/tracker"
)

// watchInterval is how often Watch looks at the files of a Handler that does not say.
const watchInterval = time.Second

// Watch looks for changed files until ctx ends, while visitors are connected to the Handler's tracker, packs them once
// they have been the same for CheckInterval, and has the visitors' pages told. Without it a release is noticed when
// somebody asks for a page or the manifest. It does nothing if CheckInterval is negative.
func (h *Handler) Watch(ctx context.Context) {
	h.setUp()
	interval := h.CheckInterval
	if interval == 0 {
		interval = watchInterval
	}
	if interval < 0 || h.setUpErr != nil {
		return
	}
	timer := time.NewTimer(interval)
	defer timer.Stop()
	var last snapshot.Print
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		if g := h.current.Load(); g != nil && h.tracker.Stats().Conns > 0 {
			last = h.lookAgain(ctx, last)
		}
		// Looking at the tree may take no more than a tenth of the time.
		timer.Reset(max(interval, 10*time.Since(began)))
	}
}

// lookAgain packs the tree if it is not as it was packed, but as it was when it was last looked at: a release that is
// still being copied is given time. It returns what the tree is now.
func (h *Handler) lookAgain(ctx context.Context, last snapshot.Print) snapshot.Print {
	h.packing.Lock()
	defer h.packing.Unlock()
	print, err := h.fingerprint(ctx)
	if err != nil {
		h.log.Debug("site cannot be read", "error", err)
		return last
	}
	if g := h.current.Load(); print != g.print && print == last {
		h.check(ctx, g)
	}
	return print
}

// tell has the tracker tell those who are on superseded snapshots of a new one, and hand over its manifest if that is
// signed. What is handed over names no STUN server of this host, which each visitor knows by a name of its own, and which
// ends with this host: their next page has that from the manifest that it asks for.
func (h *Handler) tell(g *generation) {
	var swarms [][20]byte
	for _, site := range g.older {
		// Snapshots that differ by names alone have one torrent.
		if infoHash := site.packed.Root.Torrent.InfoHash; !slices.Contains(swarms, infoHash) {
			swarms = append(swarms, infoHash)
		}
	}
	var release tracker.Release
	if !g.disabled {
		release.Snapshot = g.site.packed.Root.Snapshot
	}
	if h.Key != nil {
		release.Root = g.site.packed.Signed()
	}
	h.tracker.Publish(release, swarms...)
}
