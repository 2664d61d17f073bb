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
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/torrent"
)

// Names of what Planktos adds to a site, relative to its root.
const (
	Folder       = "planktos"
	WorkerFile   = release.WorkerFile
	ManifestFile = release.ManifestFile
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
	// First is the first-visit snippet, an inline script.
	First []byte
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
	// Tag gives HTML that lacks the script tag one, and FirstVisit gives it the snippet by which the first visit, too, is
	// served by peers. What [Snapshot.Open] gives has them at once, and files by [Publish]. Without FirstVisit, the
	// snippets of earlier packs go.
	Tag, FirstVisit bool
	// Publishing tells that pages will be changed where they lie: those that are reached by a link to what is not packed
	// cannot be, and stay as they are.
	Publishing bool
	// Policy is the manifest's. If zero, mode auto and prefer speed.
	Policy manifest.Policy
	// Trackers, ICE, WebSeeds and Headers are the manifest's.
	Trackers []string
	ICE      []manifest.ICEServer
	WebSeeds []string
	Headers  []manifest.HeaderRule
	Runtime  Runtime
	// Cache is the path of a file in which [Publish] leaves what it found out, and Build finds what files need not be read
	// again. It does not belong among the site's files. If empty, all are read, and nothing is left.
	Cache string
	// Rehash has all files read, and the cache written anew.
	Rehash bool
	// Progress is called as files are read, by one goroutine at a time. If nil, it is not.
	Progress func(Progress)

	all bool // .planktosignore is not heeded, and what cannot be looked at is left out rather than an error
}

// File is a file of the site.
type File struct {
	Path string
	// Hash and Size are those of what is served: what is put into the page is part of it.
	Hash    merkle.Hash
	Size    int64
	ModTime time.Time

	source source
	edits  []edit // what makes of the file what is served
	reason string // why it gets no first-visit snippet
}

// Edited tells whether what is served is not what the file holds, or held when it was packed.
func (f *File) Edited() bool { return f.edits != nil }

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
	// Read is how many of them were read. The others are known to be what they were the last time.
	Read int
	// LeftOut is what was not packed, sorted by path.
	LeftOut []LeftOut

	fsys     fs.FS
	markup   *markup
	runtime  Runtime
	spec     torrent.Spec
	contents map[merkle.Hash]*content
	assets   map[string]asset
	restore  []restoration // of a rollback

	cacheFile string
	cache     *cache    // what was known when building began
	found     *cache    // what is known of the site's files now
	began     time.Time // before the first file was looked at
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
	s := &Snapshot{fsys: fsys, runtime: o.Runtime, markup: newMarkup(base, o), began: time.Now()}
	sources, left, err := walk(ctx, fsys, o)
	if err != nil {
		return nil, err
	}
	s.LeftOut = append(left, foreignFiles(fsys, left)...)
	if o.Publishing {
		keepUnreachable(sources)
	}

	sizes := []int64{int64(len(o.Runtime.Engine))}
	for _, source := range sources {
		sizes = append(sizes, source.size)
	}
	pieceLength := torrent.ChoosePieceLength(sizes)
	s.openCache(o, pieceLength)
	all, err := s.hash(ctx, sources, pieceLength, o.Progress)
	if err != nil {
		return nil, err
	}
	hashes, refs := make([]torrent.FileHashes, len(all)), make([]references, len(all))
	for i, source := range sources {
		s.found.add(source, all[i])
		hashes[i], refs[i] = all[i].hashes, all[i].refs
	}
	for _, source := range sources {
		if (o.Tag || o.FirstVisit) && isHTML(source.path) && source.size > maxHTML {
			s.LeftOut = append(s.LeftOut, LeftOut{source.path, "is too large to get the script tag"})
		}
	}
	for _, file := range s.Files {
		if file.reason != "" {
			s.LeftOut = append(s.LeftOut, LeftOut{file.Path, "gets no first-visit snippet: " + file.reason})
		}
	}
	slices.SortFunc(s.LeftOut, func(a, b LeftOut) int { return strings.Compare(a.Path, b.Path) })
	if err := s.assemble(o, base, pieceLength, hashes, s.loads(base, refs)); err != nil {
		return nil, err
	}
	return s, nil
}

// keepUnreachable marks the pages that are reached by a link whose target is not among the files: they are packed as they
// are.
func keepUnreachable(sources []source) {
	for i, linked := range sources {
		sources[i].keep = linked.linked && isHTML(linked.path) && !slices.ContainsFunc(sources, func(other source) bool {
			return !other.linked && os.SameFile(other.info, linked.info)
		})
	}
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
