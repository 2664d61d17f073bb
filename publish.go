package planktos

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/planktos/planktos/internal/bundle"
	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/snapshot"
)

// PublishOptions says how [Site.Publish] writes.
type PublishOptions struct {
	// HardLink lets a content's copy be a hard link to the file it is of, where the file system cannot clone: for
	// files that are replaced, never edited where they are.
	HardLink bool

	// Keep is how many superseded snapshots' contents stay in planktos/, for visitors in the middle of a visit and to go
	// back to by [Rollback]: at most 99. If zero, 1; if negative, none. What none of them names is removed.
	Keep int

	// Previous is where the site is published: its root URL, or a folder that holds a copy. What is to be kept of
	// superseded snapshots comes from there, verified, for a folder that does not have it, such as a fresh checkout. If
	// empty, or if nothing is published there yet, what was published is what the folder has. An error in reading it is a
	// [*PreviousError], and then nothing has been changed.
	Previous string

	// Key, if not nil, has the manifest signed by Ed25519 with the number that follows the last release's, and Expires,
	// unless it is zero, says until when peers and mirrors are to be believed that the release is current
	// (docs/manifest.md, "Signed manifests"). The same site, key and Expires make no new number.
	Key     ed25519.PrivateKey
	Expires time.Time

	// Progress, if not nil, is told now and then how many bytes of how many have been written, by one goroutine at a
	// time.
	Progress func(done, total int64)
}

// Published tells what [Site.Publish] did.
type Published struct {
	// Written, Unchanged and Removed count files of planktos/.
	Written   int `json:"written"`
	Unchanged int `json:"unchanged"`
	Removed   int `json:"removed"`
	// Superseded are the ids of the earlier snapshots whose contents are kept, the newest first.
	Superseded []string `json:"superseded"`
	// Previous is the snapshot that was published before, the same one maybe; empty if there was none.
	Previous string `json:"previous"`
	// First tells that nothing is published yet at PublishOptions.Previous.
	First bool `json:"first"`
	// Signed tells of the manifest's signature; nil if it has none.
	Signed *Signature `json:"signed"`
	// WasSigned tells that the last release was signed and this one is not, and OtherKey that it was by another key.
	WasSigned bool `json:"wasSigned"`
	OtherKey  bool `json:"otherKey"`
	// Lost says of what superseded snapshots consist of why it could not be had from PublishOptions.Previous: their
	// visitors will get the site's new files.
	Lost []string `json:"lost"`
	// CacheError tells why Options.Cache was not written, if it was to be. What was published is none the worse for it.
	CacheError error `json:"-"`
}

// A Signature is what a signed manifest says of itself.
type Signature struct {
	// PublicKey is that of the key, in hex.
	PublicKey string `json:"publicKey"`
	// Sequence is the release's number, which is higher than those of all before.
	Sequence int64 `json:"sequence"`
	// Expires is zero if it never does.
	Expires time.Time `json:"expires,omitzero"`
}

// signatureOf tells of a manifest that was signed by key; nil if it was not.
func signatureOf(seal manifest.Seal, key ed25519.PrivateKey) *Signature {
	if seal.Sequence == 0 {
		return nil
	}
	return &Signature{hex.EncodeToString(key.Public().(ed25519.PublicKey)), seal.Sequence, seal.Expires}
}

// signing is how package snapshot has it.
func signing(key ed25519.PrivateKey, expires time.Time) *snapshot.Signing {
	if key == nil {
		return nil
	}
	return &snapshot.Signing{Key: key, Expires: expires}
}

// PreviousError reports that the last release could not be read where it is published.
type PreviousError = snapshot.PreviousError

// ErrNotPacked reports that a folder holds no packed site.
var ErrNotPacked = snapshot.ErrNotPacked

// Publish writes the packed site into the folder it was made from. It is atomic: the manifest is put in place last, and
// whatever interrupts it leaves the snapshot before usable. Pages that TagHTML and FirstVisit change are written right
// before it; until then none is touched. opts may be nil. Only a site of [PackDir] can be published, and once: what others
// consist of is in no folder, and pages are not afterwards what they were when they were packed.
func (s *Site) Publish(ctx context.Context, opts *PublishOptions) (*Published, error) {
	if s.root == nil {
		return nil, errors.New("planktos: this site was not made by PackDir")
	}
	if opts == nil {
		opts = &PublishOptions{}
	}
	o := &snapshot.PublishOptions{AllowHardLink: opts.HardLink, Keep: opts.Keep, Sign: signing(opts.Key, opts.Expires)}
	if opts.Progress != nil {
		o.Progress = func(p snapshot.Progress) { opts.Progress(p.Bytes, p.TotalBytes) }
	}
	if opts.Previous != "" {
		previous, closed, err := openSource(opts.Previous)
		if err != nil {
			return nil, &OptionError{"previous", redacted(opts.Previous), err.Error(),
				"give the site's URL, or the folder of a copy; a first release needs none"}
		}
		defer closed()
		o.Previous = previous
	}
	done, err := snapshot.Publish(ctx, s.packed, s.dir, o)
	if err != nil {
		return nil, err
	}
	published := &Published{
		Written: done.Written, Unchanged: done.Kept, Removed: done.Removed, Superseded: []string{}, Lost: []string{},
		First: done.First, Signed: signatureOf(done.Seal, opts.Key), WasSigned: done.Unsealed, OtherKey: done.OtherKey,
		CacheError: done.CacheError,
	}
	if done.Previous != nil {
		published.Previous = done.Previous.String()
	}
	for _, err := range done.Lost {
		published.Lost = append(published.Lost, err.Error())
	}
	for _, id := range done.Superseded {
		published.Superseded = append(published.Superseded, id.String())
	}
	return published, nil
}

// PublishScripts writes the runtime's scripts alone into a site's folder: the manifest there goes on to be used.
func PublishScripts(ctx context.Context, dir string) error {
	scripts, err := runtimeScripts()
	if err != nil {
		return err
	}
	_, err = snapshot.PublishRuntime(ctx, dir, scripts)
	return err
}

// runtimeScripts compiles the scripts that a packed site carries.
func runtimeScripts() (snapshot.Runtime, error) {
	scripts, err := bundle.Runtime()
	if err != nil {
		return snapshot.Runtime{}, fmt.Errorf("planktos: compiling the runtime: %w", err)
	}
	return snapshot.Runtime{Worker: scripts.Worker, Install: scripts.Install, Engine: scripts.Engine, First: scripts.First}, nil
}

// ErrDisabled reports a site that has disabled Planktos, see [Disable].
var ErrDisabled = snapshot.ErrDisabled

// ErrNoNumber reports that a manifest cannot be signed, since nothing is there of the release whose number it follows.
var ErrNoNumber = snapshot.ErrNoNumber

// DisableOptions says how [Disable] writes.
type DisableOptions struct {
	// Key and Expires are as in [PublishOptions].
	Key     ed25519.PrivateKey
	Expires time.Time

	// Force has the manifest written into a folder that has none, too, such as a fresh checkout. It cannot be signed there:
	// the error wraps [ErrNoNumber].
	Force bool
}

// Disable has Planktos leave the visitors of the packed site in the folder dir: it replaces the manifest by one that
// says so. Nothing else is changed, and the next [Site.Publish] brings Planktos back. What was published is kept as a
// superseded snapshot is. The signature is nil without a key. Done again, it does nothing more. The error wraps
// [ErrNotPacked] if no site is packed there. opts may be nil.
func Disable(ctx context.Context, dir string, opts *DisableOptions) (*Signature, error) {
	if opts == nil {
		opts = &DisableOptions{}
	}
	seal, err := snapshot.Disable(ctx, dir, snapshot.DisableOptions{
		Sign: signing(opts.Key, opts.Expires), Force: opts.Force,
	})
	if err != nil {
		return nil, err
	}
	return signatureOf(seal, opts.Key), nil
}

// Removal tells what [Remove] did.
type Removal struct {
	// Files is the number of files of planktos/ that were deleted.
	Files int `json:"files"`
	// Pages are those from which what packing put in was taken out.
	Pages []string `json:"pages"`
	// Tagged are pages that carry a script tag written by hand. As long as there are any, planktos/install.js stays as
	// a script that does nothing.
	Tagged []string `json:"tagged"`
	// Foreign are files in planktos/ that are not of Planktos. They stay.
	Foreign []string `json:"foreign"`
	// Skipped are paths that could not be looked at, each with the reason. A page among them keeps its tag.
	Skipped []string `json:"skipped"`
}

// RemoveOptions says how [Remove] does it.
type RemoveOptions struct {
	// Force has the service worker left in a folder where nothing is of Planktos, too, such as a fresh checkout.
	Force bool
}

// Remove takes Planktos out of the packed site in the folder dir, of which not all need be there. In the service worker's
// place it leaves one that deletes what visitors' browsers have stored and unregisters itself. Done again, it does nothing
// more. The error wraps [ErrNotPacked] if nothing there is of Planktos. opts may be nil.
func Remove(ctx context.Context, dir string, opts *RemoveOptions) (*Removal, error) {
	if opts == nil {
		opts = &RemoveOptions{}
	}
	scripts, err := bundle.Runtime()
	if err != nil {
		return nil, fmt.Errorf("planktos: compiling the runtime: %w", err)
	}
	done, err := snapshot.Remove(ctx, dir, snapshot.RemoveOptions{Worker: scripts.Remove, Force: opts.Force})
	if err != nil {
		return nil, err
	}
	r := Removal(*done)
	for _, list := range []*[]string{&r.Pages, &r.Tagged, &r.Foreign, &r.Skipped} {
		if *list == nil {
			*list = []string{}
		}
	}
	return &r, nil
}
