package seeder

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/swarm"
)

// skew is how far clocks may differ: a release is believed for so much longer than it says.
const skew = 24 * time.Hour

// keyFile is where a follower notes the site's key, in its store's folder.
const keyFile = "key"

var (
	// ErrExpired reports a signed manifest that nobody but the site's own server is believed with any more.
	ErrExpired = errors.New("the release has expired")
	// ErrDowngrade reports a signed manifest that is older than one that is known.
	ErrDowngrade = errors.New("the release is older than one that is known")
	// ErrSameNumber reports two signed manifests with one sequence number.
	ErrSameNumber = errors.New("another release has the same sequence number")

	errNoKey = errors.New("the site's key is not known")
)

// Check verifies that a manifest from somebody who is not believed by himself is signed by the site's key, has not
// expired, and is not older than known, which is another manifest or nil.
func Check(document []byte, key ed25519.PublicKey, known []byte, now time.Time) (manifest.Seal, error) {
	seal, err := manifest.Verify(document, key)
	switch {
	case err != nil:
		return seal, errors.New(strings.TrimPrefix(err.Error(), "manifest: "))
	case bytes.Equal(document, known):
		return seal, nil
	case !seal.Expires.IsZero() && now.After(seal.Expires.Add(skew)):
		return seal, fmt.Errorf("%w, at %s", ErrExpired, seal.Expires.Format(time.RFC3339))
	}
	last, err := manifest.Verify(known, key)
	switch {
	case err != nil: // nothing to compare with
		return seal, nil
	case seal.Sequence < last.Sequence:
		return seal, fmt.Errorf("%w: its number is %d, after %d", ErrDowngrade, seal.Sequence, last.Sequence)
	case seal.Sequence == last.Sequence:
		return seal, fmt.Errorf("%w, %d", ErrSameNumber, seal.Sequence)
	}
	return seal, nil
}

// Secure tells whether what comes from a site's root URL is the site's own word: it comes over HTTPS, or from this
// machine, as browsers see it.
func Secure(site string) bool {
	u, err := url.Parse(site)
	if err != nil {
		return false
	}
	address, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || err == nil && address.IsLoopback() || u.Hostname() == "localhost"
}

// secure tells whether the follower's source is the site's own word.
func (f *Follower) secure() bool { return !f.KeyOnly && Secure(f.URL) && f.Folder == nil }

// learnKey takes the site's key as it was seen; where it was not, as the store has it.
func (f *Follower) learnKey(v view) {
	if !f.secure() {
		return
	}
	switch {
	case v.err == nil && v.keyErr == nil:
		f.setKey(v.key)
		f.keepKey()
		return
	case v.err == nil:
		f.log.Debug("the worker's script cannot be had", "error", v.keyErr)
	}
	if f.Store == nil || f.Key != nil {
		return
	}
	text, err := f.Store.Root().ReadFile(keyFile)
	if key, hexErr := hex.DecodeString(string(text)); err == nil && hexErr == nil && len(key) == ed25519.PublicKeySize {
		f.setKey(key)
	}
}

// keepKey notes the site's key for a run in which the site is gone.
func (f *Follower) keepKey() {
	if f.Store == nil {
		return
	}
	if err := f.Store.Root().WriteFile(keyFile, []byte(hex.EncodeToString(f.Key)), 0o644); err != nil {
		f.log.Debug("the site's key cannot be noted", "error", err)
	}
}

// setKey believes releases that are signed by a key, whoever hands them on; none if it is nil. Another key counts anew.
func (f *Follower) setKey(key ed25519.PublicKey) {
	f.trust.Lock()
	defer f.trust.Unlock()
	if !f.Key.Equal(key) {
		f.highest = nil
	}
	f.Key = key
}

// raise notes a manifest that was believed, if its number is the highest.
func (f *Follower) raise(document []byte) {
	f.trust.Lock()
	defer f.trust.Unlock()
	if f.Key == nil {
		return
	}
	seal, err := manifest.Verify(document, f.Key)
	last, lastErr := manifest.Verify(f.highest, f.Key)
	if err == nil && (lastErr != nil || seal.Sequence > last.Sequence) {
		f.highest = document
	}
}

// check decides whether what the source shows is believed.
func (f *Follower) check(document []byte) error {
	if f.Key == nil || !f.KeyOnly {
		return nil
	}
	f.trust.Lock()
	defer f.trust.Unlock()
	if _, err := Check(document, f.Key, f.highest, time.Now()); err != nil {
		return &release.BadError{Where: f.Source.Where(release.ManifestFile), Err: err}
	}
	return nil
}

// judge is [swarm.Node.Judge]: what is right is taken up by Run.
func (f *Follower) judge(root []byte) (int64, error) {
	f.trust.Lock()
	defer f.trust.Unlock()
	if f.Key == nil {
		return 0, errNoKey
	}
	seal, err := Check(root, f.Key, f.highest, time.Now())
	if errors.Is(err, ErrSameNumber) || err == nil && bytes.Equal(root, f.highest) {
		return seal.Sequence, nil // it has come meanwhile, or the site has gone back from it
	}
	if err != nil {
		return 0, err
	}
	select {
	case <-f.handed: // an older one, which has not been taken up yet
	default:
	}
	f.handed <- root
	return seal.Sequence, nil
}

// tell has peers told of the current release.
func (f *Follower) tell() {
	if f.current == nil {
		return
	}
	newest := swarm.Newest{Snapshot: f.current.Root.Snapshot}
	if seal, err := manifest.Claimed(f.document); err == nil {
		newest.Sequence, newest.Root = seal.Sequence, f.document
	}
	f.trust.Lock()
	if last, err := manifest.Verify(f.highest, f.Key); err == nil {
		newest.Above = last.Sequence
	} else if f.Key == nil {
		newest.Above = math.MaxInt64
	}
	f.trust.Unlock()
	if err := f.Node.Tell(newest); err != nil {
		f.log.Debug("peers cannot be told of the release", "error", err)
	}
}
