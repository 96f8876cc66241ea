package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"porthole/internal/event"
	"porthole/tui"
)

// summaryEvery is how often plain mode says how things stand.
const summaryEvery = 30 * time.Second

// plainEvents prints a sentence for each change, and from time to time how things
// stand. Frames that arrive as expected are no change.
func plainEvents(ctx context.Context, w io.Writer, b *bench) error {
	fmt.Fprintf(w, "porthole, plain mode: %s\n", b.title)
	snap := b.source.Snapshot()
	fmt.Fprintln(w, standing(snap))
	said := time.Now()
	for {
		e, ok := b.source.Next(ctx)
		if !ok {
			break
		}
		before := snap
		snap.Apply(e)
		b.look(ctx, e)
		if line := eventLine(e); line != "" && changes(e, before) {
			if _, err := fmt.Fprintln(w, line); err != nil {
				return fmt.Errorf("print events: %w", err)
			}
		}
		if time.Since(said) > summaryEvery {
			said = time.Now()
			fmt.Fprintln(w, standing(snap))
		}
	}
	fmt.Fprintln(w, standing(snap))
	if n := b.source.Dropped(); n > 0 {
		fmt.Fprintf(w, "(%d events were not shown: this end was too slow)\n", n)
	}
	return nil
}

// changes reports whether an event is news: the first frame is, the next is not.
func changes(e event.Event, before event.Snapshot) bool {
	switch e.Kind {
	case event.Uploaded:
		return before.Uploads == 0
	case event.Accepted:
		return before.Accepted == 0
	case event.PublicSide:
		return false
	case event.CoverChanged: // grows with every clip
		return e.Cover.Bare != before.Cover.Bare || before.Cover == (event.Cover{})
	case event.Published:
		return false // the mode says what the public sees
	case event.UploadFailed, event.Rejected:
		return e.Text != before.LastProblem
	case event.Progressed:
		p, was := e.Progress, before.Progress
		return p.Ended || p.Work != was.Work || p.Phase != was.Phase || was.Ended
	case event.LoadSample:
		return e.Load.Finished || before.Load.Viewers != e.Load.Viewers || before.Load.Errors != e.Load.Errors
	}
	return true
}

// standing says how things stand, in one labelled sentence.
func standing(s event.Snapshot) string {
	age := "no frame yet"
	if !s.AcceptedAt.IsZero() {
		age = fmt.Sprintf("newest frame %d at %s", s.LastAccepted.Seq, s.AcceptedAt.Local().Format("15:04:05"))
	}
	mode := string(s.Mode)
	if mode == "" {
		mode = "not known"
	}
	return fmt.Sprintf("summary: public sees %s; %s; %d accepted, %d refused, %d not sent; %d starts and %d crashes of the board",
		mode, age, s.Accepted, s.Rejected, s.Failures, s.Board.Starts, s.Board.Panics)
}

// jsonEvents prints the state and then the events as JSON lines, as a server's
// private side does.
func jsonEvents(ctx context.Context, w io.Writer, b *bench) error {
	enc := json.NewEncoder(w)
	if err := enc.Encode(map[string]event.Snapshot{"snapshot": b.source.Snapshot()}); err != nil {
		return fmt.Errorf("print events: %w", err)
	}
	for {
		e, ok := b.source.Next(ctx)
		if !ok {
			return nil
		}
		if err := enc.Encode(e); err != nil {
			return fmt.Errorf("print events: %w", err)
		}
		b.look(ctx, e)
	}
}

// look fetches the picture that an event tells of, for the recording: where there
// is a screen, the screen does.
func (b *bench) look(ctx context.Context, e event.Event) {
	which := tui.Sent
	switch {
	case !b.recorded:
		return
	case e.Kind == event.Accepted:
	case e.Kind == event.Published && !e.Frame.Live:
		which = tui.Public
	default:
		return
	}
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	_, _ = b.source.Picture(ctx, which) // a recording with a picture missing is still one
}
