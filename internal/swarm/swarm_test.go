package swarm

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/planktos/planktos/internal/store"
)

func TestExchange(t *testing.T) {
	site := makeSite(1, 100, testPiece, testPiece+1, 40*testPiece+12345, 200*testPiece)
	giver := site.join(t, &Node{}, site.contents...)
	taker := site.join(t, &Node{})
	link(giver, taker)
	taker.fetch(t, site, site.contents...)
	if got, want := giver.Stats().Uploaded, taker.Stats().Downloaded; got != want || want != taker.store.Used() {
		t.Errorf("uploaded %d, downloaded %d of %d", got, want, taker.store.Used())
	}
}

// Two that have a half each give it to the other; a third, connected to neither at first, gets all from one of them.
func TestTrade(t *testing.T) {
	site := makeSite(3*testPiece, 100, 5*testPiece, 70*testPiece)
	a := site.join(t, &Node{}, site.contents[:2]...)
	b := site.join(t, &Node{}, site.contents[2:]...)
	c := site.join(t, &Node{})
	a.Want(site.contents...)
	b.Want(site.contents...)
	link(a, b)
	link(b, c)
	c.fetch(t, site, site.contents...)
	a.fetch(t, site, site.contents...)
	b.fetch(t, site, site.contents...)
}

func TestOnlyWhatIsWanted(t *testing.T) {
	site := makeSite(100, 10*testPiece, 200)
	giver := site.join(t, &Node{}, site.contents...)
	taker := site.join(t, &Node{})
	link(giver, taker)
	taker.fetch(t, site, site.contents[2])
	if used := taker.store.Used(); used != 200 {
		t.Errorf("%d bytes were stored", used)
	}
}

// What an earlier run has left is taken up.
func TestResume(t *testing.T) {
	site := makeSite(50 * testPiece)
	giver := site.join(t, &Node{}, site.contents...)
	node := &Node{}
	kept := openStore(t)
	c := site.contents[0]
	part, err := kept.Begin(c.ID, testPiece, site.layer(c.ID))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := part.Write(i, site.data[c.ID][i*testPiece:(i+1)*testPiece]); err != nil {
			t.Fatal(err)
		}
	}
	node.Library = kept
	taker := site.join(t, node)
	taker.store = kept
	link(giver, taker)
	taker.fetch(t, site, c)
	if got := taker.Stats().Downloaded; got != 30*testPiece {
		t.Errorf("downloaded %d pieces of %d", got/testPiece, 30)
	}
}

// A swarm learns of what another one of the same node has downloaded.
func TestTwoSwarms(t *testing.T) {
	site := makeSite(100, 3*testPiece)
	giver := site.join(t, &Node{}, site.contents...)
	taker := site.join(t, &Node{})
	other := site.torrent
	other.InfoHash[0] ^= 1
	next, err := taker.Node.Join(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Add(site.contents...); err != nil {
		t.Fatal(err)
	}
	next.Want(site.contents...)
	if _, err := taker.Node.Join(other); err == nil {
		t.Error("joined twice")
	}
	link(giver, taker)
	taker.fetch(t, site, site.contents...)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := next.Wait(ctx, site.contents...); err != nil {
		t.Error(err)
	}
}

func TestUploadLimit(t *testing.T) {
	site := makeSite(20 * testPiece)
	giver := site.join(t, &Node{UploadLimit: 1e6}, site.contents...)
	taker := site.join(t, &Node{})
	begun := time.Now()
	link(giver, taker)
	taker.fetch(t, site, site.contents...)
	if took := time.Since(begun); took < 550*time.Millisecond {
		t.Errorf("655 kB took %v at 1 MB/s", took)
	}
}

func TestFullStore(t *testing.T) {
	site := makeSite(100, 10*testPiece, 5)
	giver := site.join(t, &Node{}, site.contents...)
	small, err := store.Open(t.TempDir(), &store.Options{Limit: 10*testPiece + 50})
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	node := &Node{Library: small}
	defer node.Close()
	taker := site.join(t, node)
	taker.store = small
	link(giver, taker)
	taker.fetch(t, site, site.contents[0])
	taker.Want(site.contents...)
	err = taker.Wait(t.Context(), site.contents...)
	if !errors.Is(err, store.ErrFull) {
		t.Fatalf("got %v", err)
	}
	taker.fetch(t, site, site.contents[2])
	if err := small.Sweep(func(id store.ID) bool { return id.Size > 1000 }); err != nil {
		t.Fatal(err)
	}
	taker.fetch(t, site, site.contents[1]) // there is room now
}

func TestAdd(t *testing.T) {
	site := makeSite(100, 3*testPiece, 5)
	p := site.join(t, &Node{})
	for _, c := range []struct {
		name string
		bad  func(c *Content)
	}{
		{"on another's", func(c *Content) { c.Piece = 2; c.Size = 1 }},
		{"over another's", func(c *Content) { c.Piece = 0; c.Size = 2 * testPiece }},
		{"beyond the end", func(c *Content) { c.Piece = 5; c.Size = 1 }},
		{"over the end", func(c *Content) { c.Piece = 4; c.Size = testPiece + 1 }},
		{"huge", func(c *Content) { c.Piece = 4; c.Size = 1<<63 - 1 }},
		{"before the beginning", func(c *Content) { c.Piece = -1; c.Size = 1 }},
		{"empty", func(c *Content) { c.Size = 0 }},
	} {
		bad := site.contents[2]
		bad.Hash[0] ^= 1
		c.bad(&bad)
		if p.Add(bad) == nil {
			t.Errorf("%s: taken", c.name)
		}
	}
	if err := p.Add(site.contents...); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestClose(t *testing.T) {
	site := makeSite(5 * testPiece)
	p := site.join(t, &Node{})
	p.Want(site.contents...)
	waited := make(chan error)
	go func() { waited <- p.Wait(context.Background(), site.contents...) }()
	if err := p.Swarm.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waited; !errors.Is(err, ErrClosed) {
		t.Errorf("waiting came to %v", err)
	}
	again, err := p.Node.Join(site.torrent)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	p.Node.Close()
	if _, err := p.Node.Join(site.torrent); err == nil {
		t.Error("joined after the end")
	}
}

func TestManyContents(t *testing.T) {
	sizes := make([]int, 300)
	for i := range sizes {
		sizes[i] = 1 + i*37%2000
	}
	site := makeSite(sizes...)
	giver := site.join(t, &Node{}, site.contents...)
	taker := site.join(t, &Node{})
	link(giver, taker)
	taker.fetch(t, site, site.contents...)
}

func ExampleNode() {
	contents, err := store.Open("contents", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer contents.Close()
	node := &Node{Library: contents, UploadLimit: 1e6}
	defer node.Close()
}
