// Package wire is the peer wire: BitTorrent's messages as bytes (BEP 3), with the fast extension (BEP 6), the extension
// protocol's envelope (BEP 10) and the hash messages of version 2 (BEP 52). It knows no sockets.
//
// The TypeScript twin is browser/src/shared/wire.ts; both are held to testdata/vectors/wire.json, and docs/protocol.md
// says what of it Planktos uses. All integers are big-endian and unsigned, of 4 bytes.
//
//	handshake  19 "BitTorrent protocol" reserved[8] infoHash[20] peerId[20]
//	message    length[4] id[1] payload[length - 1]         length 0: keep-alive
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// BlockSize is the length of the blocks that peers ask each other for, the last of a content excepted.
const BlockSize = 16 << 10

// HandshakeSize is the length of a handshake.
const HandshakeSize = 68

const protocolName = "\x13BitTorrent protocol"

// ErrProtocol is wrapped by every error that says that the peer broke the protocol.
var ErrProtocol = errors.New("wire: protocol violation")

// A Handshake is what a peer says first.
type Handshake struct {
	InfoHash [20]byte
	PeerID   [20]byte
	Extended bool // BEP 10: reserved byte 5, 0x10
	Fast     bool // BEP 6: reserved byte 7, 0x04
	V2       bool // BEP 52: reserved byte 7, 0x10
}

// Append appends the handshake's bytes to b.
func (h *Handshake) Append(b []byte) []byte {
	var reserved [8]byte
	if h.Extended {
		reserved[5] |= 0x10
	}
	if h.Fast {
		reserved[7] |= 0x04
	}
	if h.V2 {
		reserved[7] |= 0x10
	}
	b = append(b, protocolName...)
	b = append(b, reserved[:]...)
	b = append(b, h.InfoHash[:]...)
	return append(b, h.PeerID[:]...)
}

// ReadHandshake reads a handshake. Bits of features that it does not know are ignored.
func ReadHandshake(r io.Reader) (Handshake, error) {
	var b [HandshakeSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return Handshake{}, err
	}
	if string(b[:20]) != protocolName {
		return Handshake{}, fmt.Errorf("%w: not the BitTorrent protocol", ErrProtocol)
	}
	return Handshake{
		InfoHash: [20]byte(b[28:48]),
		PeerID:   [20]byte(b[48:68]),
		Extended: b[25]&0x10 != 0,
		Fast:     b[27]&0x04 != 0,
		V2:       b[27]&0x10 != 0,
	}, nil
}

// A Message is one of the types below.
type Message interface {
	// appendBody appends id and payload.
	appendBody(b []byte) []byte
}

// ID is a message's number on the wire.
type ID uint8

// The messages that this package knows.
const (
	Choke         ID = 0
	Unchoke       ID = 1
	Interested    ID = 2
	NotInterested ID = 3
	Have          ID = 4
	BitfieldID    ID = 5
	Request       ID = 6
	PieceID       ID = 7
	Cancel        ID = 8
	Suggest       ID = 13
	HaveAll       ID = 14
	HaveNone      ID = 15
	Reject        ID = 16
	AllowedFast   ID = 17
	ExtendedID    ID = 20
	HashRequest   ID = 21
	HashesID      ID = 22
	HashReject    ID = 23
)

type (
	// KeepAlive says nothing, and that the peer is there.
	KeepAlive struct{}
	// Bare is a message without payload: Choke, Unchoke, Interested, NotInterested, HaveAll or HaveNone.
	Bare struct{ ID ID }
	// Index is Have, Suggest or AllowedFast.
	Index struct {
		ID    ID
		Piece uint32
	}
	// Bitfield says which pieces a peer has; the high bit of the first byte is piece 0.
	Bitfield struct{ Bits []byte }
	// Block is Request, Cancel or Reject; Begin and Length are bytes of the piece.
	Block struct {
		ID                   ID
		Piece, Begin, Length uint32
	}
	// Piece carries a block.
	Piece struct {
		Piece, Begin uint32
		Block        []byte
	}
	// Extended is the envelope of BEP 10; number 0 is the extension handshake, a bencoded dictionary.
	Extended struct {
		Number  uint8
		Payload []byte
	}
	// HashRange is a run of Length nodes of a file's tree, from node Index of layer Base (0: the 16 KiB blocks).
	HashRange struct {
		Root                             [32]byte
		Base, Index, Length, ProofLayers uint32
	}
	// HashMessage is HashRequest or HashReject.
	HashMessage struct {
		ID ID
		HashRange
	}
	// Hashes answers a HashRequest: the run's hashes and the uncles that prove them, 32 bytes each.
	Hashes struct {
		HashRange
		Hashes []byte
	}
	// Unknown is any other message, to be ignored.
	Unknown struct {
		ID      ID
		Payload []byte
	}
)

func (KeepAlive) appendBody(b []byte) []byte { return b }
func (m Bare) appendBody(b []byte) []byte    { return append(b, byte(m.ID)) }
func (m Index) appendBody(b []byte) []byte   { return appendUint32(append(b, byte(m.ID)), m.Piece) }
func (m Block) appendBody(b []byte) []byte {
	return appendUint32(append(b, byte(m.ID)), m.Piece, m.Begin, m.Length)
}
func (m Bitfield) appendBody(b []byte) []byte { return append(append(b, byte(BitfieldID)), m.Bits...) }
func (m Piece) appendBody(b []byte) []byte {
	return append(appendUint32(append(b, byte(PieceID)), m.Piece, m.Begin), m.Block...)
}
func (m Extended) appendBody(b []byte) []byte {
	return append(append(b, byte(ExtendedID), m.Number), m.Payload...)
}
func (m HashMessage) appendBody(b []byte) []byte { return m.appendRange(append(b, byte(m.ID))) }
func (m Hashes) appendBody(b []byte) []byte {
	return append(m.appendRange(append(b, byte(HashesID))), m.Hashes...)
}
func (m Unknown) appendBody(b []byte) []byte { return append(append(b, byte(m.ID)), m.Payload...) }

func (r HashRange) appendRange(b []byte) []byte {
	return appendUint32(append(b, r.Root[:]...), r.Base, r.Index, r.Length, r.ProofLayers)
}

func appendUint32(b []byte, numbers ...uint32) []byte {
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

// Append appends the whole message to b, its length in front.
func Append(b []byte, m Message) []byte {
	start := len(b)
	b = m.appendBody(append(b, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// Read reads one message. A message longer than limit bytes, its length in front not counted, is an error before
// anything is allocated for it. Errors of r are returned as they are, io.EOF between messages only.
func Read(r io.Reader, limit uint32) (Message, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length > limit {
		return nil, fmt.Errorf("%w: message of %d bytes", ErrProtocol, length)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return Decode(body)
}

// Decode decodes a message without its length in front. Byte slices in the result are parts of body.
func Decode(body []byte) (Message, error) {
	if len(body) == 0 {
		return KeepAlive{}, nil
	}
	id, payload := ID(body[0]), body[1:]
	bad := func() (Message, error) {
		return nil, fmt.Errorf("%w: message %d of %d bytes", ErrProtocol, id, len(payload))
	}
	number := func(i int) uint32 { return binary.BigEndian.Uint32(payload[4*i:]) }
	switch id {
	case Choke, Unchoke, Interested, NotInterested, HaveAll, HaveNone:
		if len(payload) != 0 {
			return bad()
		}
		return Bare{id}, nil
	case Have, Suggest, AllowedFast:
		if len(payload) != 4 {
			return bad()
		}
		return Index{id, number(0)}, nil
	case BitfieldID:
		return Bitfield{payload}, nil
	case Request, Cancel, Reject:
		if len(payload) != 12 {
			return bad()
		}
		return Block{id, number(0), number(1), number(2)}, nil
	case PieceID:
		if len(payload) < 8 {
			return bad()
		}
		return Piece{number(0), number(1), payload[8:]}, nil
	case ExtendedID:
		if len(payload) < 1 {
			return bad()
		}
		return Extended{payload[0], payload[1:]}, nil
	case HashRequest, HashReject, HashesID:
		if len(payload) < 48 || len(payload)%32 != 16 || id != HashesID && len(payload) != 48 {
			return bad()
		}
		r := HashRange{[32]byte(payload), number(8), number(9), number(10), number(11)}
		if id == HashesID {
			return Hashes{r, payload[48:]}, nil
		}
		return HashMessage{id, r}, nil
	default:
		return Unknown{id, payload}, nil
	}
}
