// Package origin reads the files of a packed site where it is published, over HTTP. Nothing that it gives is verified:
// that is for who knows what it should be, such as package release.
//
//	site, err := origin.New("https://example.org/docs/")
//	published, err := release.Read(ctx, site, release.ManifestFile)
package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/planktos/planktos/internal/manifest"
)

const (
	// patience is how long a host may say nothing, before its answer and within it.
	patience = 30 * time.Second
	// minRate is what a host must send on average, in bytes a second, once it has had its patience.
	minRate = 10_000
	// tries is how often a request is made that fails for reasons that may pass.
	tries = 3
	// maxRedirects is how many are followed, as browsers do.
	maxRedirects = 20
)

// A Site is a packed site at a URL. It is a release.Source, and may be used by several goroutines at a time.
type Site struct {
	root   *url.URL
	client *http.Client
	// stall is how long a host may say nothing, and pause the time before a failed request is made again, which doubles.
	stall, pause time.Duration
}

// New gives the site whose root is at an absolute http or https URL; a slash at its end may be missing. The error says
// what is wrong with the URL, and does not repeat it: it may hold a password.
func New(root string) (*Site, error) {
	u, err := url.Parse(root)
	switch {
	case err != nil:
		return nil, errors.New("not a URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("not an absolute http or https URL")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the URL of a site has neither query nor fragment")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: patience}).DialContext
	transport.MaxIdleConnsPerHost = 16
	client := &http.Client{Transport: transport, CheckRedirect: checkRedirect}
	if !strings.HasSuffix(u.Path, "/") {
		u = u.JoinPath("/")
	}
	return &Site{root: u, client: client, stall: patience, pause: time.Second}, nil
}

// Close ends connections that are not in use.
func (s *Site) Close() { s.client.CloseIdleConnections() }

// Root is the site's root URL, which ends in a slash, without a password.
func (s *Site) Root() string { return s.root.Redacted() }

// Where is the URL of a file, without a password.
func (s *Site) Where(name string) string { return s.file(name).Redacted() }

func (s *Site) file(name string) *url.URL { return s.root.JoinPath(manifest.EncodePath(name)) }

// checkRedirect follows no redirect that gives up encryption: what comes by it, anybody on the way may have written.
func checkRedirect(next *http.Request, before []*http.Request) error {
	switch {
	case len(before) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
	case next.URL.Scheme != "https" && before[0].URL.Scheme == "https":
		return fmt.Errorf("redirected to %s, which is not encrypted", next.URL.Redacted())
	}
	return nil
}

// Open asks for a file. The error wraps [fs.ErrNotExist] if the host says that there is none (404, 410); what may pass
// (no connection, 429, 5xx) is tried again.
func (s *Site) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	for try, pause := 1, s.pause; ; try, pause = try+1, 2*pause {
		body, again, err := s.get(ctx, name)
		if err == nil {
			return body, nil
		}
		err = fmt.Errorf("%s: %w", s.Where(name), err)
		if !again || try == tries || ctx.Err() != nil {
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

var (
	// errSilent ends a transfer in which the host has said nothing for too long.
	errSilent = errors.New("the host says nothing")
	// errSlow ends one that would take for ever, a few bytes at a time.
	errSlow = errors.New("the host sends too slowly")
)

// get makes one request; again tells whether another may fare better.
func (s *Site) get(ctx context.Context, name string) (_ io.ReadCloser, again bool, _ error) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(s.stall, func() { cancel(errSilent) })
	fail := func(again bool, err error) (io.ReadCloser, bool, error) {
		timer.Stop()
		cancel(nil)
		return nil, again, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.file(name).String(), nil)
	if err != nil {
		return fail(false, err)
	}
	request.Header.Set("Cache-Control", "no-cache")
	request.Header.Set("User-Agent", "planktos")
	response, err := s.client.Do(request)
	if err != nil {
		return fail(!errors.Is(err, context.Canceled) || context.Cause(ctx) == errSilent, reason(ctx, err))
	}
	switch code := response.StatusCode; {
	case code == http.StatusOK:
		timer.Reset(s.stall)
		return &body{response.Body, ctx, timer, s.stall, cancel, time.Now(), 0}, false, nil
	case code == http.StatusNotFound || code == http.StatusGone:
		err = absent(response.Status)
	default:
		err = fmt.Errorf("answered %s", response.Status)
		again = code == http.StatusTooManyRequests || code >= 500
	}
	response.Body.Close()
	return fail(again, err)
}

// absent is an answer by which there is no such file.
type absent string

func (a absent) Error() string      { return "answered " + string(a) }
func (absent) Is(target error) bool { return target == fs.ErrNotExist }

// reason is an error without the URL that errors of package url repeat.
func reason(ctx context.Context, err error) error {
	if context.Cause(ctx) == errSilent {
		return errSilent
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// body is a response's body that gives up on a host that is silent or slow.
type body struct {
	io.ReadCloser
	ctx    context.Context // of the one request
	timer  *time.Timer
	stall  time.Duration
	cancel context.CancelCauseFunc
	began  time.Time
	read   int64 // bytes
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.timer.Stop()
		if err != io.EOF {
			err = reason(b.ctx, err)
		}
		return n, err
	}
	b.timer.Reset(b.stall)
	b.read += int64(n)
	if took := time.Since(b.began); took > b.stall && float64(b.read) < took.Seconds()*minRate {
		return n, errSlow
	}
	return n, nil
}

func (b *body) Close() error {
	b.timer.Stop()
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}
