package manifest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// signatureVectors is testdata/vectors/signature.json, signed by OpenSSL.
type signatureVectors struct {
	Valid []struct {
		Name, Key, Document string
		Seed                string // of the private key, where Sign is to give the same
		Sequence, Expires   int64
	}
	Refused []struct{ Name, Key, Document string }
}

func loadSignatures(t testing.TB) (v signatureVectors) {
	t.Helper()
	data, err := os.ReadFile("../../testdata/vectors/signature.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil || len(v.Valid) == 0 || len(v.Refused) == 0 {
		t.Fatalf("vectors: %v", err)
	}
	return v
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestVerify(t *testing.T) {
	v := loadSignatures(t)
	for _, c := range v.Valid {
		t.Run(c.Name, func(t *testing.T) {
			document := []byte(c.Document)
			seal, err := Verify(document, unhex(t, c.Key))
			if err != nil {
				t.Fatal(err)
			}
			want := Seal{Sequence: c.Sequence}
			if c.Expires != 0 {
				want.Expires = time.Unix(c.Expires, 0).UTC()
			}
			if seal != want {
				t.Errorf("got %+v, want %+v", seal, want)
			}
			if claimed, err := Claimed(document); err != nil || claimed != seal {
				t.Errorf("claims %+v, %v", claimed, err)
			}
			if c.Seed == "" {
				return
			}
			key := ed25519.NewKeyFromSeed(unhex(t, c.Seed))
			for _, from := range [][]byte{Unsealed(document), document} {
				if got, err := Sign(from, key, seal); err != nil || !bytes.Equal(got, document) {
					t.Errorf("signed again: %s, %v", got, err)
				}
			}
		})
	}
	for _, c := range v.Refused {
		t.Run(c.Name, func(t *testing.T) {
			if seal, err := Verify([]byte(c.Document), unhex(t, c.Key)); err == nil {
				t.Errorf("accepted: %+v", seal)
			}
		})
	}
}

func TestSign(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	plain := []byte(load(t).Valid[0].Manifest)
	signed, err := Sign(plain, key, Seal{Sequence: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(signed); err != nil {
		t.Errorf("readers that know nothing of signatures refuse it: %v", err)
	}
	if got := Unsealed(signed); !bytes.Equal(got, plain) {
		t.Errorf("without the seal: %s", got)
	}
	if got := Unsealed(plain); !bytes.Equal(got, plain) {
		t.Errorf("without a seal: %s", got)
	}
	if _, err := Verify(plain, key.Public().(ed25519.PublicKey)); !errors.Is(err, ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
	again, err := Sign(signed, key, Seal{Sequence: 2, Expires: time.Unix(1e9, 5)})
	if err != nil || strings.Count(string(again), "sequence") != 1 {
		t.Errorf("signed twice: %s, %v", again, err)
	}
	for name, c := range map[string]struct {
		document string
		seal     Seal
	}{
		"no manifest":          {"{}", Seal{Sequence: 1}},
		"white space":          {string(plain) + "\n", Seal{Sequence: 1}},
		"no sequence number":   {string(plain), Seal{}},
		"a negative one":       {string(plain), Seal{Sequence: -1}},
		"one too high":         {string(plain), Seal{Sequence: MaxSize + 1}},
		"expired before 1970":  {string(plain), Seal{Sequence: 1, Expires: time.Unix(-1, 0)}},
		"too large afterwards": {strings.Repeat(" ", MaxBytes-len(plain)) + string(plain), Seal{Sequence: 1}},
	} {
		if got, err := Sign([]byte(c.document), key, c.seal); err == nil {
			t.Errorf("%s: signed %.100s", name, got)
		}
	}
}

func FuzzVerify(f *testing.F) {
	v := loadSignatures(f)
	for _, c := range v.Valid {
		f.Add([]byte(c.Document))
	}
	for _, c := range v.Refused {
		f.Add([]byte(c.Document))
	}
	key := ed25519.PublicKey(unhex(f, v.Valid[0].Key))
	f.Fuzz(func(t *testing.T, document []byte) {
		if _, err := Verify(document, key); err == nil {
			for _, c := range v.Valid {
				if c.Document == string(document) {
					return
				}
			}
			t.Errorf("accepted %q", document)
		}
		if bare := Unsealed(document); len(bare) > len(document) {
			t.Errorf("%q becomes %q", document, bare)
		}
	})
}
