package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// ignore decides by the rules of .planktosignore, which has gitignore's syntax, and by the globs to exclude.
//
// The globs are doublestar's. What gitignore has beyond them (comments, negation, anchors, folders) is the few lines
// below; TestIgnoreAsGit holds them to git itself.
type ignore struct {
	rules []ignoreRule // the last one that matches decides
}

type ignoreRule struct {
	glob    string // over the whole path, as doublestar has it
	folders bool   // matches folders only
	keep    bool   // '!': what an earlier rule left out is kept
	reason  string
}

// readIgnore reads the root's .planktosignore, if there is one.
func readIgnore(fsys fs.FS, exclude []string) (*ignore, error) {
	ignored := &ignore{}
	text, err := fs.ReadFile(fsys, IgnoreFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", IgnoreFile, cause(err))
	}
	for i, line := range strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n") {
		rule, ok := parseIgnoreLine(strings.TrimSuffix(line, "\r"))
		if !ok {
			continue
		}
		rule.reason = "is left out by " + IgnoreFile
		if !doublestar.ValidatePattern(rule.glob) {
			return nil, fmt.Errorf("%s:%d: bad pattern %q", IgnoreFile, i+1, line)
		}
		ignored.rules = append(ignored.rules, rule)
	}
	for _, pattern := range exclude {
		rule := anchor(pattern)
		rule.reason = "is excluded"
		if pattern == "" || !doublestar.ValidatePattern(rule.glob) {
			return nil, fmt.Errorf("exclude %q: bad pattern", pattern)
		}
		ignored.rules = append(ignored.rules, rule)
	}
	return ignored, nil
}

// parseIgnoreLine reads a line of gitignore(5). It is false for blank lines and comments.
func parseIgnoreLine(line string) (ignoreRule, bool) {
	// Trailing spaces do not count unless escaped.
	for strings.HasSuffix(line, " ") && !strings.HasSuffix(line, `\ `) {
		line = strings.TrimSuffix(line, " ")
	}
	if line == "" || line[0] == '#' {
		return ignoreRule{}, false
	}
	keep := line[0] == '!'
	if keep {
		line = line[1:]
	}
	// Braces mean nothing to git.
	rule := anchor(strings.NewReplacer(`\{`, `\{`, `\}`, `\}`, `\\`, `\\`, "{", `\{`, "}", `\}`).Replace(line))
	rule.keep = keep
	return rule, strings.Trim(line, "/") != ""
}

// anchor makes a pattern one over whole paths: one with a slash before its end begins at the root, any other matches
// in every folder; a slash at its end says that folders alone are meant.
func anchor(pattern string) ignoreRule {
	glob, folders := strings.CutSuffix(pattern, "/")
	if rooted := strings.TrimPrefix(glob, "/"); strings.Contains(glob, "/") {
		glob = rooted
	} else {
		glob = "**/" + glob
	}
	// "a/**" is what lies in a, not a itself.
	if rest, ok := strings.CutSuffix(glob, "/**"); ok && rest != "**" {
		glob = rest + "/**/*"
	}
	return ignoreRule{glob: glob, folders: folders}
}

// match says why a path is left out; "" if it is not. What lies in a folder that is left out is not asked for.
func (g *ignore) match(name string, folder bool) (reason string) {
	for _, rule := range g.rules {
		if rule.folders && !folder || rule.keep == (reason == "") {
			continue
		}
		// The pattern is valid, so there is no error.
		if matched, _ := doublestar.Match(rule.glob, path.Clean(name)); matched {
			if reason = rule.reason; rule.keep {
				reason = ""
			}
		}
	}
	return reason
}
