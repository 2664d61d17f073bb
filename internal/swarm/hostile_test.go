package swarm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/wire"
)

// A rawPeer speaks the wire by hand.
type rawPeer struct {
	t  testing.TB
	ch *pipeEnd
	r  *reader
}

// raw connects a raw peer whose handshake is as usual, but for what change does to it.
func raw(t testing.TB, p *testPeer, id byte, change func(*wire.Handshake)) *rawPeer {
	ours, theirs := newPipe()
	serve(p, theirs)
	r := &rawPeer{t, ours, newReader(ours, 1<<20)}
	hello := wire.Handshake{InfoHash: p.torrent.InfoHash, PeerID: [20]byte{id}, Extended: true, Fast: true, V2: true}
	if change != nil {
		change(&hello)
	}
	r.write(hello.Append(nil))
	if _, err := wire.ReadHandshake(r.r); err != nil && !errors.Is(err, io.EOF) { // refused at once
		t.Fatal(err)
	}
	return r
}

func (r *rawPeer) write(b []byte) {
	for len(b) > 0 {
		n := min(len(b), sendBytes)
		if _, err := r.ch.Write(b[:n]); err != nil {
			return // what was said before may have ended it
		}
		b = b[n:]
	}
}

func (r *rawPeer) send(m wire.Message) { r.write(wire.Append(nil, m)) }

// until reads to the first message that is wanted.
func (r *rawPeer) until(wanted func(wire.Message) bool) wire.Message {
	r.t.Helper()
	for {
		m, err := r.r.next()
		if err != nil {
			r.t.Fatalf("the connection ended: %v", err)
		}
		if wanted(m) {
			return m
		}
	}
}

func isID(id wire.ID) func(wire.Message) bool {
	return func(m wire.Message) bool {
		switch m := m.(type) {
		case wire.Block:
			return m.ID == id
		case wire.Bare:
			return m.ID == id
		case wire.Index:
			return m.ID == id
		case wire.HashMessage:
			return m.ID == id
		}
		return false
	}
}

// ended waits for the other side to close.
func (r *rawPeer) ended() {
	for {
		if _, err := r.r.next(); err != nil {
			return
		}
	}
}

func TestBreakersOfTheProtocol(t *testing.T) {
	site := makeSite(100, 3*testPiece)
	p := site.join(t, &Node{}, site.contents[0])
	message := func(m wire.Message) []byte { return wire.Append(nil, m) }
	for name, bad := range map[string][]byte{
		"garbage":              bytes.Repeat([]byte{0xff}, 100),
		"a long message":       binary.BigEndian.AppendUint32(nil, wireBytes+1),
		"a short have":         {0, 0, 0, 2, byte(wire.Have), 1},
		"no such piece":        message(wire.Index{ID: wire.Have, Piece: 4}),
		"a huge piece":         message(wire.Index{ID: wire.Have, Piece: 1<<32 - 1}),
		"a long bitfield":      message(wire.Bitfield{Bits: []byte{1, 2}}),
		"no bitfield":          message(wire.Bitfield{}),
		"a request of nothing": message(wire.Block{ID: wire.Request}),
		"a large request":      message(wire.Block{ID: wire.Request, Length: maxRequest + 1}),
		"beyond a piece":       message(wire.Block{ID: wire.Request, Begin: testPiece - 1, Length: 2}),
		"far beyond a piece":   message(wire.Block{ID: wire.Request, Begin: 1<<32 - 1, Length: 2}),
		"of no piece":          message(wire.Block{ID: wire.Request, Piece: 4, Length: 2}),
		"empty pk_fetching":    message(wire.Extended{Number: wire.FetchingNumber}),
		"a run beyond the end": message(wire.Extended{
			Number:  wire.FetchingNumber,
			Payload: (&wire.Fetching{Active: true, Runs: []wire.Run{{First: 3, Count: 2}}}).Append(nil),
		}),
		"a claim that is renewed": message(wire.Extended{
			Number:  wire.FetchingNumber,
			Payload: (&wire.Fetching{Active: true, Runs: []wire.Run{{First: 3, Count: 1}, {First: 3, Count: 1}}}).Append(nil),
		}),
	} {
		t.Run(name, func(t *testing.T) {
			r := raw(t, p, 1, nil)
			r.write(bad)
			r.ended()
		})
	}
	for name, change := range map[string]func(*wire.Handshake){
		"another torrent": func(h *wire.Handshake) { h.InfoHash[0] ^= 1 },
		"ourselves":       func(h *wire.Handshake) { h.PeerID = p.id },
	} {
		t.Run(name, func(t *testing.T) { raw(t, p, 1, change).ended() })
	}
	// What is merely unknown or useless ends nothing.
	r := raw(t, p, 1, nil)
	for _, m := range []wire.Message{
		wire.KeepAlive{}, wire.Unknown{ID: 99, Payload: []byte("x")}, wire.Index{ID: wire.Suggest},
		wire.Piece{Block: make([]byte, 10)}, wire.Block{ID: wire.Reject, Length: 5}, wire.Block{ID: wire.Cancel, Length: 5},
		wire.Hashes{Hashes: make([]byte, 64)}, wire.HashMessage{ID: wire.HashReject}, wire.Extended{Number: 77},
		wire.Extended{Payload: []byte("no dictionary")},
	} {
		r.send(m)
	}
	r.send(wire.Block{ID: wire.Request, Length: 100})
	got := r.until(func(m wire.Message) bool { _, ok := m.(wire.Piece); return ok })
	if block := got.(wire.Piece).Block; !bytes.Equal(block, site.data[site.contents[0].ID]) {
		t.Errorf("got %d bytes", len(block))
	}
}

// WebTorrent misses what comes with the handshake, and would ask for nothing.
func TestHandshakeComesByItself(t *testing.T) {
	p := makeSite(1).join(t, &Node{})
	ours, theirs := newPipe()
	shake := wire.Handshake{InfoHash: p.torrent.InfoHash, PeerID: [20]byte{1}, Extended: true, Fast: true}
	hello := shake.Append(nil)
	if _, err := ours.Write(hello); err != nil {
		t.Fatal(err)
	}
	serve(p, theirs)
	if n, err := ours.Read(make([]byte, 1024)); n != len(hello) || err != nil {
		t.Fatalf("the first message has %d bytes: %v", n, err)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	site := makeSite(100, 3*testPiece)
	p := site.join(t, &Node{}, site.contents[0])
	r := raw(t, p, 1, nil)
	r.send(wire.Block{ID: wire.Request, Piece: 2, Length: 10}) // is not here
	r.until(isID(wire.Reject))
	// Beyond the content's end is padding.
	r.send(wire.Block{ID: wire.Request, Begin: 50, Length: 100})
	got := r.until(func(m wire.Message) bool { _, ok := m.(wire.Piece); return ok }).(wire.Piece)
	want := append(bytes.Clone(site.data[site.contents[0].ID][50:]), make([]byte, 50)...)
	if !bytes.Equal(got.Block, want) {
		t.Errorf("padded block %x", got.Block)
	}
	for _, bad := range []wire.HashRange{
		{Root: site.contents[1].Hash, Base: 1, Length: 2}, // is not here either
		{Root: site.contents[0].Hash, Base: 1, Length: 2}, // has no layer
		{Length: 2},
	} {
		r.send(wire.HashMessage{ID: wire.HashRequest, HashRange: bad})
		r.until(isID(wire.HashReject))
	}
}

func TestHashes(t *testing.T) {
	site := makeSite(100, 9*testPiece+1)
	p := site.join(t, &Node{}, site.contents...)
	r := raw(t, p, 1, nil)
	c := site.contents[1]
	request := merkle.Request{Root: c.Hash, Base: 1, Index: 8, Length: 4}.ToRoot(c.Size)
	for range 2 { // the second time from the cache
		r.send(wire.HashMessage{ID: wire.HashRequest, HashRange: wire.HashRange{
			Root: c.Hash, Base: 1, Index: 8, Length: 4, ProofLayers: request.ProofLayers,
		}})
		m := r.until(func(m wire.Message) bool { _, ok := m.(wire.Hashes); return ok }).(wire.Hashes)
		var hashes []merkle.Hash
		for b := m.Hashes; len(b) > 0; b = b[32:] {
			hashes = append(hashes, merkle.Hash(b[:32]))
		}
		if err := request.Verify(c.Size, hashes); err != nil {
			t.Error(err)
		}
	}
}

// liar is a peer that has everything, and gives what wrong makes of it.
func (s *site) liar(r *rawPeer, wrong func([]byte)) {
	r.send(wire.Bare{ID: wire.HaveAll})
	r.send(wire.Bare{ID: wire.Unchoke})
	for {
		m, err := r.r.next()
		if err != nil {
			return
		}
		switch m := m.(type) {
		case wire.HashMessage:
			r.send(wire.HashMessage{ID: wire.HashReject, HashRange: m.HashRange})
		case wire.Block:
			if m.ID != wire.Request {
				continue
			}
			for _, c := range s.contents {
				if offset := (int(m.Piece)-c.Piece)*testPiece + int(m.Begin); offset >= 0 && offset < int(c.Size) {
					block := bytes.Clone(s.data[c.ID][offset : offset+int(m.Length)])
					wrong(block)
					r.send(wire.Piece{Piece: m.Piece, Begin: m.Begin, Block: block})
					break
				}
			}
		}
	}
}

func TestLiars(t *testing.T) {
	site := makeSite(40*testPiece, 100)
	giver := site.join(t, &Node{UploadLimit: 2e6}, site.contents...)
	taker := site.join(t, &Node{})
	for i := range byte(3) {
		r := raw(t, taker, 100+i, nil)
		taker.wg.Go(func() {
			n := 0
			site.liar(r, func(block []byte) {
				if n++; n%3 == 0 {
					block[len(block)/2] ^= 1
				}
			})
		})
	}
	link(giver, taker)
	taker.fetch(t, site, site.contents...)
	if taker.isBanned(giver.id) {
		t.Error("the honest peer is banned")
	}
	banned := 0
	for i := range byte(3) {
		if id := ([20]byte{100 + i}); taker.isBanned(id) {
			banned++
			raw(t, taker, 100+i, nil).ended()
		}
	}
	if banned == 0 {
		t.Error("no liar is banned")
	}
}

// A peer that says it has everything, takes requests and never answers costs time, and nothing else.
func TestStaller(t *testing.T) {
	site := makeSite(10*testPiece, 100)
	taker := site.join(t, &Node{})
	r := raw(t, taker, 1, nil)
	r.send(wire.Bare{ID: wire.HaveAll})
	r.send(wire.Bare{ID: wire.Unchoke})
	taker.Want(site.contents...)
	r.until(isID(wire.Request))
	giver := site.join(t, &Node{}, site.contents...)
	link(giver, taker)
	taker.fetch(t, site, site.contents...)
}

// A peer that lets go of what it took, by rejecting, choking or leaving, is replaced at once.
func TestQuitter(t *testing.T) {
	for name, quit := range map[string]func(*rawPeer, wire.Block){
		"rejects": func(r *rawPeer, b wire.Block) { b.ID = wire.Reject; r.send(b) },
		"leaves":  func(r *rawPeer, _ wire.Block) { r.ch.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			site := makeSite(10*testPiece, 100)
			taker := site.join(t, &Node{})
			r := raw(t, taker, 1, nil)
			r.send(wire.Bare{ID: wire.HaveAll})
			r.send(wire.Bare{ID: wire.Unchoke})
			taker.Want(site.contents...)
			taker.wg.Go(func() {
				for {
					m, err := r.r.next()
					if err != nil {
						return
					}
					if b, ok := m.(wire.Block); ok && b.ID == wire.Request {
						quit(r, b)
					}
				}
			})
			giver := site.join(t, &Node{}, site.contents...)
			link(giver, taker)
			taker.fetch(t, site, site.contents...)
		})
	}
}

// Fifty peers that always have something to ask for get about the same. How fast each reads is the scheduler's choice
// here; BenchmarkCrowd tells how fair it is where they are as fast as each other.
func TestFairness(t *testing.T) {
	const peers, turnsEach = 50, 10
	// Who comes first has the uplink to itself: what counts comes after that.
	const from, to = peers * turnsEach * batchBytes / 2, peers * turnsEach * batchBytes * 3 / 2
	site := makeSite(8 * testPiece)
	giver := site.join(t, &Node{UploadLimit: 30e6}, site.contents...)
	begin := make(chan struct{})
	enough := make(chan struct{})
	var total atomic.Int64
	var got [peers]atomic.Int64
	for i := range peers {
		r := raw(t, giver, byte(1+i), nil)
		r.until(isID(wire.Unchoke))
		request := wire.Block{ID: wire.Request, Length: wire.BlockSize}
		giver.wg.Go(func() {
			<-begin
			for range requestQueue / 2 {
				r.send(request)
			}
			for {
				m, err := r.r.next()
				if err != nil {
					return
				}
				if _, ok := m.(wire.Piece); !ok {
					continue
				}
				now := total.Add(wire.BlockSize)
				if now > from {
					got[i].Add(wire.BlockSize)
				}
				if now == to {
					close(enough)
				}
				r.send(request)
			}
		})
	}
	close(begin)
	select {
	case <-enough:
	case <-time.After(30 * time.Second):
		t.Errorf("%d bytes were given", total.Load())
	}
	least, most := int64(1<<62), int64(0)
	for i := range got {
		least, most = min(least, got[i].Load()), max(most, got[i].Load())
	}
	if most > 4*least {
		t.Errorf("between %d and %d bytes", least, most)
	}
}

// A peer that asks for more and more and does not read keeps nobody waiting, and is cut off in the end.
func TestFlooder(t *testing.T) {
	site := makeSite(40 * testPiece)
	giver := site.join(t, &Node{}, site.contents...)
	r := raw(t, giver, 1, nil)
	r.ch.hold(true)
	taker := site.join(t, &Node{})
	taker.Want(site.contents...)
	giver.wg.Go(func() {
		request := wire.Append(nil, wire.Block{ID: wire.Request, Length: wire.BlockSize})
		flood := bytes.Repeat(request, 1000)
		for {
			if _, err := r.ch.Write(flood); err != nil {
				return
			}
			// As far as the flow control of a channel lets it.
			for r.ch.Buffered() > 64<<10 {
				r.ch.NotifyAt(64 << 10)
				if _, err := r.ch.Write(nil); err != nil {
					return
				}
				if r.ch.Buffered() > 64<<10 {
					<-r.ch.Low()
				}
			}
		}
	})
	link(giver, taker)
	taker.fetch(t, site, site.contents...)
	r.ended()
}

func TestOneConnectionAPeer(t *testing.T) {
	site := makeSite(100)
	p := site.join(t, &Node{}, site.contents...)
	connect := func(name string) *rawPeer {
		ours, theirs := newPipe()
		p.wg.Go(func() { p.connected(theirs, name) })
		r := &rawPeer{t, ours, newReader(ours, 1<<20)}
		hello := wire.Handshake{InfoHash: p.torrent.InfoHash, PeerID: [20]byte{7}, Fast: true}
		r.write(hello.Append(nil))
		if _, err := wire.ReadHandshake(r.r); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		return r
	}
	b := connect("b")
	b.until(isID(wire.Unchoke))
	connect("c").ended()
	a := connect("a")
	a.until(isID(wire.Unchoke))
	b.ended()
}

func TestMaxPeers(t *testing.T) {
	site := makeSite(100)
	p := site.join(t, &Node{MaxPeers: 2}, site.contents...)
	for i := range byte(2) {
		raw(t, p, 1+i, nil).until(isID(wire.Unchoke))
	}
	ours, theirs := newPipe()
	serve(p, theirs)
	if _, err := ours.Read(make([]byte, readBytes)); !errors.Is(err, io.EOF) {
		t.Errorf("a third peer: %v", err)
	}
}

func TestSilence(t *testing.T) {
	site := makeSite(100)
	kept := openStore(t)
	site.keep(t, kept, site.contents...)
	synctest.Test(t, func(t *testing.T) {
		node := &Node{Library: kept}
		p := site.join(t, node)
		begun := time.Now()
		ours, theirs := newPipe()
		done := make(chan time.Duration, 2)
		p.wg.Go(func() { p.connected(theirs, "mute"); done <- time.Since(begun) })
		if took := <-done; took < handshakeTime || took > handshakeTime+time.Second {
			t.Errorf("no handshake: closed after %v", took)
		}
		ours.Close()

		begun = time.Now()
		ours, theirs = newPipe()
		p.wg.Go(func() { p.connected(theirs, "still"); done <- time.Since(begun) })
		r := &rawPeer{t, ours, newReader(ours, 1<<20)}
		hello := wire.Handshake{InfoHash: p.torrent.InfoHash, PeerID: [20]byte{7}, Fast: true}
		r.write(hello.Append(nil))
		if _, err := wire.ReadHandshake(r.r); err != nil {
			t.Fatal(err)
		}
		r.until(func(m wire.Message) bool { _, ok := m.(wire.KeepAlive); return ok })
		if took := time.Since(begun); took < keepAlive || took > keepAlive+time.Second {
			t.Errorf("keep-alive after %v", took)
		}
		r.ended()
		if took := <-done; took < silenceTime || took > silenceTime+time.Second {
			t.Errorf("silent: closed after %v", took)
		}
		node.Close()
	})
}
