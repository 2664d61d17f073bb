package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/planktos/planktos"
)

// Status codes of the program.
const (
	statusDone   = 0
	statusFailed = 1
	statusMisuse = 2
)

// hintError is an error with a next step.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// hint adds a next step to an error.
func hint(err error, text string) error { return &hintError{err, text} }

// ofPacked adds the next step to an error about a folder, if that is not packed. It passes any other on, and nil.
func ofPacked(err error) error { return ofPackedOr(err, "") }

// ofPackedOr is ofPacked where there is another next step.
func ofPackedOr(err error, or string) error {
	if !errors.Is(err, planktos.ErrNotPacked) {
		return err
	}
	next := "give the folder that was packed"
	if or != "" {
		next += "; " + or
	}
	return hint(err, next)
}

// misuseError is an error in how the program was called, rather than in what it did.
type misuseError struct{ err error }

func (e *misuseError) Error() string { return e.err.Error() }
func (e *misuseError) Unwrap() error { return e.err }

func misuse(err error) error { return &misuseError{err} }

// plain is an error's text without the library's own prefix, which is the program's: at its beginning, and wherever an
// error was put into another.
func plain(err error) string {
	const prefix = "planktos: "
	return strings.NewReplacer(": "+prefix, ": ", "\n"+prefix, "\n").Replace(strings.TrimPrefix(err.Error(), prefix))
}

// report writes an error the way people and scripts expect it and returns the status to exit with.
func report(w io.Writer, err error) int {
	fmt.Fprintf(w, "planktos: %s\n", plain(err))
	var hinted *hintError
	var option *planktos.OptionError
	if errors.As(err, &option) && option.Hint != "" {
		fmt.Fprintf(w, "planktos: hint: %s\n", option.Hint)
	} else if errors.As(err, &hinted) {
		fmt.Fprintf(w, "planktos: hint: %s\n", hinted.hint)
	}
	var misused *misuseError
	if option != nil || errors.As(err, &misused) {
		return statusMisuse
	}
	return statusFailed
}
