package swarm

import (
	"math"
	"time"

	"github.com/planktos/planktos/internal/wire"
)

// A pace is how fast a peer has been. depth, learn and stall are those of browser/src/shared/scheduler.ts.
type pace struct {
	rate    float64       // bytes a second while blocks were outstanding; 0 until known
	latency time.Duration // from request to block, smoothed; 0 until known
}

// What a peer is taken to do before it has shown it: most of a household's uplink.
const (
	unknownRate    = 1e6
	unknownLatency = 150 * time.Millisecond
)

const (
	minDepth   = 4
	firstDepth = 16
	maxDepth   = 192
	// ahead is work that a peer is given in advance: enough for the way there and back and a busy peer between.
	ahead = 400 * time.Millisecond
)

// depth is how many blocks may be outstanding at a peer: what it delivers in its latency and ahead, within what it
// queues. A peer that stalled gets one at a time until it delivers again.
func (p pace) depth(queue int, stalled bool) int {
	if stalled {
		return 1
	}
	blocks := firstDepth
	if p.rate > 0 {
		blocks = int(math.Ceil(p.rate * (ahead + p.latency).Seconds() / wire.BlockSize))
	}
	return max(1, min(max(blocks, minDepth), maxDepth, queue))
}

// learn notes that n bytes arrived, latency after they were asked for and elapsed after the block before them, which is
// negative for the first block after a pause: that tells of the way alone. The mean is of time a byte, since several
// blocks arrive in one message, and so at no distance from each other. A short block takes as long as a whole one.
func (p *pace) learn(n int, elapsed, latency time.Duration) {
	if elapsed >= 0 {
		rate := p.rate
		if rate == 0 {
			rate = unknownRate
		}
		before := 1 / rate
		perByte := elapsed.Seconds() / float64(max(n, wire.BlockSize))
		p.rate = 1 / max(before+(perByte-before)*0.1, 1e-9)
	}
	if p.latency == 0 {
		p.latency = latency
	} else {
		p.latency += (latency - p.latency) / 10
	}
}

// stall is how long nothing may come while blocks are outstanding before the peer is taken to have stalled.
func (p pace) stall() time.Duration {
	latency := p.latency
	if latency == 0 {
		latency = unknownLatency
	}
	return min(6*time.Second, max(700*time.Millisecond, 4*latency))
}
