package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/planktos/planktos/internal/merkle"
)

const layerSuffix = ".layer"

func layerName(id ID, pieceLength int64) string {
	return contentName(id) + "." + strconv.FormatInt(pieceLength, 10) + layerSuffix
}

func parseLayerName(name string) (ID, int64, bool) {
	whole, ok := strings.CutSuffix(name, layerSuffix)
	id, pieceLength, isPart := parsePartName(whole)
	return id, pieceLength, ok && isPart
}

// Layer is the content's piece layer as far as the store knows it, verified, or nil. A content that is not longer
// than a piece has none. The layer of a complete content is computed if it is not there.
func (s *Store) Layer(id ID, pieceLength int64) ([]merkle.Hash, error) {
	count := merkle.LayerLength(id.Size, pieceLength)
	if count == 0 {
		return nil, nil
	}
	if !s.Has(id) {
		return s.notedLayer(id, pieceLength)
	}
	if layer, err := readHashes(s.root, layerName(id, pieceLength), 0, count); err == nil &&
		merkle.VerifyLayer(id.Hash, id.Size, pieceLength, layer) == nil {
		return layer, nil
	}
	root, layer, err := s.hash(id, pieceLength)
	if err != nil {
		return nil, err
	}
	if root != id.Hash {
		return nil, fmt.Errorf("store: %s/%s: %w", s.dir, contentName(id), merkle.ErrMismatch)
	}
	return layer, s.saveLayer(id, pieceLength, layer)
}

func (s *Store) saveLayer(id ID, pieceLength int64, layer []merkle.Hash) error {
	if len(layer) == 0 {
		return nil
	}
	f, err := s.root.Create(layerName(id, pieceLength))
	if err != nil {
		return err
	}
	_, err = f.Write(hashBytes(layer))
	return errors.Join(err, f.Close())
}

// notedLayer is the layer that stands in a part's notes.
func (s *Store) notedLayer(id ID, pieceLength int64) ([]merkle.Hash, error) {
	count := merkle.LayerLength(id.Size, pieceLength)
	layer, err := readHashes(s.root, partsFolder+"/"+partName(id, pieceLength), id.Size, count)
	if err != nil || merkle.VerifyLayer(id.Hash, id.Size, pieceLength, layer) != nil {
		return nil, nil // left before anything was noted
	}
	return layer, nil
}

// hash reads a complete content.
func (s *Store) hash(id ID, pieceLength int64) (merkle.Hash, []merkle.Hash, error) {
	f, err := s.root.Open(contentName(id))
	if err != nil {
		return merkle.Hash{}, nil, fmt.Errorf("store: %w", err)
	}
	defer f.Close()
	h := merkle.NewHasher(pieceLength)
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 128<<10)); err != nil {
		return merkle.Hash{}, nil, fmt.Errorf("store: %w", err)
	}
	root, layer := h.Sum()
	return root, layer, nil
}

// readHashes reads count hashes that stand at an offset of a file.
func readHashes(root *os.Root, name string, offset, count int64) ([]merkle.Hash, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < offset+count*int64(len(merkle.Hash{})) {
		return nil, fs.ErrNotExist
	}
	data := make([]byte, count*int64(len(merkle.Hash{})))
	if _, err := f.ReadAt(data, offset); err != nil {
		return nil, err
	}
	layer := make([]merkle.Hash, count)
	for i := range layer {
		copy(layer[i][:], data[i*len(merkle.Hash{}):])
	}
	return layer, nil
}

func hashBytes(layer []merkle.Hash) []byte {
	b := make([]byte, 0, len(layer)*len(merkle.Hash{}))
	for i := range layer {
		b = append(b, layer[i][:]...)
	}
	return b
}
