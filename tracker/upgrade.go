package tracker

import (
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"

	"github.com/gobwas/ws"
)

// ServeHTTP upgrades the request to a WebSocket, and returns when that is done: the connection lives on by itself,
// until its peer leaves or the tracker is closed. Requests that ask for no WebSocket are answered 426.
func (t *Tracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.init()
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	case !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket"):
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "this is a WebTorrent tracker: connect to it by WebSocket", http.StatusUpgradeRequired)
		return
	case !t.originAllowed(r):
		t.counts.rejected.Add(1)
		http.Error(w, "pages of this origin may not use this tracker", http.StatusForbidden)
		return
	}
	ip := t.clientIP(r)
	c := &conn{tracker: t, ip: network(ip)}
	if status := t.admit(c); status != 0 {
		t.counts.rejected.Add(1)
		http.Error(w, http.StatusText(status), status)
		return
	}
	nc, rw, _, err := ws.HTTPUpgrader{Timeout: t.limits.write}.Upgrade(r, w)
	if err != nil {
		t.counts.rejected.Add(1)
		t.dismiss(c) // before the close, so that who has seen that can come back
		if nc != nil {
			nc.Close()
		}
		return
	}
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ := rw.Reader.Peek(n)
		c.in.early = append([]byte(nil), early...)
	}
	c.in.conn = nc
	t.log.Debug("connected", "ip", ip, "origin", r.Header.Get("Origin"))
	c.start(nc)
}

// admit counts a connection in, or returns the status that refuses it.
func (t *Tracker) admit(c *conn) (status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed, t.MaxConns > 0 && len(t.conns) >= t.MaxConns:
		return http.StatusServiceUnavailable
	case t.MaxConnsPerIP > 0 && t.perIP[c.ip] >= t.MaxConnsPerIP:
		return http.StatusTooManyRequests
	}
	t.conns[c] = struct{}{}
	t.perIP[c.ip]++
	t.wait.Add(1)
	return 0
}

// dismiss undoes admit.
func (t *Tracker) dismiss(c *conn) {
	t.mu.Lock()
	delete(t.conns, c)
	if t.perIP[c.ip]--; t.perIP[c.ip] == 0 {
		delete(t.perIP, c.ip)
	}
	t.mu.Unlock()
	t.wait.Done()
}

func (t *Tracker) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if len(t.OriginPatterns) == 0 || origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" { // "null", the origin of sandboxed frames and files, is no host
		return false
	}
	host := strings.ToLower(u.Host)
	if host == strings.ToLower(r.Host) {
		return true
	}
	for _, pattern := range t.OriginPatterns {
		if ok, _ := path.Match(pattern, host); ok {
			return true
		}
	}
	return false
}

func (t *Tracker) clientIP(r *http.Request) netip.Addr {
	if t.ClientIP != nil {
		return t.ClientIP(r)
	}
	address, _ := netip.ParseAddrPort(r.RemoteAddr) // the zero Addr stands for all that have no address
	return address.Addr()
}

// network returns what counts as one sender: an IPv4 address, or an IPv6 /64.
func network(ip netip.Addr) netip.Prefix {
	bits := 64
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		bits = 32
	}
	prefix, _ := ip.Prefix(bits)
	return prefix
}

// hasToken reports whether a header lists a token, in any case (RFC 9110, section 5.6.1).
func hasToken(h http.Header, name, token string) bool {
	for _, line := range h[name] {
		for item := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}
