package signal

import (
	"encoding/json"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendBinary appends a binary string as JSON.stringify writes it: one code point a byte, in UTF-8.
func appendBinary(dst, binary []byte) []byte {
	dst = append(dst, '"')
	for _, b := range binary {
		switch {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b == '\b':
			dst = append(dst, `\b`...)
		case b == '\t':
			dst = append(dst, `\t`...)
		case b == '\n':
			dst = append(dst, `\n`...)
		case b == '\f':
			dst = append(dst, `\f`...)
		case b == '\r':
			dst = append(dst, `\r`...)
		case b < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		case b < utf8.RuneSelf:
			dst = append(dst, b)
		default:
			dst = append(dst, 0xc0|b>>6, 0x80|b&0x3f) // U+0080 to U+00FF: 110000xx 10xxxxxx
		}
	}
	return append(dst, '"')
}

// decodeBinary fills dst from the inside of a valid JSON string. It reports whether the string is a binary string of
// exactly len(dst) bytes.
func decodeBinary(dst, inside []byte) bool {
	n := 0
	for i := 0; i < len(inside); n++ {
		if n == len(dst) {
			return false
		}
		c := inside[i]
		switch {
		case c == '\\':
			b, size, ok := unescape(inside[i:])
			if !ok {
				return false
			}
			dst[n] = b
			i += size
		case c < utf8.RuneSelf:
			dst[n] = c
			i++
		case (c == 0xc2 || c == 0xc3) && i+1 < len(inside):
			dst[n] = c<<6 | inside[i+1]&0x3f
			i += 2
		default:
			return false // beyond U+00FF
		}
	}
	return n == len(dst)
}

// unescape reads one escape sequence of a valid JSON string, if it stands for a code point below 256.
func unescape(s []byte) (b byte, size int, ok bool) {
	switch s[1] {
	case 'b':
		return '\b', 2, true
	case 't':
		return '\t', 2, true
	case 'n':
		return '\n', 2, true
	case 'f':
		return '\f', 2, true
	case 'r':
		return '\r', 2, true
	case 'u':
		if s[2] != '0' || s[3] != '0' {
			return 0, 0, false
		}
		return unhex(s[4])<<4 | unhex(s[5]), 6, true
	default:
		return s[1], 2, true // \" \\ \/
	}
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// appendText appends a JSON string.
func appendText(dst []byte, text string) []byte {
	quoted, _ := json.Marshal(text) // a string always marshals
	return append(dst, quoted...)
}

// decodeText returns the text of a valid JSON string (quotes included), or "" if it is too long to be kept.
func decodeText(raw []byte) string {
	if len(raw) > maxText {
		return ""
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}
