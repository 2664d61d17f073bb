package leaktest

import (
	"testing"
	"testing/synctest"
)

func TestOutliving(t *testing.T) {
	// In a bubble the clock moves by itself once everything waits.
	synctest.Test(t, func(t *testing.T) {
		end := make(chan bool)
		go waitFor(end)
		synctest.Wait()
		if left := outliving("leaktest.waitFor"); len(left) != 1 {
			t.Errorf("of one goroutine that waits, found %q", left)
		}
		close(end)
		if left := outliving("leaktest.waitFor"); len(left) != 0 {
			t.Errorf("left after its end: %q", left)
		}
	})
}

func waitFor(end chan bool) { <-end }
