package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// origin serves the backend to visitors, each on a listener of its own, and keeps a log of their requests.
type origin struct {
	backend http.Handler
	uplink  *uplink
	delay   time.Duration
	tls     *tls.Config // for HTTP/2; nil: HTTP/1.1 in the clear
	maxAge  int         // seconds; 0 leaves the backend's Cache-Control alone

	mu       sync.Mutex
	requests []*request
}

// request is one request as it is logged. Times are milliseconds since the Unix epoch, comparable with a page's
// performance.timeOrigin.
type request struct {
	conn         *conn
	method, path string
	span, by     string
	tracker      bool
	start, end   atomic.Int64 // nanoseconds since the epoch; end is 0 while it runs
	status       atomic.Int64
	body         atomic.Int64
	wire         atomic.Int64
}

// entry is a request in a report.
type entry struct {
	Visitor int `json:"visitor"`
	// Method and Path with its query, as requested.
	Method string `json:"method"`
	Path   string `json:"path"`
	// Range is the request's header.
	Range string `json:"range,omitempty"`
	// By tells who asks: the header Sec-Fetch-Dest and the path of Referer.
	By     string `json:"by"`
	Status int64  `json:"status"`
	// Body is bytes of body; Wire is bytes on the socket, headers included. Requests that share a connection by HTTP/2
	// are given their part of what it sent.
	Body int64 `json:"body"`
	Wire int64 `json:"wire"`
	// Tracker tells a WebSocket: its bytes are not the uplink's.
	Tracker bool `json:"tracker,omitempty"`
	// StartMs is when the request had arrived, EndMs when its answer was given to the socket (0: it runs still).
	StartMs float64 `json:"startMs"`
	EndMs   float64 `json:"endMs"`
}

// What the headers of an answer are taken for where requests share a connection.
const headerBytes = 150

type connKey struct{}

// serve answers one visitor.
func (o *origin) serve(visitor int, l net.Listener) error {
	server := &http.Server{
		Handler: http.HandlerFunc(o.answer),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if secure, ok := c.(*tls.Conn); ok {
				c = secure.NetConn()
			}
			return context.WithValue(ctx, connKey{}, c)
		},
		TLSConfig: o.tls,
	}
	shaped := &listener{Listener: l, origin: o, visitor: visitor}
	if o.tls != nil {
		return server.ServeTLS(shaped, "", "")
	}
	return server.Serve(shaped)
}

type listener struct {
	net.Listener
	origin  *origin
	visitor int
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	ready := time.Now().Add(l.origin.delay)
	if l.origin.tls != nil {
		ready = ready.Add(l.origin.delay)
	}
	return &conn{Conn: c, uplink: l.origin.uplink, visitor: l.visitor, ready: ready}, nil
}

func (o *origin) answer(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(connKey{}).(*conn)
	entry := &request{conn: c, method: r.Method, path: r.URL.RequestURI(), span: r.Header.Get("Range"), by: askedBy(r)}
	entry.start.Store(time.Now().UnixNano())
	entry.tracker = r.Header.Get("Upgrade") != ""
	o.mu.Lock()
	o.requests = append(o.requests, entry)
	o.mu.Unlock()
	if r.ProtoMajor == 1 {
		c.request.Store(entry)
	}
	if entry.tracker {
		c.late.Store(newDelayLine(c.Conn, o.delay, entry))
	} else {
		select {
		case <-time.After(o.delay):
		case <-r.Context().Done():
		}
	}
	// A handler that gives up on a visitor panics with http.ErrAbortHandler.
	defer func() { entry.end.Store(time.Now().UnixNano()) }()
	o.backend.ServeHTTP(&counter{w, entry, o.maxAge}, r)
}

// askedBy tells a page's own request from one of its worker or engine.
func askedBy(r *http.Request) string {
	from, err := url.Parse(r.Referer())
	if err != nil {
		return r.Header.Get("Sec-Fetch-Dest")
	}
	return strings.TrimSpace(r.Header.Get("Sec-Fetch-Dest") + " " + from.Path)
}

// counter books status and bytes of body, and says how long the site's files may be cached.
type counter struct {
	http.ResponseWriter
	request *request
	maxAge  int
}

func (c *counter) WriteHeader(status int) {
	if c.maxAge > 0 && !strings.HasPrefix(c.request.path, "/planktos") {
		c.Header().Set("Cache-Control", "max-age="+strconv.Itoa(c.maxAge))
	}
	c.request.status.Store(int64(status))
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(p []byte) (int, error) {
	if c.request.status.Load() == 0 {
		c.WriteHeader(http.StatusOK)
	}
	n, err := c.ResponseWriter.Write(p)
	c.request.body.Add(int64(n))
	return n, err
}

// Hijack hands out the connection, for the tracker's WebSockets.
func (c *counter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(c.ResponseWriter).Hijack()
}

// Unwrap lets http.ResponseController flush.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// report lists all requests so far.
func (o *origin) report() map[string]any {
	o.mu.Lock()
	defer o.mu.Unlock()
	entries := make([]entry, len(o.requests))
	shares := map[*conn]int64{}
	for i, r := range o.requests {
		entries[i] = entry{
			Visitor: r.conn.visitor, Method: r.method, Path: r.path, Range: r.span, By: r.by, Status: r.status.Load(),
			Body: r.body.Load(), Wire: r.wire.Load(), Tracker: r.tracker,
			StartMs: milliseconds(r.start.Load()), EndMs: milliseconds(r.end.Load()),
		}
		shares[r.conn] += headerBytes + entries[i].Body
	}
	for i, r := range o.requests {
		entries[i].Wire += r.conn.shared.Load() * (headerBytes + entries[i].Body) / shares[r.conn]
	}
	return map[string]any{"requests": entries}
}

func milliseconds(nanoseconds int64) float64 { return float64(nanoseconds) / float64(time.Millisecond) }
