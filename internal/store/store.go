// Package store keeps contents in a folder of this machine, each under its hash and size, and nothing that is not
// verified: a piece enters by [Part.Write], which checks it against the content's Merkle tree.
//
//	contents/<hash>-<size>                 a complete content
//	contents/<hash>-<size>.<piece>.layer   its piece layer, for pieces of so many bytes
//	parts/<hash>-<size>.<piece>            a content that is being put together, and notes beyond its end
//	lock                                   held while a process uses the folder
//
// A complete content was on disk before it got its name, so that it is trusted after a crash without being read. Of a
// part the notes say which pieces are there, and each is believed when its hash is right.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/planktos/planktos/internal/merkle"
)

const (
	contentsFolder = "contents"
	partsFolder    = "parts"
	lockFile       = "lock"
)

// ErrFull is wrapped by errors that say that there is no room: the disk is full, or the store at its limit. What the
// store holds stays.
var ErrFull = errors.New("no room in the store")

// ErrLocked says that another process has the folder.
var ErrLocked = errors.New("another planktos uses this folder")

// An ID names a content: its pieces root (BEP 52) and its size in bytes.
type ID struct {
	Hash merkle.Hash
	Size int64
}

// String is the name under which a content is kept.
func (id ID) String() string { return id.Hash.String() + "-" + strconv.FormatInt(id.Size, 10) }

func parseID(s string) (ID, bool) {
	digits, size, _ := strings.Cut(s, "-")
	hash, err := merkle.ParseHash(digits)
	n, sizeErr := strconv.ParseInt(size, 10, 64)
	id := ID{hash, n}
	return id, err == nil && sizeErr == nil && n > 0 && id.String() == s
}

// Options say how a store is opened.
type Options struct {
	// Limit is how many bytes of contents the store may hold. If zero, as many as the disk.
	Limit int64
}

// A Store is an open folder. It may be used by several goroutines at a time.
type Store struct {
	dir    string
	root   *os.Root
	limit  int64
	unlock func()

	mu       sync.Mutex
	complete map[ID]bool
	parts    map[string]*Part // by name
	used     int64            // bytes of complete contents and of parts, which count in full
}

// Open opens the store in dir, and makes the folder if there is none. It is an error if another process uses it. opts
// may be nil.
func Open(dir string, opts *Options) (_ *Store, err error) {
	if opts == nil {
		opts = &Options{}
	}
	for _, folder := range []string{contentsFolder, partsFolder} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := &Store{dir: dir, root: root, limit: opts.Limit, complete: map[ID]bool{}, parts: map[string]*Part{}}
	if s.unlock, err = lock(root); err == nil {
		err = s.scan()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: %s: %w", dir, err), s.Close())
	}
	return s, nil
}

// Close lets go of the folder. Idempotent.
func (s *Store) Close() error {
	if s.unlock != nil {
		s.unlock()
		s.unlock = nil
	}
	return s.root.Close()
}

// scan learns what the folder holds, by name and size alone.
func (s *Store) scan() error {
	entries, err := fs.ReadDir(s.root.FS(), contentsFolder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		id, ok := parseID(entry.Name())
		info, err := entry.Info()
		if !ok || err != nil || !info.Mode().IsRegular() || info.Size() < id.Size {
			continue
		}
		if info.Size() > id.Size {
			// Named after it was complete, and interrupted before its notes were cut off.
			if err := s.truncate(contentName(id), id.Size); err != nil {
				return err
			}
		}
		s.complete[id] = true
		s.used += id.Size
	}
	entries, err = fs.ReadDir(s.root.FS(), partsFolder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if id, pieceLength, ok := parsePartName(entry.Name()); ok {
			s.parts[entry.Name()] = &Part{store: s, id: id, pieceLength: pieceLength, resumed: true}
			s.used += id.Size
		}
	}
	return nil
}

// Dir is the store's folder.
func (s *Store) Dir() string { return s.dir }

// Root is the store's folder, for whoever keeps files of its own beside the contents.
func (s *Store) Root() *os.Root { return s.root }

// Used is how many bytes of contents the store holds; a content of which a part is there counts in full.
func (s *Store) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// Has tells whether a content is there, complete.
func (s *Store) Has(id ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.complete[id]
}

// Holds tells whether a content is there, complete or as a part for pieces of pieceLength bytes.
func (s *Store) Holds(id ID, pieceLength int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.complete[id] || s.parts[partName(id, pieceLength)] != nil
}

// ReadAt fills p with a content's bytes from offset on. Of a content that is not complete, only what has been written
// may be asked for.
func (s *Store) ReadAt(id ID, p []byte, offset int64) error {
	name := contentName(id)
	s.mu.Lock()
	if !s.complete[id] {
		name = ""
		for _, part := range s.parts {
			if part.id == id && part.begun {
				name = partsFolder + "/" + part.name()
			}
		}
	}
	s.mu.Unlock()
	if name == "" {
		return fmt.Errorf("store: %v: %w", id, fs.ErrNotExist)
	}
	f, err := s.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) && s.Has(id) {
		f, err = s.root.Open(contentName(id)) // it was completed meanwhile
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer f.Close()
	if _, err := f.ReadAt(p, offset); err != nil {
		return fmt.Errorf("store: %s: %w", filepath.Join(s.dir, name), err)
	}
	return nil
}

// Open opens a complete content.
func (s *Store) Open(id ID) (*os.File, error) {
	if !s.Has(id) {
		return nil, fmt.Errorf("store: %v: %w", id, fs.ErrNotExist)
	}
	return s.root.Open(contentName(id))
}

// Path is where a complete content lies, relative to the store's folder.
func (s *Store) Path(id ID) string { return contentName(id) }

// Shrink removes contents, by chance, until the store holds no more than limit bytes. Those that keep names stay, and
// those that are being put together.
func (s *Store) Shrink(limit int64, keep func(ID) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	begun, sizes := map[ID]bool{}, map[ID]int64{} // of all that is there of a content, which goes at once
	for id := range s.complete {
		sizes[id] = id.Size
	}
	for _, part := range s.parts {
		begun[part.id] = begun[part.id] || part.begun
		sizes[part.id] += part.id.Size
	}
	left, gone := s.used, map[ID]bool{}
	for id, size := range sizes {
		if left > limit && !begun[id] && !keep(id) {
			gone[id] = true
			left -= size
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return s.sweep(func(id ID) bool { return !gone[id] })
}

// Sweep removes every content, complete or not, that keep refuses.
func (s *Store) Sweep(keep func(ID) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sweep(keep)
}

func (s *Store) sweep(keep func(ID) bool) error {
	var failures []error
	for id := range s.complete {
		if keep(id) {
			continue
		}
		delete(s.complete, id)
		s.used -= id.Size
		failures = append(failures, s.root.Remove(contentName(id)))
	}
	for name, part := range s.parts {
		if keep(part.id) {
			continue
		}
		delete(s.parts, name)
		s.used -= part.id.Size
		failures = append(failures, s.root.Remove(partsFolder+"/"+name))
	}
	entries, err := fs.ReadDir(s.root.FS(), contentsFolder)
	failures = append(failures, err)
	for _, entry := range entries {
		if id, _, ok := parseLayerName(entry.Name()); ok && !keep(id) {
			failures = append(failures, s.root.Remove(contentsFolder+"/"+entry.Name()))
		}
	}
	return errors.Join(failures...)
}

// Check reads every complete content, and removes those whose bytes are not what their name says.
func (s *Store) Check() error {
	s.mu.Lock()
	ids := make([]ID, 0, len(s.complete))
	for id := range s.complete {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	bad := map[ID]bool{}
	for _, id := range ids {
		root, _, err := s.hash(id, merkle.BlockSize)
		if err != nil {
			return err
		}
		bad[id] = root != id.Hash
	}
	return s.Sweep(func(id ID) bool { return !bad[id] })
}

func (s *Store) truncate(name string, size int64) error {
	f, err := s.root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

func contentName(id ID) string { return contentsFolder + "/" + id.String() }
