package swarm

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/planktos/planktos/internal/signal"
	"github.com/planktos/planktos/internal/store"
	"github.com/planktos/planktos/internal/trackertest"
)

// The benchmarks of `make bench-seed`: a giving process, which is this test's binary once more, and this one, which
// takes. docs/benchmarks.md says what is compared.

const (
	roleVariable = "PLANKTOS_BENCH_ROLE"
	benchBytes   = 256 << 20
	benchRounds  = 3
	benchPeers   = 50
)

// roles are what the giving process can be. It reads commands from standard input, one a line, and answers each with a
// line.
var roles = map[string]func(in *bufio.Scanner, out io.Writer) error{"bare": bareGiver, "seed": seedGiver}

// A giver is the giving process.
type giver struct {
	b   *testing.B
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startGiver(b *testing.B, role string) *giver {
	b.Helper()
	g := &giver{b: b, cmd: exec.Command(os.Args[0])}
	g.cmd.Env = append(os.Environ(), roleVariable+"="+role)
	g.cmd.Stderr = os.Stderr
	var err error
	if g.in, err = g.cmd.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	g.out = lines(out)
	if err := g.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	return g
}

// ask sends a command, and gives the answer.
func (g *giver) ask(command string) string {
	g.b.Helper()
	if _, err := fmt.Fprintln(g.in, command); err != nil || !g.out.Scan() {
		g.b.Fatalf("the giver has ended: %v, %v", err, g.out.Err())
	}
	return g.out.Text()
}

func (g *giver) number(command string) float64 {
	g.b.Helper()
	n, err := strconv.ParseFloat(g.ask(command), 64)
	if err != nil {
		g.b.Fatal(err)
	}
	return n
}

func (g *giver) end() {
	g.in.Close()
	if err := g.cmd.Wait(); err != nil {
		g.b.Error(err)
	}
}

func lines(r io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	return s
}

// cpuSeconds is what this process has used.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// residentBytes is the memory that this process holds, without garbage, and without its program's file: what of that
// has been read says nothing of peers.
func residentBytes() float64 {
	for range 2 { // what is pooled outlasts one collection
		debug.FreeOSMemory()
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "RssAnon:")
	var kibibytes float64
	fmt.Sscan(after, &kibibytes)
	return kibibytes * 1024
}

// measured answers the commands that any giver understands.
func measured(command string, out io.Writer) {
	switch command {
	case "cpu":
		fmt.Fprintln(out, cpuSeconds())
	case "resident":
		fmt.Fprintln(out, residentBytes())
	default:
		fmt.Fprintln(out, "no such command")
	}
}

// bareGiver answers an offer and sends on the channel as many bytes as it is told, in the largest messages that a swarm
// sends.
func bareGiver(in *bufio.Scanner, out io.Writer) error {
	t, err := newTransport()
	if err != nil {
		return err
	}
	pc, err := t.connect(nil)
	if err != nil {
		return err
	}
	defer pc.Close()
	channels := make(chan *dataChannel, 1)
	err = opening(pc, "", false, func(dc *webrtc.DataChannel) {
		if ch, err := detach(dc, func() {}); err == nil {
			channels <- ch
		}
	})
	for err == nil && in.Scan() {
		var offer string
		var bytes int
		switch command := in.Text(); {
		case scanned(command, "send %d", &bytes):
			ch := <-channels
			go bareSend(ch, bytes)
			fmt.Fprintln(out, "sending")
		case json.Unmarshal([]byte(command), &offer) == nil:
			var answer string
			if answer, err = describe(context.Background(), pc, offer); err == nil {
				err = json.NewEncoder(out).Encode(answer)
			}
		default:
			measured(command, out)
		}
	}
	return err
}

// scanned tells whether a command has the form of one.
func scanned(command, form string, values ...any) bool {
	_, err := fmt.Sscanf(command, form, values...)
	return err == nil
}

func bareSend(ch *dataChannel, bytes int) {
	message := make([]byte, sendBytes)
	for left := bytes; left > 0; left -= len(message) {
		message = message[:min(left, sendBytes)]
		for ch.Buffered() > manyBytes {
			ch.NotifyAt(manyBytes / 2)
			if ch.Buffered() > manyBytes/2 {
				<-ch.Low()
			}
		}
		if _, err := ch.Write(message); err != nil {
			return
		}
	}
}

// seedGiver joins the swarm of a site whose contents have the sizes that it is told, on the tracker that it is told.
func seedGiver(in *bufio.Scanner, out io.Writer) error {
	if !in.Scan() {
		return in.Err()
	}
	tracker, sizes, _ := strings.Cut(in.Text(), " ")
	site := benchSite(tracker, sizes)
	dir, err := os.MkdirTemp("", "planktos-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	contents, err := store.Open(dir, nil)
	if err != nil {
		return err
	}
	defer contents.Close()
	for _, c := range site.contents {
		if err := site.put(contents, c); err != nil {
			return err
		}
	}
	clear(site.data)
	node := &Node{Library: contents}
	defer node.Close()
	s, err := node.Join(site.torrent)
	if err != nil {
		return err
	}
	if err := s.Add(site.contents...); err != nil {
		return err
	}
	s.meeting.untilTold()
	if err := json.NewEncoder(out).Encode(node.id[:]); err != nil {
		return err
	}
	for in.Scan() {
		measured(in.Text(), out)
	}
	return in.Err()
}

// untilTold waits until the tracker has replied.
func (m *meeting) untilTold() {
	told := func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.trackers[0].others >= 0
	}
	for !told() {
		time.Sleep(time.Millisecond)
	}
}

// offerTo offers a connection to one peer.
func (m *meeting) offerTo(to signal.PeerID) {
	c, ctx := m.connect(signal.OfferID([]byte(rand.Text()[:20])), true, signal.PeerID{})
	if c == nil {
		return
	}
	if sdp, ok := m.describe(ctx, c, ""); ok {
		m.trackers[0].announceOffers([]introduction{{id: c.id, sdp: sdp, to: to}})
	}
}

func benchSite(tracker, sizes string) *site {
	var list []int
	for size := range strings.FieldsSeq(sizes) {
		n, _ := strconv.Atoi(size)
		list = append(list, n)
	}
	s := makeSite(list...)
	s.torrent.Trackers = []string{tracker}
	return s
}

// A transfer is what one round has measured, in bytes a second and CPU seconds a gigabyte.
type transfer struct{ rate, give, take float64 }

func bareTransfer(b *testing.B) transfer {
	g := startGiver(b, "bare")
	defer g.end()
	t, err := newTransport()
	if err != nil {
		b.Fatal(err)
	}
	pc, err := t.connect(nil)
	if err != nil {
		b.Fatal(err)
	}
	defer pc.Close()
	channels := make(chan *dataChannel, 1)
	err = opening(pc, "bench", true, func(dc *webrtc.DataChannel) {
		if ch, err := detach(dc, func() {}); err == nil {
			channels <- ch
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	offer, err := describe(b.Context(), pc, "")
	if err != nil {
		b.Fatal(err)
	}
	quoted, _ := json.Marshal(offer)
	var answer string
	if err := json.Unmarshal([]byte(g.ask(string(quoted))), &answer); err != nil {
		b.Fatal(err)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		b.Fatal(err)
	}
	ch := <-channels
	return measure(g, func() {
		g.ask("send " + strconv.Itoa(benchBytes))
		buf := make([]byte, readBytes)
		for left := benchBytes; left > 0; {
			n, err := ch.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			left -= n
		}
	})
}

func seedTransfer(b *testing.B) transfer {
	g := startGiver(b, "seed")
	defer g.end()
	sizes := strconv.Itoa(benchBytes)
	url, _ := trackertest.Start(b)
	site := benchSite(url, sizes)
	g.ask(site.torrent.Trackers[0] + " " + sizes)
	taker := site.join(b, &Node{})
	defer taker.Node.Close()
	return measure(g, func() {
		taker.Want(site.contents...)
		if err := taker.Wait(b.Context(), site.contents...); err != nil {
			b.Fatal(err)
		}
	})
}

// measure measures benchBytes that a giver gives.
func measure(g *giver, give func()) transfer {
	theirs, ours, begun := g.number("cpu"), cpuSeconds(), time.Now()
	give()
	took := time.Since(begun).Seconds()
	const gigabytes = benchBytes / 1e9
	return transfer{benchBytes / took, (g.number("cpu") - theirs) / gigabytes, (cpuSeconds() - ours) / gigabytes}
}

// BenchmarkTransfer compares a content that goes from one node to another, from disk to disk and verified, to a bare
// data channel that carries as many bytes, in turns.
func BenchmarkTransfer(b *testing.B) {
	for b.Loop() {
		var bare, seed []transfer
		for range benchRounds {
			bare = append(bare, bareTransfer(b))
			seed = append(seed, seedTransfer(b))
		}
		middle := func(of []transfer, value func(transfer) float64) float64 {
			var values []float64
			for _, one := range of {
				values = append(values, value(one))
			}
			slices.Sort(values)
			return values[len(values)/2]
		}
		for _, m := range []struct {
			name  string
			value func(transfer) float64
		}{
			{"MB/s", func(t transfer) float64 { return t.rate / 1e6 }},
			{"giver-CPU-s/GB", func(t transfer) float64 { return t.give }},
			{"taker-CPU-s/GB", func(t transfer) float64 { return t.take }},
		} {
			x, y := middle(seed, m.value), middle(bare, m.value)
			b.ReportMetric(x, m.name)
			b.ReportMetric(y, "bare-"+m.name)
			b.ReportMetric(x/y, "ratio-"+m.name)
		}
	}
}

// BenchmarkCrowd feeds fifty peers at once from one node, and tells how much of its memory each takes, while they are
// fed and when they are idle, and how far apart the first and the last of them are.
func BenchmarkCrowd(b *testing.B) {
	for b.Loop() {
		crowd(b)
	}
}

func crowd(b *testing.B) {
	g := startGiver(b, "seed")
	defer g.end()
	const sizes = "4194304 100" // of which they want the first, so that they are not complete and stay
	url, _ := trackertest.Start(b)
	site := benchSite(url, sizes)
	var id []byte
	if err := json.Unmarshal([]byte(g.ask(site.torrent.Trackers[0]+" "+sizes)), &id); err != nil {
		b.Fatal(err)
	}
	alone := g.number("resident")
	var takers []*testPeer
	defer func() {
		for _, taker := range takers {
			taker.Node.Close()
		}
	}()
	for range benchPeers {
		takers = append(takers, site.join(b, &Node{}))
	}
	// They get it from the giver alone: what they give to each other would hide what it does.
	for _, one := range takers {
		for _, other := range takers {
			one.Node.ban(other.Node.id)
		}
	}
	for _, taker := range takers {
		taker.meeting.untilTold()
		for taker.Stats().Peers == 0 {
			taker.meeting.offerTo(signal.PeerID(id))
			for end := time.Now().Add(answerTime); taker.Stats().Peers == 0 && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
		}
	}
	for _, taker := range takers {
		taker.Want(site.contents[0])
	}
	progress := func() (all []int64) {
		for _, taker := range takers {
			all = append(all, taker.Stats().Downloaded)
		}
		return all
	}
	for slices.Min(progress()) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	before := progress()
	begun := time.Now()
	for slices.Max(progress()) < site.contents[0].Size*3/4 {
		time.Sleep(10 * time.Millisecond)
	}
	after := progress()
	var sum int64
	for i := range after {
		after[i] -= before[i]
		sum += after[i]
	}
	b.ReportMetric(float64(sum)/1e6/time.Since(begun).Seconds(), "MB/s")
	b.ReportMetric(float64(slices.Max(after))/float64(max(1, slices.Min(after))), "most/least")
	b.ReportMetric((g.number("resident")-alone)/benchPeers/1e3, "fed-kB/peer")
	for _, taker := range takers {
		if err := taker.Wait(b.Context(), site.contents[0]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((g.number("resident")-alone)/benchPeers/1e3, "idle-kB/peer")
}
