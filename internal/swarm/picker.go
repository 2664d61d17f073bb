package swarm

import (
	"cmp"
	"slices"
	"time"

	"github.com/planktos/planktos/internal/wire"
)

// planTime is how long an order of pieces is good for, at the least.
const planTime = 200 * time.Millisecond

// A picker keeps what is being asked for, and in which order what is next. Guarded by the swarm's mu.
type picker struct {
	active   map[int]*assembly // by piece
	partial  []*assembly       // those of which blocks may be asked for
	suspects map[int]*assembly // bad pieces of several peers
	checking map[int]bool      // pieces that are all here, and not verified yet
	seeding  map[int]bool      // pieces of the web seeds' runs
	learning int               // piece layers that are being found out
	queue    []int             // pieces in the order in which they are begun: the rarest first
	dirty    bool              // the order may be another one by now
	planned  time.Time
	cost     time.Duration // of planning
}

func newPicker() picker {
	return picker{
		active: map[int]*assembly{}, suspects: map[int]*assembly{}, checking: map[int]bool{}, seeding: map[int]bool{},
	}
}

// own is a number as good as random that is this node's own: among equals, nodes that arrive together begin with
// different things, and so have something to trade.
func own(piece int, salt uint32) uint32 {
	mixed := (uint32(piece) ^ salt) * 0x9e3779b1
	mixed = (mixed ^ mixed>>15) * 0x85ebca77
	return mixed ^ mixed>>13
}

// idle tells whether nobody is about to bring a piece that is not there. s.mu is held, as by all that follows.
func (s *Swarm) idle(piece int) bool {
	return !s.have.has(piece) && s.picker.active[piece] == nil && !s.picker.checking[piece] && !s.picker.seeding[piece]
}

// plan orders the pieces that peers may be asked for.
func (s *Swarm) plan() {
	k := &s.picker
	now := time.Now()
	// Planning may take no more than a twentieth of the time.
	if !k.dirty || now.Sub(k.planned) < max(planTime, 20*k.cost) && len(k.queue) > 0 {
		return
	}
	k.queue = k.queue[:0]
	for _, c := range s.downloads {
		for i := c.Piece; i < c.last(); i++ {
			if s.availability[i] > 0 && s.idle(i) {
				k.queue = append(k.queue, i)
			}
		}
	}
	slices.SortFunc(k.queue, func(a, b int) int {
		rarer := cmp.Compare(s.availability[a], s.availability[b])
		return cmp.Or(rarer, cmp.Compare(own(a, s.node.salt), own(b, s.node.salt)))
	})
	k.planned, k.dirty, k.cost = now, false, time.Since(now)
}

// fillAll gives every peer as many requests as it can do with, the fastest first.
func (s *Swarm) fillAll() {
	if s.missing.Load() == 0 {
		return
	}
	peers := make([]*peer, 0, len(s.peers))
	for p := range s.peers {
		peers = append(peers, p)
	}
	slices.SortFunc(peers, func(a, b *peer) int { return cmp.Compare(b.pace.rate, a.pace.rate) })
	for _, p := range peers {
		s.fill(p)
	}
}

func (s *Swarm) fill(p *peer) {
	if !p.accepted || p.gone || s.missing.Load() == 0 {
		return
	}
	s.plan()
	if p.chokes {
		s.interest(p, s.wants(p))
		return
	}
	room := p.pace.depth(p.queue, p.stalled) - len(p.outstanding)
	k := &s.picker
	k.partial = slices.DeleteFunc(k.partial, func(a *assembly) bool { return a.dropped || a.opens == 0 })
	for _, a := range k.partial {
		if room <= 0 {
			return
		}
		if p.pieces.has(a.piece) {
			room -= s.ask(p, a, room)
		}
	}
	if p.dry.Equal(k.planned) {
		return
	}
	for i := 0; i < len(k.queue) && room > 0; i++ {
		piece := k.queue[i]
		if piece < 0 || !p.pieces.has(piece) {
			continue
		}
		if !s.idle(piece) {
			k.queue[i] = -1
			continue
		}
		a := s.assemble(piece, p)
		if a == nil {
			return
		}
		k.queue[i] = -1
		room -= s.ask(p, a, room)
	}
	if room > 0 {
		p.dry = k.planned // it has nothing of what is left
	}
	for len(k.queue) > 0 && k.queue[0] < 0 {
		k.queue = k.queue[1:]
	}
	if len(k.queue) == 0 {
		k.dirty = true
	}
}

// assemble begins a piece; nil where there is no memory for it, or it is not to be had.
func (s *Swarm) assemble(piece int, p *peer) *assembly {
	c := s.layout.at(piece)
	if c == nil || !c.begun || !c.wanted {
		return nil
	}
	size := c.size(piece, s.torrent.PieceLength)
	if s.node.assembly.Load()+size > assemblyBytes && len(s.picker.active) > 0 {
		return nil
	}
	s.node.assembly.Add(size)
	var only *peer
	if s.picker.suspects[piece] != nil {
		only = p
	}
	a := newAssembly(c, piece, pieceBuffer(size), time.Now(), only)
	s.picker.active[piece] = a
	s.picker.partial = append(s.picker.partial, a)
	return a
}

// ask asks a peer for blocks of a piece that it has, and returns for how many.
func (s *Swarm) ask(p *peer, a *assembly, room int) int {
	blocks := a.take(p, room)
	if len(blocks) == 0 {
		return 0
	}
	s.interest(p, true)
	now := time.Now()
	if len(p.outstanding) == 0 {
		p.blockAt, p.paused = now, true
	}
	for _, i := range blocks {
		block := a.block(i)
		p.outstanding[block] = &request{assembly: a, block: i, sent: now}
		p.send(block)
	}
	return len(blocks)
}

func (s *Swarm) interest(p *peer, interested bool) {
	if p.interested == interested {
		return
	}
	p.interested = interested
	if interested {
		p.send(wire.Bare{ID: wire.Interested})
	} else {
		p.send(wire.Bare{ID: wire.NotInterested})
	}
}

// release says that a request will not be answered, or perhaps too late (late).
func (s *Swarm) release(r *request, p *peer, late bool) {
	a := r.assembly
	before := a.opens
	a.release(r.block, p, late)
	if !a.dropped && before == 0 && a.opens > 0 && !slices.Contains(s.picker.partial, a) {
		s.picker.partial = append(s.picker.partial, a)
	}
}

func (s *Swarm) releaseAll(p *peer) {
	for _, r := range p.outstanding {
		s.release(r, p, false)
	}
	clear(p.outstanding)
}

// drop gives a piece up, and cancels what is outstanding of it.
func (s *Swarm) drop(a *assembly) {
	if a.dropped {
		return
	}
	a.dropped = true
	if s.picker.active[a.piece] == a {
		delete(s.picker.active, a.piece)
	}
	s.node.assembly.Add(-int64(len(a.data)))
	for i, peers := range a.asked {
		for _, p := range peers {
			s.cancel(p, a.block(i))
		}
	}
	s.picker.dirty = true
}

func (s *Swarm) cancel(p *peer, block wire.Block) {
	if p.outstanding[block] == nil {
		return
	}
	delete(p.outstanding, block)
	block.ID = wire.Cancel
	p.send(block)
}

// holds notes what a peer holds, as it has just told.
func (s *Swarm) holds(p *peer, pieces *bitfield) {
	s.count(p.pieces, -1)
	p.pieces = pieces
	s.count(p.pieces, 1)
	s.picker.dirty = true
	if p.pieces.full() && s.have.full() {
		p.close() // neither has anything for the other
		return
	}
	if s.missing.Load() > 0 {
		for _, c := range s.layout {
			c.layerAt = time.Time{} // here is somebody to ask
		}
	}
	p.dry = time.Time{}
	s.fresh.Store(true)
	s.poke()
}

// gained notes that a peer has one more piece.
func (s *Swarm) gained(p *peer, piece int) {
	p.claims.gained(uint32(piece))
	if !p.pieces.add(piece) {
		return
	}
	p.dry = time.Time{}
	s.available(piece, 1)
	if c := s.layout.at(piece); c != nil {
		c.layerAt = time.Time{}
	}
	s.poke()
}

func (s *Swarm) count(pieces *bitfield, by int) {
	if pieces.count == 0 {
		return
	}
	for i := range pieces.length {
		if pieces.has(i) {
			s.available(i, by)
		}
	}
}

func (s *Swarm) available(piece, by int) {
	s.availability[piece] += uint16(by)
	s.picker.dirty = true
}
