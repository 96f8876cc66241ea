package flash

// Boot is how the chip started after the work.
type Boot struct {
	State  BootState
	Banner Banner
}

// BootState says how much is known about a start.
type BootState string

// The states.
const (
	BootConfirmed BootState = "confirmed" // the banner was seen
	BootSilent    BootState = "silent"    // nothing was printed: GPIO15 low does that
	BootLoader    BootState = "loader"    // it stays in the loader
	BootNoLines   BootState = "no lines"  // started by command, without a reset
)
