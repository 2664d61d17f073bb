package snapshot

import (
	"context"
	"io"
	"sync"
)

// Progress is how far hashing, or publishing, is.
type Progress struct {
	Files, TotalFiles int
	Bytes, TotalBytes int64
}

// tally counts what is done, and tells of it: by one goroutine at a time, and of large files in steps. A nil tally
// counts nothing.
type tally struct {
	report func(Progress)

	mu   sync.Mutex
	done Progress // guarded by mu
}

// newTally gives nil if there is nobody to tell.
func newTally(report func(Progress), files int, bytes int64) *tally {
	if report == nil {
		return nil
	}
	return &tally{report: report, done: Progress{TotalFiles: files, TotalBytes: bytes}}
}

func (t *tally) add(files int, bytes int64) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done.Files += files
	// What has to be read twice counts once.
	t.done.Bytes = min(t.done.Bytes+bytes, t.done.TotalBytes)
	t.report(t.done)
}

// reader counts what is read of r, and fails once ctx ends: of a large file, too, work is given up at once.
func (t *tally) reader(ctx context.Context, r io.Reader) io.Reader { return &tallied{ctx, t, r} }

type tallied struct {
	ctx context.Context // of the one reading
	t   *tally
	r   io.Reader
}

func (r *tallied) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, context.Cause(r.ctx)
	}
	n, err := r.r.Read(p)
	if n > 0 {
		r.t.add(0, int64(n))
	}
	return n, err
}
