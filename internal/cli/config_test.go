package cli

import (
	"strings"
	"testing"
)

func TestParseConfig(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"empty object", "{}", ""},
		{"byte order mark", "\uFEFF{\"mode\": \"ask\"}", ""},
		{"everything", `{"webseed":["a"],"tracker":[],"ice":[],"exclude":["b"],"base":"/","mode":"off","prefer":"speed",
			"lib-only":true,"in-place":false,"inject":true,"hard-link":true,"keep":3,
			"headers":[{"path":"*","headers":{"a":"b"}}]}`, ""},
		{"truncated", "{\n\"mode\":", "f.json:2: not JSON: unexpected end of JSON input"},
		{"trailing comma", "{\n\"mode\": \"ask\",\n}", "f.json:3: not JSON"},
		{"second document", "{}\n{}", "f.json:2: not JSON"},
		{"a number", "1", "f.json:1: the configuration is one JSON object"},
		{"unknown key in a rule", `{"headers": [{"path": "*", "header": {}}]}`, `f.json:1: "headers" is a list of {"path"`},
		{"list of numbers", "{\n\n\"exclude\": [1]}", `f.json:3: "exclude" is a list of strings, and this is [1]`},
		{"true for text", `{"base": true}`, `"base" is a string, and this is true`},
		{"text for true", `{"inject": "yes"}`, `"inject" is true or false, and this is "yes"`},
		{"long value", `{"inject": "` + strings.Repeat("y", 1000) + `"}`, "y…"},
		{"case counts", `{"Mode": "ask"}`, `unknown key "Mode"`},
		{"deep nesting", strings.Repeat("[", 20_000), "f.json:1: not JSON"},
		{"not UTF-8", "{\"mode\": \"\xff\"}", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := parseConfig("f.json", []byte(test.text))
			if test.want == "" {
				if err != nil || c == nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"mode": "ask", "headers": [{"path": "*", "headers": {}}]}`))
	f.Add([]byte("{\n\"mode\" \"ask\"}"))
	f.Add([]byte("[[[["))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfig("f.json", data)
		if (c == nil) == (err == nil) {
			t.Errorf("config %v and error %v", c, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "f.json:") {
			t.Errorf("%q: the error names no line: %v", data, err)
		}
	})
}

func TestBytesOf(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 999: "999 bytes", 1000: "1.0 kB", 999_949: "999.9 kB", 999_951: "1.0 MB", 4_290_000_000: "4.3 GB",
		1<<63 - 1: "9.2 EB",
	} {
		if got := bytesOf(n); got != want {
			t.Errorf("bytesOf(%d) = %q, want %q", n, got, want)
		}
	}
}
