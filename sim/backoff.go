package sim

import "time"

// Waiting of the firmware after a failure: full jitter under a ceiling that
// doubles (esp32-wire 6). Limits of its pace (internal/boardcfg).
const (
	backoffBase = time.Second
	backoffCap  = time.Minute
	minInterval = 100 * time.Millisecond
	maxInterval = time.Hour
)

// backoff counts failures in a row.
type backoff struct {
	rng     *rng
	attempt int
}

// next counts a failure and draws the wait, never less than the server asked for.
func (b *backoff) next(retryAfter time.Duration) time.Duration {
	b.attempt++
	ceiling := min(backoffCap, backoffBase<<min(b.attempt-1, 6))
	return max(retryAfter, b.rng.between(0, ceiling).Truncate(time.Millisecond))
}
