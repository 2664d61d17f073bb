package planktos

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"

	"github.com/planktos/planktos/internal/bundle"
	"github.com/planktos/planktos/internal/release"
	"github.com/planktos/planktos/internal/snapshot"
)

// compressFrom is the size in bytes from which a text is compressed: below it a response fits into one packet anyway.
const compressFrom = 1 << 10

// compressor is what both codings' writers have in common.
type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

// A coding is a content coding (RFC 9110, section 8.4.1).
type coding struct {
	name string
	// fast writers are for what is compressed anew for every response.
	fast *sync.Pool
	// best compresses as well as can be.
	best func(io.Writer) compressor
}

// brotliWindow, as a power of two, bounds what one response takes in memory.
const brotliWindow = 18

var (
	brotliCoding = &coding{
		name: "br",
		fast: &sync.Pool{New: func() any {
			return compressor(brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: 4, LGWin: brotliWindow}))
		}},
		best: func(w io.Writer) compressor { return brotli.NewWriterLevel(w, brotli.BestCompression) },
	}
	gzipCoding = &coding{
		name: "gzip",
		fast: &sync.Pool{New: func() any {
			w, _ := gzip.NewWriterLevel(nil, 5)
			return compressor(w)
		}},
		best: func(w io.Writer) compressor {
			gz, _ := gzip.NewWriterLevel(w, gzip.BestCompression)
			return gz
		},
	}
)

// codingFor chooses what an Accept-Encoding header (RFC 9110, section 12.5.3) prefers, and brotli among equals; nil for
// none. What names a coding goes before what says "*".
func codingFor(header string) *coding {
	weights := map[string]float64{}
	for item := range strings.SplitSeq(header, ",") {
		name, parameters, _ := strings.Cut(item, ";")
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.TrimSpace(parameters), "q="); ok {
			var err error
			if weight, err = strconv.ParseFloat(strings.TrimSpace(q), 64); err != nil {
				weight = 0
			}
		}
		weights[strings.TrimPrefix(strings.ToLower(strings.TrimSpace(name)), "x-")] = weight
	}
	var chosen *coding
	best := 0.0
	for _, c := range []*coding{brotliCoding, gzipCoding} {
		weight, named := weights[c.name]
		if !named {
			weight = weights["*"]
		}
		if weight > best {
			chosen, best = c, weight
		}
	}
	return chosen
}

// compressedResponse compresses the body of a response whose headers name its coding when they are written, and passes
// on one without a body (304, 412).
type compressedResponse struct {
	http.ResponseWriter
	coding  *coding
	body    compressor
	started bool
}

func (w *compressedResponse) WriteHeader(status int) {
	if !w.started {
		w.started = true
		if status == http.StatusPreconditionFailed {
			w.Header().Del("Content-Encoding")
		} else if w.Header().Get("Content-Encoding") != "" {
			w.Header().Del("Content-Length")
			w.Header().Del("Accept-Ranges")
			w.body = w.coding.fast.Get().(compressor)
			w.body.Reset(w.ResponseWriter)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *compressedResponse) Write(p []byte) (int, error) {
	if !w.started {
		w.WriteHeader(http.StatusOK)
	}
	if w.body != nil {
		return w.body.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

// finish ends the compressed body; keep is false for HEAD, which has none.
func (w *compressedResponse) finish(keep bool) {
	if w.body == nil {
		return
	}
	if keep {
		// The client is gone if this fails, and nobody is left to tell.
		_ = w.body.Close()
	}
	w.body.Reset(io.Discard)
	w.coding.fast.Put(w.body)
	w.body = nil
}

// compressedScripts holds the runtime's scripts as they are sent, by name, coding and the public key that the worker's
// has: each is compressed once in the life of a process, as small as can be, since every new visitor is sent them.
var compressedScripts sync.Map

// scriptNamed gives one of the runtime's scripts that visitors fetch by a name of its own; nil for any other name.
func (h *Handler) scriptNamed(name string) []byte {
	scripts, err := bundle.Runtime()
	if err != nil {
		return nil
	}
	switch name {
	case snapshot.WorkerFile:
		return release.WithKey(scripts.Worker, h.publicKey())
	case snapshot.InstallFile:
		return scripts.Install
	case snapshot.EngineFile:
		return scripts.Engine
	}
	return nil
}

// compressedScript gives a script in a coding.
func (h *Handler) compressedScript(name string, script []byte, coding *coding) []byte {
	key := name + "." + coding.name + "." + string(h.publicKey())
	once, _ := compressedScripts.LoadOrStore(key, sync.OnceValue(func() []byte {
		var out bytes.Buffer
		w := coding.best(&out)
		// A buffer takes everything.
		_, _ = w.Write(script)
		_ = w.Close()
		return out.Bytes()
	}))
	return once.(func() []byte)()
}

// compressScripts has the scripts ready in the coding that browsers prefer: it takes longer than a first visitor waits.
func (h *Handler) compressScripts() {
	for _, name := range []string{snapshot.WorkerFile, snapshot.InstallFile, snapshot.EngineFile} {
		if script := h.scriptNamed(name); script != nil {
			h.compressedScript(name, script, brotliCoding)
		}
	}
}
