package cli

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planktos/planktos"
	"github.com/planktos/planktos/internal/manifest"
)

// run runs a command until it ends by itself, and gives its status and what it said.
func run(t *testing.T, args ...string) (status int, stderr string) {
	t.Helper()
	var said strings.Builder
	status = Run(t.Context(), args, io.Discard, &said)
	return status, said.String()
}

// mirrored runs a mirror, and gives what it answers for paths, which are all asked once it answers.
func mirrored(t *testing.T, url, store string, paths ...string) []string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ready, announced := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, []string{"mirror", url, "--addr", "127.0.0.1:0", "--dir", store}, announced, io.Discard)
		announced.Close()
	}()
	first := make([]byte, 200)
	n, err := ready.Read(first)
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, ready)
	root := strings.TrimSpace(string(first[:n]))
	var answers []string
	for _, path := range paths {
		response, err := http.Get(root + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, response.Status[:4]+string(body))
	}
	stop()
	if status := <-ended; status != statusDone {
		t.Errorf("the mirror ended with %d", status)
	}
	return answers
}

// A mirror passes on that its site has disabled Planktos, whether it knew the site before or not, and after a restart
// without it. Who is to seed or fetch the site is told, though an earlier release of it is known.
func TestToolsOfADisabledSite(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	publishInto(t, dir, "one")
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	url := server.URL + "/"
	in := func(name string) string { return filepath.Join(state, name) }

	const document = "planktos/manifest.json"
	published, err := os.ReadFile(filepath.Join(dir, document))
	if err != nil {
		t.Fatal(err)
	}
	if got := mirrored(t, url, in("mirror"), document)[0]; got != "200 "+string(published) {
		t.Errorf("at first: %s", got)
	}
	if status, stderr := run(t, "get", url, "-o", in("copy")); status != statusDone {
		t.Fatal(stderr)
	}
	if _, err := planktos.Disable(t.Context(), dir, nil); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"seed", url, "--dir", in("seed")}, {"get", url, "-o", in("out")}, {"get", url, "-o", in("copy")}, {"seed", dir},
	} {
		if status, stderr := run(t, command...); status != statusFailed || !strings.Contains(stderr, "the site has disabled Planktos\n") {
			t.Errorf("%s: status %d: %s", command, status, stderr)
		}
	}
	disabled := "200 " + string(manifest.EncodeDisabled())
	for _, store := range []string{in("mirror"), in("another"), in("mirror")} {
		got := mirrored(t, url, store, document, "planktos.sw.min.js", "index.html")
		if got[0] != disabled || !strings.HasPrefix(got[1], "200 ") || !strings.HasPrefix(got[2], "503 ") {
			t.Errorf("%s: %.200q", store, got)
		}
		if store == in("another") {
			server.Close() // and from now on by what is known
		}
	}
}
