package origin

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/planktos/planktos/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// host serves handler, and gives the site at a path of it, which loses no time by waiting.
func host(t *testing.T, path string, handler http.HandlerFunc) *Site {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	s, err := New(server.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.pause = 0
	return s
}

func read(s *Site, name string) (string, error) {
	f, err := s.Open(context.Background(), name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	return string(data), err
}

func TestOpen(t *testing.T) {
	var failures atomic.Int32
	s := host(t, "/docs", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.EscapedPath() {
		case "/docs/a%20b%3F.txt":
			io.WriteString(w, "content")
		case "/docs/moved":
			http.Redirect(w, r, "/docs/a%20b%3F.txt", http.StatusMovedPermanently)
		case "/docs/loop":
			http.Redirect(w, r, "/docs/loop", http.StatusFound)
		case "/docs/gone":
			w.WriteHeader(http.StatusGone)
		case "/docs/private":
			w.WriteHeader(http.StatusForbidden)
		case "/docs/flaky":
			if failures.Add(1) < tries {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			io.WriteString(w, "at last")
		case "/docs/broken":
			w.WriteHeader(http.StatusBadGateway)
		case "/docs/short":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "short")
		default:
			http.NotFound(w, r)
		}
	})
	for name, want := range map[string]string{"a b?.txt": "content", "moved": "content", "flaky": "at last"} {
		if got, err := read(s, name); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{
		"loop": "redirects", "gone": "410", "absent": "404", "private": "403", "broken": "502", "short": "unexpected EOF",
	} {
		_, err := read(s, name)
		named := name == "short" || err != nil && strings.HasPrefix(err.Error(), s.Where(name)+": ")
		if err == nil || !strings.Contains(err.Error(), want) || !named {
			t.Errorf("%s: %v", name, err)
		}
		if absent := name == "gone" || name == "absent"; errors.Is(err, fs.ErrNotExist) != absent {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSilentHost(t *testing.T) {
	release := make(chan struct{})
	s := host(t, "/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
		}
		<-release
	})
	defer close(release)
	s.stall = 20 * time.Millisecond
	for _, name := range []string{"none", "half"} {
		if got, err := read(s, name); !errors.Is(err, errSilent) || got != "" && got != "half" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	s.stall = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Open(ctx, "none"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Of a host that sends a byte now and then, no more is waited for than of a silent one.
func TestSlowHost(t *testing.T) {
	s := host(t, "/", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
		}
	})
	s.stall = time.Hour
	f, err := s.Open(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.(*body).began = time.Now().Add(-100 * time.Hour) // which those few bytes have taken
	if _, err := io.ReadAll(f); !errors.Is(err, errSlow) {
		t.Errorf("error %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	s, err := New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.pause = 0
	if _, err := read(s, "x"); err == nil || errors.Is(err, fs.ErrNotExist) || strings.Count(err.Error(), server.URL) != 1 {
		t.Errorf("error %v", err)
	}
}

func TestRedirectWithoutEncryption(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer secure.Close()
	s, err := New(secure.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.pause = 0
	s.client.Transport = secure.Client().Transport
	if _, err := read(s, "x"); err == nil || !strings.Contains(err.Error(), "not encrypted") {
		t.Errorf("error %v", err)
	}
}

func TestNew(t *testing.T) {
	for _, bad := range []string{
		"", "example.org", "/path", "ftp://host/", "http://", "https://h/?q", "https://h/#f", "http://[", "http://u:pass%zz@h/",
	} {
		if s, err := New(bad); err == nil {
			t.Errorf("%q: accepted as %s", bad, s.Root())
		} else if strings.Contains(err.Error(), "pass") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	s, err := New("https://user:secret@host/a%20b")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Where("planktos/ü"); got != "https://user:xxxxx@host/a%20b/planktos/%C3%BC" {
		t.Errorf("got %s", got)
	}
	if s, err := New("http://host"); err != nil || s.Root() != "http://host/" {
		t.Errorf("%v, %v", s, err)
	}
}
