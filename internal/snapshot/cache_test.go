package snapshot

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planktos/planktos/internal/merkle"
)

// cached are options with a cache file that lies outside of the site.
func cached(t testing.TB) *Options {
	return &Options{Cache: filepath.Join(t.TempDir(), "sites", "cache"), Runtime: scripts}
}

// publishUntilKnown packs dir until all of it is known, which takes as long as its file system cannot tell times apart.
func publishUntilKnown(t testing.TB, dir string, o *Options) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < time.Minute; {
		s, done := publish(t, dir, o, nil)
		if done.CacheError != nil {
			t.Fatal(done.CacheError)
		}
		c := readCache(o.Cache, program())
		unknown := slices.DeleteFunc(s.contentNames(), func(name string) bool { return c.Copies[name] != known{} })
		if len(c.Files) == len(s.Files) && len(unknown) == 0 {
			return
		}
		time.Sleep(time.Millisecond) // the clock is what is waited for
	}
	t.Fatal("what was packed does not become known")
}

// unreadable is a file system whose files may be looked at, but not opened.
type unreadable struct {
	fs.FS
	t testing.TB
}

func (u unreadable) Open(name string) (fs.File, error) {
	if info, err := fs.Stat(u.FS, name); err == nil && info.Mode().IsRegular() {
		u.t.Errorf("%s was opened", name)
	}
	return u.FS.Open(name)
}
func (u unreadable) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(u.FS, name) }
func (u unreadable) Stat(name string) (fs.FileInfo, error)      { return fs.Stat(u.FS, name) }
func (u unreadable) Lstat(name string) (fs.FileInfo, error)     { return fs.Lstat(u.FS, name) }
func (u unreadable) ReadLink(name string) (string, error)       { return fs.ReadLink(u.FS, name) }

// sameAs checks that two snapshots are the same in every byte.
func sameAs(t testing.TB, got, want *Snapshot) {
	t.Helper()
	if !bytes.Equal(got.Manifest, want.Manifest) {
		t.Errorf("manifest\n%s\nwant\n%s", got.Manifest, want.Manifest)
	}
	if !bytes.Equal(got.Torrent, want.Torrent) || !slices.EqualFunc(got.Shards, want.Shards, bytes.Equal) {
		t.Error("torrent or shards differ")
	}
	if !slices.Equal(got.LeftOut, want.LeftOut) {
		t.Errorf("left out %q, want %q", got.LeftOut, want.LeftOut)
	}
}

func TestSecondPackReadsNothing(t *testing.T) {
	dir, _ := folder(t, map[string]string{
		"index.html": "<head><link rel=stylesheet href=a.css><img src=\xff.png>", "a.css": "a{background:url(b.png)}",
		"b.png": "picture", "empty": "", "large.bin": strings.Repeat("large ", 100_000),
	})
	if err := os.Symlink("b.png", filepath.Join(dir, "link.png")); err != nil {
		t.Fatal(err)
	}
	o := cached(t)
	publishUntilKnown(t, dir, o)
	if info, err := os.Stat(o.Cache); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("cache: %v, %v", info, err)
	}

	again := build(t, unreadable{rootFS(t, dir), t}, o)
	if again.Read != 0 {
		t.Errorf("read %d files", again.Read)
	}
	sameAs(t, again, build(t, rootFS(t, dir), nil))
	var progress Progress
	if _, err := Publish(t.Context(), again, dir, &PublishOptions{Progress: func(p Progress) { progress = p }}); err != nil {
		t.Fatal(err)
	}
	if progress.Files != 4 || progress.Bytes != 0 {
		t.Errorf("writing: %+v", progress)
	}

	o.Rehash = true
	all := build(t, rootFS(t, dir), o)
	if all.Read != 6 {
		t.Errorf("with Rehash: read %d files", all.Read)
	}
	sameAs(t, all, again)
}

// What was changed at once, to as many bytes, with the time it had before, is not missed: whether the file was edited,
// or another took its place, and however little time has passed.
func TestCacheMissesNoChange(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, name, data string){
		"edited": func(t *testing.T, name, data string) { write(t, name, data) },
		"replaced": func(t *testing.T, name, data string) {
			write(t, name+"~", data)
			if err := os.Rename(name+"~", name); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := folder(t, map[string]string{"index.html": "000", "other": "other"})
			o, page := cached(t), filepath.Join(dir, "index.html")
			hour := time.Now().Add(-time.Hour)
			for i := range 16 {
				if i == 8 {
					publishUntilKnown(t, dir, o)
				}
				data := fmt.Sprintf("%03d", i)
				change(t, page, data)
				if err := os.Chtimes(page, hour, hour); err != nil {
					t.Fatal(err)
				}
				s, _ := publish(t, dir, o, nil)
				if f, _ := s.Lookup("index.html"); f.Hash != merkle.Root([]byte(data)) {
					t.Fatalf("change %d was missed", i)
				}
			}
		})
	}
}

// A copy in planktos/ that was damaged at once is made anew, too.
func TestCacheMissesNoDamage(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "page"})
	o := cached(t)
	for i := range 8 {
		if i == 4 {
			publishUntilKnown(t, dir, o)
		}
		s, _ := publish(t, dir, o, nil) // which checks the copies
		f, _ := s.Lookup("index.html")
		write(t, filepath.Join(dir, Folder, f.Hash.String()), "egap")
	}
	publish(t, dir, o, nil)
}

func TestCacheOfNoUse(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "<head>page", "a.txt": "text"})
	o := cached(t)
	publishUntilKnown(t, dir, o)
	good, err := os.ReadFile(o.Cache)
	if err != nil {
		t.Fatal(err)
	}
	want := build(t, rootFS(t, dir), nil)
	check := func(name string, o *Options, want *Snapshot, read int) {
		t.Helper()
		s := build(t, rootFS(t, dir), o)
		if s.Read != read {
			t.Errorf("%s: read %d files, want %d", name, s.Read, read)
		}
		sameAs(t, s, want)
	}
	check("as it was", o, want, 0)
	for name, data := range map[string][]byte{
		"empty":     {},
		"cut short": good[:len(good)/2],
		"one bit":   slices.Concat(good[:len(good)-9], []byte{good[len(good)-9] ^ 1}, good[len(good)-8:]),
		"no JSON":   []byte(cacheHead + "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"),
	} {
		write(t, o.Cache, string(data))
		check(name, o, want, 2)
	}
	write(t, o.Cache, string(good))
	tagged := *o
	tagged.Tag = true
	check("another markup", &tagged, build(t, rootFS(t, dir), &Options{Tag: true}), 1)
	other := *o
	other.Runtime.Engine = bytes.Repeat([]byte("engine"), 1<<20) // for which longer pieces are better
	check("another piece length", &other, build(t, rootFS(t, dir), &Options{Runtime: other.Runtime}), 2)
	c := readCache(o.Cache, program())
	c.Program = "another"
	if err := c.write(o.Cache); err != nil {
		t.Fatal(err)
	}
	check("of another program", o, want, 2)

	// Where it cannot be written the site is packed all the same.
	blocked := &Options{Cache: filepath.Join(dir, "a.txt", "cache")}
	if _, done := publish(t, dir, blocked, nil); done.CacheError == nil {
		t.Error("wrote a cache below a file")
	}
}

// A cache that says what is not so is found out when the file is read, and does not last.
func TestCacheThatLies(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "page"})
	o := cached(t)
	publishUntilKnown(t, dir, o)
	c := readCache(o.Cache, program())
	entry := c.Files["index.html"]
	entry.Root[0] ^= 1
	c.Files["index.html"] = entry
	if err := c.write(o.Cache); err != nil {
		t.Fatal(err)
	}
	s := build(t, rootFS(t, dir), o)
	if _, err := Publish(t.Context(), s, dir, nil); err == nil || !strings.Contains(err.Error(), "index.html") {
		t.Fatalf("error %v", err)
	}
	checkStill(t, dir, "page")
	publish(t, dir, o, nil)
	checkStill(t, dir, "page")
}

// Whatever happens to a folder, packing with what the last pack found out gives what packing without gives.
func TestCacheAgainstFullPack(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	write(t, filepath.Join(dir, "index.html"), "<img src=f0>")
	o := cached(t)
	names := []string{"f0", "f1", "a.css", "page.html", "d/f2", "d/page.html", "d/e/f3"}
	for range 40 {
		for range random.IntN(4) {
			name := names[random.IntN(len(names))]
			full := filepath.Join(dir, name)
			switch random.IntN(5) {
			case 0:
				os.Remove(full)
			case 1:
				os.Rename(full, filepath.Join(dir, path.Dir(name), "moved"+path.Ext(name)))
			case 2:
				os.Chmod(full, 0o600)
			default:
				write(t, full, strings.Repeat(fmt.Sprintf("<link href=f%d rel=icon>", random.IntN(3)), random.IntN(2000)))
			}
		}
		o.Tag, o.FirstVisit = random.IntN(8) == 0, random.IntN(8) == 0
		full := *o
		full.Cache = ""
		s := build(t, rootFS(t, dir), o)
		sameAs(t, s, build(t, rootFS(t, dir), &full))
		if random.IntN(2) == 0 {
			if _, err := Publish(t.Context(), s, dir, nil); err != nil {
				t.Fatal(err)
			}
			checkPublished(t, dir)
		}
	}
}

func TestSettled(t *testing.T) {
	at := time.Unix(1000, 0)
	for _, test := range []struct {
		changed time.Duration // before at
		want    bool
	}{
		{0, false}, {-time.Hour, false}, {50 * time.Millisecond, false}, {150 * time.Millisecond, true},
		{1500 * time.Millisecond, true},
		// By the second, two seconds have to pass.
		{time.Second, false}, {2 * time.Second, true},
	} {
		if got := settled(at.Add(-test.changed).UnixNano(), at); got != test.want {
			t.Errorf("changed %v before: %v, want %v", test.changed, got, test.want)
		}
	}
}

// What may have been written to right before it was read is not kept, by the file system's clock rather than ours.
func TestCacheLeavesOutWhatIsNotSettled(t *testing.T) {
	dir, fsys := folder(t, map[string]string{"index.html": "page"})
	o := cached(t)
	s := build(t, fsys, o)
	for _, test := range []struct {
		ahead time.Duration
		want  int
	}{{time.Hour, 1}, {-time.Hour, 0}} {
		if err := s.saveCache(nil, test.ahead); err != nil {
			t.Fatal(err)
		}
		if got := len(readCache(o.Cache, program()).Files); got != test.want {
			t.Errorf("file system %v ahead: kept %d files, want %d", test.ahead, got, test.want)
		}
	}
	p, err := openPublisher(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	name := Folder + "/" + strings.Repeat("ab", 32)
	write(t, filepath.Join(dir, name), "copy")
	root := merkle.Root([]byte("copy"))
	for _, test := range []struct {
		ahead time.Duration
		want  int
	}{{-time.Hour, 0}, {time.Hour, 1}} {
		p.ahead, p.kept = test.ahead, nil
		if !p.holds(t.Context(), nil, name, 4, root) || len(p.kept) != test.want {
			t.Errorf("file system %v ahead: kept %d copies, want %d", test.ahead, len(p.kept), test.want)
		}
	}
}
