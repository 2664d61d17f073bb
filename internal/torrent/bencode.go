package torrent

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Bencode (BEP 3), in its canonical form only: keys sorted and unique, integers without leading zeros or "-0". What is
// accepted therefore has one encoding, and decoding and encoding it gives the same bytes.
//
// Values are int64, string (of any bytes), []any and Dict. Encoding also takes int, []byte, []string and Raw.

// A Dict is a bencoded dictionary.
type Dict = map[string]any

// Raw is a value that is bencoded already.
type Raw []byte

// Bounds on what Decode builds, whatever the input: a value of two bytes takes some fifty in memory.
const (
	maxDepth  = 100
	maxValues = 1 << 20
)

var errSyntax = errors.New("not canonical bencode")

// Decode returns the value that data is.
func Decode(data []byte) (any, error) {
	v, n, err := DecodePrefix(data)
	if err == nil && n < len(data) {
		return nil, fmt.Errorf("bencode: %d bytes after the value", len(data)-n)
	}
	return v, err
}

// DecodePrefix returns the value that data begins with and its length in bytes (BEP 9 messages have a payload behind).
func DecodePrefix(data []byte) (v any, n int, err error) {
	r := reader{data: data}
	left := maxValues
	v, err = r.value(&left)
	if err != nil {
		return nil, 0, fmt.Errorf("bencode: %w", err)
	}
	return v, r.at, nil
}

// A reader reads bencode in one pass without building values. Its methods each read one value of the type they name
// and fail on another one; the callbacks of list and dict must read the value they are called for, by any method.
type reader struct {
	data  []byte
	at    int
	depth int
}

func (r *reader) fail(what string) error { return fmt.Errorf("byte %d: %s: %w", r.at, what, errSyntax) }

// peek returns the next byte, 0 at the end.
func (r *reader) peek() byte {
	if r.at < len(r.data) {
		return r.data[r.at]
	}
	return 0
}

// integer reads i<digits>e.
func (r *reader) integer() (int64, error) {
	if r.peek() != 'i' {
		return 0, r.fail("no integer")
	}
	return r.number(r.at+1, 'e')
}

// number reads a canonical number that starts at start and ends before the byte end, and goes behind that.
func (r *reader) number(start int, end byte) (int64, error) {
	// 20 bytes hold the longest int64, "-9223372036854775808".
	for i := start; i < len(r.data) && i <= start+20; i++ {
		if r.data[i] != end {
			continue
		}
		text := string(r.data[start:i])
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != text {
			break
		}
		r.at = i + 1
		return n, nil
	}
	return 0, r.fail("bad number")
}

// bytes reads <length>:<bytes>, and returns a part of the input.
func (r *reader) bytes() ([]byte, error) {
	if c := r.peek(); c < '0' || c > '9' {
		return nil, r.fail("no string")
	}
	from := r.at
	n, err := r.number(r.at, ':')
	if err != nil {
		return nil, err
	}
	if n > int64(len(r.data)-r.at) {
		r.at = from
		return nil, r.fail("string longer than the input")
	}
	b := r.data[r.at : r.at+int(n) : r.at+int(n)]
	r.at += int(n)
	return b, nil
}

func (r *reader) text() (string, error) {
	b, err := r.bytes()
	return string(b), err
}

// list reads l<values>e.
func (r *reader) list(each func() error) error {
	return r.nest('l', func() error { return each() })
}

// dict reads d<key><value>...e. The keys come sorted, each once.
func (r *reader) dict(each func(key string) error) error {
	last, first := "", true
	return r.nest('d', func() error {
		key, err := r.text()
		if err != nil {
			return err
		}
		if !first && key <= last {
			return r.fail("keys out of order")
		}
		last, first = key, false
		return each(key)
	})
}

func (r *reader) nest(open byte, each func() error) error {
	if r.peek() != open {
		return r.fail("no '" + string(rune(open)) + "'")
	}
	if r.depth == maxDepth {
		return r.fail("nested too deeply")
	}
	r.depth++
	r.at++
	for r.peek() != 'e' {
		if r.at >= len(r.data) {
			return r.fail("unexpected end")
		}
		if err := each(); err != nil {
			return err
		}
	}
	r.at++
	r.depth--
	return nil
}

// skip reads any value, and checks it like the others.
func (r *reader) skip() error {
	var err error
	switch c := r.peek(); c {
	case 'i':
		_, err = r.integer()
	case 'l':
		err = r.list(r.skip)
	case 'd':
		err = r.dict(func(string) error { return r.skip() })
	default:
		_, err = r.bytes()
	}
	return err
}

// value reads any value and builds it. The number of values still allowed is left.
func (r *reader) value(left *int) (any, error) {
	if *left--; *left < 0 {
		return nil, r.fail("too many values")
	}
	switch r.peek() {
	case 'i':
		return r.integer()
	case 'l':
		list := []any{}
		err := r.list(func() error {
			v, err := r.value(left)
			list = append(list, v)
			return err
		})
		return list, err
	case 'd':
		dict := Dict{}
		err := r.dict(func(key string) error {
			v, err := r.value(left)
			dict[key] = v
			return err
		})
		return dict, err
	default:
		return r.text()
	}
}

// Encode returns v bencoded. It panics if v contains a value of a type that bencode has not.
func Encode(v any) []byte { return appendValue(nil, v) }

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case int64:
		return append(strconv.AppendInt(append(b, 'i'), v, 10), 'e')
	case int:
		return appendValue(b, int64(v))
	case string:
		return append(append(strconv.AppendInt(b, int64(len(v)), 10), ':'), v...)
	case []byte:
		return append(append(strconv.AppendInt(b, int64(len(v)), 10), ':'), v...)
	case Raw:
		return append(b, v...)
	case []string:
		b = append(b, 'l')
		for _, s := range v {
			b = appendValue(b, s)
		}
		return append(b, 'e')
	case []any:
		b = append(b, 'l')
		for _, e := range v {
			b = appendValue(b, e)
		}
		return append(b, 'e')
	case Dict:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		b = append(b, 'd')
		for _, k := range keys {
			b = appendValue(appendValue(b, k), v[k])
		}
		return append(b, 'e')
	}
	panic(fmt.Sprintf("bencode: cannot encode a %T", v))
}
