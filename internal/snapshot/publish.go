package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sync"

	"github.com/planktos/planktos/internal/merkle"
)

// PublishOptions say how [Publish] writes.
type PublishOptions struct {
	// AllowHardLink makes a copy a hard link where the file system cannot clone. A file that is later edited in place
	// then changes its copy too, which visitors' browsers find out and refuse: for trees that are only ever replaced.
	AllowHardLink bool
	// DropSuperseded removes what only the superseded snapshot names. Otherwise it stays until the next one, for
	// visitors in the middle of a visit.
	DropSuperseded bool
}

// Published counts what [Publish] did in planktos/, in files.
type Published struct {
	Written, Kept, Removed int
}

// stageFolder holds what is being written until all of it is: a pack that was interrupted leaves nothing else behind.
const stageFolder = "planktos/.pack"

// Publish writes the packed site into dir, the folder it was built from. All is written aside, checked and on disk
// before anything takes its place, the manifest last: whatever happens, the manifest that stands there names contents
// that are there. o may be nil. A snapshot with virtual tags cannot be published: its pages are not in dir.
func Publish(ctx context.Context, s *Snapshot, dir string, o *PublishOptions) (*Published, error) {
	if s.tag != nil {
		return nil, errors.New("a snapshot built with Tag is for serving: inject the tag into the files instead")
	}
	if o == nil {
		o = &PublishOptions{}
	}
	p, err := openPublisher(dir)
	if err != nil {
		return nil, err
	}
	defer p.close()
	p.links = o.AllowHardLink

	superseded, known := p.named()
	if err := p.stageSnapshot(ctx, s); err != nil {
		return nil, p.abort(err)
	}
	if err := p.commit(ctx); err != nil {
		return nil, p.abort(err)
	}
	keep := map[string]bool{}
	for _, name := range s.contentNames() {
		keep[name] = true
	}
	// What an unreadable manifest named is not known, and the same snapshot anew supersedes none.
	if prune := known && superseded.id != s.Root.Snapshot; prune {
		if !o.DropSuperseded {
			for _, name := range superseded.names {
				keep[name] = true
			}
		}
		if err := p.prune(keep); err != nil {
			return nil, err
		}
	}
	return &p.done, nil
}

// PublishRuntime writes the scripts alone, as [Publish] does.
func PublishRuntime(ctx context.Context, dir string, scripts Runtime) (*Published, error) {
	p, err := openPublisher(dir)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.stageRuntime(scripts); err != nil {
		return nil, p.abort(err)
	}
	if err := p.commit(ctx); err != nil {
		return nil, p.abort(err)
	}
	return &p.done, nil
}

// publisher writes into a site's folder.
type publisher struct {
	dir    string
	root   *os.Root
	unlock func()
	links  bool

	mu     sync.Mutex // guards what follows while contents are staged in parallel
	staged []staged   // in the order of their renaming
	done   Published
}

// staged is a file that was written as from and is to be known as to.
type staged struct{ from, to string }

func openPublisher(dir string) (*publisher, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, cause(err))
	}
	p := &publisher{dir: dir, root: root}
	if err := p.prepare(); err != nil {
		p.close()
		return nil, fmt.Errorf("%s: cannot write to planktos/: %w", dir, cause(err))
	}
	return p, nil
}

// prepare makes the folders and removes what an interrupted pack has left.
func (p *publisher) prepare() (err error) {
	if err := p.root.MkdirAll("planktos/shards", 0o755); err != nil {
		return err
	}
	if p.unlock, err = lock(p.root, Folder); err != nil {
		return err
	}
	if err := p.root.RemoveAll(stageFolder); err != nil {
		return err
	}
	return p.root.Mkdir(stageFolder, 0o755)
}

// close removes what was not put in place, and folders that hold nothing.
func (p *publisher) close() {
	if p.unlock != nil {
		p.root.RemoveAll(stageFolder)
		p.root.Remove("planktos/shards")
		p.root.Remove(Folder)
		p.unlock()
	}
	p.root.Close()
}

// abort names the folder in an error of writing, which tells of a disk that is full or a folder that is read-only.
func (p *publisher) abort(err error) error {
	return fmt.Errorf("%s: packing stopped, what was published before is as it was: %w", p.dir, err)
}

// stageSnapshot writes all that the snapshot consists of and dir lacks.
func (p *publisher) stageSnapshot(ctx context.Context, s *Snapshot) error {
	contents := make([]*content, 0, len(s.contents))
	for _, c := range s.contents {
		contents = append(contents, c)
	}
	err := parallel(ctx, len(contents), func(i int) error {
		c := contents[i]
		name := Folder + "/" + c.hashes.Root.String()
		if s.Root.Copies {
			if err := p.stageCopy(s, c, name); err != nil {
				return err
			}
		}
		if len(c.hashes.Layer) == 0 {
			return nil
		}
		return p.stage(name+".layer", layerBytes(c.hashes.Layer))
	})
	if err != nil {
		return err
	}
	for i, shard := range s.Root.Shards {
		if err := p.stage(shardFile(shard.Hash), s.Shards[i]); err != nil {
			return err
		}
	}
	if err := p.stageRuntime(s.runtime); err != nil {
		return err
	}
	if err := p.stage(TorrentFile, s.Torrent); err != nil {
		return err
	}
	return p.stage(ManifestFile, s.Manifest)
}

func (p *publisher) stageRuntime(scripts Runtime) error {
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
	if p.holds(name, int64(len(data)), rootOf(data)) {
		p.count(&p.done.Kept)
		return nil
	}
	f, err := p.create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return p.finish(f, name, err)
}

// stageCopy makes the copy of a content, unless a good one is there.
func (p *publisher) stageCopy(s *Snapshot, c *content, name string) error {
	if p.holds(name, c.hashes.Size, c.hashes.Root) {
		p.count(&p.done.Kept)
		return nil
	}
	file := s.Files[c.files[0]]
	src, err := openSource(s.fsys, file.source)
	if err != nil {
		return err
	}
	defer src.Close()
	f, err := p.create(name)
	if err != nil {
		return err
	}
	source, isFile := src.(*os.File)
	if isFile && clone(f, source) == nil {
		err = p.check(f, file)
		return p.finish(f, name, err)
	}
	if isFile && p.links && p.link(file.Path, name) {
		err = p.check(src, file)
		return p.finish(f, name, err)
	}
	h := merkle.NewHasher(merkle.BlockSize)
	if err = pump(io.MultiWriter(f, h), src); err == nil {
		if root, _ := h.Sum(); root != file.Hash || h.Size() != file.Size {
			err = fmt.Errorf("%s: %w", file.Path, ErrChanged)
		}
	}
	return p.finish(f, name, err)
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

// check makes sure that what is open for reading is the content it was when it was packed.
func (p *publisher) check(r io.Reader, file File) error {
	if seeker, ok := r.(io.Seeker); ok {
		if _, err := seeker.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	h := merkle.NewHasher(merkle.BlockSize)
	if err := pump(h, r); err != nil {
		return err
	}
	if root, _ := h.Sum(); root != file.Hash || h.Size() != file.Size {
		return fmt.Errorf("%s: %w", file.Path, ErrChanged)
	}
	return nil
}

var buffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// pump is [io.Copy] through a pooled buffer: of many small files, each would else cost one of its own.
func pump(w io.Writer, r io.Reader) error {
	buf := buffers.Get().(*[128 << 10]byte)
	defer buffers.Put(buf)
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, buf[:])
	return err
}

// holds tells whether a regular file of this content is in place.
func (p *publisher) holds(name string, size int64, hash merkle.Hash) bool {
	info, err := p.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != size {
		return false
	}
	f, err := p.root.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	return p.check(f, File{Path: name, Hash: hash, Size: size}) == nil
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

// finish closes a staged file; err is what writing it came to.
func (p *publisher) finish(f *os.File, name string, err error) error {
	if !syncsAll && err == nil {
		err = f.Sync()
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
	p.staged = append(p.staged, staged{from: stageName(name), to: name})
	return nil
}

// commit puts everything staged in its place. Names by hash come first: they disturb nothing that is there.
func (p *publisher) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := syncFolder(p.root, stageFolder); err != nil {
		return fmt.Errorf("writing to disk: %w", cause(err))
	}
	for _, s := range p.staged {
		if s.to == ManifestFile {
			// All that it names is in place for good before it is.
			for _, folder := range []string{Folder, "planktos/shards"} {
				if err := syncFolder(p.root, folder); err != nil {
					return fmt.Errorf("writing to disk: %w", cause(err))
				}
			}
		}
		if err := p.root.Rename(s.from, s.to); err != nil {
			return fmt.Errorf("writing %s: %w", s.to, err)
		}
		p.done.Written++
	}
	return syncFolder(p.root, Folder)
}
