package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/torrent"
)

// RollbackOptions say where [Rollback] goes back to.
type RollbackOptions struct {
	// Snapshot is the id of a kept snapshot, or the beginning of one. If empty, the one that was superseded last.
	Snapshot string
	// Runtime is the scripts that are published with it.
	Runtime Runtime
	// Sign has the manifest signed, with a sequence number above that of the published one. It is needed if that is signed:
	// its number alone would keep visitors from going back.
	Sign *Signing
	// Progress is called as contents are read, by one goroutine at a time. If nil, it is not.
	Progress func(Progress)
}

// RolledBack tells what [Rollback] did.
type RolledBack struct {
	// Snapshot is what is published now, and From what was before.
	Snapshot, From merkle.Hash
	// Restored are the site's files that were written anew, and Removed those that the snapshot does not have.
	Restored, Removed []string
	// Superseded are the ids of the snapshots whose contents are kept, the newest first.
	Superseded []merkle.Hash
	// Seal is what the manifest says of itself if it is signed; its Sequence is 0 otherwise.
	Seal manifest.Seal
}

// A ConflictError lists files that a rollback would have overwritten or removed, though they are of no release.
type ConflictError struct {
	// Files are sorted by path; each begins with it and goes on with the reason.
	Files []string
}

func (e *ConflictError) Error() string {
	text := strings.Join(e.Files[:min(len(e.Files), 5)], "; ")
	if more := len(e.Files) - 5; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// Rollback publishes a superseded snapshot again, whose contents are still kept: the site's own files become what they
// were, and what was published becomes the snapshot that was superseded last, so that there is a way forth, too. All
// contents are verified first. It is atomic as [Publish] is: until the manifest is put in its place, the last of all, the
// published one names contents that are there, and an interrupted rollback can be done again. Files that are neither as
// they were published nor as they are to be are a [*ConflictError], and nothing is changed.
func Rollback(ctx context.Context, dir string, o RollbackOptions) (*RolledBack, error) {
	if _, err := os.Stat(filepath.Join(dir, ManifestFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w here", dir, ErrNotPacked)
	}
	p, err := openPublisher(dir)
	if err != nil {
		return nil, err
	}
	defer p.close()
	past, err := readHistory(ctx, release.Dir(p.root))
	if err != nil {
		return nil, err
	}
	switch {
	case past.disabled != nil:
		return nil, fmt.Errorf("%s: %w", dir, ErrDisabled)
	case past.current == nil:
		return nil, fmt.Errorf("%s: %w here", dir, ErrNotPacked)
	}
	target, err := past.find(o.Snapshot)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	for _, r := range []*release.Release{target, past.current} {
		if !r.Root.Copies {
			return nil, fmt.Errorf("%s: snapshot %s was packed in place, so that its files are not kept by their hash", dir,
				r.Root.Snapshot)
		}
	}
	s, err := p.rebuild(ctx, target, o)
	if err != nil {
		return nil, fmt.Errorf("%s: snapshot %s cannot be published again: %w", dir, target.Root.Snapshot, err)
	}
	plan, err := p.plan(ctx, past.current, target)
	if err != nil {
		return nil, err
	}
	s.restore = plan
	if err := p.seal(s, past, o.Sign); err != nil {
		return nil, fmt.Errorf("%s: signing the manifest: %w", dir, err)
	}
	if p.done.Unsealed {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoKey)
	}
	older := past.supersede(target.Root.Snapshot, p.manifest, manifest.MaxSuperseded-1)
	if err := p.stageSuperseded(target.Root.Snapshot, older); err != nil {
		return nil, p.abort(err)
	}
	if err := p.stageSnapshot(ctx, s); err != nil {
		return nil, p.abort(err)
	}
	if err := p.commit(ctx); err != nil {
		return nil, p.abort(err)
	}
	if len(past.lost) == 0 {
		if err := p.prune(s.contentNames(), older); err != nil {
			return nil, err
		}
	}
	done := &RolledBack{Snapshot: target.Root.Snapshot, From: past.current.Root.Snapshot, Superseded: p.done.Superseded,
		Seal: p.done.Seal}
	for _, r := range plan {
		if r.content == nil {
			done.Removed = append(done.Removed, r.path)
		} else {
			done.Restored = append(done.Restored, r.path)
		}
	}
	return done, nil
}

// find gives the superseded release whose id begins as given, or the last one. The published one is none.
func (h *history) find(begin string) (*release.Release, error) {
	var found []*release.Release
	var ids []string
	for _, r := range h.older {
		id := r.Root.Snapshot.String()
		if r.Root.Snapshot == h.current.Root.Snapshot {
			continue
		}
		ids = append(ids, id)
		if strings.HasPrefix(id, begin) {
			found = append(found, r)
		}
	}
	switch {
	case len(ids) == 0:
		return nil, fmt.Errorf("%w: no superseded snapshot is kept here", ErrNoSnapshot)
	case len(found) == 0:
		return nil, fmt.Errorf("%w: none that is kept begins with %q; there are %s", ErrNoSnapshot, begin,
			strings.Join(ids, ", "))
	case len(found) > 1 && begin != "":
		return nil, fmt.Errorf("%w: several that are kept begin with %q: %s", ErrNoSnapshot, begin,
			strings.Join(ids, ", "))
	}
	return found[0], nil
}

// ErrNoKey reports that a release is signed, and what is to follow it is not.
var ErrNoKey = errors.New("the published manifest is signed, so the next needs a key")

// ErrNoSnapshot reports that there is no such snapshot to go back to.
var ErrNoSnapshot = errors.New("no snapshot to go back to")

// rebuild makes the snapshot of a release anew from the contents that are kept of it, which it verifies. If the runtime
// is the one that the release was published with, its manifest is the same.
func (p *publisher) rebuild(ctx context.Context, r *release.Release, o RollbackOptions) (*Snapshot, error) {
	s := &Snapshot{fsys: p.root.FS(), runtime: o.Runtime, markup: &markup{}, cache: &cache{}}
	s.Files = make([]File, len(r.Files))
	hashes, loads := make([]torrent.FileHashes, len(r.Files)), make([][]int, len(r.Files))
	first := map[merkle.Hash]int{} // the file whose content is read for all that have it
	var each []int
	for i, f := range r.Files {
		loads[i] = f.Loads
		s.Files[i] = File{Path: f.Path, Hash: f.Hash, Size: f.Size}
		if _, seen := first[f.Hash]; !seen {
			first[f.Hash] = i
			each = append(each, i)
		}
	}
	var total int64
	for _, i := range each {
		total += r.Files[i].Size
	}
	p.tally = newTally(o.Progress, len(each), total)
	p.known = make(map[string]known, len(each))
	err := parallel(ctx, processors(), len(each), func(ctx context.Context, k int) error {
		i := each[k]
		h, at, err := p.reread(ctx, r.Files[i], r.Root.Torrent.PieceLength)
		if err != nil {
			return err
		}
		hashes[i] = h
		name := release.ContentFile(h.Root)
		p.mu.Lock()
		defer p.mu.Unlock()
		// The publisher's lock keeps other packs out: what was just read need not be again.
		p.known[name] = known{at.stamp, h.Root}
		s.Files[i].source, s.Files[i].ModTime = at, at.modTime
		p.tally.add(1, 0)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, f := range r.Files {
		hashes[i], s.Files[i].source = hashes[first[f.Hash]], s.Files[first[f.Hash]].source
	}
	root := r.Root
	options := &Options{
		Policy: root.Policy, Trackers: root.Trackers, ICE: root.ICE, WebSeeds: root.WebSeeds, Headers: root.Headers,
		Runtime: o.Runtime,
	}
	p.tally = nil
	return s, s.assemble(options, "/", root.Torrent.PieceLength, hashes, loads)
}

// reread hashes a kept content as packing did.
func (p *publisher) reread(ctx context.Context, f manifest.File, pieceLength int64) (
	h torrent.FileHashes, at source, err error) {
	if f.Size == 0 {
		h, err = torrent.HashFile(strings.NewReader(""), 0, pieceLength)
		return h, at, err
	}
	name := release.ContentFile(f.Hash)
	copied, err := p.root.Open(name)
	if err != nil {
		return h, at, fmt.Errorf("%s, the content of %s: %w", name, f.Path, cause(err))
	}
	defer copied.Close()
	info, err := copied.Stat()
	if err != nil {
		return h, at, fmt.Errorf("%s: %w", name, cause(err))
	}
	at = source{path: name, size: f.Size, modTime: info.ModTime(), stamp: stampOf(info), info: info}
	h, err = torrent.HashFile(p.tally.reader(ctx, copied), f.Size, pieceLength)
	switch {
	case errors.Is(err, torrent.ErrSize), err == nil && h.Root != f.Hash:
		return h, at, fmt.Errorf("%s, the content of %s, is damaged", name, f.Path)
	case err != nil:
		return h, at, fmt.Errorf("%s: %w", name, cause(err))
	}
	return h, at, nil
}
