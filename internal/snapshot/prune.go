package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
)

// inventory is what a published snapshot named in planktos/.
type inventory struct {
	id    merkle.Hash
	names []string
}

// named reads the inventory of the snapshot that is published. It is false if that cannot be known.
func (p *publisher) named() (inventory, bool) {
	document, err := p.readManifest(ManifestFile)
	if errors.Is(err, fs.ErrNotExist) {
		return inventory{}, true
	}
	if err != nil {
		return inventory{}, false
	}
	root, err := manifest.Parse(document)
	if err != nil {
		return inventory{}, false
	}
	published := inventory{id: root.Snapshot}
	files := root.Files
	for _, shard := range root.Shards {
		document, err := p.readManifest(shardFile(shard.Hash))
		if err != nil {
			return inventory{}, false
		}
		rows, err := manifest.ParseShard(document, root.Torrent)
		if err != nil {
			return inventory{}, false
		}
		files = append(files, rows...)
		published.names = append(published.names, shardFile(shard.Hash))
	}
	for _, f := range files {
		name := Folder + "/" + f.Hash.String()
		published.names = append(published.names, name, name+".layer")
	}
	return published, true
}

func (p *publisher) readManifest(name string) ([]byte, error) {
	f, err := p.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, manifest.MaxBytes+1))
}

// contentNames lists the files of planktos/ that are named by hash.
func (s *Snapshot) contentNames() []string {
	var names []string
	for _, shard := range s.Root.Shards {
		names = append(names, shardFile(shard.Hash))
	}
	for hash, c := range s.contents {
		name := Folder + "/" + hash.String()
		if s.Root.Copies {
			names = append(names, name)
		}
		if len(c.hashes.Layer) > 0 {
			names = append(names, name+".layer")
		}
	}
	return names
}

// byHash matches the names of planktos/ that stand for a content: no other file there is ever removed by packing.
var byHash = regexp.MustCompile(`^planktos/([0-9a-f]{64}(\.layer)?|shards/[0-9a-f]{64}\.json)$`)

// prune removes what is named by a hash and not kept.
func (p *publisher) prune(keep map[string]bool) error {
	for _, folder := range []string{Folder, "planktos/shards"} {
		entries, err := fs.ReadDir(p.root.FS(), folder)
		if err != nil {
			return fmt.Errorf("%s: %w", folder, cause(err))
		}
		for _, entry := range entries {
			name := folder + "/" + entry.Name()
			if !entry.Type().IsRegular() || keep[name] || !byHash.MatchString(name) {
				continue
			}
			if err := p.root.Remove(name); err != nil {
				return fmt.Errorf("removing %s: %w", name, cause(err))
			}
			p.done.Removed++
		}
	}
	return nil
}
