package planktos

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/snapshot"
	"github.com/planktos/planktos/tracker"
)

// A Handler serves a site, the runtime that its visitors share it by, and a tracker that introduces them: everything
// Planktos needs, on one port. It packs the site when it is first asked for anything, and again when its files have
// changed; it neither writes files nor keeps their contents in memory.
//
// The caller owns listener, TLS and routing. A Handler whose Options.Base is "/docs/" is mounted at "/docs/", without
// http.StripPrefix:
//
//	http.Handle("/docs/", &planktos.Handler{
//		FS:      os.DirFS("public"),
//		Options: &planktos.Options{Base: "/docs/", TagHTML: true},
//	})
//
// Only packed files are served: nothing above the root, no dot-files, no listings. A directory is its index.html, and a
// path that is not there is answered with the site's 404.html, if it has one.
//
// A tree whose planktos/manifest.json disables Planktos ([Disable]) is served with that manifest and without tags, until
// the manifest is gone or another one.
//
// Fields may be set until the first method call. A Handler may be used by several goroutines at a time, and be served
// by several listeners.
type Handler struct {
	// FS holds the site's files. It must not be nil. os.DirFS follows symbolic links out of the directory,
	// os.Root.FS does not.
	FS fs.FS

	// Options says how the site is packed. If nil, the zero Options. If its Trackers are nil, visitors meet at this
	// Handler alone; if its ICE is nil, they are told no STUN server but the one of STUNPort.
	Options *Options

	// Tracker answers at planktos/tracker. If nil, the Handler runs one of its own, which serves the swarms of this
	// site alone.
	Tracker *tracker.Tracker

	// Key, if not nil, signs what is served: the manifest by Ed25519, while the service worker's script has the public
	// half, as with PublishOptions.Key. A release's number is the time at which it was packed, in milliseconds since
	// 1970, or one more than the last, so that a restart needs no memory of it. What is signed does not expire.
	Key ed25519.PrivateKey

	// STUNPort, if not zero, is the UDP port at which the host that visitors reach this Handler by also answers STUN;
	// they are told so.
	STUNPort int

	// CheckInterval is how long files may have changed before it is noticed. If zero, a tenth of a second; a tree
	// that takes long to walk is walked less often. If negative, changes are never looked for. They are noticed when a
	// page or the manifest is asked for, and by Watch, whose interval is a second if this is zero.
	CheckInterval time.Duration

	// Logger is told of packing and of what fails. If nil, nothing is logged.
	Logger *slog.Logger

	once     sync.Once
	log      *slog.Logger
	tracker  *tracker.Tracker
	base     string
	packing  sync.Mutex // held while the tree is looked at or packed
	failed   failure    // guarded by packing
	current  atomic.Pointer[generation]
	setUpErr error
}

// keepGenerations is how many superseded snapshots' contents are still served, so that visitors in the middle of one
// find the files that have not changed since.
const keepGenerations = 4

// A generation is one packed state of the site. It does not change, except for when it was last compared to the files.
type generation struct {
	site      *Site
	print     snapshot.Print
	older     []*Site      // superseded, newest first
	sequence  int64        // of its signature; 0 without one
	disabled  bool         // the manifest has Planktos leave the site's visitors
	checkedAt atomic.Int64 // UnixNano
	checkTook atomic.Int64 // nanoseconds
}

// failure is a state of the tree that could not be packed. It is not tried again before it has changed or some time has
// passed: trying may mean to read all of it.
type failure struct {
	print snapshot.Print
	at    time.Time
	err   error
}

// still says whether the tree that print stands for need not be tried again yet.
func (f *failure) still(print snapshot.Print) bool {
	return f.err != nil && print == f.print && time.Since(f.at) < retryAfter
}

// retryAfter is how long a tree that could not be packed is left alone if it does not change.
const retryAfter = 2 * time.Second

// maxTries is how often packing starts over because a file was edited meanwhile.
const maxTries = 3

func (h *Handler) setUp() {
	h.once.Do(func() {
		h.log = h.Logger
		if h.log == nil {
			h.log = slog.New(slog.DiscardHandler)
		}
		if h.Options == nil {
			h.Options = &Options{}
		}
		if h.base, h.setUpErr = ParseBase(h.Options.Base); h.setUpErr != nil {
			h.base = "/"
		} else if h.FS == nil {
			h.setUpErr = errors.New("planktos: Handler.FS is nil")
		} else if h.Key != nil && len(h.Key) != ed25519.PrivateKeySize {
			h.setUpErr = fmt.Errorf("planktos: Handler.Key has %d bytes, not %d", len(h.Key), ed25519.PrivateKeySize)
		}
		go h.compressScripts()
		if h.tracker = h.Tracker; h.tracker == nil {
			h.tracker = &tracker.Tracker{Logger: h.Logger, Filter: h.hasSwarm}
		}
	})
}

// Site returns the site as it is packed now, and packs it if it has not been.
func (h *Handler) Site(ctx context.Context) (*Site, error) {
	g, err := h.generation(ctx)
	if err != nil {
		return nil, err
	}
	return g.site, nil
}

// Close ends the connections of the Handler's own tracker. A tracker that was given in the Tracker field is left alone.
func (h *Handler) Close() error {
	h.setUp()
	if h.Tracker != nil {
		return nil
	}
	return h.tracker.Close()
}

// ServeHTTP answers GET and HEAD for the site's paths, and WebSocket upgrades for the tracker.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.setUp()
	escaped, ok := strings.CutPrefix(r.URL.EscapedPath(), h.base)
	if !ok {
		if r.URL.EscapedPath()+"/" == h.base {
			redirectTo(w, r, path.Base(h.base)+"/")
			return
		}
		http.NotFound(w, r)
		return
	}
	if escaped == "planktos/tracker" {
		// Its own tracker knows the site's swarm once the site is packed: visitors of before a restart may come here first.
		if h.Tracker == nil {
			if _, err := h.generation(r.Context()); err != nil {
				h.failPacking(w, err)
				return
			}
		}
		h.tracker.ServeHTTP(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "405 method not allowed", http.StatusMethodNotAllowed)
		return
	}
	name, ok := requestName(escaped)
	if !ok {
		h.serveNotFound(w, r, nil)
		return
	}
	if size, ok := strings.CutPrefix(name, "planktos/.pad/"); ok {
		servePad(w, r, size)
		return
	}
	g, err := h.generation(r.Context())
	if err != nil {
		h.failPacking(w, err)
		return
	}
	if isDocument(name) {
		g = h.refresh(r.Context(), g)
	}
	if !h.serve(w, r, g, name) {
		h.serveNotFound(w, r, g)
	}
}

// failPacking answers where there is no packed site.
func (h *Handler) failPacking(w http.ResponseWriter, err error) {
	h.log.Error("site cannot be packed", "error", err)
	if errors.Is(err, snapshot.ErrChanged) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "503 the site is being changed", http.StatusServiceUnavailable)
		return
	}
	http.Error(w, "500 the site cannot be packed", http.StatusInternalServerError)
}

// requestName decodes the part of a request's path below the base. A directory's slash is kept.
func requestName(escaped string) (name string, ok bool) {
	if escaped == "" {
		return "", true
	}
	name, ok = manifest.RequestPath(escaped)
	return name, ok && fs.ValidPath(strings.TrimSuffix(name, "/"))
}

// isDocument says whether a request for a name is where a visitor learns of a new snapshot: a page, or the manifest.
func isDocument(name string) bool {
	switch path.Ext(name) {
	case "", ".html", ".htm", ".xhtml":
		return !strings.HasPrefix(name, "planktos/")
	}
	return name == "planktos/manifest.json" || name == "planktos/root.torrent" || strings.HasSuffix(name, "/")
}

// generation returns the current one, and packs the first.
func (h *Handler) generation(ctx context.Context) (*generation, error) {
	h.setUp()
	if h.setUpErr != nil {
		return nil, h.setUpErr
	}
	if g := h.current.Load(); g != nil {
		return g, nil
	}
	h.packing.Lock()
	defer h.packing.Unlock()
	if g := h.current.Load(); g != nil {
		return g, nil
	}
	if h.failed.err != nil {
		if print, err := h.fingerprint(ctx); err == nil && h.failed.still(print) {
			return nil, h.failed.err
		}
	}
	return h.pack(ctx, nil)
}

// refresh compares the tree to what was packed if that was not done just now, packs it anew if they differ, and returns
// the generation to serve. While another request does so, it returns the current one at once.
func (h *Handler) refresh(ctx context.Context, g *generation) *generation {
	interval := h.CheckInterval
	if interval < 0 {
		return g
	}
	if interval == 0 {
		interval = 100 * time.Millisecond
	}
	// Looking at the tree may take no more than a tenth of the time.
	interval = max(interval, 10*time.Duration(g.checkTook.Load()))
	if time.Since(time.Unix(0, g.checkedAt.Load())) < interval || !h.packing.TryLock() {
		return h.current.Load()
	}
	defer h.packing.Unlock()
	g = h.current.Load()
	return h.check(ctx, g)
}

// changed is told that a file is not as it was packed, waits until the tree is packed anew, and returns the generation
// to serve.
func (h *Handler) changed(ctx context.Context, g *generation) *generation {
	if h.CheckInterval < 0 {
		return g
	}
	h.packing.Lock()
	defer h.packing.Unlock()
	if current := h.current.Load(); current != g {
		return current
	}
	return h.check(ctx, g)
}

// check compares the tree to g, and packs it if they differ. h.packing is held.
func (h *Handler) check(ctx context.Context, g *generation) *generation {
	began := time.Now()
	print, err := h.fingerprint(ctx)
	g.checkTook.Store(int64(time.Since(began)))
	g.checkedAt.Store(time.Now().UnixNano())
	if err != nil {
		h.log.Warn("site cannot be read; still serving what was packed", "error", err)
		return g
	}
	if print == g.print || h.failed.still(print) {
		return g
	}
	next, err := h.pack(ctx, g)
	if err != nil {
		h.log.Warn("site cannot be packed anew; still serving what was", "error", err)
		return g
	}
	return next
}

// pack packs the tree and puts the result in the place of old, which is nil at first. h.packing is held.
func (h *Handler) pack(ctx context.Context, old *generation) (*generation, error) {
	// One visitor's leaving must not fail the packing that others wait for.
	ctx = context.WithoutCancel(ctx)
	began := time.Now()
	// Taken before the files are read: a change meanwhile is seen as one the next time.
	print, err := h.fingerprint(ctx)
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	options := *h.Options
	if options.Trackers == nil {
		options.Trackers = []string{h.base + "planktos/tracker"}
	}
	if options.ICE == nil {
		options.ICE = []ICEServer{}
	}
	disabled := h.disabled()
	if disabled != nil {
		options.TagHTML, options.FirstVisit = false, ""
	}
	site, err := Pack(ctx, h.FS, &options)
	for tries := 1; tries < maxTries && errors.Is(err, snapshot.ErrChanged); tries++ {
		site, err = Pack(ctx, h.FS, &options)
	}
	if err != nil {
		h.failed = failure{print, time.Now(), err}
		return nil, err
	}
	if disabled != nil {
		site.packed.Disable(disabled)
	}
	next := &generation{site: site, print: print, disabled: disabled != nil}
	if next.sequence, err = h.sign(site, old); err != nil {
		h.failed = failure{print, time.Now(), err}
		return nil, err
	}
	next.checkedAt.Store(began.UnixNano())
	next.checkTook.Store(int64(took))
	if old != nil {
		next.older = append([]*Site{old.site}, old.older...)
		next.older = next.older[:min(len(next.older), keepGenerations)]
	}
	h.current.Store(next)
	if old != nil && !bytes.Equal(old.site.Manifest(), site.Manifest()) {
		h.tell(next)
	}
	h.log.Info("site packed", "snapshot", site.Snapshot(), "duration", time.Since(began))
	return next, nil
}

// sign signs the site that follows old, which is nil at first, and returns its number.
func (h *Handler) sign(site *Site, old *generation) (sequence int64, err error) {
	if h.Key == nil {
		return 0, nil
	}
	sequence = max(1, time.Now().UnixMilli())
	switch {
	case old == nil:
	case bytes.Equal(old.site.Manifest(), site.Manifest()):
		sequence = old.sequence
	default:
		sequence = max(sequence, old.sequence+1)
	}
	if err := site.packed.Sign(h.Key, sequence); err != nil {
		return 0, fmt.Errorf("planktos: signing the manifest: %w", err)
	}
	return sequence, nil
}

// publicKey is Key's public half; nil if there is none.
func (h *Handler) publicKey() ed25519.PublicKey {
	if len(h.Key) != ed25519.PrivateKeySize {
		return nil
	}
	return h.Key.Public().(ed25519.PublicKey)
}

// hasSwarm says whether a swarm is one of this site's, present or just superseded.
func (h *Handler) hasSwarm(infoHash [20]byte) bool {
	g := h.current.Load()
	if g == nil {
		return false
	}
	if g.site.packed.Root.Torrent.InfoHash == infoHash {
		return true
	}
	for _, site := range g.older {
		if site.packed.Root.Torrent.InfoHash == infoHash {
			return true
		}
	}
	return false
}
