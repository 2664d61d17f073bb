package signal

import "strconv"

// Reply is what a tracker sends: exactly one of its fields is set.
type Reply struct {
	Announced *Announced
	Offer     *Relay
	Answer    *Relay
	Scraped   *Scraped
	Failure   *Failure
	Release   *Release
	Told      *Told
}

// Announced answers an announce.
type Announced struct {
	InfoHash InfoHash
	// IntervalSeconds is when to announce again, Unknown if not told.
	IntervalSeconds int64
	// Complete and Incomplete count the swarm's seeders and leechers, the one that asked included; Unknown if not told.
	Complete, Incomplete int64
	// TrackerID is to be sent with every announce that follows; empty if nothing.
	TrackerID string
	// Warning is a `warning message`, in words for a person; empty if none.
	Warning string
}

// Relay is an offer or an answer from another peer of the swarm.
type Relay struct {
	InfoHash InfoHash
	// PeerID is the peer that it comes from.
	PeerID  PeerID
	OfferID OfferID
	// Description is the session description as JSON.
	Description []byte
}

// Scraped answers a scrape.
type Scraped struct {
	Files []ScrapedFile
	// MinRequestIntervalSeconds is how long to wait before the next scrape, Unknown if not told.
	MinRequestIntervalSeconds int64
}

// ScrapedFile is what BEP 48 tells of one swarm.
type ScrapedFile struct {
	InfoHash InfoHash
	// Complete and Incomplete count seeders and leechers, Downloaded those who ever completed.
	Complete, Incomplete, Downloaded int64
}

// AppendJSON appends the message to dst.
func (a *Announced) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"action":"announce","info_hash":`...)
	dst = appendBinary(dst, a.InfoHash[:])
	dst = appendCount(dst, "interval", a.IntervalSeconds)
	dst = appendCount(dst, "complete", a.Complete)
	dst = appendCount(dst, "incomplete", a.Incomplete)
	if a.TrackerID != "" {
		dst = append(dst, `,"tracker id":`...)
		dst = appendText(dst, a.TrackerID)
	}
	if a.Warning != "" {
		dst = append(dst, `,"warning message":`...)
		dst = appendText(dst, a.Warning)
	}
	return append(dst, '}')
}

// AppendOffer appends the message to dst as one that carries an offer. Description must be valid JSON.
func (r *Relay) AppendOffer(dst []byte) []byte { return r.append(dst, `,"offer":`) }

// AppendAnswer appends the message to dst as one that carries an answer. Description must be valid JSON.
func (r *Relay) AppendAnswer(dst []byte) []byte { return r.append(dst, `,"answer":`) }

func (r *Relay) append(dst []byte, member string) []byte {
	dst = append(dst, `{"action":"announce","info_hash":`...)
	dst = appendBinary(dst, r.InfoHash[:])
	dst = append(dst, `,"peer_id":`...)
	dst = appendBinary(dst, r.PeerID[:])
	dst = append(dst, `,"offer_id":`...)
	dst = appendBinary(dst, r.OfferID[:])
	dst = append(dst, member...)
	dst = append(dst, r.Description...)
	return append(dst, '}')
}

// AppendJSON appends the message to dst.
func (r *Scraped) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"action":"scrape","files":{`...)
	for i := range r.Files {
		f := &r.Files[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendBinary(dst, f.InfoHash[:])
		dst = append(dst, `:{"complete":`...)
		dst = strconv.AppendInt(dst, f.Complete, 10)
		dst = appendCount(dst, "incomplete", f.Incomplete)
		dst = appendCount(dst, "downloaded", f.Downloaded)
		dst = append(dst, '}')
	}
	dst = append(dst, '}')
	if r.MinRequestIntervalSeconds >= 0 {
		dst = append(dst, `,"flags":{"min_request_interval":`...)
		dst = strconv.AppendInt(dst, r.MinRequestIntervalSeconds, 10)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// DecodeReply reads a tracker's message. The result refers to data. The error is a *Failure of our own making; one that
// the tracker sent is in the Reply.
func DecodeReply(data []byte) (Reply, error) {
	d := replyDecoder{
		announced: Announced{IntervalSeconds: Unknown, Complete: Unknown, Incomplete: Unknown},
		scraped:   Scraped{MinRequestIntervalSeconds: Unknown},
		told:      Told{Peers: Unknown},
	}
	if err := scanObject(data, d.field); err != nil {
		return Reply{}, d.failure(err.Error())
	}
	if d.failed {
		return Reply{Failure: d.failure(d.reason)}, nil
	}
	if d.refused != "" {
		return Reply{}, d.failure(d.refused)
	}
	switch {
	case d.action == ActionScrape:
		return Reply{Scraped: &d.scraped}, nil
	case d.action == ActionRelease && d.told.Peers != Unknown:
		return Reply{Told: &d.told}, nil
	case d.action == ActionRelease && !d.hasInfoHash:
		return Reply{}, d.failure("invalid info_hash")
	case d.action == ActionRelease && d.release.reason != "":
		return Reply{}, d.failure(d.release.reason)
	case d.action == ActionRelease:
		release := d.release.release
		release.InfoHashes = []InfoHash{d.relay.InfoHash}
		return Reply{Release: &release}, nil
	case d.action != ActionAnnounce:
		return Reply{}, d.failure("invalid action")
	case !d.hasInfoHash:
		return Reply{}, d.failure("invalid info_hash")
	case d.offer == nil && d.answer == nil:
		d.announced.InfoHash = d.relay.InfoHash
		return Reply{Announced: &d.announced}, nil
	case d.offer != nil && d.answer != nil:
		return Reply{}, d.failure("both offer and answer")
	case !d.hasPeerID:
		return Reply{}, d.failure("invalid peer_id")
	case !d.hasOfferID:
		return Reply{}, d.failure("invalid offer_id")
	case d.offer != nil:
		d.relay.Description = d.offer
		return Reply{Offer: &d.relay}, nil
	default:
		d.relay.Description = d.answer
		return Reply{Answer: &d.relay}, nil
	}
}

// replyDecoder collects the members of a message, which come in any order.
type replyDecoder struct {
	action        Action
	relay         Relay // InfoHash is every message's
	offer, answer []byte
	announced     Announced
	scraped       Scraped
	release       releaseDecoder
	told          Told
	failed        bool
	reason        string // the tracker's, if failed
	refused       string // ours

	hasInfoHash, hasPeerID, hasOfferID bool
}

func (d *replyDecoder) failure(reason string) *Failure {
	return &Failure{Action: d.action, InfoHash: d.relay.InfoHash, HasInfoHash: d.hasInfoHash, Reason: reason}
}

func (d *replyDecoder) field(s *scanner, key []byte) (err error) {
	var raw []byte
	switch string(key) {
	case "action":
		raw, err = s.value()
		d.action = Action(decodeText(raw))
	case "info_hash":
		err = d.binary(s, d.relay.InfoHash[:], &d.hasInfoHash)
	case "peer_id":
		err = d.binary(s, d.relay.PeerID[:], &d.hasPeerID)
	case "offer_id":
		err = d.binary(s, d.relay.OfferID[:], &d.hasOfferID)
	case "offer":
		d.offer, err = d.description(s)
	case "answer":
		d.answer, err = d.description(s)
	case "interval":
		d.announced.IntervalSeconds, err = s.count()
	case "complete":
		d.announced.Complete, err = s.count()
	case "incomplete":
		d.announced.Incomplete, err = s.count()
	case "tracker id":
		d.announced.TrackerID, err = s.text()
	case "warning message":
		d.announced.Warning, err = s.text()
	case "failure reason":
		d.reason, err = s.text()
		d.failed = true
	case "files":
		err = d.files(s)
	case "flags":
		err = d.flags(s)
	case "told":
		d.told.Peers, err = s.count()
	case "snapshot", "root":
		err = d.release.field(s, key)
	default:
		err = s.skip(1)
	}
	return err
}

func (d *replyDecoder) binary(s *scanner, dst []byte, has *bool) error {
	raw, err := s.value()
	*has = err == nil && raw[0] == '"' && decodeBinary(dst, raw[1:len(raw)-1])
	return err
}

func (d *replyDecoder) description(s *scanner) ([]byte, error) {
	raw, err := s.value()
	if err != nil || raw[0] != '{' {
		return nil, err
	}
	return raw, nil
}

func (d *replyDecoder) files(s *scanner) error {
	d.scraped.Files = nil
	if s.peek() != '{' {
		return s.skip(1)
	}
	return s.members(func(s *scanner, name []byte) error {
		file := ScrapedFile{Complete: Unknown, Incomplete: Unknown, Downloaded: Unknown}
		known := decodeBinary(file.InfoHash[:], name[1:len(name)-1])
		if !known || s.peek() != '{' {
			return s.skip(2)
		}
		err := s.object(func(s *scanner, key []byte) (err error) {
			switch string(key) {
			case "complete":
				file.Complete, err = s.count()
			case "incomplete":
				file.Incomplete, err = s.count()
			case "downloaded":
				file.Downloaded, err = s.count()
			default:
				err = s.skip(3)
			}
			return err
		})
		if err == nil && len(d.scraped.Files) == MaxScrape {
			d.refused = "too many swarms in one message"
			return nil
		}
		d.scraped.Files = append(d.scraped.Files, file)
		return err
	})
}

func (d *replyDecoder) flags(s *scanner) error {
	if s.peek() != '{' {
		return s.skip(1)
	}
	return s.object(func(s *scanner, key []byte) (err error) {
		if string(key) == "min_request_interval" {
			d.scraped.MinRequestIntervalSeconds, err = s.count()
			return err
		}
		return s.skip(2)
	})
}
