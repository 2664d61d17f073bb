package planktos_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planktos/planktos"
)

// release writes a page into dir, packs it and publishes it there.
func release(t *testing.T, dir, page string, o *planktos.PublishOptions) (*planktos.Published, error) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	site, err := planktos.PackDir(t.Context(), dir, &planktos.Options{Trackers: []string{}, ICE: []planktos.ICEServer{}})
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	return site.Publish(t.Context(), o)
}

// In a checkout that has nothing of the last release, what its visitors may ask for comes from the site.
func TestPublishWithPrevious(t *testing.T) {
	deployed := t.TempDir()
	first, err := release(t, deployed, "one", nil)
	if err != nil || first.Previous != "" || len(first.Superseded) > 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	mux := http.NewServeMux()
	mux.Handle("/docs/", http.StripPrefix("/docs/", http.FileServer(http.Dir(deployed))))
	mux.Handle("/old/", http.RedirectHandler("/", http.StatusMovedPermanently))
	mux.HandleFunc("/old/planktos/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/docs"+strings.TrimPrefix(r.URL.Path, "/old"), http.StatusMovedPermanently)
	})
	mux.HandleFunc("/app/", func(w http.ResponseWriter, _ *http.Request) { // answers whatever is asked for with its one page
		w.Write([]byte("<!doctype html>"))
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	for _, previous := range []string{server.URL + "/docs", server.URL + "/docs/", server.URL + "/old/", deployed} {
		dir := t.TempDir()
		done, err := release(t, dir, "two", &planktos.PublishOptions{Previous: previous})
		if err != nil || len(done.Superseded) != 1 || done.Previous != done.Superseded[0] || len(done.Lost) > 0 {
			t.Fatalf("%s: %+v, %v", previous, done, err)
		}
		// "one" is its own hash's content: one block.
		const one = "planktos/7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
		if data, err := os.ReadFile(filepath.Join(dir, one)); err != nil || string(data) != "one" {
			t.Errorf("%s: the superseded content is %q, %v", previous, data, err)
		}
	}
	for _, previous := range []string{server.URL + "/new/", t.TempDir()} {
		done, err := release(t, t.TempDir(), "two", &planktos.PublishOptions{Previous: previous})
		if err != nil || done.Previous != "" || len(done.Superseded) > 0 {
			t.Errorf("%s: %+v, %v", previous, done, err)
		}
	}
	dir := t.TempDir()
	_, err = release(t, dir, "two", &planktos.PublishOptions{Previous: server.URL + "/app/"})
	const want = "/app/planktos/manifest.json: no manifest"
	if _, previous := errors.AsType[*planktos.PreviousError](err); !previous || !strings.Contains(err.Error(), want) {
		t.Errorf("a page for everything: %v", err)
	}
	for _, previous := range []string{
		"ftp://host/", "https://user:secret@host/?q", filepath.Join(dir, "missing"), filepath.Join(dir, "index.html"),
	} {
		_, err := release(t, dir, "two", &planktos.PublishOptions{Previous: previous})
		if _, option := errors.AsType[*planktos.OptionError](err); !option || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", previous, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "planktos")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what failed has left something: %v", err)
	}
}
