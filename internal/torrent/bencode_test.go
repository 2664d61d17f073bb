package torrent

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestBencode(t *testing.T) {
	for _, tt := range []struct {
		text string
		want any
	}{
		{"i0e", int64(0)},
		{"i-1e", int64(-1)},
		{"i9223372036854775807e", int64(math.MaxInt64)},
		{"i-9223372036854775808e", int64(math.MinInt64)},
		{"0:", ""},
		{"3:a\x00\xff", "a\x00\xff"},
		{"10:0123456789", "0123456789"},
		{"le", []any{}},
		{"li1e1:alee", []any{int64(1), "a", []any{}}},
		{"de", Dict{}},
		{"d0:i1e1:Ai2e1:ai3e2:aalee", Dict{"": int64(1), "A": int64(2), "a": int64(3), "aa": []any{}}},
	} {
		got, err := Decode([]byte(tt.text))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Decode(%q) = %v, %v", tt.text, got, err)
		}
		if again := Encode(tt.want); string(again) != tt.text {
			t.Errorf("Encode(%v) = %q, want %q", tt.want, again, tt.text)
		}
	}
	if got := string(Encode([]any{1, []byte("b"), []string{"c"}, Raw("de")})); got != "li1e1:bl1:cedee" {
		t.Errorf("types that only encode: %q", got)
	}
}

func TestBencodeRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":               "",
		"unknown type":          "x",
		"end alone":             "e",
		"leading zero":          "i01e",
		"minus zero":            "i-0e",
		"plus":                  "i+1e",
		"no digits":             "ie",
		"minus alone":           "i-e",
		"space":                 "i 1e",
		"underscore":            "i1_0e",
		"hexadecimal":           "i0x1e",
		"integer too large":     "i9223372036854775808e",
		"integer far too large": "i" + strings.Repeat("9", 1000) + "e",
		"unending integer":      "i123",
		"string too short":      "3:ab",
		"string length 01":      "01:a",
		"string length -1":      "-1:a",
		"length near 2^63":      "9223372036854775807:a",
		"unending length":       "12",
		"unending list":         "li1e",
		"unending dictionary":   "d1:ai1e",
		"missing value":         "d1:ae",
		"integer key":           "di1ei1ee",
		"key twice":             "d1:ai1e1:ai1ee",
		"empty key twice":       "d0:i1e0:i1ee",
		"keys out of order":     "d1:bi1e1:ai1ee",
		"longer key first":      "d2:aai1e1:ai1ee",
		"trailing bytes":        "i1ei2e",
		"too deep":              strings.Repeat("l", maxDepth+1) + strings.Repeat("e", maxDepth+1),
		"endlessly deep":        strings.Repeat("d0:", 1<<20),
		"too many values":       "l" + strings.Repeat("le", maxValues) + "e",
	} {
		v, err := Decode([]byte(text))
		if err == nil {
			t.Errorf("%s: Decode gives %v", name, v)
		}
		if r := (reader{data: []byte(text)}); name != "trailing bytes" && name != "too many values" {
			if err := r.skip(); !errors.Is(err, errSyntax) {
				t.Errorf("%s: skip gives %v", name, err)
			}
		}
	}
	if _, err := Decode([]byte(strings.Repeat("l", maxDepth) + strings.Repeat("e", maxDepth))); err != nil {
		t.Errorf("the greatest depth: %v", err)
	}
}

func TestDecodePrefix(t *testing.T) {
	v, n, err := DecodePrefix([]byte("d1:ai1eebinary"))
	if err != nil || n != 8 || !reflect.DeepEqual(v, Dict{"a": int64(1)}) {
		t.Errorf("%v, %d, %v", v, n, err)
	}
}

func TestEncodePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a float is encoded")
		}
	}()
	Encode([]any{1.5})
}

// FuzzBencode looks for panics, and for input that is accepted without being the one encoding of its value.
func FuzzBencode(f *testing.F) {
	for _, s := range []string{"", "i-42e", "4:spam", "l4:spami7ee", "d3:bar4:spam3:fooi42ee", "d0:d1:ali1eee1:b0:e"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Decode(data)
		r := reader{data: data}
		if skipped := r.skip() == nil && r.at == len(data); skipped != (err == nil) {
			t.Fatalf("Decode: %v, but skip: %v", err, skipped)
		}
		if err == nil && !bytes.Equal(Encode(v), data) {
			t.Fatalf("%q is encoded as %q", data, Encode(v))
		}
	})
}
