package seeder

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// disk gives a folder on a file system of its own, of so many bytes, and what makes that larger.
func disk(t *testing.T, size string) (dir string, grow func(size string)) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("no small disk can be made here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, func(size string) {
		t.Helper()
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size="+size); err != nil {
			t.Fatal(err)
		}
	}
}

// A volunteer whose disk is full goes on with what is there, and with the rest once there is room.
func TestFullDisk(t *testing.T) {
	dir, grow := disk(t, "1m")
	h := newHost(t)
	files := map[string]string{"index.html": "one", "film.mp4": strings.Repeat("film", 100_000)}
	h.publish(files)
	f := start(t, h, dir, 0, func(f *Follower) { f.Retry = 20 * time.Millisecond })
	s := wait(t, "the release", f.completed)

	next := map[string]string{"index.html": "two", "film.mp4": files["film.mp4"], "more.mp4": strings.Repeat("more", 300_000)}
	h.publish(next)
	f.warned("not all of the site can be kept; seeding what is there")
	f.holds(s, files)
	grow("4m")
	f.holds(wait(t, "the release, once there is room", f.completed), next)
}

// A disk that is full from the start is an error that names the folder, and leaves nothing that is in the way later.
func TestDiskFullFromTheStart(t *testing.T) {
	dir, _ := disk(t, "64k")
	h := newHost(t)
	files := map[string]string{"index.html": "one"}
	h.publish(files)
	f := start(t, h, dir, 0)
	wait(t, "the release", f.completed)
	if err := f.stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{siteFile, manifestFile, torrentFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 64<<10), 0o644); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	f = start(t, h, dir, 0)
	err := wait(t, "the end", f.ended)
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), filepath.Join(dir, siteFile)) {
		t.Errorf("got %v", err)
	}
	f.ended <- nil
	f.stop()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	f = start(t, h, dir, 0)
	f.holds(wait(t, "the release, once there is room", f.completed), files)
}
