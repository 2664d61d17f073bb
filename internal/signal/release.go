package signal

import (
	"encoding/hex"
	"encoding/json"
)

// Snapshot names a version of a site (docs/manifest.md, "Snapshot id"). The zero Snapshot names none.
type Snapshot [32]byte

// String returns 64 hex digits.
func (s Snapshot) String() string { return hex.EncodeToString(s[:]) }

// Release tells of a site's new snapshot. A publisher names the swarms of the snapshots before it; the tracker passes it
// on to those members that understand it, to each swarm with its own name alone.
type Release struct {
	InfoHashes []InfoHash
	// Snapshot is the new one's id; the zero Snapshot if it is not told.
	Snapshot Snapshot
	// Root is the site's signed manifest as a JSON string, which is passed on as it came, or nil: then a client is to ask
	// the site's own host. Nobody on the way verifies it.
	Root []byte
}

// Told answers a publisher.
type Told struct {
	// Peers is how many members the release is passed on to.
	Peers int64
}

// EncodeRoot gives a manifest as a Root, or nil if it is longer than [MaxRoot].
func EncodeRoot(document []byte) []byte {
	if len(document) > MaxRoot {
		return nil
	}
	root := appendText(nil, string(document))
	if len(root) > MaxRoot {
		return nil
	}
	return root
}

// Document is the manifest that Root holds, or nil.
func (r *Release) Document() []byte {
	var text string
	if r.Root == nil || json.Unmarshal(r.Root, &text) != nil {
		return nil
	}
	return []byte(text)
}

// releaseDecoder collects the members of a release. One of the wrong form is noted: in other messages it means nothing.
type releaseDecoder struct {
	release Release
	reason  string
}

// field reads `snapshot` or `root`; null is as good as absent.
func (d *releaseDecoder) field(s *scanner, key []byte) error {
	raw, err := s.value()
	if err != nil {
		return err
	}
	null := string(raw) == "null"
	if string(key) == "root" {
		d.release.Root = nil
		switch {
		case null:
		case raw[0] != '"' || len(raw) > MaxRoot:
			d.reason = "invalid root"
		default:
			d.release.Root = raw
		}
		return nil
	}
	id := &d.release.Snapshot
	*id = Snapshot{}
	if null {
		return nil
	}
	if raw[0] != '"' || len(raw) != 2+hex.EncodedLen(len(id)) {
		d.reason = "invalid snapshot"
	} else if _, err := hex.Decode(id[:], raw[1:len(raw)-1]); err != nil {
		d.reason = "invalid snapshot"
	}
	return nil
}

// AppendJSON appends the message to dst. InfoHashes must not be empty; of one, it is as a tracker passes it on.
func (r *Release) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"action":"release","info_hash":`...)
	if len(r.InfoHashes) == 1 {
		dst = appendBinary(dst, r.InfoHashes[0][:])
	} else {
		dst = append(dst, '[')
		for i := range r.InfoHashes {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendBinary(dst, r.InfoHashes[i][:])
		}
		dst = append(dst, ']')
	}
	if r.Snapshot != (Snapshot{}) {
		dst = append(dst, `,"snapshot":"`...)
		dst = hex.AppendEncode(dst, r.Snapshot[:])
		dst = append(dst, '"')
	}
	if r.Root != nil {
		dst = append(dst, `,"root":`...)
		dst = append(dst, r.Root...)
	}
	return append(dst, '}')
}

// AppendJSON appends the message to dst.
func (t *Told) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"action":"release"`...)
	return append(appendCount(dst, "told", t.Peers), '}')
}
