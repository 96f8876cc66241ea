package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

func TestReport(t *testing.T) {
	base := errors.New("open port \"COM\x1b[31m9\": busy")
	for _, tt := range []struct {
		name string
		err  error
		code int
		want string
	}{
		{"nil", nil, ExitOK, ""},
		{"plain", fs.ErrNotExist, ExitFailed, "error: file does not exist\n"},
		{"hint", Hint(fs.ErrNotExist, "give another name"), ExitFailed, "error: file does not exist\nhint: give another name\n"},
		{"innermost hint wins", Hint(fmt.Errorf("read: %w", Hint(fs.ErrNotExist, "inner")), "outer"), ExitFailed, "error: read: file does not exist\nhint: inner\n"},
		{"usage", Usage(errors.New("bad flag")), ExitUsage, "error: bad flag\n"},
		{"code through a wrap", fmt.Errorf("run: %w", WithCode(errors.New("age"), ExitObjective)), ExitObjective, "error: run: age\n"},
		{"hint through a code", WithCode(Hint(errors.New("x"), "y"), ExitBench), ExitBench, "error: x\nhint: y\n"},
		{"interrupted", fmt.Errorf("run: %w", context.Canceled), ExitOK, ""},
		{"escape sequences are shown, not sent", base, ExitFailed, "error: open port \"COM\\x1b[31m9\": busy\n"},
		{"one line", errors.New("a\nb\n"), ExitFailed, "error: a; b\n"},
		{"letters of all scripts stay", errors.New("größe 日本"), ExitFailed, "error: größe 日本\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if code := Report(&out, tt.err); code != tt.code {
				t.Errorf("code %d, want %d", code, tt.code)
			}
			if out.String() != tt.want {
				t.Errorf("printed %q, want %q", out.String(), tt.want)
			}
		})
	}
	if Hint(nil, "x") != nil || WithCode(nil, 3) != nil {
		t.Error("nil error became an error")
	}
}
