package seeder

import (
	"maps"
	"math/rand/v2"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/store"
	"github.com/planktos/planktos/internal/swarm"
)

// limited tells whether what is kept may be less than all.
func (f *Follower) limited() bool { return f.Limit > 0 && f.Store != nil }

// makeRoom has the store within its limit once it holds a release's file table, too: that comes before it is known what
// of the contents is still of use, and a former run may have had a higher limit.
func (f *Follower) makeRoom(next *manifest.Root) {
	if !f.limited() {
		return
	}
	table := map[store.ID]bool{}
	size, room := addTable(table, next), f.Limit
	for id := range table {
		if !f.Store.Holds(id, next.Torrent.PieceLength) {
			room -= id.Size
		}
	}
	// That of the release that is kept stays if it can: if the new one is not all there yet, the next run goes on with it.
	keep := table
	if document, err := f.Kept(); err == nil {
		both := maps.Clone(table)
		if root, err := manifest.Parse(document); err == nil && size+addTable(both, root) <= f.Limit {
			keep = both
		}
	}
	if err := f.Store.Shrink(room, func(id store.ID) bool { return keep[id] }); err != nil {
		f.log.Warn("contents beyond the limit cannot be removed", "error", err)
	}
}

// addTable adds a release's shards to a set, and gives the bytes of those that are new in it.
func addTable(set map[store.ID]bool, root *manifest.Root) (added int64) {
	for _, shard := range root.Shards {
		if id := (store.ID{Hash: shard.Hash, Size: shard.Size}); !set[id] {
			set[id] = true
			added += id.Size
		}
	}
	return added
}

// wanted is what of a snapshot is to be had: all of it, or what fits. What is there already, if only in part, comes first,
// and the rest is chosen by chance, so that several who have little room hold different things.
func (f *Follower) wanted(s *Snapshot) []swarm.Content {
	all := s.All()
	if !f.limited() {
		return all
	}
	var held, others, wanted []swarm.Content
	for _, c := range all {
		if f.Store.Holds(c.ID, s.Root.Torrent.PieceLength) {
			held = append(held, c)
		} else {
			others = append(others, c)
		}
	}
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	left := f.Limit
	for _, c := range append(held, others...) {
		if c.Size <= left {
			wanted = append(wanted, c)
			left -= c.Size
		}
	}
	return wanted
}

// sweep removes what is of no more use: what neither of the snapshots names, or, where every byte counts, what is not
// wanted.
func (f *Follower) sweep(wanted []swarm.Content) {
	if f.Store == nil {
		return
	}
	keep := map[store.ID]bool{}
	for _, c := range wanted {
		keep[c.ID] = true
	}
	if f.previous != nil {
		for _, c := range f.previous.All() {
			keep[c.ID] = true
		}
	}
	if err := f.Store.Sweep(func(id store.ID) bool { return keep[id] }); err != nil {
		f.log.Warn("superseded contents cannot be removed", "error", err)
	}
}
