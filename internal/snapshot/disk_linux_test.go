package snapshot

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSpecialFiles(t *testing.T) {
	dir, fsys := folder(t, map[string]string{"a": "a"})
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("pipe", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	s := build(t, fsys, nil)
	if len(s.Files) != 1 || len(s.LeftOut) != 2 || !strings.Contains(s.LeftOut[1].Reason, "pipe") {
		t.Errorf("files %q, left out %v", filePaths(s), s.LeftOut)
	}
}

func TestPublishLocked(t *testing.T) {
	dir, _ := folder(t, map[string]string{"index.html": "1"})
	s, _ := publish(t, dir, nil, nil)
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	unlock, err := lock(root, Folder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Publish(t.Context(), s, dir, nil); err == nil || !strings.Contains(err.Error(), "another pack") {
		t.Errorf("error %v", err)
	}
	unlock()
	if _, err := Publish(t.Context(), s, dir, nil); err != nil {
		t.Error(err)
	}
}

// mount gives a folder on a file system of its own, of so many bytes.
func mount(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func TestDiskFull(t *testing.T) {
	dir := mount(t, "size=1m")
	write(t, filepath.Join(dir, "index.html"), "1")
	publish(t, dir, nil, nil)
	noise := make([]byte, 600<<10)
	r := rand.NewChaCha8([32]byte{})
	r.Read(noise)
	write(t, filepath.Join(dir, "index.html"), "2")
	write(t, filepath.Join(dir, "noise"), string(noise))
	before := tree(t, dir)
	s := build(t, rootFS(t, dir), nil)
	_, err := Publish(t.Context(), s, dir, nil)
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v", err)
	}
	checkStill(t, dir, "1")
	if after := tree(t, dir); len(after) != len(before) {
		t.Errorf("%d files before, %d after", len(before), len(after))
	}
	if left := temporary(t, dir); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
	// In place it fits.
	publish(t, dir, &Options{InPlace: true}, nil)
}

func TestReadOnly(t *testing.T) {
	dir := mount(t, "size=1m")
	write(t, filepath.Join(dir, "index.html"), "<head>")
	publish(t, dir, nil, nil)
	s := build(t, rootFS(t, dir), &Options{Tag: true})
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skipf("cannot remount: %v", err)
	}
	if _, err := Publish(t.Context(), s, dir, nil); !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v", err)
	}
	checkStill(t, dir, "<head>")
}
