package cli

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/planktos/planktos/internal/seeder"
)

// keyFlag is what commands that read a published site have in common.
type keyFlag struct {
	Key *publicKey `placeholder:"FILE|HEX" help:"The site's public key, as planktos keygen prints it: only what it has signed is believed, whoever hands it on. Default: the key in the site's worker script, if that comes over HTTPS or from this machine; the site itself is believed then, too."`
}

// follow has a follower believe by the key that was given.
func (k *keyFlag) follow(f *seeder.Follower) {
	if k.Key != nil {
		f.Key, f.KeyOnly = ed25519.PublicKey(*k.Key), true
	}
}

// publicKey is a public key in hex, or a file that holds one.
type publicKey ed25519.PublicKey

// UnmarshalText reads a flag's value.
func (k *publicKey) UnmarshalText(text []byte) error {
	digits := string(text)
	if !isKey(digits) {
		f, err := os.Open(digits)
		if err != nil {
			return err
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
		if err != nil {
			return err
		}
		digits = strings.TrimSpace(string(data))
	}
	if !isKey(digits) {
		return errors.New("no public key of 64 hex digits; planktos keygen --public FILE prints that of a private one")
	}
	key, err := hex.DecodeString(digits)
	*k = key
	return err
}

func isKey(text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil && len(text) == 2*ed25519.PublicKeySize
}
