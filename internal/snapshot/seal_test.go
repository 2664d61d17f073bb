package snapshot

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/release"
)

func testKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

// sealOf verifies the published manifest.
func sealOf(t testing.TB, dir string, key ed25519.PrivateKey) manifest.Seal {
	t.Helper()
	document, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	seal, err := manifest.Verify(document, publicKey(key))
	if err != nil {
		t.Fatal(err)
	}
	return seal
}

func TestPublishSigned(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "0", "same": "same"})
	key, other := testKey(1), testKey(2)
	noon := time.Date(2030, 1, 1, 12, 0, 0, 5, time.UTC)
	for i, step := range []struct {
		page string
		sign *Signing
		want int64
	}{
		{"1", &Signing{Key: key}, 1},
		{"1", &Signing{Key: key}, 1}, // the same release
		{"2", &Signing{Key: key}, 2},
		{"2", &Signing{Key: key, Expires: noon}, 3},
		{"2", &Signing{Key: key, Expires: noon}, 3},
		{"2", &Signing{Key: key, Expires: noon.Add(time.Minute)}, 4},
		{"1", &Signing{Key: key}, 5}, // what has been before comes after, too
		{"1", nil, 0},
		{"3", &Signing{Key: key}, 6}, // numbers go on behind a release without one
		{"3", &Signing{Key: other}, 7},
	} {
		write(t, filepath.Join(dir, "index.html"), step.page)
		wasSigned := i > 0 && step.want != 1
		s, done := publish(t, dir, nil, &PublishOptions{Keep: 3, Sign: step.sign})
		unsealed := wasSigned && step.sign == nil
		if done.Seal.Sequence != step.want || done.OtherKey != (step.want == 7) || done.Unsealed != unsealed {
			t.Errorf("step %d: %+v", i, done)
		}
		if step.sign == nil {
			continue
		}
		seal := sealOf(t, dir, step.sign.Key)
		if seal != done.Seal || !seal.Expires.Equal(step.sign.Expires.Truncate(time.Second)) {
			t.Errorf("step %d: %+v, reported %+v", i, seal, done.Seal)
		}
		document, _ := os.ReadFile(filepath.Join(dir, ManifestFile))
		if !bytes.Equal(manifest.Unsealed(document), s.Manifest) {
			t.Errorf("step %d: signed is %s", i, document)
		}
	}
}

// The worker's script has the key of the release, whoever publishes it, and is the same for every site otherwise.
func TestWorkerKey(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "1"})
	key, other := testKey(1), testKey(2)
	check := func(what string, want ed25519.PrivateKey) {
		t.Helper()
		worker, err := os.ReadFile(filepath.Join(dir, WorkerFile))
		if err != nil {
			t.Fatal(err)
		}
		var public ed25519.PublicKey
		if want != nil {
			public = publicKey(want)
		}
		if string(worker) != string(release.WithKey(scripts.Worker, public)) {
			t.Errorf("%s: %s", what, worker)
		}
	}
	publish(t, dir, nil, nil)
	check("not signed", nil)
	publish(t, dir, nil, &PublishOptions{Sign: &Signing{Key: key}})
	check("signed", key)
	if _, err := PublishRuntime(t.Context(), dir, scripts); err != nil {
		t.Fatal(err)
	}
	check("the scripts alone", key)
	write(t, filepath.Join(dir, "index.html"), "2")
	publish(t, dir, nil, &PublishOptions{Sign: &Signing{Key: other}})
	check("by another key", other)
	if _, err := Rollback(t.Context(), dir, RollbackOptions{Runtime: scripts, Sign: &Signing{Key: key}}); err != nil {
		t.Fatal(err)
	}
	check("rolled back", key)
	publish(t, dir, nil, nil)
	check("no longer signed", nil)
}

// Going back is a release, with a number above that of what it takes the place of.
func TestRollbackSigned(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "1"})
	sign := &Signing{Key: testKey(1)}
	first, _ := publish(t, dir, nil, &PublishOptions{Sign: sign})
	write(t, filepath.Join(dir, "index.html"), "2")
	publish(t, dir, nil, &PublishOptions{Sign: sign})
	before := tree(t, dir)
	if _, err := Rollback(t.Context(), dir, RollbackOptions{Runtime: scripts}); !errors.Is(err, ErrNoKey) {
		t.Errorf("without the key: %v", err)
	}
	if after := tree(t, dir); len(after) != len(before) || after["index.html"] != "2" {
		t.Error("without the key: the folder has changed")
	}
	done, err := Rollback(t.Context(), dir, RollbackOptions{Runtime: scripts, Sign: sign})
	if err != nil {
		t.Fatal(err)
	}
	if seal := sealOf(t, dir, sign.Key); seal.Sequence != 3 || seal != done.Seal || done.Snapshot != first.Root.Snapshot {
		t.Errorf("%+v, %+v", seal, done)
	}
	checkPublished(t, dir)
}

// Where the last number is not known, none is given that may have been used.
func TestPublishSignedAfterDamage(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "1"})
	sign := &Signing{Key: testKey(1)}
	publish(t, dir, nil, &PublishOptions{Sign: sign})
	write(t, filepath.Join(dir, ManifestFile), "{")
	s := build(t, rootFS(t, dir), nil)
	refused := func(want string) {
		t.Helper()
		if _, err := Publish(t.Context(), s, dir, &PublishOptions{Sign: sign}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	refused("sequence number is not known")
	// Of another key, whoever wrote it may have made up the number.
	highest, err := manifest.Sign(s.Manifest, testKey(2), manifest.Seal{Sequence: manifest.MaxSize})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ManifestFile), string(highest))
	refused("leaves no room")
}

// In a fresh checkout the number comes from what is published.
func TestPublishSignedWithPrevious(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "1"})
	sign := &Signing{Key: testKey(1)}
	publish(t, dir, nil, &PublishOptions{Sign: sign})
	fresh, _ := folder(t, map[string]string{"index.html": "2"})
	s, done := publish(t, fresh, nil, &PublishOptions{Sign: sign, Previous: sourceOf(t, dir)})
	if done.Seal.Sequence != 2 || done.OtherKey || done.Unsealed {
		t.Errorf("%+v", done)
	}
	// What was signed stays so among the superseded.
	r, err := release.Read(t.Context(), sourceOf(t, fresh), release.SnapshotFile(done.Superseded[0]))
	if err != nil {
		t.Fatal(err)
	}
	if seal, err := manifest.Verify(r.Manifest, publicKey(sign.Key)); err != nil || seal.Sequence != 1 {
		t.Errorf("%+v, %v", seal, err)
	}
	if s.Root.Snapshot == r.Root.Snapshot {
		t.Error("the snapshots are the same")
	}
}
