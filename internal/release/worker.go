package release

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
)

// WorkerFile is the service worker's script, which browsers have from the site's own server alone. That of a signed site
// begins with a line that sets the key by which others than the server are believed:
//
//	self.planktosKey="64 hex digits";
//
// All else is the same for every site of a version.
const WorkerFile = "planktos.sw.min.js"

const (
	keyBegin = `self.planktosKey="`
	keyEnd   = "\";\n"
)

// MaxWorker bounds the script of any version, in bytes.
const MaxWorker = 1 << 20

// WithKey gives the script of a site that signs by a key; that of one that does not if key is nil.
func WithKey(worker []byte, key ed25519.PublicKey) []byte {
	if key == nil {
		return worker
	}
	line := keyBegin + hex.EncodeToString(key) + keyEnd
	return append([]byte(line), worker...)
}

// KeyOf gives the key that a script sets; nil if it sets none.
func KeyOf(worker []byte) ed25519.PublicKey {
	rest, ok := bytes.CutPrefix(worker, []byte(keyBegin))
	digits, _, ended := bytes.Cut(rest, []byte(keyEnd))
	key, err := hex.DecodeString(string(digits))
	if !ok || !ended || err != nil || len(key) != ed25519.PublicKeySize {
		return nil
	}
	return key
}
