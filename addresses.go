package planktos

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// An OptionError says which option cannot be used, and why. Its text is one line, without the package's prefix.
type OptionError struct {
	// Option is the name of the option as the command line and planktos.json have it, such as "tracker".
	Option string
	// Value is what was given.
	Value string
	// Reason says what is wrong with it.
	Reason string
	// Hint says what would do instead; it may be empty.
	Hint string
}

func (e *OptionError) Error() string { return fmt.Sprintf("%s %q: %s", e.Option, e.Value, e.Reason) }

// An ICEServer is a STUN or TURN server in the form of WebRTC's RTCIceServer dictionary.
type ICEServer struct {
	// URLs are stun:, stuns:, turn: or turns: URIs (RFC 7064, RFC 7065).
	URLs []string
	// Username and Credential are for TURN. Every visitor can read them.
	Username, Credential string
}

// ParseTracker checks the address of a WebTorrent tracker and returns it in normal form: a wss: or ws: URL, or a path
// on the site's own host that begins with a slash. Errors are of type [*OptionError].
func ParseTracker(s string) (string, error) {
	fail := func(reason, hint string) (string, error) { return "", &OptionError{"tracker", s, reason, hint} }
	const want = "give a wss:// URL, or a path on the site's own host such as /planktos/tracker"
	if strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") {
		u, err := url.Parse(s)
		if err != nil || strings.ContainsAny(s, "\\") {
			return fail("not a path", want)
		}
		if u.Fragment != "" {
			return fail("a WebSocket's address has no fragment", "leave out #"+u.Fragment)
		}
		return u.String(), nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" {
		return fail("not a URL", want)
	}
	switch u.Scheme {
	case "ws", "wss":
	case "udp":
		return fail("a browser cannot speak UDP to a tracker, so this one is useless to visitors", want)
	case "http", "https":
		return fail("browsers reach each other through WebSocket trackers only, and this is an HTTP one", want)
	default:
		return fail("unknown scheme "+u.Scheme+":", want)
	}
	if reason := checkHost(u.Host); reason != "" {
		return fail(reason, want)
	}
	if u.Fragment != "" {
		return fail("a WebSocket's address has no fragment", "leave out #"+u.Fragment)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), nil
}

// ParseWebSeed checks the root URL of a host that carries the same packed site and returns it in normal form, ending
// in a slash. Errors are of type [*OptionError].
func ParseWebSeed(s string) (string, error) {
	fail := func(reason, hint string) (string, error) { return "", &OptionError{"webseed", s, reason, hint} }
	const want = "give the URL at which the other host has the site's root, such as https://cdn.example/site/"
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme == "":
		return fail("not a URL", want)
	case u.Scheme != "https" && u.Scheme != "http":
		return fail("browsers fetch over http: and https: only", want)
	case checkHost(u.Host) != "":
		return fail(checkHost(u.Host), want)
	case u.User != nil:
		return fail("browsers refuse to fetch URLs with a user name or password", want)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fail("file names are appended to it, so it has neither query nor fragment", want)
	}
	if !strings.HasSuffix(u.Path, "/") {
		u = u.JoinPath("/")
	}
	return u.String(), nil
}

const (
	wantSTUN = "give stun:HOST:PORT"
	wantTURN = "give turn:USER:CREDENTIAL@HOST:PORT"
)

// ParseICE reads the address of a STUN or TURN server: stun:HOST[:PORT], stuns:HOST[:PORT] (RFC 7064), or
// turn:USER:CREDENTIAL@HOST[:PORT][?transport=udp|tcp] and the same with turns: (RFC 7065, which has no place for user
// and credential; a colon or @ in them is percent-encoded). Errors are of type [*OptionError].
func ParseICE(s string) (ICEServer, error) {
	server := ICEServer{URLs: []string{s}}
	if at := strings.LastIndexByte(s, '@'); at >= 0 {
		scheme, userinfo, _ := strings.Cut(s[:at], ":")
		user, credential, _ := strings.Cut(userinfo, ":")
		var errUser, errCredential error
		server.Username, errUser = url.PathUnescape(user)
		server.Credential, errCredential = url.PathUnescape(credential)
		if errUser != nil || errCredential != nil {
			return ICEServer{}, &OptionError{"ice", s, "user or credential is not percent-encoded", wantTURN}
		}
		server.URLs[0] = scheme + ":" + s[at+1:]
	}
	if reason, hint := checkICE(server.URLs[0], server); reason != "" {
		return ICEServer{}, &OptionError{"ice", s, reason, hint}
	}
	return server, nil
}

// checkICE says what is wrong with one URL of a server and what would do instead, or returns empty strings. It refuses
// what makes the constructor of a browser's RTCPeerConnection throw.
func checkICE(s string, server ICEServer) (reason, hint string) {
	scheme, rest, ok := strings.Cut(s, ":")
	var turn bool
	switch scheme {
	case "stun", "stuns":
		hint = wantSTUN
	case "turn", "turns":
		turn, hint = true, wantTURN
	default:
		ok = false
	}
	if !ok {
		return "not a stun: or turn: address", wantSTUN + ", or " + strings.TrimPrefix(wantTURN, "give ")
	}
	if strings.HasPrefix(rest, "//") {
		return "no slashes follow the scheme of a STUN or TURN server", hint
	}
	host, query, hasQuery := strings.Cut(rest, "?")
	if reason := checkHost(host); reason != "" {
		return reason, hint
	}
	switch {
	case !turn && (server.Username != "" || server.Credential != ""):
		return "STUN takes no user", hint
	case !turn && hasQuery:
		return "STUN takes no transport", hint
	case turn && (server.Username == "" || server.Credential == ""):
		return "browsers refuse a TURN server without user and credential", hint
	case turn && hasQuery && query != "transport=udp" && query != "transport=tcp":
		return "the only parameter is transport=udp or transport=tcp", hint
	}
	return "", ""
}

// checkHost says what is wrong with HOST or HOST:PORT, or returns the empty string.
func checkHost(hostport string) string {
	if hostport == "" {
		return "there is no host"
	}
	host, port := hostport, ""
	// A port is what follows the last colon outside of an IPv6 address's brackets.
	if colon := strings.LastIndexByte(hostport, ':'); colon > strings.LastIndexByte(hostport, ']') {
		host, port = hostport[:colon], hostport[colon+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Sprintf("%q is no port", port)
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); !ok || net.ParseIP(inner) == nil {
			return fmt.Sprintf("%q is no IPv6 address", host)
		}
		return ""
	}
	if host == "" || strings.ContainsAny(host, " \t\r\n/\\:@?#[]<>\"'`{}|^%") {
		return fmt.Sprintf("%q is no host", host)
	}
	return ""
}
