package torrent

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/planktos/planktos/internal/merkle"
)

// maxForeignPieceLength bounds what Parse accepts; Build stays far below.
const maxForeignPieceLength = 1 << 30

// check derives the rest of the Metainfo from what was read, and looks for contradictions.
func (p *parser) check() error {
	m := &p.m
	if err := checkSegment(m.Name); err != nil {
		return fmt.Errorf("torrent's %w", err)
	}
	if m.PieceLength <= 0 || m.PieceLength > maxForeignPieceLength {
		return fmt.Errorf("piece length %d", m.PieceLength)
	}
	switch p.version {
	case 0, 1:
		if p.hasTree {
			return errors.New("file tree without meta version 2")
		}
	case 2:
		m.V2 = true
	default:
		return fmt.Errorf("unknown meta version %d", p.version)
	}
	if !m.V1 && !m.V2 {
		return errors.New("neither pieces nor file tree")
	}
	if len(m.Trackers) == 0 && p.announce != "" {
		m.Trackers = []string{p.announce}
	}
	if m.V1 {
		if err := p.checkV1(); err != nil {
			return err
		}
	}
	if m.V2 {
		if err := p.checkV2(); err != nil {
			return err
		}
	}
	return nil
}

// checkV1 lays the v1 files out one after the other.
func (p *parser) checkV1() error {
	m := &p.m
	if (p.length >= 0) == p.hasFiles {
		return errors.New("neither length nor files, or both")
	}
	if m.Single = !p.hasFiles; m.Single {
		p.v1Files = []v1File{{path: []string{m.Name}, size: p.length, attr: p.attr}}
	}
	for _, f := range p.v1Files {
		if !f.pad() {
			m.Files = append(m.Files, File{Path: f.path, Size: f.size, Offset: m.Length, Attr: f.attr})
		}
		if m.Length += f.size; m.Length > maxTotal {
			return errors.New("files are too large together")
		}
	}
	m.NumPieces = pieceCount(m.Length, m.PieceLength)
	if len(m.Files) == 0 || m.NumPieces == 0 {
		return errors.New("no content")
	}
	if len(p.pieces)%20 != 0 || int64(len(p.pieces)/20) != m.NumPieces {
		return fmt.Errorf("pieces of %d bytes for %d pieces", len(p.pieces), m.NumPieces)
	}
	m.Pieces = make([][20]byte, m.NumPieces)
	for i := range m.Pieces {
		copy(m.Pieces[i][:], p.pieces[20*i:])
	}
	if m.V2 {
		return nil // the file tree cannot say a path twice
	}
	sorted := slices.SortedFunc(slices.Values(m.Files), func(a, b File) int { return slices.Compare(a.Path, b.Path) })
	return checkOverlap(len(sorted), func(i int) []string { return sorted[i].Path })
}

func (f *v1File) pad() bool { return strings.Contains(f.attr, "p") }

// checkV2 lays the v2 files out, each on a piece boundary, verifies their layers, and compares them with the v1 files.
func (p *parser) checkV2() error {
	m := &p.m
	if !merkle.ValidPieceLength(m.PieceLength) {
		return fmt.Errorf("piece length %d is not a power of two from 16 KiB", m.PieceLength)
	}
	end, pieces := int64(0), int64(0)
	for i := range p.v2Files {
		f := &p.v2Files[i]
		if f.Size == 0 {
			f.Offset = end
			continue
		}
		f.Offset = pieces * m.PieceLength
		pieces += pieceCount(f.Size, m.PieceLength)
		if end = f.Offset + f.Size; end > maxTotal {
			return errors.New("files are too large together")
		}
	}
	if pieces == 0 {
		return errors.New("no content")
	}
	if err := p.checkLayers(); err != nil {
		return err
	}
	if m.V1 {
		return p.checkHybrid(pieces)
	}
	m.Files, m.NumPieces, m.Length = p.v2Files, pieces, end
	m.Single = len(m.Files) == 1 && slices.Equal(m.Files[0].Path, []string{m.Name})
	return nil
}

// checkLayers gives each file its layer. A layer is hashed once, however many files name it: its number of hashes is
// the only part of a size that enters.
func (p *parser) checkLayers() error {
	verified := map[merkle.Hash][]merkle.Hash{}
	for i := range p.v2Files {
		f := &p.v2Files[i]
		want := merkle.LayerLength(f.Size, p.m.PieceLength)
		if want == 0 {
			continue
		}
		layer, ok := verified[f.Root]
		if !ok {
			layer = parseLayer(p.layers[string(f.Root[:])])
			if err := merkle.VerifyLayer(f.Root, f.Size, p.m.PieceLength, layer); err != nil {
				return fmt.Errorf("piece layer of %q: %w", strings.Join(f.Path, "/"), err)
			}
			verified[f.Root] = layer
		}
		if int64(len(layer)) != want {
			return fmt.Errorf("piece layer of %q has %d hashes, not %d", strings.Join(f.Path, "/"), len(layer), want)
		}
		f.Layer = layer
	}
	return nil
}

// checkHybrid compares the v1 files with the v2 files and takes over what v2 says of them. Pads may stand before or
// behind empty files, and after the last file (libtorrent writes both ways), as long as every file with content begins
// on a piece.
func (p *parser) checkHybrid(pieces int64) error {
	m := &p.m
	if len(m.Files) != len(p.v2Files) {
		return fmt.Errorf("%d v1 files, %d v2 files", len(m.Files), len(p.v2Files))
	}
	for i := range m.Files {
		a, b := &m.Files[i], &p.v2Files[i]
		if !slices.Equal(a.Path, b.Path) || a.Size != b.Size {
			return fmt.Errorf("v1 file %q and v2 file %q differ", strings.Join(a.Path, "/"), strings.Join(b.Path, "/"))
		}
		if a.Size > 0 && a.Offset != b.Offset {
			return fmt.Errorf("v1 file %q is not padded to a piece", strings.Join(a.Path, "/"))
		}
		a.Root, a.Layer = b.Root, b.Layer
	}
	if m.NumPieces != pieces {
		return fmt.Errorf("%d v1 pieces, %d v2 pieces", m.NumPieces, pieces)
	}
	return nil
}
