package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"sync"

	"github.com/planktos/planktos/internal/mediatype"
	"github.com/planktos/planktos/internal/torrent"
)

// maxHTML is the size in bytes of the largest page that gets a tag: it is read whole to find out where.
const maxHTML = 16 << 20

// hash reads every source once, in parallel, and fills in Files. It gives the hashes in their order.
func (s *Snapshot) hash(ctx context.Context, sources []source, pieceLength int64, report func(Progress)) (
	[]torrent.FileHashes, error) {
	s.Files = make([]File, len(sources))
	hashes := make([]torrent.FileHashes, len(sources))
	progress := Progress{TotalFiles: len(sources)}
	for _, source := range sources {
		progress.TotalBytes += source.size
	}
	var mu sync.Mutex // guards progress, and that report is called by one at a time
	err := parallel(ctx, len(sources), func(i int) (err error) {
		s.Files[i], hashes[i], err = s.hashFile(sources[i], pieceLength)
		if err == nil && report != nil {
			mu.Lock()
			defer mu.Unlock()
			progress.Files++
			progress.Bytes += sources[i].size
			report(progress)
		}
		return err
	})
	return hashes, err
}

func (s *Snapshot) hashFile(src source, pieceLength int64) (File, torrent.FileHashes, error) {
	file := File{Path: src.path, Size: src.size, ModTime: src.modTime, source: src}
	f, err := openSource(s.fsys, src)
	if err != nil {
		return file, torrent.FileHashes{}, err
	}
	defer f.Close()
	var r io.Reader = f
	if s.tag != nil && isHTML(src.path) && src.size <= maxHTML {
		page, err := io.ReadAll(io.LimitReader(f, maxHTML+1))
		if err != nil {
			return file, torrent.FileHashes{}, fmt.Errorf("%s: %w", src.path, cause(err))
		}
		if int64(len(page)) != src.size {
			return file, torrent.FileHashes{}, fmt.Errorf("%s: %w", src.path, ErrChanged)
		}
		r = bytes.NewReader(page)
		if at, ok := Locate(page); ok {
			file.Tagged, file.tagAt = true, at
			file.Size += int64(len(s.tag))
			r = io.MultiReader(bytes.NewReader(page[:at]), bytes.NewReader(s.tag), bytes.NewReader(page[at:]))
		}
	}
	hashes, err := torrent.HashFile(r, file.Size, pieceLength)
	switch {
	case errors.Is(err, torrent.ErrSize):
		return file, hashes, fmt.Errorf("%s: %w", src.path, ErrChanged)
	case err != nil:
		return file, hashes, fmt.Errorf("%s: %w", src.path, cause(err))
	}
	file.Hash = hashes.Root
	return file, hashes, unchanged(f, src)
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

// parallel calls do for 0 to n - 1, on as many goroutines as there are processors, until one fails or ctx ends. When it
// returns, none runs any more.
func parallel(ctx context.Context, n int, do func(i int) error) error {
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
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := take()
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
