package swarm

import (
	"errors"
	"slices"
	"time"

	"github.com/planktos/planktos/internal/wire"
)

// claims is what one peer says that it is having from a web seed (pk_fetching), and how far it is believed: a piece
// counts as coming for the time that the web seed may take for its run, and a peer that let this time pass without
// bringing anything, or ended several runs so, is not believed again before it has brought something.
// browser/src/shared/claims.ts is its twin.
type claims struct {
	list []claim
	vain int // runs in a row that were ended with nothing; maxVain once one has passed its time so
}

// maxVain runs in a row are not ended with nothing in earnest: a host that fails, or two.
const maxVain = 4

var errClaim = errors.New("a run is begun twice")

type claim struct {
	wire.Run
	until time.Time
	kept  bool // some of its pieces have come; or its time has passed, and that has counted
}

func (c *claim) contains(piece uint32) bool { return piece >= c.First && piece-c.First < c.Count }

// begin notes that the peer has begun to fetch these pieces. Runs beyond the first wire.MaxRuns are not noted, and one
// that it has begun before is an error: no claim is renewed.
func (c *claims) begin(run wire.Run, until time.Time) error {
	if c.find(run) >= 0 {
		return errClaim
	}
	if len(c.list) < wire.MaxRuns {
		c.list = append(c.list, claim{Run: run, until: until})
	}
	return nil
}

// end notes that it has ended, with them or without.
func (c *claims) end(run wire.Run) {
	i := c.find(run)
	if i < 0 {
		return
	}
	if !c.list[i].kept {
		c.vain++
	}
	c.list = slices.Delete(c.list, i, i+1)
}

func (c *claims) find(run wire.Run) int {
	return slices.IndexFunc(c.list, func(one claim) bool { return one.Run == run })
}

// gained notes that the peer has got this piece.
func (c *claims) gained(piece uint32) {
	for i := range c.list {
		if c.list[i].contains(piece) {
			c.list[i].kept, c.vain = true, 0
		}
	}
}

// coming tells whether this piece may be expected from the peer.
func (c *claims) coming(piece uint32, now time.Time) bool {
	coming := false
	for i := range c.list {
		one := &c.list[i]
		late := now.After(one.until)
		if late && !one.kept {
			one.kept, c.vain = true, maxVain
		}
		coming = coming || !late && one.contains(piece)
	}
	return coming && c.vain < maxVain
}
