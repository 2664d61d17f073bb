package snapshot

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
)

// PublishOptions say how [Publish] writes.
type PublishOptions struct {
	// AllowHardLink makes a copy a hard link where the file system cannot clone. A file that is later edited in place
	// then changes its copy too, which visitors' browsers find out and refuse: for trees that are only ever replaced.
	AllowHardLink bool
	// Keep is how many superseded snapshots' contents stay, for visitors in the middle of a visit and for [Rollback]. If
	// zero, 1; if negative, none. At most 99.
	Keep int
	// Previous is where the site is published, for a folder that does not have the last release: what is to be kept of
	// superseded snapshots comes from there. If nil, or if nothing is published there, what was published is what the
	// folder has.
	Previous release.Source
	// Sign, if not nil, has the manifest signed.
	Sign *Signing
	// Progress is called as contents are written, by one goroutine at a time. If nil, it is not.
	Progress func(Progress)
}

// Published counts what [Publish] did, in files of planktos/.
type Published struct {
	Written, Kept, Removed int
	// Pages of the site that were changed.
	Pages int
	// Previous is the snapshot that was published before, the same one maybe; nil if there was none.
	Previous *merkle.Hash
	// First tells that nothing is published at PublishOptions.Previous.
	First bool
	// Seal is what the manifest says of itself if it is signed; its Sequence is 0 otherwise. Unsealed tells that the one
	// before was signed and this one is not, and OtherKey that it was signed by another key.
	Seal               manifest.Seal
	Unsealed, OtherKey bool
	// Lost says of what superseded snapshots consist of why it could not be had from PublishOptions.Previous.
	Lost []error
	// Superseded are the ids of the snapshots whose contents are kept, the newest first.
	Superseded []merkle.Hash
	// CacheError tells why what was found out could not be left for the next pack.
	CacheError error
}

// ownFolders are those in which files named by hash lie, each before those in it.
var ownFolders = []string{Folder, "planktos/shards", "planktos/snapshots"}

// stageFolder holds what is being written until all of it is: a pack that was interrupted leaves nothing else behind.
const stageFolder = "planktos/.pack"

// Publish writes the packed site into dir, the folder it was built from. All is written aside, checked and on disk
// before anything takes its place, the manifest last: whatever happens, the manifest that stands there names contents
// that are there. Pages that the snapshot has edited are changed right before the manifest. o may be nil.
func Publish(ctx context.Context, s *Snapshot, dir string, o *PublishOptions) (*Published, error) {
	if o == nil {
		o = &PublishOptions{}
	}
	p, err := openPublisher(dir)
	if err != nil {
		return nil, err
	}
	defer p.close()
	past, known, err := p.past(ctx, o)
	if err != nil {
		return nil, err
	}
	if past.current != nil {
		p.done.Previous = &past.current.Root.Snapshot
	}
	if err := p.seal(s, past, o.Sign); err != nil {
		return nil, fmt.Errorf("%s: signing the manifest: %w", dir, err)
	}
	superseded := past.supersede(s.Root.Snapshot, p.manifest, o.kept())
	var fetch []wanted
	var fetchBytes int64
	if o.Previous != nil {
		if fetch, fetchBytes, err = missing(s, superseded); err != nil {
			return nil, &PreviousError{err}
		}
	}
	p.links = o.AllowHardLink
	p.known = s.cache.Copies
	p.tally = newTally(o.Progress, len(s.contents)+len(fetch), s.contentBytes()+fetchBytes)
	if o.Previous != nil {
		if err := p.stagePrevious(ctx, s, o.Previous, superseded, fetch); err != nil {
			return nil, p.abort(err)
		}
		p.sortLost()
	}
	if err := p.stageSuperseded(s.Root.Snapshot, superseded); err != nil {
		return nil, p.abort(err)
	}
	if err := p.stageSnapshot(ctx, s); err != nil {
		if errors.Is(err, ErrChanged) && s.cacheFile != "" {
			// The next pack finds out for itself.
			os.Remove(s.cacheFile)
		}
		return nil, p.abort(err)
	}
	if err := p.commit(ctx); err != nil {
		return nil, p.abort(err)
	}
	if known {
		if err := p.prune(s.contentNames(), superseded); err != nil {
			return nil, err
		}
	}
	p.done.CacheError = s.saveCache(p.kept, p.ahead)
	return &p.done, nil
}

// kept is Keep as a number.
func (o *PublishOptions) kept() int {
	if o.Keep == 0 {
		return 1
	}
	return min(max(o.Keep, 0), manifest.MaxSuperseded-1) // one more may be of the published snapshot itself
}

// PublishRuntime writes the scripts alone, as [Publish] does. A site that is signed goes on to be.
func PublishRuntime(ctx context.Context, dir string, scripts Runtime) (*Published, error) {
	p, err := openPublisher(dir)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if worker, err := p.root.ReadFile(WorkerFile); err == nil {
		p.key = release.KeyOf(worker)
	}
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
	tally  *tally
	ahead  time.Duration    // how far the file system's clock is ahead of ours
	known  map[string]known // what the last pack has found of files named by hash

	// manifest is what is published as such: the snapshot's, or the same signed; key is then the key's public half.
	manifest []byte
	key      ed25519.PublicKey

	mu     sync.Mutex // guards what follows while contents are staged in parallel
	staged []staged   // in the order of their renaming
	kept   map[string]known
	done   Published
}

// staged is a file that was written as from and is to be known as to; a page if it takes the place of one. Of what is
// named by hash it is known what it is. A rollback has from become what it restores.
type staged struct {
	from, to string
	page     *source
	known    known
	restored *restoration
}

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
	for _, folder := range ownFolders {
		if err := p.root.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	if p.unlock, err = lock(p.root, Folder); err != nil {
		return err
	}
	if err := p.root.RemoveAll(stageFolder); err != nil {
		return err
	}
	if err := p.root.Mkdir(stageFolder, 0o755); err != nil {
		return err
	}
	info, err := p.root.Lstat(stageFolder)
	if err == nil {
		p.ahead = time.Until(info.ModTime())
	}
	return err
}

// close removes what was not put in place, and folders that hold nothing.
func (p *publisher) close() {
	for _, s := range p.staged {
		if s.page != nil {
			p.root.Remove(s.from)
		}
	}
	if p.unlock != nil {
		p.root.RemoveAll(stageFolder)
		for _, folder := range slices.Backward(ownFolders) {
			p.root.Remove(folder)
		}
		p.unlock()
	}
	p.root.Close()
}

// abort names the folder in an error of writing, which tells of a disk that is full or a folder that is read-only.
func (p *publisher) abort(err error) error {
	return fmt.Errorf("%s: packing stopped, what was published before is as it was: %w", p.dir, err)
}

// commit puts everything staged in its place. Names by hash come first: they disturb nothing that is there.
func (p *publisher) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := syncFolder(p.root, stageFolder); err != nil {
		return fmt.Errorf("writing to disk: %w", cause(err))
	}
	began := time.Now()
	for _, s := range p.staged {
		if s.to == ManifestFile {
			// All that it names is in place for good before it is.
			for _, folder := range ownFolders {
				if err := syncFolder(p.root, folder); err != nil {
					return fmt.Errorf("writing to disk: %w", cause(err))
				}
			}
		}
		if s.page != nil {
			if err := placePage(p.root, *s.page, s.from); err != nil {
				return err
			}
			p.done.Pages++
			continue
		}
		if s.restored != nil {
			if err := s.restored.place(p, s.from); err != nil {
				return err
			}
			continue
		}
		if err := p.root.Rename(s.from, s.to); err != nil {
			return fmt.Errorf("writing %s: %w", s.to, err)
		}
		p.done.Written++
		p.placed(s, began)
	}
	return syncFolder(p.root, Folder)
}
