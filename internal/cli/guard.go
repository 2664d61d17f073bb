package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// guardEntries bounds how much of a folder is looked at to find a page in it.
const guardEntries = 20_000

// refuse keeps `planktos`, called without saying what to pack, from publishing a folder that is no site: a home
// directory, the file system's root, or a folder without any HTML. The error lists what would have been published. Its
// hint is the call that names another folder and, where there may be a reason to, the one that has this one all the
// same.
func refuse(ctx context.Context, root, another, thisOne string) error {
	full, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(full); err == nil {
		full = real
	}
	why, next := "", "go to the site's folder, or name it: "+another
	switch {
	case full == filepath.Dir(full):
		why = "is the root of the file system"
	case isHome(full):
		why = "is a home directory"
	default:
		found, err := hasHTML(ctx, full)
		if err != nil {
			return err
		}
		if !found {
			why = "has no HTML file"
			next += "; to have this one all the same: " + thisOne
		}
	}
	if why == "" {
		return nil
	}
	return hint(misuse(fmt.Errorf("%s %s; packing it would publish\n%s", full, why, listing(full))), next)
}

// isHome says whether a directory is the user's home, or where homes are.
func isHome(dir string) bool {
	if home, err := os.UserHomeDir(); err == nil {
		if real, err := filepath.EvalSymlinks(home); err == nil {
			home = real
		}
		// Parents of a home are worse.
		if dir == home || strings.HasPrefix(home, dir+string(filepath.Separator)) {
			return true
		}
	}
	switch filepath.Dir(dir) {
	case "/home", "/Users":
		return true
	}
	return dir == "/root" || dir == "/home" || dir == "/Users"
}

// hasHTML looks for a page.
func hasHTML(ctx context.Context, dir string) (bool, error) {
	found, entries := false, 0
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if name == dir && err != nil {
			return err
		}
		if err != nil {
			return nil // packing will say so
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if entries++; entries > guardEntries {
			return fs.SkipAll
		}
		hidden := strings.HasPrefix(d.Name(), ".") && name != dir
		if d.IsDir() && (hidden || name == filepath.Join(dir, "planktos")) {
			return fs.SkipDir
		}
		switch strings.ToLower(filepath.Ext(name)) {
		case ".html", ".htm", ".xhtml":
			found = !d.IsDir() && !hidden
		}
		if found {
			return fs.SkipAll
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("%s: there is no such directory", dir)
	}
	return found, err
}

// listing names the first entries of a directory that are not hidden, one to a line.
func listing(dir string) string {
	const most = 8
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "  (it cannot be listed: " + err.Error() + ")"
	}
	var lines []string
	rest := 0
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		if len(lines) == most {
			rest++
			continue
		}
		if entry.IsDir() {
			name += "/"
		}
		lines = append(lines, fmt.Sprintf("  %q", name))
	}
	switch {
	case len(lines) == 0:
		return "  nothing"
	case rest > 0:
		lines = append(lines, fmt.Sprintf("  and %d more", rest))
	}
	return strings.Join(lines, "\n")
}
