package torrent

import (
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/planktos/planktos/internal/merkle"
)

// A Metainfo is a .torrent file as [Parse] has checked it.
type Metainfo struct {
	Info       []byte     // the info dictionary as it stands, what the hashes are over
	InfoHash   InfoHash   // of a v1 or hybrid torrent: the SHA-1; still the SHA-1 of a v2 torrent, which has no use
	InfoHashV2 InfoHashV2 // the SHA-256
	V1, V2     bool       // the versions it can be used as; both for a hybrid

	Name        string
	PieceLength int64 // of a v2 or hybrid torrent a power of two of at least 16 KiB
	NumPieces   int64
	Length      int64      // bytes in NumPieces pieces, with pads; the last piece may be short
	Pieces      [][20]byte // SHA-1 of each piece, if V1
	Single      bool       // one file, called Name; otherwise Name is the folder of all files
	Files       []File     // in the torrent's order, without pads

	Trackers []string // announce-list (BEP 12) one tier after the other, or announce
	WebSeeds []string // url-list (BEP 19)
}

// A File is one file of a [Metainfo].
type File struct {
	Path   []string // below Metainfo.Name; of a single file its name alone
	Size   int64
	Offset int64         // of its first byte in the torrent; a multiple of PieceLength if V2 and Size > 0
	Attr   string        // BEP 47: 'x' executable, 'h' hidden, 'l' symbolic link
	Root   merkle.Hash   // pieces root, if V2 and Size > 0
	Layer  []merkle.Hash // piece layer, if V2 and longer than a piece; files of one root share it
}

// maxSegments bounds the names of all paths together: a deep folder of many files would take far more memory than the
// bytes it was read from.
const maxSegments = 1 << 22

// Parse reads a v1, v2 or hybrid torrent. It accepts canonical bencode only, and only what is consistent: paths that
// stay below the torrent's name and do not overlap, piece layers that lead to their roots, and hybrids whose v1 files
// are their v2 files, each on a piece boundary. Memory is bounded by the data's length; bound that.
func Parse(data []byte) (*Metainfo, error) {
	p := parser{r: reader{data: data}, layers: map[string][]byte{}}
	if err := p.parse(); err != nil {
		return nil, fmt.Errorf("torrent: %w", err)
	}
	return &p.m, nil
}

// A parser collects what stands in the dictionaries, whose keys come in the order of bencode, and checks it at the end.
type parser struct {
	r        reader
	m        Metainfo
	announce string
	segments int

	version  int64
	length   int64 // -1: none
	attr     string
	v1Files  []v1File
	hasFiles bool
	pieces   []byte
	hasTree  bool
	v2Files  []File
	layers   map[string][]byte
}

// A v1File is an entry of the v1 file list.
type v1File struct {
	path []string
	size int64
	attr string
}

func (p *parser) parse() error {
	if err := p.top(); err != nil {
		return err
	}
	if p.r.at < len(p.r.data) {
		return fmt.Errorf("%d bytes after the dictionary", len(p.r.data)-p.r.at)
	}
	if p.m.Info == nil {
		return errors.New("no info dictionary")
	}
	p.m.InfoHash, p.m.InfoHashV2 = sha1.Sum(p.m.Info), sha256.Sum256(p.m.Info)
	return p.check()
}

func (p *parser) top() error {
	r := &p.r
	return r.dict(func(key string) (err error) {
		switch key {
		case "announce":
			p.announce, err = r.text()
		case "announce-list":
			err = r.list(func() error { return r.list(func() error { return p.url(&p.m.Trackers) }) })
		case "info":
			start := r.at
			err = p.info()
			p.m.Info = r.data[start:r.at:r.at]
		case "piece layers":
			err = r.dict(func(root string) (err error) {
				p.layers[root], err = r.bytes()
				return err
			})
		case "url-list":
			if r.peek() == 'l' {
				err = r.list(func() error { return p.url(&p.m.WebSeeds) })
			} else {
				err = p.url(&p.m.WebSeeds)
			}
		default:
			err = r.skip()
		}
		return err
	})
}

// url reads a string and appends it, unless it is empty, as some programs write for none.
func (p *parser) url(list *[]string) error {
	s, err := p.r.text()
	if err == nil && s != "" {
		*list = append(*list, s)
	}
	return err
}

func (p *parser) info() error {
	r := &p.r
	p.length = -1
	return r.dict(func(key string) (err error) {
		switch key {
		case "attr":
			p.attr, err = r.text()
		case "file tree":
			p.hasTree = true
			err = r.dict(func(name string) error { return p.tree(nil, name) })
		case "files":
			p.hasFiles = true
			err = r.list(p.file)
		case "length":
			p.length, err = p.size()
		case "meta version":
			p.version, err = r.integer()
		case "name":
			p.m.Name, err = r.text()
		case "piece length":
			p.m.PieceLength, err = r.integer()
		case "pieces":
			p.m.V1 = true
			p.pieces, err = r.bytes()
		default:
			err = r.skip()
		}
		return err
	})
}

// size reads a number of bytes.
func (p *parser) size() (int64, error) {
	n, err := p.r.integer()
	if err == nil && (n < 0 || n > maxTotal) {
		err = fmt.Errorf("length %d", n)
	}
	return n, err
}

// count reports a path's names against maxSegments.
func (p *parser) count(path []string) error {
	if p.segments += len(path); p.segments > maxSegments {
		return errors.New("too many files in too many folders")
	}
	return nil
}

// file reads an entry of the v1 file list.
func (p *parser) file() error {
	f := v1File{size: -1}
	r := &p.r
	err := r.dict(func(key string) (err error) {
		switch key {
		case "attr":
			f.attr, err = r.text()
		case "length":
			f.size, err = p.size()
		case "path":
			err = r.list(func() error {
				name, err := r.text()
				f.path = append(f.path, name)
				return err
			})
		default:
			err = r.skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	if f.size < 0 {
		return errors.New("file without length")
	}
	if !f.pad() {
		if err := checkPath(f.path); err != nil {
			return err
		}
	}
	p.v1Files = append(p.v1Files, f)
	return p.count(f.path)
}

// tree reads what stands in the v2 file tree for one name in a folder: another folder, or a file, a dictionary whose
// only key is the empty string.
func (p *parser) tree(folder []string, name string) error {
	path := append(folder[:len(folder):len(folder)], name)
	if err := checkPath(path); err != nil {
		return err
	}
	isFile, isFolder := false, false
	err := p.r.dict(func(key string) error {
		if key == "" {
			isFile = true
			return p.treeFile(path)
		}
		isFolder = true
		return p.tree(path, key)
	})
	if err == nil && isFile == isFolder {
		err = fmt.Errorf("path %q is neither a file nor a folder, or both", path)
	}
	return err
}

func (p *parser) treeFile(path []string) error {
	f := File{Path: path, Size: -1}
	r, hasRoot := &p.r, false
	err := r.dict(func(key string) (err error) {
		switch key {
		case "attr":
			f.Attr, err = r.text()
		case "length":
			f.Size, err = p.size()
		case "pieces root":
			var b []byte
			b, err = r.bytes()
			hasRoot = err == nil && copy(f.Root[:], b) == len(b) && len(b) == len(f.Root)
			if err == nil && !hasRoot {
				err = fmt.Errorf("pieces root of %d bytes", len(b))
			}
		default:
			err = r.skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	if f.Size < 0 || hasRoot != (f.Size > 0) {
		return fmt.Errorf("path %q: length and pieces root do not agree", path)
	}
	p.v2Files = append(p.v2Files, f)
	return p.count(path)
}
