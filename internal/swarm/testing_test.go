package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/store"
)

const testPiece = 32 << 10

// A site is contents and the torrent in which they lie.
type site struct {
	torrent  Torrent
	contents []Content
	data     map[store.ID][]byte
}

// makeSite makes contents of the given sizes, one after the other.
func makeSite(sizes ...int) *site {
	s := &site{torrent: Torrent{PieceLength: testPiece}, data: map[store.ID][]byte{}}
	for i, size := range sizes {
		data := make([]byte, size)
		rand.NewChaCha8([32]byte{byte(i), byte(size), byte(size >> 8)}).Read(data)
		id := store.ID{Hash: merkle.Root(data), Size: int64(size)}
		path := fmt.Sprintf("file-%d", i)
		c := Content{ID: id, Piece: s.torrent.Pieces, Path: path, Copy: "planktos/" + id.Hash.String()}
		if size > testPiece {
			c.Layer = c.Copy + ".layer"
		}
		s.contents = append(s.contents, c)
		s.data[id] = data
		s.torrent.Pieces += (size-1)/testPiece + 1
	}
	copy(s.torrent.InfoHash[:], fmt.Sprintf("torrent of %d bytes ......", s.torrent.Pieces))
	return s
}

func (s *site) layer(id store.ID) []merkle.Hash {
	h := merkle.NewHasher(testPiece)
	h.Write(s.data[id])
	_, layer := h.Sum()
	return layer
}

// put puts a content into a store.
func (s *site) put(into *store.Store, c Content) error {
	part, err := into.Begin(c.ID, testPiece, s.layer(c.ID))
	if err != nil {
		return err
	}
	data := s.data[c.ID]
	for i := 0; i*testPiece < len(data); i++ {
		if err := part.Write(i, data[i*testPiece:min(len(data), (i+1)*testPiece)]); err != nil {
			return err
		}
	}
	return part.Finish()
}

// keep puts contents into a store.
func (s *site) keep(t testing.TB, into *store.Store, contents ...Content) {
	t.Helper()
	for _, c := range contents {
		if err := s.put(into, c); err != nil {
			t.Fatal(err)
		}
	}
}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A testPeer is a node in one swarm, with a store of its own.
type testPeer struct {
	*Node
	*Swarm
	store *store.Store
}

// join has a node with these contents take part. Its swarm meets nobody by itself unless the torrent has trackers.
func (s *site) join(t testing.TB, node *Node, has ...Content) *testPeer {
	t.Helper()
	p := &testPeer{Node: node, store: openStore(t)}
	if node.Library == nil {
		s.keep(t, p.store, has...)
		node.Library = p.store
	}
	var err error
	if p.Swarm, err = node.Join(s.torrent); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Close() })
	if err := p.Add(s.contents...); err != nil {
		t.Fatal(err)
	}
	return p
}

// fetch wants contents, waits for them, and looks at every byte.
func (p *testPeer) fetch(t testing.TB, s *site, contents ...Content) {
	t.Helper()
	p.Want(contents...)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := p.Wait(ctx, contents...); err != nil {
		t.Fatalf("waiting: %v; %+v", err, p.Stats())
	}
	for _, c := range contents {
		got := make([]byte, c.Size)
		if err := p.store.ReadAt(c.ID, got, 0); err != nil || string(got) != string(s.data[c.ID]) {
			t.Errorf("content of %d bytes is not what it was: %v", c.Size, err)
		}
	}
}

// A pipe is two channels that are each other's ends, in memory.
type pipeEnd struct {
	mu       sync.Mutex
	changed  *sync.Cond
	in       [][]byte
	buffered int // bytes in the other end's in
	mark     int
	closed   bool
	low      chan struct{}
	other    *pipeEnd
	// holds stops reading, as a peer does that does not read.
	holds bool
}

func newPipe() (a, b *pipeEnd) {
	make := func() *pipeEnd {
		e := &pipeEnd{low: make(chan struct{}, 1), mark: -1}
		e.changed = sync.NewCond(&e.mu)
		return e
	}
	a, b = make(), make()
	a.other, b.other = b, a
	return a, b
}

func (e *pipeEnd) Read(p []byte) (int, error) {
	e.mu.Lock()
	for (len(e.in) == 0 || e.holds) && !e.closed {
		e.changed.Wait()
	}
	if len(e.in) == 0 || e.holds {
		e.mu.Unlock()
		return 0, io.EOF
	}
	message := e.in[0]
	if len(message) > len(p) {
		e.mu.Unlock()
		return 0, io.ErrShortBuffer
	}
	e.in = e.in[1:]
	e.mu.Unlock()
	e.other.drained(len(message))
	return copy(p, message), nil
}

func (e *pipeEnd) drained(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.buffered
	e.buffered -= n
	if before > e.mark && e.buffered <= e.mark {
		select {
		case e.low <- struct{}{}:
		default:
		}
	}
}

func (e *pipeEnd) Write(p []byte) (int, error) {
	if len(p) > sendBytes {
		return 0, errors.New("message is too long")
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return 0, io.ErrClosedPipe
	}
	e.buffered += len(p)
	e.mu.Unlock()
	o := e.other
	o.mu.Lock()
	defer o.mu.Unlock()
	o.in = append(o.in, append([]byte(nil), p...))
	o.changed.Broadcast()
	return len(p), nil
}

func (e *pipeEnd) Buffered() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.buffered
}

func (e *pipeEnd) NotifyAt(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mark = n
}

func (e *pipeEnd) Low() <-chan struct{} { return e.low }

func (e *pipeEnd) Close() error {
	for _, end := range []*pipeEnd{e, e.other} {
		end.mu.Lock()
		end.closed = true
		end.changed.Broadcast()
		select {
		case end.low <- struct{}{}:
		default:
		}
		end.mu.Unlock()
	}
	return nil
}

// hold has an end read, or not.
func (e *pipeEnd) hold(holds bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.holds = holds
	e.changed.Broadcast()
}

// link connects two peers.
func link(a, b *testPeer) {
	x, y := newPipe()
	serve(a, x)
	serve(b, y)
}

// serve gives a peer a channel.
func serve(p *testPeer, ch channel) {
	p.wg.Go(func() { p.connected(ch, "link") })
}

// logTo makes what a node logs part of a test's output.
func logTo(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}
