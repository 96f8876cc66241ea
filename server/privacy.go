package server

import (
	"fmt"
	"math/rand/v2"
	"time"

	"porthole/server/reservoir"
)

// Defaults of [Privacy].
const (
	DefaultShare   = 0.5
	DefaultMinRun  = 30 * time.Second
	DefaultMeanRun = 4 * time.Minute
	DefaultReserve = 30 * time.Minute
)

// holdPeriods is how long a frame is held back, in periods: one for the frame
// that does not come, one to be sure that it does not, one to cover both.
const holdPeriods = 3

// Privacy says what viewers may learn about the camera. With On they cannot
// tell whether they see it or a recording: pictures come at the beat of a clock
// of their own, three periods late, and a schedule that is drawn without
// looking at the camera shows recordings of it that nobody has seen. A camera
// that is silent for one period longer than usual is replaced before anybody
// could see it, and an absent camera follows the same schedule as a present one.
//
// Without On every frame is shown as soon as it arrives.
type Privacy struct {
	On bool
	// Clips keeps what the camera sends while a recording is shown. Without it,
	// and while it is empty, the loop is shown instead, which is the same each
	// time and can be told from a camera.
	Clips *reservoir.Reservoir
	// Share of the time in which recordings are shown, 0.1 to 0.9. Other shares
	// than the default make live and recorded runs differ in length.
	Share float64
	// MinRun and MeanRun are the lengths of a run of either kind. One in ten is
	// shorter than MinRun: a camera that fails early makes such runs too.
	MinRun, MeanRun time.Duration
	// Reserve is how much that was recorded around a time of day the schedule
	// leaves for a camera that fails; its own runs show the loop instead.
	Reserve time.Duration
	// Random decides when what is shown. Nil means the system's; anything else is
	// for tests.
	Random rand.Source

	leaks leaks
}

// leaks switches off one counter against those who want to tell live from
// recorded. Only tests can: they prove that each of them is needed, and that
// the test that finds nothing would find something.
type leaks struct {
	etag    bool // recordings are named as a file server names its files
	cadence bool // live pictures come when the camera sends
	size    bool // pictures are recorded as they would be shown
	reuse   bool // clips are shown again
	gain    bool // brightness and time of day of a clip do not matter
	cut     bool // a silent camera is noticed as late as without privacy
}

// Check fills in defaults for the period of the feed, or says which field is
// wrong.
func (p *Privacy) Check(period time.Duration) error {
	if p.Share == 0 {
		p.Share = DefaultShare
	}
	if p.MinRun == 0 {
		p.MinRun = DefaultMinRun
	}
	if p.MeanRun == 0 {
		p.MeanRun = DefaultMeanRun
	}
	if p.Reserve == 0 {
		p.Reserve = DefaultReserve
	}
	if p.Random == nil {
		p.Random = systemRandom{}
	}
	switch {
	case p.Share < 0.1 || p.Share > 0.9:
		return fmt.Errorf("set privacy: a share of %g for recordings is not between 0.1 and 0.9", p.Share)
	case p.MinRun < holdPeriods*period || p.MeanRun < 2*p.MinRun:
		return fmt.Errorf("set privacy: runs of at least %v and usually %v: want at least %v, which is %d periods, and twice the least", p.MinRun, p.MeanRun, holdPeriods*period, holdPeriods)
	case p.Reserve < 0:
		return fmt.Errorf("set privacy: a reserve of %v is negative", p.Reserve)
	}
	return nil
}
