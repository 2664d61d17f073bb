// Package manifest is the document that says what a site consists of: identity, policy, trackers, and the table of
// path, hash and size that is the root of trust. docs/manifest.md specifies it, docs/manifest.schema.json is the same as
// a schema, browser/src/shared/manifest.ts the same in TypeScript, and testdata/vectors/manifest.json holds both
// implementations to one behaviour.
//
// A packer fills a [Root] and encodes it; a reader parses it, finds a path's row with [Lookup] in Files, or fetches the
// shard that [ShardFor] names and parses that:
//
//	root, err := manifest.Parse(document)
//	row, ok := manifest.Lookup(root.Files, "docs/index.html")
package manifest

import (
	"strings"

	"github.com/planktos/planktos/internal/merkle"
)

const (
	// Format is the number of the format this package reads and writes.
	Format = 1
	// MaxBytes is the size of the largest manifest or shard that a reader takes.
	MaxBytes = 4 << 20
	// MaxSize is the largest size of a content in bytes: the largest integer that JavaScript counts exactly.
	MaxSize = 1<<53 - 1
	// MaxPieces is the most pieces a torrent may have: it bounds what a reader allocates for one.
	MaxPieces = 1 << 24
	// MinPieceLength and MaxPieceLength bound a torrent's piece length, a power of two, in bytes.
	MinPieceLength = 16 << 10
	MaxPieceLength = 16 << 20
	// DefaultPrefetch is [Policy.Prefetch] of a manifest that does not say.
	DefaultPrefetch = 2_000_000
)

// Root is planktos/manifest.json. Exactly one of Files and Shards is the site's table: Shards if it is not empty.
type Root struct {
	// Snapshot is the snapshot's id, see [SnapshotID].
	Snapshot merkle.Hash
	Policy   Policy
	// Trackers are wss: or ws: URLs, or paths on the site's host, in order of preference.
	Trackers []string
	ICE      []ICEServer
	// WebSeeds are root URLs, each ending in a slash, of other hosts that carry the same packed site.
	WebSeeds []string
	Torrent  Torrent
	// Copies tells whether planktos/<hash> exists for every content.
	Copies bool
	// Types give the files' Content-Types.
	Types []MediaType
	// Headers are rules for response headers; later ones override earlier ones.
	Headers []HeaderRule
	// Files is sorted by the bytes of Path.
	Files []File
	// Shards is sorted by From; the first row's From is empty.
	Shards []Shard
}

// Policy is what the site's owner wishes of visitors' browsers.
type Policy struct {
	// Mode is "auto" (visitors share at once), "ask" (after consent) or "off" (nobody shares).
	Mode string `json:"mode"`
	// Prefer is "speed" or "offload": what to do when a peer may be slower than the origin.
	Prefer string `json:"prefer"`
	// Prefetch is how many bytes a page may prefetch from other visitors; 0 for none.
	Prefetch int64 `json:"prefetch"`
}

// ICEServer is an RTCIceServer dictionary.
type ICEServer struct {
	// URLs has at least one stun:, stuns:, turn: or turns: URL.
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// Torrent names the snapshot's torrent, of which every content begins on a piece.
type Torrent struct {
	// InfoHash is the SHA-1 of the info dictionary (BEP 3), InfoHashV2 its SHA-256 (BEP 52).
	InfoHash   [20]byte
	InfoHashV2 [32]byte
	// PieceLength is in bytes, a power of two.
	PieceLength int64
	Pieces      int
}

// MediaType gives the Content-Type of the files whose name has an extension: what follows its last dot, in lower case.
// A file without a type is application/octet-stream.
type MediaType struct{ Extension, Type string }

// HeaderRule gives response headers to the paths that match Pattern: a path, or a prefix followed by '*'.
type HeaderRule struct {
	Pattern string
	Headers map[string]string
}

// Matches tells whether the rule holds for a path.
func (r HeaderRule) Matches(path string) bool {
	prefix, star := strings.CutSuffix(r.Pattern, "*")
	return path == r.Pattern || star && strings.HasPrefix(path, prefix)
}

// File is a row of the file table.
type File struct {
	Path string
	// Hash is the content's pieces root (BEP 52), and Size its length in bytes: together, its identity.
	Hash merkle.Hash
	Size int64
	// Piece is the index of the torrent's first piece of this content; 0 if Size is 0.
	Piece int
	// Loads are, of a page, the indices within the same table of the files it loads, in document order.
	Loads []int
}

// Shard is a row of the list of shards. It covers the paths from From up to the next row's From.
type Shard struct {
	From string
	// Hash, Size and Piece are those of the shard's document, see [EncodeShard].
	Hash  merkle.Hash
	Size  int64
	Piece int
}
