package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
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
	body := make([]byte, 100_000)
	o := &origin{
		backend: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }),
		uplink:  &uplink{},
		delay:   5 * time.Millisecond,
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { _ = o.serve(3, l) }()

	var received int64
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &countingConn{c, &received}, err
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	start := time.Now()
	for range 2 {
		response, err := client.Get("http://" + l.Addr().String() + "/a?b")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	// One round trip to connect, one for each request.
	if got := time.Since(start); got < 3*o.delay {
		t.Errorf("two requests over one connection took %v, want at least %v", got, 3*o.delay)
	}
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
	if wire != received {
		t.Errorf("logged %d bytes on the wire, the client received %d", wire, received)
	}
}

type countingConn struct {
	net.Conn
	received *int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	*c.received += int64(n)
	return n, err
}
