package seeder

import (
	"context"
	"fmt"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/store"
	"github.com/planktos/planktos/internal/swarm"
)

// A StuckError reports contents that nobody brings.
type StuckError struct {
	// Files and Bytes are missing, of the first of which Path is the name.
	Files int
	Bytes int64
	Path  string
	// Peers are connected. Reason is why web seeds did not help, if there are any.
	Peers  int
	Reason error
}

func (e *StuckError) Error() string {
	who := "no peer is there"
	if e.Peers > 0 {
		who = fmt.Sprintf("peers, %d of them, do not bring it", e.Peers)
	}
	text := fmt.Sprintf("%s (%d bytes) cannot be had: %s", e.Path, e.Bytes, who)
	if e.Files > 1 {
		text = fmt.Sprintf("%d files (%d bytes) cannot be had, %s among them: %s", e.Files, e.Bytes, e.Path, who)
	}
	if e.Reason != nil {
		text += ", and " + e.Reason.Error()
	}
	return text
}

// Unwrap gives why web seeds did not help.
func (e *StuckError) Unwrap() error { return e.Reason }

// fetchTick is how often progress is looked at and told.
const fetchTick = 200 * time.Millisecond

// Fetch has files of a snapshot and places each as soon as it is there. It is a [*StuckError] if nothing at all has
// come for as long as patience; what has come stays. progress is told how many bytes of how many are there.
func Fetch(ctx context.Context, s *Snapshot, to *Checkout, files []manifest.File, patience time.Duration,
	progress func(done, total int64)) error {
	var wanted []swarm.Content
	var total int64
	for _, file := range files {
		if c, ok := s.Content(file); ok {
			wanted = append(wanted, c)
			total += file.Size
		}
	}
	s.Swarm.Want(wanted...)
	tick := time.NewTicker(fetchTick)
	defer tick.Stop()
	last, lastAt := swarm.Stats{}, time.Now()
	for {
		changed := s.Swarm.Changed()
		left, err := place(s, to, files)
		if err != nil {
			return err
		}
		if files = left; len(files) == 0 {
			return nil
		}
		if err := s.Swarm.Failed(wanted...); err != nil {
			return err
		}
		stats := s.Swarm.Stats()
		if stats.Downloaded != last.Downloaded || stats.FromSeeds != last.FromSeeds || stats.Missing != last.Missing {
			last, lastAt = stats, time.Now()
		}
		if time.Since(lastAt) > patience {
			return stuck(s, files, stats)
		}
		progress(max(0, total-int64(stats.Missing)*s.Root.Torrent.PieceLength), total)
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// place places the files that are there, and returns the others.
func place(s *Snapshot, to *Checkout, files []manifest.File) (left []manifest.File, err error) {
	for _, file := range files {
		if file.Size > 0 && !to.Store.Has(store.ID{Hash: file.Hash, Size: file.Size}) {
			left = append(left, file)
		} else if err := to.Place(file); err != nil {
			return nil, err
		}
	}
	return left, nil
}

func stuck(s *Snapshot, files []manifest.File, stats swarm.Stats) error {
	e := &StuckError{Files: len(files), Path: files[0].Path, Peers: stats.Peers}
	var contents []swarm.Content
	for _, file := range files {
		e.Bytes += file.Size
		if c, ok := s.Content(file); ok {
			contents = append(contents, c)
		}
	}
	e.Reason = s.Swarm.Trouble(contents...)
	return e
}
