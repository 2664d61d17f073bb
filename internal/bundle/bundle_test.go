package bundle

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/evanw/esbuild/pkg/api"
)

// TestRuntime compiles the runtime as it is, and prints what a visitor downloads.
func TestRuntime(t *testing.T) {
	s, err := Runtime()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, script := range []struct {
		name string
		code []byte
	}{{"planktos.sw.min.js", s.Worker}, {"install.js", s.Install}, {"engine.min.js", s.Engine}, {"first", s.First}, {"remove", s.Remove}} {
		if len(script.code) == 0 {
			t.Errorf("%s is empty", script.name)
		}
		if bytes.Contains(script.code, []byte("sourceMappingURL")) || bytes.Contains(script.code, []byte("//")) &&
			bytes.HasPrefix(script.code, []byte("//")) {
			t.Errorf("%s begins with a comment or names a source map", script.name)
		}
		size := gzipSize(script.code)
		total += size
		t.Logf("%-20s %6d bytes, %5d gzip", script.name, len(script.code), size)
	}
	// The budget is for what every visitor downloads, so without Remove, and First stands in pages that ask for it.
	total -= gzipSize(s.Remove) + gzipSize(s.First)
	if n := gzipSize(s.Install); n > installCeiling {
		t.Errorf("install.js has grown to %d bytes gzip, over %d", n, installCeiling)
	}
	if n := gzipSize(s.First); n > 500 {
		t.Errorf("the first-visit snippet has grown to %d bytes gzip", n)
	}
	if bytes.Contains(s.First, []byte("</script")) || bytes.Contains(s.First, []byte("<!--")) {
		t.Errorf("the first-visit snippet cannot stand in a page: %s", s.First)
	}
	t.Logf("%-20s %20d gzip, aim %d", "together", total, aim)
	if total > ceiling {
		t.Errorf("the scripts have grown to %d bytes gzip, over %d", total, ceiling)
	}
}

// What a visitor downloads of the runtime, in bytes of gzip: what is aimed at, and what it must not exceed until then.
const (
	aim     = 24 << 10
	ceiling = 56_260
	// Every page of a site loads install.js, whether it shares or not.
	installCeiling = 1_024
)

func gzipSize(data []byte) int {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Len()
}

func TestDeterministic(t *testing.T) {
	source := fstest.MapFS{
		"worker/main.ts":   {Data: []byte("import {x} from '../shared/x.ts';\nself.addEventListener('fetch', () => x(1));\n")},
		"worker/remove.ts": {Data: []byte("export {};\nconsole.log('gone' as string);\n")},
		"install/first.ts": {Data: []byte("stop();\n")},
		"install/main.ts":  {Data: []byte("import type {T} from '../shared/x.ts';\nconst t: T = 1;\nconsole.log(t);\n")},
		"engine/main.ts":   {Data: []byte("export function start(): number { return 1; }\n")},
		"shared/x.ts":      {Data: []byte("export type T = number;\nexport const x = (n: T) => n + 1;\nexport const unused = 'unused';\n")},
	}
	first, err := Compile(source)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		again, err := Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Worker, again.Worker) || !bytes.Equal(first.Engine, again.Engine) {
			t.Fatal("the same source compiled to different bytes")
		}
	}
	if bytes.Contains(first.Worker, []byte("unused")) {
		t.Errorf("dead code survived: %s", first.Worker)
	}
	if !bytes.Contains(first.Engine, []byte("export{")) {
		t.Errorf("the engine is no module: %s", first.Engine)
	}
	if bytes.Contains(first.Install, []byte("export")) || !bytes.HasPrefix(first.Install, []byte("(()=>{")) &&
		!bytes.HasPrefix(first.Install, []byte(`"use strict";(()=>{`)) {
		t.Errorf("install is no classic script of its own scope: %s", first.Install)
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct{ name, code, want string }{
		{"syntax", "let = ;", "worker/main.ts:1:"},
		{"package", "import 'left-pad';", "the runtime has no dependencies"},
		{"missing", "import './none.ts';", "none.ts"},
		{"escape", "import '../../../etc/passwd';", "leaves the runtime's source"},
	} {
		t.Run(test.name, func(t *testing.T) {
			source := fstest.MapFS{"worker/main.ts": {Data: []byte(test.code)}}
			_, err := compile(source, "worker/main.ts", api.FormatIIFE, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}
