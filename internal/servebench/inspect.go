package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"porthole/server"
)

// state is what a fixture says of itself.
type state struct {
	Goroutines int
	HeapKB     uint64
	Stats      server.Stats
}

// inspect answers every line of standard input with the state of the process,
// after a collection, so that what is left is in use.
func inspect(s *server.Server, out io.Writer) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		text, err := json.Marshal(state{runtime.NumGoroutine(), m.HeapAlloc >> 10, s.Stats()})
		if err != nil {
			return
		}
		fmt.Fprintf(out, "%s\n", text)
	}
}
