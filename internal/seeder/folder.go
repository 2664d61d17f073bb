package seeder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/store"
	"github.com/planktos/planktos/internal/torrent"
)

// A Folder is a packed site's own folder as a library: nothing is copied, and nothing added. Each file is read once
// when its release is taken up, and left alone once it is no longer what it was then. It may be used by several
// goroutines at a time.
type Folder struct {
	root *os.Root

	mu    sync.Mutex
	files map[store.ID]folderFile
}

type folderFile struct {
	name        string
	modTime     time.Time
	pieceLength int64
	layer       []merkle.Hash
}

// OpenFolder opens a folder. Nothing of it is given before [Folder.Take].
func OpenFolder(dir string) (*Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Folder{root: root, files: map[store.ID]folderFile{}}, nil
}

// Close lets go of the folder.
func (f *Folder) Close() error { return f.root.Close() }

// Source reads the packed site's documents.
func (f *Folder) Source() release.Source { return release.Dir(f.root) }

// Take reads a release's contents, and gives those that are what the manifest says from now on. It returns the names of
// the others. progress is told how many bytes of how many have been read.
func (f *Folder) Take(ctx context.Context, r *release.Release, progress func(done, total int64)) (
	bad []string, err error) {
	next := map[store.ID]folderFile{}
	var done, total int64
	for _, file := range r.Files {
		total += file.Size
	}
	take := func(id store.ID, name string) error {
		if _, known := next[id]; known || id.Size == 0 {
			return nil
		}
		file, err := f.check(ctx, id, name, r.Root.Torrent.PieceLength)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			bad = append(bad, name)
		default:
			next[id] = file
		}
		return nil
	}
	for _, shard := range r.Root.Shards {
		if err := take(store.ID{Hash: shard.Hash, Size: shard.Size}, release.ShardFile(shard.Hash)); err != nil {
			return nil, err
		}
	}
	for _, file := range r.Files {
		name := file.Path
		if r.Root.Copies {
			name = release.ContentFile(file.Hash)
		}
		if err := take(store.ID{Hash: file.Hash, Size: file.Size}, name); err != nil {
			return nil, err
		}
		done += file.Size
		progress(done, total)
	}
	if err := f.takeTorrent(r, take); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.Copy(f.files, next)
	return bad, nil
}

// takeTorrent takes what the torrent alone names: the engine's script.
func (f *Folder) takeTorrent(r *release.Release, take func(store.ID, string) error) error {
	data, err := f.Torrent()
	if err != nil {
		return nil // it is for ordinary clients, who will do without
	}
	m, err := torrent.Parse(data)
	if err != nil || m.InfoHash != r.Root.Torrent.InfoHash {
		return nil
	}
	for _, file := range m.Files {
		path := filepath.Join(file.Path...)
		if r.Root.Copies {
			path = filepath.Join(m.Name, path)
		}
		if err := take(store.ID{Hash: file.Root, Size: file.Size}, path); err != nil {
			return err
		}
	}
	return nil
}

// Torrent is the folder's root.torrent.
func (f *Folder) Torrent() ([]byte, error) { return f.root.ReadFile("planktos/root.torrent") }

// check reads a file, and says where it is if it is the content that it should be.
func (f *Folder) check(ctx context.Context, id store.ID, name string, pieceLength int64) (folderFile, error) {
	file, err := f.root.Open(name)
	if err != nil {
		return folderFile{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return folderFile{}, err
	}
	if !info.Mode().IsRegular() || info.Size() != id.Size {
		return folderFile{}, merkle.ErrMismatch
	}
	h := merkle.NewHasher(pieceLength)
	buf := make([]byte, 128<<10)
	for {
		n, err := file.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			break
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return folderFile{}, err
		}
	}
	hash, layer := h.Sum()
	if hash != id.Hash || h.Size() != id.Size {
		return folderFile{}, merkle.ErrMismatch
	}
	return folderFile{name, info.ModTime(), pieceLength, layer}, nil
}

func (f *Folder) find(id store.ID) (folderFile, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, ok := f.files[id]
	return file, ok
}

// Has implements swarm.Library.
func (f *Folder) Has(id store.ID) bool {
	_, ok := f.find(id)
	return ok
}

// ReadAt implements swarm.Library. A file that is no longer what it was is gone for good.
func (f *Folder) ReadAt(id store.ID, p []byte, offset int64) error {
	known, ok := f.find(id)
	if !ok {
		return fmt.Errorf("%v: %w", id, fs.ErrNotExist)
	}
	err := f.readAt(known, id.Size, p, offset)
	if err != nil {
		f.mu.Lock()
		delete(f.files, id)
		f.mu.Unlock()
		return fmt.Errorf("%s: %w", filepath.Join(f.root.Name(), known.name), err)
	}
	return nil
}

func (f *Folder) readAt(known folderFile, size int64, p []byte, offset int64) error {
	file, err := f.root.Open(known.name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != size || !info.ModTime().Equal(known.modTime) {
		return errors.New("the file has changed")
	}
	_, err = file.ReadAt(p, offset)
	return err
}

// Layer implements swarm.Library.
func (f *Folder) Layer(id store.ID, pieceLength int64) ([]merkle.Hash, error) {
	file, ok := f.find(id)
	if !ok || file.pieceLength != pieceLength {
		return nil, nil
	}
	return file.layer, nil
}

// Begin implements swarm.Library: nothing is added to a folder.
func (f *Folder) Begin(id store.ID, _ int64, _ []merkle.Hash) (*store.Part, error) {
	return nil, fmt.Errorf("%s holds what was packed, and nothing else: %w", f.root.Name(), store.ErrFull)
}

// Document reads the folder's manifest.
func (f *Folder) Document() ([]byte, error) {
	data, err := f.root.ReadFile(release.ManifestFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(f.root.Name(), release.ManifestFile), err)
	}
	return bytes.Clone(data), nil
}
