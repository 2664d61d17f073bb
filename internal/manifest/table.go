package manifest

import (
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"sort"

	"github.com/planktos/planktos/internal/merkle"
)

const (
	// InlineFiles is the size of the largest table, in rows, that a packer puts into the manifest itself.
	InlineFiles = 128
	// A larger table is cut into shards of minShard to maxShard rows, the last one excepted.
	minShard = 64
	maxShard = 128
)

// SnapshotID is the SHA-256 over, for each file in order of path, its hash in hex, a space, its size, a space, its path
// and a NUL.
func SnapshotID(files []File) merkle.Hash {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%x %d %s\x00", f.Hash[:], f.Size, f.Path)
	}
	return merkle.Hash(h.Sum(nil))
}

// Lookup finds a path's row in a table sorted by path.
func Lookup(files []File, path string) (File, bool) {
	i := sort.Search(len(files), func(i int) bool { return files[i].Path >= path })
	if i == len(files) || files[i].Path != path {
		return File{}, false
	}
	return files[i], true
}

// ShardFor finds the shard that holds a path, if the site has it. It is false where the table is not sharded.
func ShardFor(shards []Shard, path string) (Shard, bool) {
	i := sort.Search(len(shards), func(i int) bool { return shards[i].From > path })
	if i == 0 {
		return Shard{}, false
	}
	return shards[i-1], true
}

// Cut divides a sorted table into shards of about a hundred rows, in order. Of the places where a shard may end it takes
// the one between the largest directories, so that a page and its neighbours share a shard; among equals, one chosen by
// the path alone, so that a file added or removed changes the shards around it and not all that follow.
func Cut(files []File) [][]File {
	var shards [][]File
	for len(files) > maxShard {
		best := minShard
		for i := minShard + 1; i <= maxShard; i++ {
			if compareCuts(files, i, best) < 0 {
				best = i
			}
		}
		shards = append(shards, files[:best:best])
		files = files[best:]
	}
	if len(files) > 0 {
		shards = append(shards, files)
	}
	return shards
}

// compareCuts is negative if a cut before files[i] is better than one before files[j].
func compareCuts(files []File, i, j int) int {
	if d := sharedDirectories(files[i-1].Path, files[i].Path) - sharedDirectories(files[j-1].Path, files[j].Path); d != 0 {
		return d
	}
	if pathNumber(files[i].Path) < pathNumber(files[j].Path) {
		return -1
	}
	return 1
}

// sharedDirectories counts the directories that two paths have in common.
func sharedDirectories(a, b string) int {
	shared := 0
	for i := 0; i < len(a) && i < len(b) && a[i] == b[i]; i++ {
		if a[i] == '/' {
			shared++
		}
	}
	return shared
}

func pathNumber(path string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(path))
	return h.Sum64()
}
