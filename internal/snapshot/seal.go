package snapshot

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/planktos/planktos/internal/manifest"
	"github.com/planktos/planktos/internal/release"
)

// Signing says how a manifest is signed.
type Signing struct {
	Key ed25519.PrivateKey
	// Expires is when nobody but the origin is to be believed any more that the release is current; zero for never.
	Expires time.Time
}

// Sign makes of the snapshot that is opened ([Snapshot.Open]) one that is signed: its manifest is, with a sequence number,
// and the worker's script has the public key. Manifest stays as it is. It is called before the snapshot is used.
func (s *Snapshot) Sign(key ed25519.PrivateKey, sequence int64) error {
	signed, err := manifest.Sign(s.Manifest, key, manifest.Seal{Sequence: sequence})
	if err != nil {
		return err
	}
	s.addAsset(ManifestFile, signed)
	s.addAsset(WorkerFile, release.WithKey(s.runtime.Worker, publicKey(key)))
	return nil
}

// Signed is the manifest that is opened: signed, once Sign has been called.
func (s *Snapshot) Signed() []byte { return s.assets[ManifestFile].data }

// maxClaimed is the highest sequence number that a manifest of another key is believed: one that somebody made up could
// leave no room for releases after it.
const maxClaimed = 1 << 52

// seal decides which manifest is published.
func (p *publisher) seal(s *Snapshot, past *history, sign *Signing) (err error) {
	p.manifest = s.Manifest
	if sign != nil {
		p.key = publicKey(sign.Key)
		p.manifest, p.done.Seal, err = past.sealed(s.Manifest, sign)
	}
	if err != nil || past.current == nil {
		return err
	}
	switch _, claimed := manifest.Claimed(past.current.Manifest); {
	case claimed != nil: // nothing that could be believed
	case sign == nil:
		p.done.Unsealed = true
	default:
		_, verified := manifest.Verify(past.current.Manifest, publicKey(sign.Key))
		p.done.OtherKey = verified != nil
	}
	return nil
}

// sealed signs the manifest to publish after the current one, with the next sequence number. The same site without
// another expiry is the same release, with the same number.
func (h *history) sealed(document []byte, sign *Signing) ([]byte, manifest.Seal, error) {
	seal := manifest.Seal{Expires: sign.Expires.UTC().Truncate(time.Second)}
	if h.current != nil {
		last, err := manifest.Verify(h.current.Manifest, publicKey(sign.Key))
		same := bytes.Equal(manifest.Unsealed(h.current.Manifest), document)
		if err == nil && same && last.Expires.Equal(seal.Expires) {
			return h.current.Manifest, last, nil
		}
	}
	last, err := h.sequence(sign.Key)
	if err != nil {
		return nil, manifest.Seal{}, err
	}
	seal.Sequence = last + 1
	signed, err := manifest.Sign(document, sign.Key, seal)
	return signed, seal, err
}

// sequence is the highest number among the releases that are known, 0 if none of them is signed.
func (h *history) sequence(key ed25519.PrivateKey) (highest int64, err error) {
	documents := [][]byte{h.disabled}
	if h.current != nil {
		documents = append(documents, h.current.Manifest)
	}
	for _, r := range h.older {
		documents = append(documents, r.Manifest)
	}
	for _, document := range documents {
		seal, err := manifest.Verify(document, publicKey(key))
		if err != nil {
			seal, err = manifest.Claimed(document)
			if err == nil && seal.Sequence > maxClaimed {
				return 0, fmt.Errorf(
					"an earlier manifest is signed by another key, and its sequence number leaves no room: %d", seal.Sequence)
			}
		}
		highest = max(highest, seal.Sequence)
	}
	return highest, nil
}

func publicKey(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }
