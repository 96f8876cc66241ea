//go:build !linux

package board

import (
	"context"
	"fmt"
	"runtime"
)

// A PTY is a board as a pseudo-terminal. It needs Linux, where the master end sees
// the speed that the host has set.
type PTY struct{}

// OpenPTY fails: this is not Linux.
func OpenPTY(PTYConfig) (*PTY, error) {
	return nil, fmt.Errorf("open pseudo-terminal: not on %s, only on linux; serve the board over RFC 2217 instead", runtime.GOOS)
}

// Name is the path of the device.
func (*PTY) Name() string { return "" }

// Run does nothing.
func (*PTY) Run(context.Context) error { return nil }

// Close does nothing.
func (*PTY) Close() error { return nil }
