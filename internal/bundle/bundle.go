// Package bundle compiles the browser runtime: TypeScript in, minified scripts out, by esbuild's Go API and without
// touching the file system. The scripts are a function of the binary's version alone: no option of a site enters them,
// so every site packed by one version carries the same bytes, which caches and peers can share.
package bundle

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/planktos/planktos/browser"
	"github.com/planktos/planktos/internal/merkle"
)

// Scripts is the compiled runtime. The slices are shared: do not change them.
type Scripts struct {
	// Worker is the service worker, planktos.sw.min.js: a classic script, so that a site's own worker can import it
	// by importScripts.
	Worker []byte
	// Install is planktos/install.js, the one script that pages include: a classic script.
	Install []byte
	// Engine is planktos/engine.min.js: an ES module, imported by the page and started by itself as a module worker.
	Engine []byte
	// First is the first-visit snippet, a classic script that stands in pages themselves.
	First []byte
	// Remove takes Worker's place when Planktos is taken off a site: it deletes what Worker stored, and unregisters.
	Remove []byte
}

// Runtime returns the scripts compiled from the embedded source. The work is done once for the life of the process.
var Runtime = sync.OnceValues(func() (*Scripts, error) {
	src, err := fs.Sub(browser.Source, "src")
	if err != nil {
		return nil, err
	}
	return Compile(src)
})

// Compile compiles the runtime from source, whose folders are those of browser/src. The worker comes last: it carries
// the hashes of the scripts that it keeps, as the constant SCRIPTS (path → 128 bits of the pieces root, in hex: what else
// has the same beginning nobody finds).
func Compile(source fs.FS) (*Scripts, error) {
	var s Scripts
	define := map[string]string{}
	for _, script := range []struct {
		entry  string
		format api.Format
		to     *[]byte
	}{
		{"install/main.ts", api.FormatIIFE, &s.Install},
		{"engine/main.ts", api.FormatESModule, &s.Engine},
		{"install/first.ts", api.FormatIIFE, &s.First},
		{"worker/remove.ts", api.FormatIIFE, &s.Remove},
		{"worker/main.ts", api.FormatIIFE, &s.Worker},
	} {
		if script.to == &s.Worker {
			const hashes = `{"planktos/install.js": "%.32s", "planktos/engine.min.js": "%.32s"}`
			define["SCRIPTS"] = fmt.Sprintf(hashes, merkle.Root(s.Install), merkle.Root(s.Engine))
		}
		code, err := compile(source, script.entry, script.format, define)
		if err != nil {
			return nil, fmt.Errorf("compiling %s: %w", script.entry, err)
		}
		*script.to = code
	}
	s.First = bytes.TrimSpace(s.First)
	return &s, nil
}

func compile(source fs.FS, entry string, format api.Format, define map[string]string) ([]byte, error) {
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{entry},
		Bundle:      true,
		Format:      format,
		Platform:    api.PlatformBrowser,
		Target:      api.ES2022,
		Define:      define,
		// The compiler options that change what the source means, as in browser/tsconfig.base.json; no tsconfig.json
		// is looked for.
		TsconfigRaw:       `{"compilerOptions": {"target": "ES2022", "verbatimModuleSyntax": true}}`,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		TreeShaking:       api.TreeShakingTrue,
		LegalComments:     api.LegalCommentsNone,
		Charset:           api.CharsetUTF8,
		LogLevel:          api.LogLevelSilent,
		Write:             false,
		Outdir:            "/",
		Plugins:           []api.Plugin{sourcePlugin(source)},
	})
	if len(result.Errors) > 0 {
		return nil, errorOf(result.Errors)
	}
	if n := len(result.OutputFiles); n != 1 {
		return nil, fmt.Errorf("esbuild wrote %d files, want 1", n)
	}
	return result.OutputFiles[0].Contents, nil
}

// sourcePlugin lets esbuild read modules from source and from nowhere else: an import of anything outside it, a package
// included, is an error.
func sourcePlugin(source fs.FS) api.Plugin {
	const namespace = "planktos"
	return api.Plugin{Name: namespace, Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: `.*`}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
			name := args.Path
			if args.Kind != api.ResolveEntryPoint {
				if !strings.HasPrefix(name, ".") {
					return api.OnResolveResult{}, fmt.Errorf("import of %q: the runtime has no dependencies", name)
				}
				name = path.Join(path.Dir(args.Importer), name)
			}
			if !fs.ValidPath(name) {
				return api.OnResolveResult{}, fmt.Errorf("import of %q leaves the runtime's source", args.Path)
			}
			return api.OnResolveResult{Path: name, Namespace: namespace}, nil
		})
		load := api.OnLoadOptions{Filter: `.*`, Namespace: namespace}
		build.OnLoad(load, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
			code, err := fs.ReadFile(source, args.Path)
			if err != nil {
				return api.OnLoadResult{}, err
			}
			text := string(code)
			return api.OnLoadResult{Contents: &text, Loader: api.LoaderTS}, nil
		})
	}}
}

// errorOf joins esbuild's messages, each with its place, one to a line.
func errorOf(messages []api.Message) error {
	lines := make([]string, len(messages))
	for i, m := range messages {
		lines[i] = m.Text
		if m.Location != nil {
			lines[i] = fmt.Sprintf("%s:%d: %s", m.Location.File, m.Location.Line, m.Text)
		}
	}
	return fmt.Errorf("%s", strings.Join(lines, "\n"))
}
