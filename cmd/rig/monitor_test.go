package main

import (
	"os"

	"porthole/hil/backtrace/backtracetest"
)

// writeProgram makes the ELF file of a board's program.
func writeProgram(path string) error { return os.WriteFile(path, backtracetest.ELF(), 0o644) }
