package signal

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func sequence(first byte) (id [20]byte) {
	for i := range id {
		id[i] = first + byte(i)
	}
	return id
}

// every is 256 bytes in 13 identifiers, so that each byte value passes through the codec.
func every(yield func([20]byte) bool) {
	for first := 0; first < 256; first += 20 {
		if !yield(sequence(byte(first))) {
			return
		}
	}
}

func TestBinaryStringsAreThoseOfJavaScript(t *testing.T) {
	for id := range every {
		text := appendBinary(nil, id[:])
		var decoded string
		if err := json.Unmarshal(text, &decoded); err != nil {
			t.Fatalf("%x: %v", id, err)
		}
		var back []byte
		for _, r := range decoded {
			back = append(back, byte(r))
		}
		if !bytes.Equal(back, id[:]) {
			t.Errorf("%x encoded as %s", id, text)
		}
		var got [20]byte
		if !decodeBinary(got[:], text[1:len(text)-1]) || got != id {
			t.Errorf("%s decoded as %x", text, got)
		}
	}
}

func TestDecodeBinary(t *testing.T) {
	tests := []struct {
		name, inside string
		want         string
		ok           bool
	}{
		{"plain", "abcd", "abcd", true},
		{"short", "abc", "", false},
		{"long", "abcde", "", false},
		{"empty", "", "", false},
		{"two-byte UTF-8", "a\u0080\u00ffd", "a\x80\xffd", true},
		{"beyond a byte", "abc\u0100", "", false},
		{"astral", "abc\U0001f600", "", false},
		{"escapes", `\u0000\u00Ff\/\"`, "\x00\xff/\"", true},
		{"control escapes", `\b\f\n\r`, "\b\f\n\r", true},
		{"escape beyond a byte", `abc\u0141`, "", false},
		{"surrogates", `ab\ud83d\ude00`, "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got [4]byte
			ok := decodeBinary(got[:], []byte(test.inside))
			if ok != test.ok || ok && string(got[:]) != test.want {
				t.Errorf("got %q, %v, want %q, %v", got, ok, test.want, test.ok)
			}
		})
	}
}

func TestRequestRoundTrip(t *testing.T) {
	offer := []byte(`{"type":"offer","sdp":"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n"}`)
	answer := []byte(`{"sdp":"v=0\r\n","type":"answer","more":{}}`)
	for id := range every {
		requests := []Request{
			{Announce: &Announce{
				InfoHash: id, PeerID: sequence(id[3]), Event: EventStarted,
				Uploaded: 1, Downloaded: 0, Left: math.MaxInt64, NumWant: 5, TrackerID: "a \"<tracker>\" \u2028",
				Releases: true,
				Offers:   []Offer{{ID: id, Description: offer}, {ID: sequence(id[7]), Description: offer, To: sequence(id[1])}},
			}},
			{Announce: &Announce{
				InfoHash: id, PeerID: sequence(id[3]), Event: EventUpdate,
				Uploaded: Unknown, Downloaded: Unknown, Left: Unknown, NumWant: Unknown,
				Answer: answer, ToPeerID: sequence(id[5]), OfferID: id,
			}},
			{Scrape: &Scrape{InfoHashes: []InfoHash{id, sequence(id[9])}}},
			{Scrape: &Scrape{}},
			{Release: &Release{InfoHashes: []InfoHash{id}}},
			{Release: &Release{
				InfoHashes: []InfoHash{id, sequence(id[9])}, Snapshot: Snapshot{31: 1}, Root: EncodeRoot([]byte(`{"é":"<"}`)),
			}},
		}
		for _, want := range requests {
			var text []byte
			switch {
			case want.Announce != nil:
				text = want.Announce.AppendJSON(nil)
			case want.Release != nil:
				text = want.Release.AppendJSON(nil)
			default:
				text = want.Scrape.AppendJSON(nil)
			}
			got, err := DecodeRequest(text)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, %v", text, got, err)
			}
		}
	}
}

func TestReplyRoundTrip(t *testing.T) {
	id := sequence(0xf0)
	relay := &Relay{InfoHash: id, PeerID: sequence(1), OfferID: sequence(2), Description: []byte(`{"sdp":"é"}`)}
	release := &Release{InfoHashes: []InfoHash{id}, Snapshot: Snapshot{1}, Root: []byte(`"{}"`)}
	files := []ScrapedFile{{InfoHash: id, Complete: 1, Incomplete: 2, Downloaded: 3}, {InfoHash: sequence(0)}}
	tests := []struct {
		text []byte
		want Reply
	}{
		{(&Announced{InfoHash: id, IntervalSeconds: 120, Complete: 3}).AppendJSON(nil),
			Reply{Announced: &Announced{InfoHash: id, IntervalSeconds: 120, Complete: 3}}},
		{(&Announced{InfoHash: id, IntervalSeconds: 1, TrackerID: "x", Warning: "w"}).AppendJSON(nil),
			Reply{Announced: &Announced{InfoHash: id, IntervalSeconds: 1, TrackerID: "x", Warning: "w"}}},
		{relay.AppendOffer(nil), Reply{Offer: relay}},
		{relay.AppendAnswer(nil), Reply{Answer: relay}},
		{(&Scraped{Files: files, MinRequestIntervalSeconds: 60}).AppendJSON(nil),
			Reply{Scraped: &Scraped{Files: files, MinRequestIntervalSeconds: 60}}},
		{(&Scraped{MinRequestIntervalSeconds: Unknown}).AppendJSON(nil),
			Reply{Scraped: &Scraped{MinRequestIntervalSeconds: Unknown}}},
		{release.AppendJSON(nil), Reply{Release: release}},
		{(&Told{Peers: 0}).AppendJSON(nil), Reply{Told: &Told{}}},
		{(&Failure{Reason: "no"}).AppendJSON(nil), Reply{Failure: &Failure{Reason: "no"}}},
		{(&Failure{Action: ActionAnnounce, InfoHash: id, HasInfoHash: true, Reason: "\"no\"\n"}).AppendJSON(nil),
			Reply{Failure: &Failure{Action: ActionAnnounce, InfoHash: id, HasInfoHash: true, Reason: "\"no\"\n"}}},
	}
	for _, test := range tests {
		got, err := DecodeReply(test.text)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, %v", test.text, got, err)
		}
	}
}

// announce is a valid one, with a hole for further members.
func announce(members string) string {
	return `{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"bbbbbbbbbbbbbbbbbbbb"` + members + `}`
}

func TestNumbers(t *testing.T) {
	tests := []struct {
		value string
		want  int64
	}{
		{"0", 0}, {"12", 12}, {"999999999999999999", 999999999999999999}, {"1.9", 1}, {"1e3", 1000}, {"-0", 0},
		{"-1", Unknown}, {"-1e400", Unknown}, {"null", Unknown}, {`"5"`, Unknown}, {"true", Unknown}, {"[1]", Unknown},
		{"9223372036854775807", math.MaxInt64}, {"1e400", math.MaxInt64}, {"1e-400", 0},
		{strings.Repeat("9", 400), math.MaxInt64},
	}
	for _, test := range tests {
		got, err := DecodeRequest([]byte(announce(`,"left":` + test.value)))
		if err != nil || got.Announce.Left != test.want {
			t.Errorf("%.30s: got %+v, %v, want %d", test.value, got.Announce, err, test.want)
		}
	}
}

func TestAccepted(t *testing.T) {
	tests := []struct{ name, text string }{
		{"white space", " {\n\"action\" :\t\"announce\" , \"peer_id\":\"bbbbbbbbbbbbbbbbbbbb\"," +
			"\"info_hash\":\"aaaaaaaaaaaaaaaaaaaa\"\r}\n"},
		{"unknown members", announce(`,"x":{"y":[1,{"z":null},[]],"":{}},"":"","é":false`)},
		{"escaped key", announce(`,"ev\u0065nt":"update"`)},
		{"nulls", announce(`,"event":null,"offers":null,"answer":null,"to_peer_id":null,"offer_id":null`)},
		{"empty event", announce(`,"event":""`)},
		{"event empty", announce(`,"event":"empty"`)},
		{"no offers", announce(`,"offers":[]`)},
		{"what only a release has", announce(`,"snapshot":1,"root":{}`)},
		{"the last of two members counts", announce(`,"event":"started","event":"update"`)},
		{"an escaped quote at each offset", announce(`,"a":"\"","b":"1\"","c":"12\"","d":"123\"","e":"1234\"","f":"12345\"",` +
			`"g":"123456\"","h":"1234567\"","i":"12345678\""`)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := DecodeRequest([]byte(test.text))
			if err != nil || got.Announce == nil {
				t.Fatalf("got %+v, %v", got, err)
			}
			if got.Announce.InfoHash.String() != strings.Repeat("61", 20) || got.Announce.Event != EventUpdate {
				t.Errorf("got %+v", got.Announce)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	offer := `{"offer":{"type":"offer","sdp":"v=0"},"offer_id":"cccccccccccccccccccc"}`
	tests := []struct{ name, text, reason string }{
		{"empty", "", "invalid JSON"},
		{"white space", " \n", "invalid JSON"},
		{"not JSON", "hello", "invalid JSON"},
		{"array", "[]", "not an object"},
		{"null", "null", "not an object"},
		{"cut off", announce("")[:40], "invalid JSON"},
		{"something behind", announce("") + "x", "invalid JSON"},
		{"NUL behind", announce("") + "\x00", "invalid JSON"},
		{"no members", "{}", "invalid action"},
		{"comma at the end", announce(","), "invalid JSON"},
		{"control character in a string", announce(",\"x\":\"\n\""), "invalid JSON"},
		{"control character after eight bytes", announce(",\"x\":\"0123456789\x1f\""), "invalid JSON"},
		{"bad escape", announce(`,"x":"\x"`), "invalid JSON"},
		{"cut escape", announce(`,"x":"\u12"`), "invalid JSON"},
		{"bad number", announce(`,"left":01`), "invalid JSON"},
		{"number without digits", announce(`,"left":-`), "invalid JSON"},
		{"number without fraction", announce(`,"left":1.`), "invalid JSON"},
		{"number without exponent", announce(`,"left":1e+`), "invalid JSON"},
		{"bad literal", announce(`,"x":nul`), "invalid JSON"},
		{"invalid UTF-8", announce(",\"x\":\"\xff\""), "invalid UTF-8"},
		{"nested too deep", announce(`,"x":` + strings.Repeat("[", 1<<20)), "JSON nested too deep"},
		{"no action", `{"info_hash":"aaaaaaaaaaaaaaaaaaaa"}`, "invalid action"},
		{"unknown action", `{"action":"connect"}`, "invalid action"},
		{"action of another type", `{"action":1}`, "invalid action"},
		{"no info_hash", `{"action":"announce","peer_id":"bbbbbbbbbbbbbbbbbbbb"}`, "invalid info_hash"},
		{"short info_hash", `{"action":"announce","info_hash":"a","peer_id":"bbbbbbbbbbbbbbbbbbbb"}`, "invalid info_hash"},
		{"hex info_hash", `{"action":"scrape","info_hash":"` + strings.Repeat("61", 20) + `"}`, "invalid info_hash"},
		{"info_hash of another type", `{"action":"scrape","info_hash":{}}`, "invalid info_hash"},
		{"announce to several", `{"action":"announce","info_hash":["aaaaaaaaaaaaaaaaaaaa"],"peer_id":"bbbbbbbbbbbbbbbbbbbb"}`,
			"invalid info_hash"},
		{"null among info_hashes", `{"action":"scrape","info_hash":[null]}`, "invalid info_hash"},
		{"too many info_hashes", `{"action":"scrape","info_hash":["aaaaaaaaaaaaaaaaaaaa"` +
			strings.Repeat(`,"aaaaaaaaaaaaaaaaaaaa"`, MaxScrape) + `]}`, "too many swarms in one message"},
		{"no peer_id", `{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa"}`, "invalid peer_id"},
		{"unknown event", announce(`,"event":"exploded"`), "invalid event"},
		{"event of another type", announce(`,"event":7`), "invalid event"},
		{"offers of another type", announce(`,"offers":{}`), "invalid offers"},
		{"offer of another type", announce(`,"offers":["x"]`), "invalid offers"},
		{"offer without description", announce(`,"offers":[{"offer_id":"cccccccccccccccccccc"}]`), "invalid offer"},
		{"offer that is a string", announce(`,"offers":[{"offer":"x","offer_id":"cccccccccccccccccccc"}]`), "invalid offer"},
		{"offer without id", announce(`,"offers":[{"offer":{"type":"offer","sdp":"v=0"}}]`), "invalid offer_id"},
		{"offer with a short id", announce(`,"offers":[{"offer":{"type":"offer","sdp":"v=0"},"offer_id":"c"}]`),
			"invalid offer_id"},
		{"too many offers", announce(`,"offers":[` + offer + strings.Repeat(","+offer, MaxOffers) + `]`), "too many offers"},
		{"answer to nobody", announce(`,"answer":{"type":"answer","sdp":"v=0"}`), "invalid `to_peer_id` (required with `answer`)"},
		{"answer to no offer", announce(`,"answer":{"type":"answer","sdp":"v=0"},"to_peer_id":"bbbbbbbbbbbbbbbbbbbb"`),
			"invalid `offer_id` (required with `answer`)"},
		{"release with a long root", `{"action":"release","info_hash":"aaaaaaaaaaaaaaaaaaaa","root":"` +
			strings.Repeat("x", MaxRoot) + `"}`, "invalid root"},
		{"answer that is a string", announce(`,"answer":"x"`), "invalid answer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := DecodeRequest([]byte(test.text))
			failure, ok := err.(*Failure)
			if !ok || failure.Reason != test.reason {
				t.Errorf("got %+v, %v, want %q", got, err, test.reason)
			}
		})
	}
}

func TestBogus(t *testing.T) {
	offers := func(descriptions ...string) string {
		var list []string
		for _, each := range descriptions {
			list = append(list, `{"offer_id":"cccccccccccccccccccc","offer":`+each+`}`)
		}
		return announce(`,"offers":[` + strings.Join(list, ",") + `]`)
	}
	good := `{"type":"offer","sdp":"v=0\r\n"}`
	long := `{"type":"offer","sdp":"v=0` + strings.Repeat("x", MaxSDP) + `"}`
	tests := []struct {
		name, text string
		bogus      bool
	}{
		{"no sdp", offers(`{"type":"offer"}`), true},
		{"not an sdp", offers(`{"type":"offer","sdp":"hello"}`), true},
		{"sdp of another type", offers(`{"type":"offer","sdp":{"v":0}}`), true},
		{"an answer as an offer", offers(`{"type":"answer","sdp":"v=0"}`), true},
		{"one among good ones", offers(good, `{}`, good), true},
		{"oversize", offers(long), true},
		{"a string", offers(`"v=0"`), true},
		{"an array", offers(`["v=0"]`), true},
		{"an offer as an answer", announce(`,"answer":` + good), true},
		{"too many", offers(slices.Repeat([]string{good}, MaxOffers+1)...), true},
		{"a mistake", announce(`,"event":"exploded"`), false},
		{"null", offers(`null`), false},
		{"good, and strange besides", offers(`{"extra":[1,{}],"sdp":"v=0\n","type":"offer","sdp2":null}`), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := DecodeRequest([]byte(test.text))
			failure, _ := err.(*Failure)
			if bogus := failure != nil && failure.Bogus; bogus != test.bogus {
				t.Errorf("got %v, bogus %v", err, bogus)
			}
		})
	}
}

func TestFailureNamesTheSwarm(t *testing.T) {
	_, err := DecodeRequest([]byte(announce(`,"event":"exploded"`)))
	failure, ok := err.(*Failure)
	if !ok || failure.Action != ActionAnnounce || !failure.HasInfoHash || failure.InfoHash[0] != 'a' {
		t.Errorf("got %+v", err)
	}
}

func TestRefusedReplies(t *testing.T) {
	id := `"aaaaaaaaaaaaaaaaaaaa"`
	tests := []struct{ name, text, reason string }{
		{"empty", "", "invalid JSON"},
		{"no action", `{"info_hash":` + id + `}`, "invalid action"},
		{"no info_hash", `{"action":"announce","interval":5}`, "invalid info_hash"},
		{"offer of nobody", `{"action":"announce","info_hash":` + id + `,"offer":{},"offer_id":` + id + `}`, "invalid peer_id"},
		{"offer without id", `{"action":"announce","info_hash":` + id + `,"offer":{},"peer_id":` + id + `}`, "invalid offer_id"},
		{"offer and answer", `{"action":"announce","info_hash":` + id + `,"offer":{},"answer":{}}`, "both offer and answer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := DecodeReply([]byte(test.text))
			if err == nil || err.Error() != test.reason {
				t.Errorf("got %+v, %v, want %q", got, err, test.reason)
			}
		})
	}
}

func TestEncodeRoot(t *testing.T) {
	if got := EncodeRoot(bytes.Repeat([]byte("x"), MaxRoot-2)); len(got) != MaxRoot {
		t.Errorf("got %d bytes, want %d", len(got), MaxRoot)
	}
	for _, long := range []string{
		strings.Repeat("x", MaxRoot-1), strings.Repeat(`"`, MaxRoot/2), strings.Repeat("x", MaxRoot+1),
	} {
		if got := EncodeRoot([]byte(long)); got != nil {
			t.Errorf("%d bytes are encoded as %d", len(long), len(got))
		}
	}
}

func TestScrapedFilesAreBounded(t *testing.T) {
	text := []byte(`{"action":"scrape","files":{`)
	for i := range MaxScrape + 1 {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, `"`+strings.Repeat("x", 17)+strconv.Itoa(100+i)+`":{"complete":1}`...)
	}
	if got, err := DecodeReply(append(text, "}}"...)); err == nil {
		t.Errorf("got %d files", len(got.Scraped.Files))
	}
}

// realistic is an announce as a browser sends it: 5 offers of 2 KB.
func realistic() []byte {
	sdp, _ := json.Marshal("v=0\r\n" + strings.Repeat("a=candidate:1 1 udp 2113937151 192.0.2.1 54400 typ host\r\n", 35))
	a := Announce{InfoHash: sequence(1), PeerID: sequence(2), Event: EventStarted, NumWant: 5}
	for i := range 5 {
		a.Offers = append(a.Offers, Offer{
			ID: sequence(byte(i)), Description: []byte(`{"type":"offer","sdp":` + string(sdp) + `}`),
		})
	}
	return a.AppendJSON(nil)
}

func TestAllocations(t *testing.T) {
	text := realistic()
	got := testing.AllocsPerRun(100, func() {
		if _, err := DecodeRequest(text); err != nil {
			t.Error(err)
		}
	})
	if got > 12 {
		t.Errorf("decoding allocates %v times", got)
	}
}

func BenchmarkDecodeRequest(b *testing.B) {
	text := realistic()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeRequest(text); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzDecodeRequest holds the decoder to encoding/json's opinion of what JSON is, and what is relayed to being valid.
func FuzzDecodeRequest(f *testing.F) {
	for _, text := range vectorTexts(f, "requests") {
		f.Add([]byte(text))
	}
	f.Add(realistic())
	f.Add([]byte(announce(`,"x":[{"y":-1.5e+7},"\ud800\u00e9\\",true]`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		got, err := DecodeRequest(data)
		if !bytes.Equal(before, data) {
			t.Fatal("decoding changed its input")
		}
		if err != nil {
			if got != (Request{}) {
				t.Fatalf("error and result: %+v, %v", got, err)
			}
			syntax := err.Error() == errSyntax.Error()
			if syntax && json.Valid(data) && utf8.Valid(data) {
				t.Fatalf("refused valid JSON %q", data)
			}
			if reply := err.(*Failure).AppendJSON(nil); !json.Valid(reply) || !utf8.Valid(reply) {
				t.Fatalf("failure is not JSON: %q", reply)
			}
			return
		}
		if !json.Valid(data) || !utf8.Valid(data) {
			t.Fatalf("accepted %q", data)
		}
		if a := got.Announce; a != nil {
			if len(a.Offers) > MaxOffers {
				t.Fatalf("%d offers", len(a.Offers))
			}
			for _, offer := range a.Offers {
				relayed := (&Relay{Description: offer.Description}).AppendOffer(nil)
				if !json.Valid(relayed) || !utf8.Valid(relayed) {
					t.Fatalf("relayed %q", relayed)
				}
			}
			if a.Answer != nil && !json.Valid((&Relay{Description: a.Answer}).AppendAnswer(nil)) {
				t.Fatalf("relayed %q", a.Answer)
			}
			if a.Answer == nil {
				again, err := DecodeRequest(a.AppendJSON(nil))
				if err != nil || !reflect.DeepEqual(again.Announce.Offers, a.Offers) && len(a.Offers) > 0 ||
					again.Announce.Left != a.Left || again.Announce.Event != a.Event || again.Announce.PeerID != a.PeerID {
					t.Fatalf("%+v came back as %+v, %v", a, again.Announce, err)
				}
			}
		}
		if r := got.Release; r != nil {
			relayed := r.AppendJSON(nil)
			again, err := DecodeRequest(relayed)
			if err != nil || !reflect.DeepEqual(again.Release, r) || len(r.InfoHashes) > MaxScrape || len(r.Root) > MaxRoot {
				t.Fatalf("%+v came back as %+v, %v", r, again.Release, err)
			}
		}
		if got.Scrape != nil && len(got.Scrape.InfoHashes) > MaxScrape {
			t.Fatalf("%d swarms", len(got.Scrape.InfoHashes))
		}
	})
}

func FuzzDecodeReply(f *testing.F) {
	for _, text := range vectorTexts(f, "replies") {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := DecodeReply(data)
		if err != nil {
			return
		}
		if !json.Valid(data) || !utf8.Valid(data) {
			t.Fatalf("accepted %q", data)
		}
		if got.Scraped != nil && len(got.Scraped.Files) > MaxScrape {
			t.Fatalf("%d files", len(got.Scraped.Files))
		}
		if r := got.Release; r != nil && (len(r.InfoHashes) != 1 || !json.Valid(r.AppendJSON(nil))) {
			t.Fatalf("release %+v", r)
		}
		for _, relay := range []*Relay{got.Offer, got.Answer} {
			if relay != nil && !json.Valid(relay.Description) {
				t.Fatalf("description %q", relay.Description)
			}
		}
	})
}
