package manifest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Encode gives the manifest's document: compact JSON, the same bytes for the same Root. It refuses what [Parse] would.
func (r *Root) Encode() ([]byte, error) {
	document := struct {
		Format   int         `json:"format"`
		Snapshot string      `json:"snapshot"`
		Policy   Policy      `json:"policy"`
		Trackers []string    `json:"trackers"`
		ICE      []ICEServer `json:"ice"`
		WebSeeds []string    `json:"webSeeds"`
		Torrent  torrentJSON `json:"torrent"`
		Copies   bool        `json:"copies"`
		Types    [][2]string `json:"types"`
		Headers  [][2]any    `json:"headers"`
		Files    *[]row      `json:"files,omitempty"`
		Shards   *[]row      `json:"shards,omitempty"`
	}{
		Format:   Format,
		Snapshot: hex.EncodeToString(r.Snapshot[:]),
		Policy:   r.Policy,
		Trackers: present(r.Trackers),
		ICE:      present(r.ICE),
		WebSeeds: present(r.WebSeeds),
		Torrent: torrentJSON{
			InfoHash:    hex.EncodeToString(r.Torrent.InfoHash[:]),
			InfoHashV2:  hex.EncodeToString(r.Torrent.InfoHashV2[:]),
			PieceLength: r.Torrent.PieceLength,
			Pieces:      r.Torrent.Pieces,
		},
		Copies:  r.Copies,
		Types:   [][2]string{},
		Headers: [][2]any{},
	}
	for _, t := range r.Types {
		document.Types = append(document.Types, [2]string{t.Extension, t.Type})
	}
	for _, rule := range r.Headers {
		headers := rule.Headers
		if headers == nil {
			headers = map[string]string{}
		}
		document.Headers = append(document.Headers, [2]any{rule.Pattern, headers})
	}
	if len(r.Shards) > 0 {
		rows := make([]row, 0, len(r.Shards))
		for _, s := range r.Shards {
			rows = append(rows, row{s.From, hex.EncodeToString(s.Hash[:]), s.Size, s.Piece})
		}
		document.Shards = &rows
	} else {
		rows := fileRows(r.Files)
		document.Files = &rows
	}
	encoded, err := marshal(document)
	if err != nil {
		return nil, err
	}
	parsed, err := Parse(encoded)
	if err != nil {
		return nil, err
	}
	if len(r.Shards) == 0 && len(parsed.Files) != len(r.Files) {
		return nil, fmt.Errorf("manifest: %d of %d paths cannot be named", len(r.Files)-len(parsed.Files), len(r.Files))
	}
	return encoded, nil
}

// EncodeShard gives a shard's document for a part of the sorted file table.
func EncodeShard(files []File) ([]byte, error) {
	return marshal(struct {
		Format int   `json:"format"`
		Files  []row `json:"files"`
	}{Format, fileRows(files)})
}

// row is a table's row as it stands in JSON: an array, so that no path can be mistaken for a property.
type row []any

type torrentJSON struct {
	InfoHash    string `json:"infoHash"`
	InfoHashV2  string `json:"infoHashV2"`
	PieceLength int64  `json:"pieceLength"`
	Pieces      int    `json:"pieces"`
}

func fileRows(files []File) []row {
	rows := make([]row, 0, len(files))
	for _, f := range files {
		r := row{f.Path, hex.EncodeToString(f.Hash[:]), f.Size, f.Piece}
		if len(f.Loads) > 0 {
			r = append(r, f.Loads)
		}
		rows = append(rows, r)
	}
	return rows
}

// present gives an empty list for none: the format has no null.
func present[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func marshal(document any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
