package tracker

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/planktos/planktos/internal/signal"
)

// Of releases that come over sockets, so that nobody makes a swarm look for one again and again.
const (
	// A connection may publish releaseBurst, and one more every releaseRefill.
	releaseBurst  = 5
	releaseRefill = 10 * time.Second
	// A swarm is told of swarmBurst, and one more every swarmRefill, whoever they come from.
	swarmBurst  = 4
	swarmRefill = 5 * time.Second
)

// A Release is a site's new snapshot, as those who are on an older one are told of it (docs/tracker.md, "Releases").
type Release struct {
	// Snapshot is the new snapshot's id. If zero, it is not told.
	Snapshot [32]byte
	// Root is the site's signed manifest, byte for byte: who knows the site's key need not ask its host. If nil, or
	// longer than about 96 KiB, peers are told to look for themselves.
	Root []byte
}

// Publish tells the members of swarms, those of the site's earlier snapshots, of a release, as far as they understand
// it, and for ten minutes who joins them. It returns how many members there are to be told, and does not wait for them:
// they are told in the background, some 60,000 a second. It is not limited as a release is that comes over a socket.
func (t *Tracker) Publish(release Release, infoHashes ...[20]byte) (told int) {
	t.init()
	message := signal.Release{Snapshot: release.Snapshot}
	if release.Root != nil {
		message.Root = signal.EncodeRoot(release.Root)
	}
	for _, h := range infoHashes {
		told += t.tell(h, &message)
	}
	t.counts.releases.Add(1)
	return told
}

// release passes on what a client publishes. It need not be a member: who knows a swarm's name could be one.
func (t *Tracker) release(c *conn, r *signal.Release) error {
	now := time.Now()
	if c.releases.take(now, 1/releaseRefill.Seconds(), releaseBurst, 1) > 0 {
		return refuseRelease("too many releases; wait a minute")
	}
	served, passed := 0, 0
	var told int64
	for _, h := range r.InfoHashes {
		if t.Filter != nil && !t.Filter(h) {
			continue
		}
		served++
		if !t.board.admits(h, now) {
			continue
		}
		passed++
		told += int64(t.tell(h, r))
	}
	switch {
	case served == 0:
		return refuseRelease("this tracker does not serve that info_hash")
	case passed == 0:
		return refuseRelease("too many releases of that info_hash; wait a minute")
	}
	t.counts.releases.Add(1)
	c.reply((&signal.Told{Peers: told}).AppendJSON)
	return nil
}

func refuseRelease(reason string) error {
	return &signal.Failure{Action: signal.ActionRelease, Reason: reason}
}

// tell keeps a release for those who join a swarm later, begins to pass it on to its members, and returns how many.
func (t *Tracker) tell(h signal.InfoHash, r *signal.Release) int {
	one := signal.Release{InfoHashes: []signal.InfoHash{h}, Snapshot: r.Snapshot, Root: r.Root}
	frame := appendFrame(nil, ws.OpText, one.AppendJSON(nil))
	t.board.pin(h, frame, time.Now())
	sh := t.swarms.shard(h)
	sh.mu.Lock()
	listeners := 0
	if s := sh.swarms[h]; s != nil {
		listeners = s.listeners
	}
	sh.mu.Unlock()
	if listeners > 0 {
		t.cry(h, frame)
	}
	return listeners
}

// members returns a swarm's members as they are now. It holds the lock no longer than a copy of the list takes, which
// for 100,000 peers is a tenth of a millisecond.
func (t *Tracker) members(h signal.InfoHash) []*peer {
	sh := t.swarms.shard(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s := sh.swarms[h]; s != nil {
		return append([]*peer(nil), s.peers...)
	}
	return nil
}
