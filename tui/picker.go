package tui

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// maxEntries bounds how much of a folder is listed.
const maxEntries = 2000

// picker chooses a firmware file from the folders of this machine.
type picker struct {
	dir     string
	all     []entry
	more    bool // the folder has more than is listed
	err     error
	typed   string // narrows the list
	choice  int
	loading bool
}

type entry struct {
	name string
	size int64
	dir  bool
}

// listedMsg is a folder that was read.
type listedMsg struct {
	dir  string
	all  []entry
	more bool
	err  error
}

func (m *Model) openPicker() tea.Cmd {
	o := &picker{dir: cmp.Or(m.lastDir, m.cfg.Dir, ".")}
	m.overlay = o
	return o.list()
}

// list reads the folder, outside of Update.
func (o *picker) list() tea.Cmd {
	o.loading, o.typed, o.choice = true, "", 0
	dir := o.dir
	return func() tea.Msg {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return listedMsg{dir: dir, err: err}
		}
		f, err := os.Open(abs)
		if err != nil {
			return listedMsg{dir: abs, err: err}
		}
		defer f.Close()
		read, err := f.ReadDir(maxEntries)
		if len(read) > 0 {
			err = nil // an end of the folder, or a part of it
		}
		msg := listedMsg{dir: abs, more: len(read) == maxEntries}
		if err != nil && err.Error() != "EOF" {
			msg.err = err
		}
		for _, e := range read {
			info, err := os.Stat(filepath.Join(abs, e.Name())) // what a link leads to counts
			if err != nil || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			if info.IsDir() || info.Mode().IsRegular() && isImage(e.Name()) {
				msg.all = append(msg.all, entry{e.Name(), info.Size(), info.IsDir()})
			}
		}
		slices.SortFunc(msg.all, func(a, b entry) int {
			if a.dir != b.dir {
				if a.dir {
					return -1
				}
				return 1
			}
			return cmp.Compare(a.name, b.name)
		})
		return msg
	}
}

func isImage(name string) bool { return strings.EqualFold(filepath.Ext(name), ".bin") }

// shown are the entries that match what was typed, the way up first.
func (o *picker) shown() []entry {
	out := []entry{{name: "..", dir: true}}
	for _, e := range o.all {
		if strings.Contains(strings.ToLower(e.name), strings.ToLower(o.typed)) {
			out = append(out, e)
		}
	}
	if o.typed != "" {
		out = out[1:]
	}
	return out
}

func (o *picker) took(msg listedMsg) {
	o.dir, o.all, o.more, o.err, o.loading = msg.dir, msg.all, msg.more, msg.err, false
}

func (o *picker) key(m *Model, name, text string) tea.Cmd {
	all := o.shown()
	switch name {
	case "esc":
		m.overlay = nil
	case "up", "shift+tab":
		o.choice = max(o.choice-1, 0)
	case "down", "tab":
		o.choice = max(min(o.choice+1, len(all)-1), 0)
	case "pgup":
		o.choice = max(o.choice-10, 0)
	case "pgdown":
		o.choice = max(min(o.choice+10, len(all)-1), 0)
	case "left":
		o.dir = filepath.Dir(o.dir)
		return o.list()
	case "backspace":
		if _, size := utf8.DecodeLastRuneInString(o.typed); size > 0 {
			o.typed, o.choice = o.typed[:len(o.typed)-size], 0
		}
	case "enter", "right":
		if o.choice >= len(all) {
			return nil
		}
		e := all[o.choice]
		path := filepath.Join(o.dir, e.name)
		if e.dir {
			o.dir = path
			return o.list()
		}
		m.lastDir = o.dir
		m.overlay = &form{title: "Flash " + clean(e.name), command: "board.flash", intro: "A merged image and an application know their place; for others say where they go. Only what differs is written, and compared afterwards.", fields: []field{
			{key: "file", label: "file", value: path},
			{key: "at", label: "place", hint: "empty: by itself; or 0x10000, app0, 0x1000, …"},
		}, at: 1}
	default:
		if text = clean(text); utf8.RuneCountInString(o.typed)+utf8.RuneCountInString(text) <= maxInput {
			o.typed += text
			o.choice = 0
		}
	}
	return nil
}

func (o *picker) draw(m *Model, c *canvas) {
	r := m.dialog(c, 76, 18)
	in := c.box(r, "Which firmware? "+clean(o.dir), accent)
	all := o.shown()
	rows := in.h - 2
	switch {
	case o.loading:
		c.put(in.x+1, in.y, in.w-2, "reading …", quiet)
	case o.err != nil:
		c.put(in.x+1, in.y, in.w-2, clean(o.err.Error()), bad)
	case len(o.all) == 0 || len(all) == 0:
		c.put(in.x+1, in.y+1, in.w-2, "no folder and no .bin file here", quiet)
	}
	first := max(min(o.choice-rows/2, len(all)-rows), 0)
	for i := 0; i < rows && first+i < len(all) && !o.loading; i++ {
		e, st, sign := all[first+i], normal, "  "
		if first+i == o.choice {
			st, sign = chosen, "▸ "
		}
		size := fmt.Sprintf("%d kB", (e.size+999)/1000)
		if e.dir {
			size = "folder"
		}
		c.put(in.x, in.y+i, in.w-14, sign+clean(e.name), st)
		c.right(in.x, in.y+i, in.w-1, size, quiet)
	}
	if o.more {
		c.put(in.x, in.y+in.h-2, in.w, fmt.Sprintf("  only %d entries are listed", maxEntries), warn)
	}
	typed := "type to search, enter opens, left goes up, esc closes"
	if o.typed != "" {
		typed = "search: " + o.typed + "▏"
	}
	c.put(in.x, in.y+in.h-1, in.w, typed, quiet)
}
