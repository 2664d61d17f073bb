package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/planktos/planktos"
	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/seeder"
	"github.com/planktos/planktos/internal/store"
	"github.com/planktos/planktos/internal/swarm"
	"github.com/planktos/planktos/internal/torrent"
)

// ownInterval is how often a seeder looks at the site of its own process.
const ownInterval = 2 * time.Second

// seedOwn is a peer of the site that h serves at url, in this process, until stop is called.
func (p *program) seedOwn(h *planktos.Handler, url string, limit int64) (stop func()) {
	own := &ownSite{handler: h, url: url, known: map[store.ID]place{}}
	node := &swarm.Node{Library: own, UploadLimit: limit, Logger: p.logger()}
	follower := &seeder.Follower{
		Node: node, URL: url, Source: own, Interval: ownInterval, Logger: p.logger(),
		Disabled: func([]byte) {}, // until it is enabled again
	}
	ctx, cancel := context.WithCancel(p.ctx)
	var running sync.WaitGroup
	running.Go(func() {
		if err := follower.Run(ctx); err != nil {
			p.note("not seeding: %s", plain(err))
		}
	})
	return func() {
		cancel()
		running.Wait()
		node.Close()
	}
}

// An ownSite is the site of a handler as a seeder sees it: source of its releases, and library of their contents. It
// knows the contents of the releases that were looked at.
type ownSite struct {
	handler *planktos.Handler
	url     string

	mu    sync.Mutex
	last  *planktos.Site
	known map[store.ID]place
}

// A place is where a content is to be had.
type place struct {
	site *planktos.Site
	name string
}

// Where implements release.Source.
func (o *ownSite) Where(name string) string { return o.url + name }

// Open implements release.Source.
func (o *ownSite) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	site, err := o.handler.Site(ctx)
	if err != nil {
		return nil, err
	}
	if name == release.ManifestFile {
		if err := o.learn(ctx, site); err != nil {
			return nil, err
		}
	}
	return site.Open(name)
}

// learn notes what a release consists of.
func (o *ownSite) learn(ctx context.Context, site *planktos.Site) error {
	o.mu.Lock()
	known := o.last == site
	o.mu.Unlock()
	if known {
		return nil
	}
	r, err := release.Read(ctx, siteSource{site, o}, release.ManifestFile)
	if errors.Is(err, manifest.ErrDisabled) {
		return nil // there is nothing to be given
	}
	if err != nil {
		return err
	}
	m, err := torrent.Parse(site.Torrent())
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.last
	o.last = site
	for id, at := range o.known {
		if at.site != before { // of a release that nobody gives any longer
			delete(o.known, id)
		}
	}
	// What is in the torrent alone, first, so that the names of all else are those of their copies.
	for _, file := range m.Files {
		o.known[store.ID{Hash: file.Root, Size: file.Size}] = place{site, m.Name + "/" + strings.Join(file.Path, "/")}
	}
	for _, shard := range r.Root.Shards {
		o.known[store.ID{Hash: shard.Hash, Size: shard.Size}] = place{site, release.ShardFile(shard.Hash)}
	}
	for _, file := range r.Files {
		o.known[store.ID{Hash: file.Hash, Size: file.Size}] = place{site, release.ContentFile(file.Hash)}
	}
	return nil
}

// A siteSource is one release of an ownSite.
type siteSource struct {
	*planktos.Site
	own *ownSite
}

func (s siteSource) Where(name string) string { return s.own.Where(name) }

func (s siteSource) Open(_ context.Context, name string) (io.ReadCloser, error) {
	return s.Site.Open(name)
}

func (o *ownSite) place(id store.ID) (place, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at, ok := o.known[id]
	return at, ok
}

// Has implements swarm.Library.
func (o *ownSite) Has(id store.ID) bool {
	_, ok := o.place(id)
	return ok
}

func (o *ownSite) open(id store.ID) (io.ReadSeekCloser, error) {
	at, ok := o.place(id)
	if !ok {
		return nil, fmt.Errorf("%v: %w", id, fs.ErrNotExist)
	}
	return at.site.Open(at.name)
}

// ReadAt implements swarm.Library.
func (o *ownSite) ReadAt(id store.ID, b []byte, offset int64) error {
	f, err := o.open(id)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	_, err = io.ReadFull(f, b)
	return err
}

// Layer implements swarm.Library.
func (o *ownSite) Layer(id store.ID, pieceLength int64) ([]merkle.Hash, error) {
	count := merkle.LayerLength(id.Size, pieceLength)
	if count == 0 || !o.Has(id) {
		return nil, nil
	}
	f, err := o.open(id)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := merkle.NewHasher(pieceLength)
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	root, layer := h.Sum()
	if root != id.Hash {
		return nil, fmt.Errorf("%v: %w", id, merkle.ErrMismatch)
	}
	return layer, nil
}

// Begin implements swarm.Library: the site consists of its files, and nothing is added.
func (o *ownSite) Begin(id store.ID, _ int64, _ []merkle.Hash) (*store.Part, error) {
	return nil, fmt.Errorf("%v is not of this site: %w", id, store.ErrFull)
}
