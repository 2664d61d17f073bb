package tracker

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/coder/websocket"

	"github.com/planktos/planktos/internal/signal"
)

func TestPlainRequests(t *testing.T) {
	tests := []struct {
		name   string
		method string
		header http.Header
		status int
	}{
		{"GET", "GET", nil, 426},
		{"HEAD", "HEAD", nil, 426},
		{"POST", "POST", nil, 405},
		{"upgrade to something else", "GET", http.Header{"Connection": {"upgrade"}, "Upgrade": {"h2c"}}, 426},
		{"upgrade that is not asked for", "GET", http.Header{"Connection": {"close"}, "Upgrade": {"websocket"}}, 426},
		{"upgrade where the connection cannot be had", "GET",
			http.Header{"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"WebSocket"}}, 500},
	}
	tracker := &Tracker{}
	defer tracker.Close()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			request := httptest.NewRequest(test.method, "/any/path", nil)
			request.Header = test.header
			if request.Header == nil {
				request.Header = http.Header{}
			}
			tracker.ServeHTTP(recorder, request)
			if recorder.Code != test.status {
				t.Errorf("got %d, want %d", recorder.Code, test.status)
			}
		})
	}
	if s := tracker.Stats(); s.Conns != 0 || s.Accepted != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestBadHandshake(t *testing.T) {
	tracker := &Tracker{MaxConns: 1}
	url := start(t, tracker)
	nc := raw(t, url)
	io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	answer, _ := io.ReadAll(nc)
	if len(answer) < 12 || string(answer[:12]) != "HTTP/1.1 400" {
		t.Errorf("got %q", answer)
	}
	connect(t, url, 1).announce(7, signal.EventStarted, 0, 0) // the place is free again
}

func TestFirstFrameWithHandshake(t *testing.T) {
	url := start(t, &Tracker{})
	nc := raw(t, url)
	// {"action":"scrape"}, masked with zeros, right behind the request.
	io.WriteString(nc, handshake+"\x81\x93\x00\x00\x00\x00"+`{"action":"scrape"}`)
	var got []byte
	for buffer := make([]byte, 1024); len(got) == 0 || got[len(got)-1] != '}'; {
		n, err := nc.Read(buffer)
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		got = append(got, buffer[:n]...)
	}
}

func TestOrigins(t *testing.T) {
	url := start(t, &Tracker{OriginPatterns: []string{"example.com", "*.example.net", "localhost:*"}})
	host := url[len("ws://"):]
	tests := []struct {
		origin  string
		allowed bool
	}{
		{"", true}, {"https://example.com", true}, {"https://EXAMPLE.com", true}, {"https://a.example.net", true},
		{"http://localhost:8080", true}, {"http://" + host, true},
		{"https://example.com.evil.test", false}, {"https://example.net", false}, {"https://example.com:8443", false},
		{"null", false}, {"file://", false}, {"://", false}, {"example.com", false},
	}
	for _, test := range tests {
		options := &websocket.DialOptions{HTTPHeader: http.Header{}}
		if test.origin != "" {
			options.HTTPHeader.Set("Origin", test.origin)
		}
		c, response, err := dial(url, options)
		switch {
		case test.allowed && err != nil:
			t.Errorf("%q: %v", test.origin, err)
		case !test.allowed && (err == nil || response.StatusCode != http.StatusForbidden):
			t.Errorf("%q: got %v, %v", test.origin, response, err)
		}
		if err == nil {
			c.CloseNow()
		}
	}
}

func TestAnyOriginByDefault(t *testing.T) {
	url := start(t, &Tracker{})
	c, _, err := dial(url+"/some/path?query", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"null"}}})
	if err != nil {
		t.Fatal(err)
	}
	c.CloseNow()
}

func TestConnectionLimits(t *testing.T) {
	ip := func(r *http.Request) netip.Addr {
		a, _ := netip.ParseAddr(r.Header.Get("X-Test-IP"))
		return a
	}
	tracker := &Tracker{MaxConns: 4, MaxConnsPerIP: 2, ClientIP: ip}
	url := start(t, tracker)
	steps := []struct {
		ip     string
		status int
	}{
		{"192.0.2.1", 101}, {"::ffff:192.0.2.1", 101}, {"192.0.2.1", 429},
		{"2001:db8::1", 101}, {"2001:db8::ffff:2", 101}, {"2001:db8::3", 503},
	}
	for _, step := range steps {
		c, response, err := dial(url, &websocket.DialOptions{HTTPHeader: http.Header{"X-Test-Ip": {step.ip}}})
		if response == nil || response.StatusCode != step.status {
			t.Fatalf("%s: got %v, %v, want %d", step.ip, response, err, step.status)
		}
		if err == nil {
			t.Cleanup(func() { c.CloseNow() })
		}
	}
	// A client may read the upgrade's answer before the tracker counts the connection.
	await(t, tracker, "four connections and two refusals", func(s Stats) bool { return s.Conns == 4 && s.Rejected == 2 })
}
