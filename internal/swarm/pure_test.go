package swarm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/planktos/planktos/internal/wire"
)

func TestBitfield(t *testing.T) {
	b := newBitfield(11)
	if !b.add(0) || b.add(0) || !b.add(10) || b.count != 2 || b.bytes[0] != 0x80 || b.bytes[1] != 0x20 {
		t.Fatalf("got %x, %d", b.bytes, b.count)
	}
	if again, ok := parseBitfield([]byte{0x80, 0x3f}, 11); !ok || again.count != 2 || again.bytes[1] != 0x20 {
		t.Errorf("spare bits: %v, %v", again, ok)
	}
	if _, ok := parseBitfield([]byte{0}, 11); ok {
		t.Error("a short bitfield was taken")
	}
	if !b.remove(10) || b.remove(10) || b.count != 1 {
		t.Errorf("removed: %x, %d", b.bytes, b.count)
	}
	b.fill()
	if !b.full() || b.bytes[1] != 0xe0 {
		t.Errorf("filled: %x, %d", b.bytes, b.count)
	}
}

func TestClaims(t *testing.T) {
	now := time.Now()
	var c claims
	begin := func(first, count uint32, until time.Time) {
		t.Helper()
		if err := c.begin(wire.Run{First: first, Count: count}, until); err != nil {
			t.Fatal(err)
		}
	}
	begin(10, 5, now.Add(time.Second))
	for piece, want := range map[uint32]bool{9: false, 10: true, 14: true, 15: false} {
		if got := c.coming(piece, now); got != want {
			t.Errorf("piece %d: %v", piece, got)
		}
	}
	late := now.Add(2 * time.Second)
	if c.coming(10, late) {
		t.Error("believed after its time")
	}
	begin(20, 1, late.Add(time.Second))
	if c.coming(20, late) {
		t.Error("believed though it brought nothing before")
	}
	c.gained(20)
	if !c.coming(20, late) {
		t.Error("not believed though it has brought something")
	}
	c.end(wire.Run{First: 20, Count: 1})
	if c.coming(20, late) {
		t.Error("believed after it ended")
	}
	for i := range uint32(maxVain) {
		begin(30+i, 1, late)
		if got := c.coming(30+i, late); !got {
			t.Errorf("not believed after %d runs that ended with nothing", i)
		}
		c.end(wire.Run{First: 30 + i, Count: 1})
	}
	begin(40, 1, late)
	if c.coming(40, late) {
		t.Error("believed whatever it ends with nothing")
	}
	c.gained(40)
	if !c.coming(40, late) {
		t.Error("not believed though it has brought something again")
	}
	if c.begin(wire.Run{First: 40, Count: 1}, late.Add(time.Hour)) == nil || c.coming(40, late.Add(time.Second)) {
		t.Error("a claim was renewed")
	}
	for i := range uint32(3 * wire.MaxRuns) {
		begin(100+i, 1, late)
	}
	if len(c.list) != wire.MaxRuns {
		t.Errorf("%d runs are remembered", len(c.list))
	}
}

func TestPace(t *testing.T) {
	var p pace
	if got := p.depth(250, false); got != firstDepth {
		t.Errorf("unknown: %d", got)
	}
	if got := p.depth(250, true); got != 1 {
		t.Errorf("stalled: %d", got)
	}
	p.learn(wire.BlockSize, -1, 100*time.Millisecond)
	if p.rate != 0 || p.latency != 100*time.Millisecond {
		t.Errorf("after the first block: %+v", p)
	}
	for range 100 {
		p.learn(wire.BlockSize, 100*time.Microsecond, 50*time.Millisecond)
	}
	if got := p.depth(250, false); got != maxDepth {
		t.Errorf("fast: %d, %+v", got, p)
	}
	if got := p.depth(5, false); got != 5 {
		t.Errorf("beyond its queue: %d", got)
	}
	for range 200 {
		p.learn(10, time.Second, 3*time.Second)
	}
	if got := p.depth(250, false); got != minDepth {
		t.Errorf("slow: %d, %+v", got, p)
	}
	if got := p.stall(); got != 6*time.Second {
		t.Errorf("stall %v", got)
	}
}

func TestOffersFor(t *testing.T) {
	for _, c := range []struct{ lacking, others, known, want int }{
		{10, 0, 0, 0}, {10, 1, 0, 1}, {10, 3, 0, 3}, {10, 100, 0, 8}, {0, 5, 0, 0}, {10, 5, 5, 0}, {10, 4, 2, 4}, {1, 4, 2, 2},
	} {
		if got := offersFor(c.lacking, c.others, c.known); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
	if pauseAfter(0) != time.Second || pauseAfter(3) != 8*time.Second || pauseAfter(1000) != time.Minute {
		t.Error("pauses")
	}
}

func TestKeepsOld(t *testing.T) {
	for _, c := range []struct {
		name        string
		old         rival
		ours, lower bool
		want        bool
	}{
		{"one that both know of", rival{open: true, age: settledTime}, true, true, true},
		{"ours and the lower's", rival{ours: true}, false, true, true},
		{"ours and not the lower's", rival{ours: true}, false, false, false},
		{"theirs, and ours is the lower's", rival{open: true}, true, true, false},
		{"offered twice by us", rival{ours: true, age: time.Hour}, true, false, true},
		{"offered twice by them, soon", rival{age: time.Second}, false, false, true},
		{"offered anew by them", rival{age: answerTime}, false, false, false},
	} {
		if got := keepsOld(c.old, c.ours, c.lower); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestTrimSDP(t *testing.T) {
	head := []string{"v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"}
	sdp := func(lines ...string) string {
		return strings.Join(append(append([]string{}, head...), lines...), "\r\n") + "\r\n"
	}
	host := func(i int) string {
		return fmt.Sprintf("a=candidate:%d 1 udp 2122260223 10.0.0.%d 5000 typ host", i, i)
	}
	srflx := func(i int) string {
		return fmt.Sprintf("a=candidate:%d 1 UDP 1686052607 192.0.2.%d 5000 typ srflx raddr 0.0.0.0 rport 0", i, i)
	}
	many := func(make func(int) string, n int) (lines []string) {
		for i := range n {
			lines = append(lines, make(i))
		}
		return lines
	}
	text := sdp("a=mid:0", host(1), srflx(2), "a=end-of-candidates")
	if got, ok := trimSDP(text); !ok || got != text {
		t.Errorf("an ordinary description became %q", got)
	}
	for _, c := range []struct {
		name          string
		lines         []string
		total, remote int
	}{
		{"both", append(many(host, 20), many(srflx, 20)...), maxCandidates, keptForRemote},
		{"remote", many(srflx, 20), maxCandidates, maxCandidates},
		{"hosts and one", append(many(host, 20), srflx(1)), maxCandidates, 1},
		{"TCP and garbled", []string{"a=candidate:1 1 tcp 1 10.0.0.1 9 typ host tcptype active", "a=candidate:x"}, 0, 0},
	} {
		got, ok := trimSDP(sdp(c.lines...))
		if total, remote := strings.Count(got, "\na=candidate:"), strings.Count(got, "srflx"); !ok || total != c.total ||
			remote != c.remote {
			t.Errorf("%s: %d candidates, %d remote", c.name, total, remote)
		}
	}
	for _, bad := range []string{
		"", strings.Repeat("x", 1000), strings.Join(head[:4], "\r\n"), sdp("m=audio 9 UDP/TLS/RTP/SAVPF 111"), sdp(head[4]),
		sdp(strings.Repeat("a", maxDescription)),
	} {
		if got, ok := trimSDP(bad); ok {
			t.Errorf("%.40q became %.40q", bad, got)
		}
	}
}

func TestTurns(t *testing.T) {
	begun := func(one *turn) bool {
		select {
		case <-one.begun:
			return true
		default:
			return false
		}
	}
	turns := newTurns(2)
	a, b, c, d, e := turns.ask(), turns.ask(), turns.ask(), turns.ask(), turns.ask()
	if !begun(a) || !begun(b) || begun(c) || turns.room() != roomBytes {
		t.Fatal("two slots do not make two turns")
	}
	turns.end(d) // gives up waiting
	turns.end(a)
	if !begun(c) || begun(e) {
		t.Error("turns do not come in order")
	}
	turns.end(b)
	if !begun(e) || turns.room() != manyBytes {
		t.Error("the turn of who gave up was not passed on")
	}
	turns.end(c)
	turns.end(e)
	if turns.free != 2 {
		t.Errorf("%d slots are free", turns.free)
	}
}

func TestLimiter(t *testing.T) {
	var free limiter
	if free.reserve(1<<30) != 0 {
		t.Error("a limit where there is none")
	}
	l := limiter{rate: 1e6}
	var wait time.Duration
	for range 20 {
		wait = l.reserve(100_000)
	}
	if wait < 1900*time.Millisecond || wait > 2*time.Second {
		t.Errorf("2 MB at 1 MB/s after %v", wait)
	}
}

func TestTakeWanted(t *testing.T) {
	s, p := &Swarm{}, &peer{}
	ask := func(lengths ...uint32) {
		for _, length := range lengths {
			p.wanted = append(p.wanted, wire.Block{ID: wire.Request, Length: length})
		}
	}
	ask(wire.BlockSize, wire.BlockSize, wire.BlockSize, maxRequest, 100)
	for _, want := range []int{2, 1, 1, 2, 0} {
		batch := s.takeWanted(p, 2*wire.BlockSize)
		if len(batch) != want {
			t.Fatalf("got %d requests, want %d", len(batch), want)
		}
		if p.wanted != nil && batch[0].Length == wire.BlockSize && want == 2 {
			ask(100) // what comes meanwhile waits behind what waits
			if got := batch[1].Length; got != wire.BlockSize {
				t.Errorf("a taken request has become one for %d bytes", got)
			}
		}
	}
}

// While nobody waits, each channel message brings whole blocks, and as many as it takes.
func TestLoneBatchFillsMessages(t *testing.T) {
	ch, other := newPipe()
	p := &peer{ch: ch}
	var batch []byte
	for range loneBatchBytes / wire.BlockSize {
		batch = wire.Append(batch, wire.Piece{Block: make([]byte, wire.BlockSize)})
	}
	if err := p.sendBytes(batch); err != nil {
		t.Fatal(err)
	}
	block := len(batch) / (loneBatchBytes / wire.BlockSize)
	message := make([]byte, sendBytes)
	for ch.Buffered() > 0 {
		n, err := other.Read(message)
		if err != nil || n%block != 0 || n+block <= sendBytes {
			t.Errorf("a message of %d bytes, blocks take %d each, error %v", n, block, err)
		}
	}
}
