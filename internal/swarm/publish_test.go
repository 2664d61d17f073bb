package swarm

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/planktos/planktos/internal/signal"
	"github.com/planktos/planktos/internal/trackertest"
)

func TestPublish(t *testing.T) {
	site := makeSite(100)
	url, _ := trackertest.Start(t)
	hints := make(chan Hint, 10)
	site.torrent.Trackers, site.torrent.Released = []string{url}, func(h Hint) { hints <- h }
	site.join(t, &Node{Logger: logTo(t)})
	release := Release{Snapshot: [32]byte{7}, Root: []byte(`{"é":1}`), Swarms: [][20]byte{site.torrent.InfoHash}}
	for i := range byte(100) { // of superseded ones, more than a message names
		release.Swarms = append(release.Swarms, [20]byte{0xff, i})
	}
	if _, err := Publish(t.Context(), url, release); err != nil {
		t.Fatal(err)
	}
	if h := <-hints; h.Snapshot != release.Snapshot || !bytes.Equal(h.Root, release.Root) || h.Others != 0 {
		t.Errorf("got %+v", h)
	}
	release.Swarms, release.Root = release.Swarms[:1], bytes.Repeat([]byte("x"), 1<<20) // too long to be handed over
	if told, err := Publish(t.Context(), url, release); err != nil || told != 1 {
		t.Errorf("told %d, %v", told, err)
	}
	if h := <-hints; h.Root != nil {
		t.Errorf("a root of %d bytes", len(h.Root))
	}
}

func TestPublishToOthers(t *testing.T) {
	for _, test := range []struct {
		name, says, want string
		closes           bool
	}{
		{"refuses", `{"failure reason":"invalid action in WS request: undefined"}`, `it refuses: "invalid action`, false},
		{"silent", "", "no answer", false},
		{"babbles", `{"action":"announce","info_hash":7}`, "no answer", false},
		{"leaves", "", "the connection is lost", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				socket, err := websocket.Accept(w, r, nil)
				if err != nil {
					return
				}
				defer socket.CloseNow()
				_, data, err := socket.Read(r.Context())
				if err != nil {
					return
				}
				if request, err := signal.DecodeRequest(data); err != nil || request.Release == nil {
					t.Errorf("got %q, %v", data, err)
				}
				if test.says != "" {
					_ = socket.Write(r.Context(), websocket.MessageText, []byte(test.says))
				}
				if !test.closes {
					_, _, _ = socket.Read(r.Context()) // until the publisher leaves
				}
			}))
			defer server.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if test.says != "" && strings.Contains(test.want, "refuses") || test.closes {
				ctx = t.Context()
			}
			_, err := Publish(ctx, strings.Replace(server.URL, "http:", "ws:", 1), Release{Swarms: [][20]byte{{1}}})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := Publish(t.Context(), "ws://127.0.0.1:1/", Release{Swarms: [][20]byte{{1}}}); err == nil ||
		!strings.Contains(err.Error(), "no connection") {
		t.Errorf("got %v", err)
	}
}
