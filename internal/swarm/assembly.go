package swarm

import (
	"bytes"
	"sync"
	"time"

	"github.com/planktos/planktos/internal/wire"
)

// An assembly is a piece that peers are filling: its bytes, and a note of who was asked for which block and who sent
// it. When a piece that several peers filled turns out bad, the note says in the end who lied. It is guarded by the
// swarm's mu; a complete one belongs to who checks it.
type assembly struct {
	content *content
	piece   int
	data    []byte
	last    time.Time // begun, or the last block came
	dropped bool
	only    *peer     // the only peer to ask, after a bad piece of several
	from    []*peer   // who sent each block
	asked   [][]*peer // whom each block has been asked of, and may still come from
	open    []bool    // blocks that nobody who counts is asked for
	opens   int       // how many
	missing int       // blocks
}

// newAssembly begins a piece in data, which need not be empty.
func newAssembly(c *content, piece int, data []byte, now time.Time, only *peer) *assembly {
	blocks := (len(data) + wire.BlockSize - 1) / wire.BlockSize
	a := &assembly{
		content: c, piece: piece, data: data, last: now, only: only,
		from: make([]*peer, blocks), asked: make([][]*peer, blocks), open: make([]bool, blocks),
		opens: blocks, missing: blocks,
	}
	for i := range a.open {
		a.open[i] = true
	}
	return a
}

// block is where a block lies in the torrent.
func (a *assembly) block(i int) wire.Block {
	begin := i * wire.BlockSize
	return wire.Block{
		ID: wire.Request, Piece: uint32(a.piece), Begin: uint32(begin),
		Length: uint32(min(wire.BlockSize, len(a.data)-begin)),
	}
}

// take gives a peer up to room blocks to be asked for.
func (a *assembly) take(p *peer, room int) (blocks []int) {
	if a.only != nil && a.only.gone {
		a.only = p
	}
	if a.only != nil && a.only != p || a.opens == 0 {
		return nil
	}
	for i := range a.open {
		if len(blocks) == room {
			break
		}
		if !a.open[i] || contains(a.asked[i], p) {
			continue
		}
		a.open[i] = false
		a.opens--
		a.asked[i] = append(a.asked[i], p)
		blocks = append(blocks, i)
	}
	return blocks
}

// release says that the block will not come from this peer, or perhaps too late (late): it may be asked of others.
func (a *assembly) release(i int, p *peer, late bool) {
	if !late {
		a.asked[i] = without(a.asked[i], p)
	}
	if a.from[i] == nil && !a.open[i] {
		a.open[i] = true
		a.opens++
	}
	if a.only == p {
		a.only = nil
	}
}

// put takes a block that has come. It tells which other peers it was asked of, and whether it was of any use.
func (a *assembly) put(i int, p *peer, data []byte, now time.Time) (others []*peer, used bool) {
	others = without(a.asked[i], p)
	a.asked[i] = others
	if a.dropped || a.from[i] != nil || a.only != nil && a.only != p {
		return nil, false
	}
	copy(a.data[i*wire.BlockSize:], data)
	a.from[i] = p
	if a.open[i] {
		a.open[i] = false
		a.opens--
	}
	a.asked[i] = nil
	a.missing--
	a.last = now
	return others, true
}

// authors are those who sent the blocks.
func (a *assembly) authors() (authors []*peer) {
	for _, p := range a.from {
		if p != nil && !contains(authors, p) {
			authors = append(authors, p)
		}
	}
	return authors
}

// liars are those who sent other bytes than the good piece has.
func (a *assembly) liars(good []byte) (liars []*peer) {
	for i, p := range a.from {
		start := i * wire.BlockSize
		end := min(len(a.data), start+wire.BlockSize)
		if p != nil && !contains(liars, p) && !bytes.Equal(a.data[start:end], good[start:end]) {
			liars = append(liars, p)
		}
	}
	return liars
}

func contains(peers []*peer, p *peer) bool {
	for _, one := range peers {
		if one == p {
			return true
		}
	}
	return false
}

func without(peers []*peer, p *peer) []*peer {
	for i, one := range peers {
		if one == p {
			return append(peers[:i:i], peers[i+1:]...)
		}
	}
	return peers
}

// buffers are those of pieces that are done with, of several lengths.
var buffers sync.Pool

// pieceBuffer gives a buffer that may hold anything.
func pieceBuffer(size int64) []byte {
	if b, ok := buffers.Get().(*[]byte); ok && int64(cap(*b)) >= size && int64(cap(*b)) <= 2*size {
		return (*b)[:size]
	}
	return make([]byte, size)
}

// freePiece takes a buffer back that nobody uses any longer.
func freePiece(b []byte) { buffers.Put(&b) }
