package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/planktos/planktos/internal/merkle"
	"github.com/planktos/planktos/internal/torrent"
)

// A cache is what the last pack found out about files, so that those that have not changed since need not be read. An
// entry counts only for a file with the very [stamp] it had then, and is kept only if the file had been left alone for
// longer than its file system can tell times apart before it was read: what a later write could hide from is not kept
// (as with git's index, the "racy git" problem). The file is written whole and carries its own hash. It is of no use to
// another program than the one that wrote it: a later version may read pages differently.
type cache struct {
	// Program is the executable's version, time and size.
	Program string `json:"program"`
	// PieceLength is what the files' hashes are for.
	PieceLength int64 `json:"pieceLength"`
	// Markup stands for what was to be put into pages: whether there is anything to change in one depends on it.
	Markup string `json:"markup"`
	// Files are those of the site by path, and Copies those named by hash in planktos/.
	Files  map[string]cachedFile `json:"files"`
	Copies map[string]known      `json:"copies"`
}

// cachedFile is what hashing a file gave. Pages that are not packed as they are have none: publishing writes them anew.
type cachedFile struct {
	Stamp  stamp       `json:"stamp"`
	Root   merkle.Hash `json:"root"`
	Layer  []byte      `json:"layer,omitempty"` // hash after hash
	V1     []byte      `json:"v1"`              // SHA-1 after SHA-1
	V1Last []byte      `json:"v1Last"`
	// Base and URLs are the references of pages and style sheets. They are bytes since a document need not be UTF-8.
	Base   []byte   `json:"base,omitempty"`
	URLs   [][]byte `json:"urls,omitempty"`
	Reason string   `json:"reason,omitempty"` // of a page: why it gets no first-visit snippet
}

// known is a file that was found, or written, to have this content.
type known struct {
	Stamp stamp       `json:"stamp"`
	Root  merkle.Hash `json:"root"`
}

// cacheHead begins a cache file. The SHA-256 of the rest follows in hex, and a line feed.
const cacheHead = "planktos pack cache 1 "

// program identifies the running executable; "" if that cannot be done, and then there is no caching.
func program() string {
	name, err := os.Executable()
	if err != nil {
		return ""
	}
	info, err := os.Stat(name)
	if err != nil {
		return ""
	}
	return strconv.FormatInt(info.ModTime().UnixNano(), 10) + " " + strconv.FormatInt(info.Size(), 10)
}

// readCache reads a cache file. What cannot be read, is damaged, or was written by another program holds nothing.
func readCache(name, program string) *cache {
	empty := &cache{}
	data, err := os.ReadFile(name)
	if err != nil {
		return empty
	}
	sum, body, ok := bytes.Cut(bytes.TrimPrefix(data, []byte(cacheHead)), []byte("\n"))
	want := sha256.Sum256(body)
	c := new(cache)
	if !ok || string(sum) != hex.EncodeToString(want[:]) || json.Unmarshal(body, c) != nil || c.Program != program {
		return empty
	}
	return c
}

// write puts the cache into a file, or leaves the one that is there.
func (c *cache) write(name string) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	data := slices.Concat([]byte(cacheHead), []byte(hex.EncodeToString(sum[:])), []byte("\n"), body)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	// Created with mode 0600: the names of a site's files are nobody else's business before they are published.
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// openCache reads the cache, and forgets what was found out for another piece length, and of pages for another markup.
func (s *Snapshot) openCache(o *Options, pieceLength int64) {
	s.cache = &cache{}
	id := program()
	if o.Cache == "" || id == "" {
		return
	}
	if !o.Rehash {
		s.cache = readCache(o.Cache, id)
	}
	s.cacheFile = o.Cache
	s.found = &cache{
		Program: id, PieceLength: pieceLength, Markup: s.markup.digest(),
		Files: map[string]cachedFile{}, Copies: map[string]known{},
	}
	if s.cache.PieceLength != pieceLength {
		s.cache.Files = nil
	}
	if s.cache.Markup != s.found.Markup {
		maps.DeleteFunc(s.cache.Files, func(name string, _ cachedFile) bool { return isHTML(name) })
	}
}

// saveCache writes what was found out of the files, and of the copies that publishing has left. A failure to do so costs
// the next pack time, and nothing else. ahead is how far the file system's clock is ahead of ours.
func (s *Snapshot) saveCache(copies map[string]known, ahead time.Duration) error {
	if s.found == nil {
		return nil
	}
	c := *s.found
	c.Copies = copies
	c.Files = maps.Clone(c.Files)
	maps.DeleteFunc(c.Files, func(_ string, f cachedFile) bool { return !settled(f.Stamp.changed(), s.began.Add(ahead)) })
	if err := c.write(s.cacheFile); err != nil {
		return fmt.Errorf("what this pack found out cannot be kept: %w", err)
	}
	return nil
}

// lookup gives what is known of a file; false if that is nothing.
func (c *cache) lookup(src source, pieceLength int64) (found hashed, ok bool) {
	entry, ok := c.Files[src.path]
	if !ok || entry.Stamp != src.stamp || src.keep && isHTML(src.path) {
		return hashed{}, false
	}
	pieces := (src.size + pieceLength - 1) / pieceLength
	if len(entry.Layer)%len(merkle.Hash{}) != 0 ||
		int64(len(entry.V1)) != 20*pieces || len(entry.V1Last) != 20 {
		return hashed{}, false
	}
	h := torrent.FileHashes{Size: src.size, Root: entry.Root, V1Last: [20]byte(entry.V1Last)}
	for piece := range slices.Chunk(entry.V1, 20) {
		h.V1 = append(h.V1, [20]byte(piece))
	}
	for node := range slices.Chunk(entry.Layer, len(merkle.Hash{})) {
		h.Layer = append(h.Layer, merkle.Hash(node))
	}
	found = hashed{hashes: h, reason: entry.Reason, stamp: src.stamp}
	found.refs.base = string(entry.Base)
	for _, url := range entry.URLs {
		found.refs.urls = append(found.refs.urls, string(url))
	}
	return found, true
}

// add remembers what hashing a file gave.
func (c *cache) add(src source, h hashed) {
	if c == nil || h.edits != nil || h.stamp != src.stamp || src.keep && isHTML(src.path) {
		return
	}
	entry := cachedFile{
		Stamp: h.stamp, Root: h.hashes.Root, Layer: layerBytes(h.hashes.Layer), V1Last: h.hashes.V1Last[:],
		Base: []byte(h.refs.base), Reason: h.reason,
	}
	for _, piece := range h.hashes.V1 {
		entry.V1 = append(entry.V1, piece[:]...)
	}
	for _, url := range h.refs.urls {
		entry.URLs = append(entry.URLs, []byte(url))
	}
	c.Files[src.path] = entry
}
