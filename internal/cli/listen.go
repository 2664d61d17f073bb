package cli

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/planktos/planktos/internal/nat"
)

// shutdownTime is how long requests may take to end once the program is told to.
const shutdownTime = 3 * time.Second

// prefixed puts the program's name before each line of a log. Each Write is one record.
type prefixed struct{ p *program }

func (w prefixed) Write(line []byte) (int, error) {
	if _, err := fmt.Fprintf(w.p.stderr, "planktos: %s", line); err != nil {
		return 0, err
	}
	return len(line), nil
}

// logger logs what a person who runs a server should know.
func (p *program) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(prefixed{p}, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// listen opens a TCP listener, with a hint where there is one.
func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, hint(fmt.Errorf("--addr %s: another program listens there", addr), "--addr 127.0.0.1:0 takes a free port")
	case errors.Is(err, syscall.EACCES):
		return nil, hint(fmt.Errorf("--addr %s: %w", addr, err), "ports below 1024 need privileges")
	}
	var address *net.AddrError
	var unknown *net.DNSError
	if errors.As(err, &address) || errors.As(err, &unknown) {
		return nil, hint(misuse(fmt.Errorf("--addr %s: %w", addr, err)), "give HOST:PORT, such as 127.0.0.1:8080")
	}
	return nil, fmt.Errorf("--addr %s: %w", addr, err)
}

// urlHost is a listener's HOST:PORT as a browser on this machine can use it.
func urlHost(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// announce prints the URL at which a server answers, and writes it to a file if there is to be one: scripts wait for
// that.
func (p *program) announce(url, file string) error {
	fmt.Fprintln(p.stdout, url)
	if file == "" {
		return nil
	}
	return writeReady(file, url)
}

// writeReady writes the file that scripts wait for.
func writeReady(file, line string) error {
	// Whoever sees the file must find all of it.
	next := file + ".next"
	if err := os.WriteFile(next, []byte(line+"\n"), 0o644); err != nil {
		return fmt.Errorf("--ready: %w", err)
	}
	return os.Rename(next, file)
}

// newServer is an HTTP server whose requests end with ctx.
func (p *program) newServer(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          log.New(prefixed{p}, "", 0),
	}
}

// serve answers on l until ctx ends, which is no error, and then lets running requests end.
func (p *program) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	// Requests outlive ctx by the time of the shutdown.
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := p.newServer(requests, h)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, stop := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer stop()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close()
	}
	<-failed
	return nil
}

// startSTUN answers STUN at addr until the returned function is called. Its port is zero if addr is empty.
func (p *program) startSTUN(addr string) (port int, stop func(), err error) {
	if addr == "" {
		return 0, func() {}, nil
	}
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		return 0, nil, hint(fmt.Errorf("--stun %s: %w", addr, err), "give HOST:PORT or :PORT; STUN's own port is 3478")
	}
	server := &nat.STUN{Logger: p.logger()}
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Serve(conn); err != nil {
			p.note("stun: %s", err)
		}
	})
	port = conn.LocalAddr().(*net.UDPAddr).Port
	p.note("answering STUN at stun:%s", urlHost(conn.LocalAddr()))
	return port, func() {
		_ = server.Close()
		running.Wait()
	}, nil
}
