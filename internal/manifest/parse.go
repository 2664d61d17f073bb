package manifest

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Parse reads planktos/manifest.json. The error of a site that has disabled Planktos is [ErrDisabled]. It refuses the
// document whole for what docs/manifest.md lists, and leaves out the
// rows of files whose path is not valid. Documents are read as JavaScript reads them: keys have one case, the last of
// equal keys counts, and 1.0 is an integer.
func Parse(document []byte) (*Root, error) {
	if Disabled(document) {
		return nil, ErrDisabled
	}
	top, err := parseDocument(document)
	if err != nil {
		return nil, err
	}
	p := parser{}
	root := &Root{
		Policy:   p.policy(top["policy"]),
		Trackers: p.urls(top["trackers"], "trackers", trackerURL),
		ICE:      p.ice(top["ice"]),
		WebSeeds: p.urls(top["webSeeds"], "webSeeds", webSeedURL),
		Torrent:  p.torrent(top["torrent"]),
		Types:    p.types(top["types"]),
		Headers:  p.headers(top["headers"]),
	}
	p.hex(p.text(top["snapshot"], "snapshot"), root.Snapshot[:], "snapshot")
	switch copies := string(top["copies"]); copies {
	case "true", "false":
		root.Copies = copies == "true"
	default:
		p.fail("copies")
	}
	files, inline := top["files"]
	shards, sharded := top["shards"]
	switch {
	case p.err != nil:
	case inline == sharded:
		p.fail("table: one of files and shards is needed")
	case inline:
		root.Files = p.files(files, root.Torrent)
	default:
		root.Shards = p.shards(shards, root.Torrent)
	}
	if p.err != nil {
		return nil, p.err
	}
	return root, nil
}

// ParseShard reads a shard's document, verified by its hash already. torrent is that of the manifest that names it.
func ParseShard(document []byte, torrent Torrent) ([]File, error) {
	top, err := parseDocument(document)
	if err != nil {
		return nil, err
	}
	if torrent.PieceLength < MinPieceLength {
		return nil, errors.New("manifest: a shard without its manifest's torrent")
	}
	p := parser{}
	files := p.files(top["files"], torrent)
	if p.err != nil {
		return nil, p.err
	}
	return files, nil
}

type object = map[string]json.RawMessage

// ErrDisabled reports a manifest that says that Planktos is to leave the site's visitors.
var ErrDisabled = errors.New("the site has disabled Planktos")

// disabledDocument is the least manifest that says so.
const disabledDocument = `{"format":1,"disabled":true}`

// EncodeDisabled gives the document of a site that has disabled Planktos. [Sign] takes it, too.
func EncodeDisabled() []byte { return []byte(disabledDocument) }

// Disabled tells whether a manifest says that Planktos is to leave the site's visitors, whatever the number of its format
// and whatever else it says.
func Disabled(document []byte) bool {
	var top object
	if len(document) > MaxBytes || json.Unmarshal(document, &top) != nil {
		return false
	}
	format := top["format"]
	return len(format) > 0 && (format[0] == '-' || format[0] >= '0' && format[0] <= '9') && string(top["disabled"]) == "true"
}

func parseDocument(document []byte) (object, error) {
	if len(document) > MaxBytes {
		return nil, fmt.Errorf("manifest: larger than %d bytes", MaxBytes)
	}
	if !utf8.Valid(document) || loneSurrogate(document) {
		return nil, errors.New("manifest: not Unicode")
	}
	var top object
	if err := json.Unmarshal(document, &top); err != nil {
		return nil, fmt.Errorf("manifest: not a JSON object: %w", err)
	}
	if format, ok := number(top["format"]); !ok || format != Format {
		return nil, errors.New("manifest: another format than 1")
	}
	return top, nil
}

// parser keeps the first error; what its methods give after one is of no use.
type parser struct{ err error }

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("manifest: bad "+format, args...)
	}
}

// value reads raw into v, which must be a string, slice or map: null is not taken for an empty one.
func (p *parser) value(raw json.RawMessage, v any, what string) {
	if len(raw) == 0 || string(raw) == "null" || json.Unmarshal(raw, v) != nil {
		p.fail("%s", what)
	}
}

func (p *parser) text(raw json.RawMessage, what string) (text string) {
	p.value(raw, &text, what)
	return text
}

func (p *parser) hex(text string, into []byte, what string) {
	if len(text) != 2*len(into) || strings.ToLower(text) != text {
		p.fail("%s", what)
	} else if _, err := hex.Decode(into, []byte(text)); err != nil {
		p.fail("%s", what)
	}
}

func (p *parser) integer(raw json.RawMessage, max int64, what string) int64 {
	n, ok := number(raw)
	if !ok || n > max {
		p.fail("%s", what)
		return 0
	}
	return n
}

func (p *parser) policy(raw json.RawMessage) Policy {
	var fields object
	p.value(raw, &fields, "policy")
	policy := Policy{
		Mode: p.text(fields["mode"], "policy.mode"), Prefer: p.text(fields["prefer"], "policy.prefer"), Prefetch: DefaultPrefetch,
	}
	if prefetch, ok := fields["prefetch"]; ok {
		policy.Prefetch = p.integer(prefetch, MaxSize, "policy.prefetch")
	}
	switch policy.Mode {
	case "auto", "ask", "off":
	default:
		p.fail("policy.mode")
	}
	if policy.Prefer != "speed" && policy.Prefer != "offload" {
		p.fail("policy.prefer")
	}
	return policy
}

// What URLs may look like; the classes are those of '.' in JavaScript. The site's own host is named by a path, and
// "//host" would be another.
var (
	trackerURL = regexp.MustCompile(`^(wss?://[^/]|/([^/]|$))`)
	webSeedURL = regexp.MustCompile(`^https?://[^/][^\n\r\x{2028}\x{2029}]*/$`)
	iceURL     = regexp.MustCompile(`^(stun|turn)s?:[^\n\r\x{2028}\x{2029}]`)
	extension  = regexp.MustCompile(`^[^./]*$`)
	headerName = regexp.MustCompile("^[\\w!#$%&'*+.^`|~-]+$")
	// A header's value is a ByteString (Fetch) without line breaks.
	headerValue = regexp.MustCompile(`^[\t\x20-\x7e\x{80}-\x{ff}]*$`)
)

func (p *parser) urls(raw json.RawMessage, what string, pattern *regexp.Regexp) []string {
	var items []json.RawMessage
	p.value(raw, &items, what)
	urls := make([]string, 0, min(len(items), 16))
	for _, item := range items {
		url := p.text(item, what)
		if !pattern.MatchString(url) {
			p.fail("%s: %q", what, url)
		}
		if p.err != nil {
			return nil
		}
		urls = append(urls, url)
	}
	return urls
}

func (p *parser) ice(raw json.RawMessage) []ICEServer {
	var items []json.RawMessage
	p.value(raw, &items, "ice")
	servers := make([]ICEServer, 0, min(len(items), 16))
	for _, item := range items {
		var fields object
		p.value(item, &fields, "ice")
		server := ICEServer{URLs: p.urls(fields["urls"], "ice.urls", iceURL)}
		if username, ok := fields["username"]; ok {
			server.Username = p.text(username, "ice.username")
		}
		if credential, ok := fields["credential"]; ok {
			server.Credential = p.text(credential, "ice.credential")
		}
		if len(server.URLs) == 0 {
			p.fail("ice.urls")
		}
		if p.err != nil {
			return nil
		}
		servers = append(servers, server)
	}
	return servers
}

func (p *parser) torrent(raw json.RawMessage) (t Torrent) {
	var fields object
	p.value(raw, &fields, "torrent")
	p.hex(p.text(fields["infoHash"], "torrent.infoHash"), t.InfoHash[:], "torrent.infoHash")
	p.hex(p.text(fields["infoHashV2"], "torrent.infoHashV2"), t.InfoHashV2[:], "torrent.infoHashV2")
	t.PieceLength = p.integer(fields["pieceLength"], MaxPieceLength, "torrent.pieceLength")
	if t.PieceLength < MinPieceLength || t.PieceLength&(t.PieceLength-1) != 0 {
		p.fail("torrent.pieceLength")
	}
	t.Pieces = int(p.integer(fields["pieces"], MaxPieces, "torrent.pieces"))
	return t
}

func (p *parser) types(raw json.RawMessage) []MediaType {
	var items [][]json.RawMessage
	p.value(raw, &items, "types")
	types := make([]MediaType, 0, min(len(items), 16))
	for _, item := range items {
		if len(item) != 2 {
			p.fail("types")
			return nil
		}
		t := MediaType{p.text(item[0], "types"), p.text(item[1], "types")}
		if !extension.MatchString(t.Extension) || t.Type == "" || !headerValue.MatchString(t.Type) {
			p.fail("types: %q", t)
		}
		if p.err != nil {
			return nil
		}
		types = append(types, t)
	}
	return types
}

func (p *parser) headers(raw json.RawMessage) []HeaderRule {
	var items [][]json.RawMessage
	p.value(raw, &items, "headers")
	rules := make([]HeaderRule, 0, min(len(items), 16))
	for _, item := range items {
		if len(item) != 2 {
			p.fail("headers")
			return nil
		}
		var fields object
		rule := HeaderRule{Pattern: p.text(item[0], "headers"), Headers: map[string]string{}}
		p.value(item[1], &fields, "headers")
		for name, raw := range fields {
			value := p.text(raw, "headers")
			if !headerName.MatchString(name) || !headerValue.MatchString(value) {
				p.fail("headers of %q", rule.Pattern)
			}
			rule.Headers[name] = value
		}
		if p.err != nil {
			return nil
		}
		rules = append(rules, rule)
	}
	return rules
}

func (p *parser) files(raw json.RawMessage, torrent Torrent) []File {
	files := []File{}
	p.rows(raw, 5, torrent, func(row File) {
		if ValidPath(row.Path) {
			files = append(files, row)
		}
	})
	return files
}

func (p *parser) shards(raw json.RawMessage, torrent Torrent) []Shard {
	var shards []Shard
	p.rows(raw, 4, torrent, func(row File) {
		if row.Size == 0 || row.Size > MaxBytes {
			p.fail("shards: size at %q", row.Path)
		}
		shards = append(shards, Shard{From: row.Path, Hash: row.Hash, Size: row.Size, Piece: row.Piece})
	})
	if len(shards) == 0 || shards[0].From != "" {
		p.fail("shards")
	}
	return shards
}

// rows reads either table, whose rows have one shape of four to most elements, and gives each row in order to add.
func (p *parser) rows(raw json.RawMessage, most int, torrent Torrent, add func(File)) {
	var rows [][]json.RawMessage
	p.value(raw, &rows, "table")
	for i, previous := 0, ""; i < len(rows) && p.err == nil; i++ {
		if n := len(rows[i]); n != 4 && n != most {
			p.fail("row %d", i)
			return
		}
		row := File{Path: p.text(rows[i][0], "path")}
		p.hex(p.text(rows[i][1], "hash"), row.Hash[:], "hash of "+strconv.Quote(row.Path))
		row.Size = p.integer(rows[i][2], MaxSize, "size of "+strconv.Quote(row.Path))
		piece := p.integer(rows[i][3], MaxSize, "piece of "+strconv.Quote(row.Path))
		if row.Size == 0 && piece != 0 ||
			row.Size > 0 && piece+(row.Size-1)/torrent.PieceLength+1 > int64(torrent.Pieces) {
			p.fail("piece of %q", row.Path)
		}
		row.Piece = int(piece)
		if len(rows[i]) == 5 {
			row.Loads = p.loads(rows[i][4], row.Path)
		}
		if i > 0 && previous >= row.Path {
			p.fail("order at %q", row.Path)
		}
		if p.err == nil {
			add(row)
		}
		previous = row.Path
	}
}

// loads reads a row's fifth element.
func (p *parser) loads(raw json.RawMessage, path string) (loads []int) {
	var items []json.RawMessage
	p.value(raw, &items, "loads of "+strconv.Quote(path))
	for _, item := range items {
		loads = append(loads, int(p.integer(item, MaxPieces, "loads of "+strconv.Quote(path))))
	}
	return loads
}

// number reads a JSON number that is an integer from 0 to MaxSize, however written.
func number(raw json.RawMessage) (int64, bool) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f < 0 || f > MaxSize || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}

// loneSurrogate tells whether a JSON document escapes a UTF-16 surrogate without its other half. Such a string has no
// UTF-8; encoding/json would silently replace it.
func loneSurrogate(document []byte) bool {
	text := string(document)
	for {
		i := strings.IndexByte(text, '\\')
		if i < 0 {
			return false
		}
		text = text[i:]
		unit, ok := escapedUnit(text)
		switch {
		case !ok:
			text = text[min(2, len(text)):]
		case unit < 0xd800 || unit > 0xdfff:
			text = text[6:]
		default:
			low, ok := escapedUnit(text[6:])
			if unit > 0xdbff || !ok || low < 0xdc00 || low > 0xdfff {
				return true
			}
			text = text[12:]
		}
	}
}

// escapedUnit reads the \u escape that text begins with.
func escapedUnit(text string) (uint64, bool) {
	if len(text) < 6 || text[:2] != `\u` {
		return 0, false
	}
	unit, err := strconv.ParseUint(text[2:6], 16, 16)
	return unit, err == nil
}
