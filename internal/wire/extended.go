package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
)

// The extension protocol (BEP 10): our handshake, what of a peer's is of use, and the extensions that we speak
// (docs/protocol.md). By pk_fetching a peer says what it is having from a web seed:
//
//	active[1] (first[4] count[4]) ...     runs of pieces; active 1: it has begun to fetch them, 0: it has ended
//
// By pk_meet peers introduce each other:
//
//	0[1] count[1] peer_id[20] ...         whom it has met, count of them, and then whom it has lost
//	kind[1] peer_id[20] offer_id[20] sdp  1 offer, 2 answer: to be passed on to peer_id; 3 offered, 4 answered: passed
//	                                      on, from peer_id; 5 spare, 6 agreed: from the sender itself
//
// By pk_release they tell each other of the site's newest release, and hand its signed manifest root on:
//
//	0[1] snapshot[32] sequence[8]         the newest that the sender knows; sequence 0: not signed
//	1[1]                                  asks for the root of what was told last
//	part[1] bytes                         of the root, in order; 2: more follow, 3: these are the last
//
// The TypeScript twin is browser/src/shared/extended.ts; both are held to testdata/vectors/wire.json.

// MaxRuns is how many runs one Fetching message has at most, and how many are remembered of a peer.
const MaxRuns = 64

// FetchingNumber is the number under which we take Fetching messages.
const FetchingNumber = 1

// MeetNumber is the number under which we take Meet messages.
const MeetNumber = 3

// ReleaseNumber is the number under which we take News messages.
const ReleaseNumber = 2

// MaxPart is the most bytes of a root in one News message.
const MaxPart = 32 << 10

// MaxMet is how many peers one peer is told of, and how many are remembered of what it tells.
const MaxMet = 50

const (
	maxExtended = 16 << 10
	// maxSDP is the longest session description that is passed on.
	maxSDP = 16 << 10
)

// Extensions is what a peer's extension handshake tells.
type Extensions struct {
	Requests int   // reqq: how many requests it queues; 0 if it does not say
	Fetching uint8 // the number under which it takes Fetching messages; 0 if it does not
	Meet     uint8 // the number under which it takes Meet messages; 0 if it does not
	Release  uint8 // the number under which it takes News messages; 0 if it does not
}

// AppendExtended appends our extension handshake to b; requests is how many requests we queue.
func AppendExtended(b []byte, requests int) []byte {
	return fmt.Appendf(b, "d1:md11:pk_fetchingi%de7:pk_meeti%de10:pk_releasei%dee4:reqqi%de1:v8:Planktose",
		FetchingNumber, MeetNumber, ReleaseNumber, requests)
}

var (
	requestsKey = regexp.MustCompile(`4:reqqi0*([1-9]\d{0,8})e`)
	fetchingKey = regexp.MustCompile(`11:pk_fetchingi0*([1-9]\d{0,8})e`)
	meetKey     = regexp.MustCompile(`7:pk_meeti0*([1-9]\d{0,8})e`)
	releaseKey  = regexp.MustCompile(`10:pk_releasei0*([1-9]\d{0,8})e`)
)

// DecodeExtended reads an extension handshake. It looks for what it knows alone, and finds nothing in what is no
// dictionary of ours.
func DecodeExtended(payload []byte) Extensions {
	told := func(key *regexp.Regexp) int {
		if len(payload) > maxExtended {
			return 0
		}
		found := key.FindSubmatch(payload)
		if found == nil {
			return 0
		}
		n, _ := strconv.Atoi(string(found[1])) // nine digits at most
		return n
	}
	number := func(key *regexp.Regexp) uint8 {
		if n := told(key); n < 256 {
			return uint8(n)
		}
		return 0
	}
	return Extensions{
		Requests: told(requestsKey), Fetching: number(fetchingKey), Meet: number(meetKey), Release: number(releaseKey),
	}
}

// A Run is the pieces First to First+Count-1.
type Run struct{ First, Count uint32 }

// Fetching is the message of pk_fetching, with 1 to MaxRuns runs.
type Fetching struct {
	Active bool
	Runs   []Run
}

// Append appends the payload of the extended message to b.
func (f *Fetching) Append(b []byte) []byte {
	active := byte(0)
	if f.Active {
		active = 1
	}
	b = append(b, active)
	for _, run := range f.Runs {
		b = appendUint32(b, run.First, run.Count)
	}
	return b
}

// DecodeFetching reads the payload of a Fetching message; pieces is how many the torrent has. Another length or flag,
// too many runs, and runs that are empty or out of range are errors that wrap ErrProtocol.
func DecodeFetching(payload []byte, pieces uint32) (Fetching, error) {
	bad := fmt.Errorf("%w: pk_fetching", ErrProtocol)
	if len(payload) < 9 || len(payload)%8 != 1 || len(payload) > 1+8*MaxRuns || payload[0] > 1 {
		return Fetching{}, bad
	}
	f := Fetching{Active: payload[0] == 1}
	for rest := payload[1:]; len(rest) > 0; rest = rest[8:] {
		run := Run{binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:])}
		if run.Count == 0 || run.First >= pieces || run.Count > pieces-run.First {
			return Fetching{}, bad
		}
		f.Runs = append(f.Runs, run)
	}
	return f, nil
}

// MeetKind tells what a Meet message is.
type MeetKind uint8

const (
	MeetPeers    MeetKind = iota // whom the sender has met, and lost
	MeetOffer                    // an offer, to be passed on to Peer
	MeetAnswer                   // an answer, to be passed on to Peer
	MeetOffered                  // an offer of Peer, passed on
	MeetAnswered                 // an answer of Peer, passed on
	MeetSpare                    // an offer of the sender's, for when the connection that it comes by is lost
	MeetAgreed                   // the answer to one, agreed in advance
)

// Meet is the message of pk_meet.
type Meet struct {
	Kind MeetKind
	// Met and Lost are 1 to 2*MaxMet peers together. MeetPeers alone has them.
	Met, Lost [][20]byte
	// Peer is whom a description is for, or from; Offer names the connection; SDP is 1 to 16 KiB.
	Peer, Offer [20]byte
	SDP         []byte
}

// Append appends the payload of the extended message to b.
func (m *Meet) Append(b []byte) []byte {
	b = append(b, byte(m.Kind))
	if m.Kind != MeetPeers {
		b = append(append(b, m.Peer[:]...), m.Offer[:]...)
		return append(b, m.SDP...)
	}
	b = append(b, byte(len(m.Met)))
	for _, ids := range [][][20]byte{m.Met, m.Lost} {
		for _, id := range ids {
			b = append(b, id[:]...)
		}
	}
	return b
}

// DecodeMeet reads the payload of a Meet message, of which it keeps nothing. An unknown kind, another length, too many
// peers, and a description that is empty or too long are errors that wrap ErrProtocol.
func DecodeMeet(payload []byte) (Meet, error) {
	const id = 20
	bad := fmt.Errorf("%w: pk_meet", ErrProtocol)
	switch n := len(payload); {
	case n < 2 || MeetKind(payload[0]) > MeetAgreed:
		return Meet{}, bad
	case payload[0] != byte(MeetPeers):
		if n <= 1+2*id || n > 1+2*id+maxSDP {
			return Meet{}, bad
		}
		return Meet{
			Kind: MeetKind(payload[0]), Peer: [id]byte(payload[1:]), Offer: [id]byte(payload[1+id:]),
			SDP: bytes.Clone(payload[1+2*id:]),
		}, nil
	case n == 2 || (n-2)%id != 0 || (n-2)/id > 2*MaxMet || int(payload[1]) > (n-2)/id:
		return Meet{}, bad
	}
	var m Meet
	for rest := payload[2:]; len(rest) > 0; rest = rest[id:] {
		if len(m.Met) < int(payload[1]) {
			m.Met = append(m.Met, [id]byte(rest))
		} else {
			m.Lost = append(m.Lost, [id]byte(rest))
		}
	}
	return m, nil
}

// News is a message of pk_release.
type News struct {
	Kind NewsKind
	// Snapshot and Sequence are of Newest; Sequence is 0 if the release is not signed, and at most 2^53 - 1.
	Snapshot [32]byte
	Sequence int64
	// Data is of Part and LastPart: 1 to MaxPart bytes.
	Data []byte
}

// NewsKind says what a News message is.
type NewsKind byte

// The kinds of News.
const (
	Newest NewsKind = iota
	AskRoot
	Part
	LastPart
)

// maxSequence is the highest number that every reader of JSON has.
const maxSequence = 1<<53 - 1

// Append appends the payload of the extended message to b.
func (n *News) Append(b []byte) []byte {
	b = append(b, byte(n.Kind))
	if n.Kind == Newest {
		b = append(b, n.Snapshot[:]...)
		return binary.BigEndian.AppendUint64(b, uint64(n.Sequence))
	}
	return append(b, n.Data...)
}

// DecodeNews reads the payload of a News message, whose Data is a part of it. An unknown kind, another length and a
// sequence number beyond 2^53 - 1 are errors that wrap ErrProtocol.
func DecodeNews(payload []byte) (News, error) {
	bad := fmt.Errorf("%w: pk_release", ErrProtocol)
	if len(payload) == 0 {
		return News{}, bad
	}
	n := News{Kind: NewsKind(payload[0])}
	rest := payload[1:]
	switch n.Kind {
	case Newest:
		if len(rest) != 40 {
			return News{}, bad
		}
		copy(n.Snapshot[:], rest)
		sequence := binary.BigEndian.Uint64(rest[32:])
		if sequence > maxSequence {
			return News{}, bad
		}
		n.Sequence = int64(sequence)
	case AskRoot:
		if len(rest) != 0 {
			return News{}, bad
		}
	case Part, LastPart:
		if len(rest) == 0 || len(rest) > MaxPart {
			return News{}, bad
		}
		n.Data = rest
	default:
		return News{}, bad
	}
	return n, nil
}
