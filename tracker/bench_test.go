package tracker

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gobwas/ws"

	"github.com/planktos/planktos/internal/signal"
)

// BenchmarkAnnounce measures announces with five offers of 2 KB each, all passed on and answered, by 16 peers in one
// swarm on loopback. The clients' work, about as much as the tracker's, is part of it.
func BenchmarkAnnounce(b *testing.B) {
	const peers, offers = 16, 5
	tracker := &Tracker{MessagesPerSecond: 1e9}
	server := httptest.NewServer(tracker)
	defer server.Close()
	defer tracker.Close()

	candidate := `a=candidate:1 1 udp 2113937151 192.0.2.1 54400 typ host\r\n`
	sdp := []byte(`{"type":"offer","sdp":"v=0\r\n` + strings.Repeat(candidate, 35) + `"}`)
	crowd := make([]*benchPeer, peers)
	for i := range crowd {
		crowd[i] = newBenchPeer(b, server.Listener.Addr().String(), byte(i), sdp)
		defer crowd[i].nc.Close()
	}
	await(b, tracker, "joining", func(s Stats) bool { return s.Peers == peers })
	for i, p := range crowd {
		for j := range offers {
			p.announce.Offers = append(p.announce.Offers, signal.Offer{ID: signal.OfferID{byte(i), byte(j)}, Description: sdp})
		}
	}
	var todo atomic.Int64
	var group sync.WaitGroup
	todo.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	for _, p := range crowd {
		group.Go(func() {
			message := p.announce.AppendJSON(nil)
			for todo.Add(-1) >= 0 {
				p.send(message)
				for range offers {
					<-p.answered
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "announces/s")
}

// benchPeer answers every offer that it is sent, and tells of the answers to its own.
type benchPeer struct {
	mu       sync.Mutex // guards writing
	nc       net.Conn
	announce *signal.Announce
	answered chan struct{}
}

func newBenchPeer(b *testing.B, address string, id byte, sdp []byte) *benchPeer {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	in := bufio.NewReaderSize(nc, 1<<16)
	io.WriteString(nc, handshake)
	if response, err := http.ReadResponse(in, nil); err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		b.Fatal(response, err)
	}
	answer := bytes.Replace(sdp, []byte("offer"), []byte("answer"), 1)
	p := &benchPeer{
		nc:       nc,
		announce: &signal.Announce{InfoHash: signal.InfoHash{7}, PeerID: signal.PeerID{id}, NumWant: 5},
		answered: make(chan struct{}, 5),
	}
	p.send(p.announce.AppendJSON(nil))
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			reply, err := readReply(in, buffer)
			if err != nil {
				return // the benchmark is over, or hangs
			}
			if reply.Answer != nil {
				p.answered <- struct{}{}
			}
			if offer := reply.Offer; offer != nil {
				answer := signal.Announce{
					InfoHash: offer.InfoHash, PeerID: signal.PeerID{id}, ToPeerID: offer.PeerID, OfferID: offer.OfferID, Answer: answer,
				}
				p.send(answer.AppendJSON(nil))
			}
		}
	}()
	return p
}

func (p *benchPeer) send(message []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	writeFrame(p.nc, message)
}

func writeFrame(w io.Writer, payload []byte) error {
	frame := ws.MaskFrameInPlaceWith(ws.NewTextFrame(payload), [4]byte{})
	_, err := w.Write(ws.MustCompileFrame(frame))
	return err
}

func readReply(in *bufio.Reader, buffer []byte) (signal.Reply, error) {
	header, err := ws.ReadHeader(in)
	if err != nil {
		return signal.Reply{}, err
	}
	if _, err := io.ReadFull(in, buffer[:header.Length]); err != nil {
		return signal.Reply{}, err
	}
	return signal.DecodeReply(buffer[:header.Length])
}
