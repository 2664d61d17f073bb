package main

import "testing"

// TestLimits holds what a visitor fetches before anything else to what the manifest's format promises.
func TestLimits(t *testing.T) {
	for _, s := range sites {
		t.Run(s.name, func(t *testing.T) {
			m := measure(s.files, s.page)
			if m.onePage > s.limit {
				t.Errorf("a visitor of one page fetches %d bytes of gzip, more than %d", m.onePage, s.limit)
			}
			t.Logf("%d bytes of gzip of %d", m.onePage, s.limit)
		})
	}
}
