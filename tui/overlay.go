package tui

import (
	"cmp"
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"porthole/internal/event"
)

// overlay is a dialog on top of the panels. It gets every key until it closes
// itself by setting the model's overlay to nil or to another one.
type overlay interface {
	key(m *Model, name, text string) tea.Cmd
	draw(m *Model, c *canvas)
}

// menu is a choice of commands.
type menu struct {
	title  string
	items  []menuItem
	choice int
}

type menuItem struct {
	label, help string
	command     event.Command
	why         string // that it cannot be chosen now
}

func (o *menu) key(m *Model, name, _ string) tea.Cmd {
	switch name {
	case "esc", "q":
		m.overlay = nil
	case "up", "k", "shift+tab":
		o.choice = max(o.choice-1, 0)
	case "down", "j", "tab":
		o.choice = min(o.choice+1, len(o.items)-1)
	case "enter", "space":
		m.overlay = nil
		it := o.items[o.choice]
		if it.why != "" {
			m.say(it.label+": "+it.why, true)
			return nil
		}
		return m.ask(it.command)
	}
	return nil
}

func (o *menu) draw(m *Model, c *canvas) {
	r := m.dialog(c, 76, len(o.items)+3)
	in := c.box(r, o.title, accent)
	rows := in.h - 1
	first := max(min(o.choice-rows/2, len(o.items)-rows), 0)
	for i := 0; i < rows && first+i < len(o.items); i++ {
		it, st, sign := o.items[first+i], normal, "  "
		if first+i == o.choice {
			st, sign = chosen, "▸ "
		}
		help := it.help
		if it.why != "" {
			help = "not now: " + it.why
		}
		c.put(in.x, in.y+i, 16, sign+it.label, st)
		c.put(in.x+17, in.y+i, in.w-17, help, quiet)
	}
	c.put(in.x, in.y+in.h-1, in.w, "enter chooses, esc closes", quiet)
}

// form asks for the arguments of a command.
type form struct {
	title   string
	command string
	intro   string
	fields  []field
	at      int
}

type field struct {
	key, label, hint string
	value            string
}

func (o *form) key(m *Model, name, text string) tea.Cmd {
	f := &o.fields[o.at]
	switch name {
	case "esc":
		m.overlay = nil
	case "up", "shift+tab":
		o.at = max(o.at-1, 0)
	case "down", "tab":
		o.at = min(o.at+1, len(o.fields)-1)
	case "backspace":
		if _, size := utf8.DecodeLastRuneInString(f.value); size > 0 {
			f.value = f.value[:len(f.value)-size]
		}
	case "ctrl+u":
		f.value = ""
	case "enter":
		if o.at < len(o.fields)-1 {
			o.at++
			return nil
		}
		m.overlay = nil
		c := event.Command{Name: o.command}
		for _, f := range o.fields {
			if v := strings.TrimSpace(f.value); v != "" {
				if c.Args == nil {
					c.Args = make(map[string]string)
				}
				c.Args[f.key] = v
			}
		}
		return m.ask(c)
	default:
		o.insert(text)
	}
	return nil
}

func (o *form) insert(s string) {
	f := &o.fields[o.at]
	if s = clean(s); utf8.RuneCountInString(f.value)+utf8.RuneCountInString(s) <= maxInput {
		f.value += s
	}
}

// formLabel is the width of the labels.
const formLabel = 12

func (o *form) draw(m *Model, c *canvas) {
	intro := wrap(o.intro, min(c.w-2, 76)-4)
	r := m.dialog(c, 76, len(intro)+len(o.fields)+5)
	in := c.box(r, o.title, accent)
	for i, l := range intro {
		c.put(in.x+1, in.y+i, in.w-2, l, quiet)
	}
	for i, f := range o.fields {
		y, sign, st := in.y+len(intro)+1+i, "  ", normal
		value := f.value
		if i == o.at {
			sign, st = "▸ ", strong
			if w := in.w - formLabel - 4; utf8.RuneCountInString(value) > w { // the end is what is being typed
				r := []rune(value)
				value = "…" + string(r[len(r)-w+1:])
			}
			value += "▏"
		}
		c.put(in.x, y, formLabel+2, sign+f.label, st)
		x := in.x + formLabel + 3
		n := c.put(x, y, in.x+in.w-x, value, st)
		if f.value == "" {
			c.put(x+n+1, y, in.x+in.w-x-n-1, f.hint, quiet)
		}
	}
	c.put(in.x, in.y+in.h-1, in.w, "tab and arrows move, enter in the last line goes on, esc closes", quiet)
}

// dialog clears the place of a dialog.
func (m *Model) dialog(c *canvas, w, h int) rect {
	w, h = min(c.w-2, w), min(c.h-2, h)
	r := rect{(c.w - w) / 2, max((c.h-h)/3, 1), w, h}
	c.fill(r, normal)
	return r
}

// ask sends a command, after a yes where its key asks for one, or says why not.
func (m *Model) ask(c event.Command) tea.Cmd {
	b := binding{name: c.Name, command: c.Name}
	for _, k := range m.keys {
		if k.command == c.Name {
			b = k
		}
	}
	if why := m.whyNot(c.Name, b.remedy); why != "" {
		m.say(cmp.Or(b.name, c.Name)+": "+why, true)
		return nil
	}
	text := cmp.Or(b.confirm, m.cfg.Confirm[c.Name])
	if text == "" {
		return m.send(c)
	}
	for _, key := range []string{"file", "at", "ssid", "server", "name", "interval", "reason"} {
		if v := c.Args[key]; v != "" {
			text += "\n" + key + ": " + v
		}
	}
	m.asking = &question{text: text, command: c}
	return nil
}

// faultWords say what faults do that are known here; others show their name.
var faultWords = map[string]string{
	"wifi": "the Wi-Fi network is gone", "network": "the board has no way to the server", "slow": "the board's uploads crawl",
	"sensor": "the camera sensor does not answer", "power": "the board has no power", "cable": "the serial cable is unplugged",
}

const faultPrefix = "fault."

// openFaults lists the faults that what is attached offers.
func (m *Model) openFaults() tea.Cmd {
	o := &menu{title: "Faults: each is undone after 30 s, B undoes it now"}
	for _, name := range m.commands {
		if label, ok := strings.CutPrefix(clean(name), faultPrefix); ok && label != "undo" {
			o.items = append(o.items, menuItem{label, faultWords[label], event.Command{Name: name}, m.whyNot(name, "")})
		}
	}
	m.overlay = o
	return nil
}

// noFaults says why there is none to begin.
func (m *Model) noFaults() string {
	for _, name := range m.commands {
		if strings.HasPrefix(name, faultPrefix) && name != "fault.undo" {
			return m.whyNot(name, "")
		}
	}
	return m.whyNot(faultPrefix, "nothing that is attached offers faults: rig sim and rig tui do")
}

// openMode chooses what the public sees.
func (m *Model) openMode() tea.Cmd {
	mode := func(label, help string) menuItem {
		return menuItem{label, help, event.Command{Name: "server.mode", Args: map[string]string{"mode": label}}, ""}
	}
	m.overlay = &menu{title: "What the public sees", items: []menuItem{
		mode("auto", "the server decides: the camera, or recordings in its place"),
		mode("live", "the camera, whenever it sends"),
		mode("replay", "recordings; what the camera sends is still recorded"),
		mode("record", "the loop; what the camera sends is recorded for later"),
		mode("dark", "recordings; nothing of the camera is shown or kept"),
	}}
	return nil
}

// openProvision asks for the settings of a board.
func (m *Model) openProvision() tea.Cmd {
	m.overlay = &form{title: "Settings of the board", command: "board.provision", intro: "What stays empty stays as it is on the board. Secrets come from a file with lines 'wifi-password = …' and 'token = …' that only you can read.", fields: []field{
		{key: "ssid", label: "Wi-Fi", hint: "name of the network"},
		{key: "server", label: "server", hint: "https://camera.example"},
		{key: "ca", label: "certificate", hint: "file with the server's root certificate"},
		{key: "secrets", label: "secrets", hint: "file"},
		{key: "interval", label: "interval", hint: "2s"},
		{key: "name", label: "name", hint: "of the board"},
	}}
	return nil
}
