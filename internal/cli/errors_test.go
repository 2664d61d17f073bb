package cli

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

func TestReport(t *testing.T) {
	own := errors.New("planktos: this site was not made by PackDir")
	for _, test := range []struct {
		name   string
		err    error
		want   string
		status int
	}{
		{"plain", errors.New("no"), "planktos: no\n", statusFailed},
		{"the library's own", own, "planktos: this site was not made by PackDir\n", statusFailed},
		{"wrapped", fmt.Errorf("a: %w", own), "planktos: a: this site was not made by PackDir\n", statusFailed},
		{"joined", errors.Join(own, errors.New("planktos: b")),
			"planktos: this site was not made by PackDir\nb\n", statusFailed},
		{"a path of that name", errors.New("open site/planktos: denied"), "planktos: open site/planktos: denied\n",
			statusFailed},
		{"misuse with a hint", hint(misuse(own), "do that"),
			"planktos: this site was not made by PackDir\nplanktos: hint: do that\n", statusMisuse},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if got := report(&out, test.err); got != test.status || out.String() != test.want {
				t.Errorf("status %d and %q, want %d and %q", got, out.String(), test.status, test.want)
			}
		})
	}
}
