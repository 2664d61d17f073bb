package mediatype

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestCases(t *testing.T) {
	data, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, Type   string
		Compressible bool
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range cases {
		seen[strings.ToLower(c.Name[strings.LastIndexByte(c.Name, '.')+1:])] = true
		if got := Of(c.Name); got != c.Type {
			t.Errorf("%q: got %s, want %s", c.Name, got, c.Type)
		}
		if got := Compressible(c.Type); got != c.Compressible {
			t.Errorf("%s: compressible %v, want %v", c.Type, got, c.Compressible)
		}
	}
	for extension := range byExtension {
		if !seen[extension] {
			t.Errorf("no case for .%s", extension)
		}
	}
}
