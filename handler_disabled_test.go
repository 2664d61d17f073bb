package planktos

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/signal"
)

// A tree whose manifest disables Planktos is served with that, signed by the handler's key if it has one, and without
// tags, as long as it says so.
func TestHandlerOfADisabledTree(t *testing.T) {
	for _, seed := range []byte{0, 1} {
		files := tree()
		h := handlerFor(t, files, &Options{TagHTML: true})
		h.STUNPort = 3478
		key, public := testKey(seed)
		if seed > 0 {
			h.Key = key
		}
		served := func() (document []byte, tagged bool) {
			t.Helper()
			page := ask(h, "GET", "/").Body.String()
			return ask(h, "GET", "/planktos/manifest.json").Body.Bytes(), strings.Contains(page, "planktos/install.js")
		}
		if document, tagged := served(); manifest.Disabled(document) || !tagged {
			t.Fatalf("at first: %s, tagged %v", document, tagged)
		}
		before := h.current.Load().sequence
		files["planktos/manifest.json"] = &fstest.MapFile{Data: manifest.EncodeDisabled()}
		look(t, h)
		document, tagged := served()
		if string(manifest.Unsealed(document)) != string(manifest.EncodeDisabled()) || tagged {
			t.Errorf("disabled: %s, tagged %v", document, tagged)
		}
		if seal, err := manifest.Verify(document, public); seed > 0 && (err != nil || seal.Sequence <= before) {
			t.Errorf("signed with the number %d after %d, %v", seal.Sequence, before, err)
		}
		if w := ask(h, "GET", "/data.bin"); w.Code != 200 || w.Body.String() != text {
			t.Errorf("a file: %d", w.Code)
		}
		// Any other manifest there is nothing: what is served is packed anew.
		files["planktos/manifest.json"] = &fstest.MapFile{Data: []byte(`{"format":1,"disabled":"true"}`)}
		look(t, h)
		if document, tagged := served(); manifest.Disabled(document) || !tagged {
			t.Errorf("enabled again: %s, tagged %v", document, tagged)
		}
	}
}

// Pages that are open are told.
func TestOpenPagesAreToldOfDisabling(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("<!doctype html>"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Disable(t.Context(), dir, nil); !errors.Is(err, ErrNotPacked) {
		t.Fatalf("a folder without a manifest was disabled: %v", err)
	}
	h := &Handler{FS: os.DirFS(dir), CheckInterval: time.Millisecond}
	key, public := testKey(1)
	h.Key = key
	server, first := watched(t, h)
	visitor := joinSwarm(t, server, first, 1)
	if _, err := Disable(t.Context(), dir, &DisableOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	told := visitor.read().Release
	if told == nil || told.Snapshot != (signal.Snapshot{}) || !manifest.Disabled(told.Document()) {
		t.Fatalf("told %+v", told)
	}
	if _, err := manifest.Verify(told.Document(), public); err != nil {
		t.Error(err)
	}
}
