package tui

import (
	"slices"

	tea "charm.land/bubbletea/v2"

	"porthole/internal/event"
)

// binding is one row of the key table, from which the keys, the footer, the help
// and the palette are made.
type binding struct {
	keys    []string
	name    string // in the palette
	help    string
	footer  string // the short form, for bindings worth a place in the footer
	command string // sent to the source; empty for what the screen does itself
	remedy  string // what to do where nothing handles the command
	confirm string // asked before the command is sent
	do      func(*Model) tea.Cmd
	// blocked says why the key does nothing now, "" where it works. nil: always.
	blocked func(*Model) string
}

func (m *Model) bindings() []binding {
	return []binding{
		{keys: []string{"tab"}, name: "next panel", help: "focus the next panel", footer: "panel", do: func(m *Model) tea.Cmd { m.focusOn((m.focus + 1) % panels); return nil }},
		{keys: []string{"shift+tab"}, name: "previous panel", help: "focus the previous panel", do: func(m *Model) tea.Cmd { m.focusOn((m.focus + panels - 1) % panels); return nil }},
		{keys: []string{"1", "2", "3", "4", "5"}, name: "panel 1…5", help: "focus a panel by its number"},
		{keys: []string{"z"}, name: "zoom", help: "let the focused panel fill the screen, and back", footer: "zoom", do: func(m *Model) tea.Cmd { m.zoom = !m.zoom; return nil }},
		{keys: []string{"?"}, name: "help", help: "show the keys", footer: "help", do: func(m *Model) tea.Cmd { m.help = !m.help; return nil }},
		{keys: []string{":"}, name: "palette", help: "run any action by its name", footer: "actions", do: (*Model).openPalette},
		{keys: []string{"q", "ctrl+c"}, name: "quit", help: "leave; what was seen stays above the prompt", footer: "quit", do: (*Model).quit},
		{keys: []string{"esc"}, name: "back", help: "close, leave zoom, return to now", do: (*Model).back},

		{keys: []string{"left"}, name: "one second back", help: "move all panels back in time", footer: "time", do: func(m *Model) tea.Cmd { m.scrub(-1); return nil }, blocked: (*Model).noHistory},
		{keys: []string{"right"}, name: "one second on", help: "move all panels on in time", do: func(m *Model) tea.Cmd { m.scrub(1); return nil }, blocked: (*Model).noHistory},
		{keys: []string{"shift+left"}, name: "ten seconds back", help: "the same in steps of ten seconds", do: func(m *Model) tea.Cmd { m.scrub(-10); return nil }, blocked: (*Model).noHistory},
		{keys: []string{"shift+right"}, name: "ten seconds on", help: "the same in steps of ten seconds", do: func(m *Model) tea.Cmd { m.scrub(10); return nil }, blocked: (*Model).noHistory},
		{keys: []string{"["}, name: "event before", help: "jump to the event before on the time line", footer: "event", do: func(m *Model) tea.Cmd { m.jump(-1); return nil }, blocked: (*Model).noHistory},
		{keys: []string{"]"}, name: "event after", help: "jump to the event after on the time line", do: func(m *Model) tea.Cmd { m.jump(1); return nil }, blocked: (*Model).noHistory},
		{keys: []string{"0"}, name: "now", help: "return to now", do: func(m *Model) tea.Cmd { m.live(); return nil }},
		{keys: []string{"space"}, name: "play", help: "play a recording from the crosshair, and stop", do: func(m *Model) tea.Cmd { m.playing = !m.playing; return nil },
			blocked: func(m *Model) string {
				if m.cfg.Session == nil {
					return "only a recording can be played; p pauses the console"
				}
				return ""
			}},

		{keys: []string{"p"}, name: "pause console", help: "hold the console still and count what arrives", footer: "pause", do: func(m *Model) tea.Cmd { m.pause(); return nil }},
		{keys: []string{"/"}, name: "filter console", help: "search the console; the last search is kept", footer: "search", do: (*Model).openSearch},
		{keys: []string{"f"}, name: "filter or mark", help: "hide lines that do not match, or mark those that do", do: func(m *Model) tea.Cmd { m.only = !m.only; return nil },
			blocked: func(m *Model) string {
				if m.filter == "" {
					return "nothing is searched for: press / first"
				}
				return ""
			}},
		{keys: []string{"n"}, name: "match before", help: "go to the match above", do: func(m *Model) tea.Cmd { m.seek(true); return nil }, blocked: (*Model).noFilter},
		{keys: []string{"N"}, name: "match after", help: "go to the match below", do: func(m *Model) tea.Cmd { m.seek(false); return nil }, blocked: (*Model).noFilter},
		{keys: []string{"up", "k"}, name: "line up", help: "scroll the console", do: func(m *Model) tea.Cmd { m.scroll(-1); return nil }},
		{keys: []string{"down", "j"}, name: "line down", help: "scroll the console", do: func(m *Model) tea.Cmd { m.scroll(1); return nil }},
		{keys: []string{"pgup"}, name: "page up", help: "scroll the console by a page", do: func(m *Model) tea.Cmd { m.scroll(-10); return nil }},
		{keys: []string{"pgdown"}, name: "page down", help: "scroll the console by a page", do: func(m *Model) tea.Cmd { m.scroll(10); return nil }},
		{keys: []string{"end"}, name: "newest line", help: "follow the console again", do: func(m *Model) tea.Cmd { m.held = 0; return nil }},
		{keys: []string{"t"}, name: "time stamps", help: "show or hide the time of console lines", do: func(m *Model) tea.Cmd { m.stamps = !m.stamps; return nil }},
		{keys: []string{"enter"}, name: "open crashes", help: "show crashes line by line, or folded", do: func(m *Model) tea.Cmd { m.unfolded = !m.unfolded; return nil }},

		{keys: []string{"s"}, name: "save session", help: "save what is remembered as a recording", do: (*Model).save, blocked: (*Model).noSave},
		{keys: []string{"m"}, name: "mouse", help: "let the mouse focus, scroll and move through time, or select text", do: (*Model).switchMouse},

		{keys: []string{"o"}, name: "camera off", help: "cut the camera's supply", footer: "camera off", command: "camera.off", remedy: "attach to the process that drives the shutoff pin"},
		{keys: []string{"O"}, name: "camera on", help: "give the camera its supply back (asks first)", command: "camera.on", confirm: "Turn the camera on? Whoever is in front of it is seen again.", remedy: "attach to the process that drives the shutoff pin"},
		{keys: []string{"r"}, name: "reset board", help: "reset the board", footer: "reset", command: "board.reset", remedy: "give the board's port with --port, or run everything here: rig tui"},
		{keys: []string{"x"}, name: "crash board", help: "let the simulated board crash (asks first)", command: "board.panic", confirm: "Crash the application on the board?", remedy: "only a simulated board crashes on demand: rig tui"},
		{keys: []string{"F"}, name: "flash board", help: "choose firmware and write it to the board (asks first)", command: "board.flash", confirm: "Overwrite the firmware of the board?", remedy: "give the board's port with --port; or rig flash PORT FILE", do: (*Model).openPicker},
		{keys: []string{"S"}, name: "provision board", help: "write settings to the board (asks first)", command: "board.provision", confirm: "Overwrite these settings of the board?", remedy: "give the board's port with --port; or rig provision PORT", do: (*Model).openProvision},
		{keys: []string{"X"}, name: "stop work", help: "stop flashing or provisioning", command: "board.stop", confirm: "Stop the work on the board? It may be left without a program that runs.", remedy: "no work on the board is under way"},
		{keys: []string{"b"}, name: "faults", help: "begin a named fault, which is undone by itself", footer: "faults", do: (*Model).openFaults, blocked: (*Model).noFaults},
		{keys: []string{"B"}, name: "undo fault", help: "end the fault that is on", command: "fault.undo", remedy: "nothing that is attached offers faults"},
		{keys: []string{"g"}, name: "start load", help: "start viewers against the server", command: "load.start", remedy: "the public side of the server is not known: give it with --public"},
		{keys: []string{"G"}, name: "stop load", help: "stop the viewers", command: "load.stop", remedy: "no load runs in this process"},
		{keys: []string{"+"}, name: "more viewers", help: "add 50 viewers to the load run", command: "load.more", remedy: "no load runs in this process: g starts one"},
		{keys: []string{"-"}, name: "fewer viewers", help: "let the viewers go that came last", command: "load.less", remedy: "no load runs in this process: g starts one"},
		{keys: []string{"M"}, name: "public mode", help: "choose what the public sees", command: "server.mode", remedy: "this server shows the camera or the loop by itself and offers no switch", do: (*Model).openMode},
		{keys: []string{"w"}, name: "wave", help: "wave at the camera, as a visitor does", command: "server.wave", remedy: "this server has no waves"},
	}
}

// why says why a binding does nothing now, "" where it works.
func (m *Model) why(b binding) string {
	if b.blocked != nil {
		return b.blocked(m)
	}
	if b.command == "" {
		return ""
	}
	return m.whyNot(b.command, b.remedy)
}

func (m *Model) whyNot(command, remedy string) string {
	switch {
	case m.cfg.Session != nil:
		return "a recording cannot be changed"
	case m.cfg.ReadOnly:
		return "read-only: started with --read-only"
	case !slices.Contains(m.commands, command):
		if remedy == "" {
			remedy = "nothing that is attached handles " + command
		}
		return remedy
	}
	return ""
}

func (m *Model) noHistory() string {
	if len(m.hist.moments) < 2 {
		return "nothing is remembered yet"
	}
	return ""
}

func (m *Model) noFilter() string {
	if m.filter == "" {
		return "nothing is searched for: press / first"
	}
	return ""
}

// press finds what a key does and does it.
func (m *Model) press(key string) tea.Cmd {
	if len(key) == 1 && key[0] >= '1' && key[0] < '1'+byte(panels) {
		p := Panel(key[0] - '1')
		m.focusOn(p)
		return nil
	}
	for _, b := range m.keys {
		if slices.Contains(b.keys, key) {
			return m.run(b)
		}
	}
	return nil
}

// run does what a binding says, asks first, or says why not.
func (m *Model) run(b binding) tea.Cmd {
	if why := m.why(b); why != "" {
		m.say(b.name+": "+why, true)
		return nil
	}
	switch {
	case b.do != nil: // also for a command that needs to be told more
		return b.do(m)
	case b.command != "":
		return m.ask(event.Command{Name: b.command})
	}
	return nil
}
