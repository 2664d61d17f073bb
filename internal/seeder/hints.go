package seeder

import (
	"math/rand/v2"
	"time"

	"github.com/planktos/planktos/internal/swarm"
)

const (
	// hintGap is how often the manifest is looked at because of hints; twice, four times … as long after those that came
	// to nothing.
	hintGap = 30 * time.Second
	// hintShare is how much later each member of a swarm makes all look, so that a host answers about 100 a second.
	hintShare = 10 * time.Millisecond
	// hintMost is the longest that a hint is left alone.
	hintMost = 15 * time.Minute
)

// hints are what trackers and peers tell of releases, and decide when that has the manifest looked at. What peers made
// up does not keep a tracker's word waiting. But for heard they belong to one goroutine.
type hints struct {
	trackers, peers chan swarm.Hint // as they come
	due             *time.Timer     // when the manifest is to be looked at because of next
	dueAt           time.Time
	next            *swarm.Hint // nil while none waits
	lookedAt        time.Time
	// inVain are looks in a row that came to nothing, by who had told
	inVain struct{ trackers, peers int }
}

func newHints() hints {
	due := time.NewTimer(0)
	due.Stop()
	return hints{trackers: make(chan swarm.Hint, 1), peers: make(chan swarm.Hint, 1), due: due}
}

// heard takes a hint, unless there is one already.
func (h *hints) heard(hint swarm.Hint) {
	came := h.trackers
	if hint.Peer != nil {
		came = h.peers
	}
	select {
	case came <- hint:
	default:
	}
}

// follow has due fire when the manifest is to be looked at because of a hint, or of one that waits and is due sooner.
func (h *hints) follow(hint swarm.Hint, now time.Time) {
	delay := h.delay(hint, now)
	if at := now.Add(delay); h.next == nil || at.Before(h.dueAt) {
		h.next, h.dueAt = &hint, at
		h.due.Reset(delay)
	}
}

// take gives the hint that is due.
func (h *hints) take() swarm.Hint {
	hint := *h.next
	h.next = nil
	return hint
}

// delay is how long after now the manifest is to be looked at because of a hint.
func (h *hints) delay(hint swarm.Hint, now time.Time) time.Duration {
	rest := max(0, h.lookedAt.Add(min(hintMost, hintGap<<min(*h.vain(hint), 10))).Sub(now))
	spread := min(hintMost, time.Duration(max(0, hint.Others))*hintShare)
	return rest + time.Duration(rand.Float64()*float64(spread))
}

// looked notes that a hint had the manifest looked at, and whether there was something new.
func (h *hints) looked(hint swarm.Hint, now time.Time, news bool) {
	h.lookedAt = now
	if news {
		h.inVain.trackers, h.inVain.peers = 0, 0
	} else {
		*h.vain(hint)++
	}
}

func (h *hints) vain(hint swarm.Hint) *int {
	if hint.Peer != nil {
		return &h.inVain.peers
	}
	return &h.inVain.trackers
}
