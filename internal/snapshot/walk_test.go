package snapshot

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSymlinks(t *testing.T) {
	dir, fsys := folder(t, map[string]string{"real/a.txt": "a", "real/sub/b.txt": "b"})
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("real", "folder")
	link("real/a.txt", "file")
	link("nowhere", ".hidden")
	want := []string{"file", "folder/a.txt", "folder/sub/b.txt", "real/a.txt", "real/sub/b.txt"}
	if got := filePaths(build(t, fsys, nil)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for name, c := range map[string]struct{ target, want string }{
		"loop":         {"loop", "symbolic link"},
		"real/up":      {"..", "leads back"},
		"real/sub/own": {"../sub", "leads back"},
		"broken":       {"nowhere", "leads nowhere"},
		"escape":       {"../../etc/passwd", "cannot be followed"},
		"absolute":     {"/etc", "cannot be followed"},
	} {
		link(c.target, name)
		_, err := Build(t.Context(), fsys, &Options{Runtime: scripts})
		if err == nil || !strings.Contains(err.Error(), filepath.Base(name)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v", name, err)
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// Two links that lead into each other's folder are a loop too, though neither leads straight back.
func TestSymlinkLoopOverTwoFolders(t *testing.T) {
	dir, fsys := folder(t, map[string]string{"a/x": "x", "b/y": "y"})
	for name, target := range map[string]string{"a/to-b": "../b", "b/to-a": "../a"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Build(t.Context(), fsys, &Options{Runtime: scripts}); err == nil || !strings.Contains(err.Error(), "leads back") {
		t.Errorf("error %v", err)
	}
}

// failing is a file system one file of which cannot be had as it was found.
type failing struct {
	fs.FS
	name string
	open func(f fs.File) (fs.File, error)
}

func (f failing) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if name == f.name && err == nil {
		return f.open(file)
	}
	return file, err
}

type fakeFile struct {
	fs.File
	io.Reader
	info fs.FileInfo
}

func (f fakeFile) Read(p []byte) (int, error) { return f.Reader.Read(p) }
func (f fakeFile) Stat() (fs.FileInfo, error) { return f.info, nil }

type fakeInfo struct {
	fs.FileInfo
	size    int64
	modTime time.Time
}

func (i fakeInfo) Size() int64        { return i.size }
func (i fakeInfo) ModTime() time.Time { return i.modTime }

func TestFilesThatFail(t *testing.T) {
	content := strings.Repeat("page", 100)
	denied := &fs.PathError{Op: "open", Path: "bad.html", Err: fs.ErrPermission}
	with := func(change func(info fakeInfo) fakeInfo, body func(r io.Reader) io.Reader) func(fs.File) (fs.File, error) {
		return func(f fs.File) (fs.File, error) {
			info, err := f.Stat()
			if err != nil {
				return nil, err
			}
			return fakeFile{f, body(f), change(fakeInfo{info, info.Size(), info.ModTime()})}, nil
		}
	}
	sameInfo := func(i fakeInfo) fakeInfo { return i }
	sameBody := func(r io.Reader) io.Reader { return r }
	for name, c := range map[string]struct {
		open func(fs.File) (fs.File, error)
		want error
	}{
		"unreadable":    {func(fs.File) (fs.File, error) { return nil, denied }, fs.ErrPermission},
		"gone":          {func(fs.File) (fs.File, error) { return nil, fs.ErrNotExist }, ErrChanged},
		"other size":    {with(func(i fakeInfo) fakeInfo { i.size++; return i }, sameBody), ErrChanged},
		"other time":    {with(func(i fakeInfo) fakeInfo { i.modTime = time.Unix(5, 0); return i }, sameBody), ErrChanged},
		"shorter":       {with(sameInfo, func(r io.Reader) io.Reader { return io.LimitReader(r, 5) }), ErrChanged},
		"longer":        {with(sameInfo, func(r io.Reader) io.Reader { return io.MultiReader(r, strings.NewReader("x")) }), ErrChanged},
		"endless":       {with(sameInfo, func(r io.Reader) io.Reader { return endless{} }), ErrChanged},
		"reading fails": {with(sameInfo, func(r io.Reader) io.Reader { return broken{} }), io.ErrClosedPipe},
	} {
		for _, tag := range []bool{false, true} {
			fsys := failing{site(map[string]string{"bad.html": content, "good": "good"}), "bad.html", c.open}
			_, err := Build(t.Context(), fsys, &Options{Runtime: scripts, Tag: tag})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "bad.html") {
				t.Errorf("%s: error %v, want %v", name, err, c.want)
			}
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type broken struct{}

func (broken) Read(p []byte) (int, error) { return 0, io.ErrClosedPipe }

func TestOpenChangedFile(t *testing.T) {
	dir, fsys := folder(t, map[string]string{"a.html": "<head>", "copy.html": "<head>"})
	s := build(t, fsys, &Options{Tag: true})
	write(t, filepath.Join(dir, "a.html"), "<head><!-- more -->")
	if _, err := s.Open("a.html"); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "a.html") {
		t.Errorf("changed: %v", err)
	}
	f, _ := s.Lookup("copy.html")
	read(t, s, "planktos/"+f.Hash.String()) // the same content under another path is still there
	if err := os.Remove(filepath.Join(dir, "copy.html")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"copy.html", "planktos/" + f.Hash.String()} {
		if _, err := s.Open(name); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIgnore(t *testing.T) {
	files := map[string]string{}
	for _, name := range []string{"a.psd", "d/b.psd", "d/keep.psd", "tmp/x", "d/tmp/y", "tmpfile", "docs/a/1", "docs/a/b/2", "{x}", "x"} {
		files[name] = name
	}
	files[IgnoreFile] = "\ufeff# comment\r\n\r\n*.psd\r\n!keep.psd\r\ntmp/\r\n/docs/**/2\n{x}  \n"
	s := build(t, site(files), nil)
	if got, want := filePaths(s), []string{"d/keep.psd", "docs/a/1", "tmpfile", "x"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	delete(files, IgnoreFile)
	s = build(t, site(files), &Options{Exclude: []string{"*.psd", "docs/**", "{x,tmp}"}})
	if got, want := filePaths(s), []string{"tmpfile", "{x}"}; !slices.Equal(got, want) {
		t.Errorf("excluding: got %q, want %q", got, want)
	}
	for _, pattern := range []string{"", "[", "a{b"} {
		if _, err := Build(t.Context(), site(files), &Options{Runtime: scripts, Exclude: []string{pattern}}); err == nil {
			t.Errorf("exclude %q is accepted", pattern)
		}
	}
	files[IgnoreFile] = "ok\n[\n"
	if _, err := Build(t.Context(), site(files), &Options{Runtime: scripts}); err == nil || !strings.Contains(err.Error(), IgnoreFile+":2") {
		t.Errorf("bad pattern: %v", err)
	}
}

// What is ignored is what git ignores.
func TestIgnoreAsGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	names := []string{"a", "b.txt", "ab.txt", "#x", "!x", "sp ", "d/a", "d/b.txt", "d/e/a", "d/e/b.txt", "d/e/f/c.txt", "e/d/a", "x{y}",
		"xy", "dd/a", "[z]", "z", "sp2", "d/e.txt/q"}
	for _, rules := range []string{
		"a", "/a", "*.txt", "/*.txt", "d/", "d", "/d", "d/*", "d/**", "d/**/b.txt", "**/e", "**/e/", "d/e", "e/", "/e/", "*", "**", "/**",
		"*\n!*.txt", "*.txt\n!/b.txt", "d\n!d/a", "d/*\n!d/a", "# x\n\\#x", "\\!x", "sp ", "sp\\ ", "?", "[ab]", "[!a]", "[^a]", "x{y}", "{a,z}",
		"\\[z\\]", "d/e/*", "d/*/b.txt", "d/**/c.txt", "**/d/a", "e/**/a", "!a", "a\n!a\na", "d/e/f/", "**/b.txt\n!d/e/b.txt", "/", "//", "a/", "*/a",
	} {
		dir, fsys := folder(t, map[string]string{IgnoreFile: rules})
		for _, name := range names {
			write(t, filepath.Join(dir, name), "x")
		}
		files, _, err := walk(t.Context(), fsys, &Options{})
		if err != nil {
			t.Errorf("%q: %v", rules, err)
			continue
		}
		var got []string
		for _, f := range files {
			got = append(got, f.path)
		}
		write(t, filepath.Join(dir, ".gitignore"), rules)
		git := func(args ...string) string {
			t.Helper()
			c := exec.Command("git", args...)
			c.Dir = dir
			c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
			out, err := c.Output()
			if err != nil {
				t.Fatalf("git %v: %v", args, err)
			}
			return string(out)
		}
		git("init", "-q")
		var want []string
		for name := range strings.SplitSeq(git("ls-files", "-z", "--others", "--exclude-standard"), "\x00") {
			if name != "" && name[0] != '.' {
				want = append(want, name)
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: packed %q, git has %q", rules, got, want)
		}
	}
}
