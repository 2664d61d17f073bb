package cli

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planktos/planktos"
	"github.com/planktos/planktos/tracker"
)

// publishInto packs a folder in which index.html says so, beside a file that never changes.
func publishInto(t *testing.T, dir, index string) planktos.Description {
	t.Helper()
	for name, text := range map[string]string{"index.html": index, "same.txt": strings.Repeat("same", 5000)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	options := &planktos.Options{Trackers: []string{"/planktos/tracker"}, ICE: []planktos.ICEServer{}}
	site, err := planktos.PackDir(t.Context(), dir, options)
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	if _, err := site.Publish(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return site.Describe()
}

// A release that comes out while get runs is told of, and get has all of the one that it began.
func TestGetTellsOfARelease(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	first := publishInto(t, dir, "one")
	tr := &tracker.Tracker{}
	held, asked := make(chan struct{}), make(chan struct{}, 100)
	files := http.FileServer(http.Dir(dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/planktos/tracker":
			tr.ServeHTTP(w, r)
			return
		case r.URL.Path == "/same.txt":
			asked <- struct{}{}
			<-held
		}
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	defer tr.Close()

	said, stderr := io.Pipe()
	var stdout strings.Builder
	status := make(chan int, 1)
	go func() {
		status <- Run(t.Context(), []string{"get", server.URL + "/", "-o", out, "--json"}, &stdout, stderr)
		stderr.Close()
	}()
	lines := bufio.NewScanner(said)
	<-asked
	second := publishInto(t, dir, "two")
	var infoHash [20]byte
	if _, err := hex.Decode(infoHash[:], []byte(first.InfoHash)); err != nil {
		t.Fatal(err)
	}
	// It may not have announced itself yet: then it is told when it does.
	tr.Publish(tracker.Release{Snapshot: [32]byte{1}}, infoHash)
	if !lines.Scan() || !strings.Contains(lines.Text(), "a newer release, "+second.Snapshot[:12]) {
		t.Errorf("said %q", lines.Text())
	}
	close(held)
	for lines.Scan() {
		t.Errorf("said %q as well", lines.Text())
	}
	var done struct {
		Snapshot, Newer string
		Files, Fetched  int
	}
	if got := <-status; got != 0 {
		t.Fatalf("status %d", got)
	}
	if err := json.Unmarshal([]byte(stdout.String()), &done); err != nil {
		t.Fatal(err)
	}
	if done.Snapshot != first.Snapshot || done.Newer != second.Snapshot || done.Fetched != 2 {
		t.Errorf("got %+v", done)
	}
	if text, err := os.ReadFile(filepath.Join(out, "index.html")); err != nil || !strings.Contains(string(text), "one") {
		t.Errorf("index.html is %q, %v", text, err)
	}
}
