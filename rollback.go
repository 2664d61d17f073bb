package planktos

import (
	"context"
	"crypto/ed25519"
	"time"

	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/snapshot"
)

// RollbackOptions says where [Rollback] goes back to.
type RollbackOptions struct {
	// Snapshot is the id of a kept snapshot, or the beginning of one. If empty, the one that was superseded last.
	Snapshot string

	// Key and Expires are as in [PublishOptions]. A Key is needed if the published release is signed.
	Key     ed25519.PrivateKey
	Expires time.Time

	// Progress, if not nil, is told now and then how many bytes of how many have been read, by one goroutine at a time.
	Progress func(done, total int64)
}

// RolledBack tells what [Rollback] did.
type RolledBack struct {
	// Snapshot is the id of what is published now, and From of what was before.
	Snapshot string `json:"snapshot"`
	From     string `json:"from"`
	// Restored are the site's files that were written anew, and Removed those that the snapshot does not have.
	Restored []string `json:"restored"`
	Removed  []string `json:"removed"`
	// Superseded are the ids of the snapshots whose contents are kept, the newest first.
	Superseded []string `json:"superseded"`
	// Signed tells of the manifest's signature; nil if it has none.
	Signed *Signature `json:"signed"`
}

// ErrNoKey reports that the published release is signed, and that the next needs a key, too.
var ErrNoKey = snapshot.ErrNoKey

// ErrNoSnapshot reports that a folder keeps no such snapshot.
var ErrNoSnapshot = snapshot.ErrNoSnapshot

// ConflictError lists files that a rollback would have overwritten or removed, though they are of no release.
type ConflictError = snapshot.ConflictError

// Rollback publishes a superseded snapshot again that a packed folder still keeps the contents of (see
// [PublishOptions.Keep]): the site's files become what they were, and what was published is superseded, and can be gone
// back to as well. Everything is verified before anything changes, and the manifest is put in place last, so that the
// published snapshot stays usable whatever happens. Files that are neither as they were published nor as they are to be
// are a [*ConflictError]. The error wraps [ErrNotPacked] or [ErrNoSnapshot] if there is nothing to go back from or to.
// opts may be nil.
func Rollback(ctx context.Context, dir string, opts *RollbackOptions) (*RolledBack, error) {
	if opts == nil {
		opts = &RollbackOptions{}
	}
	scripts, err := runtimeScripts()
	if err != nil {
		return nil, err
	}
	o := snapshot.RollbackOptions{Snapshot: opts.Snapshot, Runtime: scripts, Sign: signing(opts.Key, opts.Expires)}
	if opts.Progress != nil {
		o.Progress = func(p snapshot.Progress) { opts.Progress(p.Bytes, p.TotalBytes) }
	}
	done, err := snapshot.Rollback(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	r := &RolledBack{
		Snapshot: done.Snapshot.String(), From: done.From.String(), Superseded: []string{},
		Signed:   signatureOf(done.Seal, opts.Key),
		Restored: append([]string{}, done.Restored...), Removed: append([]string{}, done.Removed...),
	}
	for _, id := range done.Superseded {
		r.Superseded = append(r.Superseded, id.String())
	}
	return r, nil
}

// Superseded reads the releases before the published one whose contents a packed folder still keeps, or a site at a URL
// does, the newest first. What is missing or damaged of one is an error that names it.
func Superseded(ctx context.Context, where string) ([]*Release, error) {
	published, err := ReadRelease(ctx, where)
	if err != nil {
		return nil, err
	}
	src, closed, err := openSource(where)
	if err != nil {
		return nil, err
	}
	defer closed()
	ids, err := release.Superseded(ctx, src)
	if err != nil {
		return nil, err
	}
	var releases []*Release
	for _, id := range ids {
		if id == published.release.Root.Snapshot {
			continue // with another manifest
		}
		r, err := release.Read(ctx, src, release.SnapshotFile(id))
		if err != nil {
			return nil, err
		}
		releases = append(releases, &Release{r})
	}
	return releases, nil
}
