package planktos

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/planktos/planktos/internal/signal"
)

// A member of a swarm, on the tracker of a Handler.
type member struct {
	t  *testing.T
	ws *websocket.Conn
}

func joinSwarm(t *testing.T, server *httptest.Server, site *Site, id byte) *member {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, strings.Replace(server.URL, "http", "ws", 1)+"/planktos/tracker", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.CloseNow() })
	m := &member{t, socket}
	a := signal.Announce{InfoHash: site.packed.Root.Torrent.InfoHash, PeerID: signal.PeerID{id}, Releases: true}
	if err := socket.Write(ctx, websocket.MessageText, a.AppendJSON(nil)); err != nil {
		t.Fatal(err)
	}
	if reply := m.read(); reply.Announced == nil {
		t.Fatalf("got %+v", reply)
	}
	return m
}

func (m *member) read() signal.Reply {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 20*time.Second)
	defer cancel()
	_, data, err := m.ws.Read(ctx)
	if err != nil {
		m.t.Fatal(err)
	}
	reply, err := signal.DecodeReply(data)
	if err != nil {
		m.t.Fatalf("%v in %q", err, data)
	}
	return reply
}

// hears waits for a release, and returns its snapshot's id.
func (m *member) hears() string {
	m.t.Helper()
	r := m.read().Release
	if r == nil || r.Root != nil {
		m.t.Fatalf("got %+v", r)
	}
	return r.Snapshot.String()
}

// watched serves and watches a site, and gives it as it is at first.
func watched(t *testing.T, h *Handler) (*httptest.Server, *Site) {
	t.Helper()
	server := httptest.NewServer(h)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { h.Watch(ctx) })
	t.Cleanup(func() {
		cancel()
		watching.Wait()
		_ = h.Close()
		server.Close()
	})
	first, err := h.Site(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return server, first
}

func TestOpenPagesAreToldOfARelease(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("<!doctype html>one")
	h := &Handler{FS: os.DirFS(dir), CheckInterval: time.Millisecond}
	server, first := watched(t, h)
	visitor := joinSwarm(t, server, first, 1)

	// Nobody asks for anything, and yet it is noticed.
	write("<!doctype html>two, longer")
	id := visitor.hears()
	second, err := h.Site(t.Context())
	if err != nil || second.Snapshot() != id || id == first.Snapshot() {
		t.Errorf("told of %s, want %s, %v", id, second.Snapshot(), err)
	}
	// Whoever is two releases behind is told as well, and so is who joins the old swarm now.
	late := joinSwarm(t, server, first, 2)
	if got := late.hears(); got != id {
		t.Errorf("who is late hears of %s, want %s", got, id)
	}
	write("<!doctype html>three, which is longer still")
	for _, m := range []*member{visitor, late} {
		if got := m.hears(); got == id || got == first.Snapshot() {
			t.Errorf("told of %s again", got)
		}
	}
}

func TestWatchDoesNothing(t *testing.T) {
	for _, h := range []*Handler{
		{FS: os.DirFS(t.TempDir()), CheckInterval: -1}, // as it was told
		{}, // without a site
	} {
		h.Watch(t.Context()) // returns
		_ = h.Close()
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	h := &Handler{FS: os.DirFS(t.TempDir())}
	h.Watch(ended)
	_ = h.Close()
}
