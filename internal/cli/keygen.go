package cli

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

type keygenCommand struct {
	File   string `arg:"" help:"Where to write the private key. It must not exist, and not lie in the site."`
	Public bool   `help:"Print the public key of the key that is in the file, and make none."`
}

// Help is shown by `planktos keygen --help`.
func (keygenCommand) Help() string {
	return `Keygen makes a key that releases are signed by (Ed25519), writes it into a file that nobody but you can read, and prints its
public half. It overwrites nothing.

  planktos keygen ~/site.key                   make a key
  planktos -r site/ --sign ~/site.key          sign a release
  planktos keygen --public ~/site.key          print the public key again

The file is PKCS #8 in PEM, as OpenSSL has it. Whoever has it can make releases in your name: keep it out of the site's
folder and out of version control. A lost key is replaced by a new one: your own server is always believed.`
}

// Run makes a key.
func (c *keygenCommand) Run(p *program) error {
	if c.Public {
		key, err := p.readKey(c.File)
		if err != nil {
			return err
		}
		return p.printKey(key)
	}
	if site := packedAbove(c.File); site != "" {
		return hint(misuse(fmt.Errorf("%s: lies in the packed site %s, with which it would be published", c.File, site)),
			"name a file elsewhere")
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	if err := writeKey(c.File, key); err != nil {
		return err
	}
	p.note("wrote the private key into %s", c.File)
	return p.printKey(key)
}

// printKey prints the public half.
func (p *program) printKey(key ed25519.PrivateKey) error {
	_, err := fmt.Fprintln(p.stdout, hex.EncodeToString(key.Public().(ed25519.PublicKey)))
	return err
}

// writeKey writes a private key into a new file.
func writeKey(name string, key ed25519.PrivateKey) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return hint(fmt.Errorf("%s: exists, and is not overwritten", name),
			"name another file; --public prints the public key of this one")
	case err != nil:
		return err
	}
	_, err = f.Write(encodeKey(key))
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = os.Remove(name)
		return fmt.Errorf("writing the key: %w", err)
	}
	return nil
}

// packedAbove gives the packed site that a file lies in; "" if that is none.
func packedAbove(file string) string {
	full, err := filepath.Abs(file)
	if err != nil {
		return ""
	}
	for dir := filepath.Dir(full); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "planktos", "manifest.json")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}
