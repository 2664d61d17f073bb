package swarm

import "math/bits"

// A bitfield is a set of piece indexes, in the byte order of the bitfield message (BEP 3: the high bit of byte 0 is
// piece 0). browser/src/shared/bitfield.ts is its twin.
type bitfield struct {
	bytes  []byte
	length int // pieces
	count  int // in the set
}

func newBitfield(length int) *bitfield {
	return &bitfield{bytes: make([]byte, (length+7)/8), length: length}
}

// parseBitfield reads a bitfield message; false if it has the wrong length. Spare bits at the end are ignored.
func parseBitfield(bytes []byte, length int) (*bitfield, bool) {
	b := newBitfield(length)
	if len(bytes) != len(b.bytes) {
		return nil, false
	}
	copy(b.bytes, bytes)
	if spare := length % 8; spare > 0 {
		b.bytes[len(bytes)-1] &= 0xff << (8 - spare)
	}
	for _, one := range b.bytes {
		b.count += bits.OnesCount8(one)
	}
	return b, true
}

func (b *bitfield) has(i int) bool { return b.bytes[i/8]&(0x80>>(i%8)) != 0 }
func (b *bitfield) full() bool     { return b.count == b.length }

// add reports whether the piece was not in the set before.
func (b *bitfield) add(i int) bool {
	if b.has(i) {
		return false
	}
	b.bytes[i/8] |= 0x80 >> (i % 8)
	b.count++
	return true
}

// remove reports whether the piece was in the set before.
func (b *bitfield) remove(i int) bool {
	if !b.has(i) {
		return false
	}
	b.bytes[i/8] &^= 0x80 >> (i % 8)
	b.count--
	return true
}

func (b *bitfield) fill() {
	for i := range b.length {
		b.add(i)
	}
}
