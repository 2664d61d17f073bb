// Package defaults names the public services that a packed site uses when its owner chooses none. It is the one place
// in Planktos where a third party's host is written down; `--tracker none --ice none` does without all of them.
package defaults

// Trackers are public WebTorrent trackers, over wss: a page served by HTTPS may open no other kind of WebSocket.
// They introduce visitors to each other, see their addresses and the site's info-hash, and carry no content.
func Trackers() []string {
	return []string{
		"wss://tracker.openwebtorrent.com/",
		"wss://tracker.webtorrent.dev/",
	}
}

// STUN are public servers that tell a visitor its own public address (RFC 8489). They see that address and nothing of
// the site. Two are enough: browsers ask all of them, and each one more makes gathering candidates slower.
func STUN() []string {
	return []string{
		"stun:stun.cloudflare.com:3478",
		"stun:stun.l.google.com:19302",
	}
}
