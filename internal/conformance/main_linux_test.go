package conformance

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestMain runs the tests again without asynchronous preemption. Its signal can
// end a write to a terminal early, and espflasher (v0.6.0, protocol.go) takes a
// write without an error for a whole one: the rest of a block is never sent, and
// nobody answers it. Programs that the tests start inherit the setting.
func TestMain(m *testing.M) {
	const off = "asyncpreemptoff=1"
	setting := os.Getenv("GODEBUG")
	if strings.Contains(setting, off) {
		os.Exit(m.Run())
	}
	os.Setenv("GODEBUG", strings.Trim(setting+","+off, ","))
	path, err := os.Executable()
	if err == nil {
		err = syscall.Exec(path, os.Args, os.Environ())
	}
	panic(err)
}
