package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// configName is the file read from the site's root when --config names no other.
const configName = "planktos.json"

// config is what planktos.json may say: the keys are the flags of pack and serve. A flag given on the command line
// replaces the file's value, lists included.
type config struct {
	WebSeed  []string     `json:"webseed"`
	Tracker  []string     `json:"tracker"`
	ICE      []string     `json:"ice"`
	Exclude  []string     `json:"exclude"`
	Headers  []headerRule `json:"headers"`
	Base     *string      `json:"base"`
	Mode     *string      `json:"mode"`
	Prefer   *string      `json:"prefer"`
	First    *string      `json:"first-visit"`
	Prefetch *size        `json:"prefetch"`
	LibOnly  *bool        `json:"lib-only"`
	InPlace  *bool        `json:"in-place"`
	Inject   *bool        `json:"inject"`
	HardLink *bool        `json:"hard-link"`
	Keep     *int         `json:"keep"`
	Previous *string      `json:"previous"`
	Sign     *string      `json:"sign"`
	Expires  *span        `json:"expires"`
}

// headerRule gives the response headers of paths that match a pattern: a path, or a prefix followed by "*".
type headerRule struct {
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
}

// fields says where each key's value goes, and what a value of the key looks like.
func (c *config) fields() map[string]struct {
	to   any
	want string
} {
	type field = struct {
		to   any
		want string
	}
	const list, text, truth = "a list of strings", "a string", "true or false"
	return map[string]field{
		"webseed": {&c.WebSeed, list}, "tracker": {&c.Tracker, list}, "ice": {&c.ICE, list}, "exclude": {&c.Exclude, list},
		"headers": {&c.Headers, `a list of {"path": "docs/*", "headers": {"Name": "value"}}`},
		"base":    {&c.Base, text}, "mode": {&c.Mode, text}, "prefer": {&c.Prefer, text},
		"first-visit": {&c.First, text},
		"prefetch":    {&c.Prefetch, `a number of bytes, or a size such as "2MB"`},
		"lib-only":    {&c.LibOnly, truth}, "in-place": {&c.InPlace, truth}, "inject": {&c.Inject, truth},
		"hard-link": {&c.HardLink, truth}, "keep": {&c.Keep, "a number of snapshots"},
		"previous": {&c.Previous, text}, "sign": {&c.Sign, text},
		"expires": {&c.Expires, `a time such as "30d"`},
	}
}

// readConfig reads the file that --config names, or planktos.json in root, which need not exist.
func readConfig(named, root string) (*config, error) {
	name := named
	if name == "" {
		name = filepath.Join(root, configName)
	}
	data, err := os.ReadFile(name)
	if named == "" && errors.Is(err, fs.ErrNotExist) {
		return &config{}, nil
	}
	if err != nil {
		return nil, hint(err, "--config names a JSON file; without it "+configName+" is read where there is one")
	}
	return parseConfig(name, data)
}

// parseConfig reads a configuration; errors name file and line.
func parseConfig(name string, data []byte) (*config, error) {
	fail := func(offset int64, format string, args ...any) error {
		line := 1 + bytes.Count(data[:max(0, min(offset, int64(len(data))))], []byte("\n"))
		return misuse(fmt.Errorf("%s:%d: %s", name, line, fmt.Sprintf(format, args...)))
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	var document any
	if err := json.Unmarshal(data, &document); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			// Offset is the number of bytes read, the offending one included.
			return nil, fail(syntax.Offset-1, "not JSON: %s", err)
		}
		return nil, fail(0, "not JSON: %s", err)
	}
	if _, ok := document.(map[string]any); !ok {
		return nil, fail(0, "the configuration is one JSON object, such as {\"exclude\": [\"drafts/**\"]}")
	}

	c := new(config)
	fields := c.fields()
	seen := make(map[string]bool)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if _, err := d.Token(); err != nil {
		return nil, fail(0, "%s", err)
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, fail(d.InputOffset(), "%s", err)
		}
		// The document is known to be valid, so this is a key; its line is the one it ends on.
		key, offset := token.(string), d.InputOffset()
		field, ok := fields[key]
		if !ok {
			known := make([]string, 0, len(fields))
			for k := range fields {
				known = append(known, k)
			}
			slices.Sort(known)
			return nil, fail(offset, "unknown key %q; the keys are %s", key, strings.Join(known, ", "))
		}
		if seen[key] {
			return nil, fail(offset, "key %q is given twice", key)
		}
		seen[key] = true
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, fail(offset, "%s", err)
		}
		value := json.NewDecoder(bytes.NewReader(raw))
		value.DisallowUnknownFields()
		if bytes.Equal(raw, []byte("null")) || value.Decode(field.to) != nil {
			return nil, fail(offset, "%q is %s, and this is %s", key, field.want, shorten(string(raw), 60))
		}
	}
	return c, nil
}

// shorten cuts a text to at most n characters, on one line.
func shorten(s string, n int) string {
	runes := []rune(strings.Join(strings.Fields(s), " "))
	if len(runes) <= n {
		return string(runes)
	}
	return string(runes[:n-1]) + "…"
}
