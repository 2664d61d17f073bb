package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	cacheSuffix = ".pack"
	// cacheAge is how long what was found out about a folder is kept without a pack of it.
	cacheAge = 90 * 24 * time.Hour
)

// cacheFile is where packing a folder remembers what it found out: in the user's own cache folder, since all that lies
// in the site's may be published. It is "" where the user has none, and then every pack reads every file.
func cacheFile(root string) string {
	base, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	full, err := filepath.Abs(root)
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(full); err == nil {
		full = real
	}
	sum := sha256.Sum256([]byte(full))
	return filepath.Join(base, "planktos", hex.EncodeToString(sum[:16])+cacheSuffix)
}

// tidyCache removes what was remembered of folders that nobody has packed for long.
func tidyCache(file string, now time.Time) {
	folder := filepath.Dir(file)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && strings.Contains(entry.Name(), cacheSuffix) && now.Sub(info.ModTime()) > cacheAge {
			_ = os.Remove(filepath.Join(folder, entry.Name()))
		}
	}
}
