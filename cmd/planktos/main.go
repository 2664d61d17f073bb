// Command planktos packs a static site so that its visitors serve it to each other. `planktos --help` has examples.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/planktos/planktos/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program the ordinary way.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
