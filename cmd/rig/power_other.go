//go:build !unix

package main

import "os"

// terminate asks a process to end in order, where that can be asked for.
var terminate = os.Kill
