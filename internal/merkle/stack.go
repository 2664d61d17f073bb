package merkle

// A stack folds a layer of nodes, pushed from left to right, into the roots of complete subtrees: nodes[k] is the root
// of one with 2^k pushed nodes wherever bit k of count is set. It holds at most one node a level, whatever the number
// pushed.
type stack struct {
	nodes [50]Hash // 2^49 blocks are 2^63 bytes, more than any size
	count uint64
}

// push appends the next node of the layer.
func (s *stack) push(h Hash) {
	level := 0
	for ; s.count>>level&1 == 1; level++ {
		h = node(&s.nodes[level], &h)
	}
	s.nodes[level] = h
	s.count++
}

// root returns the root over 2^height nodes, at least as many as were pushed. The nodes stand base layers above the
// leaves; the missing ones are roots of zero leaves. The stack is left as it is.
func (s *stack) root(base, height int) Hash {
	if s.count == 1<<height {
		return s.nodes[height]
	}
	// acc is the root of the 2^level nodes in which the first missing one lies.
	acc := pads[base]
	for level := range height {
		if s.count>>level&1 == 1 {
			acc = node(&s.nodes[level], &acc)
		} else {
			acc = node(&acc, &pads[base+level])
		}
	}
	return acc
}
