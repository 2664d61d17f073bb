package swarm

import (
	"errors"
	"slices"
	"time"

	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/wire"
)

// suspectBytes bounds the bad pieces of several peers that are kept until a good one tells who lied.
const suspectBytes = 16 << 20

// arrived takes a block, and checks the piece that it completes.
func (s *Swarm) arrived(p *peer, m wire.Piece) {
	block := wire.Block{ID: wire.Request, Piece: m.Piece, Begin: m.Begin, Length: uint32(len(m.Block))}
	s.mu.Lock()
	r := p.outstanding[block]
	if r == nil { // not asked for, or cancelled while it was on its way
		s.mu.Unlock()
		return
	}
	delete(p.outstanding, block)
	now := time.Now()
	elapsed := now.Sub(p.blockAt)
	if p.paused {
		elapsed = -1
	}
	p.pace.learn(len(m.Block), elapsed, now.Sub(r.sent))
	p.blockAt, p.paused, p.stalled, s.blockAt = now, false, false, now
	s.downloaded.Add(int64(len(m.Block)))
	a := r.assembly
	others, used := a.put(r.block, p, m.Block, now)
	for _, other := range others {
		s.cancel(other, block)
	}
	complete := used && a.missing == 0
	if complete {
		delete(s.picker.active, a.piece)
		s.picker.checking[a.piece] = true
	}
	// Several at a time, so that they share messages.
	if 4*len(p.outstanding) <= 3*p.pace.depth(p.queue, p.stalled) {
		s.fill(p)
	}
	s.mu.Unlock()
	if complete && s.check(a.content, a.piece, a.data, a) {
		freePiece(a.data) // a bad one is kept until it is known who lied
	}
}

// check verifies a piece and keeps it. Of one that peers have brought, a is how; a web seed's has none. It tells
// whether the piece is good, or was not looked at since its content has failed.
func (s *Swarm) check(c *content, piece int, data []byte, a *assembly) bool {
	err := s.write(c, piece, data)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.picker.checking, piece)
	if a != nil {
		s.drop(a)
	}
	s.picker.dirty = true
	switch {
	case errors.Is(err, merkle.ErrMismatch):
		s.bad(a, piece)
		return false
	case err != nil:
		s.fail(c, err)
		return true
	}
	if !s.got(c, piece) {
		return true
	}
	if before := s.picker.suspects[piece]; before != nil {
		delete(s.picker.suspects, piece)
		for _, liar := range before.liars(data) {
			s.ban(liar)
		}
	}
	if rival := s.picker.active[piece]; rival != nil {
		s.drop(rival)
	}
	if c.left == 0 {
		s.wg.Go(func() { s.finish(c) })
	}
	s.poke()
	return true
}

// write verifies a piece and writes it into the content's part.
func (s *Swarm) write(c *content, piece int, data []byte) error {
	s.mu.Lock()
	part, layer := c.part, c.layer
	s.mu.Unlock()
	if part == nil {
		var err error
		if part, err = s.node.Library.Begin(c.ID, s.torrent.PieceLength, layer); err != nil {
			return err
		}
		s.mu.Lock()
		c.part = part
		s.mu.Unlock()
	}
	return part.Write(piece-c.Piece, data)
}

// bad deals with a piece that is not what the manifest says. s.mu is held.
func (s *Swarm) bad(a *assembly, piece int) {
	if a == nil {
		return
	}
	switch authors := a.authors(); {
	case len(authors) == 1:
		s.ban(authors[0])
	case int64(len(s.picker.suspects))*s.torrent.PieceLength > suspectBytes:
		for _, p := range authors {
			p.close()
		}
	default:
		// Fetched again from one peer alone: whose blocks differ from the good ones has lied.
		s.picker.suspects[piece] = a
	}
	s.poke()
}

func (s *Swarm) ban(p *peer) {
	s.node.log.Warn("peer banned: it sent bytes that are not the site's", "link", p.link)
	s.node.ban(p.id)
	p.close()
}

// finish makes a content whose pieces are all there a content of the library.
func (s *Swarm) finish(c *content) {
	s.mu.Lock()
	part := c.part
	s.mu.Unlock()
	err := part.Finish()
	s.mu.Lock()
	if err != nil {
		s.fail(c, err)
	} else {
		s.done(c)
	}
	s.mu.Unlock()
	if err == nil {
		s.node.stored(s, c.ID)
	}
}

// done lets go of what a download needed. s.mu is held.
func (s *Swarm) done(c *content) {
	s.unwant(c)
	c.layer, c.part = nil, nil
	c.complete = true
	s.announce()
	s.meeting.balance()
}

// fail gives a content up, until it is wanted anew. s.mu is held.
func (s *Swarm) fail(c *content, err error) {
	s.unwant(c)
	c.err = err
	s.announce()
}

func (s *Swarm) unwant(c *content) {
	if !c.wanted {
		return
	}
	c.wanted = false
	s.missing.Add(-int64(c.left))
	s.downloads = slices.DeleteFunc(s.downloads, func(one *content) bool { return one == c })
	for _, a := range s.picker.active {
		if a.content == c {
			s.drop(a)
		}
	}
	for piece := c.Piece; piece < c.last() && len(s.picker.suspects) > 0; piece++ {
		delete(s.picker.suspects, piece)
	}
	s.picker.dirty = true
}
