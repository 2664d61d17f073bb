package planktos

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/snapshot"
)

// errChanged reports that a file is not what it was when the site was packed.
var errChanged = snapshot.ErrChanged

// content is what can be sent: bytes, and what their headers say of them.
type content struct {
	io.ReadSeeker
	io.Closer
	size    int64
	modTime time.Time // zero if there is none to speak of
	// mediaType is the Content-Type.
	mediaType string
	// tag identifies the bytes among all that have ever stood at the name, for the ETag.
	tag string
}

// open finds a name of the packed site. The error is fs.ErrNotExist or errChanged, or that of reading.
func (s *Site) open(name string) (*content, error) {
	entry, err := s.packed.Open(name)
	if err != nil {
		return nil, err
	}
	return &content{entry.Body, entry, entry.Size, entry.ModTime, entry.Type, etag(entry.Hash, entry.Size)}, nil
}

// Open opens a file of the packed site by its name relative to the site's root, not percent-encoded: the site's own
// paths as they are served, and what Planktos adds, such as planktos/manifest.json. The error wraps [fs.ErrNotExist] if
// there is none.
func (s *Site) Open(name string) (io.ReadSeekCloser, error) {
	entry, err := s.packed.Open(name)
	if err != nil {
		return nil, err
	}
	return struct {
		io.ReadSeeker
		io.Closer
	}{entry.Body, entry}, nil
}

// has says whether a path is one of the site's own files.
func (s *Site) has(name string) bool {
	_, ok := s.packed.Lookup(name)
	return ok
}

// contentOf is a content made for one response.
func contentOf(data []byte, mediaType string) *content {
	h := merkle.NewHasher(merkle.BlockSize)
	_, _ = h.Write(data)
	root, _ := h.Sum()
	size := int64(len(data))
	return &content{bytes.NewReader(data), io.NopCloser(nil), size, time.Time{}, mediaType, etag(root, size)}
}

// etag is a strong validator: hash and size identify a content.
func etag(hash merkle.Hash, size int64) string { return fmt.Sprintf("%s-%d", hash, size) }
