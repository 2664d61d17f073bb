package seeder

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/store"
)

// StateFolder is where a checkout keeps what it needs to go on, in the folder into which a site is fetched.
const StateFolder = ".planktos"

// A Checkout lays a site's files down in a folder, under their own paths, out of a store in the folder's StateFolder.
// Nothing outside of the folder is written, whatever paths and symbolic links say.
type Checkout struct {
	root  *os.Root
	Store *store.Store
}

// ErrForeign reports a folder that has files, none of which a checkout put there.
var ErrForeign = errors.New("the folder is not empty, and its files are not those of a fetched site")

// OpenCheckout opens a folder, and makes it if there is none. The error wraps [ErrForeign] if it is somebody else's.
func OpenCheckout(dir string) (*Checkout, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, StateFolder)); err != nil && len(entries) > 0 {
		return nil, &fs.PathError{Op: "fetch into", Path: dir, Err: ErrForeign}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	contents, err := store.Open(filepath.Join(dir, StateFolder), nil)
	if err == nil {
		// Files of an interrupted run are links to its contents: who has edited one has edited the other.
		err = contents.Check()
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &Checkout{root, contents}, nil
}

// Close lets go of the folder.
func (c *Checkout) Close() error { return errors.Join(c.Store.Close(), c.root.Close()) }

// Manifest is that of an earlier run; the error wraps [fs.ErrNotExist] if there was none.
func (c *Checkout) Manifest() ([]byte, error) { return c.Store.Root().ReadFile(manifestFile) }

// SetManifest notes the manifest for a run in which the site is gone.
func (c *Checkout) SetManifest(document []byte) error {
	return c.Store.Root().WriteFile(manifestFile, document, 0o644)
}

// Has tells whether a file is there as it should be: it is read.
func (c *Checkout) Has(file manifest.File) bool {
	f, err := c.root.Open(filepath.FromSlash(file.Path))
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() != file.Size {
		return false
	}
	h := merkle.NewHasher(merkle.BlockSize)
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 128<<10)); err != nil {
		return false
	}
	root, _ := h.Sum()
	return root == file.Hash
}

// Place puts a file that the store holds, or an empty one, under its path: in one step, in the place of what is there.
func (c *Checkout) Place(file manifest.File) error {
	name := filepath.FromSlash(file.Path)
	if dir := path.Dir(file.Path); dir != "." {
		if err := c.root.MkdirAll(filepath.FromSlash(dir), 0o755); err != nil {
			return err
		}
	}
	next := filepath.Join(StateFolder, rand.Text())
	if err := c.put(file, next); err != nil {
		c.root.Remove(next)
		return err
	}
	err := c.root.Rename(next, name)
	if err == nil {
		return nil
	}
	c.root.Remove(next)
	return &fs.PathError{Op: "write", Path: filepath.Join(c.root.Name(), name), Err: errors.Unwrap(err)}
}

// put links a content, or copies it where there are no links.
func (c *Checkout) put(file manifest.File, name string) error {
	if file.Size == 0 {
		return c.root.WriteFile(name, nil, 0o644)
	}
	id := store.ID{Hash: file.Hash, Size: file.Size}
	if c.root.Link(filepath.Join(StateFolder, c.Store.Path(id)), name) == nil {
		return nil
	}
	from, err := c.Store.Open(id)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := c.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
