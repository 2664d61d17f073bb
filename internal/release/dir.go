package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Dir is the packed site in a folder, whose path is root's name. Nothing is read that a symbolic link would have lie
// outside of it.
func Dir(root *os.Root) Source { return dir{root} }

type dir struct{ root *os.Root }

func (d dir) Where(name string) string { return filepath.Join(d.root.Name(), filepath.FromSlash(name)) }

func (d dir) Open(_ context.Context, name string) (io.ReadCloser, error) {
	info, err := d.root.Stat(name)
	if err != nil {
		return nil, d.fail(name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", d.Where(name))
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, d.fail(name, err)
	}
	return f, nil
}

// fail names the file once, by its whole path.
func (d dir) fail(name string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("%s: %w", d.Where(name), err)
}
