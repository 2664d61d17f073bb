package snapshot

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/planktos/planktos/internal/mediatype"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/release"
)

// Entry is an open file of the packed site. Its Body is not safe for concurrent use.
type Entry struct {
	Body io.ReadSeeker
	Size int64
	// ModTime is zero for what Planktos adds: its hash says all.
	ModTime time.Time
	// Type is the Content-Type.
	Type string
	// Hash is the content's pieces root, and serves as a strong validator together with Size.
	Hash  merkle.Hash
	close func() error
}

// Close closes the file behind Body, if there is one.
func (e *Entry) Close() error {
	if e.close == nil {
		return nil
	}
	return e.close()
}

// asset is a file that Planktos adds, small enough to be kept.
type asset struct {
	data      []byte
	hash      merkle.Hash
	mediaType string
}

func (s *Snapshot) addAssets() {
	s.assets = map[string]asset{}
	s.addAsset(ManifestFile, s.Manifest)
	s.addAsset(WorkerFile, s.runtime.Worker)
	s.addAsset(InstallFile, s.runtime.Install)
	s.addAsset(EngineFile, s.runtime.Engine)
	for i, shard := range s.Root.Shards {
		s.addAsset(release.ShardFile(shard.Hash), s.Shards[i])
	}
	s.addAsset(TorrentFile, s.Torrent)
	torrentAsset := s.assets[TorrentFile]
	torrentAsset.mediaType = "application/x-bittorrent"
	s.assets[TorrentFile] = torrentAsset
}

func (s *Snapshot) addAsset(name string, data []byte) {
	if data != nil {
		s.assets[name] = asset{data, merkle.Root(data), mediatype.Of(name)}
	}
}

// Lookup finds a file of the site by its path.
func (s *Snapshot) Lookup(name string) (*File, bool) {
	low, high := 0, len(s.Files)
	for low < high {
		if middle := (low + high) / 2; s.Files[middle].Path < name {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == len(s.Files) || s.Files[low].Path != name {
		return nil, false
	}
	return &s.Files[low], true
}

// Open opens a file of the packed site by its name relative to the site's root, not percent-encoded: the site's own
// paths, and what Planktos adds. The error wraps [fs.ErrNotExist] if there is none, and [ErrChanged] if the file behind
// it is no longer what was packed.
func (s *Snapshot) Open(name string) (*Entry, error) {
	if f, ok := s.Lookup(name); ok {
		return s.openFile(f, mediatype.Of(name))
	}
	if a, ok := s.assets[name]; ok {
		return &Entry{Body: bytes.NewReader(a.data), Size: int64(len(a.data)), Type: a.mediaType, Hash: a.hash}, nil
	}
	if own, ok := strings.CutPrefix(name, Folder+"/"); ok {
		digits, layer := strings.CutSuffix(own, ".layer")
		if hash, err := merkle.ParseHash(digits); err == nil {
			return s.openContent(name, hash, layer)
		}
	}
	return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// openContent opens a content or its piece layer by hash.
func (s *Snapshot) openContent(name string, hash merkle.Hash, layer bool) (*Entry, error) {
	c := s.contents[hash]
	switch {
	case c == nil, layer && len(c.hashes.Layer) == 0, !layer && !s.Root.Copies:
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	case layer:
		data := layerBytes(c.hashes.Layer)
		return &Entry{Body: bytes.NewReader(data), Size: int64(len(data)), Type: mediatype.Default, Hash: merkle.Root(data)}, nil
	}
	var err error
	for _, i := range c.files {
		var entry *Entry
		if entry, err = s.openFile(&s.Files[i], mediatype.Default); err == nil {
			entry.ModTime = time.Time{} // that of whichever path
			return entry, nil
		}
	}
	return nil, err
}

func (s *Snapshot) openFile(file *File, mediaType string) (*Entry, error) {
	f, err := openSource(s.fsys, file.source)
	if err != nil {
		return nil, err
	}
	entry := &Entry{Size: file.Size, ModTime: file.ModTime, Type: mediaType, Hash: file.Hash, close: f.Close}
	seeker, ok := f.(io.ReadSeeker)
	switch readerAt, isReaderAt := f.(io.ReaderAt); {
	case !file.Edited() && ok:
		entry.Body = seeker
	case file.Edited() && isReaderAt:
		entry.Body = io.NewSectionReader(&splice{readerAt, file.source.size, file.edits}, 0, file.Size)
	default:
		f.Close()
		return nil, fmt.Errorf("%s: its file system gives no random access", file.Path)
	}
	return entry, nil
}

func layerBytes(layer []merkle.Hash) []byte {
	b := make([]byte, 0, len(layer)*len(merkle.Hash{}))
	for _, h := range layer {
		b = append(b, h[:]...)
	}
	return b
}
