package snapshot

import (
	"context"
	"errors"
	"io/fs"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
)

// history is what a site has published: the release that is, and those before it whose contents are still there, the
// newest first.
type history struct {
	current *release.Release // nil if there is none
	// disabled is the published manifest where it is none of a release: the site has disabled Planktos.
	disabled []byte
	older    []*release.Release
	// lost says of older ones why they cannot be read.
	lost []error
}

// readHistory reads what a site has published. Of a superseded snapshot it is no error that it is missing or damaged.
func readHistory(ctx context.Context, src release.Source) (*history, error) {
	h := new(history)
	var err error
	h.current, err = release.Read(ctx, src, ManifestFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return h, nil
	case errors.Is(err, manifest.ErrDisabled):
		if h.disabled, err = release.ReadFile(ctx, src, ManifestFile, manifest.MaxBytes); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	ids, err := release.Superseded(ctx, src)
	if err = h.lose(err); err != nil {
		return nil, err
	}
	for _, id := range ids {
		r, err := release.Read(ctx, src, release.SnapshotFile(id))
		if err == nil && r.Root.Snapshot != id {
			where := src.Where(release.SnapshotFile(id))
			err = &release.BadError{Where: where, Err: errors.New("another snapshot's manifest")}
		}
		if err == nil {
			h.older = append(h.older, r)
		} else if err = h.lose(err); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// lose notes an error that tells of something missing or damaged, and gives others back.
func (h *history) lose(err error) error {
	if _, bad := errors.AsType[*release.BadError](err); bad || errors.Is(err, fs.ErrNotExist) {
		h.lost = append(h.lost, err)
		return nil
	}
	return err
}

// supersede gives what the next history keeps of this one, when a manifest is published: the releases of keep other
// snapshots and, if the published snapshot has had another manifest, that too, for the shards that it names. Of each
// snapshot the newest release counts.
func (h *history) supersede(snapshot merkle.Hash, document []byte, keep int) []*release.Release {
	all := h.older
	if h.current != nil {
		all = append([]*release.Release{h.current}, all...)
	}
	var kept []*release.Release
	seen := map[merkle.Hash]bool{}
	others := 0
	for _, r := range all {
		id := r.Root.Snapshot
		if keep == 0 || seen[id] || id != snapshot && others == keep || string(r.Manifest) == string(document) {
			continue
		}
		seen[id] = true
		if id != snapshot {
			others++
		}
		kept = append(kept, r)
	}
	return kept
}

// stageSuperseded writes the manifests of the releases that are kept, and the list of them.
func (p *publisher) stageSuperseded(published merkle.Hash, kept []*release.Release) error {
	ids := make([]merkle.Hash, 0, len(kept))
	for _, r := range kept {
		id := r.Root.Snapshot
		ids = append(ids, id)
		if id != published {
			p.done.Superseded = append(p.done.Superseded, id)
		}
		if err := p.stage(release.SnapshotFile(id), r.Manifest); err != nil {
			return err
		}
	}
	if len(ids) == 0 {
		return nil // if there is a list, it goes when all is in place
	}
	document, err := manifest.EncodeSuperseded(ids)
	if err != nil {
		return err
	}
	return p.stage(release.SupersededFile, document)
}
