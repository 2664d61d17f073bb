package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/mediatype"
	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/torrent"
)

// assemble makes torrent, shards and manifest of the files, whose hashes and loads it is given in their order.
func (s *Snapshot) assemble(o *Options, base string, pieceLength int64, hashes []torrent.FileHashes, loads [][]int) error {
	s.contents = map[merkle.Hash]*content{}
	for i, h := range hashes {
		c := s.contents[h.Root]
		switch {
		case h.Size == 0:
			continue
		case c == nil:
			c = &content{hashes: h}
			s.contents[h.Root] = c
		case c.hashes.Size != h.Size:
			// One root, two sizes: a content made of another's leaves. Names by hash cannot tell them apart.
			return fmt.Errorf("%s: has the Merkle root of %s, which has another size", s.Files[i].Path,
				s.Files[c.files[0]].Path)
		}
		c.files = append(c.files, i)
	}
	layout, err := s.layOut(o, base, pieceLength, hashes, loads)
	if err != nil {
		return err
	}
	s.Root = &manifest.Root{
		Snapshot: manifest.SnapshotID(layout.rows),
		Policy:   o.Policy,
		Trackers: o.Trackers,
		ICE:      o.ICE,
		WebSeeds: o.WebSeeds,
		Torrent: manifest.Torrent{
			InfoHash:    layout.torrent.InfoHash,
			InfoHashV2:  layout.torrent.InfoHashV2,
			PieceLength: pieceLength,
			Pieces:      int(layout.torrent.Pieces),
		},
		Copies:  !o.InPlace,
		Types:   s.types(),
		Headers: o.Headers,
		Shards:  layout.shards,
	}
	if s.Root.Policy.Mode == "" {
		s.Root.Policy.Mode = "auto"
	}
	if s.Root.Policy.Prefer == "" {
		s.Root.Policy.Prefer = "speed"
	}
	if len(layout.shards) == 0 {
		s.Root.Files = layout.rows
	}
	if s.Manifest, err = s.Root.Encode(); err != nil {
		return err
	}
	s.Torrent, s.Shards, s.spec = layout.torrent.Encoded, layout.documents, layout.spec
	s.addAssets()
	return nil
}

// types gives the Content-Types of the files, by extension.
func (s *Snapshot) types() (types []manifest.MediaType) {
	byExtension := map[string]string{}
	for _, f := range s.Files {
		if t := mediatype.Of(f.Path); t != mediatype.Default {
			byExtension[mediatype.Extension(f.Path)] = t
		}
	}
	for _, extension := range slices.Sorted(maps.Keys(byExtension)) {
		types = append(types, manifest.MediaType{Extension: extension, Type: byExtension[extension]})
	}
	return types
}

// layout is where each content lies in the torrent.
type layout struct {
	spec      torrent.Spec
	torrent   *torrent.Torrent
	rows      []manifest.File
	shards    []manifest.Shard
	documents [][]byte
}

// layOut makes the torrent and the tables that name its pieces. Shards lie in the torrent whose pieces they name, and in
// place the site's own files lie behind them: so it goes on until the tables stay as they are. Each round can only move
// pieces up and make documents longer, by a digit at most, so it ends after a few.
func (s *Snapshot) layOut(
	o *Options, base string, pieceLength int64, hashes []torrent.FileHashes, loads [][]int,
) (*layout, error) {
	l := &layout{spec: torrent.Spec{
		Name:        torrentName(base, o.InPlace),
		PieceLength: pieceLength,
		Trackers:    o.Trackers,
	}}
	for _, u := range o.WebSeeds {
		if seed, ok := seedURL(l.spec.Name, o.InPlace, u); ok {
			l.spec.WebSeeds = append(l.spec.WebSeeds, seed)
		}
	}
	prefix := []string{} // where Planktos's own files lie in the torrent
	if o.InPlace {
		prefix = []string{Folder}
	}
	// positions[i] is the index in the torrent's files of s.Files[i].
	positions := make([]int, len(s.Files))
	seen := map[merkle.Hash]int{}
	for i, h := range hashes {
		if h.Size == 0 {
			continue
		}
		path := []string{h.Root.String()}
		if o.InPlace {
			path = strings.Split(s.Files[i].Path, "/")
		} else if position, ok := seen[h.Root]; ok {
			positions[i] = position
			continue
		}
		positions[i] = len(l.spec.Files)
		seen[h.Root] = positions[i]
		l.spec.Files = append(l.spec.Files, torrent.FileSpec{Path: path, Hashes: h})
	}
	engine := o.Runtime.Engine
	if len(engine) > 0 {
		h, err := torrent.HashFile(bytes.NewReader(engine), int64(len(engine)), pieceLength)
		if err != nil {
			return nil, err
		}
		l.spec.Files = append(l.spec.Files, torrent.FileSpec{Path: slices.Concat(prefix, []string{"engine.min.js"}), Hashes: h})
	}
	if len(l.spec.Files) < 2 {
		return nil, errors.New("nothing to share: the site has no file that is not empty")
	}

	own := l.spec.Files
	for range 16 {
		var err error
		if l.torrent, err = torrent.Build(l.spec); err != nil {
			return nil, err
		}
		if l.torrent.Pieces > manifest.MaxPieces {
			return nil, fmt.Errorf("the site is too large: %d pieces of %d bytes", l.torrent.Pieces, pieceLength)
		}
		l.rows = make([]manifest.File, len(s.Files))
		for i, f := range s.Files {
			l.rows[i] = manifest.File{Path: f.Path, Hash: f.Hash, Size: f.Size, Loads: loads[i]}
			if f.Size > 0 {
				l.rows[i].Piece = int(l.torrent.FirstPiece[positions[i]])
			}
		}
		if len(l.rows) <= manifest.InlineFiles {
			return l, nil
		}
		documents := [][]byte{}
		l.shards = nil
		shardFiles := []torrent.FileSpec{}
		first := 0
		for _, rows := range manifest.Cut(l.rows) {
			for i := range rows {
				rows[i].Loads = within(rows[i].Loads, first, len(rows))
			}
			first += len(rows)
			document, err := manifest.EncodeShard(rows)
			if err != nil {
				return nil, err
			}
			h, err := torrent.HashFile(bytes.NewReader(document), int64(len(document)), pieceLength)
			if err != nil {
				return nil, err
			}
			shard := manifest.Shard{From: rows[0].Path, Hash: h.Root, Size: h.Size}
			if len(l.shards) == 0 {
				shard.From = ""
			}
			if at := len(own) + len(shardFiles); at < len(l.torrent.FirstPiece) {
				shard.Piece = int(l.torrent.FirstPiece[at])
			}
			l.shards = append(l.shards, shard)
			documents = append(documents, document)
			shardFiles = append(shardFiles, torrent.FileSpec{
				Path:   slices.Concat(prefix, []string{"shards", h.Root.String() + ".json"}),
				Hashes: h,
			})
		}
		if slices.EqualFunc(documents, l.documents, bytes.Equal) {
			return l, nil
		}
		l.documents = documents
		l.spec.Files = slices.Concat(own, shardFiles)
	}
	return nil, errors.New("the shards' place in the torrent does not settle")
}

// seedURL gives what a torrent's url-list (BEP 19) has to say for clients to ask <root>planktos/<hash>, or in place
// <root><path>: the URL below which the torrent's name is a folder. It is false if there is none.
func seedURL(name string, inPlace bool, root string) (string, bool) {
	if !inPlace {
		return root, true
	}
	u, err := url.Parse(root)
	if err != nil {
		return "", false
	}
	parent, ok := strings.CutSuffix(strings.TrimSuffix(u.EscapedPath(), "/"), "/"+manifest.EncodePath(name))
	if !ok {
		return "", false
	}
	return u.Scheme + "://" + u.Host + parent + "/", true
}

// BrowserSeeds are the web seeds that ordinary torrent clients are not told of, since they could not use them.
func (s *Snapshot) BrowserSeeds() []string {
	var seeds []string
	for _, u := range s.Root.WebSeeds {
		if _, ok := seedURL(s.spec.Name, !s.Root.Copies, u); !ok {
			seeds = append(seeds, u)
		}
	}
	return seeds
}

// TorrentFor gives root.torrent for a site whose root URL is known: an absolute http or https URL that ends in a slash.
// It is the first of the web seeds, and trackers on the site's own host are resolved against it; the info dictionary is
// the same.
func (s *Snapshot) TorrentFor(rootURL string) ([]byte, error) {
	root, err := url.Parse(rootURL)
	if err != nil || root.Host == "" || !strings.HasSuffix(root.Path, "/") {
		return nil, fmt.Errorf("site's URL %q: an absolute URL is needed that ends in a slash", rootURL)
	}
	spec := s.spec
	if seed, ok := seedURL(spec.Name, !s.Root.Copies, rootURL); ok && !slices.Contains(spec.WebSeeds, seed) {
		spec.WebSeeds = append([]string{seed}, spec.WebSeeds...)
	}
	spec.Trackers = nil
	for _, tracker := range s.spec.Trackers {
		if strings.HasPrefix(tracker, "/") {
			tracker = strings.Replace(root.Scheme, "http", "ws", 1) + "://" + root.Host + tracker
		}
		spec.Trackers = append(spec.Trackers, tracker)
	}
	t, err := torrent.Build(spec)
	if err != nil {
		return nil, err
	}
	return t.Encoded, nil
}
