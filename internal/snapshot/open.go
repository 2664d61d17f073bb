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
	add := func(name string, data []byte) {
		if data != nil {
			s.assets[name] = asset{data, rootOf(data), mediatype.Of(name)}
		}
	}
	add(ManifestFile, s.Manifest)
	add(WorkerFile, s.runtime.Worker)
	add(InstallFile, s.runtime.Install)
	add(EngineFile, s.runtime.Engine)
	for i, shard := range s.Root.Shards {
		add(shardFile(shard.Hash), s.Shards[i])
	}
	add(TorrentFile, s.Torrent)
	torrentAsset := s.assets[TorrentFile]
	torrentAsset.mediaType = "application/x-bittorrent"
	s.assets[TorrentFile] = torrentAsset
}

func shardFile(hash merkle.Hash) string { return "planktos/shards/" + hash.String() + ".json" }

func rootOf(data []byte) merkle.Hash {
	h := merkle.NewHasher(merkle.BlockSize)
	h.Write(data)
	root, _ := h.Sum()
	return root
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
		return &Entry{Body: bytes.NewReader(data), Size: int64(len(data)), Type: mediatype.Default, Hash: rootOf(data)}, nil
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
	case !file.Tagged && ok:
		entry.Body = seeker
	case file.Tagged && isReaderAt:
		spliced := &splice{readerAt, int64(file.tagAt), s.tag}
		entry.Body = io.NewSectionReader(spliced, 0, file.Size)
	default:
		f.Close()
		return nil, fmt.Errorf("%s: its file system gives no random access", file.Path)
	}
	return entry, nil
}

// splice reads a file with a few bytes put in.
type splice struct {
	file io.ReaderAt
	at   int64
	put  []byte
}

func (s *splice) ReadAt(p []byte, offset int64) (n int, err error) {
	end := s.at + int64(len(s.put))
	for n < len(p) && err == nil {
		var k int
		switch position := offset + int64(n); {
		case position < s.at:
			k, err = s.file.ReadAt(p[n:min(int64(len(p)), int64(n)+s.at-position)], position)
			if err == io.EOF && k > 0 {
				err = nil // the file may end where the bytes are put in
			}
		case position < end:
			k = copy(p[n:], s.put[position-s.at:])
		default:
			k, err = s.file.ReadAt(p[n:], position-int64(len(s.put)))
		}
		n += k
	}
	return n, err
}

func layerBytes(layer []merkle.Hash) []byte {
	b := make([]byte, 0, len(layer)*len(merkle.Hash{}))
	for _, h := range layer {
		b = append(b, h[:]...)
	}
	return b
}
