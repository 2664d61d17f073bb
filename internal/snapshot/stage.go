package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
)

// stageSnapshot writes all that the snapshot consists of and dir lacks.
func (p *publisher) stageSnapshot(ctx context.Context, s *Snapshot) error {
	contents := make([]*content, 0, len(s.contents))
	for _, c := range s.contents {
		contents = append(contents, c)
	}
	err := parallel(ctx, processors(), len(contents), func(ctx context.Context, i int) error {
		c := contents[i]
		name := Folder + "/" + c.hashes.Root.String()
		if s.Root.Copies {
			if err := p.stageCopy(ctx, s, c, name); err != nil {
				return err
			}
		}
		p.tally.add(1, 0)
		if len(c.hashes.Layer) == 0 {
			return nil
		}
		return p.stage(name+".layer", layerBytes(c.hashes.Layer))
	})
	if err != nil {
		return err
	}
	for i, shard := range s.Root.Shards {
		if err := p.stage(release.ShardFile(shard.Hash), s.Shards[i]); err != nil {
			return err
		}
	}
	if err := p.stageRuntime(s.runtime); err != nil {
		return err
	}
	if err := p.stagePages(ctx, s); err != nil {
		return err
	}
	if err := p.stageRestored(ctx, s.restore); err != nil {
		return err
	}
	if err := p.stage(TorrentFile, s.Torrent); err != nil {
		return err
	}
	return p.stage(ManifestFile, p.manifest)
}

// stagePages writes the pages that the snapshot has edited.
func (p *publisher) stagePages(ctx context.Context, s *Snapshot) error {
	if err := removeLeftovers(p.root, s.LeftOut); err != nil {
		return err
	}
	for i := range s.Files {
		f := &s.Files[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		if !f.Edited() || f.source.linked {
			continue
		}
		temp, err := writePage(p.root, f.source, func(page []byte) []byte { return apply(page, f.edits) })
		if err != nil {
			return err
		}
		p.staged = append(p.staged, staged{from: temp, to: f.Path, page: &f.source})
	}
	return nil
}

func (p *publisher) stageRuntime(scripts Runtime) error {
	if scripts.Worker != nil {
		scripts.Worker = release.WithKey(scripts.Worker, p.key)
	}
	for _, script := range []struct {
		name string
		data []byte
	}{{EngineFile, scripts.Engine}, {InstallFile, scripts.Install}, {WorkerFile, scripts.Worker}} {
		if script.data == nil {
			continue
		}
		if err := p.stage(script.name, script.data); err != nil {
			return err
		}
	}
	return nil
}

// stage writes a small file, unless it stands there already: hosts and browsers go by its time.
func (p *publisher) stage(name string, data []byte) error {
	root := merkle.Root(data)
	if p.holds(context.Background(), nil, name, int64(len(data)), root) {
		p.count(&p.done.Kept)
		return nil
	}
	f, err := p.create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return p.finish(f, name, root, err)
}

// stageCopy makes the copy of a content, unless a good one is there.
func (p *publisher) stageCopy(ctx context.Context, s *Snapshot, c *content, name string) error {
	if p.holds(ctx, p.tally, name, c.hashes.Size, c.hashes.Root) {
		p.count(&p.done.Kept)
		return nil
	}
	file := s.Files[c.files[0]]
	entry, err := s.openFile(&file, "")
	if err != nil {
		return err
	}
	defer entry.Close()
	src := entry.Body
	f, err := p.create(name)
	if err != nil {
		return err
	}
	source, isFile := src.(*os.File)
	if isFile && clone(f, source) == nil {
		err = check(ctx, p.tally, f, file)
		return p.finish(f, name, file.Hash, err)
	}
	if isFile && p.links && p.link(file.Path, name) {
		err = check(ctx, p.tally, src, file)
		return p.finish(f, name, file.Hash, err)
	}
	h := merkle.NewHasher(merkle.BlockSize)
	if err = pump(io.MultiWriter(f, h), p.tally.reader(ctx, src)); err == nil {
		if root, _ := h.Sum(); root != file.Hash || h.Size() != file.Size {
			err = fmt.Errorf("%s: %w", file.Path, ErrChanged)
		}
	}
	return p.finish(f, name, file.Hash, err)
}

// link puts a hard link to source in the place of the file staged for name.
func (p *publisher) link(source, name string) bool {
	stage := stageName(name)
	if err := p.root.Link(source, stage+".link"); err != nil {
		return false
	}
	// A link to a symbolic link would be one itself, leading elsewhere from here.
	info, err := p.root.Lstat(stage + ".link")
	return err == nil && info.Mode().IsRegular() && p.root.Rename(stage+".link", stage) == nil
}

// contentBytes is the size of all contents together.
func (s *Snapshot) contentBytes() (n int64) {
	for _, c := range s.contents {
		n += c.hashes.Size
	}
	return n
}

func (p *publisher) count(n *int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*n++
}

// stageName is where a file is written first. The last elements of all names differ.
func stageName(name string) string { return stageFolder + "/" + path.Base(name) }

func (p *publisher) create(name string) (*os.File, error) {
	f, err := p.root.OpenFile(stageName(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", name, cause(err))
	}
	return f, nil
}

// finish closes a staged file of this content; err is what writing it came to.
func (p *publisher) finish(f *os.File, name string, root merkle.Hash, err error) error {
	if !syncsAll && err == nil {
		err = f.Sync()
	}
	var at stamp
	if err == nil {
		var info fs.FileInfo
		if info, err = f.Stat(); err == nil {
			at = stampOf(info)
		}
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		if errors.Is(err, ErrChanged) {
			return err
		}
		return fmt.Errorf("writing %s: %w", name, cause(err))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.staged = append(p.staged, staged{from: stageName(name), to: name, known: known{at, root}})
	return nil
}

// placed remembers a file that was just put in place, at began or later. Renaming it has given it another ctime, but what
// is written to it from now on gives it another mtime. (A hard link shows another inode than the file that was staged.)
func (p *publisher) placed(s staged, began time.Time) {
	info, err := p.root.Lstat(s.to)
	if err != nil || !settled(s.known.Stamp.MTime, began.Add(p.ahead)) {
		return
	}
	now := stampOf(info)
	if before := s.known.Stamp; now.Size == before.Size && now.Inode == before.Inode && now.MTime == before.MTime {
		p.remember(s.to, known{now, s.known.Root})
	}
}

// remember notes what a file named by hash is known to be.
func (p *publisher) remember(name string, k known) {
	if !byHash.MatchString(name) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil {
		p.kept = map[string]known{}
	}
	p.kept[name] = k
}
