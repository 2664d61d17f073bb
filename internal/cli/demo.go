package cli

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"

	"github.com/planktos/planktos"
	"github.com/planktos/planktos/examples"
)

type demoCommand struct {
	Addr     string `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Where to listen. Default: ${default}, a free port. Visitors get ports of their own beside it."`
	Visitors int    `default:"8" placeholder:"N" help:"Visitors to begin with, at most 32. Default: ${default}."`
	NoOpen   bool   `help:"Do not open a browser."`
	Ready    string `placeholder:"FILE" help:"Write the URL to this file, too, once the server answers."`
}

// Help is shown by `planktos demo --help`.
func (demoCommand) Help() string {
	return `Demo serves an example site on several ports of this machine, and a page that shows them side by side: to a browser each
port is an origin of its own, so each frame is a visitor with its own service worker, store and WebRTC peer. Nothing leaves
this machine.`
}

// Run shows the demo until it is told to end.
func (c *demoCommand) Run(p *program) error {
	if c.Visitors < 0 || c.Visitors > maxVisitors {
		return misuse(fmt.Errorf("--visitors %d: there can be 0 to %d", c.Visitors, maxVisitors))
	}
	l, err := listen(c.Addr)
	if err != nil {
		return err
	}
	defer l.Close()
	site := &planktos.Handler{
		FS: examples.Site(),
		// On one machine the origin is always faster than a peer, so that without this there would be little to see.
		Options:       &planktos.Options{TagHTML: true, Prefer: "offload"},
		CheckInterval: -1,
		Logger:        p.logger(),
	}
	defer site.Close()
	if _, err := site.Site(p.ctx); err != nil {
		return err
	}
	stage := newStage(p, site, l.Addr())
	defer stage.close()
	for range c.Visitors {
		if _, err := stage.add(); err != nil {
			return err
		}
	}
	url := "http://" + urlHost(l.Addr()) + "/"
	if err := p.announce(url, c.Ready); err != nil {
		return err
	}
	if !c.NoOpen {
		openBrowser(p.ctx, url)
	}
	p.note("the demo runs until you press Ctrl-C")
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	return p.serve(ctx, l, stage.handler(ctx, http.FileServerFS(examples.Demo())))
}

// openBrowser shows a URL in the user's browser if there is one; the URL is printed in any case.
func openBrowser(ctx context.Context, url string) {
	var cmd *exec.Cmd
	switch runtime.GOOS {
	case "darwin":
		cmd = exec.CommandContext(ctx, "open", url)
	case "windows":
		cmd = exec.CommandContext(ctx, "rundll32", "url.dll,FileProtocolHandler", url)
	default:
		if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
			return
		}
		cmd = exec.CommandContext(ctx, "xdg-open", url)
	}
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }()
	}
}
