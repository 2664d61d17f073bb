// Package seeder keeps packed sites alive without a browser: it learns what a site consists of from its manifest, has
// contents from web seeds and peers, gives them to peers, and follows the site's releases.
//
//	manifest ──▶ Join ──▶ Snapshot: the file table, its shards from the swarm like everything else
//	                         │ Want, Wait
//	                         ▼
//	              swarm.Node ◀──▶ store.Store, or Folder: a packed folder's own files
//
// A [Follower] keeps the whole of a site, release after release; `planktos get` joins one [Snapshot] and leaves.
package seeder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"strings"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/store"
	"github.com/planktos/planktos/internal/swarm"
	"github.com/planktos/planktos/internal/torrent"
)

// ErrOff says that the site's policy is that nobody shares.
var ErrOff = errors.New("the site's policy is that nobody shares (mode off)")

// A Snapshot is a release whose swarm a node takes part in.
type Snapshot struct {
	*release.Release
	// Swarm is left by its Close.
	Swarm *swarm.Swarm
	// Torrent is root.torrent, if AddTorrent took it.
	Torrent []byte

	shards   []swarm.Content
	contents map[store.ID]swarm.Content // of Files
	extra    []swarm.Content            // of the torrent alone
}

// Parse reads a manifest from where, a path or URL, which errors name. That of a site that has disabled Planktos wraps
// [manifest.ErrDisabled].
func Parse(document []byte, where string) (*manifest.Root, error) {
	root, err := manifest.Parse(document)
	if errors.Is(err, manifest.ErrDisabled) {
		return nil, &release.BadError{Where: where, Err: err}
	}
	if err != nil {
		return nil, &release.BadError{Where: where, Err: errors.New(strings.TrimPrefix(err.Error(), "manifest: "))}
	}
	return root, nil
}

// Join takes part in the swarm of a manifest's snapshot and learns its whole file table: shards that are not in the
// node's library come from web seeds and peers. site is the site's root URL, against which trackers are resolved and
// which is the first web seed; it may be empty. Where the site's policy is that nobody shares, peers are not met.
// released is told what trackers tell of releases (see [swarm.Torrent]); it may be nil.
func Join(
	ctx context.Context, node *swarm.Node, document []byte, site string, released func(swarm.Hint),
) (*Snapshot, error) {
	where := site + release.ManifestFile
	root, err := Parse(document, where)
	if err != nil {
		return nil, err
	}
	trackers := Trackers(root, site)
	if root.Policy.Mode == "off" {
		trackers = nil
	}
	joined, err := node.Join(swarm.Torrent{
		InfoHash: root.Torrent.InfoHash, PieceLength: root.Torrent.PieceLength, Pieces: root.Torrent.Pieces,
		Trackers: trackers, ICE: root.ICE, WebSeeds: webSeeds(root, site), Released: released,
	})
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Swarm: joined, contents: map[store.ID]swarm.Content{}}
	if err := s.learn(ctx, node.Library, root, document, where); err != nil {
		joined.Close()
		return nil, err
	}
	return s, nil
}

// Trackers are the manifest's, as ws: and wss: URLs. A path needs the site's root URL to be one.
func Trackers(root *manifest.Root, site string) []string {
	base, err := url.Parse(site)
	var trackers []string
	for _, tracker := range root.Trackers {
		u, trackerErr := url.Parse(tracker)
		switch {
		case trackerErr != nil:
		case u.IsAbs():
			trackers = append(trackers, tracker)
		case err == nil && base.IsAbs():
			u = base.ResolveReference(u)
			u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
			trackers = append(trackers, u.String())
		}
	}
	return trackers
}

func webSeeds(root *manifest.Root, site string) []string {
	if site == "" {
		return root.WebSeeds
	}
	return append([]string{site}, root.WebSeeds...)
}

// learn has the shards, and names the contents of the table that they make.
func (s *Snapshot) learn(ctx context.Context, library swarm.Library, root *manifest.Root, document []byte,
	where string) error {
	for _, shard := range root.Shards {
		path := release.ShardFile(shard.Hash)
		c := swarm.Content{ID: store.ID{Hash: shard.Hash, Size: shard.Size}, Piece: shard.Piece, Path: path}
		if merkle.LayerLength(shard.Size, root.Torrent.PieceLength) > 0 {
			c.Layer = release.LayerFile(shard.Hash)
		}
		s.shards = append(s.shards, c)
	}
	if err := s.Swarm.Add(s.shards...); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	s.Swarm.Want(s.shards...)
	if err := s.Swarm.Wait(ctx, s.shards...); err != nil {
		return fmt.Errorf("the file table of %s: %w", where, err)
	}
	var err error
	if s.Release, err = release.Read(ctx, table{document, library, root, where}, release.ManifestFile); err != nil {
		return err
	}
	var contents []swarm.Content
	for _, file := range s.Files {
		id := store.ID{Hash: file.Hash, Size: file.Size}
		if _, known := s.contents[id]; known || file.Size == 0 {
			continue
		}
		c := contentOf(root, file)
		s.contents[id] = c
		contents = append(contents, c)
	}
	if err := s.Swarm.Add(contents...); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	return nil
}

func contentOf(root *manifest.Root, file manifest.File) swarm.Content {
	c := swarm.Content{
		ID: store.ID{Hash: file.Hash, Size: file.Size}, Piece: file.Piece, Path: manifest.EncodePath(file.Path),
	}
	if root.Copies {
		c.Copy = release.ContentFile(file.Hash)
	}
	if merkle.LayerLength(file.Size, root.Torrent.PieceLength) > 0 {
		c.Layer = release.LayerFile(file.Hash)
	}
	return c
}

// AddTorrent takes what else the torrent tells: piece layers, and the engine's script, which is in no table. A
// torrent of another snapshot is an error.
func (s *Snapshot) AddTorrent(data []byte) error {
	m, err := torrent.Parse(data)
	if err != nil {
		return err
	}
	if m.InfoHash != s.Root.Torrent.InfoHash || m.InfoHashV2 != s.Root.Torrent.InfoHashV2 {
		return errors.New("torrent of another snapshot")
	}
	known := map[store.ID]bool{}
	for _, c := range s.All() {
		known[c.ID] = true
	}
	for _, file := range m.Files {
		if file.Size == 0 {
			continue
		}
		path := strings.Join(file.Path, "/")
		if s.Root.Copies {
			path = m.Name + "/" + path
		}
		c := swarm.Content{
			ID: store.ID{Hash: file.Root, Size: file.Size}, Piece: int(file.Offset / m.PieceLength),
			Path: manifest.EncodePath(path), Hashes: file.Layer,
		}
		if err := s.Swarm.Add(c); err != nil {
			return err
		}
		if !known[c.ID] {
			known[c.ID] = true
			s.extra = append(s.extra, c)
		}
	}
	s.Torrent = data
	return nil
}

// Content is what the swarm has of a file; false for an empty file, of which there is nothing to have.
func (s *Snapshot) Content(file manifest.File) (swarm.Content, bool) {
	c, ok := s.contents[store.ID{Hash: file.Hash, Size: file.Size}]
	return c, ok
}

// All is every content of the snapshot, each once: shards, then files in the order of the table.
func (s *Snapshot) All() []swarm.Content {
	all := append([]swarm.Content{}, s.shards...)
	seen := map[store.ID]bool{}
	for _, file := range s.Files {
		if c, ok := s.Content(file); ok && !seen[c.ID] {
			seen[c.ID] = true
			all = append(all, c)
		}
	}
	return append(all, s.extra...)
}

// A table is the source of a manifest whose shards are in a library.
type table struct {
	document []byte
	library  swarm.Library
	root     *manifest.Root
	where    string
}

func (t table) Where(name string) string {
	return strings.TrimSuffix(t.where, release.ManifestFile) + name
}

func (t table) Open(_ context.Context, name string) (io.ReadCloser, error) {
	if name == release.ManifestFile {
		return io.NopCloser(bytes.NewReader(t.document)), nil
	}
	for _, shard := range t.root.Shards {
		if release.ShardFile(shard.Hash) != name {
			continue
		}
		data := make([]byte, shard.Size)
		if err := t.library.ReadAt(store.ID{Hash: shard.Hash, Size: shard.Size}, data, 0); err != nil {
			return nil, fmt.Errorf("%s: %w", t.Where(name), err)
		}
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	return nil, fmt.Errorf("%s: %w", t.Where(name), fs.ErrNotExist)
}
