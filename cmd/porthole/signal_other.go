//go:build !unix

package main

import "os"

// reloadSignals is empty where there is no signal to reload by; the command
// server.reload does it.
var reloadSignals = []os.Signal{}
