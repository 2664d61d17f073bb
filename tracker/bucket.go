package tracker

import "time"

// bucket is a token bucket that may be overdrawn. The zero value is full.
type bucket struct {
	used float64 // tokens taken and not yet refilled
	last time.Time
}

// take takes cost tokens, and returns how long the taker has to wait until they are there. The bucket holds burst
// tokens and gains rate tokens a second.
func (b *bucket) take(now time.Time, rate, burst, cost float64) time.Duration {
	b.used = max(0, b.used-rate*now.Sub(b.last).Seconds()) + cost
	b.last = now
	if b.used <= burst {
		return 0
	}
	return time.Duration((b.used - burst) / rate * float64(time.Second))
}
