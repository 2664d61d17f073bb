package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
)

type extendedVectors struct {
	Extended []struct {
		Name, Payload string
		M             map[string]uint8
		Reqq          int
	}
	BadExtended    []struct{ Name, Payload string }
	FetchingPieces uint32
	Fetching       []struct {
		Name, Payload string
		Active        bool
		Runs          []Run
	}
	BadFetching []struct{ Name, Payload string }
	Meet        []struct {
		Name, Payload string
		Message       struct {
			Type, PeerID, ID, SDP string
			Met, Lost             []string
		}
	}
	BadMeet []struct{ Name, Payload string }
	News    []struct {
		Name, Payload string
		Message       struct {
			Type, Snapshot, Data string
			Sequence             int64
			Last                 bool
		}
	}
	BadNews []struct{ Name, Payload string }
}

func TestExtended(t *testing.T) {
	v := readVectors[extendedVectors](t)
	for _, c := range v.Extended {
		want := Extensions{
			Requests: c.Reqq, Fetching: c.M["pk_fetching"], Meet: c.M["pk_meet"], Release: c.M["pk_release"],
		}
		if got := DecodeExtended(unhex(t, c.Payload)); got != want {
			t.Errorf("%s: got %+v, want %+v", c.Name, got, want)
		}
		if c.Name == "ours" {
			if got := hex.EncodeToString(AppendExtended(nil, c.Reqq)); got != c.Payload {
				t.Errorf("ours: %s, want %s", got, c.Payload)
			}
		}
	}
	for _, c := range v.BadExtended {
		if got := DecodeExtended(unhex(t, c.Payload)); got != (Extensions{}) {
			t.Errorf("%s: got %+v", c.Name, got)
		}
	}
	if got := DecodeExtended([]byte(strings.Repeat(" ", 20_000) + "4:reqqi9e")); got != (Extensions{}) {
		t.Errorf("too long: got %+v", got)
	}
}

func TestFetching(t *testing.T) {
	v := readVectors[extendedVectors](t)
	for _, c := range v.Fetching {
		got, err := DecodeFetching(unhex(t, c.Payload), v.FetchingPieces)
		if err != nil || got.Active != c.Active || !slices.Equal(got.Runs, c.Runs) {
			t.Errorf("%s: got %+v, %v", c.Name, got, err)
		}
		if again := hex.EncodeToString(got.Append(nil)); again != c.Payload {
			t.Errorf("%s: Append: %s, want %s", c.Name, again, c.Payload)
		}
	}
	for _, c := range v.BadFetching {
		if got, err := DecodeFetching(unhex(t, c.Payload), v.FetchingPieces); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: got %+v, %v", c.Name, got, err)
		}
	}
}

func TestMeet(t *testing.T) {
	v := readVectors[extendedVectors](t)
	kinds := []string{"peers", "offer", "answer", "offered", "answered", "spare", "agreed"}
	ids := func(ids [][20]byte) (s []string) {
		for _, id := range ids {
			s = append(s, hex.EncodeToString(id[:]))
		}
		return s
	}
	for _, c := range v.Meet {
		got, err := DecodeMeet(unhex(t, c.Payload))
		if err != nil || kinds[got.Kind] != c.Message.Type || !slices.Equal(ids(got.Met), c.Message.Met) ||
			!slices.Equal(ids(got.Lost), c.Message.Lost) || hex.EncodeToString(got.SDP) != c.Message.SDP {
			t.Errorf("%s: got %+v, %v", c.Name, got, err)
		}
		if named := ids([][20]byte{got.Peer, got.Offer}); c.Message.PeerID != "" &&
			!slices.Equal(named, []string{c.Message.PeerID, c.Message.ID}) {
			t.Errorf("%s: between %v", c.Name, named)
		}
		if again := hex.EncodeToString(got.Append(nil)); again != c.Payload {
			t.Errorf("%s: Append: %s, want %s", c.Name, again, c.Payload)
		}
	}
	for _, c := range v.BadMeet {
		if got, err := DecodeMeet(unhex(t, c.Payload)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: got %+v, %v", c.Name, got, err)
		}
	}
	longest := append(bytes.Repeat([]byte{1}, 41), make([]byte, maxSDP)...)
	if _, err := DecodeMeet(longest); err != nil {
		t.Errorf("the longest description: %v", err)
	}
	if _, err := DecodeMeet(append(longest, 0)); !errors.Is(err, ErrProtocol) {
		t.Errorf("a longer one: %v", err)
	}
}

func TestNews(t *testing.T) {
	v := readVectors[extendedVectors](t)
	for _, c := range v.News {
		got, err := DecodeNews(unhex(t, c.Payload))
		kind := map[string]NewsKind{"newest": Newest, "ask": AskRoot, "part": Part}[c.Message.Type]
		if c.Message.Last {
			kind = LastPart
		}
		if err != nil || got.Kind != kind || got.Sequence != c.Message.Sequence ||
			kind == Newest && hex.EncodeToString(got.Snapshot[:]) != c.Message.Snapshot ||
			hex.EncodeToString(got.Data) != c.Message.Data {
			t.Errorf("%s: got %+v, %v", c.Name, got, err)
		}
		if again := hex.EncodeToString(got.Append(nil)); again != c.Payload {
			t.Errorf("%s: Append: %s, want %s", c.Name, again, c.Payload)
		}
	}
	for _, c := range v.BadNews {
		if got, err := DecodeNews(unhex(t, c.Payload)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: got %+v, %v", c.Name, got, err)
		}
	}
	longest := bytes.Repeat([]byte{byte(Part)}, 1+MaxPart)
	if _, err := DecodeNews(longest); err != nil {
		t.Errorf("the longest part: %v", err)
	}
	if _, err := DecodeNews(append(longest, 0)); !errors.Is(err, ErrProtocol) {
		t.Errorf("a longer one: %v", err)
	}
}

func FuzzDecodeNews(f *testing.F) {
	v := readVectors[extendedVectors](f)
	for _, c := range v.News {
		f.Add(unhex(f, c.Payload))
	}
	for _, c := range v.BadNews {
		f.Add(unhex(f, c.Payload))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := DecodeNews(data); err == nil && !bytes.Equal(m.Append(nil), data) {
			t.Errorf("%x decodes to %+v", data, m)
		}
	})
}

func FuzzDecodeMeet(f *testing.F) {
	v := readVectors[extendedVectors](f)
	for _, c := range v.Meet {
		f.Add(unhex(f, c.Payload))
	}
	for _, c := range v.BadMeet {
		f.Add(unhex(f, c.Payload))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := DecodeMeet(data); err == nil && !bytes.Equal(m.Append(nil), data) {
			t.Errorf("%x decodes to %+v", data, m)
		}
	})
}

func FuzzDecodeFetching(f *testing.F) {
	v := readVectors[extendedVectors](f)
	for _, c := range v.Fetching {
		f.Add(unhex(f, c.Payload))
	}
	for _, c := range v.BadFetching {
		f.Add(unhex(f, c.Payload))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		DecodeExtended(data)
		if m, err := DecodeFetching(data, v.FetchingPieces); err == nil && !bytes.Equal(m.Append(nil), data) {
			t.Errorf("%x decodes to %+v", data, m)
		}
	})
}
