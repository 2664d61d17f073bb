package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"

	"github.com/planktos/planktos/internal/release"
)

// contentNames lists the files of planktos/ that are named by hash.
func (s *Snapshot) contentNames() []string {
	var names []string
	for _, shard := range s.Root.Shards {
		names = append(names, release.ShardFile(shard.Hash))
	}
	for hash, c := range s.contents {
		if s.Root.Copies {
			names = append(names, release.ContentFile(hash))
		}
		if len(c.hashes.Layer) > 0 {
			names = append(names, release.LayerFile(hash))
		}
	}
	return names
}

// byHash matches the names of planktos/ that stand for a content: no other file there is ever removed by packing.
var byHash = regexp.MustCompile(`^planktos/([0-9a-f]{64}(\.layer)?|(shards|snapshots)/[0-9a-f]{64}\.json)$`)

// prune removes what is named by a hash, and neither among names nor named by a superseded release.
func (p *publisher) prune(names []string, superseded []*release.Release) error {
	keep := map[string]bool{}
	for _, name := range names {
		keep[name] = true
	}
	for _, r := range superseded {
		keep[release.SnapshotFile(r.Root.Snapshot)] = true
		for _, name := range r.Names() {
			keep[name] = true
		}
	}
	for _, folder := range ownFolders {
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
	if len(superseded) == 0 {
		if err := p.root.Remove(release.SupersededFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing %s: %w", release.SupersededFile, cause(err))
		}
	}
	return nil
}
