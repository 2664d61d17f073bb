package cli

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress is a line on a terminal that tells how far a piece of work is, if it takes longer than a second.
type progress struct {
	w    io.Writer // nil where there is no terminal
	what string

	mu    sync.Mutex
	begun time.Time
	shown time.Time // when the line was last written; zero if it never was
	ended bool
}

func (p *program) progress(what string) *progress {
	bar := &progress{what: what, begun: time.Now()}
	if p.terminal {
		bar.w = p.stderr
	}
	return bar
}

// set tells how much of how much is done.
func (b *progress) set(done, total int64) {
	if b.w == nil || total == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.ended || now.Sub(b.begun) < time.Second || now.Sub(b.shown) < 100*time.Millisecond {
		return
	}
	b.shown = now
	fmt.Fprintf(b.w, "\r\x1b[K%s: %d %% of %s", b.what, 100*done/total, bytesOf(total))
}

// done removes the line for good: who goes on to tell of progress is not heeded.
func (b *progress) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	if !b.shown.IsZero() {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
