package tui

import (
	"fmt"
	"strings"
)

// lineView is what the console shows at this instant.
func (m *Model) lineView() lineView {
	v := lineView{last: m.hist.lines.total, filter: m.filter, only: m.only, unfolded: m.unfolded}
	switch {
	case m.held != 0:
		v.last = m.held
	case !m.cross.IsZero():
		v.last = m.hist.lines.until(m.cross)
	}
	return v
}

// pause holds the console still, or lets it follow again.
func (m *Model) pause() {
	if m.held != 0 {
		m.held = 0
		return
	}
	m.hold(m.lineView().last)
}

func (m *Model) hold(at uint64) {
	if m.held == 0 {
		m.heldAt = m.hist.lines.total
	}
	m.held = max(at, 1)
}

// scroll moves the console; at its end it follows again.
func (m *Model) scroll(by int) {
	v := m.lineView()
	to := m.hist.lines.move(v, by)
	if by > 0 && to >= m.hist.lines.total {
		m.held = 0
		return
	}
	if to != 0 {
		m.hold(to)
	}
}

// seek goes to a line that matches.
func (m *Model) seek(back bool) {
	v := m.lineView()
	n, ok := m.hist.lines.seek(v, back)
	if !ok {
		m.say("no further line matches "+m.filter, false)
		return
	}
	m.hold(n)
}

func levelStyle(l line) style {
	switch {
	case l.note:
		return accent
	case l.level == 'E':
		return bad
	case l.level == 'W':
		return warn
	case l.level == 'D', l.level == 'V':
		return quiet
	}
	return normal
}

// drawConsole draws the lines, newest at the bottom. outer is the frame, which
// says what is held, hidden or searched for.
func (m *Model) drawConsole(c *canvas, r, outer rect) {
	v := m.lineView()
	lines := m.hist.lines.page(v, r.h)
	for i, l := range lines {
		x, y := r.x, r.y+i
		st := levelStyle(l)
		if m.stamps && r.w >= 40 {
			x += c.put(x, y, r.w, l.at.Format("15:04:05.000 "), quiet)
		}
		text := l.text
		if l.note {
			text = "· " + text
		}
		if l.head && !m.unfolded {
			text = "▸ " + m.hist.lines.folded(l)
		} else if l.block != 0 {
			text = "│ " + text
		}
		if v.filter != "" && !v.only && v.matches(l) {
			c.set(r.x+r.w-1, y, '◂', warn) // seen without colour too
			st.attr |= reverse
		}
		c.put(x, y, r.w-(x-r.x)-1, text, st)
	}
	if len(lines) == 0 {
		text := orElse(m.cfg.Absent[ConsolePanel], "no line yet")
		if v.filter != "" && v.only && m.hist.lines.total > 0 {
			text = "no line matches " + m.filter + ": f shows all and marks matches"
		}
		m.absent(c, r, text)
	}
	m.drawConsoleState(c, outer)
}

func (m *Model) drawConsoleState(c *canvas, outer rect) {
	var notes []string
	if m.held != 0 {
		notes = append(notes, fmt.Sprintf("PAUSED, +%d new", m.hist.lines.total-m.heldAt))
	}
	if m.filter != "" {
		word := "marks"
		if m.only {
			word = "only"
		}
		notes = append(notes, word+" /"+m.filter)
	}
	if gone := m.hist.lines.total - uint64(len(m.hist.lines.ring)); gone > 0 {
		notes = append(notes, fmt.Sprintf("%d older lines gone", gone))
	}
	if m.hist.dropped > 0 {
		notes = append(notes, fmt.Sprintf("%d events lost", m.hist.dropped))
	}
	if len(notes) > 0 && outer.w > 24 {
		c.right(outer.x+15, outer.y, outer.w-17, " "+strings.Join(notes, " · ")+" ", warn)
	}
}

// absent says in a panel without anything to show what to do about it.
func (m *Model) absent(c *canvas, r rect, text string) {
	for i, l := range wrap(text, r.w-2) {
		if i < r.h {
			c.put(r.x+1, r.y+i, r.w-2, l, quiet)
		}
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
