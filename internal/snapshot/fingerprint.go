package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io/fs"
)

// A Print stands for the paths, sizes and modification times of what a site consists of: equal ones mean that nothing
// has changed, as far as can be told without reading the files.
type Print [sha256.Size]byte

// Fingerprint looks at what [Build] would pack, by the same walk: links are followed, and what is left out does not
// count. Of o it heeds Paths and Exclude. A tree that cannot be packed has a fingerprint, too; the only errors are
// those of ctx.
func Fingerprint(ctx context.Context, fsys fs.FS, o *Options) (Print, error) {
	sum := sha256.New()
	sources, _, err := walk(ctx, fsys, o)
	if ctx.Err() != nil {
		return Print{}, ctx.Err()
	}
	if err != nil {
		sum.Write([]byte(err.Error()))
		return Print(sum.Sum(nil)), nil
	}
	var record []byte
	for _, f := range sources {
		record = append(append(record[:0], f.path...), 0)
		record = binary.BigEndian.AppendUint64(record, uint64(f.size))
		record = binary.BigEndian.AppendUint64(record, uint64(f.modTime.UnixNano()))
		sum.Write(record)
	}
	return Print(sum.Sum(nil)), nil
}
