package main

import (
	"fmt"
	"time"

	"porthole/internal/cli"
	"porthole/internal/event"
)

// eventLine returns the line that a person sees of an event, "" for events that
// another line says already.
func eventLine(e event.Event) string {
	var text string
	f := e.Frame
	switch e.Kind {
	case event.Uploaded:
		text = fmt.Sprintf("frame %d sent, %s in %v, %q", f.Seq, kilobytes(f.Bytes), f.Took.Round(time.Millisecond), e.Text)
	case event.UploadFailed:
		text = fmt.Sprintf("frame %d not taken: %s", f.Seq, e.Text)
	case event.Accepted:
		text = fmt.Sprintf("frame %d accepted, %dx%d, %s", f.Seq, f.Width, f.Height, kilobytes(f.Bytes))
	case event.Rejected:
		text = fmt.Sprintf("upload refused with %d: %s", e.Status, e.Text)
	case event.Published:
		if f.Live {
			return "" // follows each accepted frame at once
		}
		text = fmt.Sprintf("recorded picture %d shown", f.Seq)
	case event.ModeChanged:
		text = fmt.Sprintf("the public now sees: %s (%s)", e.Mode, e.Text)
	case event.BoardChanged:
		return "" // the console's own lines say it
	case event.PublicSide:
		return "" // one a second
	case event.CoverChanged:
		c := e.Cover
		text = fmt.Sprintf("recordings that nobody has seen: %d clips, %.1f days, %d hours of the day without any", c.Clips, c.Days, c.Bare)
	case event.Waved:
		text = fmt.Sprintf("a visitor waved, %d so far", e.Waves)
	case event.Progressed:
		text = progressLineOf(e.Progress)
	case event.FaultChanged:
		text = "fault " + e.Fault.Name + ": " + e.Fault.Text
		if e.Fault.Over {
			text += ", no more"
		}
	case event.Console, event.Note:
		text = e.Text
	case event.LoadSample:
		l := e.Load
		text = fmt.Sprintf("%v  %d viewers  %d polls  %d errors  age p50 %v p99 %v", l.At.Round(time.Second), l.Viewers, l.Polls, l.Errors,
			l.AgeP50.Round(10*time.Millisecond), l.AgeP99.Round(10*time.Millisecond))
	}
	name := string(e.Source)
	if e.Name != "" {
		name += " " + e.Name
	}
	return fmt.Sprintf("%s  %-7s %s", e.Time.Format("15:04:05.000"), cli.Printable(name), cli.Printable(text))
}

func progressLineOf(p event.Progress) string {
	switch {
	case p.Failure != "":
		return p.Work + " failed: " + p.Failure
	case p.Ended:
		return p.Work + " is done"
	case p.Total > 0:
		return fmt.Sprintf("%s: %s, %d %%", p.Work, p.Phase, 100*p.Done/p.Total)
	}
	return p.Work + ": " + p.Phase
}

func kilobytes(n int) string { return fmt.Sprintf("%.1f kB", float64(n)/1000) }
