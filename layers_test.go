package planktos

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/planktos/planktos"

// layers is the architecture: for each package of this module, the packages of this module that it may import. The
// key and value "." is the root package. A new package needs a line here before it may exist.
var layers = map[string][]string{
	// Codecs and tables: bytes in, values out.
	"internal/merkle":    {},
	"internal/mediatype": {},
	"internal/signal":    {},
	"internal/wire":      {},
	"internal/torrent":   {"internal/merkle"},
	"internal/manifest":  {"internal/merkle"},

	// Content that comes with the binary.
	"internal/defaults": {},
	"browser":           {},
	"examples":          {},
	"internal/bundle":   {"browser", "internal/merkle"},
	// For the project's own tests and use.
	"internal/leaktest":     {},
	"internal/trackertest":  {"tracker"},
	"internal/bundle/sizes": {"internal/bundle"},
	"examples/make":         {},
	"bench/origin":          {".", "tracker"},
	"bench/pack":            {},
	"bench/metadata":        {"internal/defaults", "internal/manifest", "internal/snapshot"},

	// A site's files, and those of sites that are packed already, which may be on another host.
	"internal/release":  {"internal/manifest", "internal/merkle"},
	"internal/origin":   {"internal/manifest"},
	"internal/snapshot": {"internal/manifest", "internal/mediatype", "internal/merkle", "internal/release", "internal/torrent"},

	// Contents on disk.
	"internal/store": {"internal/merkle"},

	// Servers and peers.
	"internal/nat":   {},
	"internal/swarm": {"internal/manifest", "internal/merkle", "internal/signal", "internal/store", "internal/wire"},
	"tracker":        {"internal/signal"},

	// Sites without their server.
	"internal/seeder": {
		"internal/manifest", "internal/merkle", "internal/release", "internal/store", "internal/swarm", "internal/torrent",
	},
	"internal/mirror": {
		"internal/bundle", "internal/manifest", "internal/mediatype", "internal/merkle", "internal/release",
		"internal/seeder", "internal/store", "internal/swarm",
	},

	// What users import and run.
	".": {
		"internal/bundle", "internal/defaults", "internal/manifest", "internal/mediatype", "internal/merkle",
		"internal/origin", "internal/release", "internal/snapshot", "tracker",
	},
	"internal/cli": {
		".", "examples", "internal/bundle", "internal/defaults", "internal/manifest", "internal/merkle", "internal/mirror",
		"internal/nat", "internal/origin", "internal/release", "internal/seeder", "internal/snapshot", "internal/store", "internal/swarm",
		"internal/torrent", "tracker",
	},
	"cmd/planktos": {"internal/cli"},
}

// withoutSockets may not import anything that opens one: a codec is tested as bytes, and packing reaches no network.
var withoutSockets = []string{
	"internal/merkle", "internal/mediatype", "internal/signal", "internal/wire", "internal/torrent", "internal/manifest",
	"internal/defaults", "internal/bundle", "internal/release", "internal/snapshot", "internal/store", "browser", "examples",
}

var sockets = []string{"net", "net/http", "net/rpc", "crypto/tls", "github.com/gobwas/ws", "github.com/coder/websocket"}

// soleImporter gives each large dependency its one importer; the command line may be replaced without the tracker
// noticing, and the other way round. Packages below the key count as the key.
var soleImporter = map[string]string{
	"github.com/evanw/esbuild":     "internal/bundle",
	"github.com/alecthomas/kong":   "internal/cli",
	"github.com/andybalholm":       ".",
	"github.com/pion/stun":         "internal/nat",
	"github.com/pion/turn":         "internal/nat",
	"github.com/pion/webrtc":       "internal/swarm",
	"github.com/pion/ice":          "internal/swarm",
	"github.com/pion/transport":    "internal/swarm",
	"github.com/pion/interceptor":  "internal/swarm",
	"github.com/gobwas/ws":         "tracker",
	"github.com/nats-io":           "tracker/cluster",
	"github.com/bmatcuk":           "internal/snapshot",
	"github.com/go-git":            "internal/snapshot",
	"github.com/sabhiram":          "internal/snapshot",
	"github.com/rogpeppe":          "internal/cli",
	"github.com/coder/websocket":   "internal/swarm",
	"github.com/google/go-cmp":     "",
	"github.com/anacrolix/torrent": "",
}

// TestLayers holds every Go file that is not a test to the policy above.
func TestLayers(t *testing.T) {
	imports, err := goImports(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	if len(imports["."]) == 0 || len(imports["cmd/planktos"]) == 0 {
		t.Fatal("the module's packages were not found")
	}
	for _, problem := range violations(imports) {
		t.Error(problem)
	}
}

// TestLayersViolations makes sure that the policy can be broken at all.
func TestLayersViolations(t *testing.T) {
	for _, test := range []struct {
		name, pkg, imported, want string
	}{
		{"upwards", "internal/merkle", module + "/internal/torrent", "may not import"},
		{"root knows no CLI", ".", module + "/internal/cli", "may not import"},
		{"codec with a socket", "internal/torrent", "net/http", "opens sockets"},
		{"second importer", "internal/cli", "github.com/evanw/esbuild/pkg/api", "only internal/bundle"},
		{"later major version", "internal/cli", "github.com/pion/stun/v3", "only internal/nat"},
		{"unlisted package", "internal/surprise", "fmt", "no line in layers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := violations(map[string][]string{test.pkg: {test.imported}})
			if len(got) != 1 || !strings.Contains(got[0], test.want) {
				t.Errorf("got %q, want one problem with %q", got, test.want)
			}
		})
	}
}

func violations(imports map[string][]string) []string {
	var problems []string
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		allowed, listed := layers[pkg]
		if !listed {
			problems = append(problems, pkg+" has no line in layers")
			continue
		}
		for _, imported := range imports[pkg] {
			if imported == module || strings.HasPrefix(imported, module+"/") {
				name := path.Join(".", strings.TrimPrefix(imported, module))
				if !slices.Contains(allowed, name) {
					problems = append(problems, pkg+" may not import "+name)
				}
			}
			if slices.Contains(withoutSockets, pkg) && slices.Contains(sockets, imported) {
				problems = append(problems, pkg+" imports "+imported+", which opens sockets")
			}
			for dependency, importer := range soleImporter {
				if (imported == dependency || strings.HasPrefix(imported, dependency+"/")) && pkg != importer {
					problems = append(problems, pkg+" imports "+imported+", which only "+importer+" may")
				}
			}
		}
	}
	return problems
}

// goImports returns the imports of each package of the module, without those of its tests.
func goImports(root fs.FS) (map[string][]string, error) {
	imports := make(map[string][]string)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := d.Name(); d.IsDir() && name != "." &&
			(strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules") {
			return fs.SkipDir
		}
		if d.IsDir() && name != "." {
			// A folder with a go.mod is another module: tools, for one.
			if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil {
				return fs.SkipDir
			}
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		code, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, code, parser.ImportsOnly)
		if err != nil {
			return err
		}
		if file.Name.Name == "main" && strings.Contains(string(code), "//go:build ignore") {
			return nil
		}
		dir := path.Dir(name)
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !slices.Contains(imports[dir], imported) {
				imports[dir] = append(imports[dir], imported)
			}
		}
		return nil
	})
	return imports, err
}

// scriptLayers says the same of the browser runtime: which folders of browser/src a folder may import. What worker,
// engine and install have to say to each other stands in shared/messages.ts.
var scriptLayers = map[string][]string{
	"shared":  {},
	"store":   {"shared"},
	"worker":  {"shared", "store"},
	"page":    {"shared"},
	"engine":  {"shared", "store", "page"},
	"install": {"shared", "page"},
}

// scriptImport finds the module of an import or export declaration, of a bare import and of a dynamic one.
var scriptImport = regexp.MustCompile(`(?m)(?:^\s*(?:import|export)\b[^'";]*?\bfrom\s*|^\s*import\s*|\bimport\s*\(\s*)['"]([^'"\n]+)['"]`)

func TestScriptLayers(t *testing.T) {
	source := os.DirFS("browser/src")
	files := 0
	err := fs.WalkDir(source, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".ts") || strings.HasSuffix(name, ".test.ts") {
			return err
		}
		files++
		code, err := fs.ReadFile(source, name)
		if err != nil {
			return err
		}
		for _, problem := range scriptViolations(name, string(code)) {
			t.Error(problem)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Error("no scripts were found")
	}
}

func TestScriptLayersViolations(t *testing.T) {
	for _, test := range []struct{ name, code, want string }{
		{"worker/main.ts", "import { a } from '../shared/a.ts';\nimport type {\n  B,\n} from '../store/b.ts';\n", ""},
		{"worker/main.ts", "import { a } from '../engine/a.ts';\n", "may not import engine"},
		{"worker/main.ts", "import type {\n  A,\n} from '../install/a.ts';\n", "may not import install"},
		{"install/main.ts", "export * from '../store/a.ts';\n", "may not import store"},
		{"shared/a.ts", "import '../store/a.ts';\n", "may not import store"},
		{"engine/host.ts", "const m = await import('../worker/main.ts');\n", "may not import worker"},
		{"engine/host.ts", "import x from 'left-pad';\n", "has no dependencies"},
		{"engine/host.ts", "import x from './core.ts';\n", ""},
		{"surprise/a.ts", "", "no line in scriptLayers"},
	} {
		got := strings.Join(scriptViolations(test.name, test.code), "\n")
		if test.want == "" && got != "" || !strings.Contains(got, test.want) {
			t.Errorf("%s %q: got %q, want %q", test.name, test.code, got, test.want)
		}
	}
}

func scriptViolations(name, code string) []string {
	folder, _, _ := strings.Cut(name, "/")
	allowed, listed := scriptLayers[folder]
	if !listed {
		return []string{"browser/src/" + folder + " has no line in scriptLayers"}
	}
	var problems []string
	for _, match := range scriptImport.FindAllStringSubmatch(code, -1) {
		if !strings.HasPrefix(match[1], ".") {
			problems = append(problems, name+" imports "+match[1]+", but the runtime has no dependencies")
			continue
		}
		target, _, _ := strings.Cut(path.Join(path.Dir(name), match[1]), "/")
		if target != folder && !slices.Contains(allowed, target) {
			problems = append(problems, name+" may not import "+target)
		}
	}
	return problems
}
