package planktos

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/mediatype"
)

// Cache-Control of what may change under its URL, and of what may not.
const (
	revalidate = "no-cache"
	immutable  = "public, max-age=31536000, immutable"
)

// serve answers a request for a name of a packed site, and says whether there is such a name.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, g *generation, name string) bool {
	if name == "" || strings.HasSuffix(name, "/") {
		return h.serveFile(w, r, g, name+"index.html", http.StatusOK)
	}
	switch name {
	case "planktos/manifest.json":
		if h.STUNPort != 0 && !g.disabled {
			return h.serveManifest(w, r, g)
		}
	case "planktos/root.torrent":
		return h.serveTorrent(w, r, g)
	}
	if h.serveFile(w, r, g, name, http.StatusOK) {
		return true
	}
	if g.site.has(name + "/index.html") {
		redirectTo(w, r, manifest.EncodePath(path.Base(name))+"/")
		return true
	}
	return false
}

// serveFile answers with a file of the packed site. A file that is not as it was packed has the site packed anew.
func (h *Handler) serveFile(w http.ResponseWriter, r *http.Request, g *generation, name string, status int) bool {
	file, err := g.open(name)
	if errors.Is(err, errChanged) {
		g = h.changed(r.Context(), g)
		file, err = g.open(name)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false
	case err != nil:
		// It is being written at this moment, or cannot be read: the visitor may try again.
		h.log.Warn("file cannot be served", "path", name, "error", err)
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "503 the file is changing", http.StatusServiceUnavailable)
		return true
	}
	defer file.Close()
	h.serveContent(w, r, name, file, status)
	return true
}

// open finds a name in the site, and what is addressed by its content in superseded ones as well.
func (g *generation) open(name string) (*content, error) {
	file, err := g.site.open(name)
	if err == nil || !addressedByContent(name) {
		return file, err
	}
	for _, site := range g.older {
		if file, err := site.open(name); err == nil {
			return file, nil
		}
	}
	return nil, err
}

// addressedByContent says whether what a name stands for can never change: planktos/<hash>, its layer, and shards.
func addressedByContent(name string) bool {
	rest, ok := strings.CutPrefix(name, "planktos/")
	if !ok {
		return false
	}
	if shard, ok := strings.CutPrefix(rest, "shards/"); ok {
		rest = strings.TrimSuffix(shard, ".json")
	}
	rest = strings.TrimSuffix(rest, ".layer")
	return len(rest) == 64 && strings.Trim(rest, "0123456789abcdef") == ""
}

// serveContent sends a content whole, in part, or not at all, as the request's headers have it (RFC 9110, sections 13
// and 14). Only whole texts are compressed: ranges count identity bytes, and hashed copies are what their hash says.
func (h *Handler) serveContent(w http.ResponseWriter, r *http.Request, name string, c *content, status int) {
	header := w.Header()
	header.Set("Content-Type", c.mediaType)
	fixed := addressedByContent(name)
	header.Set("Cache-Control", revalidate)
	if fixed {
		header.Set("Cache-Control", immutable)
	}
	if !strings.HasPrefix(name, "planktos/") {
		h.setHeaders(header, name)
	}
	tag := c.tag
	text := mediatype.Compressible(c.mediaType) && (!fixed || strings.HasPrefix(name, "planktos/shards/"))
	if text && c.size >= compressFrom {
		header.Add("Vary", "Accept-Encoding")
		if coding := codingFor(r.Header.Get("Accept-Encoding")); coding != nil && r.Header.Get("Range") == "" {
			// Another representation, so another strong validator (RFC 9110, section 8.8.3.3).
			tag += "." + coding.name
			if script := h.scriptNamed(name); script != nil {
				data := h.compressedScript(name, script, coding)
				header.Set("Content-Encoding", coding.name)
				header.Set("Content-Length", strconv.Itoa(len(data)))
				header.Set("ETag", `"`+tag+`"`)
				http.ServeContent(w, r, "", c.modTime, bytes.NewReader(data))
				return
			}
			header.Set("Content-Encoding", coding.name)
			compressed := &compressedResponse{ResponseWriter: w, coding: coding}
			defer func() { compressed.finish(r.Method != http.MethodHead) }()
			w = compressed
		}
	}
	if status != http.StatusOK {
		// An error's body is neither a part nor unchanged, whatever was asked.
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = io.Copy(w, c)
		}
		return
	}
	header.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", c.modTime, c)
}

// setHeaders applies the owner's rules; later ones override earlier ones.
func (h *Handler) setHeaders(header http.Header, name string) {
	for _, rule := range h.Options.Headers {
		if !manifest.HeaderRule(rule).Matches(name) {
			continue
		}
		for key, value := range rule.Headers {
			header.Set(key, value)
		}
	}
}

// serveNotFound answers with the site's 404.html, if there is one.
func (h *Handler) serveNotFound(w http.ResponseWriter, r *http.Request, g *generation) {
	if g == nil {
		g, _ = h.generation(r.Context())
	}
	if g != nil && h.serveFile(w, r, g, "404.html", http.StatusNotFound) {
		return
	}
	w.Header().Set("Cache-Control", revalidate)
	http.NotFound(w, r)
}

// serveManifest answers with the manifest, which names the STUN server at the host that the visitor knows.
func (h *Handler) serveManifest(w http.ResponseWriter, r *http.Request, g *generation) bool {
	root := *g.site.packed.Root
	host := hostOf(r)
	if host == "" {
		return h.serveFile(w, r, g, "planktos/manifest.json", http.StatusOK)
	}
	stun := "stun:" + net.JoinHostPort(host, strconv.Itoa(h.STUNPort))
	root.ICE = append([]manifest.ICEServer{{URLs: []string{stun}}}, root.ICE...)
	document, err := root.Encode()
	if err == nil && h.Key != nil {
		document, err = manifest.Sign(document, h.Key, manifest.Seal{Sequence: g.sequence})
	}
	if err != nil {
		h.log.Error("manifest cannot be encoded", "error", err)
		return h.serveFile(w, r, g, "planktos/manifest.json", http.StatusOK)
	}
	h.serveContent(w, r, "planktos/manifest.json", contentOf(document, "application/json"), http.StatusOK)
	return true
}

// serveTorrent answers with the torrent, whose web seed is this very host.
func (h *Handler) serveTorrent(w http.ResponseWriter, r *http.Request, g *generation) bool {
	host := r.Host
	if hostOf(r) == "" {
		return h.serveFile(w, r, g, "planktos/root.torrent", http.StatusOK)
	}
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	seed := scheme + "://" + host + h.base
	torrent, err := g.site.packed.TorrentFor(seed)
	if err != nil {
		h.log.Error("torrent cannot be encoded", "error", err)
		return h.serveFile(w, r, g, "planktos/root.torrent", http.StatusOK)
	}
	h.serveContent(w, r, "planktos/root.torrent", contentOf(torrent, "application/x-bittorrent"), http.StatusOK)
	return true
}

// hostOf gives the host of a request without its port, or nothing if it is not one that can be repeated.
func hostOf(r *http.Request) string {
	if checkHost(r.Host) != "" {
		return ""
	}
	return (&url.URL{Host: r.Host}).Hostname()
}

// servePad answers with zeros, for BitTorrent clients that fetch pad files (BEP 47) from web seeds.
func servePad(w http.ResponseWriter, r *http.Request, length string) {
	size, ok := parsePad(length)
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", immutable)
	w.Header().Set("ETag", `"pad-`+length+`"`)
	http.ServeContent(w, r, "", time.Time{}, &zeros{size: size})
}

// redirectTo sends the client to an escaped sibling of the path it asked for. The Location is relative (RFC 9110,
// section 10.2.2), so that it holds behind proxies that change the prefix; "./" keeps a colon from making a scheme.
func redirectTo(w http.ResponseWriter, r *http.Request, sibling string) {
	location := "./" + sibling
	if r.URL.RawQuery != "" {
		location += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", location)
	w.Header().Set("Cache-Control", revalidate)
	w.WriteHeader(http.StatusMovedPermanently)
}
