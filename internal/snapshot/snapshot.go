// Package snapshot packs a site: it walks a folder, hashes what it finds, and makes of it the manifest, the shards and
// the torrent of docs/manifest.md. A [Snapshot] holds what a site consists of, never its content:
//
//	s, err := snapshot.Build(ctx, root.FS(), &snapshot.Options{Runtime: scripts})
//	entry, err := s.Open("docs/index.html")        // to serve it, see Snapshot.Open
//	_, err = snapshot.Publish(ctx, s, dir, nil)    // or to write planktos/ into the folder
//
// The same tree and options give the same bytes, whatever the machine, the order of its directories or the time.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/torrent"
)

// Names of what Planktos adds to a site, relative to its root.
const (
	Folder       = "planktos"
	WorkerFile   = "planktos.sw.min.js"
	ManifestFile = "planktos/manifest.json"
	TorrentFile  = "planktos/root.torrent"
	InstallFile  = "planktos/install.js"
	EngineFile   = "planktos/engine.min.js"
	ConfigFile   = "planktos.json"
	IgnoreFile   = ".planktosignore"
)

// ErrChanged reports that a file is not what it was when it was packed. Errors that wrap it name the file.
var ErrChanged = errors.New("the file has changed since packing began")

// Runtime is the scripts of one version of Planktos.
type Runtime struct {
	Worker, Install, Engine []byte
}

// Options say what [Build] packs and how.
type Options struct {
	// Paths are files and folders relative to the root. If empty, the whole root.
	Paths []string
	// Exclude are globs (** crosses folders, {a,b} are alternatives); one without a slash matches names in any folder.
	Exclude []string
	// Base is the path of the site's root URL, beginning and ending with a slash. If empty, "/".
	Base string
	// InPlace makes torrent and manifest name the site's own files, without copies named by hash.
	InPlace bool
	// Tag gives HTML that lacks the script tag one, in what [Snapshot.Open] gives. No file is changed.
	Tag bool
	// Policy is the manifest's. If zero, mode auto and prefer speed.
	Policy manifest.Policy
	// Trackers, ICE, WebSeeds and Headers are the manifest's.
	Trackers []string
	ICE      []manifest.ICEServer
	WebSeeds []string
	Headers  []manifest.HeaderRule
	Runtime  Runtime
	// Progress is called after each file, by one goroutine at a time. If nil, it is not.
	Progress func(Progress)

	all bool // .planktosignore is not heeded, and what cannot be looked at is left out rather than an error
}

// Progress is how far hashing is.
type Progress struct {
	Files, TotalFiles int
	Bytes, TotalBytes int64
}

// File is a file of the site.
type File struct {
	Path string
	// Hash and Size are those of what is served: the script tag is part of it, if it was added.
	Hash    merkle.Hash
	Size    int64
	ModTime time.Time
	// Tagged tells whether the script tag was added to what the file holds.
	Tagged bool

	source source
	tagAt  int
}

// LeftOut is something found that is no part of the snapshot, or not as it might have been expected.
type LeftOut struct {
	Path, Reason string
}

// Snapshot is a packed site. It may be used by several goroutines at once.
type Snapshot struct {
	// Root is the manifest, and Manifest the same encoded.
	Root     *manifest.Root
	Manifest []byte
	// Torrent is root.torrent.
	Torrent []byte
	// Shards are the documents of a sharded site, in the order of Root.Shards.
	Shards [][]byte
	// Files are sorted by path.
	Files []File
	// LeftOut is what was not packed, sorted by path.
	LeftOut []LeftOut

	fsys     fs.FS
	tag      []byte // what is added to HTML, if Options.Tag
	runtime  Runtime
	spec     torrent.Spec
	contents map[merkle.Hash]*content
	assets   map[string]asset
}

// content is a distinct byte string of the site.
type content struct {
	hashes torrent.FileHashes
	files  []int // indices into Snapshot.Files
}

// ID is the snapshot's id, 64 hex digits.
func (s *Snapshot) ID() string { return s.Root.Snapshot.String() }

// Build packs the site in fsys. Symbolic links are followed as far as fsys follows them: of a folder, give the FS of an
// [os.Root], which keeps them inside. The snapshot reads from fsys as long as it is used. o may be nil.
func Build(ctx context.Context, fsys fs.FS, o *Options) (*Snapshot, error) {
	if o == nil {
		o = &Options{}
	}
	base, err := cleanBase(o.Base)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{fsys: fsys, runtime: o.Runtime}
	if o.Tag {
		s.tag = tag(base)
	}
	sources, left, err := walk(ctx, fsys, o)
	if err != nil {
		return nil, err
	}
	s.LeftOut = append(left, foreignFiles(fsys, left)...)

	sizes := []int64{int64(len(o.Runtime.Engine))}
	for _, source := range sources {
		sizes = append(sizes, source.size)
	}
	pieceLength := torrent.ChoosePieceLength(sizes)
	hashes, err := s.hash(ctx, sources, pieceLength, o.Progress)
	if err != nil {
		return nil, err
	}
	if o.Tag {
		for _, source := range sources {
			if isHTML(source.path) && source.size > maxHTML {
				s.LeftOut = append(s.LeftOut, LeftOut{source.path, "is too large to get the script tag"})
			}
		}
	}
	slices.SortFunc(s.LeftOut, func(a, b LeftOut) int { return strings.Compare(a.Path, b.Path) })
	if err := s.assemble(o, base, pieceLength, hashes); err != nil {
		return nil, err
	}
	return s, nil
}

// A base is what URLs may hold as they stand, in an HTML attribute too.
var basePath = regexp.MustCompile(`^/([\w.~!$()*+,;=:@%-]+/)*$`)

func cleanBase(base string) (string, error) {
	if base == "" {
		return "/", nil
	}
	for segment := range strings.SplitSeq(base, "/") {
		if segment == "." || segment == ".." {
			return "", fmt.Errorf("base %q: has a segment %q", base, segment)
		}
	}
	if _, err := url.PathUnescape(base); err != nil || !basePath.MatchString(base) {
		return "", fmt.Errorf("base %q: a URL path is needed that begins and ends with a slash", base)
	}
	return base, nil
}

// torrentName is the folder in which ordinary clients lay the files down, and part of the URLs they ask web seeds for.
func torrentName(base string, inPlace bool) string {
	switch {
	case !inPlace:
		return Folder
	case base == "/":
		return "site"
	}
	name, ok := manifest.RequestPath(path.Base(base))
	if !ok {
		return "site"
	}
	return name
}
