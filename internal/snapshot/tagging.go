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

// tempPrefix begins the names under which changed pages are written before they take their place.
const tempPrefix = ".planktos-page-"

// InjectTree writes the script tag into every page of the site in dir that lacks it, each atomically, and lists the
// pages it changed. Of o it heeds Paths, Exclude, Base and Runtime: the scripts are put in place first, so that no page
// names what is not there, and no page is changed where planktos/ cannot be written. Pages that are reached by a
// symbolic link are changed where they lie, if that is in the site. Done again, it changes nothing.
func InjectTree(ctx context.Context, dir string, o *Options) (changed []string, err error) {
	if o == nil {
		o = &Options{}
	}
	base, err := cleanBase(o.Base)
	if err != nil {
		return nil, err
	}
	p, err := openPublisher(dir)
	if err != nil {
		return nil, err
	}
	defer p.close()
	files, left, err := walk(ctx, p.root.FS(), o)
	if err != nil {
		return nil, err
	}
	if err := p.stageRuntime(o.Runtime); err != nil {
		return nil, p.abort(err)
	}
	if err := p.commit(ctx); err != nil {
		return nil, p.abort(err)
	}
	return rewritePages(ctx, p.root, files, left, func(page []byte) []byte { return Inject(page, base) })
}

// rewritePages changes the pages among files as change says, and lists those it changed. What an interrupted change has
// left is removed.
func rewritePages(
	ctx context.Context, root *os.Root, files []source, left []LeftOut, change func(page []byte) []byte,
) ([]string, error) {
	for _, l := range left {
		if strings.HasPrefix(path.Base(l.Path), tempPrefix) {
			if err := root.Remove(l.Path); err != nil {
				return nil, fmt.Errorf("%s: %w", l.Path, cause(err))
			}
		}
	}
	var changed []string
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return changed, err
		}
		if f.linked || !isHTML(f.path) || f.size > maxHTML {
			continue
		}
		done, err := rewritePage(root, f, change)
		if err != nil {
			return changed, err
		}
		if done {
			changed = append(changed, f.path)
		}
	}
	return changed, nil
}

// rewritePage changes one page, if change changes it. The file keeps its mode.
func rewritePage(root *os.Root, src source, change func(page []byte) []byte) (changed bool, err error) {
	f, err := openSource(root.FS(), src)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("%s: %w", src.path, cause(err))
	}
	page, err := io.ReadAll(io.LimitReader(f, maxHTML+1))
	if err != nil {
		return false, fmt.Errorf("%s: %w", src.path, cause(err))
	}
	if int64(len(page)) != src.size {
		return false, fmt.Errorf("%s: %w", src.path, ErrChanged)
	}
	other := change(page)
	if bytes.Equal(page, other) {
		return false, nil
	}
	temp := path.Join(path.Dir(src.path), tempPrefix+rand.Text())
	if err := writeTemp(root, temp, other, info.Mode()); err != nil {
		root.Remove(temp)
		return false, fmt.Errorf("%s: writing the page: %w", src.path, cause(err))
	}
	// Whoever has written to the page meanwhile wins.
	if err := unchanged(f, src); err != nil {
		root.Remove(temp)
		return false, err
	}
	if err := root.Rename(temp, src.path); err != nil {
		root.Remove(temp)
		return false, fmt.Errorf("%s: writing the page: %w", src.path, err)
	}
	return true, nil
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
