package tui

import (
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"porthole/internal/event"
)

// input is a line that is being typed: a search of the console, or the name of
// an action.
type input struct {
	palette bool
	text    string
	choice  int // of the matching actions
}

// maxInput bounds what can be typed or pasted.
const maxInput = 200

func (in *input) insert(s string) {
	s = clean(s)
	if utf8.RuneCountInString(in.text)+utf8.RuneCountInString(s) <= maxInput {
		in.text += s
		in.choice = 0
	}
}

func (m *Model) openPalette() tea.Cmd {
	m.input = &input{palette: true}
	return nil
}

func (m *Model) openSearch() tea.Cmd {
	m.focus = ConsolePanel
	m.input = &input{text: m.filter}
	return nil
}

// inputKey edits the line; enter takes it.
func (m *Model) inputKey(name, text string) tea.Cmd {
	in := m.input
	switch name {
	case "esc":
		m.input = nil
	case "enter":
		m.input = nil
		if in.palette {
			return m.choose(in)
		}
		m.filter = strings.ToLower(in.text)
	case "backspace":
		if _, size := utf8.DecodeLastRuneInString(in.text); size > 0 {
			in.text = in.text[:len(in.text)-size]
			in.choice = 0
		}
	case "ctrl+u":
		in.text, in.choice = "", 0
	case "up":
		in.choice = max(in.choice-1, 0)
	case "down":
		in.choice = min(in.choice+1, max(len(m.actions(in.text))-1, 0))
	case "tab":
		if all := m.actions(in.text); in.palette && in.choice < len(all) {
			in.text, in.choice = all[in.choice].name, 0
		}
	default:
		in.insert(text)
	}
	if !in.palette && m.input != nil {
		m.filter = strings.ToLower(in.text) // the console narrows as one types
	}
	return nil
}

// action is one row of the palette.
type action struct {
	name, help, key, why string
	binding              binding
}

// actions lists what matches the words typed so far: the key table, then
// commands of the source that no key has.
func (m *Model) actions(text string) []action {
	needle := strings.Fields(strings.ToLower(text))
	var out []action
	keyed := make(map[string]bool)
	add := func(a action) {
		for _, w := range needle {
			if !strings.Contains(strings.ToLower(a.name+" "+a.help+" "+a.binding.command), w) {
				return
			}
		}
		out = append(out, a)
	}
	for _, b := range m.keys {
		keyed[b.command] = true
		if b.do != nil || b.command != "" {
			add(action{b.name, b.help, b.keys[0], m.why(b), b})
		}
	}
	for _, name := range m.commands {
		if !keyed[name] {
			name := clean(name)
			add(action{name, "command of what is attached", "", m.whyNot(name, ""), binding{name: name, command: name}})
		}
	}
	return out
}

// choose runs the chosen action, or what was typed as a command with arguments.
func (m *Model) choose(in *input) tea.Cmd {
	if c, ok := event.ParseCommand(in.text); ok {
		for _, b := range m.keys {
			if b.command == c.Name && b.do != nil && len(c.Args) == 0 {
				return m.run(b)
			}
		}
		return m.ask(c)
	}
	all := m.actions(in.text)
	if in.choice >= len(all) {
		m.say("no action is called "+strings.TrimSpace(in.text), true)
		return nil
	}
	return m.run(all[in.choice].binding)
}

// drawPalette draws the actions over the panels.
func (m *Model) drawPalette(c *canvas) {
	w := min(c.w-4, 90)
	r := rect{(c.w - w) / 2, 1, w, min(c.h-3, 18)}
	c.fill(r, normal)
	in := c.box(r, "Actions: enter runs, tab completes, esc closes", accent)
	c.put(in.x, in.y, in.w, ": "+m.input.text+"▏", strong)
	all := m.actions(m.input.text)
	rows := in.h - 1
	first := max(min(m.input.choice-rows/2, len(all)-rows), 0)
	for i := 0; i < rows && first+i < len(all); i++ {
		a, y, st := all[first+i], in.y+1+i, normal
		sign := "  "
		if first+i == m.input.choice {
			st, sign = chosen, "▸ "
		}
		if a.why != "" && st == normal {
			st = quiet
		}
		n := c.put(in.x, y, in.w, sign+a.name, st)
		text := a.help
		if a.why != "" {
			text = "not now: " + a.why
		}
		x := max(n+2, 24)
		c.put(in.x+x, y, in.w-x-4, text, quiet)
		c.right(in.x, y, in.w, a.key, keyName)
	}
	if len(all) == 0 {
		c.put(in.x, in.y+1, in.w, "  nothing matches; part.verb key=value sends any command", quiet)
	}
}
