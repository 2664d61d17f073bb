package swarm

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/planktos/planktos/internal/signal"
)

const (
	defaultInterval = 2 * time.Minute
	minInterval     = 15 * time.Second
	maxInterval     = 30 * time.Minute
	// firstStep is the first of the short steps in which a tracker is asked that has not shown enough peers, and the time
	// before a lost socket is opened again. Both double.
	firstStep = 2 * time.Second
	lastRetry = 5 * time.Minute
	// A swarm that has lost its tracker comes back to it within maxCrowd, about 100 peers a second.
	maxCrowd = 30 * time.Second
	crowdGap = 10 * time.Millisecond
	// trackerSilence is how long a tracker may take to open the socket, or to reply.
	trackerSilence = 15 * time.Second
	// trackerMessage bounds what a tracker may send at a time, in bytes.
	trackerMessage = 128 << 10
	// farewell is how long taking leave may take.
	farewell = time.Second
)

var (
	errSilent  = errors.New("swarm: the tracker is silent")
	errRefusal = errors.New("swarm: the tracker refuses")
)

// A trackerClient is a torrent on one tracker (docs/tracker.md): its WebSocket, when to announce, and what the tracker
// says of the swarm.
type trackerClient struct {
	url    string
	m      *meeting
	others int  // peers that it knows besides us; -1 until it has told, or failed to. Guarded by m.mu
	alive  bool // it has replied, and neither refused nor been lost since. Guarded by m.mu
	// waiting is how many had come before us, lack something, and have not been offered what we have. Guarded by m.mu
	waiting int

	mu     sync.Mutex // serialises writes
	socket *websocket.Conn
	owed   bool // it owes a reply
	event  signal.Event
	came   bool          // it has replied on this socket
	poke   chan struct{} // an announcement has been made
}

func newTrackerClient(url string, m *meeting) *trackerClient {
	return &trackerClient{url: url, m: m, others: -1, poke: make(chan struct{}, 1)}
}

// run stays with the tracker until ctx ends: a socket that is lost is opened again, later each time.
func (t *trackerClient) run(ctx context.Context) {
	for failures := 0; ; failures++ {
		replied, err := t.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if replied {
			failures = 0
		}
		t.m.s.node.log.Debug("tracker lost", "url", t.url, "error", err)
		crowd := min(maxCrowd, crowdGap*time.Duration(t.m.lost(t)))
		wait := jitter(min(lastRetry, firstStep<<min(failures, 10))) + time.Duration(rand.Float64()*float64(crowd))
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// session opens the socket and keeps announcing on it, until it is lost. It tells whether the tracker ever replied.
func (t *trackerClient) session(ctx context.Context) (replied bool, err error) {
	dial, cancel := context.WithTimeout(ctx, trackerSilence)
	defer cancel()
	socket, _, err := websocket.Dial(dial, t.url, nil)
	if err != nil {
		return false, err
	}
	defer socket.CloseNow()
	socket.SetReadLimit(trackerMessage)
	t.mu.Lock()
	t.socket, t.event, t.came = socket, signal.EventStarted, false
	t.mu.Unlock()

	reading, stop := context.WithCancel(context.Background()) // ctx ends it by a farewell
	defer stop()
	replies := make(chan signal.Reply)
	lost := make(chan error, 1)
	var reader sync.WaitGroup
	reader.Go(func() { lost <- t.read(reading, socket, replies) })
	defer reader.Wait()
	defer stop()
	defer t.disconnect()

	if err := t.announce(ctx, nil); err != nil {
		return false, err
	}
	next := time.NewTimer(trackerSilence)
	defer next.Stop()
	interval, searches := defaultInterval, 0
	for {
		select {
		case <-ctx.Done():
			t.leave(socket)
			return replied, ctx.Err()
		case err := <-lost:
			return replied, err
		case <-t.poke:
			next.Reset(trackerSilence)
		case reply := <-replies:
			replied = true
			if !t.received(reply, &interval, &searches) {
				continue
			}
			step := interval
			if t.m.searching(t) {
				step = min(step, firstStep<<min(searches, 20))
				searches++
			}
			next.Reset(jitter(step))
		case <-next.C:
			if t.owes() {
				return replied, errSilent
			}
			if err := t.announce(ctx, nil); err != nil {
				return replied, err
			}
		}
	}
}

// read hands on what the tracker says.
func (t *trackerClient) read(ctx context.Context, socket *websocket.Conn, replies chan<- signal.Reply) error {
	for {
		_, data, err := socket.Read(ctx)
		if err != nil {
			return err
		}
		reply, err := signal.DecodeReply(data)
		if err != nil {
			continue
		}
		select {
		case replies <- reply:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// received takes a message, and tells whether it is a reply after which the next announcement is to be planned.
func (t *trackerClient) received(r signal.Reply, interval *time.Duration, searches *int) bool {
	hash := signal.InfoHash(t.m.s.torrent.InfoHash)
	others, waiting := 0, 0
	switch {
	case r.Offer != nil && r.Offer.InfoHash == hash:
		from, id := r.Offer.PeerID, r.Offer.OfferID
		t.m.offerCame(from, id, decodeDescription("offer", r.Offer.Description), func(answer string) {
			t.answer(t.m.s.ctx, from, id, encodeDescription("answer", answer))
		})
		return false
	case r.Answer != nil && r.Answer.InfoHash == hash:
		t.m.answerCame(r.Answer.PeerID, r.Answer.OfferID, decodeDescription("answer", r.Answer.Description))
		return false
	case r.Release != nil && r.Release.InfoHashes[0] == hash:
		if released := t.m.s.torrent.Released; released != nil {
			released(Hint{Snapshot: r.Release.Snapshot, Root: r.Release.Document(), Others: t.m.count(t)})
		}
		return false
	case r.Announced != nil && r.Announced.InfoHash == hash:
		if seconds := r.Announced.IntervalSeconds; seconds > 0 {
			*interval = min(maxInterval, max(minInterval, time.Duration(min(seconds, 1<<20))*time.Second))
		}
		others = int(min(1<<20, max(0, r.Announced.Complete)+max(0, r.Announced.Incomplete)-1))
		if !t.came {
			waiting = int(min(1<<20, max(0, r.Announced.Incomplete)))
		}
		t.came = true
	case r.Failure != nil && (!r.Failure.HasInfoHash || r.Failure.InfoHash == hash):
		t.m.s.node.log.Debug("tracker refuses", "url", t.url, "reason", r.Failure.Reason, "error", errRefusal)
		*searches = 20
	default:
		return false
	}
	t.mu.Lock()
	t.owed = false
	t.mu.Unlock()
	t.m.told(t, max(0, others), waiting, r.Failure == nil)
	return true
}

// announce tells the tracker of us, and passes offers on.
func (t *trackerClient) announce(ctx context.Context, offers []signal.Offer) error {
	left := t.m.s.left()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.socket == nil {
		return errSilent
	}
	s := t.m.s
	a := signal.Announce{
		InfoHash: s.torrent.InfoHash, PeerID: s.node.id, Event: t.event, Offers: offers, NumWant: int64(len(offers)),
		Uploaded: s.uploaded.Load(), Downloaded: s.downloaded.Load(), Left: left, Releases: s.torrent.Released != nil,
	}
	if err := t.write(ctx, a.AppendJSON(nil)); err != nil {
		return err
	}
	t.event, t.owed = signal.EventUpdate, true
	return nil
}

// announceOffers announces, and has the reply waited for.
func (t *trackerClient) announceOffers(introductions []introduction) {
	offers := make([]signal.Offer, len(introductions))
	for i, one := range introductions {
		offers[i] = signal.Offer{ID: one.id, Description: encodeDescription("offer", one.sdp), To: one.to}
	}
	if t.announce(t.m.s.ctx, offers) != nil {
		return // the session ends, and the offers with their time
	}
	select {
	case t.poke <- struct{}{}:
	default:
	}
}

// answer passes an answer on.
func (t *trackerClient) answer(ctx context.Context, to signal.PeerID, id signal.OfferID, description []byte) {
	a := signal.Announce{
		InfoHash: t.m.s.torrent.InfoHash, PeerID: t.m.s.node.id, Answer: description, ToPeerID: to, OfferID: id,
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.socket != nil {
		// A tracker that is lost is noticed by its session, and the connection ends with its time.
		_ = t.write(ctx, a.AppendJSON(nil))
	}
}

// leave takes leave of the tracker.
func (t *trackerClient) leave(socket *websocket.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	s := t.m.s
	a := signal.Announce{
		InfoHash: s.torrent.InfoHash, PeerID: s.node.id, Event: signal.EventStopped, NumWant: 0, Left: s.left(),
		Uploaded: s.uploaded.Load(), Downloaded: s.downloaded.Load(),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.write(ctx, a.AppendJSON(nil)) == nil {
		_ = socket.Close(websocket.StatusNormalClosure, "") // it is as good as closed
	}
}

// write sends a message. t.mu is held.
func (t *trackerClient) write(ctx context.Context, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, trackerSilence)
	defer cancel()
	return t.socket.Write(ctx, websocket.MessageText, message)
}

func (t *trackerClient) disconnect() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.socket, t.owed = nil, false
}

func (t *trackerClient) owes() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.owed
}

// jitter is a fifth more or less, so that a crowd does not stay in step.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}
