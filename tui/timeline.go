package tui

import (
	"fmt"
	"strings"
	"time"

	"porthole/internal/event"
)

// oldest is the earliest instant that is remembered.
func (m *Model) oldest() time.Time {
	if len(m.hist.moments) == 0 {
		return m.now()
	}
	return m.hist.moments[0].at
}

// scrub moves the crosshair by seconds; past the newest second it follows again.
func (m *Model) scrub(seconds int) {
	at := m.instant().Add(time.Duration(seconds) * time.Second)
	m.put(at)
}

// put sets the crosshair.
func (m *Model) put(at time.Time) {
	switch {
	case !at.Before(m.now()):
		m.live()
	case at.Before(m.oldest()):
		m.cross, m.held = m.oldest(), 0
	default:
		m.cross, m.held = at, 0
	}
}

// live returns to now.
func (m *Model) live() { m.cross, m.held, m.playing = time.Time{}, 0, false }

// jump moves the crosshair to the mark before or after it.
func (m *Model) jump(by int) {
	at := m.instant()
	marks := m.hist.marks
	if by < 0 {
		for i := len(marks) - 1; i >= 0; i-- {
			if marks[i].at.Before(at) && !marks[i].at.Before(m.oldest()) {
				m.put(marks[i].at)
				return
			}
		}
		m.say("no event before this one is remembered", false)
		return
	}
	for _, mk := range marks {
		if mk.at.After(at) {
			m.put(mk.at)
			return
		}
	}
	m.live()
}

// play moves the crosshair through a recording as time passes.
func (m *Model) play(at time.Time) {
	if m.cfg.Session == nil {
		return
	}
	if m.cross.IsZero() {
		m.cross = m.oldest()
		return
	}
	if d := at.Sub(m.played); d > 0 && d < 2*time.Second {
		m.cross = m.cross.Add(d)
		m.dirty = true
	}
	if !m.cross.Before(m.now()) {
		m.live()
	}
}

// window is the span of the time line and of the charts: all of a recording, and
// of what happens now as much as is remembered, in steps.
func (m *Model) window() time.Duration {
	length := m.now().Sub(m.oldest())
	if m.cfg.Session != nil {
		return max(length, time.Second)
	}
	for _, w := range [...]time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute} {
		if length <= w {
			return w
		}
	}
	return historySpan
}

// modeSign is the time line's sign for what the public sees.
func modeSign(mode event.Mode) (rune, style) {
	switch mode {
	case event.Live:
		return '━', good
	case event.Loop:
		return '╌', warn
	case event.Replay:
		return '┅', warn
	case event.Waiting:
		return '·', quiet
	}
	return ' ', normal
}

// drawTimeline draws two rows: what the public saw with the marks, and the words
// for the crosshair.
func (m *Model) drawTimeline(c *canvas, r rect) {
	end, window := m.now().Truncate(time.Second), m.window() // whole seconds: marks must not jitter
	column := func(at time.Time) int {
		return r.w - 1 - int(end.Sub(at)*time.Duration(r.w)/window)
	}
	last, sign, st := 0, ' ', normal
	for i := range m.hist.moments {
		mo := &m.hist.moments[i]
		x := column(mo.at)
		if x < 0 {
			continue
		}
		if i == 0 {
			last = x
		}
		sign, st = modeSign(mo.snap.Mode)
		for ; last <= min(x, r.w-1); last++ {
			c.set(r.x+last, r.y, sign, st)
		}
	}
	for ; last < r.w && len(m.hist.moments) > 0; last++ {
		c.set(r.x+last, r.y, sign, st)
	}
	for _, pass := range [...]struct {
		bad bool
		st  style
	}{{false, strong}, {true, bad}} { // where there is no room for both, trouble wins
		for _, mk := range m.hist.marks {
			if x := column(mk.at); mk.bad == pass.bad && x >= 0 && x < r.w {
				c.set(r.x+x, r.y, mk.sign, pass.st)
			}
		}
	}
	m.drawCrosshair(c, rect{r.x, r.y + 1, r.w, 1}, column)
}

func (m *Model) drawCrosshair(c *canvas, r rect, column func(time.Time) int) {
	newest := m.now().Format("15:04:05")
	if m.cross.IsZero() {
		c.put(r.x, r.y, r.w, words(m.window())+" ago", quiet)
		text := "now " + newest
		if n := len(m.hist.marks); n > 0 && r.w >= 60 {
			mk := m.hist.marks[n-1]
			text = fmt.Sprintf("%c %s %s · %s", mk.sign, mk.at.Format("15:04:05"), mk.text, text)
		}
		c.right(r.x+12, r.y, r.w-12, text, quiet)
		return
	}
	x := min(max(column(m.cross), 0), r.w-1)
	c.set(r.x+x, r.y-1, '┃', chosen)
	var text strings.Builder
	text.WriteString(fmt.Sprintf("▲ %s, %s ago", m.cross.Format("15:04:05"), words(m.now().Sub(m.cross))))
	for i := len(m.hist.marks) - 1; i >= 0; i-- {
		if d := m.hist.marks[i].at.Sub(m.cross).Abs(); d < time.Second {
			text.WriteString(fmt.Sprintf(": %c %s", m.hist.marks[i].sign, m.hist.marks[i].text))
			break
		}
	}
	c.put(r.x, r.y, r.w, text.String(), strong)
}

// words gives a duration as people say it.
func words(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour && d%time.Minute < time.Second:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
}
