package torrent

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/planktos/planktos/internal/merkle"
)

// decoded returns a torrent as values, to be spoilt and encoded again.
func decoded(t testing.TB, data []byte) Dict {
	t.Helper()
	v, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return v.(Dict)
}

// at returns what stands under the keys and list indices.
func at(t testing.TB, v any, path ...any) any {
	t.Helper()
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(Dict)[p]
		case int:
			v = v.([]any)[p]
		}
		if v == nil {
			t.Fatalf("nothing at %v", path)
		}
	}
	return v
}

// A spoiler changes a torrent into one that must be refused.
type spoiler = func(meta, info Dict)

func set(key string, v any) spoiler    { return func(_, info Dict) { info[key] = v } }
func unset(keys ...string) spoiler     { return func(_, info Dict) { removeAll(info, keys) } }
func setTop(key string, v any) spoiler { return func(meta, _ Dict) { meta[key] = v } }

func removeAll(d Dict, keys []string) {
	for _, k := range keys {
		delete(d, k)
	}
}

func refuseAll(t *testing.T, good []byte, spoilers map[string]spoiler) {
	t.Helper()
	if _, err := Parse(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range spoilers {
		meta := decoded(t, good)
		spoil(meta, meta["info"].(Dict))
		if m, err := Parse(Encode(meta)); err == nil {
			t.Errorf("%s: accepted: %+v", name, m.Files)
		}
	}
}

func foreignNamed(t testing.TB, name string) []byte {
	t.Helper()
	for _, f := range readForeign(t) {
		if f.Name == name {
			return f.read(t)
		}
	}
	t.Fatalf("no torrent %q", name)
	return nil
}

func TestParseRefusesV1(t *testing.T) {
	entry := func(size int, path ...string) any { return Dict{"length": size, "path": path} }
	bad := map[string]spoiler{
		"no info":               func(meta, _ Dict) { delete(meta, "info") },
		"info is a list":        setTop("info", []any{}),
		"announce is a number":  setTop("announce", 1),
		"flat announce-list":    setTop("announce-list", []string{"wss://a"}),
		"url-list of numbers":   setTop("url-list", []any{1}),
		"no name":               unset("name"),
		"name ..":               set("name", ".."),
		"name with slash":       set("name", "../../etc"),
		"no piece length":       unset("piece length"),
		"piece length 0":        set("piece length", 0),
		"negative piece length": set("piece length", -16384),
		"piece length 2^40":     set("piece length", 1<<40),
		"no pieces":             unset("pieces"),
		"pieces of 19 bytes":    set("pieces", strings.Repeat("x", 19)),
		"too few pieces":        set("pieces", strings.Repeat("x", 20)),
		"meta version 3":        set("meta version", 3),
		"tree without version":  set("file tree", Dict{}),
		"length beside files":   set("length", 5),
		"no files":              unset("files"),
		"empty list":            set("files", []any{}),
		"no length":             func(_, info Dict) { info["files"].([]any)[0] = Dict{"path": []string{"a"}} },
		"no path":               func(_, info Dict) { info["files"].([]any)[0] = Dict{"length": 1200} },
	}
	for name, path := range map[string][]string{
		"empty path": {}, "empty segment": {""}, "parent": {"a", ".."}, "slash": {"a/b"}, "backslash": {`..\a`},
		"NUL": {"a\x00b"}, "not UTF-8": {"\xc0\xaf"}, "path twice": {"zz"}, "file and folder": {"a"},
		"folder and file": {"zz", "x"},
	} {
		bad[name] = func(_, info Dict) { info["files"].([]any)[0] = entry(1200, path...) }
	}
	for name, size := range map[string]int64{"negative length": -1, "huge length": 1 << 62, "no int64": -1 << 63} {
		bad[name] = func(_, info Dict) { info["files"].([]any)[0] = Dict{"length": size, "path": []string{"n"}} }
	}
	bad["sum overflows"] = func(_, info Dict) {
		var list []any
		for i := range 1025 {
			list = append(list, Dict{"length": maxTotal, "path": []string{fmt.Sprint(i)}})
		}
		info["files"] = list
	}
	refuseAll(t, foreignNamed(t, "v1"), bad)

	refuseAll(t, foreignNamed(t, "v1-single"), map[string]spoiler{
		"length 0":        set("length", 0),
		"negative length": set("length", -1),
		"a pad alone":     set("attr", "p"),
		"other length":    set("length", 50000+16384),
	})
}

func TestParseRefusesV2(t *testing.T) {
	good := foreignNamed(t, "v2")
	file := func(info Dict) Dict { return at(t, info, "file tree", "z.bin", "").(Dict) }
	root := file(decoded(t, good)["info"].(Dict))["pieces root"].(string) // of z.bin, which has a layer
	layers := func(meta Dict) Dict { return meta["piece layers"].(Dict) }
	tree := func(info Dict) Dict { return info["file tree"].(Dict) }
	leaf := func(size any) Dict { return Dict{"": Dict{"length": size, "pieces root": root}} }
	bad := map[string]spoiler{
		"no tree":               unset("file tree"),
		"empty tree":            set("file tree", Dict{}),
		"file at the top":       set("file tree", leaf(5)),
		"no meta version":       unset("meta version"),
		"piece length 48 KiB":   set("piece length", 48<<10),
		"piece length 8 KiB":    set("piece length", 8<<10),
		"other piece length":    set("piece length", 64<<10),
		"no piece layers":       func(meta, _ Dict) { delete(meta, "piece layers") },
		"missing layer":         func(meta, _ Dict) { delete(layers(meta), root) },
		"short layer":           func(meta, _ Dict) { layers(meta)[root] = layers(meta)[root].(string)[32:] },
		"layer of odd length":   func(meta, _ Dict) { layers(meta)[root] = layers(meta)[root].(string)[1:] },
		"wrong layer":           func(meta, _ Dict) { layers(meta)[root] = strings.Repeat("x", 32*5) },
		"layer is a number":     func(meta, _ Dict) { layers(meta)[root] = 1 },
		"other size":            func(_, info Dict) { file(info)["length"] = 32768 * 6 },
		"negative size":         func(_, info Dict) { file(info)["length"] = -1 },
		"enormous size":         func(_, info Dict) { file(info)["length"] = int64(1) << 60 },
		"no size":               func(_, info Dict) { delete(file(info), "length") },
		"no root":               func(_, info Dict) { delete(file(info), "pieces root") },
		"short root":            func(_, info Dict) { file(info)["pieces root"] = "x" },
		"long root":             func(_, info Dict) { file(info)["pieces root"] = strings.Repeat("x", 33) },
		"root of an empty file": func(_, info Dict) { tree(info)["empty"] = leaf(0) },
		"empty folder":          func(_, info Dict) { tree(info)["folder"] = Dict{} },
		"file and folder":       func(_, info Dict) { at(t, info, "file tree", "z.bin").(Dict)["x"] = leaf(5) },
		"file is a list":        func(_, info Dict) { tree(info)["list"] = []any{} },
		"parent":                func(_, info Dict) { tree(info)[".."] = leaf(5) },
		"slash":                 func(_, info Dict) { tree(info)["a/../b"] = leaf(5) },
		"not UTF-8":             func(_, info Dict) { tree(info)["\xff"] = leaf(5) },
		"only empty files":      set("file tree", Dict{"a": Dict{"": Dict{"length": 0}}}),
	}
	bad["too deep"] = func(_, info Dict) {
		deep := leaf(5)
		for range maxPathSegments {
			deep = Dict{"d": deep}
		}
		tree(info)["d"] = deep
	}
	bad["sum overflows"] = func(_, info Dict) {
		info["piece length"] = 1 << 30
		for i := range 5 {
			tree(info)[fmt.Sprint(i)] = leaf(int64(maxTotal) / 4)
		}
	}
	refuseAll(t, good, bad)
}

func TestParseRefusesHybrids(t *testing.T) {
	v1 := func(info Dict, i int) Dict { return info["files"].([]any)[i].(Dict) }
	good := foreignNamed(t, "hybrid")
	bad := map[string]spoiler{
		"v1 path differs":   func(_, info Dict) { v1(info, 0)["path"] = []string{"other"} },
		"v1 size differs":   func(_, info Dict) { v1(info, 0)["length"] = v1(info, 0)["length"].(int64) + 1 },
		"pad is a file":     func(_, info Dict) { delete(v1(info, 1), "attr") },
		"file is a pad":     func(_, info Dict) { v1(info, 0)["attr"] = "p" },
		"pad too short":     func(_, info Dict) { v1(info, 1)["length"] = v1(info, 1)["length"].(int64) - 1 },
		"negative pad":      func(_, info Dict) { v1(info, 1)["length"] = -1 },
		"pad missing":       func(_, info Dict) { info["files"] = slices.Delete(info["files"].([]any), 1, 2) },
		"file missing":      func(_, info Dict) { info["files"] = info["files"].([]any)[1:] },
		"v2 file missing":   func(_, info Dict) { delete(info["file tree"].(Dict), "zz") },
		"pad of two pieces": func(_, info Dict) { v1(info, 1)["length"] = v1(info, 1)["length"].(int64) + 16384 },
		"a piece of pad at the end": func(_, info Dict) {
			info["files"] = append(info["files"].([]any), Dict{"attr": "p", "length": 32768, "path": []string{".pad", "1"}})
			info["pieces"] = info["pieces"].(string) + strings.Repeat("x", 40)
		},
		"order differs": func(_, info Dict) {
			files := info["files"].([]any)
			files[0], files[2] = files[2], files[0]
		},
		"version 1": set("meta version", 1),
	}
	if v1(decoded(t, good)["info"].(Dict), 1)["attr"] != "p" {
		t.Fatal("the second entry is no pad: the cases above mean nothing")
	}
	refuseAll(t, good, bad)
}

func TestParseRefusesForm(t *testing.T) {
	good := foreignNamed(t, "hybrid")
	for name, data := range map[string][]byte{
		"nothing":        nil,
		"a list":         []byte("le"),
		"empty":          []byte("de"),
		"trailing bytes": append(bytes.Clone(good), 'x'),
		"keys unsorted":  bytes.Replace(good, []byte("12:piece lengthi16384e"), []byte("12:aiece lengthi16384e"), 1),
		"padded number":  bytes.Replace(good, []byte("12:piece lengthi16384e"), []byte("12:piece lengthi016384e"), 1),
	} {
		if bytes.Equal(data, good) {
			t.Fatalf("%s: not spoilt", name)
		}
		if _, err := Parse(data); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for n := range good {
		if _, err := Parse(good[:n]); err == nil {
			t.Errorf("the first %d bytes are accepted", n)
		}
	}
}

// TestParseSharedLayer: many files that name one large layer cost one copy and so one verification; one each would
// be hours of hashing for a few megabytes of torrent.
func TestParseSharedLayer(t *testing.T) {
	const n, pieceLength = 20_000, merkle.BlockSize
	h := merkle.NewHasher(pieceLength)
	h.Write(make([]byte, n*pieceLength/10))
	root, layer := h.Sum()
	tree := Dict{}
	for i := range n {
		tree[fmt.Sprint(i)] = Dict{"": Dict{"length": len(layer) * pieceLength, "pieces root": root[:]}}
	}
	data := Encode(Dict{
		"info":         Dict{"file tree": tree, "meta version": 2, "name": "n", "piece length": pieceLength},
		"piece layers": Dict{string(root[:]): layerBytes(layer)},
	})
	m, err := Parse(data)
	if err != nil || len(m.Files) != n || &m.Files[0].Layer[0] != &m.Files[n-1].Layer[0] {
		t.Errorf("%v, or the layer is not shared", err)
	}
	// Once more with a size of another number of pieces: the layer cannot be right for both.
	tree["x"] = Dict{"": Dict{"length": (len(layer) + 1) * pieceLength, "pieces root": root[:]}}
	data = Encode(Dict{
		"info":         Dict{"file tree": tree, "meta version": 2, "name": "n", "piece length": pieceLength},
		"piece layers": Dict{string(root[:]): layerBytes(layer)},
	})
	if _, err := Parse(data); err == nil {
		t.Error("one layer is accepted for two numbers of pieces")
	}
}

// TestParseDeepFolders: paths take far more memory than the bytes that say them, and are bounded.
func TestParseDeepFolders(t *testing.T) {
	var files bytes.Buffer
	n := maxSegments/maxPathSegments + 1
	for i := range n {
		fmt.Fprintf(&files, "6:%06dd0:d6:lengthi0eee", i)
	}
	deep := files.String()
	for range maxPathSegments - 1 {
		deep = "1:dd" + deep + "e"
	}
	data := "d4:infod9:file treed" + deep + "e12:meta versioni2e4:name1:n12:piece lengthi16384eee"
	if _, err := Parse([]byte(data)); err == nil || !strings.Contains(err.Error(), "too many files") {
		t.Errorf("%d deep files: %v", n, err)
	}
}

func TestParseTrackers(t *testing.T) {
	good := foreignNamed(t, "v1")
	for name, tt := range map[string]struct {
		spoil              spoiler
		trackers, webSeeds string
	}{
		"none": {func(meta, _ Dict) { removeAll(meta, []string{"announce", "announce-list", "url-list"}) }, "", ""},
		"announce alone": {func(meta, _ Dict) { delete(meta, "announce-list") },
			"wss://one.example/", "https://site.example/"},
		"tiers": {setTop("announce-list", []any{[]string{"b", "a"}, []string{"c"}}),
			"b a c", "https://site.example/"},
		"empty tiers":   {setTop("announce-list", []any{[]string{}}), "wss://one.example/", "https://site.example/"},
		"empty strings": {setTop("url-list", ""), "wss://one.example/ wss://two.example/", ""},
		"several":       {setTop("url-list", []string{"x", "", "y"}), "wss://one.example/ wss://two.example/", "x y"},
		"unknown keys": {setTop("zzz", []any{Dict{"a": 1}}),
			"wss://one.example/ wss://two.example/", "https://site.example/"},
	} {
		meta := decoded(t, good)
		tt.spoil(meta, nil)
		m, err := Parse(Encode(meta))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := strings.Join(m.Trackers, " "); got != tt.trackers {
			t.Errorf("%s: trackers %q, want %q", name, got, tt.trackers)
		}
		if got := strings.Join(m.WebSeeds, " "); got != tt.webSeeds {
			t.Errorf("%s: web seeds %q, want %q", name, got, tt.webSeeds)
		}
	}
}

// FuzzParse looks for panics, and for what is accepted without being what Metainfo promises.
func FuzzParse(f *testing.F) {
	for _, v := range readForeign(f) {
		f.Add(v.read(f))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			return
		}
		if !bytes.Contains(data, m.Info) || len(m.Files) == 0 || m.NumPieces != pieceCount(m.Length, m.PieceLength) {
			t.Fatal("the shape is wrong")
		}
		if v, err := Decode(data); err != nil || !bytes.Equal(Encode(v), data) {
			t.Fatal("accepted what is not canonical")
		}
		end := int64(0)
		for _, file := range m.Files {
			if err := checkPath(file.Path); err != nil && !m.Single {
				t.Fatal(err)
			}
			if file.Size < 0 || file.Offset < end || file.Offset+file.Size > m.Length {
				t.Fatalf("file %q at %d of %d", file.Path, file.Offset, m.Length)
			}
			end = file.Offset + file.Size
			if m.V2 && file.Size > 0 {
				if err := merkle.VerifyLayer(file.Root, file.Size, m.PieceLength, file.Layer); err != nil {
					t.Fatal(err)
				}
				if file.Offset%m.PieceLength != 0 {
					t.Fatal("not on a piece")
				}
			}
		}
		if m.V1 && int64(len(m.Pieces)) != m.NumPieces {
			t.Fatal("pieces are missing")
		}
	})
}
