package swarm

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/planktos/planktos/internal/wire"
)

// tells makes a raw peer one that speaks pk_release, under the number 8.
func (r *rawPeer) tells() *rawPeer {
	r.send(wire.Extended{Payload: []byte("d1:md10:pk_releasei8eee")})
	return r
}

func (r *rawPeer) release(m wire.News) {
	r.send(wire.Extended{Number: wire.ReleaseNumber, Payload: m.Append(nil)})
}

// news reads to the next message of pk_release.
func (r *rawPeer) news() wire.News {
	r.t.Helper()
	var got wire.News
	r.until(func(m wire.Message) bool {
		e, ok := m.(wire.Extended)
		if !ok || e.Number != 8 {
			return false
		}
		n, err := wire.DecodeNews(e.Payload)
		if err != nil {
			r.t.Fatal(err)
		}
		got = n
		got.Data = bytes.Clone(n.Data)
		return true
	})
	return got
}

func newestOf(n byte, sequence int64) wire.News {
	return wire.News{Kind: wire.Newest, Snapshot: [32]byte{n}, Sequence: sequence}
}

// The root is told of when a peer connects and when it changes, and handed over in parts, three times at most.
func TestHandingOn(t *testing.T) {
	site := makeSite(100)
	p := site.join(t, &Node{}, site.contents...)
	root := bytes.Repeat([]byte("root"), wire.MaxPart)
	tell := func(n Newest) {
		t.Helper()
		if err := p.Tell(n); err != nil {
			t.Fatal(err)
		}
	}
	tell(Newest{Snapshot: [32]byte{1}})
	r := raw(t, p, 1, nil).tells()
	if got := r.news(); got.Snapshot != [32]byte{1} || got.Sequence != 0 {
		t.Errorf("told %+v", got)
	}
	r.release(wire.News{Kind: wire.AskRoot}) // there is none
	r.settles()
	tell(Newest{Snapshot: [32]byte{2}, Sequence: 6, Root: root})
	if got := r.news(); got.Snapshot != [32]byte{2} || got.Sequence != 6 {
		t.Errorf("told %+v", got)
	}
	for range 5 {
		r.release(wire.News{Kind: wire.AskRoot})
	}
	for range maxAsks {
		var whole []byte
		for last := false; !last; {
			part := r.news()
			whole = append(whole, part.Data...)
			last = part.Kind == wire.LastPart
		}
		if !bytes.Equal(whole, root) {
			t.Errorf("%d bytes came", len(whole))
		}
	}
	r.settles()
	tell(Newest{Snapshot: [32]byte{3}, Sequence: 7, Root: make([]byte, MaxRoot+1)})
	if got := r.news(); got.Kind != wire.Newest || got.Snapshot != [32]byte{3} || got.Sequence != 0 {
		t.Errorf("of what is too large to hand on: %+v", got)
	}
}

// Roots are asked for one at a time, of those who tell of a higher number, and not of those who have lied.
func TestBelieving(t *testing.T) {
	site := makeSite(100)
	kept := openStore(t)
	site.keep(t, kept, site.contents...)
	synctest.Test(t, func(t *testing.T) {
		judged := make(chan string, 10)
		node := &Node{Library: kept, Judge: func(root []byte) (int64, error) {
			judged <- string(root)
			switch string(root) {
			case "six":
				return 6, nil
			case "seven":
				return 7, nil
			}
			return 0, errors.New("forged")
		}}
		p := site.join(t, node)
		defer node.Close()
		if err := node.Tell(Newest{Snapshot: [32]byte{1}, Sequence: 5, Root: []byte("five"), Above: 5}); err != nil {
			t.Fatal(err)
		}
		liar, slow, boaster, honest := raw(t, p, 1, nil).tells(), raw(t, p, 2, nil).tells(), raw(t, p, 3, nil).tells(),
			raw(t, p, 4, nil).tells()
		for _, r := range []*rawPeer{liar, slow, boaster, honest} {
			r.news()
		}
		asks := func(who string, r *rawPeer) {
			t.Helper()
			if got := r.news(); got.Kind != wire.AskRoot {
				t.Errorf("%s: %+v", who, got)
			}
		}
		hand := func(r *rawPeer, root string) {
			r.release(wire.News{Kind: wire.Part, Data: []byte(root[:1])})
			r.release(wire.News{Kind: wire.LastPart, Data: []byte(root[1:])})
			if got := <-judged; got != root {
				t.Errorf("judged: %q", got)
			}
			synctest.Wait()
		}
		honest.release(newestOf(2, 5)) // no higher
		honest.settles()
		liar.release(newestOf(2, 6))
		asks("the liar", liar)
		hand(liar, "forged")
		boaster.release(newestOf(2, 9))
		asks("the boaster", boaster)
		hand(boaster, "six") // a downgrade of what it promised
		slow.release(newestOf(2, 6))
		asks("the slow one", slow)
		begun := time.Now()
		liar.release(newestOf(2, 8))
		honest.release(newestOf(2, 7))
		asks("the honest one", honest) // once the slow one has had its time
		if took := time.Since(begun); took < handTime || took > handTime+time.Second {
			t.Errorf("the slow one had %v", took)
		}
		hand(honest, "seven")
		slow.release(wire.News{Kind: wire.LastPart, Data: []byte("too late")})
		slow.settles()
		if len(judged) != 0 {
			t.Errorf("judged: %q", <-judged)
		}
		for _, r := range []*rawPeer{liar, slow, boaster, honest} {
			r.ch.Close()
		}
	})
}

// A root without end costs its sender the connection.
func TestRootWithoutEnd(t *testing.T) {
	site := makeSite(100)
	p := site.join(t, &Node{Judge: func([]byte) (int64, error) { return 0, errors.New("judged") }}, site.contents...)
	if err := p.Tell(Newest{}); err != nil {
		t.Fatal(err)
	}
	r := raw(t, p, 1, nil).tells()
	r.release(newestOf(2, 6))
	for r.news().Kind != wire.AskRoot {
	}
	go func() {
		for range MaxRoot/wire.MaxPart + 1 {
			r.release(wire.News{Kind: wire.Part, Data: make([]byte, wire.MaxPart)})
		}
	}()
	r.ended()
}

// What nobody has signed is a hint.
func TestUnsignedNews(t *testing.T) {
	site := makeSite(100)
	hints := make(chan Hint, 10)
	site.torrent.Released = func(h Hint) { hints <- h }
	p := site.join(t, &Node{}, site.contents...)
	if err := p.Tell(Newest{Snapshot: [32]byte{1}}); err != nil {
		t.Fatal(err)
	}
	r := raw(t, p, 1, nil).tells()
	r.release(newestOf(1, 0))
	r.release(newestOf(2, 0))
	if got := <-hints; got.Snapshot != [32]byte{2} {
		t.Errorf("%x", got.Snapshot)
	}
	r.settles()
	if len(hints) != 0 {
		t.Error("more than one hint")
	}
}

// Whose hint came to nothing is not listened to again. Where there is no key, what is signed is a hint, too.
func TestBogusHints(t *testing.T) {
	site := makeSite(100)
	hints := make(chan Hint, 10)
	site.torrent.Released = func(h Hint) { hints <- h }
	p := site.join(t, &Node{Judge: func([]byte) (int64, error) { return 0, errors.New("judged") }}, site.contents...)
	if err := p.Tell(Newest{Snapshot: [32]byte{1}, Above: math.MaxInt64}); err != nil {
		t.Fatal(err)
	}
	liar, other := raw(t, p, 1, nil).tells(), raw(t, p, 2, nil).tells()
	liar.release(newestOf(2, 6))
	hint := <-hints
	if hint.Snapshot != [32]byte{2} || hint.Peer == nil {
		t.Fatalf("%+v", hint)
	}
	p.Bogus(hint)
	liar.release(newestOf(3, 0))
	liar.settles()
	p.Bogus(Hint{Snapshot: [32]byte{4}}) // of a tracker: nobody's fault
	other.release(newestOf(4, 0))
	if hint := <-hints; hint.Snapshot != [32]byte{4} {
		t.Errorf("%+v", hint)
	}
}
