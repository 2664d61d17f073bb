package seeder

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/swarm"
)

// DefaultPatience is how long the first look at a site may take that is known from an earlier run.
const DefaultPatience = 10 * time.Second

// A view is what the source showed when it was looked at.
type view struct {
	document []byte
	err      error
	// key is that of the worker's script, nil if the manifest is not signed, and keyErr why it is not known. They are for
	// sources that are the site's own word.
	key    ed25519.PublicKey
	keyErr error
	// known is the document that was known before.
	known []byte
}

// see reads the manifest, and the key if the manifest is not the one that is known. It may run beside everything else.
func (f *Follower) see(ctx context.Context, known []byte) view {
	v := view{known: known}
	v.document, v.err = release.ReadFile(ctx, f.Source, release.ManifestFile, manifest.MaxBytes)
	if v.err == nil && f.secure() && !bytes.Equal(v.document, known) {
		v.key, v.keyErr = f.shownKey(ctx, v.document)
	}
	return v
}

// firstView is what the source shows at the start: where the site is known from an earlier run, a host that accepts
// connections and says nothing keeps nobody waiting.
func (f *Follower) firstView(ctx context.Context, isKnown bool) view {
	if !isKnown {
		return f.see(ctx, nil)
	}
	patience := f.Patience
	if patience == 0 {
		patience = DefaultPatience
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	v := f.see(bounded, nil)
	if v.err != nil && bounded.Err() != nil && ctx.Err() == nil {
		v.err = fmt.Errorf("%s: no answer within %v", f.Source.Where(release.ManifestFile), patience)
	}
	return v
}

// look sees what the source shows, beside everything else.
func (f *Follower) look(ctx context.Context) <-chan view {
	seen := make(chan view, 1)
	known := f.document
	f.working.Go(func() { seen <- f.see(ctx, known) })
	return seen
}

// errNoNews says that a source shows what is known already.
var errNoNews = errors.New("no news")

// takeSeen takes up a new release if it is shown; [errNoNews] if not. What it cannot take leaves everything as it is. A
// source that shows what was known before it was looked at has no say against what was handed over meanwhile.
func (f *Follower) takeSeen(ctx context.Context, v view) error {
	if v.err != nil {
		f.log.Debug("the manifest cannot be had", "error", v.err)
		return v.err
	}
	switch {
	case bytes.Equal(v.document, v.known):
		return errNoNews
	case bytes.Equal(v.document, f.document): // it was handed over meanwhile
		return nil
	}
	err := f.check(v.document)
	if err == nil {
		f.learnKey(v)
		err = f.take(ctx, v.document)
	}
	if err != nil && ctx.Err() == nil && !bytes.Equal(v.document, f.refused) {
		f.refused = v.document
		f.log.Warn("a new release cannot be taken up; going on with the one before", "error", err)
	}
	return err
}

// hear is told what trackers and peers tell of releases. A root that is handed over speaks for itself, where there is a
// key to verify it by.
func (f *Follower) hear(hint swarm.Hint) {
	if hint.Root == nil || f.Node.Judge == nil {
		f.hints.heard(hint)
		return
	}
	switch _, err := f.judge(hint.Root); {
	case errors.Is(err, errNoKey):
		f.hints.heard(hint)
	case err != nil:
		f.log.Debug("a release that a tracker has handed over is refused", "error", err)
	}
}

// follow has the source looked at in due course because of a hint, if that is news.
func (f *Follower) follow(hint swarm.Hint) {
	if !f.knows(hint) {
		f.hints.follow(hint, time.Now())
	}
}

// knows tells whether a hint is no news. Peers that come from an earlier release have nothing to tell; of a site that
// goes back to it, trackers tell.
func (f *Follower) knows(hint swarm.Hint) bool {
	is := func(s *Snapshot) bool { return s != nil && s.Root.Snapshot == hint.Snapshot }
	return is(f.current) || hint.Peer != nil && is(f.previous)
}

// followed notes what a look came to that a hint was the reason for.
func (f *Follower) followed(hint swarm.Hint, err error) {
	f.hints.looked(hint, time.Now(), err == nil)
	if errors.Is(err, errNoNews) && !f.knows(hint) {
		f.Node.Bogus(hint)
	}
}

// shownKey reads the site's key out of its worker's script, if the manifest that the site shows is signed.
func (f *Follower) shownKey(ctx context.Context, shown []byte) (ed25519.PublicKey, error) {
	if _, err := manifest.Claimed(shown); errors.Is(err, manifest.ErrUnsigned) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	script, err := release.ReadFile(ctx, f.Source, release.WorkerFile, release.MaxWorker)
	return release.KeyOf(script), err
}
