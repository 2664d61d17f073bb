package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// maxVisitors bounds the demo's listeners.
const maxVisitors = 32

// A stage is the demo's visitors, each a listener and so an origin of its own, all served by one site. Its page reads
// and changes it over HTTP:
//
//	GET    /api/state           {"visitors": [{"id", "url", "originBytes", "requests"}], "originBytes"}
//	GET    /api/events          the same as server-sent events, whenever it has changed
//	POST   /api/visitors        adds one, and answers with it (201); 409 when there are enough
//	DELETE /api/visitors/{id}   removes one (204)
//
// originBytes is what was written to sockets: headers, the runtime and the tracker's messages included. The sum over the
// stage counts visitors that have left, too. Only pages of the stage's own origin may change it.
type stage struct {
	p    *program
	site http.Handler
	host string

	sent atomic.Int64 // bytes, by all visitors that ever were

	mu       sync.Mutex
	last     int
	visitors []*visitor
	closed   bool
}

// visitor is one listener.
type visitor struct {
	id       int
	url      string
	server   *http.Server
	stopped  chan struct{}
	sent     atomic.Int64
	requests atomic.Int64
}

type visitorState struct {
	ID          int    `json:"id"`
	URL         string `json:"url"`
	OriginBytes int64  `json:"originBytes"`
	Requests    int64  `json:"requests"`
}

type stageState struct {
	Visitors    []visitorState `json:"visitors"`
	OriginBytes int64          `json:"originBytes"`
}

// newStage makes an empty stage whose visitors listen on the host of addr.
func newStage(p *program, site http.Handler, addr net.Addr) *stage {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		host = "127.0.0.1"
	}
	return &stage{p: p, site: site, host: host}
}

var errEnough = errors.New("there are as many visitors as there can be")

// add opens a listener for one more visitor.
func (s *stage) add() (visitorState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.visitors) >= maxVisitors {
		return visitorState{}, errEnough
	}
	l, err := net.Listen("tcp", net.JoinHostPort(s.host, "0"))
	if err != nil {
		return visitorState{}, fmt.Errorf("opening a port for a visitor: %w", err)
	}
	s.last++
	v := &visitor{id: s.last, url: "http://" + urlHost(l.Addr()) + "/", stopped: make(chan struct{})}
	v.server = s.p.newServer(context.WithoutCancel(s.p.ctx), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.requests.Add(1)
		s.site.ServeHTTP(w, r)
	}))
	go func() {
		defer close(v.stopped)
		_ = v.server.Serve(&countingListener{l, []*atomic.Int64{&v.sent, &s.sent}})
	}()
	s.visitors = append(s.visitors, v)
	return v.state(), nil
}

// remove closes a visitor's listener and says whether there was one.
func (s *stage) remove(id int) bool {
	s.mu.Lock()
	i := slices.IndexFunc(s.visitors, func(v *visitor) bool { return v.id == id })
	if i < 0 {
		s.mu.Unlock()
		return false
	}
	v := s.visitors[i]
	s.visitors = slices.Delete(s.visitors, i, i+1)
	s.mu.Unlock()
	v.close()
	return true
}

// close removes everybody.
func (s *stage) close() {
	s.mu.Lock()
	visitors := s.visitors
	s.visitors, s.closed = nil, true
	s.mu.Unlock()
	for _, v := range visitors {
		v.close()
	}
}

func (v *visitor) close() {
	_ = v.server.Close()
	<-v.stopped
}

func (v *visitor) state() visitorState {
	return visitorState{v.id, v.url, v.sent.Load(), v.requests.Load()}
}

func (s *stage) state() stageState {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := stageState{Visitors: []visitorState{}, OriginBytes: s.sent.Load()}
	for _, v := range s.visitors {
		state.Visitors = append(state.Visitors, v.state())
	}
	return state
}

// handler answers the stage's interface until ctx ends, and leaves every other path to page.
func (s *stage) handler(ctx context.Context, page http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", page)
	mux.HandleFunc("GET /api/state", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.state()) })
	mux.HandleFunc("GET /api/events", func(w http.ResponseWriter, r *http.Request) { s.events(ctx, w, r) })
	mux.HandleFunc("POST /api/visitors", func(w http.ResponseWriter, _ *http.Request) {
		v, err := s.add()
		switch {
		case errors.Is(err, errEnough):
			http.Error(w, err.Error(), http.StatusConflict)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			answer(w, http.StatusCreated, v)
		}
	})
	mux.HandleFunc("DELETE /api/visitors/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil || !s.remove(id) {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return http.NewCrossOriginProtection().Handler(mux)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// events sends the state whenever it has changed, at most four times a second.
func (s *stage) events(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flush := http.NewResponseController(w)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for last := ""; ; {
		state, err := json.Marshal(s.state())
		if err != nil {
			return
		}
		if now := string(state); now != last {
			last = now
			if _, err := fmt.Fprintf(w, "data: %s\n\n", now); err != nil {
				return
			}
			if flush.Flush() != nil {
				return
			}
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// countingListener adds what its connections write to counters.
type countingListener struct {
	net.Listener
	counters []*atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{conn, l.counters}, nil
}

type countingConn struct {
	net.Conn
	counters []*atomic.Int64
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	for _, counter := range c.counters {
		counter.Add(int64(n))
	}
	return n, err
}
