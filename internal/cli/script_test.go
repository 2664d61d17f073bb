package cli

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"planktos": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(Run(ctx, os.Args[1:], os.Stdout, os.Stderr))
	}})
}

// TestScript runs testdata/script, one file a behaviour. Beside testscript's own commands and planktos, scripts have:
//
//	status N planktos ARGS...    runs planktos, which must exit with this status
//	get N FILE PATH [HEADER...]  waits for a file with a URL, gets PATH below it, and prints headers and 4 KiB of the body
//	send METHOD N FILE PATH      the same with another method
//	mkfifo FILE                  makes a named pipe
//	sparse FILE SIZE             makes a file of so many bytes that takes no room
//	await FILE                   waits for a file or folder
//	read NAME FILE               waits for a file, and sets an environment variable to its line
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status, "get": get, "send": send, "mkfifo": mkfifo, "sparse": sparse, "await": await, "read": read,
		},
		Condition: func(name string) (bool, error) { return name == "root" && os.Getuid() == 0, nil },
		Setup: func(env *testscript.Env) error {
			// So that no folder of a test lies above somebody's home.
			env.Setenv("HOME", env.WorkDir+"/home")
			return os.MkdirAll(env.WorkDir+"/home", 0o755)
		},
		RequireUniqueNames: true,
	})
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N planktos ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		// The text of an *exec.ExitError.
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("status %s, want %s", got, args[0])
	}
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	send(ts, neg, append([]string{"GET"}, args...))
}

func send(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: send METHOD N FILE PATH [HEADER...]")
	}
	base := strings.TrimSpace(waitFor(ts, ts.MkAbs(args[2])))
	base = strings.Replace(base, "ws:", "http:", 1)
	request, err := http.NewRequest(args[0], strings.TrimSuffix(base, "/")+args[3], nil)
	ts.Check(err)
	for _, header := range args[4:] {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	client := &http.Client{
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	var headers strings.Builder
	ts.Check(response.Header.Write(&headers))
	text := strings.ReplaceAll(headers.String(), "\r", "") + string(body[:min(len(body), 4096)]) + "\n"
	_, err = io.WriteString(ts.Stdout(), text)
	ts.Check(err)
	if got := strings.Fields(response.Status)[0]; got != args[1] {
		ts.Fatalf("%s %s: status %s, want %s", args[0], args[3], got, args[1])
	}
}

// waitFor gives the content of a file that a server writes once it answers.
func waitFor(ts *testscript.TestScript, name string) string {
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if data, err := os.ReadFile(name); err == nil {
			return string(data)
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s was not written", name)
		}
	}
}

func read(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: read NAME FILE")
	}
	ts.Setenv(args[0], strings.TrimSpace(waitFor(ts, ts.MkAbs(args[1]))))
}

func mkfifo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: mkfifo FILE")
	}
	ts.Check(syscall.Mkfifo(ts.MkAbs(args[0]), 0o644))
}

func sparse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sparse FILE SIZE")
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(f.Truncate(size))
	ts.Check(f.Close())
}

func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await FILE")
	}
	deadline := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Lstat(ts.MkAbs(args[0])); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s did not appear", args[0])
		}
	}
}
