package cli

import (
	"bytes"
	"testing"
	"time"
)

// A served site is packed anew long after the terminal was given back: its line must not come again.
func TestProgressEnds(t *testing.T) {
	var out bytes.Buffer
	bar := &progress{w: &out, what: "hashing", begun: time.Now().Add(-time.Minute)}
	bar.set(50, 2_000_000)
	bar.done()
	const want = "\r\x1b[Khashing: 0 % of 2.0 MB\r\x1b[K"
	if out.String() != want {
		t.Errorf("wrote %q, want %q", out.String(), want)
	}
	bar.shown = time.Time{}
	bar.set(100, 2_000_000)
	if out.String() != want {
		t.Errorf("after the end: %q", out.String())
	}
}
