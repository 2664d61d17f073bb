// Package planktos packs static sites so that their visitors serve them to each other, and serves such sites.
//
// [PackDir] turns a folder into a [Site]: a manifest with the hash of every file, a torrent, and the scripts of the
// browser runtime. [Site.Publish] writes it into the folder, for any static host to serve:
//
//	site, err := planktos.PackDir(ctx, "public", nil)
//	if err != nil {
//		return err
//	}
//	defer site.Close()
//	_, err = site.Publish(ctx, nil)
//
// A Go server may do without that and mount a [Handler], which packs a tree and serves it together with the runtime and
// a tracker. What is packed, how it lies on a host, and what a browser makes of it is written down in docs/manifest.md.
package planktos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/snapshot"
)

// A Site is a packed state of a static site: what it consists of, not the contents, which stay where they are. It may be
// used by several goroutines at a time.
type Site struct {
	packed *snapshot.Snapshot
	base   string
	dir    string   // of PackDir
	root   *os.Root // of PackDir
	copies bool
	// snippet is the first-visit snippet's source expression, if pages have it.
	snippet string
}

// Pack packs the tree in fsys: it reads every file once, and writes nothing. The same tree and options make the same
// site, byte for byte. A file that is unreadable, or changes meanwhile, is an error that names it. opts may be nil; a
// mistake in it is an [*OptionError].
func Pack(ctx context.Context, fsys fs.FS, opts *Options) (*Site, error) {
	return pack(ctx, fsys, opts, false)
}

// pack packs; publishing tells that pages which cannot be changed where they lie are to stay as they are.
func pack(ctx context.Context, fsys fs.FS, opts *Options, publishing bool) (*Site, error) {
	if opts == nil {
		opts = &Options{}
	}
	s, err := opts.settings()
	if err != nil {
		return nil, err
	}
	scripts, err := runtimeScripts()
	if err != nil {
		return nil, err
	}
	o := &snapshot.Options{
		Paths: opts.Paths, Exclude: opts.Exclude, Base: s.base, InPlace: opts.InPlace, Tag: opts.TagHTML,
		FirstVisit: s.first, Publishing: publishing,
		Policy: s.policy, Trackers: s.trackers, WebSeeds: s.webSeeds,
		Runtime: scripts, Cache: opts.Cache, Rehash: opts.Rehash,
	}
	for _, server := range s.ice {
		o.ICE = append(o.ICE, manifest.ICEServer(server))
	}
	for _, rule := range s.headers {
		o.Headers = append(o.Headers, manifest.HeaderRule(rule))
	}
	if opts.Progress != nil {
		o.Progress = func(p snapshot.Progress) { opts.Progress(p.Bytes, p.TotalBytes) }
	}
	packed, err := snapshot.Build(ctx, fsys, o)
	if err != nil {
		return nil, err
	}
	site := &Site{packed: packed, base: s.base, copies: !opts.InPlace}
	if s.first {
		site.snippet = snapshot.SourceExpression(scripts.First)
	}
	return site, nil
}

// PackDir packs the folder dir like [Pack]. Symbolic links are followed as long as they stay inside. The site holds
// the folder open until it is closed.
func PackDir(ctx context.Context, dir string, opts *Options) (*Site, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	site, err := pack(ctx, root.FS(), opts, true)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	site.dir, site.root = dir, root
	return site, nil
}

// Close lets go of the folder. A site of [Pack] holds nothing.
func (s *Site) Close() error {
	if s.root == nil {
		return nil
	}
	return s.root.Close()
}

// Snapshot is the site's id: 64 hex digits that stand for the paths and contents of all its files.
func (s *Site) Snapshot() string { return s.packed.ID() }

// Manifest is planktos/manifest.json, without a signature. Of a [Handler] whose tree disables Planktos it is the tree's own.
func (s *Site) Manifest() []byte { return s.packed.Manifest }

// Torrent is planktos/root.torrent.
func (s *Site) Torrent() []byte { return s.packed.Torrent }

// A Description says what a site consists of.
type Description struct {
	// Snapshot is the site's id.
	Snapshot string `json:"snapshot"`
	// Base is the URL path of the site's root.
	Base string `json:"base"`
	// Files is the number of files, and Bytes their size together.
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Read is how many of the files were read; the others are what they were when Options.Cache was written.
	Read int `json:"read"`
	// Contents is the number of distinct contents, ContentBytes their size together.
	Contents     int   `json:"contents"`
	ContentBytes int64 `json:"contentBytes"`
	// InfoHash and InfoHashV2 name the torrent, in hex; PieceLength is in bytes.
	InfoHash    string `json:"infoHash"`
	InfoHashV2  string `json:"infoHashV2"`
	PieceLength int64  `json:"pieceLength"`
	Pieces      int    `json:"pieces"`
	// ManifestBytes is the size of the manifest, and Shards the number of tables it refers to.
	ManifestBytes int `json:"manifestBytes"`
	Shards        int `json:"shards"`
	// Mode and Prefer are the policy.
	Mode   string `json:"mode"`
	Prefer string `json:"prefer"`
	// FirstVisit is "peers" if pages carry the snippet by which peers serve the first visit, or "plain". FirstVisitHash is
	// how a Content-Security-Policy allows that snippet, 'sha256-…'; the same for every site of a version.
	FirstVisit     string `json:"firstVisit"`
	FirstVisitHash string `json:"firstVisitHash,omitempty"`
	// Edited are the pages that are not packed as their files were: tag or snippet were put in, or an old snippet taken
	// out.
	Edited []string `json:"edited"`
	// ThirdParties are the hosts other than the site's own that visitors' browsers will contact.
	ThirdParties []ThirdParty `json:"thirdParties"`
	// BrowserSeeds are web seeds that ordinary torrent clients cannot use: those look for a site packed in place in a
	// folder that has the torrent's name.
	BrowserSeeds []string `json:"browserSeeds"`
	// LeftOut is what was found and not packed.
	LeftOut []LeftOut `json:"leftOut"`
}

// LeftOut is a path that was found and not packed.
type LeftOut struct {
	Path string `json:"path"`
	// Reason completes the sentence that begins with the path.
	Reason string `json:"reason"`
}

// Describe says what the site consists of.
func (s *Site) Describe() Description {
	root := s.packed.Root
	d := Description{
		Snapshot: s.packed.ID(), Base: s.base, Files: len(s.packed.Files), Read: s.packed.Read,
		InfoHash: fmt.Sprintf("%x", root.Torrent.InfoHash), InfoHashV2: fmt.Sprintf("%x", root.Torrent.InfoHashV2),
		PieceLength: root.Torrent.PieceLength, Pieces: root.Torrent.Pieces,
		ManifestBytes: len(s.packed.Manifest), Shards: len(root.Shards),
		Mode: root.Policy.Mode, Prefer: root.Policy.Prefer,
		ThirdParties: thirdParties(root), LeftOut: []LeftOut{},
		BrowserSeeds: append([]string{}, s.packed.BrowserSeeds()...),
		FirstVisit:   "plain", FirstVisitHash: s.snippet, Edited: []string{},
	}
	if s.snippet != "" {
		d.FirstVisit = "peers"
	}
	type identity struct {
		hash string
		size int64
	}
	seen := make(map[identity]bool)
	for _, file := range s.packed.Files {
		d.Bytes += file.Size
		if file.Edited() {
			d.Edited = append(d.Edited, file.Path)
		}
		id := identity{file.Hash.String(), file.Size}
		if file.Size == 0 || seen[id] {
			continue
		}
		seen[id] = true
		d.Contents++
		d.ContentBytes += file.Size
	}
	for _, left := range s.packed.LeftOut {
		d.LeftOut = append(d.LeftOut, LeftOut(left))
	}
	return d
}
