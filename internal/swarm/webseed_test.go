package swarm

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planktos/planktos/internal/wire"
)

// A webHost serves a site's contents, and counts what it is asked for.
type webHost struct {
	site *site
	// answer serves in the place of the host where it returns true.
	answer func(w http.ResponseWriter, r *http.Request, path string) bool

	mu    sync.Mutex
	asked map[string]int // by path
	bytes int
}

func (h *webHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	h.mu.Lock()
	h.asked[path]++
	h.mu.Unlock()
	if h.answer != nil && h.answer(w, r, path) {
		return
	}
	for _, c := range h.site.contents {
		data := h.site.data[c.ID]
		switch path {
		case c.Layer:
			data = hashBytes(h.site.layer(c.ID))
		case c.Path, c.Copy:
			h.mu.Lock()
			h.bytes += len(data)
			h.mu.Unlock()
		default:
			continue
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
		return
	}
	http.NotFound(w, r)
}

func (h *webHost) requests(of func(string) bool) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for path, count := range h.asked {
		if of(path) {
			n += count
		}
	}
	return n
}

// host serves the site, and names itself a web seed.
func (s *site) host(t testing.TB) *webHost {
	h := &webHost{site: s, asked: map[string]int{}}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	s.torrent.WebSeeds = append(s.torrent.WebSeeds, server.URL+"/")
	return h
}

func TestWebSeed(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request, string) bool{
		"that is well": nil,
		"that ignores ranges": func(w http.ResponseWriter, r *http.Request, _ string) bool {
			r.Header.Del("Range")
			return false
		},
		"that fails once": func() func(http.ResponseWriter, *http.Request, string) bool {
			var once sync.Once
			return func(w http.ResponseWriter, r *http.Request, _ string) (failed bool) {
				once.Do(func() {
					failed = true
					http.Error(w, "overloaded", http.StatusServiceUnavailable)
				})
				return failed
			}
		}(),
		"that has the next release at its paths": func(w http.ResponseWriter, r *http.Request, path string) bool {
			if strings.HasPrefix(path, "file") {
				w.Write(bytes.Repeat([]byte("new "), 100_000))
				return true
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			site := makeSite(100, 10*testPiece+77, testPiece, 3)
			site.host(t).answer = answer
			p := site.join(t, &Node{})
			p.fetch(t, site, site.contents...)
			if s := p.Stats(); s.FromSeeds < p.store.Used() || s.Downloaded > 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Paths for which a host always fails, more than are asked for at a time, do not keep it from bringing the others.
func TestWebSeedThatFailsForSomePaths(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"failures":  func(w http.ResponseWriter, r *http.Request) { http.Error(w, "broken", http.StatusInternalServerError) },
		"redirects": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := makeSite(101, 102, 103, 104, 105, 106, 107, 108)
			good := site.contents[5]
			site.host(t).answer = func(w http.ResponseWriter, r *http.Request, path string) bool {
				if path == good.Path || path == good.Copy {
					return false
				}
				answer(w, r)
				return true
			}
			p := site.join(t, &Node{})
			p.Swarm.mu.Lock()
			p.node.salt = 6 // what fails comes first
			p.Swarm.mu.Unlock()
			p.Want(site.contents...)
			p.fetch(t, site, good)
		})
	}
}

// What a host has cut short or altered is had from another.
func TestWebSeedThatLies(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request, string) bool{
		"cuts short": func(w http.ResponseWriter, r *http.Request, _ string) bool {
			w.Write([]byte("short"))
			return true
		},
		"alters": func(w http.ResponseWriter, r *http.Request, path string) bool {
			w.Write(make([]byte, 20*testPiece))
			return true
		},
		"redirects in circles": func(w http.ResponseWriter, r *http.Request, path string) bool {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
			return true
		},
		"breaks off": func(w http.ResponseWriter, r *http.Request, path string) bool {
			w.Header().Set("Content-Length", "1000000")
			w.Write(make([]byte, 10))
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			site := makeSite(100, 3*testPiece+77)
			bad := site.host(t)
			bad.answer = answer
			p := site.join(t, &Node{})
			p.Want(site.contents...)
			p.untilChanged(t, func() bool { return bad.requests(func(string) bool { return true }) >= 2 })
			if used := p.Stats().Missing; used != 5 {
				t.Errorf("%d pieces of 5 are missing", used)
			}
			link(site.join(t, &Node{}, site.contents...), p)
			p.fetch(t, site, site.contents...)
		})
	}
}

// untilChanged waits for a state that comes with the swarm's news.
func (p *testPeer) untilChanged(t *testing.T, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		changed := p.Changed()
		if is() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("that never came")
		}
	}
}

// What a peer has is had from the peer; only the rest costs the host anything.
func TestPeersSpareWebSeeds(t *testing.T) {
	site := makeSite(100, 20*testPiece, 200, 5*testPiece)
	host := site.host(t)
	giver := site.join(t, &Node{}, site.contents[:2]...)
	taker := site.join(t, &Node{})
	taker.meeting.trackers = nil
	link(giver, taker)
	taker.untilConnected(t)
	taker.fetch(t, site, site.contents...)
	held := []string{site.contents[0].Path, site.contents[1].Path, site.contents[0].Copy, site.contents[1].Copy}
	if n := host.requests(func(path string) bool { return slices.Contains(held, path) }); n > 0 {
		t.Errorf("%d requests for what a peer has", n)
	}
}

// untilConnected waits until a peer has told what it holds.
func (p *testPeer) untilConnected(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		p.Swarm.mu.Lock()
		told := false
		for peer := range p.peers {
			told = told || peer.pieces.count > 0
		}
		p.Swarm.mu.Unlock()
		if told {
			return
		}
		<-tick.C
	}
	t.Fatal("no peer has told anything")
}

// Peers are told what comes from a web seed, and what they say of it is heeded.
func TestFetching(t *testing.T) {
	site := makeSite(100, 200)
	host := site.host(t)
	release := make(chan struct{})
	host.answer = func(w http.ResponseWriter, r *http.Request, path string) bool {
		<-release
		return false
	}
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	p := site.join(t, &Node{})
	r := raw(t, p, 1, nil)
	r.send(wire.Bare{ID: wire.HaveNone})
	r.send(wire.Extended{Payload: wire.AppendExtended(nil, 100)})
	claim := wire.Fetching{Active: true, Runs: []wire.Run{{First: 1, Count: 1}}}
	r.send(wire.Extended{Number: wire.FetchingNumber, Payload: claim.Append(nil)})
	// Its word is in before anything is wanted.
	r.send(wire.Block{ID: wire.Request, Length: 1})
	r.until(isID(wire.Reject))
	p.Want(site.contents...)
	fetching := func() wire.Fetching {
		m := r.until(func(m wire.Message) bool {
			e, ok := m.(wire.Extended)
			return ok && e.Number == wire.FetchingNumber
		})
		f, err := wire.DecodeFetching(m.(wire.Extended).Payload, 2)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if f := fetching(); !f.Active || !slices.Equal(f.Runs, []wire.Run{{First: 0, Count: 1}}) {
		t.Errorf("begun: %+v", f)
	}
	release <- struct{}{}
	if f := fetching(); f.Active || !slices.Equal(f.Runs, []wire.Run{{First: 0, Count: 1}}) {
		t.Errorf("ended: %+v", f)
	}
	r.until(isID(wire.Have))
	if n := host.requests(func(path string) bool { return strings.HasSuffix(path, "file-1") }); n > 0 {
		t.Error("asked for what a peer is fetching")
	}
	claim.Active = false
	r.send(wire.Extended{Number: wire.FetchingNumber, Payload: claim.Append(nil)})
	release <- struct{}{}
	p.fetch(t, site, site.contents...)
}
