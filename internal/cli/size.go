package cli

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
)

// size is a number of bytes as people write it: 1500, 1500B, 500kB, 2MB, 1.5G; a K is 1,000, and a KiB 1,024.
type size int64

var errSize = errors.New("not a size in bytes, such as 500kB or 2MB")

// UnmarshalText reads a flag's value.
func (s *size) UnmarshalText(text []byte) error {
	const units = "kmgt"
	word := strings.ToLower(strings.TrimSpace(string(text)))
	word, step := strings.TrimSpace(strings.TrimSuffix(word, "b")), 1000.0
	if binary, ok := strings.CutSuffix(word, "i"); ok {
		word, step = binary, 1024
	}
	factor := 1.0
	if word != "" {
		if i := strings.IndexByte(units, word[len(word)-1]); i >= 0 {
			word, factor = strings.TrimSpace(word[:len(word)-1]), math.Pow(step, float64(i+1))
		} else if step == 1024 {
			return errSize
		}
	}
	n, err := strconv.ParseFloat(word, 64)
	if err != nil || strings.Trim(word, "0123456789.") != "" || n*factor > 1<<53-1 {
		return errSize
	}
	*s = size(n * factor)
	return nil
}

// UnmarshalJSON reads a configuration's value, a number or a string.
func (s *size) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil {
		text = string(data)
	}
	return s.UnmarshalText([]byte(text))
}
