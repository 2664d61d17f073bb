// Package signal is the JSON that WebTorrent clients and trackers say to each other over a WebSocket: BitTorrent's
// announce and scrape (BEP 3, BEP 48) with WebRTC offers and answers aboard. It knows no sockets.
//
//	client ── Announce{event, left, offers} ──▶ tracker        every interval, and when the state changes
//	client ◀── Announced{interval, counts} ──── tracker
//	           tracker ── Relay{offer} ──▶ other peer          each offer to another member of the swarm
//	           tracker ◀── Announce{answer} ── other peer
//	client ◀── Relay{answer} ────────────────── tracker        the two now connect without the tracker
//	client ── Scrape ──▶ tracker ── Scraped ──▶ client
//	client ◀── Failure ── tracker                              what was asked cannot be done
//	publisher ── Release ──▶ tracker ── Release ──▶ members    a site has a new snapshot (an addition of Planktos)
//	publisher ◀── Told ──── tracker
//
// There is no BEP for it; the protocol is what bittorrent-tracker (JavaScript) does, and docs/tracker.md in this
// repository writes it down. One message is one JSON object in one WebSocket message. Identifiers are "binary
// strings": 20 characters, each a code point from 0 to 255 that stands for one byte.
//
// Session descriptions are relayed, not read: a decoded message keeps each offer and answer as the JSON it came as,
// checked for being valid JSON (and UTF-8) and nothing more. Decoding is one pass over the message.
package signal

import "encoding/hex"

// InfoHash names a swarm: the v1 info-hash of a torrent (BEP 3).
type InfoHash [20]byte

// String returns 40 hex digits.
func (h InfoHash) String() string { return hex.EncodeToString(h[:]) }

// PeerID names a member of a swarm (BEP 3). A peer chooses its own.
type PeerID [20]byte

// String returns 40 hex digits.
func (p PeerID) String() string { return hex.EncodeToString(p[:]) }

// OfferID lets the author of an offer match the answer to it.
type OfferID [20]byte

// String returns 40 hex digits.
func (o OfferID) String() string { return hex.EncodeToString(o[:]) }

// Action is the `action` of a message.
type Action string

// The two actions of the protocol, and Planktos' own.
const (
	ActionAnnounce Action = "announce"
	ActionScrape   Action = "scrape"
	ActionRelease  Action = "release"
)

// Event is the `event` of an announce.
type Event string

// The events of BEP 3, and BEP 21's paused. An absent, null or empty event, and "empty", decode as EventUpdate.
const (
	EventUpdate    Event = "update"
	EventStarted   Event = "started"
	EventStopped   Event = "stopped"
	EventCompleted Event = "completed"
	EventPaused    Event = "paused"
)

// Unknown is a count that the sender did not give, or gave as something that is not a number: JavaScript clients write
// an infinite `left` as null.
const Unknown int64 = -1

// Bounds on the parts of one message. They bound what decoding allocates, together with the message's own length.
const (
	// MaxOffers is the most offers in one announce (clients in the field send 5 to 10).
	MaxOffers = 100
	// MaxSDP is the longest session description, in bytes of JSON (a browser's is 0.5 to 8 KiB).
	MaxSDP = 16 << 10
	// MaxScrape is the most swarms in one scrape, about what BEP 15 allows, and of one release.
	MaxScrape = 74
	// MaxRoot is the longest root of a release, in bytes of JSON: with MaxScrape swarms it makes less than 128 KiB.
	MaxRoot = 96 << 10
	// maxDepth is how deep values may be nested.
	maxDepth = 16
	// maxText is the longest text, in bytes, that is kept of a tracker id, failure reason or warning.
	maxText = 512
)

// Failure says why a message was refused. Decoding returns it as its error, and a tracker sends it as an answer.
type Failure struct {
	// Action and InfoHash are those of the message that failed, where it got far enough to tell: clients ignore what
	// does not name their swarm.
	Action      Action
	InfoHash    InfoHash
	HasInfoHash bool
	// Reason is the `failure reason`, in words for a person.
	Reason string
	// Bogus is whether the message held what no client sends: a description that is none, or too many offers. It is not
	// sent.
	Bogus bool
}

func (f *Failure) Error() string { return f.Reason }

// AppendJSON appends the message to dst.
func (f *Failure) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	if f.Action != "" {
		dst = append(dst, `"action":`...)
		dst = appendText(dst, string(f.Action))
		dst = append(dst, ',')
	}
	if f.HasInfoHash {
		dst = append(dst, `"info_hash":`...)
		dst = appendBinary(dst, f.InfoHash[:])
		dst = append(dst, ',')
	}
	dst = append(dst, `"failure reason":`...)
	dst = appendText(dst, f.Reason)
	return append(dst, '}')
}
