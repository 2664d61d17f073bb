package manifest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// beyondSchema are the vectors that are refused for what a schema cannot say.
var beyondSchema = []string{
	"size beyond the torrent", "piece beyond the torrent", "piece of an empty file", "repeated path", "out of order",
	"order of UTF-16", "order counts for skipped rows", "lone surrogate", "surrogates in the wrong order",
	"first shard not at the start", "shards out of order",
}

// TestSchema holds docs/manifest.schema.json to the vectors: it takes what readers take, and refuses what they refuse,
// but for what it cannot say.
func TestSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../docs/manifest.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	fits := func(document string) error {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(document)))
		if err != nil {
			return err
		}
		return schema.Validate(value)
	}
	v := load(t)
	for _, c := range v.Valid {
		if err := fits(c.Manifest); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	signed, err := Sign([]byte(v.Valid[0].Manifest), ed25519.NewKeyFromSeed(make([]byte, 32)), Seal{1, time.Unix(1, 0)})
	if err == nil {
		err = fits(string(signed))
	}
	if err != nil {
		t.Errorf("signed: %v", err)
	}
	disabled, err := jsonschema.NewCompiler().Compile("../../docs/manifest.schema.json#/$defs/disabledDocument")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range v.Disabled {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(c.Manifest))
		if c.Disabled && fits(c.Manifest) == nil {
			t.Errorf("%s: the schema takes it", c.Name)
		}
		if got := err == nil && disabled.Validate(value) == nil; got != c.Disabled {
			t.Errorf("%s: disabled by the schema: %t", c.Name, got)
		}
	}
	for _, c := range v.Refused {
		if got, want := fits(c.Manifest) == nil, slices.Contains(beyondSchema, c.Name); got != want {
			t.Errorf("%s: the schema takes it: %t, want %t", c.Name, got, want)
		}
	}
	shard, err := jsonschema.NewCompiler().Compile("../../docs/manifest.schema.json#/$defs/shardDocument")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range v.Shards {
		var value any
		if err := json.Unmarshal([]byte(c.Document), &value); err != nil {
			t.Fatal(err)
		}
		if err := shard.Validate(value); c.Paths != nil && err != nil {
			t.Errorf("shard %s: %v", c.Name, err)
		}
	}
}
