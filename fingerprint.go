package planktos

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io/fs"
	"strings"
)

// A fingerprint stands for the names, sizes and modification times of a tree: equal ones mean that nothing has changed,
// as far as can be told without reading the files.
type fingerprint [sha256.Size]byte

// fingerprintOf walks a tree. Dot-directories are passed over, except for .well-known, and so is a packed site.
func fingerprintOf(ctx context.Context, fsys fs.FS) (fingerprint, error) {
	sum := sha256.New()
	var record []byte
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if d.IsDir() {
			hidden := strings.HasPrefix(d.Name(), ".") && name != "." && d.Name() != ".well-known"
			if hidden || name == "planktos" {
				return fs.SkipDir
			}
			return nil
		}
		// A link's target counts, not the link. A broken one, or a file that has gone since it was listed, counts as a
		// name: packing will say what is wrong with it.
		record = append(append(record[:0], name...), 0)
		if info, err := fs.Stat(fsys, name); err == nil {
			record = binary.BigEndian.AppendUint64(record, uint64(info.Size()))
			record = binary.BigEndian.AppendUint64(record, uint64(info.ModTime().UnixNano()))
		}
		sum.Write(record)
		return nil
	})
	return fingerprint(sum.Sum(nil)), err
}
