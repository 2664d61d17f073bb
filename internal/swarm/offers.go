package swarm

import "time"

// Decisions of meeting peers: how many offers to make, when, and which of two connections to keep. The twin is
// browser/src/shared/offers.ts.

const (
	// maxOffers are made in one announcement; trackers pass on 5 to 20.
	maxOffers = 8
	// answerTime is how long an offer waits for its answer: it comes as fast as a browser gathers, or never.
	answerTime = 5 * time.Second
	// settledTime is how long after it opened both sides know of a connection that it is open.
	settledTime = 3 * time.Second

	firstPause = time.Second
	lastPause  = time.Minute
)

// offersFor is how many offers let lacking peers more be met. A tracker passes each to another of the others it knows,
// at random, and who is among the known ignores it: in a small crowd one for everybody.
func offersFor(lacking, others, known int) int {
	strangers := others - known
	wanted := min(lacking, strangers)
	if wanted <= 0 {
		return 0
	}
	return min(maxOffers, (wanted*others+strangers-1)/strangers)
}

// pauseAfter is how long to rest after a round of offers, counted from 0 since a connection last lasted.
func pauseAfter(round int) time.Duration { return min(lastPause, firstPause<<min(round, 10)) }

// rival is a connection with a peer, where there is another with the same.
type rival struct {
	ours bool // we offered it
	open bool
	age  time.Duration // in its state
}

// keepsOld tells which of two connections with one peer stays: two peers may offer to each other at the same time, or
// meet on two trackers, and both sides must keep the same one. It is an open one that both know of, else the one
// offered by the lower peer id, else the first. A peer that offers anew after the time an offer has, while we still
// wait for the earlier one to open, has given that one up.
func keepsOld(old rival, freshIsOurs, weAreLower bool) bool {
	if old.open && old.age >= settledTime {
		return true
	}
	if old.ours == freshIsOurs {
		return old.ours || old.open || old.age < answerTime
	}
	return old.ours == weAreLower
}
