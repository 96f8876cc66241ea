package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

// switchMouse lets the mouse work here, or leaves it to the terminal, which
// selects text with it.
func (m *Model) switchMouse() tea.Cmd {
	m.mouse = !m.mouse
	if m.mouse {
		m.say("the mouse focuses, scrolls and moves through time; m gives it back to the terminal", false)
	} else {
		m.say("the mouse selects text again", false)
	}
	return nil
}

func (m *Model) mouseMode() tea.MouseMode {
	if m.mouse {
		return tea.MouseModeCellMotion
	}
	return tea.MouseModeNone
}

// click focuses the panel under the mouse; on the time line it moves all panels
// to that instant.
func (m *Model) click(x, y int) {
	if m.overlay != nil || m.input != nil || m.asking != nil || m.help || m.w < leastWidth || m.h < leastHeight {
		return
	}
	if y == m.h-3 && len(m.hist.moments) > 0 {
		end, window := m.now().Truncate(time.Second), m.window()
		m.put(end.Add(-time.Duration(m.w-1-x) * window / time.Duration(m.w)))
		return
	}
	for p, r := range m.areas {
		if x >= r.x && x < r.x+r.w && y >= r.y && y < r.y+r.h {
			m.focusOn(Panel(p))
			return
		}
	}
}
