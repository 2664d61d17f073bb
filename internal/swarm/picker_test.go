package swarm

import (
	"slices"
	"testing"
)

// The rarest pieces are begun first, whatever a node's own order among equals; what nobody has, or we have, is not asked
// for.
func TestRarestFirst(t *testing.T) {
	site := makeSite(100, 200, 300, 400, 500)
	library := openStore(t)
	for salt := range uint32(20) {
		node := &Node{Library: library}
		s, err := node.join(site.torrent)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Add(site.contents...); err != nil {
			t.Fatal(err)
		}
		s.downloads = append(s.downloads, s.layout...)
		node.salt = salt
		s.availability = []uint16{3, 1, 2, 0, 1}
		s.have.add(4)
		s.picker.dirty = true
		s.plan()
		if want := []int{1, 2, 0}; !slices.Equal(s.picker.queue, want) {
			t.Errorf("of availability %v, and with the last at hand: %v, want %v", s.availability, s.picker.queue, want)
		}
	}
}
