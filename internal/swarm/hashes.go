package swarm

import (
	"context"
	"slices"
	"time"

	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/store"
	"github.com/planktos/planktos/internal/wire"
)

// Piece layers, by BEP 52's hash messages: what others ask of the layers of contents that are here, and what we ask of
// others.

const (
	// hashTime is how long a peer may take to answer.
	hashTime = 5 * time.Second
	// answerBytes on their way to a peer are enough: it is answered no more until it has read.
	answerBytes = 1 << 20
	// treeHashes bounds the trees that are kept to answer requests, in hashes of their lowest layers.
	treeHashes = 1 << 17
)

type hashKey struct {
	peer *peer
	wire.HashRange
}

// hashMessage answers a request for hashes, or takes note that one of ours was refused.
func (s *Swarm) hashMessage(p *peer, m wire.HashMessage) {
	if m.ID == wire.HashReject {
		s.answered(hashKey{p, m.HashRange}, nil)
		return
	}
	if p.ch.Buffered() < answerBytes {
		if hashes := s.hashes(m.HashRange); hashes != nil {
			p.send(wire.Hashes{HashRange: m.HashRange, Hashes: hashes})
			return
		}
	}
	p.send(wire.HashMessage{ID: wire.HashReject, HashRange: m.HashRange})
}

func (s *Swarm) hashesCame(p *peer, m wire.Hashes) {
	s.answered(hashKey{p, m.HashRange}, slices.Clone(m.Hashes))
}

func (s *Swarm) answered(key hashKey, hashes []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer := s.asked[key]; answer != nil {
		delete(s.asked, key)
		answer <- hashes // has room for one
	}
}

// hashes answers a request of a peer; nil where it cannot.
func (s *Swarm) hashes(r wire.HashRange) []byte {
	s.mu.Lock()
	var c *content
	for _, one := range s.layout {
		if one.Hash == merkle.Hash(r.Root) && one.Size > s.torrent.PieceLength {
			c = one
			break
		}
	}
	var tree *merkle.Tree
	if c != nil {
		tree = s.trees.get(c.ID)
	}
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	if tree == nil {
		layer, err := s.node.Library.Layer(c.ID, s.torrent.PieceLength)
		if err != nil || layer == nil {
			return nil
		}
		base := merkle.Height(s.torrent.PieceLength)
		if tree, err = merkle.NewTree(c.Size, base, layer); err != nil || tree.Root() != c.Hash {
			return nil
		}
		s.mu.Lock()
		s.trees.put(c.ID, tree, len(layer))
		s.mu.Unlock()
	}
	hashes, err := tree.Hashes(merkle.Request{
		Root: c.Hash, Base: r.Base, Index: r.Index, Length: r.Length, ProofLayers: r.ProofLayers,
	})
	if err != nil {
		return nil
	}
	return hashBytes(hashes)
}

// layerFrom asks a peer for a content's piece layer, and verifies it; nil where the peer does not bring it.
func (s *Swarm) layerFrom(ctx context.Context, p *peer, c *content) []merkle.Hash {
	layer := make([]merkle.Hash, 0, c.pieces)
	base := merkle.Height(s.torrent.PieceLength)
	width := 1 << (merkle.Height(c.Size) - base)
	length := min(width, merkle.MaxRequest)
	for index := 0; index < c.pieces; index += length {
		r := wire.HashRange{Root: c.Hash, Base: uint32(base), Index: uint32(index), Length: uint32(length)}
		hashes := s.askHashes(ctx, p, r)
		if len(hashes) < length*len(merkle.Hash{}) {
			return nil
		}
		for i := range min(length, c.pieces-index) {
			layer = append(layer, merkle.Hash(hashes[i*len(merkle.Hash{}):]))
		}
	}
	if merkle.VerifyLayer(c.Hash, c.Size, s.torrent.PieceLength, layer) != nil {
		p.close()
		return nil
	}
	return layer
}

func (s *Swarm) askHashes(ctx context.Context, p *peer, r wire.HashRange) []byte {
	answer := make(chan []byte, 1)
	key := hashKey{p, r}
	s.mu.Lock()
	s.asked[key] = answer
	s.mu.Unlock()
	p.send(wire.HashMessage{ID: wire.HashRequest, HashRange: r})
	timer := time.NewTimer(hashTime)
	defer timer.Stop()
	select {
	case hashes := <-answer:
		return hashes
	case <-timer.C:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asked, key)
	return nil
}

func hashBytes(hashes []merkle.Hash) []byte {
	b := make([]byte, 0, len(hashes)*len(merkle.Hash{}))
	for i := range hashes {
		b = append(b, hashes[i][:]...)
	}
	return b
}

// A treeCache keeps the trees that were asked for last.
type treeCache struct {
	trees []cachedTree // the newest last
	total int
}

type cachedTree struct {
	id     store.ID
	tree   *merkle.Tree
	hashes int
}

func (c *treeCache) get(id store.ID) *merkle.Tree {
	for i, one := range c.trees {
		if one.id == id {
			c.trees = append(slices.Delete(c.trees, i, i+1), one)
			return one.tree
		}
	}
	return nil
}

func (c *treeCache) put(id store.ID, tree *merkle.Tree, hashes int) {
	c.trees = append(c.trees, cachedTree{id, tree, hashes})
	c.total += hashes
	for c.total > treeHashes && len(c.trees) > 1 {
		c.total -= c.trees[0].hashes
		c.trees = slices.Delete(c.trees, 0, 1)
	}
}
