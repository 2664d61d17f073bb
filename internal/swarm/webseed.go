package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/wire"
)

// Web seeds (in the manner of BEP 19): the site's own host, and others that carry the same packed site, as sources of
// contents that are verified like any peer's. They are asked for what no peer has or says that it is fetching, and for
// anything while no peer brings anything.

const (
	// maxRuns are under way at a time, each of at most runBytes of one content.
	maxRuns  = 4
	runBytes = 16 << 20
	// hopeTime is how long peers are hoped for before a web seed is asked for anything.
	hopeTime = 2 * time.Second
	// quietTime is how long peers may bring nothing of what they hold.
	quietTime = 3 * time.Second
	// stallTime is how long a web seed may send nothing.
	stallTime = 15 * time.Second
	// A web seed that fails is left alone for a second, and twice as long each time.
	firstRest = time.Second
	lastRest  = 2 * time.Minute
)

// A run is consecutive pieces of a content that come from a web seed. With whole it is all of the content.
type run struct {
	wire.Run
	content *content
	host    *host
	whole   bool
}

// A host is how a web seed has been doing. Guarded by the swarm's mu.
type host struct {
	failures int
	until    time.Time // it is left alone
	bytes    int64     // that it brought
}

// errAbsent says that a web seed has no such file, which tells nothing of its others.
var errAbsent = errors.New("is not what the manifest says")

// seed begins what web seeds should bring. s.mu is held.
func (s *Swarm) seed() {
	if s.closed || s.missing.Load() == 0 || len(s.torrent.WebSeeds) == 0 {
		return
	}
	now := time.Now()
	if now.Sub(s.begun) < hopeTime && len(s.peers) == 0 && s.meeting.hopeful() {
		return
	}
	for len(s.runs) < maxRuns {
		r, root := s.nextRun(now)
		if r == nil {
			return
		}
		s.runs = append(s.runs, r)
		for i := range r.Count {
			s.picker.seeding[int(r.First+i)] = true
		}
		s.tellFetching(r, true)
		s.wg.Go(func() { s.runSeed(r, root) })
	}
}

// nextRun finds something for a web seed to bring, and the web seed.
func (s *Swarm) nextRun(now time.Time) (*run, string) {
	root, h := s.restedHost(now)
	if h == nil {
		return nil, ""
	}
	quiet := now.Sub(s.blockAt) > quietTime
	most := max(1, int(runBytes/s.torrent.PieceLength))
	n := len(s.downloads)
	var best *run
	for i := range n {
		// An order of our own, so that nodes that arrive together do not all ask for the same.
		c := s.downloads[(i+int(s.node.salt%uint32(n)))%n]
		// What has failed has others go first: a host may fail for some paths alone.
		if now.Before(c.seedAt) || best != nil && best.content.seedFailures <= c.seedFailures {
			continue
		}
		first, count := -1, 0
		for piece := c.Piece; piece < c.last() && count < most; piece++ {
			due := !s.have.has(piece) && !s.picker.checking[piece] && !s.picker.seeding[piece] &&
				(quiet || s.availability[piece] == 0 && !s.claimed(piece, now))
			if due && first < 0 {
				first = piece
			}
			if !due && first >= 0 {
				break
			}
			if due {
				count++
			}
		}
		if count == 0 {
			continue
		}
		best = &run{wire.Run{First: uint32(first), Count: uint32(count)}, c, h, count == c.pieces}
		if c.seedFailures == 0 {
			break
		}
	}
	return best, root
}

// restedHost is the best web seed that may be asked.
func (s *Swarm) restedHost(now time.Time) (string, *host) {
	for _, root := range s.torrent.WebSeeds {
		h := s.hosts[root]
		if h == nil {
			h = &host{}
			s.hosts[root] = h
		}
		if !now.Before(h.until) {
			return root, h
		}
	}
	return "", nil
}

// claimed tells whether a peer is about to have a piece from a web seed.
func (s *Swarm) claimed(piece int, now time.Time) bool {
	for p := range s.peers {
		if p.accepted && p.claims.coming(uint32(piece), now) {
			return true
		}
	}
	return false
}

// tellFetching tells peers that a run is under way, or no longer. s.mu is held.
func (s *Swarm) tellFetching(r *run, active bool) {
	for p := range s.peers {
		s.tell(p, active, r.Run)
	}
}

// tellRuns tells a peer what is under way. s.mu is held.
func (s *Swarm) tellRuns(p *peer) {
	for _, r := range s.runs {
		s.tell(p, true, r.Run)
	}
}

func (s *Swarm) tell(p *peer, active bool, r wire.Run) {
	if !p.accepted || p.fetching == 0 {
		return
	}
	f := wire.Fetching{Active: active, Runs: []wire.Run{r}}
	p.send(wire.Extended{Number: p.fetching, Payload: f.Append(nil)})
}

// runSeed has a run from a web seed.
func (s *Swarm) runSeed(r *run, root string) {
	err := s.fetchRun(r, root)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs = slices.DeleteFunc(s.runs, func(one *run) bool { return one == r })
	for i := range r.Count {
		delete(s.picker.seeding, int(r.First+i))
	}
	s.picker.dirty = true
	s.tellFetching(r, false)
	c, now := r.content, time.Now()
	switch {
	case err == nil:
		r.host.failures, c.seedFailures = 0, 0
	case errors.Is(err, errAbsent):
		c.seedErr = err
		c.seedAt = now.Add(restTime(c.seedFailures))
		c.seedFailures++
	case s.ctx.Err() == nil:
		c.seedErr = err
		c.seedFailures++
		if !now.Before(r.host.until) { // runs that fail together count once
			r.host.until = now.Add(restTime(r.host.failures))
			r.host.failures++
		}
		s.node.log.Debug("web seed failed", "url", root, "error", err)
	}
	if err != nil {
		s.announce() // those who wait may want to know why nothing comes
	}
	s.fresh.Store(true)
	s.poke()
}

// restTime is how long to leave something alone that has failed so often, a fifth more or less.
func restTime(failures int) time.Duration {
	return time.Duration(float64(min(lastRest, firstRest<<min(failures, 10))) * (0.8 + 0.4*rand.Float64()))
}

// fetchRun tries the content's URLs at a web seed, best first: its path if the run is all of it, which hosts compress
// and cache, else its copy, which is what its hash says.
func (s *Swarm) fetchRun(r *run, root string) error {
	c := r.content
	urls := []string{c.Path, c.Copy}
	if !r.whole {
		slices.Reverse(urls)
	}
	err := fmt.Errorf("%s has no URL for %v: %w", root, c.ID, errAbsent)
	for _, url := range urls {
		if url == "" {
			continue
		}
		if err = s.fetchPieces(r, root+url); err == nil || !errors.Is(err, errAbsent) {
			return err
		}
	}
	return err
}

// fetchPieces has a run's pieces from a URL.
func (s *Swarm) fetchPieces(r *run, url string) error {
	c, length := r.content, s.torrent.PieceLength
	start := int64(int(r.First)-c.Piece) * length
	end := min(c.Size, start+int64(r.Count)*length)
	piece := int(r.First)
	data := make([]byte, 0, c.size(piece, length))
	return s.fetch(url, start, end, c.Size, func(p []byte) error {
		s.mu.Lock()
		r.host.bytes += int64(len(p))
		s.mu.Unlock()
		for len(p) > 0 {
			n := min(len(p), cap(data)-len(data))
			data = append(data, p[:n]...)
			p = p[n:]
			if len(data) < cap(data) {
				continue
			}
			if !s.check(c, piece, data, nil) {
				return fmt.Errorf("%s: %w", url, errAbsent)
			}
			if piece++; piece < c.last() {
				data = make([]byte, 0, c.size(piece, length))
			}
		}
		return nil
	})
}

// fetch has bytes [start, end) of a content of size bytes from a URL, and hands them to take in order. A host that
// ignores Range is read from the start.
func (s *Swarm) fetch(url string, start, end, size int64, take func([]byte) error) error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	stalled := time.AfterFunc(stallTime, cancel)
	defer stalled.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", url, errAbsent)
	}
	if start > 0 || end < size {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", start, end-1))
	}
	response, err := s.node.Client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	skip := start
	right := strings.HasPrefix(response.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-%d/", start, end-1))
	switch {
	case response.StatusCode == http.StatusPartialContent && right:
		skip = 0
	case response.StatusCode == http.StatusOK:
	case response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("%s answered %s", url, response.Status)
	default:
		return fmt.Errorf("%s answered %s, so it %w", url, response.Status, errAbsent)
	}
	buf := make([]byte, 32<<10)
	for left := end - start; left > 0; {
		n, err := response.Body.Read(buf)
		stalled.Reset(stallTime)
		got := buf[:n]
		drop := min(int64(len(got)), skip)
		got, skip = got[drop:], skip-drop
		got = got[:min(int64(len(got)), left)]
		left -= int64(len(got))
		if len(got) > 0 {
			if err := take(got); err != nil {
				return err
			}
		}
		switch {
		case left == 0:
		case err == io.EOF:
			return fmt.Errorf("%s is too short: it %w", url, errAbsent)
		case err != nil:
			return err
		}
	}
	return nil
}

// layerFromSeeds asks web seeds for a content's layer, and verifies it.
func (s *Swarm) layerFromSeeds(ctx context.Context, c *content) []merkle.Hash {
	if c.Layer == "" {
		return nil
	}
	size := int64(c.pieces * len(merkle.Hash{}))
	for _, root := range s.torrent.WebSeeds {
		if ctx.Err() != nil {
			return nil
		}
		data := make([]byte, 0, size)
		err := s.fetch(root+c.Layer, 0, size, size, func(p []byte) error {
			data = append(data, p...)
			return nil
		})
		if err != nil {
			s.mu.Lock()
			c.seedErr = err
			s.mu.Unlock()
			continue
		}
		layer := make([]merkle.Hash, c.pieces)
		for i := range layer {
			copy(layer[i][:], data[i*len(merkle.Hash{}):])
		}
		if merkle.VerifyLayer(c.Hash, c.Size, s.torrent.PieceLength, layer) == nil {
			return layer
		}
	}
	return nil
}
