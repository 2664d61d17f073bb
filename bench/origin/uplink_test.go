package main

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestUplinkIsSharedEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &uplink{rate: 1e6}
		start := time.Now()
		var all sync.WaitGroup
		var short time.Duration
		for _, size := range []int{2_000_000, 500_000} {
			all.Go(func() {
				for sent := 0; sent < size; sent += 10_000 {
					u.take(10_000)
				}
				if size == 500_000 {
					short = time.Since(start)
				}
			})
		}
		all.Wait()
		// While both send, each has half: the short one takes twice as long as alone.
		if want := time.Second; (short - want).Abs() > 5*slack {
			t.Errorf("0.5 MB beside another took %v, want about %v", short, want)
		}
		if got, want := time.Since(start), 2500*time.Millisecond; (got - want).Abs() > 5*slack {
			t.Errorf("2.5 MB took %v, want about %v", got, want)
		}
	})
}

func TestUplinkSavesNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &uplink{rate: 1e6}
		u.take(1)
		time.Sleep(time.Hour)
		start := time.Now()
		for range 10 {
			u.take(100_000)
		}
		if got := time.Since(start); got < time.Second-2*slack {
			t.Errorf("1 MB after an idle hour took %v", got)
		}
	})
}

// TestReport asks for a body twice over one connection and holds the log against what the socket carried.
func TestReport(t *testing.T) {
	config, _, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("HTTP/1.1", func(t *testing.T) { testReport(t, nil, 3) })
	t.Run("HTTP/2", func(t *testing.T) { testReport(t, config, 4) })
}

// The two requests take so many round trips at the least.
func testReport(t *testing.T, config *tls.Config, trips time.Duration) {
	body := make([]byte, 100_000)
	o := &origin{
		backend: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Protocol", r.Proto)
			_, _ = w.Write(body)
		}),
		uplink: &uplink{},
		delay:  5 * time.Millisecond,
		tls:    config,
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket := &countingListener{Listener: l, closed: make(chan struct{})}
	go func() { _ = o.serve(3, socket) }()

	scheme, protocol := "http", "HTTP/1.1"
	if config != nil {
		scheme, protocol = "https", "HTTP/2.0"
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	client := &http.Client{Transport: transport}
	start := time.Now()
	for range 2 {
		response, err := client.Get(scheme + "://" + l.Addr().String() + "/a?b")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("Protocol"); got != protocol {
			t.Errorf("answered by %s, want %s", got, protocol)
		}
	}
	if got := time.Since(start); got < trips*o.delay {
		t.Errorf("two requests over one connection took %v, want at least %v", got, trips*o.delay)
	}
	transport.CloseIdleConnections()
	<-socket.closed
	entries := o.report()["requests"].([]entry)
	if len(entries) != 2 {
		t.Fatalf("%d requests logged, want 2", len(entries))
	}
	var wire int64
	for _, e := range entries {
		if e.Visitor != 3 || e.Method != "GET" || e.Path != "/a?b" || e.Status != 200 || e.Body != 100_000 {
			t.Errorf("logged %+v", e)
		}
		wire += e.Wire
	}
	// What is divided is rounded down.
	if sent := socket.sent.Load(); wire > sent || wire < sent-int64(len(entries)) {
		t.Errorf("logged %d bytes on the wire, the socket sent %d", wire, sent)
	}
}

// countingListener accepts one connection, counts what it sends, and says when it is closed.
type countingListener struct {
	net.Listener
	sent   atomic.Int64
	closed chan struct{}
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &countingConn{Conn: c, listener: l}, err
}

type countingConn struct {
	net.Conn
	listener *countingListener
	once     sync.Once
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.listener.sent.Add(int64(n))
	return n, err
}

func (c *countingConn) Close() error {
	c.once.Do(func() { close(c.listener.closed) })
	return c.Conn.Close()
}
