package release

import (
	"cmp"
	"slices"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
)

// Kind is what happened to a path between two releases.
type Kind string

// The kinds of changes. A file that is Moved has the content of one that is gone.
const (
	Added   Kind = "added"
	Changed Kind = "changed"
	Moved   Kind = "moved"
	Removed Kind = "removed"
)

// A Change is what happened to a path.
type Change struct {
	Kind Kind
	Path string
	// From is the path that a file has been Moved from.
	From string
	// OldSize and Size are in bytes; 0 where there is no such file.
	OldSize, Size int64
	// Fetch is what a visitor that has all of the old release fetches for it: 0 if that has the content somewhere. A
	// content that several paths have counts for the first.
	Fetch int64
}

// A Comparison says what changes between two releases.
type Comparison struct {
	// Changes are sorted by path.
	Changes []Change
	// Unchanged is the number of files that are the same at the same path.
	Unchanged int
	// Contents is the number of distinct contents to be fetched, and Bytes their size together.
	Contents int
	Bytes    int64
	// TotalBytes is the size of the new release's distinct contents.
	TotalBytes int64
	// Shards is the number of the new release's tables that the old one does not have; TableBytes is their size and, if
	// it is another, the manifest's.
	Shards     int
	TableBytes int64
}

// identity is what makes two contents the same.
type identity struct {
	hash merkle.Hash
	size int64
}

func identityOf(f manifest.File) identity { return identity{f.Hash, f.Size} }

// Compare says what changes from old to new, and what of it a visitor who has all of old fetches.
func Compare(old, new *Release) *Comparison {
	c := new.compareTables(old)
	before := make(map[string]manifest.File, len(old.Files))
	held := make(map[identity]bool, len(old.Files)) // by the visitor
	for _, f := range old.Files {
		before[f.Path] = f
		held[identityOf(f)] = true
	}
	after := make(map[string]bool, len(new.Files))
	total := map[identity]bool{}
	for _, f := range new.Files {
		after[f.Path] = true
		if id := identityOf(f); !total[id] {
			total[id] = true
			c.TotalBytes += f.Size
		}
	}
	gone := map[identity][]string{} // paths, in order
	for _, f := range old.Files {
		if !after[f.Path] {
			gone[identityOf(f)] = append(gone[identityOf(f)], f.Path)
		}
	}
	moved := map[string]bool{} // away from
	for _, f := range new.Files {
		id := identityOf(f)
		was, there := before[f.Path]
		change := Change{Kind: Added, Path: f.Path, OldSize: was.Size, Size: f.Size}
		switch {
		case there && identityOf(was) == id:
			c.Unchanged++
			continue
		case there:
			change.Kind = Changed
		case f.Size > 0 && len(gone[id]) > 0: // of empty files it cannot be told
			change.Kind, change.From, change.OldSize = Moved, gone[id][0], f.Size
			moved[change.From] = true
			gone[id] = gone[id][1:]
		}
		if f.Size > 0 && !held[id] {
			held[id] = true
			change.Fetch = f.Size
			c.Contents++
			c.Bytes += f.Size
		}
		c.Changes = append(c.Changes, change)
	}
	for _, f := range old.Files {
		if !after[f.Path] && !moved[f.Path] {
			c.Changes = append(c.Changes, Change{Kind: Removed, Path: f.Path, OldSize: f.Size})
		}
	}
	slices.SortFunc(c.Changes, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return c
}

// compareTables begins a comparison with what says which files there are.
func (r *Release) compareTables(old *Release) *Comparison {
	c := new(Comparison)
	if string(r.Manifest) != string(old.Manifest) {
		c.TableBytes = int64(len(r.Manifest))
	}
	known := map[merkle.Hash]bool{}
	for _, shard := range old.Root.Shards {
		known[shard.Hash] = true
	}
	for _, shard := range r.Root.Shards {
		if !known[shard.Hash] {
			c.Shards++
			c.TableBytes += shard.Size
		}
	}
	return c
}
