package signal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// vectors are the cases that both languages read. Identifiers are hex, -1 is Unknown.
type vectors struct {
	Requests []struct {
		Name, Text string
		Announce   *struct {
			InfoHash, PeerID, Event             string
			Uploaded, Downloaded, Left, NumWant int64
			Offers                              []struct {
				OfferID string
				Offer   json.RawMessage
			}
			Answer            json.RawMessage
			ToPeerID, OfferID string
			Releases          bool
		}
		Scrape  []string
		Release *vectorRelease
	}
	Replies []struct {
		Name, Text string
		Announced  *struct {
			InfoHash                              string
			IntervalSeconds, Complete, Incomplete int64
			TrackerID, Warning                    string
		}
		Offer, Answer *struct {
			InfoHash, PeerID, OfferID string
			Description               json.RawMessage
		}
		Scraped *struct {
			Files []struct {
				InfoHash                         string
				Complete, Incomplete, Downloaded int64
			}
			MinRequestIntervalSeconds int64
		}
		Failure *struct{ Reason, InfoHash string }
		Release *vectorRelease
		Told    *struct{ Peers int64 }
	}
	RefusedRequests, RefusedReplies []struct{ Name, Text string }
}

type vectorRelease struct {
	InfoHashes     []string
	Snapshot, Root string
}

// check compares a release to what the vectors want, nil for none.
func (want *vectorRelease) check(t *testing.T, got *Release) {
	t.Helper()
	if got == nil || len(got.InfoHashes) != len(want.InfoHashes) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	for i, h := range want.InfoHashes {
		if got.InfoHashes[i].String() != h {
			t.Errorf("swarm %d is %s, want %s", i, got.InfoHashes[i], h)
		}
	}
	if (got.Snapshot != Snapshot{} || want.Snapshot != "") && got.Snapshot.String() != want.Snapshot {
		t.Errorf("snapshot %s, want %s", got.Snapshot, want.Snapshot)
	}
	if root := string(got.Document()); root != want.Root {
		t.Errorf("root %q, want %q", root, want.Root)
	}
}

func readVectors(t testing.TB) (v vectors) {
	text, err := os.ReadFile("../../testdata/vectors/signal.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// vectorTexts returns the messages of one kind, accepted and refused.
func vectorTexts(t testing.TB, kind string) (texts []string) {
	v := readVectors(t)
	refused := v.RefusedReplies
	if kind == "requests" {
		refused = v.RefusedRequests
		for _, c := range v.Requests {
			texts = append(texts, c.Text)
		}
	} else {
		for _, c := range v.Replies {
			texts = append(texts, c.Text)
		}
	}
	for _, c := range refused {
		texts = append(texts, c.Text)
	}
	return texts
}

// same reports whether two JSON texts are equal but for white space.
func same(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

func id(t *testing.T, text string) (id [20]byte) {
	t.Helper()
	if n, err := hex.Decode(id[:], []byte(text)); err != nil || n != len(id) && n != 0 {
		t.Fatalf("bad identifier %q in the vectors", text)
	}
	return id
}

func TestVectorRequests(t *testing.T) {
	for _, c := range readVectors(t).Requests {
		t.Run(c.Name, func(t *testing.T) {
			got, err := DecodeRequest([]byte(c.Text))
			if err != nil {
				t.Fatal(err)
			}
			if c.Release != nil {
				c.Release.check(t, got.Release)
				return
			}
			if c.Announce == nil {
				if got.Scrape == nil || len(got.Scrape.InfoHashes) != len(c.Scrape) {
					t.Fatalf("got %+v", got)
				}
				for i, h := range c.Scrape {
					if got.Scrape.InfoHashes[i].String() != h {
						t.Errorf("swarm %d is %s, want %s", i, got.Scrape.InfoHashes[i], h)
					}
				}
				return
			}
			a, want := got.Announce, c.Announce
			if a == nil || a.InfoHash.String() != want.InfoHash || a.PeerID.String() != want.PeerID ||
				string(a.Event) != want.Event || a.Uploaded != want.Uploaded || a.Downloaded != want.Downloaded ||
				a.Left != want.Left || a.NumWant != want.NumWant || a.Releases != want.Releases || len(a.Offers) != len(want.Offers) ||
				!same(a.Answer, want.Answer) || a.ToPeerID != id(t, want.ToPeerID) || a.OfferID != id(t, want.OfferID) {
				t.Fatalf("got %+v, want %+v", a, want)
			}
			for i, offer := range a.Offers {
				if offer.ID.String() != want.Offers[i].OfferID || !same(offer.Description, want.Offers[i].Offer) {
					t.Errorf("offer %d: got %+v", i, offer)
				}
			}
		})
	}
}

func TestVectorReplies(t *testing.T) {
	for _, c := range readVectors(t).Replies {
		t.Run(c.Name, func(t *testing.T) {
			got, err := DecodeReply([]byte(c.Text))
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case c.Announced != nil:
				w := c.Announced
				want := Announced{id(t, w.InfoHash), w.IntervalSeconds, w.Complete, w.Incomplete, w.TrackerID, w.Warning}
				if got.Announced == nil || *got.Announced != want {
					t.Errorf("got %+v, want %+v", got.Announced, want)
				}
			case c.Failure != nil:
				f := got.Failure
				if f == nil || f.Reason != c.Failure.Reason || f.InfoHash != id(t, c.Failure.InfoHash) ||
					f.HasInfoHash != (c.Failure.InfoHash != "") {
					t.Errorf("got %+v, want %+v", f, c.Failure)
				}
			case c.Release != nil:
				c.Release.check(t, got.Release)
			case c.Told != nil:
				if got.Told == nil || got.Told.Peers != c.Told.Peers {
					t.Errorf("got %+v, want %+v", got.Told, c.Told)
				}
			case c.Scraped != nil:
				s := got.Scraped
				if s == nil || len(s.Files) != len(c.Scraped.Files) ||
					s.MinRequestIntervalSeconds != c.Scraped.MinRequestIntervalSeconds {
					t.Fatalf("got %+v, want %+v", s, c.Scraped)
				}
				for i, w := range c.Scraped.Files {
					want := ScrapedFile{id(t, w.InfoHash), w.Complete, w.Incomplete, w.Downloaded}
					if s.Files[i] != want {
						t.Errorf("got %+v, want %+v", s.Files[i], want)
					}
				}
			default:
				relay, want := got.Offer, c.Offer
				if want == nil {
					relay, want = got.Answer, c.Answer
				}
				if relay == nil || relay.InfoHash.String() != want.InfoHash || relay.PeerID.String() != want.PeerID ||
					relay.OfferID.String() != want.OfferID || !same(relay.Description, want.Description) {
					t.Errorf("got %+v, want %+v", relay, want)
				}
			}
		})
	}
}

func TestVectorRefused(t *testing.T) {
	v := readVectors(t)
	for _, c := range v.RefusedRequests {
		if got, err := DecodeRequest([]byte(c.Text)); err == nil {
			t.Errorf("request, %s: got %+v", c.Name, got)
		}
	}
	for _, c := range v.RefusedReplies {
		if got, err := DecodeReply([]byte(c.Text)); err == nil {
			t.Errorf("reply, %s: got %+v", c.Name, got)
		}
	}
}
