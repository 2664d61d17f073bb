package planktos

import (
	"errors"
	"io"
	"strconv"
)

// maxPad is the longest pad file (BEP 47) that is answered: pads are shorter than a piece, and no piece of ours is
// longer than 16 MiB.
const maxPad = 16 << 20

// parsePad reads the length of a pad file as its name has it: decimal, without sign or leading zeros.
func parsePad(name string) (size int64, ok bool) {
	size, err := strconv.ParseInt(name, 10, 64)
	if err != nil || size < 0 || size > maxPad || strconv.FormatInt(size, 10) != name {
		return 0, false
	}
	return size, true
}

// zeros reads as size zero bytes without having them.
type zeros struct{ size, at int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.at >= z.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), z.size-z.at))
	clear(p[:n])
	z.at += int64(n)
	return n, nil
}

func (z *zeros) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += z.at
	case io.SeekEnd:
		offset += z.size
	default:
		return 0, errors.New("seek: bad whence")
	}
	if offset < 0 {
		return 0, errors.New("seek: negative position")
	}
	z.at = offset
	return offset, nil
}
