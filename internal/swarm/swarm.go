package swarm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/planktos/planktos/internal/store"
	"github.com/planktos/planktos/internal/wire"
)

const (
	// usefulPeers are looked for while something is wanted; who lacks nothing looks for nobody, and is found.
	usefulPeers = 24
	// tickTime is how often a swarm looks at the clock, and how late the lazy of its news are.
	tickTime = 100 * time.Millisecond
	// claimTime is how long a peer is believed that says that it is fetching something.
	claimTime = 7 * time.Second
)

// ErrClosed is what waiting for contents of a swarm comes to that was closed.
var ErrClosed = errors.New("swarm: closed")

// A Swarm is a torrent that a [Node] takes part in. It may be used by several goroutines at a time.
type Swarm struct {
	node    *Node
	torrent Torrent
	begun   time.Time
	stop    context.CancelFunc
	ctx     context.Context // ends with the swarm
	wg      sync.WaitGroup
	meeting *meeting
	wake    chan struct{} // has an element when there may be something to ask for
	fresh   atomic.Bool   // there may be something to begin: layers to learn, runs of web seeds

	uploaded, downloaded atomic.Int64 // bytes of content
	missing              atomic.Int64 // pieces of wanted contents
	strangers            atomic.Int64 // peers that our peers know and we do not

	mu           sync.Mutex
	closed       bool
	layout       layout
	byID         map[store.ID]*content
	downloads    []*content // wanted, begun and not complete
	have         *bitfield
	availability []uint16 // how many peers hold each piece
	peers        map[*peer]struct{}
	picker       picker
	runs         []*run // under way from web seeds
	hosts        map[string]*host
	blockAt      time.Time // when the last block came of any peer, or something was first wanted
	asked        map[hashKey]chan<- []byte
	trees        treeCache
	toldAt       time.Time     // when peers were last told of each other
	changed      chan struct{} // closed and replaced when a content has come to something
}

func newSwarm(n *Node, t Torrent) *Swarm {
	ctx, stop := context.WithCancel(context.Background())
	s := &Swarm{
		node: n, torrent: t, begun: time.Now(), ctx: ctx, stop: stop, wake: make(chan struct{}, 1),
		byID: map[store.ID]*content{}, have: newBitfield(t.Pieces), availability: make([]uint16, t.Pieces),
		peers: map[*peer]struct{}{}, picker: newPicker(), hosts: map[string]*host{}, asked: map[hashKey]chan<- []byte{},
		changed: make(chan struct{}),
	}
	s.meeting = newMeeting(s)
	return s
}

func (s *Swarm) start() {
	s.wg.Go(s.loop)
	s.meeting.start()
}

// Close takes leave of trackers and peers, and waits until all is done. Idempotent.
func (s *Swarm) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	if first {
		close(s.changed)
	}
	s.mu.Unlock()
	if first {
		s.meeting.stop()
		s.stop()
		s.node.left(s)
	}
	s.wg.Wait()
	return nil
}

// Add names contents of the torrent. What the library has of them is given to peers from now on. One that is known
// already may bring its piece layer. It is an error if one lies outside of the torrent, or on another's pieces.
func (s *Swarm) Add(contents ...Content) error {
	for _, one := range contents {
		if one.Size <= 0 || one.Piece < 0 || int64(one.Piece) >= int64(s.torrent.Pieces) ||
			(one.Size-1)/s.torrent.PieceLength >= int64(s.torrent.Pieces-one.Piece) {
			return fmt.Errorf("swarm: content %v at piece %d lies outside of the torrent", one.ID, one.Piece)
		}
		has := s.node.Library.Has(one.ID)
		c := &content{Content: one, pieces: int((one.Size-1)/s.torrent.PieceLength) + 1}
		c.left = c.pieces
		s.mu.Lock()
		if known := s.byID[one.ID]; known != nil {
			known.Hashes = one.Hashes
		} else {
			if !s.layout.add(c) {
				s.mu.Unlock()
				return fmt.Errorf("swarm: content %v at piece %d lies where another does", one.ID, one.Piece)
			}
			s.byID[one.ID] = c
			if has {
				s.hold(c)
				c.complete = true
			}
		}
		s.mu.Unlock()
	}
	s.poke()
	return nil
}

// Want has contents downloaded that were added before. One that failed is tried again.
func (s *Swarm) Want(contents ...Content) {
	s.mu.Lock()
	if s.missing.Load() == 0 {
		s.blockAt = time.Now() // from now on peers may be slow
	}
	for _, one := range contents {
		c := s.byID[one.ID]
		if c == nil || c.wanted || c.complete {
			continue
		}
		c.wanted, c.err = true, nil
		s.missing.Add(int64(c.left))
		if c.begun {
			s.downloads = append(s.downloads, c)
		}
	}
	s.picker.dirty = true
	s.mu.Unlock()
	s.meeting.balance()
	s.fresh.Store(true)
	s.poke()
}

// Wait waits until all of the contents, which are wanted, are complete. It returns early with the error that one of
// them came to, with [ErrClosed], or with that of ctx.
func (s *Swarm) Wait(ctx context.Context, contents ...Content) error {
	for {
		s.mu.Lock()
		changed, closed, left := s.changed, s.closed, 0
		var failed error
		for _, one := range contents {
			switch c := s.byID[one.ID]; {
			case c == nil || c.complete:
			case c.err != nil:
				failed = cmp.Or(failed, c.err)
			default:
				left++
			}
		}
		s.mu.Unlock()
		switch {
		case failed != nil:
			return failed
		case left == 0:
			return nil
		case closed:
			return ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Changed is closed when one more content is complete, or fails.
func (s *Swarm) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Failed is what one of the contents came to that cannot be kept; nil if none.
func (s *Swarm) Failed(contents ...Content) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range contents {
		if c := s.byID[one.ID]; c != nil && c.err != nil {
			return c.err
		}
	}
	return nil
}

// Trouble is why web seeds have not brought one of the contents that are not complete; nil if they were not asked, or
// there is nothing to tell.
func (s *Swarm) Trouble(contents ...Content) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range contents {
		if c := s.byID[one.ID]; c != nil && !c.complete && c.seedErr != nil {
			return c.seedErr
		}
	}
	return nil
}

// Stats says how a swarm is doing.
type Stats struct {
	// Peers are connected; Missing is the pieces that are wanted and not there.
	Peers, Missing int
	// Uploaded and Downloaded are bytes of content from and to peers; FromSeeds came from web seeds.
	Uploaded, Downloaded, FromSeeds int64
}

// Stats tells how the swarm is doing now.
func (s *Swarm) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := Stats{Missing: int(s.missing.Load()), Uploaded: s.uploaded.Load(), Downloaded: s.downloaded.Load()}
	for p := range s.peers {
		if p.accepted {
			stats.Peers++
		}
	}
	for _, host := range s.hosts {
		stats.FromSeeds += host.bytes
	}
	return stats
}

// poke has the loop look for something to ask for.
func (s *Swarm) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Swarm) loop() {
	ticker := time.NewTicker(tickTime)
	defer ticker.Stop()
	for {
		ticked := false
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
		case <-ticker.C:
			s.tick()
			s.meeting.giveSpares()
			if s.strangers.Load() > 0 {
				s.meeting.balance()
			}
			ticked = true
		}
		// What looks at every content is not done for every piece.
		begin := s.fresh.Swap(false) || ticked
		if begin {
			s.learnLayers()
		}
		s.mu.Lock()
		s.fillAll()
		if begin {
			s.seed()
		}
		s.mu.Unlock()
	}
}

// tick looks at the clock for every peer.
func (s *Swarm) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.tellAll(now)
	s.lookForRoot(now)
	for p := range s.peers {
		if now.Sub(time.Unix(0, p.heard.Load())) > silenceTime {
			p.close()
			continue
		}
		p.out.nudge()
		if len(p.outstanding) == 0 || now.Sub(p.blockAt) < p.pace.stall() {
			continue
		}
		p.stalled = true
		for _, r := range p.outstanding {
			if !r.late {
				r.late = true
				s.release(r, p, true)
			}
		}
	}
}

// connected serves a channel for as long as it lasts.
func (s *Swarm) connected(ch channel, link string) {
	ctx, end := context.WithCancel(s.ctx)
	p := newPeer(s, ch, link, end)
	s.mu.Lock()
	refused := s.closed || len(s.peers) >= s.node.MaxPeers
	if !refused {
		s.peers[p] = struct{}{}
		s.wg.Add(1)
	}
	s.mu.Unlock()
	if refused {
		end()
		ch.Close()
		return
	}
	defer s.wg.Done()
	defer end()
	p.run(ctx)
	s.meeting.left(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.gone = true
	delete(s.peers, p)
	s.count(p.pieces, -1)
	s.releaseAll(p)
	p.wanted = nil
	s.forgetNews(p)
	s.countStrangers()
	s.poke()
}

// hold gives every piece of a content to peers from now on. s.mu is held.
func (s *Swarm) hold(c *content) {
	for i := c.Piece; i < c.last(); i++ {
		s.got(c, i)
	}
}

// got notes that a piece is there, and tells peers that lack it. s.mu is held.
func (s *Swarm) got(c *content, piece int) bool {
	if !s.have.add(piece) {
		return false
	}
	c.left--
	if c.wanted {
		s.missing.Add(-1)
	}
	for p := range s.peers {
		if p.accepted && !p.pieces.has(piece) {
			p.out.push(wire.Index{ID: wire.Have, Piece: uint32(piece)}, false)
		}
	}
	return true
}

// lose notes that a content is no longer there.
func (s *Swarm) lose(c *content) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := c.Piece; i < c.last(); i++ {
		if s.have.remove(i) {
			c.left++
			if c.wanted {
				s.missing.Add(1)
			}
		}
	}
	c.part, c.begun, c.complete = nil, false, false
	s.announce()
}

// took is told that the library has a content.
func (s *Swarm) took(id store.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.byID[id]; c != nil && !c.complete {
		s.hold(c)
		s.done(c)
	}
}

// announce tells those who wait that a content has come to something. s.mu is held.
func (s *Swarm) announce() {
	if !s.closed {
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// wants tells whether a peer has a piece that we want. s.mu is held.
func (s *Swarm) wants(p *peer) bool {
	for _, c := range s.downloads {
		for i := c.Piece; i < c.last(); i++ {
			if p.pieces.has(i) && !s.have.has(i) {
				return true
			}
		}
	}
	return false
}

// left is how many bytes of the torrent are not there.
func (s *Swarm) left() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.have.length-s.have.count) * s.torrent.PieceLength
}
