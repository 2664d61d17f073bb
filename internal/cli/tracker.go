package cli

import "github.com/planktos/planktos/tracker"

type trackerCommand struct {
	Addr    string   `default:"127.0.0.1:8000" placeholder:"HOST:PORT" help:"Where to listen. Default: ${default}. Port 0 is a free one."`
	STUN    string   `name:"stun" placeholder:"[HOST]:PORT" help:"Answer STUN as well."`
	Ready   string   `placeholder:"FILE" help:"Write the URL to this file, too, once the server answers."`
	Origin  []string `sep:"none" placeholder:"HOST" help:"Only pages of this host may connect; *.example.com is allowed. Repeatable. Default: all."`
	PerIP   int      `name:"max-per-ip" placeholder:"N" help:"Most connections from one IPv4 address or IPv6 /64 network. Default: no limit."`
	MaxConn int      `name:"max-connections" placeholder:"N" help:"Most connections. Default: no limit."`
}

// Help is shown by `planktos tracker --help`.
func (trackerCommand) Help() string {
	return `Tracker introduces visitors to each other by WebTorrent's protocol, on any path, for any site. It carries no content. Pages
served over HTTPS need it behind a proxy with a certificate, at a wss: address; docs/tracker.md has examples.

  planktos tracker --addr :8000 --stun :3478
  planktos pack --tracker wss://tracker.example/ --ice stun:tracker.example:3478`
}

// Run tracks until it is told to end.
func (c *trackerCommand) Run(p *program) error {
	l, err := listen(c.Addr)
	if err != nil {
		return err
	}
	defer l.Close()
	_, stopSTUN, err := p.startSTUN(c.STUN)
	if err != nil {
		return err
	}
	defer stopSTUN()
	t := &tracker.Tracker{
		Logger: p.logger(), OriginPatterns: c.Origin, MaxConnsPerIP: c.PerIP, MaxConns: c.MaxConn,
	}
	defer t.Close()
	if err := p.announce("ws://"+urlHost(l.Addr())+"/", c.Ready); err != nil {
		return err
	}
	return p.serve(p.ctx, l, t)
}
