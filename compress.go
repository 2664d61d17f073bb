package planktos

import (
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// compressFrom is the size in bytes from which a text is compressed: below it a response fits into one packet anyway.
const compressFrom = 1 << 10

// acceptsGzip says whether an Accept-Encoding header (RFC 9110, section 12.5.3) lets a response be gzip. What names
// gzip goes before what says "*".
func acceptsGzip(header string) bool {
	star := false
	for _, item := range strings.Split(header, ",") {
		coding, parameters, _ := strings.Cut(item, ";")
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.TrimSpace(parameters), "q="); ok {
			var err error
			if weight, err = strconv.ParseFloat(strings.TrimSpace(q), 64); err != nil {
				weight = 0
			}
		}
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return weight > 0
		case "*":
			star = weight > 0
		}
	}
	return star
}

var gzipWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, 5)
	return w
}}

// gzipResponse compresses the body of a response whose headers say Content-Encoding: gzip when they are written, and
// passes on one without a body (304, 412).
type gzipResponse struct {
	http.ResponseWriter
	gz      *gzip.Writer
	started bool
}

func (w *gzipResponse) WriteHeader(status int) {
	if !w.started {
		w.started = true
		switch {
		case w.Header().Get("Content-Encoding") != "gzip":
		case status == http.StatusPreconditionFailed:
			w.Header().Del("Content-Encoding")
		default:
			w.Header().Del("Content-Length")
			w.Header().Del("Accept-Ranges")
			w.gz = gzipWriters.Get().(*gzip.Writer)
			w.gz.Reset(w.ResponseWriter)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *gzipResponse) Write(p []byte) (int, error) {
	if !w.started {
		w.WriteHeader(http.StatusOK)
	}
	if w.gz != nil {
		return w.gz.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

// finish ends the compressed body; keep is false for HEAD, which has none.
func (w *gzipResponse) finish(keep bool) {
	if w.gz == nil {
		return
	}
	if keep {
		// The client is gone if this fails, and nobody is left to tell.
		_ = w.gz.Close()
	}
	w.gz.Reset(nil)
	gzipWriters.Put(w.gz)
	w.gz = nil
}
