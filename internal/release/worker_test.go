package release

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
)

func TestWorkerKey(t *testing.T) {
	script := []byte(`(()=>{})();`)
	key := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	with := WithKey(script, key)
	line, rest, _ := bytes.Cut(with, []byte("\n"))
	if !bytes.Equal(rest, script) {
		t.Errorf("more than a line differs: %s", rest)
	}
	if !key.Equal(KeyOf(with)) {
		t.Errorf("%s has the key %x", line, KeyOf(with))
	}
	if got := WithKey(script, nil); !bytes.Equal(got, script) {
		t.Errorf("without a key: %s", got)
	}
	for name, text := range map[string]string{
		"no key":         string(script),
		"empty":          "",
		"cut short":      string(line[:40]),
		"no end":         string(line[:len(line)-1]),
		"too short":      strings.Replace(string(with), `";`+"\n", "", 1),
		"no hex":         strings.Replace(string(with), string(line[40:42]), "xx", 1),
		"another length": strings.Replace(string(with), `";`+"\n", `00";`+"\n", 1),
		"elsewhere":      " " + string(with),
	} {
		if got := KeyOf([]byte(text)); got != nil {
			t.Errorf("%s: %x", name, got)
		}
	}
}
