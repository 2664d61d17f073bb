package cli

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestCacheFile(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", "")
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if cacheFile(dir) != cacheFile(link) || cacheFile(dir) == cacheFile(filepath.Dir(dir)) {
		t.Errorf("%s, %s, %s", cacheFile(dir), cacheFile(link), cacheFile(filepath.Dir(dir)))
	}
	t.Setenv("HOME", "")
	if got := cacheFile(dir); got != "" {
		t.Errorf("without a home: %s", got)
	}
}

func TestTidyCache(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	for name, age := range map[string]time.Duration{
		"new.pack": 0, "old.pack": 100 * 24 * time.Hour, "old.pack.123": 100 * 24 * time.Hour, "other": 100 * 24 * time.Hour,
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, now, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	tidyCache(filepath.Join(dir, "new.pack"), now)
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 2 || filepath.Base(left[0]) != "new.pack" || filepath.Base(left[1]) != "other" {
		t.Errorf("left %q, %v", left, err)
	}
}
