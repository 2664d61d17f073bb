// Command sizes prints what a visitor downloads of the runtime, against the budget of 24 KB gzip for the three scripts
// together.
package main

import (
	"compress/gzip"
	"fmt"
	"os"

	"github.com/planktos/planktos/internal/bundle"
)

func main() {
	scripts, err := bundle.Runtime()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sizes:", err)
		os.Exit(1)
	}
	raw, zipped := 0, 0
	for _, script := range []struct {
		name string
		code []byte
	}{
		{"planktos/install.js", scripts.Install},
		{"planktos.sw.min.js", scripts.Worker},
		{"planktos/engine.min.js", scripts.Engine},
	} {
		size := gzipSize(script.code)
		fmt.Printf("%-24s %7d bytes %7d gzip\n", script.name, len(script.code), size)
		raw, zipped = raw+len(script.code), zipped+size
	}
	fmt.Printf("%-24s %7d bytes %7d gzip\n", "together", raw, zipped)
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func gzipSize(data []byte) int {
	var n counter
	w, _ := gzip.NewWriterLevel(&n, gzip.BestCompression)
	_, _ = w.Write(data)
	_ = w.Close()
	return int(n)
}
