package seeder

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/store"
	"github.com/planktos/planktos/internal/swarm"
)

const (
	// DefaultInterval is how often a site's manifest is looked at, a fifth more or less.
	DefaultInterval = 5 * time.Minute
	// joinTime is how long a release's file table may take to come. It is tried again when the manifest is next looked
	// at, so that a release that is not all uploaded yet costs nothing.
	joinTime = 2 * time.Minute
	// torrentTime is how long the torrent may take, which others do not wait for.
	torrentTime = 10 * time.Second
	// DefaultRetry is how long after there was no room for a content it is tried again.
	DefaultRetry = time.Minute
)

// Where a follower keeps what it knows of its site, in its store's folder.
const (
	siteFile     = "site"
	manifestFile = "manifest.json"
	torrentFile  = "root.torrent"
)

// A Follower keeps a site, release after release: it has what the newest one consists of and gives it to peers, and
// keeps giving the one before until there is a newer one.
//
// Fields may be set until Run. At most one of Store and Folder is set, and then is the library of Node. Where neither
// is, the library has what the site consists of by itself.
type Follower struct {
	Node *swarm.Node
	// URL is the site's root URL, ending in a slash. A folder may have none.
	URL string
	// Source gives the site's documents.
	Source release.Source
	// Store is where contents are put, and what is known of the site.
	Store *store.Store
	// Folder is the packed site itself.
	Folder *Folder
	// Key is the site's public key. Releases that are signed by it are taken up from peers, too. If nil, that of the worker's
	// script, if it comes over HTTPS or from this machine. Run sets it.
	Key ed25519.PublicKey
	// KeyOnly has Source believed no more than a peer is: only what Key has signed, and nothing older than what is known.
	KeyOnly bool
	// Unshared has releases followed by which nobody is to share, too: they come from web seeds alone, and no peer is met.
	// If false, one has the site's swarms left, and ends Run where that is how the site begins.
	Unshared bool
	// Limit is how many bytes of contents are kept at most. If zero, all.
	Limit int64
	// Interval is how often the manifest is looked at, and more often when trackers tell of a release. If zero,
	// [DefaultInterval].
	Interval time.Duration
	// Patience is how long the first look at the source may take where what the site was is known. If zero,
	// [DefaultPatience].
	Patience time.Duration
	// Retry is how long after there was no room for a content it is tried again. If zero, [DefaultRetry].
	Retry time.Duration
	// Logger is told of what fails, and goes on. If nil, nothing is logged.
	Logger *slog.Logger
	// Joined is called when a release's swarm has been joined, with the names of those of a folder's files that are not
	// what the manifest says; Completed when all that is wanted of it is there. They may be nil.
	Joined    func(s *Snapshot, bad []string)
	Completed func(s *Snapshot)
	// Disabled is called when the site's swarms have been left because it has disabled Planktos, with the manifest that
	// says so. If nil, Run ends where that is how the site begins.
	Disabled func(document []byte)
	// Progress is told how far a folder is read. It may be nil.
	Progress func(done, total int64)

	log      *slog.Logger
	document []byte    // of current, or of a site that is not to be shared
	current  *Snapshot // nil before the first, and while nobody is to share
	previous *Snapshot
	refused  []byte // a manifest that could not be taken, which is logged once
	hints    hints
	working  sync.WaitGroup

	handed  chan []byte // a signed root that a peer has handed over, verified
	trust   sync.Mutex  // guards Key while running, and highest: the manifest of the highest number that Key has signed
	highest []byte
}

// Run follows the site until ctx ends, which is no error. It is one if the site cannot be joined at all: its manifest
// is neither to be had nor known, is none, or says that nobody is to share.
func (f *Follower) Run(ctx context.Context) error {
	f.log = f.Logger
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	defer f.working.Wait()
	defer f.leave()
	f.hints = newHints()
	f.handed = make(chan []byte, 1)
	if f.Folder == nil && (f.Key != nil || f.secure()) {
		f.Node.Judge = f.judge
	}
	if err := f.begin(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	interval := f.Interval
	if interval == 0 {
		interval = DefaultInterval
	}
	next := func() time.Duration { return time.Duration(float64(interval) * (0.8 + 0.4*rand.Float64())) }
	regular := time.NewTimer(next())
	defer regular.Stop()
	defer f.hints.due.Stop()
	var seen <-chan view // what the look shows that is under way; nil while none is
	var told *swarm.Hint // that it is because of, if any
	for {
		trackers, peers, due, timed := f.hints.trackers, f.hints.peers, f.hints.due.C, regular.C
		if seen != nil { // one look at a time, which what is handed over does not wait for
			trackers, peers, due, timed = nil, nil, nil, nil
		}
		select {
		case <-ctx.Done():
			return nil
		case hint := <-trackers:
			f.follow(hint)
		case hint := <-peers:
			f.follow(hint)
		case root := <-f.handed:
			f.takeHanded(ctx, root)
		case <-due:
			if hint := f.hints.take(); !f.knows(hint) { // it may have come meanwhile
				told, seen = &hint, f.look(ctx)
			}
		case <-timed:
			told, seen = nil, f.look(ctx)
			regular.Reset(next())
		case v := <-seen:
			seen = nil
			if err := f.takeSeen(ctx, v); told != nil {
				f.followed(*told, err)
			}
		}
	}
}

// begin joins the site as it is, or as it was when it was last seen.
func (f *Follower) begin(ctx context.Context) error {
	if err := f.claim(); err != nil {
		return err
	}
	kept, keptErr := f.Kept()
	shown := f.firstView(ctx, keptErr == nil)
	document, err := shown.document, shown.err
	f.learnKey(shown)
	f.raise(kept)
	if err == nil {
		err = f.check(document)
	}
	if err == nil {
		err = f.take(ctx, document)
		if err == nil || f.Store == nil || isWithdrawn(err) {
			return err
		}
	}
	if keptErr != nil || bytes.Equal(kept, document) {
		return err
	}
	if _, unsigned := manifest.Verify(kept, f.Key); unsigned != nil && f.KeyOnly {
		return err
	}
	if _, bad := Parse(kept, filepath.Join(f.Store.Dir(), manifestFile)); bad != nil && !isWithdrawn(bad) {
		return fmt.Errorf("%w; and what is known of it: %w", err, bad) // of a newer version, say
	}
	f.log.Warn("the site cannot be joined as it is; going on with what is known of it", "error", err)
	return f.take(ctx, kept)
}

// claim makes sure that the store's folder is this site's.
func (f *Follower) claim() error {
	if f.Store == nil {
		return nil
	}
	root := f.Store.Root()
	switch site, err := root.ReadFile(siteFile); {
	case errors.Is(err, fs.ErrNotExist):
		return f.write(siteFile, []byte(f.URL+"\n"))
	case err != nil:
		return err
	case string(bytes.TrimSpace(site)) != f.URL:
		return fmt.Errorf("%s holds another site, %s", f.Store.Dir(), bytes.TrimSpace(site))
	}
	return nil
}

// Kept is the manifest that the store's folder has of an earlier run; the error wraps [fs.ErrNotExist] if it has none.
func (f *Follower) Kept() ([]byte, error) {
	if f.Store == nil {
		return nil, fs.ErrNotExist
	}
	return f.Store.Root().ReadFile(manifestFile)
}

// takeHanded takes up a release that has been handed over. One that cannot be had may be asked for again.
func (f *Follower) takeHanded(ctx context.Context, root []byte) {
	switch err := f.take(ctx, root); {
	case err == nil:
		f.log.Info("a signed release has been handed over")
	case ctx.Err() == nil:
		f.log.Warn("a signed release that was handed over cannot be taken up; going on with the one before", "error", err)
		f.tell()
	}
}

// take joins the snapshot of a manifest, and leaves those that it supersedes.
func (f *Follower) take(ctx context.Context, document []byte) error {
	root, err := Parse(document, f.Source.Where(release.ManifestFile))
	off := err == nil && root.Policy.Mode == "off"
	if off && !f.Unshared {
		err = fmt.Errorf("%s: %w", f.Source.Where(release.ManifestFile), ErrOff)
	}
	if isWithdrawn(err) {
		return f.withdraw(ctx, document, err)
	}
	if err != nil {
		return err
	}
	var bad []string
	if f.Folder != nil {
		if bad, err = f.takeFolder(ctx); err != nil {
			return err
		}
	}
	if off && f.current != nil { // at once, though not all of the release may be there yet
		f.depart(ctx, document)
		f.document = nil // so that this is tried again, and the one before taken up if it is shown again
	}
	same := func(s *Snapshot) bool { return s != nil && s.Root.Torrent.InfoHash == root.Torrent.InfoHash }
	switch {
	case same(f.current): // with other trackers, say
		f.current.Swarm.Close()
		f.current = nil
	case same(f.previous): // a site that went back
		f.previous.Swarm.Close()
		f.previous = nil
	}
	f.makeRoom(root)
	joining, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	next, err := Join(joining, f.Node, document, f.URL, f.hear)
	if err != nil {
		return err
	}
	f.addTorrent(ctx, next, document)
	f.supersede(next)
	wanted := f.wanted(next)
	f.sweep(wanted)
	f.document = document
	f.raise(document)
	f.tell()
	f.keep(document)
	if f.Joined != nil {
		f.Joined(next, bad)
	}
	f.working.Go(func() { f.download(ctx, next, wanted) })
	return nil
}

// takeFolder reads the folder's release, before anything of it is promised to peers.
func (f *Follower) takeFolder(ctx context.Context) ([]string, error) {
	r, err := release.Read(ctx, f.Source, release.ManifestFile)
	if err != nil {
		return nil, err
	}
	progress := f.Progress
	if progress == nil {
		progress = func(int64, int64) {}
	}
	return f.Folder.Take(ctx, r, progress)
}

// supersede makes next the current snapshot. The one before stays for visitors who are still on it, unless every byte
// counts.
func (f *Follower) supersede(next *Snapshot) {
	if f.current != nil {
		if f.previous != nil {
			f.previous.Swarm.Close()
		}
		f.previous = f.current
	}
	f.current = next
	if f.Limit > 0 && f.previous != nil {
		f.previous.Swarm.Close()
		f.previous = nil
	}
}

// addTorrent completes a manifest's snapshot by what the torrent alone names, if that is kept or to be had.
func (f *Follower) addTorrent(ctx context.Context, s *Snapshot, document []byte) {
	const maxTorrent = 64 << 20
	if kept, err := f.Kept(); err == nil && bytes.Equal(kept, document) {
		if data, err := f.Store.Root().ReadFile(torrentFile); err == nil && s.AddTorrent(data) == nil {
			return
		}
	}
	reading, cancel := context.WithTimeout(ctx, torrentTime)
	defer cancel()
	data, err := release.ReadFile(reading, f.Source, "planktos/root.torrent", maxTorrent)
	if err == nil {
		err = s.AddTorrent(data)
	}
	if err != nil {
		f.log.Debug("the engine's script is not seeded", "error", err)
		return
	}
	if f.Store != nil {
		if err := f.write(torrentFile, data); err != nil {
			f.log.Debug("the torrent cannot be noted", "error", err)
		}
	}
}

// keep notes the manifest for a run in which the site is gone.
func (f *Follower) keep(document []byte) {
	if f.Store == nil {
		return
	}
	if err := f.write(manifestFile, document); err != nil {
		f.log.Warn("what the site consists of cannot be noted", "error", err)
	}
}

// write puts a file into the store's folder, whole or not at all: the disk may be full.
func (f *Follower) write(name string, data []byte) error {
	root := f.Store.Root()
	next := name + ".next"
	err := root.WriteFile(next, data, 0o644)
	if err == nil {
		err = root.Rename(next, name)
	}
	if err != nil {
		_ = root.Remove(next) // there may be none of it
		return fmt.Errorf("%s: %w", filepath.Join(f.Store.Dir(), name), errors.Unwrap(err))
	}
	return nil
}

// download has contents, and goes on trying for as long as the snapshot is one of ours.
func (f *Follower) download(ctx context.Context, s *Snapshot, wanted []swarm.Content) {
	told := ""
	retry := f.Retry
	if retry == 0 {
		retry = DefaultRetry
	}
	for {
		s.Swarm.Want(wanted...)
		err := s.Swarm.Wait(ctx, wanted...)
		switch {
		case err == nil:
			if f.Completed != nil {
				f.Completed(s)
			}
			return
		case ctx.Err() != nil, errors.Is(err, swarm.ErrClosed):
			return
		case err.Error() != told:
			told = err.Error()
			f.log.Warn("not all of the site can be kept; seeding what is there", "error", err)
		}
		timer := time.NewTimer(retry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}
