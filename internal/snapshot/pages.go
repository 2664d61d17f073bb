package snapshot

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// tempPrefix begins the names under which changed pages are written, beside the old ones, before they take their place.
const tempPrefix = ".planktos-page-"

// removeLeftovers removes what an interrupted change of pages has left, of what a walk left out.
func removeLeftovers(root *os.Root, left []LeftOut) error {
	for _, l := range left {
		if strings.HasPrefix(path.Base(l.Path), tempPrefix) {
			if err := root.Remove(l.Path); err != nil {
				return fmt.Errorf("%s: %w", l.Path, cause(err))
			}
		}
	}
	return nil
}

// rewritePages changes the pages among files as change says, each atomically, and lists those it changed.
func rewritePages(ctx context.Context, root *os.Root, files []source, change func(page []byte) []byte) ([]string, error) {
	var changed []string
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return changed, err
		}
		if f.linked || !isHTML(f.path) || f.size > maxHTML {
			continue
		}
		temp, err := writePage(root, f, change)
		if err == nil && temp != "" {
			err = placePage(root, f, temp)
		}
		if err != nil {
			return changed, err
		}
		if temp != "" {
			changed = append(changed, f.path)
		}
	}
	return changed, nil
}

// writePage writes a page as change makes it, with the mode it has, to a temporary file. There is none if nothing
// changes.
func writePage(root *os.Root, src source, change func(page []byte) []byte) (temp string, err error) {
	f, err := openSource(root.FS(), src)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("%s: %w", src.path, cause(err))
	}
	page, err := readPage(f, src)
	if err != nil {
		return "", err
	}
	other := change(page)
	if bytes.Equal(page, other) {
		return "", nil
	}
	temp = path.Join(path.Dir(src.path), tempPrefix+rand.Text())
	if err := writeTemp(root, temp, other, info.Mode()); err != nil {
		root.Remove(temp)
		return "", fmt.Errorf("%s: writing the page: %w", src.path, cause(err))
	}
	return temp, nil
}

// placePage puts a temporary file in the place of the page that it was made of. Whoever has written to the page
// meanwhile wins.
func placePage(root *os.Root, src source, temp string) error {
	f, err := openSource(root.FS(), src)
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = root.Rename(temp, src.path)
	}
	if err != nil {
		root.Remove(temp)
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// readPage reads a page or style sheet whole.
func readPage(r io.Reader, src source) ([]byte, error) {
	page, err := io.ReadAll(io.LimitReader(r, src.size+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", src.path, cause(err))
	}
	if int64(len(page)) != src.size {
		return nil, fmt.Errorf("%s: %w", src.path, ErrChanged)
	}
	return page, nil
}

func writeTemp(root *os.Root, name string, data []byte, mode fs.FileMode) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(mode.Perm()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}
