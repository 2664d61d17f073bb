package seeder

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/swarm"
)

// News are for a program that is in the midst of one release, and is to learn that there is another.
type News struct {
	// Source shows the site's manifest.
	Source release.Source
	// Known is the manifest of the release at hand.
	Known []byte
	// Key, if not nil, must have signed a release, with a higher number than Known has. Then one that a tracker hands
	// over is believed, too.
	Key ed25519.PublicKey
	// Node is where peers are met that tell of releases; who has made one up is not listened to any more.
	Node *swarm.Node

	hints hints
}

// NewNews makes one, whose fields may be set until Wait.
func NewNews() *News { return &News{hints: newHints()} }

// Hear takes what trackers and peers tell of releases ([Join]).
func (n *News) Hear(hint swarm.Hint) { n.hints.heard(hint) }

// Wait waits until it is told that there is another release, and the source shows it, or a tracker has handed it over
// signed, and gives its snapshot. The source is looked at as seldom as by a [Follower]. The error is that of ctx, or of
// a Known that is no manifest.
func (n *News) Wait(ctx context.Context) (snapshot merkle.Hash, err error) {
	known, err := manifest.Parse(n.Known)
	if err != nil {
		return snapshot, err
	}
	current := known.Snapshot
	for {
		var hint swarm.Hint
		select {
		case hint = <-n.hints.trackers:
		case hint = <-n.hints.peers:
		case <-n.hints.due.C:
			if snapshot, err = n.look(ctx, n.hints.take(), current); err == nil {
				return snapshot, nil
			}
			continue
		case <-ctx.Done():
			return snapshot, ctx.Err()
		}
		if hint.Root != nil && n.Key != nil {
			if snapshot, err = n.believe(hint.Root); err == nil && snapshot != current {
				return snapshot, nil
			}
		}
		if hint.Snapshot != current {
			n.hints.follow(hint, time.Now())
		}
	}
}

// look looks whether it is as a hint says, and gives the snapshot that the source shows; [errNoNews] if it is current.
func (n *News) look(ctx context.Context, hint swarm.Hint, current merkle.Hash) (snapshot merkle.Hash, err error) {
	document, err := release.ReadFile(ctx, n.Source, release.ManifestFile, manifest.MaxBytes)
	if err == nil {
		snapshot, err = n.believe(document)
	}
	if err == nil && snapshot == current {
		err = errNoNews
		n.Node.Bogus(hint)
	}
	n.hints.looked(hint, time.Now(), err == nil)
	return snapshot, err
}

func (n *News) believe(document []byte) (snapshot merkle.Hash, err error) {
	if n.Key != nil {
		if _, err := Check(document, n.Key, n.Known, time.Now()); err != nil {
			return snapshot, err
		}
	}
	root, err := manifest.Parse(document)
	if err != nil {
		return snapshot, err
	}
	return root.Snapshot, nil
}
