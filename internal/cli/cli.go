// Package cli holds what both command lines share: how an error reaches a
// person, and which exit code a script sees.
//
// The rules of that user interface:
//   - An error is one line "error: what failed, with the value". Where there is
//     something to do about it, a second line "hint: what to do" follows.
//   - Both go to standard error. Standard output carries results only.
//   - Nothing that came from outside (a file name, a server's answer) is printed
//     raw: control characters are shown escaped.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Exit codes of porthole and rig.
const (
	ExitOK        = 0 // done
	ExitFailed    = 1 // the operation failed
	ExitUsage     = 2 // the command line or a configuration value is wrong
	ExitObjective = 3 // the run finished, an objective was missed
	ExitBench     = 4 // the bench itself is at fault: nothing was learnt about the device or server
)

// hinted attaches what to do to an error.
type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// Hint returns err with a sentence that says what to do about it. The innermost
// hint is the most specific one and is the one that is shown. Hint(nil, …) is nil.
func Hint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, hint}
}

// HintOf returns the innermost hint of err, or "".
func HintOf(err error) string {
	var hint string
	for {
		h, ok := errors.AsType[*hinted](err)
		if !ok {
			return hint
		}
		hint, err = h.hint, h.err
	}
}

// coded gives an error an exit code.
type coded struct {
	err  error
	code int
}

func (c *coded) Error() string { return c.err.Error() }
func (c *coded) Unwrap() error { return c.err }

// Usage marks err as the caller's mistake in the command line (exit code 2).
func Usage(err error) error { return WithCode(err, ExitUsage) }

// WithCode gives err the exit code that the process ends with.
func WithCode(err error, code int) error {
	if err == nil {
		return nil
	}
	return &coded{err, code}
}

// Code returns the exit code for err: 0 for nil, the code given by [WithCode],
// else 1. An interrupted run that ended in order is not a failure.
func Code(err error) int {
	if err == nil || errors.Is(err, context.Canceled) {
		return ExitOK
	}
	if c, ok := errors.AsType[*coded](err); ok {
		return c.code
	}
	return ExitFailed
}

// Report writes err and its hint to w and returns the exit code.
func Report(w io.Writer, err error) int {
	code := Code(err)
	if code == ExitOK {
		return code
	}
	fmt.Fprintf(w, "error: %s\n", Printable(err.Error()))
	if hint := HintOf(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", Printable(hint))
	}
	return code
}

// Printable returns s with every character that could steer a terminal shown
// as an escape, so that text from outside may be printed. Newlines become "; ",
// for an error is one line.
func Printable(s string) string {
	s = strings.ReplaceAll(strings.TrimRight(s, "\r\n"), "\n", "; ")
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			q := fmt.Sprintf("%+q", string(r))
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool {
	return r != ' ' && !unicode.IsGraphic(r) || r == unicode.ReplacementChar
}
