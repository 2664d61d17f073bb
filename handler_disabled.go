package planktos

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"io/fs"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/snapshot"
)

// fingerprint looks at the tree without reading it, and at whether its manifest is another one: it may disable Planktos.
func (h *Handler) fingerprint(ctx context.Context) (snapshot.Print, error) {
	print, err := snapshot.Fingerprint(ctx, h.FS, &snapshot.Options{Paths: h.Options.Paths, Exclude: h.Options.Exclude})
	if info, statErr := fs.Stat(h.FS, release.ManifestFile); err == nil && statErr == nil {
		record := binary.BigEndian.AppendUint64(print[:], uint64(info.Size()))
		print = sha256.Sum256(binary.BigEndian.AppendUint64(record, uint64(info.ModTime().UnixNano())))
	}
	return print, err
}

// disabled is the manifest in the tree, if it has Planktos leave the site's visitors ([Disable]); nil if it does not. Any
// other manifest there is of no interest: what is served is packed anew.
func (h *Handler) disabled() []byte {
	if info, err := fs.Stat(h.FS, release.ManifestFile); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	var document []byte
	f, err := h.FS.Open(release.ManifestFile)
	if err == nil {
		defer f.Close()
		document, err = io.ReadAll(io.LimitReader(f, manifest.MaxBytes+1))
	}
	switch {
	case err != nil:
		h.log.Warn("the manifest in the tree, which may disable Planktos, cannot be read", "error", err)
		return nil
	case !manifest.Disabled(document):
		return nil
	}
	return document
}
