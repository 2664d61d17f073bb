// Package cli is Planktos' command line: one file a subcommand.
//
// Results go to standard output, everything else to standard error as lines that begin with "planktos:". The status is
// 0 when the work is done, 1 when it failed, and 2 when the program was called wrongly.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
)

// commands is the grammar. The first argument that names none of them is a path to pack.
type commands struct {
	Pack     packCommand     `cmd:"" default:"withargs" help:"Pack a site, so that any static host can serve it (the default command)."`
	Serve    serveCommand    `cmd:"" help:"Serve a site with everything it needs, without writing to it."`
	Seed     seedCommand     `cmd:"" help:"Keep a site alive: hold it, and give it to its visitors."`
	Mirror   mirrorCommand   `cmd:"" help:"Keep a site alive, and serve it over HTTP."`
	Get      getCommand      `cmd:"" help:"Fetch a site from its visitors and its server."`
	Tracker  trackerCommand  `cmd:"" help:"Run the tracker that introduces visitors to each other."`
	Demo     demoCommand     `cmd:"" help:"Show it: eight visitors in one browser window."`
	Diff     diffCommand     `cmd:"" help:"Tell what a release changes, and what visitors will fetch."`
	Rollback rollbackCommand `cmd:"" help:"Publish an earlier release again."`
	Publish  publishCommand  `cmd:"" help:"Tell visitors who have the site open of a new release."`
	Keygen   keygenCommand   `cmd:"" help:"Make a key to sign releases by."`
	Disable  disableCommand  `cmd:"" help:"Have Planktos leave a site's visitors, by its manifest alone."`
	Remove   removeCommand   `cmd:"" help:"Take Planktos out of a packed site."`
	Version  versionFlag     `short:"v" help:"Print the version and leave."`
}

const description = `Planktos lets the visitors of a static site serve it to each other.

  planktos                          pack the current directory
  planktos docs/ index.html         pack these alone
  planktos --inject --base /docs/   add the script tag to pages; the site is at https://host/docs/
  planktos serve site/              try a site out at http://127.0.0.1:8080/
  planktos diff https://host/ .     see what a release changes for visitors
  planktos publish                  tell visitors of the release you have uploaded
  planktos rollback                 publish the last release but one again
  planktos demo                     see eight visitors share one page
  planktos seed https://host/       keep a site alive

After packing, add <script src="/planktos/install.js"></script> to your pages, or pack with --inject, and upload.
` + "`planktos COMMAND --help` says more."

// program is what commands work with.
type program struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
	// terminal tells whether stderr is one, where progress may be shown.
	terminal bool
}

// note writes a line that is no result.
func (p *program) note(format string, args ...any) {
	fmt.Fprintf(p.stderr, "planktos: "+format+"\n", args...)
}

// exit is what kong's wish to leave (after help, after the version) becomes: the caller decides what ends the process.
type exit int

// Run runs the program with arguments, without the program's name, and returns the status to exit with.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) (status int) {
	defer func() {
		if r := recover(); r != nil {
			code, ok := r.(exit)
			if !ok {
				panic(r)
			}
			status = int(code)
		}
	}()
	grammar := new(commands)
	parser, err := kong.New(grammar,
		kong.Name("planktos"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
		kong.Vars{"version": Version()},
	)
	if err != nil {
		panic("cli: " + err.Error()) // the grammar is a constant of this package
	}
	call, err := parser.Parse(args)
	if err != nil {
		return report(stderr, hint(misuse(err), "planktos --help"))
	}
	p := &program{ctx: ctx, stdout: stdout, stderr: stderr, terminal: isTerminal(stderr)}
	if err := call.Run(p); err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = errors.New("interrupted")
		}
		return report(stderr, err)
	}
	return statusDone
}

// versionFlag prints the version wherever it stands.
type versionFlag bool

// BeforeReset is called by kong before anything else is looked at.
func (versionFlag) BeforeReset(app *kong.Kong, vars kong.Vars) error {
	fmt.Fprintln(app.Stdout, "planktos", vars["version"])
	app.Exit(statusDone)
	return nil
}

// Version is the module's version as the Go command recorded it, or the commit's for a build from a checkout.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return strings.Trim(info.Main.Version, "()")
}

// isTerminal tells whether w is a terminal that understands control characters, and whether the user lets it be used
// so (https://no-color.org).
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
