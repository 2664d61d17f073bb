package torrent

import "math"

const (
	minPieceLength = 16 << 10
	maxPieceLength = 16 << 20
)

// ChoosePieceLength returns the piece length for a torrent of files of these sizes: the power of two p from 16 KiB to
// 16 MiB that costs least, and the smaller of two that cost the same. The cost is counted in bytes of metadata:
//
//	20 · pieces              SHA-1 of each piece in the torrent
//	64 · layer hashes        in the torrent, and once more in the .layer file that a visitor fetches
//	 p / 2                   read beyond what was wanted, on average, as only whole pieces can be verified
//	 1/256 · bytes of pad    hashed by the packer and by every v1 client
//
// where files longer than p have a layer hash a piece, and every file is padded to a whole number of pieces. A byte of
// pad takes about a nanosecond of SHA-1, a byte of metadata about 250 on a visitor's line of 4 MB/s: hence 1/256.
//
// Ordinary sites come out at 16 to 64 KiB. One large file of S bytes comes out near p = sqrt(168 · S), 1 MiB for 4 GB.
func ChoosePieceLength(sizes []int64) int64 {
	best, least := int64(minPieceLength), uint64(math.MaxUint64)
	for p := int64(minPieceLength); p <= maxPieceLength; p *= 2 {
		if c := cost(sizes, p); c < least {
			best, least = p, c
		}
	}
	return best
}

// cost is the cost of pieces of p bytes in 1/256 of a byte. Integers, since floating point sums may differ between
// machines, and a torrent must not.
func cost(sizes []int64, p int64) uint64 {
	total := uint64(256 * p / 2)
	for _, size := range sizes {
		size = min(size, maxTotal)
		pieces := uint64(pieceCount(size, p))
		pad := pieces*uint64(p) - uint64(max(0, size))
		c := 256*20*pieces + pad
		if size > p {
			c += 256 * 64 * pieces
		}
		if total > math.MaxUint64-c {
			return math.MaxUint64
		}
		total += c
	}
	return total
}
