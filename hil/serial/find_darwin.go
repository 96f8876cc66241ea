//go:build darwin && !cgo

package serial

import (
	"fmt"

	bugst "go.bug.st/serial"
)

// List lists the serial ports of this machine. What they are on USB macOS tells
// through its own libraries only, which a binary without cgo does not have.
func List() ([]Info, error) {
	paths, err := bugst.GetPortsList()
	if err != nil {
		return nil, fmt.Errorf("list ports: %w", err)
	}
	var all []Info
	for _, p := range paths {
		all = append(all, Info{Path: p})
	}
	return sorted(all), nil
}
