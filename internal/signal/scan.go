package signal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

var (
	errSyntax    = errors.New("invalid JSON")
	errDepth     = errors.New("JSON nested too deep")
	errUTF8      = errors.New("invalid UTF-8")
	errNotObject = errors.New("not an object")
)

// scanner reads JSON (RFC 8259) in one pass, and checks all it passes over. It allocates nothing: what it returns are
// parts of data.
type scanner struct {
	data []byte
	pos  int
}

// scanObject calls field for every member of the object that data consists of, in order. field must consume the
// member's value.
func scanObject(data []byte, field func(s *scanner, key []byte) error) error {
	// Strings are passed on to other peers, whose browsers close a WebSocket that carries invalid UTF-8.
	if !utf8.Valid(data) {
		return errUTF8
	}
	s := &scanner{data: data}
	if s.peek() != '{' {
		if err := s.skip(0); err != nil {
			return err
		}
		return errNotObject
	}
	if err := s.object(field); err != nil {
		return err
	}
	if s.peek() != 0 || s.pos < len(s.data) {
		return errSyntax
	}
	return nil
}

// peek passes over white space and returns the next byte without consuming it, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		if c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c
		}
		s.pos++
	}
	return 0
}

func (s *scanner) expect(c byte) error {
	if s.peek() != c {
		return errSyntax
	}
	s.pos++
	return nil
}

// object reads an object, whose `{` comes next. field gets each member's name, decoded, and must consume its value.
func (s *scanner) object(field func(s *scanner, key []byte) error) error {
	return s.members(func(s *scanner, name []byte) error { return field(s, key(name)) })
}

// members is object with names as the JSON strings that they are.
func (s *scanner) members(member func(s *scanner, name []byte) error) error {
	if err := s.expect('{'); err != nil {
		return err
	}
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		name, err := s.str()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := member(s, name); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			return nil
		default:
			return errSyntax
		}
	}
}

// key returns a member's name from its JSON string. None that this protocol knows needs an escape, but JSON allows it.
func key(name []byte) []byte {
	if bytes.IndexByte(name, '\\') >= 0 {
		return []byte(decodeText(name))
	}
	return name[1 : len(name)-1]
}

// array reads an array, whose `[` comes next. element must consume one value.
func (s *scanner) array(element func(s *scanner) error) error {
	if err := s.expect('['); err != nil {
		return err
	}
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		if err := element(s); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case ']':
			s.pos++
			return nil
		default:
			return errSyntax
		}
	}
}

// value passes over one value and returns it, checked, without the white space around it.
func (s *scanner) value() ([]byte, error) {
	s.peek()
	start := s.pos
	if err := s.skip(1); err != nil {
		return nil, err
	}
	return s.data[start:s.pos], nil
}

// skip passes over one value.
func (s *scanner) skip(depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	switch c := s.peek(); c {
	case '{':
		return s.members(func(s *scanner, _ []byte) error { return s.skip(depth + 1) })
	case '[':
		return s.array(func(s *scanner) error { return s.skip(depth + 1) })
	case '"':
		_, err := s.str()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		_, err := s.number()
		return err
	}
}

func (s *scanner) literal(word string) error {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return errSyntax
	}
	s.pos += len(word)
	return nil
}

// str reads a string and returns it with its quotes.
func (s *scanner) str() ([]byte, error) {
	if s.peek() != '"' {
		return nil, errSyntax
	}
	start := s.pos
	s.pos++
	for {
		s.plain()
		if s.pos >= len(s.data) {
			return nil, errSyntax
		}
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start:s.pos], nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		case c < 0x20:
			return nil, errSyntax
		default:
			s.pos++
		}
	}
}

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain passes over the bytes of a string up to the first quote, backslash or control character, eight at a time, and
// stops at most seven bytes before it (or before the end). In each expression the lowest byte whose high bit is set is
// one that is looked for; a borrow can only make mistakes above it.
func (s *scanner) plain() {
	for s.pos+8 <= len(s.data) {
		w := binary.LittleEndian.Uint64(s.data[s.pos:])
		quote := w ^ lows*'"'
		slash := w ^ lows*'\\'
		found := (quote-lows)&^quote | (slash-lows)&^slash | (w-lows*0x20)&^w
		if found &= highs; found != 0 {
			s.pos += bits.TrailingZeros64(found) / 8
			return
		}
		s.pos += 8
	}
}

// escape passes over one escape sequence, whose backslash comes next.
func (s *scanner) escape() error {
	rest := s.data[s.pos:]
	if len(rest) < 2 {
		return errSyntax
	}
	switch rest[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return nil
	case 'u':
		if len(rest) >= 6 && isHex(rest[2]) && isHex(rest[3]) && isHex(rest[4]) && isHex(rest[5]) {
			s.pos += 6
			return nil
		}
	}
	return errSyntax
}

// number reads a number and returns it as it stands.
func (s *scanner) number() ([]byte, error) {
	s.peek()
	start := s.pos
	if s.at('-') {
		s.pos++
	}
	if s.at('0') {
		s.pos++
	} else if !s.digits() {
		return nil, errSyntax
	}
	if s.at('.') {
		s.pos++
		if !s.digits() {
			return nil, errSyntax
		}
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if !s.digits() {
			return nil, errSyntax
		}
	}
	return s.data[start:s.pos], nil
}

func (s *scanner) at(c byte) bool { return s.pos < len(s.data) && s.data[s.pos] == c }

// digits passes over digits, and reports whether there was one.
func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start
}

// count reads a value that is a number of something: its whole part, Unknown if it is negative or not a number.
func (s *scanner) count() (int64, error) {
	c := s.peek()
	if c != '-' && (c < '0' || c > '9') {
		return Unknown, s.skip(1)
	}
	raw, err := s.number()
	if err != nil {
		return Unknown, err
	}
	if len(raw) <= 18 { // fits an int64, if it is an integer
		if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil && n >= 0 {
			return n, nil
		}
	}
	f, _ := strconv.ParseFloat(string(raw), 64) // out of range gives an infinity
	switch {
	case f < 0:
		return Unknown, nil
	case f >= math.MaxInt64:
		return math.MaxInt64, nil
	default:
		return int64(f), nil
	}
}

// text reads a value that is a string: its text, empty if it is something else or longer than is worth keeping.
func (s *scanner) text() (string, error) {
	raw, err := s.value()
	if err != nil {
		return "", err
	}
	return decodeText(raw), nil
}
