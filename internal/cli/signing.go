package cli

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/planktos/planktos"
)

// signFlags are what publishing commands have in common.
type signFlags struct {
	Sign    *string `placeholder:"FILE" help:"Sign the release by the private key in this file, see planktos keygen."`
	Expires *span   `placeholder:"TIME" help:"How long peers and mirrors are to be believed that the release is current, such as 12h or 30d. Default: for ever."`
}

// merge puts the file's value in the place of every flag that was not given.
func (f *signFlags) merge(c *config) {
	orElse(&f.Sign, c.Sign)
	orElse(&f.Expires, c.Expires)
}

// key reads the key to sign by, and gives the expiry; nil and zero if there is none. root is the folder that is
// published.
func (f *signFlags) key(p *program, root string, now time.Time) (key ed25519.PrivateKey, expires time.Time, err error) {
	if value(f.Sign) == "" {
		if f.Expires != nil {
			return nil, expires, hint(misuse(fmt.Errorf("expires: only a signed release can")), "--sign FILE signs it")
		}
		return nil, expires, nil
	}
	if within(*f.Sign, root) {
		err := fmt.Errorf("%s: lies in the site, with which the private key would be published", *f.Sign)
		return nil, expires, hint(misuse(err),
			"move the key elsewhere; if it has been published, make another: planktos keygen FILE")
	}
	if key, err = p.readKey(*f.Sign); err != nil {
		return nil, expires, err
	}
	if f.Expires != nil {
		expires = now.Add(time.Duration(*f.Expires)).Truncate(time.Second)
	}
	return key, expires, nil
}

// within tells whether a file lies in a folder, wherever links lead.
func within(file, folder string) bool {
	real := func(name string) string {
		if full, err := filepath.Abs(name); err == nil {
			name = full
		}
		if full, err := filepath.EvalSymlinks(name); err == nil {
			name = full
		}
		return name
	}
	name, err := filepath.Rel(real(folder), real(file))
	return err == nil && filepath.IsLocal(name)
}

// maxKeyFile is how much of a file that is to hold a key is read, in bytes.
const maxKeyFile = 64 << 10

// readKey reads a private key. Others who can read it are named on standard error.
func (p *program) readKey(name string) (ed25519.PrivateKey, error) {
	const makeOne = "planktos keygen FILE makes a key"
	f, err := os.Open(name)
	if err != nil {
		return nil, hint(err, makeOne)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, hint(fmt.Errorf("%s: no private key in PEM (PKCS #8)", name), makeOne)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, hint(fmt.Errorf("%s: no private key: %w", name, err), makeOne)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, hint(fmt.Errorf("%s: not an Ed25519 key", name), makeOne)
	}
	const unix = os.PathSeparator == '/' // elsewhere the mode tells nothing
	if info, err := f.Stat(); unix && err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		p.note("others can read the private key: chmod 600 %s", name)
	}
	return key, nil
}

// encodeKey gives a private key as a PEM file has it.
func encodeKey(key ed25519.PrivateKey) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic("cli: " + err.Error()) // of another type of key alone
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// signatureText says who signed a release, and for how long.
func signatureText(s *planktos.Signature) string {
	text := fmt.Sprintf("release %d, by the key %s", s.Sequence, s.PublicKey)
	if !s.Expires.IsZero() {
		text += ", until " + s.Expires.UTC().Format(time.RFC3339)
	}
	return text
}

// span is a time that something lasts: a number and m, h, d or w.
type span time.Duration

// maxSpan is the longest span: what is meant to last longer need not expire.
const maxSpan = 10 * 365 * 24 * time.Hour

// UnmarshalText reads "12h" or "30d".
func (s *span) UnmarshalText(text []byte) error {
	units := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
	digits := strings.TrimRight(string(text), "mhdw")
	unit, known := units[string(text)[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || !known || n == 0 || n > uint64(maxSpan/unit) {
		return fmt.Errorf("%q is no time such as 12h, 30d or 8w, of at most ten years", text)
	}
	*s = span(time.Duration(n) * unit)
	return nil
}
