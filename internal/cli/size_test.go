package cli

import (
	"encoding/json"
	"testing"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]size{
		`0`: 0, `1500`: 1500, `"1500"`: 1500, `"12 B"`: 12, `"500kB"`: 500_000, `"2MB"`: 2_000_000, `"2 M"`: 2_000_000,
		`"1.5G"`: 1_500_000_000, `"4KiB"`: 4096, `"1Mi"`: 1 << 20, `"1tb"`: 1_000_000_000_000, `2e3`: -1,
		`""`: -1, `"B"`: -1, `"MB"`: -1, `"-1"`: -1, `"1iB"`: -1, `"0x10"`: -1, `"1e3"`: -1, `"inf"`: -1, `"nan"`: -1, `"9999999TB"`: -1,
		`"two"`: -1, `true`: -1, `[1]`: -1, `"1_000"`: -1, `"."`: -1,
	} {
		var got size
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%s: got %d, want %d", text, got, want)
		}
	}
}
