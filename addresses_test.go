package planktos

import (
	"errors"
	"strings"
	"testing"
)

func TestParseTracker(t *testing.T) {
	for _, test := range []struct{ in, want, reason string }{
		{"wss://tracker.example", "wss://tracker.example/", ""},
		{"ws://[::1]:8000/a?b=c", "ws://[::1]:8000/a?b=c", ""},
		{"/planktos/tracker", "/planktos/tracker", ""},
		{"", "", "not a URL"},
		{"tracker.example", "", "not a URL"},
		{"//tracker.example/", "", "not a URL"},
		{"/\\tracker.example/", "", "not a path"},
		{"udp://tracker.example:1337/announce", "", "useless to visitors"},
		{"http://tracker.example/", "", "this is an HTTP one"},
		{"ftp://tracker.example/", "", "unknown scheme ftp:"},
		{"wss://", "", "there is no host"},
		{"wss://:443/", "", "is no host"},
		{"wss://host:0/", "", "is no port"},
		{"wss://host:x/", "", "not a URL"},
		{"wss://host/#a", "", "no fragment"},
		{"/tracker#a", "", "no fragment"},
		{"wss://ho st/", "", "not a URL"},
		{"wss://host/\n", "", "not a URL"},
	} {
		got, err := ParseTracker(test.in)
		check(t, "ParseTracker", test.in, got, test.want, err, test.reason)
	}
}

func TestParseWebSeed(t *testing.T) {
	for _, test := range []struct{ in, want, reason string }{
		{"https://cdn.example/site/", "https://cdn.example/site/", ""},
		{"https://cdn.example/site", "https://cdn.example/site/", ""},
		{"https://cdn.example", "https://cdn.example/", ""},
		{"http://cdn.example:81/a%20b", "http://cdn.example:81/a%20b/", ""},
		{"cdn.example", "", "not a URL"},
		{"/site/", "", "not a URL"},
		{"file:///site/", "", "http: and https: only"},
		{"https:///site/", "", "there is no host"},
		{"https://a:b@cdn.example/", "", "user name or password"},
		{"https://cdn.example/?a", "", "neither query nor fragment"},
		{"https://cdn.example/?", "", "neither query nor fragment"},
		{"https://cdn.example/#a", "", "neither query nor fragment"},
	} {
		got, err := ParseWebSeed(test.in)
		check(t, "ParseWebSeed", test.in, got, test.want, err, test.reason)
	}
}

func TestParseICE(t *testing.T) {
	for _, test := range []struct{ in, url, user, credential, reason string }{
		{"stun:stun.example", "stun:stun.example", "", "", ""},
		{"stun:[::1]:3478", "stun:[::1]:3478", "", "", ""},
		{"stuns:stun.example:5349", "stuns:stun.example:5349", "", "", ""},
		{"turn:u:p@turn.example:3478?transport=tcp", "turn:turn.example:3478?transport=tcp", "u", "p", ""},
		{"turns:17000%3Abob:a=/+%40b@turn.example", "turns:turn.example", "17000:bob", "a=/+@b", ""},
		{"turn:u:p@q@turn.example", "turn:turn.example", "u", "p@q", ""},
		{"", "", "", "", "not a stun: or turn: address"},
		{"stun", "", "", "", "not a stun: or turn: address"},
		{"https://stun.example", "", "", "", "not a stun: or turn: address"},
		{"stun:", "", "", "", "there is no host"},
		{"stun://stun.example", "", "", "", "no slashes"},
		{"stun:[::g]:1", "", "", "", "is no IPv6 address"},
		{"stun:host:65536", "", "", "", "is no port"},
		{"stun:u:p@stun.example", "", "", "", "STUN takes no user"},
		{"stun:stun.example?transport=udp", "", "", "", "STUN takes no transport"},
		{"turn:turn.example", "", "", "", "without user and credential"},
		{"turn:u@turn.example", "", "", "", "without user and credential"},
		{"turn:u:p@turn.example?transport=sctp", "", "", "", "the only parameter"},
		{"turn:u:%zz@turn.example", "", "", "", "percent-encoded"},
	} {
		got, err := ParseICE(test.in)
		if test.reason == "" {
			if err != nil || len(got.URLs) != 1 || got.URLs[0] != test.url || got.Username != test.user ||
				got.Credential != test.credential {
				t.Errorf("ParseICE(%q) = %+v, %v", test.in, got, err)
			}
			continue
		}
		check(t, "ParseICE", test.in, "", "", err, test.reason)
	}
}

func TestParseBase(t *testing.T) {
	for _, test := range []struct{ in, want, reason string }{
		{"", "/", ""}, {"/", "/", ""}, {"docs", "/docs/", ""}, {"/a/b", "/a/b/", ""}, {"/a//b/", "/a/b/", ""},
		{"/%C3%A4/", "/%C3%A4/", ""},
		{"//host/", "", "this is a URL"}, {"https://host/", "", "this is a URL"}, {"/../", "", "a .. segment"},
		{"/a/./b/", "", "a . segment"}, {"/a b/", "", "characters"}, {`/"><script>/`, "", "characters"},
		{"/a?b/", "", "characters"}, {"/%zz/", "", "characters"}, {"/ä/", "", "characters"},
	} {
		got, err := ParseBase(test.in)
		check(t, "ParseBase", test.in, got, test.want, err, test.reason)
	}
}

// check holds a parser's result to what is wanted: a value, or an OptionError with a reason.
func check(t *testing.T, parser, in, got, want string, err error, reason string) {
	t.Helper()
	if reason == "" {
		if err != nil || got != want {
			t.Errorf("%s(%q) = %q, %v, want %q", parser, in, got, err, want)
		}
		return
	}
	var option *OptionError
	if !errors.As(err, &option) || !strings.Contains(option.Reason, reason) || option.Value != in {
		t.Errorf("%s(%q): got %v, want an OptionError with %q", parser, in, err, reason)
	}
}

func TestHeaderRulesRefused(t *testing.T) {
	for _, rule := range []HeaderRule{
		{"/docs/*", nil}, {"a*b", nil}, {"*", map[string]string{"": "a"}}, {"*", map[string]string{"a b": "c"}},
		{"*", map[string]string{"a": "b\r\nSet-Cookie: c"}}, {"*", map[string]string{"Content-Length": "1"}},
	} {
		var option *OptionError
		if _, err := (&Options{Headers: []HeaderRule{rule}}).settings(); !errors.As(err, &option) {
			t.Errorf("%q: got %v, want an OptionError", rule, err)
		}
	}
}

func FuzzParseICE(f *testing.F) {
	f.Add("turn:u:p@host:1?transport=udp")
	f.Add("stun:[::1]:3478")
	f.Fuzz(func(t *testing.T, s string) {
		server, err := ParseICE(s)
		if err != nil {
			return
		}
		// What is accepted passes the check that lists of servers given as values pass.
		if reason, _ := checkICE(server.URLs[0], server); reason != "" {
			t.Errorf("%q was accepted, but %s", s, reason)
		}
	})
}
