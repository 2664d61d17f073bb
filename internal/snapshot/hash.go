package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"sync"

	"github.com/planktos/planktos/internal/mediatype"
	"github.com/planktos/planktos/internal/torrent"
)

// maxHTML is the size in bytes of the largest page that gets a tag: it is read whole to find out where.
const maxHTML = 16 << 20

// maxCSS is the size in bytes of the largest style sheet that is read for what it names.
const maxCSS = 1 << 20

// hashed is what reading a file gave.
type hashed struct {
	hashes torrent.FileHashes // of what is served
	refs   references         // of a page or style sheet
	edits  []edit             // see File
	reason string             // see File
	stamp  stamp              // of the file when it was read; zero if it changed meanwhile
}

// hash reads, in parallel, every source that the cache does not know, and fills in Files. It gives what it found, in the
// order of sources.
func (s *Snapshot) hash(ctx context.Context, sources []source, pieceLength int64, report func(Progress)) ([]hashed, error) {
	all := make([]hashed, len(sources))
	var unknown []int
	var total int64
	for i, source := range sources {
		var ok bool
		if all[i], ok = s.cache.lookup(source, pieceLength); !ok {
			unknown = append(unknown, i)
			total += source.size
		}
	}
	t := newTally(report, len(unknown), total)
	err := parallel(ctx, processors(), len(unknown), func(ctx context.Context, k int) (err error) {
		i := unknown[k]
		all[i], err = s.hashFile(ctx, t, sources[i], pieceLength)
		if err == nil {
			t.add(1, 0)
		}
		return err
	})
	s.Read = len(unknown)
	s.Files = make([]File, len(sources))
	for i, source := range sources {
		h := &all[i]
		s.Files[i] = File{
			Path: source.path, Hash: h.hashes.Root, Size: h.hashes.Size, ModTime: source.modTime,
			source: source, edits: h.edits, reason: h.reason,
		}
	}
	return all, err
}

func (s *Snapshot) hashFile(ctx context.Context, t *tally, src source, pieceLength int64) (h hashed, err error) {
	f, err := openSource(s.fsys, src)
	if err != nil {
		return h, err
	}
	defer f.Close()
	r := t.reader(ctx, f)
	size := src.size
	isPage := isHTML(src.path) && src.size <= maxHTML
	if isPage || isCSS(src.path) && src.size <= maxCSS {
		page, err := readPage(r, src)
		if err != nil {
			return h, err
		}
		if isPage {
			h.refs = pageReferences(page)
		} else {
			h.refs = styleReferences(page)
		}
		if isPage && !src.keep {
			h.edits, h.reason = s.markup.edits(src.path, page)
			size += grown(h.edits)
			page = apply(page, h.edits)
		}
		r = bytes.NewReader(page)
	}
	h.hashes, err = torrent.HashFile(r, size, pieceLength)
	switch {
	case errors.Is(err, torrent.ErrSize):
		return h, fmt.Errorf("%s: %w", src.path, ErrChanged)
	case err != nil:
		return h, fmt.Errorf("%s: %w", src.path, cause(err))
	}
	if err := unchanged(f, src); err != nil {
		return h, err
	}
	if info, err := f.Stat(); err == nil && stampOf(info) == src.stamp {
		h.stamp = src.stamp
	}
	return h, nil
}

// openSource opens a file that is still the one that walking found.
func openSource(fsys fs.FS, src source) (fs.File, error) {
	f, err := fsys.Open(src.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", src.path, ErrChanged)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", src.path, cause(err))
	}
	if err := unchanged(f, src); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// unchanged checks that an open file has the size and time it had.
func unchanged(f fs.File, src source) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%s: %w", src.path, cause(err))
	}
	if info.Size() != src.size || !info.ModTime().Equal(src.modTime) || !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", src.path, ErrChanged)
	}
	return nil
}

func isHTML(name string) bool { return strings.HasPrefix(mediatype.Of(name), "text/html") }

func isCSS(name string) bool { return strings.HasPrefix(mediatype.Of(name), "text/css") }

// processors is how many goroutines work on what takes processor time.
func processors() int { return runtime.GOMAXPROCS(0) }

// parallel calls do for 0 to n - 1, on so many goroutines, until one fails or ctx ends. When it returns, none runs any
// more. The ctx of do ends with the first failure.
func parallel(ctx context.Context, goroutines, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		next int // guarded by mu
	)
	take := func() int {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1
	}
	for range min(n, goroutines) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := take()
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
