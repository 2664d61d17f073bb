package signal

import (
	"bytes"
	"strconv"
)

// Request is what a client sends: exactly one of its fields is set.
type Request struct {
	Announce *Announce
	Scrape   *Scrape
	Release  *Release
}

// Announce tells a tracker of a peer's state in one swarm, and carries offers to others in it or an answer to one.
type Announce struct {
	InfoHash InfoHash
	PeerID   PeerID
	Event    Event
	// Uploaded, Downloaded and Left are bytes, Unknown if not given. Left is 0 for a seeder.
	Uploaded, Downloaded, Left int64
	// NumWant is how many peers the sender wants to meet, Unknown if not given. Each needs an offer.
	NumWant int64
	Offers  []Offer
	// Answer is the session description, {"type":"answer","sdp":"v=0…"}, that answers offer OfferID of peer ToPeerID. Nil if there is none.
	Answer   []byte
	ToPeerID PeerID
	OfferID  OfferID
	// TrackerID is what the tracker asked to be told again; empty if nothing.
	TrackerID string
	// Releases is whether the sender understands a Release. (An addition of Planktos: WebTorrent's own client gives a
	// tracker up that says what it does not know.)
	Releases bool
}

// Offer is one offer to connect.
type Offer struct {
	ID OfferID
	// Description is the session description as JSON: {"type":"offer","sdp":"v=0…"}.
	Description []byte
	// To is the peer that the offer is for, if the tracker knows it, else the offer is for any. The zero PeerID names
	// nobody. (An addition of Planktos; other trackers ignore it.)
	To PeerID
}

// Scrape asks for the counts of swarms.
type Scrape struct {
	// InfoHashes are the swarms asked for. None asks for those the tracker sees fit to tell.
	InfoHashes []InfoHash
}

// DecodeRequest reads a client's message. The result refers to data. The error is a *Failure, with the action and
// info-hash of the message as far as they could be read.
func DecodeRequest(data []byte) (Request, error) {
	d := requestDecoder{announce: Announce{
		Event: EventUpdate, Uploaded: Unknown, Downloaded: Unknown, Left: Unknown, NumWant: Unknown,
	}}
	if err := scanObject(data, d.field); err != nil {
		return Request{}, d.failure(err.Error())
	}
	if d.reason != "" {
		return Request{}, d.failure(d.reason)
	}
	switch d.action {
	case ActionAnnounce:
		switch {
		case !d.single:
			return Request{}, d.failure("invalid info_hash")
		case !d.hasPeerID:
			return Request{}, d.failure("invalid peer_id")
		case d.announce.Answer != nil && !d.hasToPeerID:
			return Request{}, d.failure("invalid `to_peer_id` (required with `answer`)")
		case d.announce.Answer != nil && !d.hasOfferID:
			return Request{}, d.failure("invalid `offer_id` (required with `answer`)")
		}
		d.announce.InfoHash = d.hashes[0]
		announce := d.announce
		return Request{Announce: &announce}, nil
	case ActionScrape:
		return Request{Scrape: &Scrape{InfoHashes: d.hashes}}, nil
	case ActionRelease:
		switch {
		case len(d.hashes) == 0:
			return Request{}, d.failure("invalid info_hash")
		case d.release.reason != "":
			return Request{}, d.failure(d.release.reason)
		}
		release := d.release.release
		release.InfoHashes = d.hashes
		return Request{Release: &release}, nil
	default:
		return Request{}, d.failure("invalid action")
	}
}

// requestDecoder collects the members of a message, which come in any order. A member of the wrong form is noted in
// reason and the rest still read, so that the answer can name the swarm.
type requestDecoder struct {
	action   Action
	hashes   []InfoHash
	single   bool // info_hash was one string
	announce Announce
	release  releaseDecoder
	reason   string
	bogus    bool

	hasPeerID, hasToPeerID, hasOfferID bool
}

func (d *requestDecoder) refuse(reason string) {
	if d.reason == "" {
		d.reason = reason
	}
}

func (d *requestDecoder) failure(reason string) *Failure {
	f := &Failure{Action: d.action, Reason: reason, Bogus: d.bogus}
	if d.single {
		f.InfoHash, f.HasInfoHash = d.hashes[0], true
	}
	return f
}

func (d *requestDecoder) field(s *scanner, key []byte) (err error) {
	a := &d.announce
	switch string(key) {
	case "action":
		var raw []byte
		if raw, err = s.value(); err == nil {
			switch string(raw) {
			case `"announce"`:
				d.action = ActionAnnounce
			case `"scrape"`:
				d.action = ActionScrape
			case `"release"`:
				d.action = ActionRelease
			default:
				d.action = ""
				d.refuse("invalid action")
			}
		}
	case "info_hash":
		err = d.infoHash(s)
	case "peer_id":
		err = d.binary(s, a.PeerID[:], "invalid peer_id", &d.hasPeerID)
	case "to_peer_id":
		err = d.binary(s, a.ToPeerID[:], "invalid to_peer_id", &d.hasToPeerID)
	case "offer_id":
		err = d.binary(s, a.OfferID[:], "invalid offer_id", &d.hasOfferID)
	case "event":
		err = d.event(s)
	case "left":
		a.Left, err = s.count()
	case "uploaded":
		a.Uploaded, err = s.count()
	case "downloaded":
		a.Downloaded, err = s.count()
	case "numwant":
		a.NumWant, err = s.count()
	case "trackerid":
		a.TrackerID, err = s.text()
	case "offers":
		err = d.offers(s)
	case "answer":
		a.Answer, err = d.description(s, `"answer"`, "invalid answer")
	case "pk_release":
		var raw []byte
		raw, err = s.value()
		a.Releases = string(raw) == "true"
	case "snapshot", "root":
		err = d.release.field(s, key)
	default:
		err = s.skip(1)
	}
	return err
}

// binary reads a binary string, or null, which is as good as absent.
func (d *requestDecoder) binary(s *scanner, dst []byte, reason string, has *bool) error {
	*has = false
	raw, err := s.value()
	if err != nil || string(raw) == "null" {
		return err
	}
	if raw[0] != '"' || !decodeBinary(dst, raw[1:len(raw)-1]) {
		d.refuse(reason)
		return nil
	}
	*has = true
	return nil
}

// infoHash reads one binary string, an array of them, or null.
func (d *requestDecoder) infoHash(s *scanner) error {
	d.hashes, d.single = d.hashes[:0], false
	one := func(s *scanner) error {
		var h InfoHash
		var has bool
		if err := d.binary(s, h[:], "invalid info_hash", &has); err != nil {
			return err
		}
		switch {
		case !has:
			d.refuse("invalid info_hash")
		case len(d.hashes) == MaxScrape:
			d.refuse("too many swarms in one message")
		default:
			d.hashes = append(d.hashes, h)
		}
		return nil
	}
	switch s.peek() {
	case '[':
		return s.array(one)
	case 'n':
		return s.skip(1)
	default:
		err := one(s)
		d.single = len(d.hashes) == 1
		return err
	}
}

func (d *requestDecoder) event(s *scanner) error {
	raw, err := s.value()
	if err != nil {
		return err
	}
	switch string(raw) {
	case `null`, `""`, `"empty"`, `"update"`:
		d.announce.Event = EventUpdate
	case `"started"`:
		d.announce.Event = EventStarted
	case `"stopped"`:
		d.announce.Event = EventStopped
	case `"completed"`:
		d.announce.Event = EventCompleted
	case `"paused"`:
		d.announce.Event = EventPaused
	default:
		d.refuse("invalid event")
	}
	return nil
}

// description reads a session description of a kind, which is a JSON string: an object that holds the kind and the
// beginning of an SDP (RFC 8866), or null, which is as good as absent.
func (d *requestDecoder) description(s *scanner, kind, reason string) ([]byte, error) {
	switch s.peek() {
	case '{':
	case 'n':
		return nil, s.skip(1)
	default:
		d.bogus = true
		d.refuse(reason)
		return nil, s.skip(1)
	}
	start := s.pos
	var typed, described bool
	err := s.object(func(s *scanner, key []byte) error {
		raw, err := s.value()
		switch string(key) {
		case "type":
			typed = string(raw) == kind
		case "sdp":
			described = len(raw) <= MaxSDP && bytes.HasPrefix(raw, []byte(`"v=0`))
		}
		return err
	})
	if err == nil && (!typed || !described) {
		d.bogus = true
		d.refuse(reason)
		return nil, nil
	}
	return s.data[start:s.pos], err
}

func (d *requestDecoder) offers(s *scanner) error {
	d.announce.Offers = nil
	switch s.peek() {
	case '[':
		return s.array(d.offer)
	case 'n':
	default:
		d.refuse("invalid offers")
	}
	return s.skip(1)
}

func (d *requestDecoder) offer(s *scanner) error {
	if s.peek() != '{' {
		d.refuse("invalid offers")
		return s.skip(2)
	}
	var offer Offer
	var hasID, directed bool
	err := s.object(func(s *scanner, key []byte) (err error) {
		switch string(key) {
		case "offer":
			offer.Description, err = d.description(s, `"offer"`, "invalid offer")
		case "offer_id":
			err = d.binary(s, offer.ID[:], "invalid offer_id", &hasID)
		case "to_peer_id":
			err = d.binary(s, offer.To[:], "invalid to_peer_id", &directed)
		default:
			err = s.skip(3)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case offer.Description == nil:
		d.refuse("invalid offer")
	case !hasID:
		d.refuse("invalid offer_id")
	case len(d.announce.Offers) == MaxOffers:
		d.bogus = true
		d.refuse("too many offers")
	default:
		if d.announce.Offers == nil {
			d.announce.Offers = make([]Offer, 0, 10)
		}
		d.announce.Offers = append(d.announce.Offers, offer)
	}
	return nil
}

// AppendJSON appends the message to dst. Offers and answer must be valid JSON.
func (a *Announce) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"action":"announce","info_hash":`...)
	dst = appendBinary(dst, a.InfoHash[:])
	dst = append(dst, `,"peer_id":`...)
	dst = appendBinary(dst, a.PeerID[:])
	if a.TrackerID != "" {
		dst = append(dst, `,"trackerid":`...)
		dst = appendText(dst, a.TrackerID)
	}
	if a.Answer != nil {
		dst = append(dst, `,"to_peer_id":`...)
		dst = appendBinary(dst, a.ToPeerID[:])
		dst = append(dst, `,"offer_id":`...)
		dst = appendBinary(dst, a.OfferID[:])
		dst = append(dst, `,"answer":`...)
		dst = append(dst, a.Answer...)
		return append(dst, '}')
	}
	dst = appendCount(dst, "numwant", a.NumWant)
	dst = appendCount(dst, "uploaded", a.Uploaded)
	dst = appendCount(dst, "downloaded", a.Downloaded)
	dst = appendCount(dst, "left", a.Left)
	if a.Event != EventUpdate && a.Event != "" {
		dst = append(dst, `,"event":`...)
		dst = appendText(dst, string(a.Event))
	}
	if a.Releases {
		dst = append(dst, `,"pk_release":true`...)
	}
	if len(a.Offers) > 0 {
		dst = append(dst, `,"offers":[`...)
		for i, offer := range a.Offers {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, `{"offer":`...)
			dst = append(dst, offer.Description...)
			dst = append(dst, `,"offer_id":`...)
			dst = appendBinary(dst, offer.ID[:])
			if offer.To != (PeerID{}) {
				dst = append(dst, `,"to_peer_id":`...)
				dst = appendBinary(dst, offer.To[:])
			}
			dst = append(dst, '}')
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// appendCount appends a member, unless it is unknown.
func appendCount(dst []byte, name string, n int64) []byte {
	if n < 0 {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return strconv.AppendInt(dst, n, 10)
}

// AppendJSON appends the message to dst.
func (q *Scrape) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"action":"scrape"`...)
	if len(q.InfoHashes) > 0 {
		dst = append(dst, `,"info_hash":[`...)
		for i := range q.InfoHashes {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendBinary(dst, q.InfoHashes[i][:])
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}
