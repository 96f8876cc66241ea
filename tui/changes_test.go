package tui

import (
	"testing"
	"time"

	"porthole/internal/event"
)

// TestChangesOfALoadRun: what went wrong with changes is in the panel, added up,
// and a run of viewers who poll pictures has no line for it.
func TestChangesOfALoadRun(t *testing.T) {
	inBubble(t, 200, 50, Config{}, func(term *terminal) {
		second := func(at int, l event.LoadFigure) {
			l.At, l.Viewers, l.Polls = time.Duration(at)*time.Second, 10, 5
			term.publish(event.Event{Source: event.Load, Kind: event.LoadSample, Load: l})
			time.Sleep(time.Second)
		}
		second(1, event.LoadFigure{})
		term.has("10, 5 polls/s")
		term.lacks("keys again")
		second(2, event.LoadFigure{Keys: 10})
		term.has("0 gaps, 0 keys again, 0 wrong")
		second(3, event.LoadFigure{Keys: 2, Refetches: 2, Gaps: 1})
		second(4, event.LoadFigure{Keys: 1, Refetches: 1, Mismatches: 1})
		term.has("1 gaps, 3 keys again, 1 wrong")
	})
}
