package torrent

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/planktos/planktos/internal/merkle"
)

// content is the generator that testdata/vectors/torrents/torrents.json describes.
func content(size int64) []byte {
	b, x := make([]byte, size), uint32(size)
	for i := range b {
		x = (x*1103515245 + 12345) & math.MaxInt32
		b[i] = byte(x >> 16)
	}
	return b
}

func hashOf(t testing.TB, data []byte, pieceLength int64) FileHashes {
	t.Helper()
	f, err := HashFile(bytes.NewReader(data), int64(len(data)), pieceLength)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// plainHashes is HashFile in the plainest way.
func plainHashes(data []byte, pieceLength int64) FileHashes {
	f := FileHashes{Size: int64(len(data)), Root: merkle.Root(data), V1Last: sha1.Sum(nil)}
	for piece := range slices.Chunk(data, int(pieceLength)) {
		f.V1Last = sha1.Sum(piece)
		f.V1 = append(f.V1, sha1.Sum(append(bytes.Clone(piece), make([]byte, int(pieceLength)-len(piece))...)))
	}
	h := merkle.NewHasher(pieceLength)
	h.Write(data)
	_, f.Layer = h.Sum()
	return f
}

func TestHashFile(t *testing.T) {
	sizes := []int64{0, 1, 16383, 16384, 16385, 32768, 40000, readSize - 1, readSize, readSize + 1,
		parallelSize - 1, parallelSize, parallelSize + 1, 7*readSize + 16384 + 5}
	for _, pieceLength := range []int64{16 << 10, 64 << 10, 1 << 20} {
		for _, size := range sizes {
			data := content(size)
			want := plainHashes(data, pieceLength)
			for name, r := range map[string]io.Reader{
				"bytes":         bytes.NewReader(data),
				"halves":        iotest.HalfReader(bytes.NewReader(data)),
				"data with EOF": iotest.DataErrReader(bytes.NewReader(data)),
			} {
				got, err := HashFile(r, size, pieceLength)
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%d bytes in pieces of %d, %s: wrong hashes (%v)", size, pieceLength, name, err)
				}
			}
		}
	}
}

func TestHashFileErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, size := range []int64{0, 1, 16384, parallelSize, parallelSize + 20*readSize} {
		data := content(size)
		if _, err := HashFile(bytes.NewReader(data), size+1, 16384); !errors.Is(err, ErrSize) {
			t.Errorf("%d bytes of %d: %v", size, size+1, err)
		}
		if size > 0 {
			if _, err := HashFile(bytes.NewReader(data), size-1, 16384); !errors.Is(err, ErrSize) {
				t.Errorf("%d bytes of %d: %v", size, size-1, err)
			}
		}
		r := io.MultiReader(bytes.NewReader(data[:size/2]), iotest.ErrReader(broken))
		if _, err := HashFile(r, size, 16384); !errors.Is(err, broken) || errors.Is(err, ErrSize) {
			t.Errorf("%d bytes, then an error: %v", size, err)
		}
	}
	if _, err := HashFile(bytes.NewReader(nil), -1, 16384); !errors.Is(err, ErrSize) {
		t.Errorf("negative size: %v", err)
	}
	if _, err := HashFile(bytes.NewReader(nil), math.MaxInt64, 16384); !errors.Is(err, ErrSize) {
		t.Errorf("largest size: %v", err)
	}
	for _, pieceLength := range []int64{0, -1, 1000, 48 << 10} {
		if _, err := HashFile(bytes.NewReader(nil), 0, pieceLength); err == nil {
			t.Errorf("piece length %d is accepted", pieceLength)
		}
	}
}

// Results must not share memory with the pool, and concurrent calls nothing at all.
func TestHashFileConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(worker)))
			type result struct{ got, want FileHashes }
			var results []result
			for range 20 {
				data := content(rnd.Int64N(100_000))
				if rnd.IntN(10) == 0 {
					data = content(parallelSize + rnd.Int64N(parallelSize))
				}
				got, err := HashFile(bytes.NewReader(data), int64(len(data)), 32768)
				if err != nil {
					t.Error(err)
				}
				results = append(results, result{got, plainHashes(data, 32768)})
			}
			for _, r := range results {
				if !reflect.DeepEqual(r.got, r.want) {
					t.Errorf("wrong hashes of %d bytes", r.want.Size)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkHashFile(b *testing.B) {
	for _, size := range []int64{1 << 10, 32 << 10, 64 << 20} {
		data := content(size)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(size)
			b.ReportAllocs()
			r := bytes.NewReader(nil)
			for b.Loop() {
				r.Reset(data)
				if _, err := HashFile(r, size, 32768); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestChoosePieceLength(t *testing.T) {
	many := func(n int, size int64) []int64 { return slices.Repeat([]int64{size}, n) }
	for _, tt := range []struct {
		name     string
		sizes    []int64
		min, max int64
	}{
		{"nothing", nil, 16 << 10, 16 << 10},
		{"nonsense", []int64{0, -1, math.MinInt64}, 16 << 10, 16 << 10},
		{"one small file", many(1, 100), 16 << 10, 16 << 10},
		{"a small site", append(many(36, 8_000), many(4, 1_000_000)...), 16 << 10, 64 << 10},
		{"3,000 pages", many(3_000, 20_000), 16 << 10, 64 << 10},
		{"20,000 files, 634 MB", append(many(18_000, 12_000), many(2_000, 209_000)...), 16 << 10, 64 << 10},
		{"4.29 GB", many(1, 4_290_000_000), 1 << 20, 1 << 20},
		{"4.29 GB among pages", append(many(1_000, 20_000), 4_290_000_000), 128 << 10, 1 << 20},
		{"sixteen of 64 GB", many(16, 64<<30), 16 << 20, 16 << 20},
		{"beyond all bounds", many(100, math.MaxInt64), 16 << 10, 16 << 20},
	} {
		got := ChoosePieceLength(tt.sizes)
		if got < tt.min || got > tt.max || got&(got-1) != 0 {
			t.Errorf("%s: %d KiB", tt.name, got>>10)
		}
		slices.Reverse(tt.sizes)
		if again := ChoosePieceLength(tt.sizes); again != got {
			t.Errorf("%s: %d, and %d in reverse order", tt.name, got, again)
		}
	}
}
