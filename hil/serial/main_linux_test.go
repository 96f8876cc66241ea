package serial

import (
	"fmt"
	"os"
	"testing"
)

// children are the parts of tests that run in a process of their own.
var children = map[string]func() error{
	"many-files": manyFiles,
	"hold-stdin": holdStdin,
	"hold-lease": holdLease,
	"crowd":      crowd,
	"flasher":    flasher,
}

func TestMain(m *testing.M) {
	if name := os.Getenv("SERIAL_TEST_CHILD"); name != "" {
		if err := children[name](); err != nil {
			fmt.Println(err)
			if os.Getenv("SERIAL_TEST_STRICT") != "" {
				os.Exit(1)
			}
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
