// Package release reads packed sites, wherever they lie: the manifest with all of its file table, verified, and the
// snapshots before it whose contents are still there (docs/manifest.md). What two releases have in common, and what a
// visitor of the one has to fetch for the other, is [Compare]'s to tell:
//
//	old, err := release.Read(ctx, release.Dir(root), release.ManifestFile)
//	...
//	for _, change := range release.Compare(old, new).Changes {
//
// A [Source] gives the files; this package opens no sockets.
package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
)

// Where a packed site's files lie, relative to its root.
const (
	ManifestFile = "planktos/manifest.json"
	// SupersededFile lists the snapshots before the published one.
	SupersededFile = "planktos/snapshots.json"
)

// SnapshotFile is the manifest of a superseded snapshot.
func SnapshotFile(id merkle.Hash) string { return "planktos/snapshots/" + id.String() + ".json" }

// ShardFile is a shard's document.
func ShardFile(hash merkle.Hash) string { return "planktos/shards/" + hash.String() + ".json" }

// ContentFile is the copy of a content, and LayerFile its piece layer.
func ContentFile(hash merkle.Hash) string { return "planktos/" + hash.String() }

// LayerFile is the piece layer of a content.
func LayerFile(hash merkle.Hash) string { return ContentFile(hash) + ".layer" }

// maxTable bounds what the shards of one manifest may hold together, in bytes: about a million files.
const maxTable = 128 << 20

// A Source gives the files of a packed site. It may be used by several goroutines at a time.
type Source interface {
	// Open opens a file by its name relative to the site's root, not percent-encoded. The error names the file as Where
	// does; it wraps [fs.ErrNotExist] if there is none.
	Open(ctx context.Context, name string) (io.ReadCloser, error)
	// Where is how errors call a file: its path or URL.
	Where(name string) string
}

// A Release is a packed site as its manifest has it.
type Release struct {
	Root *manifest.Root
	// Manifest and Shards are the documents, in the order of Root.Shards.
	Manifest []byte
	Shards   [][]byte
	// Files is the whole table; Loads are indices of it.
	Files []manifest.File
}

// A BadError reports a document that is not what it should be.
type BadError struct {
	// Where is the document's path or URL.
	Where string
	Err   error
}

func (e *BadError) Error() string { return e.Where + ": " + e.Err.Error() }

// Unwrap gives what is wrong with the document.
func (e *BadError) Unwrap() error { return e.Err }

// Read reads the release of the manifest that has this name, [ManifestFile] or a [SnapshotFile]. Shards are held to
// their hashes, and the table to the snapshot's id; what is not as it should be is a [*BadError], which wraps
// [manifest.ErrDisabled] where the site has disabled Planktos. The error wraps [fs.ErrNotExist] if there is no such
// manifest.
func Read(ctx context.Context, src Source, name string) (*Release, error) {
	document, err := ReadFile(ctx, src, name, manifest.MaxBytes)
	if err != nil {
		return nil, err
	}
	bad := func(name string, err error) error {
		return &BadError{src.Where(name), errors.New(strings.TrimPrefix(err.Error(), "manifest: "))}
	}
	root, err := manifest.Parse(document)
	if errors.Is(err, manifest.ErrDisabled) {
		return nil, &BadError{src.Where(name), err}
	}
	if err != nil {
		return nil, bad(name, fmt.Errorf("no manifest of a packed site: %w", err))
	}
	r := &Release{Root: root, Manifest: document, Files: root.Files}
	var size int64
	for _, shard := range root.Shards {
		if size += shard.Size; size > maxTable {
			return nil, bad(name, fmt.Errorf("its shards hold more than %d bytes", maxTable))
		}
	}
	for _, shard := range root.Shards {
		document, err := ReadFile(ctx, src, ShardFile(shard.Hash), shard.Size)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, bad(ShardFile(shard.Hash), errors.New("the manifest names it, and it is not there"))
		case err != nil:
			return nil, err
		}
		if int64(len(document)) != shard.Size || merkle.Root(document) != shard.Hash {
			return nil, bad(ShardFile(shard.Hash), errors.New("not the shard that the manifest names"))
		}
		rows, err := manifest.ParseShard(document, root.Torrent)
		if err != nil {
			return nil, bad(ShardFile(shard.Hash), err)
		}
		for i := range rows {
			for k := range rows[i].Loads {
				rows[i].Loads[k] += len(r.Files)
			}
		}
		r.Files = append(r.Files, rows...)
		r.Shards = append(r.Shards, document)
	}
	if !slices.IsSortedFunc(r.Files, func(a, b manifest.File) int { return strings.Compare(a.Path, b.Path) }) ||
		manifest.SnapshotID(r.Files) != root.Snapshot {
		return nil, bad(name, errors.New("the snapshot's id is not that of its files"))
	}
	return r, nil
}

// Superseded lists the snapshots before the published one whose contents are still there, the newest first; none where
// there is no list.
func Superseded(ctx context.Context, src Source) ([]merkle.Hash, error) {
	document, err := ReadFile(ctx, src, SupersededFile, manifest.MaxBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	ids, err := manifest.ParseSuperseded(document)
	if err != nil {
		return nil, &BadError{src.Where(SupersededFile), err}
	}
	return ids, nil
}

// Names lists the files of planktos/ whose names are made of hashes that the release names.
func (r *Release) Names() []string {
	var names []string
	for _, shard := range r.Root.Shards {
		names = append(names, ShardFile(shard.Hash))
	}
	for _, f := range r.Files {
		if f.Size > 0 {
			names = append(names, ContentFile(f.Hash), LayerFile(f.Hash))
		}
	}
	return names
}

// ReadFile reads a file of at most max bytes. A larger one is a [*BadError].
func ReadFile(ctx context.Context, src Source, name string, max int64) ([]byte, error) {
	f, err := src.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", src.Where(name), err)
	}
	if int64(len(data)) > max {
		return nil, &BadError{src.Where(name), fmt.Errorf("larger than %d bytes", max)}
	}
	return data, nil
}
