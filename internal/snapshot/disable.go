package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/release"
)

// ErrDisabled reports a site that has disabled Planktos.
var ErrDisabled = manifest.ErrDisabled

// ErrNoNumber reports that a manifest cannot be signed, since nothing is there of the release whose number it follows.
var ErrNoNumber = errors.New("the last release's number is not known")

// DisableOptions say how [Disable] does it.
type DisableOptions struct {
	// Sign, if not nil, has the manifest signed with the number after the last release's.
	Sign *Signing
	// Force has it written into a folder without a manifest, too: a site's source, of which the published site is made.
	Force bool
}

// Disable replaces the manifest of the packed site in dir by one that has Planktos leave the site's visitors. What was
// published is kept as superseded snapshots are, and so the next [Publish] goes on from there. Of a site that is disabled
// already nothing is changed. The error wraps [ErrNotPacked] if there is no manifest, unless it is forced, and then, if it
// is to be signed, [ErrNoNumber].
func Disable(ctx context.Context, dir string, o DisableOptions) (manifest.Seal, error) {
	sign := o.Sign
	if _, err := os.Stat(filepath.Join(dir, ManifestFile)); errors.Is(err, fs.ErrNotExist) {
		switch {
		case !o.Force:
			return manifest.Seal{}, fmt.Errorf("%s: %w here", dir, ErrNotPacked)
		case sign != nil:
			return manifest.Seal{}, fmt.Errorf("%s: signing the manifest: %w", dir, ErrNoNumber)
		}
	}
	p, err := openPublisher(dir)
	if err != nil {
		return manifest.Seal{}, err
	}
	defer p.close()
	past, err := readHistory(ctx, release.Dir(p.root))
	if _, bad := errors.AsType[*release.BadError](err); bad {
		// What cannot be read is no reason to go on with it.
		past, err = &history{}, nil
	}
	if err != nil {
		return manifest.Seal{}, err
	}
	if past.disabled != nil {
		seal, err := manifest.Claimed(past.disabled)
		if sign == nil || err == nil {
			return seal, nil
		}
	}
	document, seal := manifest.EncodeDisabled(), manifest.Seal{}
	if sign != nil {
		if document, seal, err = past.sealed(document, sign); err != nil {
			return seal, fmt.Errorf("%s: signing the manifest: %w", dir, err)
		}
	}
	if past.current != nil {
		id := past.current.Root.Snapshot
		if err := p.stageSuperseded(id, past.supersede(id, document, manifest.MaxSuperseded-1)); err != nil {
			return seal, p.abort(err)
		}
	}
	if err := p.stage(ManifestFile, document); err != nil {
		return seal, p.abort(err)
	}
	if err := p.commit(ctx); err != nil {
		return seal, p.abort(err)
	}
	return seal, nil
}

// Disable has the manifest that is opened be one that has Planktos leave the site's visitors. All else is as it was built.
func (s *Snapshot) Disable(document []byte) {
	s.Manifest = document
	s.addAsset(ManifestFile, document)
}
