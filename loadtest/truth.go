package loadtest

import "time"

// Source says where a picture came from, as only the admin side knows.
type Source uint8

const (
	Unknown Source = iota // nobody said
	Live                  // the camera
	Loop                  // the recorded loop
	sources
)

func (s Source) String() string { return [...]string{"unknown", "live", "loop"}[s] }

// Truth is the admin side of the feed under test. Source says what the public
// was shown at an instant. It is asked once for each distinct picture, for the
// instant at which the first viewer had it; it must be quick and safe for
// concurrent use.
type Truth interface {
	Source(at time.Time) Source
}

// TruthFunc is a function as a [Truth].
type TruthFunc func(at time.Time) Source

// Source implements [Truth].
func (f TruthFunc) Source(at time.Time) Source { return f(at) }
