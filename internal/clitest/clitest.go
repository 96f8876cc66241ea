// Package clitest runs the command lines in script tests as a user types them.
package clitest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Run runs the stories of testdata/script. Each has a home and a state folder of
// its own; setup, which may be nil, adds files to its working folder. Beyond the
// usual commands a story has
//
//	exits CODE COMMAND [ARG…]	the command ends with just this exit code
//	exits 0|4 COMMAND [ARG…]	with one of these: what depends on how busy the machine is
//
// after which stdout and stderr look at what it printed.
func Run(t *testing.T, update bool, setup func(dir string) error) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: update, RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			if setup == nil {
				return nil
			}
			return setup(env.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command [arg...]")
	}
	var want []int
	for code := range strings.SplitSeq(args[0], "|") {
		n, err := strconv.Atoi(code)
		if err != nil {
			ts.Fatalf("exit code %q is not a number", code)
		}
		want = append(want, n)
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("run %s: %v", args[1], err)
	}
	if !slices.Contains(want, got) {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// Main is the TestMain of a command: inside scripts, name runs main instead of
// the tests.
func Main(m *testing.M, name string, main func() int) {
	testscript.Main(m, map[string]func(){name: func() { os.Exit(main()) }})
}
