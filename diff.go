package planktos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/release"
)

// A Release is a packed site as its manifest describes it, wherever it lies.
type Release struct{ release *release.Release }

// Snapshot is the release's id, 64 hex digits.
func (r *Release) Snapshot() string { return r.release.Root.Snapshot.String() }

// Files is the number of its files.
func (r *Release) Files() int { return len(r.release.Files) }

// Bytes is the size of its files together.
func (r *Release) Bytes() (n int64) {
	for _, f := range r.release.Files {
		n += f.Size
	}
	return n
}

// Release is the site as a release.
func (s *Site) Release() *Release {
	r := &release.Release{Root: s.packed.Root, Manifest: s.packed.Manifest, Shards: s.packed.Shards}
	for _, f := range s.packed.Files {
		r.Files = append(r.Files, manifest.File{Path: f.Path, Hash: f.Hash, Size: f.Size})
	}
	return &Release{r}
}

// manifestFile matches the path or URL of a manifest where packing puts it: the site's root, and the name below it.
var manifestFile = regexp.MustCompile(`^(|.*[/\\])planktos[/\\](?:(manifest)|snapshots[/\\]([0-9a-f]{64}))\.json$`)

// ReadRelease reads the release at a site's root URL, in a folder, or of a manifest's own path or URL, as it was
// published: what has happened to the files since does not count. The error wraps [ErrNotPacked] if there is none.
func ReadRelease(ctx context.Context, where string) (*Release, error) {
	root, name := where, release.ManifestFile
	if m := manifestFile.FindStringSubmatch(where); m != nil {
		if root = m[1]; root == "" {
			root = "."
		}
		if m[3] != "" {
			name = "planktos/snapshots/" + m[3] + ".json"
		}
	} else if info, err := os.Stat(where); !isURL(where) && err == nil && info.Mode().IsRegular() {
		r, err := release.Read(ctx, alone(where), release.ManifestFile)
		if err != nil {
			return nil, err
		}
		return &Release{r}, nil
	}
	src, closed, err := openSource(root)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", redacted(where), err)
	}
	defer closed()
	r, err := release.Read(ctx, src, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", src.Where(name), ErrNotPacked)
	}
	if err != nil {
		return nil, err
	}
	return &Release{r}, nil
}

// alone is a manifest that lies anywhere; its shards, if it has any, are beside it as they are in planktos/.
type alone string

func (a alone) Where(name string) string {
	if shard, ok := strings.CutPrefix(name, "planktos/shards/"); ok {
		return filepath.Join(filepath.Dir(string(a)), "shards", shard)
	}
	return string(a)
}

func (a alone) Open(_ context.Context, name string) (io.ReadCloser, error) {
	return os.Open(a.Where(name))
}

// A Difference is what changes from one release to another, and what of it visitors fetch.
type Difference struct {
	// Old and New are the snapshots' ids.
	Old string `json:"old"`
	New string `json:"new"`
	// Changes are sorted by path.
	Changes []Change `json:"changes"`
	// Unchanged is the number of files that are the same at the same path.
	Unchanged int `json:"unchanged"`
	// FetchFiles is the number of distinct contents that a visitor who has all of the old release fetches, FetchBytes
	// their size together; TotalBytes is that of all contents of the new one.
	FetchFiles int   `json:"fetchFiles"`
	FetchBytes int64 `json:"fetchBytes"`
	TotalBytes int64 `json:"totalBytes"`
	// Shards is the number of tables of files that are new, TableBytes their size and, if it is another, the manifest's,
	// as they are uncompressed. A visitor fetches those that its pages need.
	Shards     int   `json:"shards"`
	TableBytes int64 `json:"tableBytes"`
}

// A Change is what happened to a path between two releases.
type Change struct {
	// Kind is "added", "changed", "moved" or "removed".
	Kind string `json:"kind"`
	Path string `json:"path"`
	// From is where a moved file was.
	From string `json:"from,omitempty"`
	// OldSize and Size are in bytes; 0 where there is no such file.
	OldSize int64 `json:"oldSize"`
	Size    int64 `json:"size"`
	// Fetch is what a visitor who has all of the old release fetches for it, in bytes.
	Fetch int64 `json:"fetch"`
}

// Compare says what changes from old to new.
func Compare(old, new *Release) *Difference {
	c := release.Compare(old.release, new.release)
	d := &Difference{
		Old: old.Snapshot(), New: new.Snapshot(), Changes: []Change{}, Unchanged: c.Unchanged,
		FetchFiles: c.Contents, FetchBytes: c.Bytes, TotalBytes: c.TotalBytes, Shards: c.Shards, TableBytes: c.TableBytes,
	}
	for _, change := range c.Changes {
		d.Changes = append(d.Changes, Change{
			Kind: string(change.Kind), Path: change.Path, From: change.From,
			OldSize: change.OldSize, Size: change.Size, Fetch: change.Fetch,
		})
	}
	return d
}
