package cli

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"5m": 5 * time.Minute, "12h": 12 * time.Hour, "30d": 30 * 24 * time.Hour, "8w": 8 * 7 * 24 * time.Hour, "3650d": maxSpan,
	} {
		var got span
		if err := got.UnmarshalText([]byte(text)); err != nil || time.Duration(got) != want {
			t.Errorf("%q: %v, %v", text, time.Duration(got), err)
		}
	}
	for _, text := range []string{"", "d", "12", "0d", "-1d", "1.5d", "1y", "1dd", "3651d", "99999999999d", "4294967295m"} {
		var got span
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, time.Duration(got))
		}
	}
}

func TestWithin(t *testing.T) {
	dir := t.TempDir()
	site, link := filepath.Join(dir, "site"), filepath.Join(dir, "link")
	if err := os.MkdirAll(filepath.Join(site, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{filepath.Join(site, "sub", "key"), filepath.Join(dir, "key")} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(site, "sub", "key"), link); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]bool{
		filepath.Join(site, "key"): true, filepath.Join(site, "sub", "key"): true, link: true,
		filepath.Join(dir, "key"): false, filepath.Join(dir, "site.key"): false,
	} {
		if got := within(file, site); got != want {
			t.Errorf("%s: %v, want %v", file, got, want)
		}
	}
}
