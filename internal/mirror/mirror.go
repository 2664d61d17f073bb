// Package mirror serves over HTTP what a seeder keeps of a site, so that the site carries on under a second host name
// while its server is down, for new visitors too. The manifest is the site's own, byte for byte; the runtime's scripts
// are this program's, since no table of the site names them.
package mirror

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/planktos/planktos/internal/bundle"
	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/mediatype"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/seeder"
	"github.com/planktos/planktos/internal/store"
	"github.com/planktos/planktos/internal/swarm"
)

// patience is how long a request waits for a file that is not there yet.
const patience = 30 * time.Second

// A Handler serves the snapshot that it was given last. Fields may be set until the first request.
type Handler struct {
	// Store holds the contents.
	Store *store.Store
	// Base is the URL path of the site's root, which begins and ends with a slash.
	Base string
	// Tracker answers where the manifest names a tracker by a path.
	Tracker http.Handler

	current atomic.Pointer[taken]
}

// taken is what is served.
type taken struct {
	// Snapshot is nil if the site had disabled Planktos before anything else of it was known.
	*seeder.Snapshot
	manifest []byte
	key      ed25519.PublicKey // by which the site is signed, or nil
}

// scripts are the runtime's, by name.
var scripts = sync.OnceValues(func() (map[string][]byte, error) {
	s, err := bundle.Runtime()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		release.WorkerFile: s.Worker, "planktos/install.js": s.Install, "planktos/engine.min.js": s.Engine,
	}, nil
})

// Take serves another snapshot from now on. The worker's script names the key by which visitors believe others, as the
// site's own does; none if it is nil.
func (h *Handler) Take(s *seeder.Snapshot, key ed25519.PublicKey) {
	h.current.Store(&taken{s, s.Manifest, key})
}

// Disable serves the manifest of a site that has disabled Planktos from now on, so that it leaves this host's visitors,
// too. Files go on to be those of the snapshot before, as far as they are here.
func (h *Handler) Disable(manifest []byte, key ed25519.PublicKey) {
	next := &taken{manifest: manifest, key: key}
	if last := h.current.Load(); last != nil {
		next.Snapshot = last.Snapshot
	}
	h.current.Store(next)
}

// ServeHTTP answers GET and HEAD for the site's paths, and WebSocket upgrades for the tracker.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := h.current.Load()
	if s == nil {
		unavailable(w, "the site is not known yet")
		return
	}
	if h.Tracker != nil && s.Snapshot != nil && slices.Contains(s.Root.Trackers, r.URL.Path) {
		h.Tracker.ServeHTTP(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "405 method not allowed", http.StatusMethodNotAllowed)
		return
	}
	escaped, below := strings.CutPrefix(r.URL.EscapedPath(), h.Base)
	name, ok := manifest.RequestPath(escaped)
	if !below || !ok {
		http.NotFound(w, r)
		return
	}
	if strings.HasPrefix(name, "planktos/") || name == release.WorkerFile {
		h.serveOwn(w, r, s, name)
		return
	}
	if s.Snapshot == nil {
		unavailable(w, "the site has disabled Planktos, and its files are not here")
		return
	}
	h.servePath(w, r, s.Snapshot, name)
}

// servePath serves a file of the site. A directory is its index.html.
func (h *Handler) servePath(w http.ResponseWriter, r *http.Request, s *seeder.Snapshot, name string) {
	index := name == "" || strings.HasSuffix(name, "/")
	if index {
		name += "index.html"
	}
	if file, ok := manifest.Lookup(s.Files, name); ok {
		h.serveFile(w, r, s, file, http.StatusOK)
		return
	}
	if _, ok := manifest.Lookup(s.Files, name+"/index.html"); ok && !index {
		// Relative (RFC 9110, section 10.2.2), so that it holds behind proxies that change the prefix.
		w.Header().Set("Location", "./"+manifest.EncodePath(path.Base(name))+"/")
		w.WriteHeader(http.StatusMovedPermanently)
		return
	}
	if file, ok := manifest.Lookup(s.Files, "404.html"); ok {
		h.serveFile(w, r, s, file, http.StatusNotFound)
		return
	}
	http.NotFound(w, r)
}

func (h *Handler) serveFile(w http.ResponseWriter, r *http.Request, s *seeder.Snapshot, file manifest.File,
	status int) {
	body, err := h.open(r.Context(), s, file)
	if err != nil {
		unavailable(w, "the file is not here yet")
		return
	}
	header := w.Header()
	header.Set("Content-Type", typeOf(s.Root, file.Path))
	header.Set("Cache-Control", "no-cache")
	for _, rule := range s.Root.Headers {
		if rule.Matches(file.Path) {
			for key, value := range rule.Headers {
				header.Set(key, value)
			}
		}
	}
	if status != http.StatusOK {
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = io.Copy(w, body) // to a client that may have gone
		}
		return
	}
	header.Set("ETag", fmt.Sprintf(`"%s-%d"`, file.Hash, file.Size))
	http.ServeContent(w, r, "", time.Time{}, body)
}

// typeOf is the Content-Type that the site's own host gives a file.
func typeOf(root *manifest.Root, name string) string {
	for _, one := range root.Types {
		if one.Extension == mediatype.Extension(name) {
			return one.Type
		}
	}
	return mediatype.Of(name)
}

// serveOwn serves what Planktos adds to a site.
func (h *Handler) serveOwn(w http.ResponseWriter, r *http.Request, s *taken, name string) {
	own, err := scripts()
	if err != nil {
		http.Error(w, "500 the runtime cannot be compiled", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Cache-Control", "no-cache")
	switch {
	case name == release.WorkerFile:
		serveBytes(w, r, release.WithKey(own[name], s.key), "text/javascript; charset=utf-8")
		return
	case own[name] != nil:
		serveBytes(w, r, own[name], "text/javascript; charset=utf-8")
		return
	case name == release.ManifestFile:
		serveBytes(w, r, s.manifest, "application/json")
		return
	case s.Snapshot == nil:
		http.NotFound(w, r)
		return
	case name == "planktos/root.torrent" && s.Torrent != nil:
		serveBytes(w, r, s.Torrent, "application/x-bittorrent")
		return
	}
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	for i, shard := range s.Root.Shards {
		if name == release.ShardFile(shard.Hash) {
			serveBytes(w, r, s.Shards[i], "application/json")
			return
		}
	}
	digits, layer := strings.CutSuffix(strings.TrimPrefix(name, "planktos/"), ".layer")
	hash, err := merkle.ParseHash(digits)
	i := slices.IndexFunc(s.Files, func(f manifest.File) bool { return f.Hash == hash && f.Size > 0 })
	switch {
	case err != nil || i < 0 || !layer && !s.Root.Copies:
	case layer:
		id := store.ID{Hash: hash, Size: s.Files[i].Size}
		if hashes, err := h.Store.Layer(id, s.Root.Torrent.PieceLength); err == nil && len(hashes) > 0 {
			var data []byte
			for _, one := range hashes {
				data = append(data, one[:]...)
			}
			serveBytes(w, r, data, mediatype.Default)
			return
		}
	default:
		if body, err := h.open(r.Context(), s.Snapshot, s.Files[i]); err == nil {
			header.Set("Content-Type", mediatype.Default)
			http.ServeContent(w, r, "", time.Time{}, body)
			return
		}
	}
	header.Del("Cache-Control")
	http.NotFound(w, r)
}

func serveBytes(w http.ResponseWriter, r *http.Request, data []byte, mediaType string) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("ETag", fmt.Sprintf(`"%s-%d"`, merkle.Root(data), len(data)))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// open opens a file's content, and waits for it if it is not there yet.
func (h *Handler) open(ctx context.Context, s *seeder.Snapshot, file manifest.File) (io.ReadSeeker, error) {
	id := store.ID{Hash: file.Hash, Size: file.Size}
	c, ok := s.Content(file)
	if !ok {
		return bytes.NewReader(nil), nil
	}
	if !h.Store.Has(id) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		s.Swarm.Want(c)
		err := s.Swarm.Wait(ctx, c)
		if err != nil && (!errors.Is(err, swarm.ErrClosed) || !h.Store.Has(id)) {
			return nil, err
		}
	}
	return io.NewSectionReader(contentAt{h.Store, id}, 0, id.Size), nil
}

// A contentAt is a content of a store as an io.ReaderAt.
type contentAt struct {
	store *store.Store
	id    store.ID
}

// ReadAt implements io.ReaderAt.
func (c contentAt) ReadAt(p []byte, offset int64) (int, error) {
	n := int(min(int64(len(p)), max(0, c.id.Size-offset)))
	if err := c.store.ReadAt(c.id, p[:n], offset); err != nil {
		return 0, err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func unavailable(w http.ResponseWriter, why string) {
	w.Header().Set("Retry-After", "5")
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "503 "+why, http.StatusServiceUnavailable)
}
