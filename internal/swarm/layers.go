package swarm

import (
	"context"
	"time"

	"github.com/planktos/planktos/internal/merkle"
)

const (
	// learning is how many piece layers are found out at a time.
	learning = 8
	// layerPatience is how long peers that hold a content have to tell its layer before a web seed is asked.
	layerPatience = 500 * time.Millisecond
	// holderPatience is how long one of them has before another is asked as well.
	holderPatience = time.Second
	// layerRetry is how long to wait after nobody told.
	layerRetry = 2 * time.Second
)

// learnLayers begins the contents that are wanted: a content longer than a piece once its piece layer is known, since
// nothing of it could be verified before.
func (s *Swarm) learnLayers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.missing.Load() == 0 || s.closed {
		return
	}
	now := time.Now()
	for _, c := range s.layout {
		if !c.wanted || c.begun || c.asking || now.Before(c.layerAt) {
			continue
		}
		if c.pieces == 1 {
			s.begin(c)
			continue
		}
		if s.picker.learning == learning {
			return
		}
		s.picker.learning++
		c.asking = true
		s.wg.Go(func() { s.learn(c) })
	}
}

// begin has a content's pieces asked for. s.mu is held.
func (s *Swarm) begin(c *content) {
	c.begun = true
	s.downloads = append(s.downloads, c)
	s.picker.dirty = true
}

// learn finds out a content's layer, and takes up what is left of an earlier download.
func (s *Swarm) learn(c *content) {
	err := s.prepare(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.picker.learning--
	c.asking = false
	switch {
	case err != nil:
		s.fail(c, err)
	case c.part == nil:
		c.layerAt = time.Now().Add(layerRetry)
	case c.wanted && !c.begun:
		for i := range c.pieces {
			if c.part.Has(i) {
				s.got(c, c.Piece+i)
			}
		}
		s.begin(c)
		if c.left == 0 {
			s.wg.Go(func() { s.finish(c) })
		}
	}
	s.fresh.Store(true)
	s.poke()
}

// prepare opens the part of a content; it stays closed where nobody tells the layer.
func (s *Swarm) prepare(c *content) error {
	layer, err := s.node.Library.Layer(c.ID, s.torrent.PieceLength)
	if err != nil {
		return err
	}
	if layer == nil {
		layer = c.Hashes
	}
	if layer == nil {
		if layer = s.askLayer(c); layer == nil {
			return nil
		}
	}
	part, err := s.node.Library.Begin(c.ID, s.torrent.PieceLength, layer)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.part, c.layer = part, layer
	return nil
}

// askLayer asks the peers that hold the content, and then, or when they take their time, the web seeds.
func (s *Swarm) askLayer(c *content) []merkle.Hash {
	ctx, cancel := context.WithTimeout(s.ctx, 4*hashTime)
	defer cancel()
	told := make(chan []merkle.Hash, 1)
	s.wg.Go(func() { told <- s.layerFromPeers(ctx, c) })
	late := time.NewTimer(layerPatience)
	defer late.Stop()
	select {
	case layer := <-told:
		if layer != nil {
			return layer
		}
		return s.layerFromSeeds(ctx, c)
	case <-late.C:
	}
	if layer := s.layerFromSeeds(ctx, c); layer != nil {
		return layer
	}
	return <-told
}

// layerFromPeers asks those who hold the content, one more each second while nobody has told.
func (s *Swarm) layerFromPeers(ctx context.Context, c *content) []merkle.Hash {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	told := make(chan []merkle.Hash)
	asked := map[*peer]bool{}
	next := time.NewTicker(holderPatience)
	defer next.Stop()
	for waiting := 0; ; {
		if p := s.holder(c, asked); p != nil {
			asked[p] = true
			waiting++
			s.wg.Go(func() {
				layer := s.layerFrom(ctx, p, c)
				select {
				case told <- layer:
				case <-ctx.Done():
				}
			})
		}
		if waiting == 0 {
			return nil
		}
		select {
		case layer := <-told:
			if layer != nil {
				return layer
			}
			waiting--
		case <-next.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// holder is a peer that can tell a content's layer and has not been asked.
func (s *Swarm) holder(c *content, asked map[*peer]bool) *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.peers {
		if p.accepted && p.v2 && p.pieces.has(c.Piece) && !asked[p] {
			return p
		}
	}
	return nil
}
