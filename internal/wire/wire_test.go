package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"
)

type vectors struct {
	Limit    uint32
	Messages []struct {
		Name, Hex string
		Message   struct {
			Type, Bits, Block, Payload, Root, Hashes           string
			Piece, Begin, Length, ID, Base, Index, ProofLayers uint32
		}
	}
	BadMessages []struct{ Name, Hex string }
	Handshakes  []struct {
		Name, Hex, InfoHash, PeerID string
		Extended, Fast, V2          bool
	}
	BadHandshakes []struct{ Name, Hex string }
}

// readVectors reads those of the shared vectors that V has fields for.
func readVectors[V any](t testing.TB) (v V) {
	t.Helper()
	data, err := os.ReadFile("../../testdata/vectors/wire.json")
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var ids = map[string]ID{
	"choke": Choke, "unchoke": Unchoke, "interested": Interested, "notInterested": NotInterested, "haveAll": HaveAll,
	"haveNone": HaveNone, "have": Have, "suggest": Suggest, "allowedFast": AllowedFast, "request": Request,
	"cancel": Cancel, "reject": Reject, "hashRequest": HashRequest, "hashReject": HashReject,
}

func TestMessages(t *testing.T) {
	v := readVectors[vectors](t)
	for _, c := range v.Messages {
		t.Run(c.Name, func(t *testing.T) {
			m := c.Message
			var want Message
			hashes := HashRange{Base: m.Base, Index: m.Index, Length: m.Length, ProofLayers: m.ProofLayers}
			copy(hashes.Root[:], unhex(t, m.Root))
			switch m.Type {
			case "keepAlive":
				want = KeepAlive{}
			case "have", "suggest", "allowedFast":
				want = Index{ids[m.Type], m.Piece}
			case "bitfield":
				want = Bitfield{unhex(t, m.Bits)}
			case "request", "cancel", "reject":
				want = Block{ids[m.Type], m.Piece, m.Begin, m.Length}
			case "piece":
				want = Piece{m.Piece, m.Begin, unhex(t, m.Block)}
			case "extended":
				want = Extended{uint8(m.ID), unhex(t, m.Payload)}
			case "hashRequest", "hashReject":
				want = HashMessage{ids[m.Type], hashes}
			case "hashes":
				want = Hashes{hashes, unhex(t, m.Hashes)}
			case "unknown":
				want = Unknown{ID(m.ID), unhex(t, m.Payload)}
			default:
				want = Bare{ids[m.Type]}
			}
			if got := hex.EncodeToString(Append(nil, want)); got != c.Hex {
				t.Errorf("Append(%#v) = %s, want %s", want, got, c.Hex)
			}
			got, err := Read(iotest.OneByteReader(bytes.NewReader(unhex(t, c.Hex))), v.Limit)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(Append(nil, got)); got != c.Hex {
				t.Errorf("decoded and encoded again: %s, want %s", got, c.Hex)
			}
		})
	}
	for _, c := range v.BadMessages {
		t.Run(c.Name, func(t *testing.T) {
			if m, err := Read(bytes.NewReader(unhex(t, c.Hex)), v.Limit); !errors.Is(err, ErrProtocol) {
				t.Errorf("got %#v, %v", m, err)
			}
		})
	}
}

func TestHandshakes(t *testing.T) {
	v := readVectors[vectors](t)
	for _, c := range v.Handshakes {
		t.Run(c.Name, func(t *testing.T) {
			want := Handshake{
				InfoHash: [20]byte(unhex(t, c.InfoHash)), PeerID: [20]byte(unhex(t, c.PeerID)),
				Extended: c.Extended, Fast: c.Fast, V2: c.V2,
			}
			got, err := ReadHandshake(bytes.NewReader(unhex(t, c.Hex)))
			if err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
			if got := hex.EncodeToString(want.Append(nil)); got != c.Hex {
				t.Errorf("Append: %s, want %s", got, c.Hex)
			}
		})
	}
	for _, c := range v.BadHandshakes {
		t.Run(c.Name, func(t *testing.T) {
			if h, err := ReadHandshake(bytes.NewReader(unhex(t, c.Hex))); !errors.Is(err, ErrProtocol) {
				t.Errorf("got %+v, %v", h, err)
			}
		})
	}
}

func TestTruncated(t *testing.T) {
	v := readVectors[vectors](t)
	for _, c := range v.Messages {
		data := unhex(t, c.Hex)
		for n := range data {
			want := io.ErrUnexpectedEOF
			if n == 0 {
				want = io.EOF
			}
			if m, err := Read(bytes.NewReader(data[:n]), v.Limit); err != want {
				t.Errorf("%s, %d of %d bytes: %#v, %v, want %v", c.Name, n, len(data), m, err, want)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	v := readVectors[vectors](f)
	for _, c := range v.Messages {
		f.Add(unhex(f, c.Hex))
	}
	for _, c := range v.BadMessages {
		f.Add(unhex(f, c.Hex))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		m, err := Read(r, v.Limit)
		if err != nil {
			return
		}
		read := data[:len(data)-r.Len()]
		if got := Append(nil, m); !bytes.Equal(got, read) {
			t.Errorf("%x decodes to %#v, which encodes to %x", read, m, got)
		}
	})
}

func FuzzReadHandshake(f *testing.F) {
	for _, c := range readVectors[vectors](f).Handshakes {
		f.Add(unhex(f, c.Hex))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ReadHandshake(bytes.NewReader(data))
		if err != nil {
			return
		}
		again, err := ReadHandshake(bytes.NewReader(h.Append(nil)))
		if err != nil || again != h {
			t.Errorf("%+v, %v, want %+v", again, err, h)
		}
	})
}
