//go:build unix

package main

import "syscall"

// terminate asks a process to end in order.
const terminate = syscall.SIGTERM
