package seeder

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A folder that a newer version of this program has used: what it does not know it leaves alone, and what it knows it
// goes on with.
func TestFolderOfANewerVersion(t *testing.T) {
	h := newHost(t)
	files := map[string]string{"index.html": "one", "c.txt": "first"}
	h.publish(files)
	dir := t.TempDir()
	f := start(t, h, dir, 0)
	wait(t, "the release", f.completed)
	if err := f.stop(); err != nil {
		t.Fatal(err)
	}
	newer := map[string][]byte{
		manifestFile:      []byte(`{"format":2,"snapshot":[]}`),
		"index.2":         []byte("an index that is to come"),
		"contents/00-5.2": []byte("12345"),
		"parts/00.next":   {1, 2, 3},
	}
	for name, data := range newer {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}

	h.breaks(func(string) []byte { return []byte{} })
	f = start(t, h, dir, 0)
	err := wait(t, "the end", f.ended)
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, manifestFile)+": another format than 1") {
		t.Errorf("without the site: %v", err)
	}
	f.ended <- nil
	f.stop()

	h.breaks(nil)
	h.mu.Lock()
	clear(h.asked)
	h.mu.Unlock()
	f = start(t, h, dir, 0)
	f.holds(wait(t, "the release", f.completed), files)
	delete(newer, manifestFile) // of the release that the site shows, from now on
	for name, data := range newer {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range files {
		if h.asked[name] > 0 {
			t.Errorf("%s was fetched again", name)
		}
	}
}
