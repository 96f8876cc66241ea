package board

import "fmt"

// A State is what the chip is doing.
type State uint8

// The states of a board. Lines and power lead from any state to Off and Reset;
// from Reset the straps lead to Boot or ROM.
const (
	StateOff    State = iota // no power
	StateReset               // EN low, or rising
	StateBoot                // ROM and bootloader start what is in flash
	StateApp                 // the application runs
	StateROM                 // the ROM loader listens: "download mode"
	StateStub                // a flasher stub runs in RAM
	StateRAMApp              // another program, loaded by MEM_*, runs in RAM
)

var stateNames = [...]string{"off", "reset", "boot", "app", "rom", "stub", "ramapp"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// loading reports whether one of the loaders listens.
func (s State) loading() bool { return s == StateROM || s == StateStub }
