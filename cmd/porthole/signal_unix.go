//go:build unix

package main

import (
	"os"
	"syscall"
)

// reloadSignals ask a running server to read its files again.
var reloadSignals = []os.Signal{syscall.SIGHUP}
