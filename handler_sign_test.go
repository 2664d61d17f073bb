package planktos

import (
	"bytes"
	"crypto/ed25519"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/andybalholm/brotli"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/release"
)

func testKey(seed byte) (ed25519.PrivateKey, ed25519.PublicKey) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return key, key.Public().(ed25519.PublicKey)
}

// look has the handler look at its files now, however soon after the last time.
func look(t *testing.T, h *Handler) {
	t.Helper()
	h.packing.Lock()
	defer h.packing.Unlock()
	h.check(t.Context(), h.current.Load())
}

// sealOf gives the seal of the signed manifest that is served.
func sealOf(t *testing.T, h *Handler, public ed25519.PublicKey) manifest.Seal {
	t.Helper()
	seal, err := manifest.Verify(ask(h, "GET", "/planktos/manifest.json").Body.Bytes(), public)
	if err != nil {
		t.Fatal(err)
	}
	return seal
}

func TestHandlerSigns(t *testing.T) {
	key, public := testKey(1)
	for _, port := range []int{0, 3478} {
		files := tree()
		h := handlerFor(t, files, nil)
		h.Key, h.STUNPort = key, port
		began := time.Now()
		first := sealOf(t, h, public)
		if at := time.UnixMilli(first.Sequence); at.Before(began.Truncate(time.Millisecond)) || at.After(time.Now()) {
			t.Errorf("the number says %v", at)
		}
		touched := *files["text.txt"]
		touched.ModTime = touched.ModTime.Add(time.Hour)
		files["text.txt"] = &touched
		before := h.current.Load()
		look(t, h)
		if h.current.Load() == before {
			t.Fatal("not packed again")
		}
		if again := sealOf(t, h, public); again != first {
			t.Errorf("the same release has number %d, and then %d", first.Sequence, again.Sequence)
		}
		// However fast, and whatever the clock does.
		h.current.Load().sequence = time.Now().Add(time.Hour).UnixMilli()
		last := h.current.Load().sequence
		touched.Data = []byte("changed")
		look(t, h)
		if next := sealOf(t, h, public); next.Sequence != last+1 {
			t.Errorf("the next release has number %d after %d", next.Sequence, last)
		}
	}
}

// Each handler's worker has its own key, however it is sent, and however many handlers a process has.
func TestHandlerWorkerHasTheKey(t *testing.T) {
	keys := map[byte]ed25519.PublicKey{0: nil}
	for _, seed := range []byte{0, 1, 2} {
		h := handlerFor(t, tree(), nil)
		if seed > 0 {
			h.Key, keys[seed] = testKey(seed)
		}
		plain := ask(h, "GET", "/"+release.WorkerFile).Body.Bytes()
		if got := release.KeyOf(plain); !got.Equal(keys[seed]) {
			t.Errorf("the key is %x, want %x", got, keys[seed])
		}
		brotlied := ask(h, "GET", "/"+release.WorkerFile, "Accept-Encoding", "br")
		if got, err := io.ReadAll(brotli.NewReader(brotlied.Body)); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("compressed it is another script (%v)", err)
		}
	}
}

func TestHandlerRefusesNoKey(t *testing.T) {
	h := handlerFor(t, tree(), nil)
	h.Key = ed25519.PrivateKey("short")
	if _, err := h.Site(t.Context()); err == nil {
		t.Error("signs by five bytes")
	}
}

func TestOpenPagesAreHandedASignedRelease(t *testing.T) {
	key, public := testKey(1)
	for _, stunPort := range []int{0, 3478} {
		dir := t.TempDir()
		page := filepath.Join(dir, "index.html")
		if err := os.WriteFile(page, []byte("<!doctype html>one"), 0o644); err != nil {
			t.Fatal(err)
		}
		h := &Handler{FS: os.DirFS(dir), CheckInterval: time.Millisecond, Key: key, STUNPort: stunPort}
		server, first := watched(t, h)
		visitor := joinSwarm(t, server, first, 1)
		before := sealOf(t, h, public)
		if err := os.WriteFile(page, []byte("<!doctype html>two, longer"), 0o644); err != nil {
			t.Fatal(err)
		}
		told := visitor.read().Release
		if told == nil || told.Root == nil {
			t.Fatalf("told of %+v", told)
		}
		seal, err := manifest.Verify(told.Document(), public)
		if err != nil || seal.Sequence <= before.Sequence {
			t.Errorf("number %d after %d, %v", seal.Sequence, before.Sequence, err)
		}
		if now := sealOf(t, h, public); now != seal {
			t.Errorf("number %d is handed over, and %d is served", seal.Sequence, now.Sequence)
		}
	}
}
