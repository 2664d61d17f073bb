// Package leaktest fails the tests of a package that leaves goroutines of this module behind. It is used as
//
//	func TestMain(m *testing.M) { leaktest.Main(m) }
package leaktest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience is how long goroutines that were told to end may take to do so.
const patience = 5 * time.Second

// Main runs the tests and exits with their status, or with 1 if they pass and goroutines that run this module's code,
// or were started by it, do not end.
func Main(m *testing.M) {
	status := m.Run()
	if status == 0 {
		if left := outliving("github.com/planktos/planktos/"); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "%d goroutines are left:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
			status = 1
		}
	}
	os.Exit(status)
}

// outliving returns the stacks, other than the caller's, that name the module and do not end while it waits.
func outliving(module string) []string {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var left []string
		for i, stack := range stacks() {
			// The caller's own comes first.
			if i > 0 && strings.Contains(stack, module) {
				left = append(left, stack)
			}
		}
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// stacks returns the stacks of all goroutines, the caller's first.
func stacks() []string {
	for buf := make([]byte, 1<<20); ; buf = make([]byte, 2*len(buf)) {
		if n := runtime.Stack(buf, true); n < len(buf) {
			return strings.Split(string(buf[:n]), "\n\n")
		}
	}
}
