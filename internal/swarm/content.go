package swarm

import (
	"slices"
	"sort"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/store"
)

// A Torrent is a snapshot's torrent, as the manifest names it.
type Torrent struct {
	// InfoHash is the version 1 info-hash, by which WebRTC peers know the swarm.
	InfoHash [20]byte
	// PieceLength is in bytes.
	PieceLength int64
	Pieces      int
	// Trackers are ws: and wss: URLs. The first few are used.
	Trackers []string
	// ICE are the STUN and TURN servers.
	ICE []manifest.ICEServer
	// WebSeeds are root URLs, each ending in a slash, of hosts that carry the packed site, best first.
	WebSeeds []string
	// Released is called when a tracker or a peer tells that the site has another snapshot, which is a hint and may be a
	// lie ([Node.Bogus]). It must not block. If nil, trackers are not asked to tell.
	Released func(Hint)
}

// A Hint is what a tracker or a peer tells of a release. Nothing of it is verified.
type Hint struct {
	// Snapshot is the new snapshot's id; zero if it is not told.
	Snapshot [32]byte
	// Root is the signed manifest that a tracker has handed over with it, or nil.
	Root []byte
	// Peer is the id of the peer that tells; nil if it is a tracker.
	Peer *[20]byte
	// Others is how many peers of the swarm the tracker counts, who are told, too.
	Others int
}

// A Content is one file of a torrent.
type Content struct {
	store.ID
	// Piece is the index of its first piece.
	Piece int
	// Path and Copy are URLs relative to a web seed's root at which the content is: where the site has it, and under its
	// hash. An empty one is none. A copy is what its hash says, and is better for a part of the content.
	Path, Copy string
	// Layer is the URL of its piece layer, likewise, if it has one.
	Layer string
	// Hashes is the piece layer where it is known already.
	Hashes []merkle.Hash
}

// content is a Content of a swarm, and how much of it is there. Guarded by the swarm's mu.
type content struct {
	Content
	pieces       int
	left         int // pieces that are missing
	wanted       bool
	begun        bool      // its layer is known, and its part open: pieces may be asked for
	asking       bool      // somebody finds out the layer
	layerAt      time.Time // when to find out the layer, at the earliest
	layer        []merkle.Hash
	part         *store.Part
	complete     bool      // the library has it
	seedAt       time.Time // when to ask web seeds for it, at the earliest
	seedFailures int
	seedErr      error // why web seeds did not bring it
	err          error // what it came to otherwise
}

func (c *content) last() int { return c.Piece + c.pieces }

// size is the length of a piece of the torrent that is one of this content's: pads do not count.
func (c *content) size(piece int, pieceLength int64) int64 {
	return min(pieceLength, c.Size-int64(piece-c.Piece)*pieceLength)
}

// layout finds contents by piece. It is sorted.
type layout []*content

func (l layout) at(piece int) *content {
	i := sort.Search(len(l), func(i int) bool { return l[i].Piece > piece }) - 1
	if i < 0 || piece >= l[i].last() {
		return nil
	}
	return l[i]
}

// add puts a content in its place, and tells whether it is new. Two contents share no piece.
func (l *layout) add(c *content) bool {
	i := sort.Search(len(*l), func(i int) bool { return (*l)[i].Piece >= c.Piece })
	if i < len(*l) && (*l)[i].Piece < c.last() || i > 0 && (*l)[i-1].last() > c.Piece {
		return false
	}
	*l = slices.Insert(*l, i, c)
	return true
}
