package manifest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// A Seal is what a signed manifest says of its place among releases.
type Seal struct {
	// Sequence is higher than that of any release before, and at most MaxSize. The first is 1.
	Sequence int64
	// Expires is when nobody but the origin is to be believed any more that this is the current release, to the second;
	// zero for never.
	Expires time.Time
}

var (
	// ErrUnsigned reports a manifest without a signature.
	ErrUnsigned = errors.New("manifest: not signed")
	// ErrSignature reports a signature that is not of this manifest and key.
	ErrSignature = errors.New("manifest: the signature is not of this manifest by this key")
)

// signedPrefix separates what is signed from whatever else a key may sign.
const signedPrefix = "planktos manifest 1\n"

// A signed manifest ends in its signature, and what Sign appends stands right before it.
var (
	signatureEnd = regexp.MustCompile(`,"signature":"([0-9a-f]{128})"}$`)
	sealEnd      = regexp.MustCompile(`,"sequence":[0-9]{1,16}(,"expires":[0-9]{1,16})?}$`)
)

// Sign gives a manifest's document signed by Ed25519 (RFC 8032), with sequence number and expiry; a seal that it has
// already is replaced. The signature is over signedPrefix and the document without the signature:
//
//	planktos manifest 1\n{"format":1,…,"sequence":7,"expires":1798761600}
func Sign(document []byte, key ed25519.PrivateKey, seal Seal) ([]byte, error) {
	if _, err := parseDocument(document); err != nil {
		return nil, err
	}
	if seal.Sequence < 1 || seal.Sequence > MaxSize {
		return nil, fmt.Errorf("manifest: no sequence number: %d", seal.Sequence)
	}
	body, ok := bytes.CutSuffix(Unsealed(document), []byte("}"))
	if !ok {
		return nil, errors.New("manifest: the document goes on after its end")
	}
	signed := append(bytes.Clone(body), `,"sequence":`...)
	signed = strconv.AppendInt(signed, seal.Sequence, 10)
	if !seal.Expires.IsZero() {
		if unix := seal.Expires.Unix(); unix < 0 || unix > MaxSize {
			return nil, fmt.Errorf("manifest: cannot expire at %v", seal.Expires)
		}
		signed = append(signed, `,"expires":`...)
		signed = strconv.AppendInt(signed, seal.Expires.Unix(), 10)
	}
	signature := ed25519.Sign(key, append([]byte(signedPrefix), append(bytes.Clone(signed), '}')...))
	signed = append(signed, `,"signature":"`+hex.EncodeToString(signature)+`"}`...)
	if len(signed) > MaxBytes {
		return nil, fmt.Errorf("manifest: larger than %d bytes", MaxBytes)
	}
	return signed, nil
}

// Verify checks that a manifest is signed by a key, and gives what was signed with it. Whether it has expired, and which
// sequence number is high enough, is for the caller. The error wraps [ErrUnsigned] or [ErrSignature].
func Verify(document []byte, key ed25519.PublicKey) (Seal, error) {
	text, signature, err := split(document)
	if err != nil {
		return Seal{}, err
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, append([]byte(signedPrefix), text...), signature) {
		return Seal{}, ErrSignature
	}
	return readSeal(text)
}

// Claimed gives what a manifest says of its place among releases, whoever signed it. The error wraps [ErrUnsigned].
func Claimed(document []byte) (Seal, error) {
	text, _, err := split(document)
	if err != nil {
		return Seal{}, err
	}
	return readSeal(text)
}

// split gives what is signed and its signature.
func split(document []byte) (text, signature []byte, err error) {
	if len(document) > MaxBytes {
		return nil, nil, fmt.Errorf("manifest: larger than %d bytes", MaxBytes)
	}
	end := signatureEnd.FindSubmatchIndex(tail(document))
	if end == nil {
		return nil, nil, ErrUnsigned
	}
	at := len(document) - (end[1] - end[0])
	signature, err = hex.DecodeString(string(tail(document)[end[2]:end[3]]))
	return append(bytes.Clone(document[:at]), '}'), signature, err
}

// tail is the end of a document, as far as a seal may reach.
func tail(document []byte) []byte { return document[max(0, len(document)-256):] }

// readSeal reads the keys sequence and expires.
func readSeal(text []byte) (seal Seal, err error) {
	top, err := parseDocument(text)
	if err != nil {
		return Seal{}, err
	}
	p := parser{}
	seal.Sequence = p.integer(top["sequence"], MaxSize, "sequence")
	if seal.Sequence == 0 {
		p.fail("sequence")
	}
	if expires, ok := top["expires"]; ok {
		seal.Expires = time.Unix(p.integer(expires, MaxSize, "expires"), 0).UTC()
	}
	if p.err != nil {
		return Seal{}, p.err
	}
	return seal, nil
}

// Unsealed gives a manifest's document without what [Sign] has added.
func Unsealed(document []byte) []byte {
	text, _, err := split(document)
	if err != nil {
		return document
	}
	if end := sealEnd.FindIndex(tail(text)); end != nil {
		text = append(text[:len(text)-(end[1]-end[0])], '}')
	}
	return text
}
