package manifest

import (
	"encoding/hex"
	"errors"

	"github.com/planktos/planktos/internal/merkle"
)

// MaxSuperseded is the most snapshots that planktos/snapshots.json lists.
const MaxSuperseded = 100

// EncodeSuperseded gives planktos/snapshots.json: the ids of the snapshots before the published one whose contents are
// still there, the newest first.
func EncodeSuperseded(ids []merkle.Hash) ([]byte, error) {
	if len(ids) > MaxSuperseded {
		return nil, errors.New("manifest: too many superseded snapshots")
	}
	document := struct {
		Format     int      `json:"format"`
		Superseded []string `json:"superseded"`
	}{Format, []string{}}
	for _, id := range ids {
		document.Superseded = append(document.Superseded, hex.EncodeToString(id[:]))
	}
	return marshal(document)
}

// ParseSuperseded reads planktos/snapshots.json. It refuses what [Parse] would refuse of any document, and lists with
// repetitions or more than MaxSuperseded ids.
func ParseSuperseded(document []byte) ([]merkle.Hash, error) {
	top, err := parseDocument(document)
	if err != nil {
		return nil, err
	}
	p := parser{}
	var list []string
	p.value(top["superseded"], &list, "superseded")
	if len(list) > MaxSuperseded {
		p.fail("superseded: more than %d", MaxSuperseded)
	}
	var ids []merkle.Hash
	seen := map[merkle.Hash]bool{}
	for _, text := range list {
		var id merkle.Hash
		p.hex(text, id[:], "superseded")
		if seen[id] {
			p.fail("superseded: %s twice", text)
		}
		if p.err != nil {
			break
		}
		seen[id] = true
		ids = append(ids, id)
	}
	if p.err != nil {
		return nil, p.err
	}
	return ids, nil
}
