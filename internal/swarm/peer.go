package swarm

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/planktos/planktos/internal/wire"
)

const (
	// requestQueue is how many requests of a peer we queue (reqq).
	requestQueue = 256
	// theirQueue is how many a peer queues that does not say.
	theirQueue = 250
	// maxRequest is the largest request that is served: what WebTorrent serves.
	maxRequest    = 128 << 10
	handshakeTime = 15 * time.Second
	silenceTime   = 150 * time.Second
	// maxHashesBytes bounds the message of hashes: WebTorrent and libtorrent take 512 and a proof.
	maxHashesBytes = 49 + 32*560
)

var (
	errRefused  = errors.New("swarm: peer refused")
	errRootSize = fmt.Errorf("%w: a root of more than %d bytes", wire.ErrProtocol, MaxRoot)
)

// A request is a block that we have asked a peer for.
type request struct {
	assembly *assembly
	block    int
	sent     time.Time
	late     bool // it has waited too long, and may have been asked of others
}

// A peer is the wire's state on one channel: the reading half frames messages and holds the peer to the protocol, the
// writing half (writer.go) sends what is queued in out and the blocks that the peer wants.
type peer struct {
	swarm *Swarm
	ch    channel
	link  string // names the connection on both ends of it: the offer_id in hex
	begun time.Time
	heard atomic.Int64 // when the last message came, Unix nanoseconds
	out   outbox
	end   context.CancelFunc

	// What follows is guarded by swarm.mu.
	id          [20]byte
	accepted    bool // its handshake is in, and the swarm took it
	gone        bool
	fast, v2    bool
	fetching    uint8         // the number under which it takes pk_fetching; 0 if it does not
	meets       *acquaintance // nil if it does not speak pk_meet
	told        told
	pieces      *bitfield
	chokes      bool // it chokes us
	interested  bool // we are interested in it
	pace        pace
	queue       int  // how many requests it queues
	stalled     bool // nothing comes of it though blocks are outstanding
	paused      bool // no block has come since nothing was outstanding
	blockAt     time.Time
	outstanding map[wire.Block]*request // by the request
	claims      claims
	dry         time.Time    // the order of pieces of which it has nothing more
	wanted      []wire.Block // what it has asked for and not got, in order
}

// newPeer makes a peer, to be given to run: end ends the context that run is given.
func newPeer(s *Swarm, ch channel, link string, end context.CancelFunc) *peer {
	p := &peer{
		swarm: s, ch: ch, link: link, end: end, begun: time.Now(), out: outbox{wake: make(chan struct{}, 1)},
		pieces: newBitfield(s.torrent.Pieces), chokes: true, queue: theirQueue, outstanding: map[wire.Block]*request{},
	}
	p.heard.Store(p.begun.UnixNano())
	return p
}

// run speaks to the peer until the connection ends.
func (p *peer) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { p.ch.Close() })
	defer stop()
	hello := wire.Handshake{
		InfoHash: p.swarm.torrent.InfoHash, PeerID: p.swarm.node.id, Extended: true, Fast: true, V2: true,
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		defer p.end()
		// By itself: WebTorrent misses an unchoke that comes with the handshake, and asks for nothing.
		if p.sendBytes(hello.Append(nil)) == nil {
			p.write(ctx)
		}
	})
	if err := p.read(); err != nil && ctx.Err() == nil {
		p.swarm.node.log.Debug("peer ended", "link", p.link, "error", err)
	}
	p.end()
	writing.Wait()
	p.ch.Close()
}

// close ends the connection soon. Idempotent.
func (p *peer) close() { p.end() }

func (p *peer) read() error {
	late := time.AfterFunc(handshakeTime, p.close)
	defer late.Stop()
	r := newReader(p.ch, max(wireBytes, maxHashesBytes, 1+len(p.pieces.bytes)))
	hello, err := wire.ReadHandshake(r)
	if err != nil {
		return err
	}
	if err := p.swarm.accept(p, hello); err != nil {
		return err
	}
	late.Stop()
	for {
		m, err := r.next()
		if err != nil {
			return err
		}
		p.heard.Store(time.Now().UnixNano())
		if err := p.swarm.message(p, m); err != nil {
			return err
		}
	}
}

func (p *peer) send(m wire.Message) { p.out.push(m, true) }

// accept takes a peer whose handshake has come, and tells it what there is to tell.
func (s *Swarm) accept(p *peer, hello wire.Handshake) error {
	if hello.InfoHash != s.torrent.InfoHash {
		return fmt.Errorf("%w: another torrent", errRefused)
	}
	if hello.PeerID == s.node.id || s.node.isBanned(hello.PeerID) {
		return fmt.Errorf("%w: ourselves, or banned", errRefused)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.gone {
		return errRefused
	}
	// Of two connections with one peer both ends keep the one whose name, which they share, is smaller.
	for other := range s.peers {
		if other == p || !other.accepted || other.id != hello.PeerID {
			continue
		}
		if other.link < p.link {
			return fmt.Errorf("%w: connected already", errRefused)
		}
		other.close()
	}
	p.id, p.fast, p.v2, p.accepted = hello.PeerID, hello.Fast, hello.V2, true
	switch {
	case p.fast && s.have.count == 0:
		p.send(wire.Bare{ID: wire.HaveNone})
	case p.fast && s.have.full():
		p.send(wire.Bare{ID: wire.HaveAll})
	default:
		p.send(wire.Bitfield{Bits: s.have.bytes})
	}
	// Uploads take turns, so nobody is choked.
	p.send(wire.Bare{ID: wire.Unchoke})
	if hello.Extended {
		p.send(wire.Extended{Number: 0, Payload: wire.AppendExtended(nil, requestQueue)})
	}
	s.countStrangers()
	s.node.log.Debug("peer connected", "peer", hex.EncodeToString(p.id[:]), "link", p.link)
	return nil
}

// message does what a peer's message asks for. An error ends the connection.
func (s *Swarm) message(p *peer, m wire.Message) error {
	if e, ok := m.(wire.Extended); ok && e.Number == wire.MeetNumber {
		return s.meetMessage(p, e.Payload)
	}
	switch m := m.(type) {
	case wire.Piece:
		s.arrived(p, m)
	case wire.HashMessage:
		s.hashMessage(p, m)
	case wire.Hashes:
		s.hashesCame(p, m)
	case wire.Bare, wire.Index, wire.Bitfield, wire.Block, wire.Extended:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.state(p, m)
	}
	return nil
}

// state takes the messages that only change what is known of a peer. s.mu is held.
func (s *Swarm) state(p *peer, m wire.Message) error {
	switch m := m.(type) {
	case wire.Bare:
		switch m.ID {
		case wire.Choke:
			p.chokes = true
			if !p.fast {
				s.releaseAll(p) // with the fast extension each block is rejected by itself (BEP 6)
			}
		case wire.Unchoke:
			p.chokes = false
			s.fill(p)
		case wire.HaveAll:
			all := newBitfield(s.torrent.Pieces)
			all.fill()
			s.holds(p, all)
		case wire.HaveNone:
			s.holds(p, newBitfield(s.torrent.Pieces))
		}
	case wire.Bitfield:
		field, ok := parseBitfield(m.Bits, s.torrent.Pieces)
		if !ok {
			return fmt.Errorf("%w: bitfield of another torrent", wire.ErrProtocol)
		}
		s.holds(p, field)
	case wire.Index:
		if int64(m.Piece) >= int64(s.torrent.Pieces) {
			return fmt.Errorf("%w: no piece %d", wire.ErrProtocol, m.Piece)
		}
		if m.ID == wire.Have {
			s.gained(p, int(m.Piece))
		}
	case wire.Block:
		return s.blockMessage(p, m)
	case wire.Extended:
		return s.extended(p, m)
	}
	return nil
}

// blockMessage takes request, cancel and reject.
func (s *Swarm) blockMessage(p *peer, m wire.Block) error {
	key := m
	key.ID = wire.Request
	switch m.ID {
	case wire.Request:
		if int64(m.Piece) >= int64(s.torrent.Pieces) || m.Length == 0 || m.Length > maxRequest ||
			int64(m.Begin)+int64(m.Length) > s.torrent.PieceLength {
			return fmt.Errorf("%w: request of %d bytes of piece %d", wire.ErrProtocol, m.Length, m.Piece)
		}
		if len(p.wanted) >= requestQueue || !s.have.has(int(m.Piece)) {
			p.reject(m)
			return nil
		}
		p.wanted = append(p.wanted, key)
		p.out.poke()
	case wire.Cancel:
		for i, block := range p.wanted {
			if block == key {
				p.wanted = append(p.wanted[:i], p.wanted[i+1:]...)
				break
			}
		}
	case wire.Reject:
		r := p.outstanding[key]
		if r == nil {
			return nil
		}
		delete(p.outstanding, key)
		// It is not choking us, so it lacks the piece: asked again it would only reject again.
		if !p.chokes && p.pieces.remove(int(m.Piece)) {
			s.available(int(m.Piece), -1)
		}
		s.release(r, p, false)
		s.poke()
	}
	return nil
}

// reject refuses a request. Without the fast extension silence is all there is. s.mu is held.
func (p *peer) reject(m wire.Block) {
	if p.fast {
		m.ID = wire.Reject
		p.send(m)
	}
}

// extended takes the extension handshake, pk_fetching and pk_release.
func (s *Swarm) extended(p *peer, m wire.Extended) error {
	switch m.Number {
	case 0:
		e := wire.DecodeExtended(m.Payload)
		if e.Requests > 0 {
			p.queue = e.Requests
		}
		curious := e.Fetching != 0 && p.fetching == 0
		p.fetching = e.Fetching
		if curious {
			s.tellRuns(p)
		}
		s.met(p, e.Meet)
		first := p.told.number == 0
		if p.told.number = e.Release; first {
			s.tellNewest(p)
		}
	case wire.ReleaseNumber:
		return s.newsMessage(p, m.Payload)
	case wire.FetchingNumber:
		f, err := wire.DecodeFetching(m.Payload, uint32(s.torrent.Pieces))
		if err != nil {
			return err
		}
		for _, run := range f.Runs {
			if !f.Active {
				p.claims.end(run)
			} else if err := p.claims.begin(run, time.Now().Add(claimTime)); err != nil {
				return err
			}
		}
		s.poke()
	}
	return nil
}
