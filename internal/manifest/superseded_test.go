package manifest

import (
	"slices"
	"strings"
	"testing"

	"github.com/planktos/planktos/internal/merkle"
)

func TestSuperseded(t *testing.T) {
	for _, ids := range [][]merkle.Hash{nil, {{1}}, {{2}, {1}, {3}}} {
		document, err := EncodeSuperseded(ids)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseSuperseded(document); err != nil || !slices.Equal(got, ids) {
			t.Errorf("%s: got %v, %v", document, got, err)
		}
	}
	if _, err := EncodeSuperseded(make([]merkle.Hash, MaxSuperseded+1)); err == nil {
		t.Error("encoded too many")
	}
	a := `"` + strings.Repeat("a", 64) + `"`
	for _, document := range []string{
		"", "null", "[]", "{}", `{"format":1}`, `{"format":2,"superseded":[]}`, `{"format":1,"superseded":null}`,
		`{"format":1,"superseded":[1]}`, `{"format":1,"superseded":["../x"]}`, `{"format":1,"superseded":[` + a + `,` + a + `]}`,
		`{"format":1,"superseded":[` + strings.ToUpper(a) + `]}`,
		`{"format":1,"superseded":["",` + strings.Repeat(a+",", MaxSuperseded) + a + `]}`,
		strings.Repeat(" ", MaxBytes) + `{"format":1,"superseded":[]}`,
	} {
		if got, err := ParseSuperseded([]byte(document)); err == nil {
			t.Errorf("%.80s: accepted as %v", document, got)
		}
	}
}

func FuzzParseSuperseded(f *testing.F) {
	f.Add([]byte(`{"format":1,"superseded":["` + strings.Repeat("ab", 32) + `"]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		ids, err := ParseSuperseded(document)
		if err != nil {
			return
		}
		again, err := EncodeSuperseded(ids)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseSuperseded(again); err != nil || !slices.Equal(got, ids) {
			t.Errorf("got %v, %v, want %v", got, err, ids)
		}
	})
}
