// Package trackertest runs trackers for the tests of what talks to them.
package trackertest

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/planktos/planktos/tracker"
)

// Start runs a tracker on a loopback port and returns its ws: URL. It ends with the test, or when stop is called, which
// closes its connections and refuses new ones; stop is idempotent.
func Start(t testing.TB) (url string, stop func()) {
	t.Helper()
	tr := &tracker.Tracker{}
	server := httptest.NewServer(tr)
	stop = func() {
		tr.Close()
		server.Close()
	}
	t.Cleanup(stop)
	return strings.Replace(server.URL, "http:", "ws:", 1), stop
}
