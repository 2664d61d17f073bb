// Package swarm is a peer without a browser: it meets others through WebTorrent trackers, connects to them by WebRTC,
// and exchanges the contents of Planktos sites with them by BitTorrent's peer wire. docs/protocol.md says what is
// spoken; browser/src/engine does the same in a visitor's page.
//
//	tracker ──offers, answers──▶ meeting ──channel──▶ peer ──requests──▶ uploads ──▶ Library
//	                                                   │ blocks                        ▲
//	                                                   ▼                               │ verified pieces
//	                                       picker ◀─ assembly ─────────────────────────┤
//	                                          └────── web seeds ───────────────────────┘
//
// A [Node] is who we are to others, and takes part in a [Swarm] for each torrent:
//
//	node := &swarm.Node{Library: contents}
//	defer node.Close()
//	s, err := node.Join(torrent)
//	s.Add(contents...)
//	s.Want(contents...)
//	err = s.Wait(ctx, contents...)
package swarm

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/store"
)

const (
	// DefaultMaxPeers is [Node.MaxPeers] of a node that does not say.
	DefaultMaxPeers = 200
	// assemblyBytes bounds the pieces that are being assembled, over all swarms; one piece a swarm is always allowed.
	assemblyBytes = 32 << 20
	// maxBanned bounds the peers that are remembered for having lied.
	maxBanned = 10_000
	// idPrefix begins our peer ids, as that of visitors' browsers (BEP 20).
	idPrefix = "-PK0001-"
)

// A Library is where a node's contents are. Its methods may be called by several goroutines at a time.
// [store.Store] is one.
type Library interface {
	// Has tells whether a content is there, complete.
	Has(id store.ID) bool
	// ReadAt fills p with verified bytes.
	ReadAt(id store.ID, p []byte, offset int64) error
	// Layer is the content's piece layer, verified, or nil if it is not known or there is none.
	Layer(id store.ID, pieceLength int64) ([]merkle.Hash, error)
	// Begin opens the part into which a content that is not there is put, piece by piece.
	Begin(id store.ID, pieceLength int64, layer []merkle.Hash) (*store.Part, error)
}

// A Node takes part in swarms under one peer id. Fields may be set until the first method call.
type Node struct {
	// Library is where contents are, and are put. It must not be nil.
	Library Library
	// UploadLimit is how many bytes a second go to peers at most, over all swarms. If zero, there is no limit.
	UploadLimit int64
	// MaxPeers is how many peers a swarm connects to. If zero, [DefaultMaxPeers].
	MaxPeers int
	// Judge is given the signed root of a release that a peer has handed over, and tells its sequence number; with an
	// error, or a lower number than it has told, the peer is not listened to about releases any more. It is called by one
	// goroutine at a time, and must not wait for the node. If nil, peers are not asked for roots.
	Judge func(root []byte) (sequence int64, err error)
	// Client fetches from web seeds. If nil, one of the node's own. Its Timeout should be zero.
	Client *http.Client
	// Logger is told of peers and of what fails. If nil, nothing is logged.
	Logger *slog.Logger

	once      sync.Once
	setUpErr  error
	log       *slog.Logger
	id        [20]byte
	salt      uint32 // for orders that differ between nodes
	transport *transport
	turns     *turns
	upload    limiter
	news      news
	assembly  atomic.Int64 // bytes that are being assembled
	// connections are those of the node's own client
	connections *http.Transport

	mu     sync.Mutex
	closed bool
	swarms map[[20]byte]*Swarm // by info-hash
	banned map[[20]byte]bool   // by peer id
}

func (n *Node) setUp() error {
	n.once.Do(func() {
		n.log = n.Logger
		if n.log == nil {
			n.log = slog.New(slog.DiscardHandler)
		}
		if n.MaxPeers == 0 {
			n.MaxPeers = DefaultMaxPeers
		}
		if n.Client == nil {
			n.connections = http.DefaultTransport.(*http.Transport).Clone()
			n.connections.MaxIdleConnsPerHost = maxRuns
			n.Client = &http.Client{Transport: n.connections}
		}
		copy(n.id[:], idPrefix)
		var salt [4]byte
		rand.Read(n.id[len(idPrefix):])
		rand.Read(salt[:])
		n.salt = uint32(salt[0]) | uint32(salt[1])<<8 | uint32(salt[2])<<16 | uint32(salt[3])<<24
		n.turns = newTurns(uploadSlots)
		n.upload.rate = float64(n.UploadLimit)
		n.swarms, n.banned = map[[20]byte]*Swarm{}, map[[20]byte]bool{}
		n.news.deaf = map[[20]byte]bool{}
		if n.Library == nil {
			n.setUpErr = errors.New("swarm: Node.Library is nil")
			return
		}
		n.transport, n.setUpErr = newTransport()
	})
	return n.setUpErr
}

// Join takes part in a torrent's swarm, of which nothing is had or given before [Swarm.Add] names its contents. It is
// an error if the node has joined it already.
func (n *Node) Join(t Torrent) (*Swarm, error) {
	s, err := n.join(t)
	if err != nil {
		return nil, err
	}
	s.start()
	return s, nil
}

func (n *Node) join(t Torrent) (*Swarm, error) {
	if err := n.setUp(); err != nil {
		return nil, err
	}
	if !merkle.ValidPieceLength(t.PieceLength) || t.Pieces < 0 {
		return nil, errors.New("swarm: no such torrent")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, errors.New("swarm: the node is closed")
	}
	if n.swarms[t.InfoHash] != nil {
		return nil, errors.New("swarm: joined twice")
	}
	s := newSwarm(n, t)
	n.swarms[t.InfoHash] = s
	return s, nil
}

// Close leaves every swarm. Idempotent.
func (n *Node) Close() error {
	n.mu.Lock()
	n.closed = true
	swarms := slices.Collect(maps.Values(n.swarms))
	n.mu.Unlock()
	for _, s := range swarms {
		s.Close()
	}
	if n.connections != nil {
		n.connections.CloseIdleConnections()
	}
	return nil
}

func (n *Node) left(s *Swarm) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.swarms[s.torrent.InfoHash] == s {
		delete(n.swarms, s.torrent.InfoHash)
	}
}

// joined are the swarms that the node takes part in.
func (n *Node) joined() []*Swarm {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Values(n.swarms))
}

// stored is told that a content is complete, so that its other swarms have it, too.
func (n *Node) stored(by *Swarm, id store.ID) {
	for _, s := range n.joined() {
		if s != by {
			s.took(id)
		}
	}
}

func (n *Node) ban(id [20]byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.banned) < maxBanned {
		n.banned[id] = true
	}
}

func (n *Node) isBanned(id [20]byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.banned[id]
}
