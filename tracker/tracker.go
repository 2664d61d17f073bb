// Package tracker is a WebTorrent tracker: it introduces browsers that want the same torrent to each other, by passing
// on their WebRTC offers and answers over a WebSocket. It carries no content, stores nothing, and speaks the protocol
// of bittorrent-tracker, which docs/tracker.md of this repository writes down.
//
// A Tracker is an http.Handler that answers WebSocket upgrades on whatever path it is mounted:
//
//	t := &tracker.Tracker{}
//	defer t.Close()
//	http.Handle("/", t)
//
// What a tracker knows is soft state: a peer is in a swarm from its announce until it says `stopped`, its connection
// closes, or it falls silent. After a restart, re-announces bring everything back.
//
// Everybody is a stranger here. A message is bounded before it is allocated; a connection that sends too fast is read
// more slowly, one that sends garbage is closed, and one that does not read is dropped rather than waited for.
//
// Whoever publishes a site can have the tracker tell those who are on an earlier snapshot of it, by [Tracker.Publish] or
// over a WebSocket. The tracker verifies nothing of that, and clients do not believe it: what is signed speaks for
// itself, and the rest is a hint to ask the site's own host.
package tracker

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Tracker is a WebTorrent tracker. The zero value is ready to use and tracks every swarm for everybody. Fields may be
// set until the first request. It must not be copied, and is safe for concurrent use.
type Tracker struct {
	// Interval is how often peers are asked to announce. If zero, two minutes.
	Interval time.Duration
	// PeerTTL is how long a peer that neither announces nor answers offers is still introduced to others, although its
	// connection is open: a frozen tab, for one. If zero, three times Interval.
	PeerTTL time.Duration
	// PingInterval is the silence after which a connection is sent a ping. If zero, 45 seconds: proxies commonly close
	// connections that are silent for a minute.
	PingInterval time.Duration
	// PongTimeout is the silence after a ping for which a connection is taken for dead. If zero, 20 seconds.
	PongTimeout time.Duration
	// WriteTimeout is how long one write to a connection may take before it is dropped. If zero, 20 seconds.
	WriteTimeout time.Duration

	// MaxConns is the most connections. If zero, there is no limit but the system's.
	MaxConns int
	// MaxConnsPerIP is the most connections from one IPv4 address or one IPv6 /64 network. If zero, there is no limit.
	MaxConnsPerIP int
	// MaxMessageBytes is the largest message that is read. If zero, 128 KiB: room for some twenty offers.
	MaxMessageBytes int
	// MaxQueueBytes is the most that may wait for a connection to take it; a slower reader is dropped. It must have room
	// for a message. If zero, four times MaxMessageBytes.
	MaxQueueBytes int
	// MessagesPerSecond is the rate at which one connection is read, after a burst of ten times that. A message of
	// more than 16 KiB counts as several. If zero, 20.
	MessagesPerSecond float64
	// MaxOffers is the most offers of one announce that are passed on. If zero, 20.
	MaxOffers int
	// MaxSwarmsPerConn is the most swarms that one connection can be in. If zero, 64.
	MaxSwarmsPerConn int
	// MaxPeersPerSwarm is the most peers in one swarm. If zero, 100,000.
	MaxPeersPerSwarm int

	// Filter reports whether a swarm is served here, so that a site's own tracker serves only its own site. It is
	// called for every announce and must be safe for concurrent use. If nil, every swarm is.
	Filter func(infoHash [20]byte) bool
	// OriginPatterns are the hosts whose pages may connect, as path.Match patterns over the Origin header's host (and
	// port, if it has one), in lower case: "example.com", "*.example.com". Pages of the tracker's own host always may,
	// and so may clients that are not browsers and send no Origin. If empty, all may.
	OriginPatterns []string
	// ClientIP tells the address of a request's sender, for MaxConnsPerIP and the log: behind a reverse proxy, the one
	// that the proxy names. If nil, it is the connection's own.
	ClientIP func(r *http.Request) netip.Addr

	// Logger is told of connections, at debug level. If nil, nothing is logged.
	Logger *slog.Logger

	ready   sync.Once
	log     *slog.Logger
	limits  limits
	swarms  swarms
	board   board
	crier   crier
	counts  counters
	closing chan struct{} // closed by Close

	mu     sync.Mutex
	closed bool                 // guarded by mu
	conns  map[*conn]struct{}   // guarded by mu
	perIP  map[netip.Prefix]int // guarded by mu
	wait   sync.WaitGroup       // the goroutines of conns
}

// limits are the Tracker's fields with their defaults filled in.
type limits struct {
	interval, peerTTL, ping, pong, write  time.Duration
	message, queue, offers, swarms, peers int
	rate, burst                           float64
}

const (
	// messageTimeout is how long a message may take from its first byte to its last.
	messageTimeout = 30 * time.Second
	// closeTimeout is how long a peer may take over the closing handshake.
	closeTimeout = time.Second
	// A message costs one token, and one more for every so many bytes.
	tokenBytes = 16 << 10
	// faultBurst messages in a row may be wrong, and one more every faultRefill.
	faultBurst  = 20
	faultRefill = 5 * time.Second
)

func (t *Tracker) init() {
	t.ready.Do(func() {
		t.limits = limits{
			interval: or(t.Interval, 2*time.Minute),
			ping:     or(t.PingInterval, 45*time.Second),
			pong:     or(t.PongTimeout, 20*time.Second),
			write:    or(t.WriteTimeout, 20*time.Second),
			message:  or(t.MaxMessageBytes, 128<<10),
			offers:   or(t.MaxOffers, 20),
			swarms:   or(t.MaxSwarmsPerConn, 64),
			peers:    or(t.MaxPeersPerSwarm, 100_000),
			rate:     or(t.MessagesPerSecond, 20),
		}
		t.limits.peerTTL = or(t.PeerTTL, 3*t.limits.interval)
		t.limits.queue = or(t.MaxQueueBytes, 4*t.limits.message)
		t.limits.burst = 10 * t.limits.rate
		t.log = t.Logger
		if t.log == nil {
			t.log = slog.New(slog.DiscardHandler)
		}
		t.closing = make(chan struct{})
		t.conns = make(map[*conn]struct{})
		t.perIP = make(map[netip.Prefix]int)
	})
}

// or returns value, or fallback if value is not positive.
func or[T int | float64 | time.Duration](value, fallback T) T {
	if value > 0 {
		return value
	}
	return fallback
}

// Close tells every client that the tracker goes away, and waits until all connections are closed, for which a client
// gets a second. Requests that come later are answered 503. Closing again waits as well and does nothing more.
func (t *Tracker) Close() error {
	t.init()
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.closing)
	}
	open := make([]*conn, 0, len(t.conns))
	for c := range t.conns {
		open = append(open, c)
	}
	t.mu.Unlock()
	for _, c := range open {
		c.end(goingAway)
	}
	t.wait.Wait()
	return nil
}
