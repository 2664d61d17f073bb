package planktos

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/planktos/planktos/internal/origin"
	"github.com/planktos/planktos/internal/release"
)

// isURL tells URLs from paths of folders.
func isURL(where string) bool { return strings.Contains(where, "://") }

// redacted is where without the password that a URL may hold.
func redacted(where string) string {
	if u, err := url.Parse(where); err == nil && u.User != nil {
		return u.Redacted()
	}
	return where
}

// openSource opens the packed site at a URL or in a folder, until closed is called. The error does not repeat where.
func openSource(where string) (src release.Source, closed func(), err error) {
	if isURL(where) {
		site, err := origin.New(where)
		if err != nil {
			return nil, nil, err
		}
		return site, site.Close, nil
	}
	root, err := os.OpenRoot(where)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, errors.New("there is no such folder")
	case err != nil:
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err
		}
		return nil, nil, err
	}
	return release.Dir(root), func() { root.Close() }, nil
}
