package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
)

const (
	// maxFetch bounds what is fetched of superseded snapshots, in bytes: their sizes are what another host says.
	maxFetch = 8_000_000_000
	// maxLost is how many files may be missing or wrong: a host of which more are does not carry copies at all.
	maxLost = 1000
	// fetches is how many files of another host are read at a time.
	fetches = 8
)

// PreviousError reports that the last release could not be read where it is published. Nothing has been changed then.
type PreviousError struct{ Err error }

func (e *PreviousError) Error() string { return "reading the last release: " + e.Err.Error() }

// Unwrap gives what went wrong.
func (e *PreviousError) Unwrap() error { return e.Err }

// past reads what was published before: where o says or, if there is nothing, in the folder. It is false if what the
// folder names cannot be known in full: then nothing is pruned, and nothing signed, since the next sequence number is not
// known either.
func (p *publisher) past(ctx context.Context, o *PublishOptions) (h *history, known bool, err error) {
	here, err := readHistory(ctx, release.Dir(p.root))
	known = err == nil && len(here.lost) == 0
	if o.Previous != nil {
		there, err := readHistory(ctx, o.Previous)
		if err != nil {
			return nil, false, &PreviousError{err}
		}
		if there.current != nil || there.disabled != nil {
			p.done.Lost = append(p.done.Lost, there.lost...)
			return there, known, nil
		}
		p.done.First = true
	}
	switch {
	case err != nil && o.Sign != nil:
		return nil, false, fmt.Errorf("the next sequence number is not known: %w", err)
	case err != nil:
		return &history{}, false, nil
	}
	return here, known, nil
}

// wanted is a content that only a superseded snapshot names.
type wanted struct {
	manifest.File
	pieceLength int64
}

// missing lists the contents that superseded releases name and the snapshot does not, each once, by hash.
func missing(s *Snapshot, superseded []*release.Release) (list []wanted, bytes int64, err error) {
	seen := map[merkle.Hash]bool{}
	for _, r := range superseded {
		if !r.Root.Copies {
			continue // by path alone, and there is something else by now
		}
		for _, f := range r.Files {
			if f.Size == 0 || seen[f.Hash] || s.Root.Copies && s.contents[f.Hash] != nil {
				continue
			}
			seen[f.Hash] = true
			if f.Size > maxFetch-bytes {
				return nil, 0, fmt.Errorf("superseded snapshots hold more than %d GB that is not in this one: keep fewer",
					maxFetch/1_000_000_000)
			}
			bytes += f.Size
			list = append(list, wanted{f, r.Root.Torrent.PieceLength})
		}
	}
	slices.SortFunc(list, func(a, b wanted) int { return slices.Compare(a.Hash[:], b.Hash[:]) })
	return list, bytes, nil
}

// stagePrevious writes what superseded releases consist of and the folder lacks. What is not there any more, or is not
// what it should be, is noted and left out.
func (p *publisher) stagePrevious(
	ctx context.Context, s *Snapshot, src release.Source, superseded []*release.Release, list []wanted,
) error {
	staged := map[merkle.Hash]bool{}
	for _, shard := range s.Root.Shards {
		staged[shard.Hash] = true
	}
	for _, r := range superseded {
		for i, shard := range r.Root.Shards {
			if staged[shard.Hash] {
				continue
			}
			staged[shard.Hash] = true
			if err := p.stage(release.ShardFile(shard.Hash), r.Shards[i]); err != nil {
				return err
			}
		}
	}
	return parallel(ctx, fetches, len(list), func(ctx context.Context, i int) error {
		defer p.tally.add(1, 0)
		name := release.ContentFile(list[i].Hash)
		if p.holds(ctx, p.tally, name, list[i].Size, list[i].Hash) {
			return nil
		}
		layer, err := p.fetch(ctx, src, list[i])
		if _, bad := errors.AsType[*release.BadError](err); bad || errors.Is(err, fs.ErrNotExist) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.done.Lost = append(p.done.Lost, err); len(p.done.Lost) > maxLost {
				return &PreviousError{fmt.Errorf(
					"more than %d files are not there, or not what they should be, such as %w", maxLost, err)}
			}
			return nil
		}
		if err != nil || len(layer) == 0 || s.contents[list[i].Hash] != nil {
			return err
		}
		return p.stage(release.LayerFile(list[i].Hash), layerBytes(layer))
	})
}

// fetch stages a content as another site has it, and gives its piece layer.
func (p *publisher) fetch(ctx context.Context, src release.Source, w wanted) ([]merkle.Hash, error) {
	name := release.ContentFile(w.Hash)
	from, err := src.Open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	} else if err != nil {
		return nil, &PreviousError{err}
	}
	defer from.Close()
	f, err := p.create(name)
	if err != nil {
		return nil, err
	}
	h := merkle.NewHasher(w.pieceLength)
	to := &writing{w: io.MultiWriter(f, h)}
	err = pump(to, p.tally.reader(ctx, io.LimitReader(from, w.Size+1)))
	root, layer := h.Sum()
	switch {
	case err != nil && to.err == nil && ctx.Err() == nil:
		err = &PreviousError{fmt.Errorf("%s: %w", src.Where(name), err)}
	case err == nil && (h.Size() != w.Size || root != w.Hash):
		err = &release.BadError{Where: src.Where(name), Err: errors.New("not the content that its name says")}
	default:
		return layer, p.finish(f, name, w.Hash, err)
	}
	f.Close()
	if removed := p.root.Remove(stageName(name)); removed != nil {
		return nil, fmt.Errorf("writing %s: %w", name, cause(removed))
	}
	return nil, err
}

// writing remembers that it was writing which failed, rather than reading.
type writing struct {
	w   io.Writer
	err error
}

func (w *writing) Write(p []byte) (n int, err error) {
	n, w.err = w.w.Write(p)
	return n, w.err
}

// sortLost puts what is lost into one order, whatever order it was asked for in.
func (p *publisher) sortLost() {
	slices.SortFunc(p.done.Lost, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
}
