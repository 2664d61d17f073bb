// Command origin is the web server of the benchmarks: it puts a shaped uplink in front of a site and counts every byte
// that its sockets send.
//
//	origin --site DIR --visitors 8 --rate 2e6 --delay 50ms     the folder as plain HTTP, without Planktos in its pages
//	origin --target URL --visitors 8 --rate 2e6 --delay 50ms   in front of `planktos serve`
//
// Each visitor has a port of its own, so that a request is known by who made it; all share one uplink. The first line of
// the output is {"urls": [...]}, one root URL a visitor, and with --h2 the key to trust. Each line on standard input is
// answered with a line of JSON, a report of all requests so far; the end of the input ends the program.
//
// What is modelled: an uplink of `rate` bytes a second, given to the connections in turn; `delay` (a round trip) for
// each new connection, for its TLS handshake, and again for each request, those that share a connection by HTTP/2 side by
// side. The tracker's WebSockets pay the delay for each message, but neither take from the uplink nor count as its bytes.
// Not modelled: slow start, loss.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"

	"github.com/planktos/planktos"
	"github.com/planktos/planktos/tracker"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("origin: ")
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	dir := flag.String("site", "", "folder to serve as plain HTTP")
	target := flag.String("target", "", "root URL of the server to stand in front of")
	visitors := flag.Int("visitors", 1, "how many ports to listen on")
	rate := flag.Float64("rate", 0, "the uplink's bytes a second; 0 is unlimited")
	delay := flag.Duration("delay", 0, "round trip between visitor and origin")
	h2 := flag.Bool("h2", false, "HTTP/2 over TLS, with a certificate of its own")
	maxAge := flag.Int("max-age", 0, "seconds for which browsers need not ask again for the site's files; 0 leaves the headers alone")
	flag.Parse()

	backend, err := backendFor(*dir, *target)
	if err != nil {
		return err
	}
	o := &origin{backend: backend, uplink: &uplink{rate: *rate}, delay: *delay, maxAge: *maxAge}
	scheme, key := "http", ""
	if *h2 {
		scheme = "https"
		if o.tls, key, err = selfSigned(); err != nil {
			return err
		}
	}
	urls := make([]string, *visitors)
	for i := range urls {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		urls[i] = fmt.Sprintf("%s://%s/", scheme, l.Addr())
		go func() { log.Fatal(o.serve(i, l)) }()
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(map[string]any{"urls": urls, "key": key}); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := out.Encode(o.report()); err != nil {
			return err
		}
	}
	return nil
}

// backendFor is what stands behind the uplink. Plain HTTP comes from the handler that serves Planktos's sites as well,
// which without script tags in the pages is a static server: compression and headers are alike on both sides.
func backendFor(dir, target string) (http.Handler, error) {
	switch {
	case (dir == "") == (target == ""):
		return nil, errors.New("one of --site and --target is needed")
	case dir != "":
		// A tracker of any swarm: the handler's own would know no other torrent than the site's.
		return &planktos.Handler{FS: os.DirFS(dir), Tracker: &tracker.Tracker{}}, nil
	}
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.FlushInterval = -1
	proxy.Transport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256}
	// A visitor that leaves ends its requests: no news.
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	return proxy, nil
}
