package seeder

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/trackertest"
)

func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

func sign(t testing.TB, document []byte, key ed25519.PrivateKey, sequence int64, expires time.Time) []byte {
	t.Helper()
	signed, err := manifest.Sign(document, key, manifest.Seal{Sequence: sequence, Expires: expires})
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestCheck(t *testing.T) {
	h := newHost(t)
	h.publish(map[string]string{"index.html": "one"})
	plain := h.packed.Manifest
	now := time.Unix(2e9, 0)
	key, other := testKey(1), testKey(2)
	known := sign(t, plain, key, 5, time.Time{})
	for _, c := range []struct {
		name     string
		document []byte
		want     error // nil: believed
		text     string
	}{
		{"a newer one", sign(t, plain, key, 6, time.Time{}), nil, ""},
		{"what is known", known, nil, ""},
		{"unsigned", plain, nil, "not signed"},
		{"forged", sign(t, plain, other, 6, time.Time{}), nil, "not of this manifest by this key"},
		{"truncated", known[:len(known)-10], nil, "not signed"},
		{"older", sign(t, plain, key, 4, time.Time{}), ErrDowngrade, ""},
		{"another of the same number", sign(t, plain, key, 5, now.AddDate(1, 0, 0)), ErrSameNumber, ""},
		{"expired", sign(t, plain, key, 6, now.Add(-skew-time.Second)), ErrExpired, ""},
		{"expired by less than clocks may differ", sign(t, plain, key, 6, now.Add(-skew+time.Second)), nil, ""},
		{"far in the future", sign(t, plain, key, manifest.MaxSize, time.Unix(manifest.MaxSize, 0)), nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Check(c.document, public(key), known, now)
			if c.want == nil && c.text == "" {
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %v %s", err, c.want, c.text)
			}
		})
	}
	if _, err := Check(sign(t, plain, key, 1, time.Time{}), public(key), nil, now); err != nil {
		t.Errorf("the first that is known: %v", err)
	}
}

func TestSecure(t *testing.T) {
	for site, want := range map[string]bool{
		"https://example.org/": true, "http://127.0.0.1:80/": true, "http://[::1]/": true, "http://localhost:1/": true,
		"http://example.org/": false, "http://127.0.0.1.example.org/": false, "": false, ":": false,
	} {
		if Secure(site) != want {
			t.Errorf("%q: %v", site, !want)
		}
	}
}

// signed has the host show what it has published signed, and its worker's script name the key.
func (h *host) signed(document []byte, key ed25519.PrivateKey) {
	h.breaks(func(name string) []byte {
		switch name {
		case release.ManifestFile:
			return document
		case release.WorkerFile:
			return release.WithKey([]byte("script"), public(key))
		}
		return nil
	})
}

// newSignedHost is a host of a site of one file, index.html, that says "one"; first is its manifest, number 5 by key.
func newSignedHost(t *testing.T) (h *host, key ed25519.PrivateKey, first []byte) {
	h, key = newHost(t), testKey(1)
	h.publish(map[string]string{"index.html": "one"})
	first = sign(t, h.packed.Manifest, key, 5, time.Time{})
	h.signed(first, key)
	return h, key, first
}

// A release that a peer hands over is taken up while the site does not answer, and in the next run, too; the site
// itself overrules it.
func TestFollowPeers(t *testing.T) {
	h, key, first := newSignedHost(t)
	dir := t.TempDir()
	f := start(t, h, dir, 0)
	f.holds(wait(t, "the first release", f.completed), map[string]string{"index.html": "one"})

	files := map[string]string{"index.html": "two"}
	h.publish(files)
	second := sign(t, h.packed.Manifest, key, 6, time.Time{})
	h.breaks(func(name string) []byte {
		if name == release.ManifestFile || name == release.WorkerFile || name == "planktos/root.torrent" {
			return []byte{}
		}
		return nil
	})
	for name, root := range map[string][]byte{
		"forged": sign(t, h.packed.Manifest, testKey(2), 7, time.Time{}), "older": sign(t, h.packed.Manifest, key, 4, time.Time{}),
		"unsigned": h.packed.Manifest, "truncated": second[:len(second)-1],
	} {
		if _, err := f.judge(root); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
	if n, err := f.judge(second); err != nil || n != 6 {
		t.Fatalf("%d, %v", n, err)
	}
	f.holds(wait(t, "the second release", f.completed), files)
	if n, err := f.judge(sign(t, h.packed.Manifest, key, 6, time.Unix(4e9, 0))); err != nil || n != 6 {
		t.Errorf("another of the same number, which nobody has lied with: %d, %v", n, err)
	}
	f.stop()

	f = start(t, h, dir, 0)
	f.holds(wait(t, "the second release, without the site", f.completed), files)
	if _, err := f.judge(first); !errors.Is(err, ErrDowngrade) {
		t.Errorf("a downgrade, after a restart: %v", err)
	}
	h.publish(map[string]string{"index.html": "one"})
	h.signed(first, key)
	f.holds(wait(t, "the first release, by the site's own word", f.completed), map[string]string{"index.html": "one"})
	if n, err := f.judge(second); n != 6 || err != nil || len(f.handed) != 0 {
		t.Errorf("what the site went back from is nothing new: %d, %v", n, err)
	}
}

// That the site has disabled Planktos is believed from peers if it is signed, and what is older is not taken up again.
func TestDisabledByPeers(t *testing.T) {
	h, key, first := newSignedHost(t)
	dir := t.TempDir()
	f := start(t, h, dir, 0)
	wait(t, "the release", f.completed)
	h.breaks(func(string) []byte { return []byte{} })
	for name, root := range map[string][]byte{
		"unsigned": manifest.EncodeDisabled(), "forged": sign(t, manifest.EncodeDisabled(), testKey(2), 6, time.Time{}),
		"older": sign(t, manifest.EncodeDisabled(), key, 4, time.Time{}),
	} {
		if _, err := f.judge(root); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
	disabled := sign(t, manifest.EncodeDisabled(), key, 6, time.Time{})
	if n, err := f.judge(disabled); err != nil || n != 6 {
		t.Fatalf("%d, %v", n, err)
	}
	f.warned("disabled Planktos")
	if _, err := f.judge(first); !errors.Is(err, ErrDowngrade) {
		t.Errorf("the release before: %v", err)
	}
	f.stop()
	f = start(t, h, dir, 0)
	if err := wait(t, "the end", f.ended); !errors.Is(err, manifest.ErrDisabled) {
		t.Errorf("the next run: %v", err)
	}
	f.ended <- nil
}

// Who leaves because of a signed manifest hands it to peers before.
func TestGoodbye(t *testing.T) {
	url, _ := trackertest.Start(t)
	h := newHost(t)
	h.trackers = []string{url}
	files := map[string]string{"index.html": "one"}
	h.publish(files)
	key := testKey(1)
	first := sign(t, h.packed.Manifest, key, 5, time.Time{})
	h.signed(first, key)
	one := start(t, h, t.TempDir(), 0)
	wait(t, "the release", one.completed)
	h.breaks(func(name string) []byte {
		switch name {
		case release.ManifestFile:
			return first
		case release.WorkerFile:
			return release.WithKey([]byte("script"), public(key))
		}
		return []byte{}
	})
	other := start(t, h, t.TempDir(), 0)
	other.holds(wait(t, "the release, from a peer", other.completed), files)
	h.breaks(func(string) []byte { return []byte{} })
	if _, err := one.judge(sign(t, manifest.EncodeDisabled(), key, 6, time.Time{})); err != nil {
		t.Fatal(err)
	}
	other.warned("disabled Planktos")
	one.warned("disabled Planktos")
}

// With a key alone to go by, a mirror is believed what the key has signed, and nothing older than is known.
func TestFollowMirror(t *testing.T) {
	h := newHost(t)
	h.publish(map[string]string{"index.html": "one"})
	key := testKey(1)
	first := sign(t, h.packed.Manifest, key, 5, time.Time{})
	h.signed(first, testKey(2)) // whatever its worker's script says
	keyOnly := func(f *Follower) { f.Key, f.KeyOnly = public(key), true }
	f := start(t, h, t.TempDir(), 0, keyOnly)
	s := wait(t, "the first release", f.completed)
	h.publish(map[string]string{"index.html": "two"})
	for _, document := range [][]byte{
		sign(t, h.packed.Manifest, testKey(2), 6, time.Time{}), sign(t, h.packed.Manifest, key, 4, time.Time{}),
		h.packed.Manifest, manifest.EncodeDisabled(),
	} {
		h.signed(document, key)
		f.warned("a new release cannot be taken up")
		f.holds(s, map[string]string{"index.html": "one"})
	}
	h.signed(sign(t, h.packed.Manifest, key, 6, time.Time{}), key)
	f.holds(wait(t, "the second release", f.completed), map[string]string{"index.html": "two"})
	h.signed(sign(t, manifest.EncodeDisabled(), key, 7, time.Time{}), key)
	f.warned("disabled Planktos")

	unsigned := newHost(t)
	unsigned.publish(map[string]string{"index.html": "one"})
	f = start(t, unsigned, t.TempDir(), 0, keyOnly)
	if err := wait(t, "the end", f.ended); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("an unsigned site: %v", err)
	}
	f.ended <- nil
}
