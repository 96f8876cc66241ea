package tui

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"porthole/internal/event"
)

// Sizes at which the layout changes.
const (
	leastWidth, leastHeight = 40, 12 // below: one line
	stackedBelow            = 100    // columns
	threeColumns            = 160
)

// right writes s so that it ends at the right edge of w cells.
func (c *canvas) right(x, y, w int, s string, st style) {
	n := ansi.StringWidth(s)
	if n > w {
		c.put(x, y, w, s, st)
		return
	}
	c.put(x+w-n, y, n, s, st)
}

// draw gives the content of the screen.
func (m *Model) draw() string { return m.paint().String() }

// paint draws the screen.
func (m *Model) paint() *canvas {
	c := newCanvas(m.w, m.h)
	if m.w < leastWidth || m.h < leastHeight {
		c.put(0, 0, m.w, m.oneLine(), normal)
		return c
	}
	m.drawTitle(c)
	body := rect{0, 1, m.w, m.h - 4}
	m.areas = [panels]rect{}
	switch {
	case m.zoom:
		m.drawPanel(c, m.focus, body)
	case m.w < stackedBelow:
		m.drawStack(c, body)
	case m.w < threeColumns:
		m.drawColumns(c, body)
	default:
		m.drawThree(c, body)
	}
	m.drawTimeline(c, rect{0, m.h - 3, m.w, 2})
	m.drawFooter(c, m.h-1)
	switch {
	case m.help:
		m.drawHelp(c)
	case m.input != nil && m.input.palette:
		m.drawPalette(c)
	case m.asking != nil:
		m.drawQuestion(c)
	case m.overlay != nil:
		m.overlay.draw(m, c)
	}
	return c
}

// oneLine is the whole screen where there is no room for more.
func (m *Model) oneLine() string {
	s := m.state()
	text := modeWords(s.Mode)
	if !s.AcceptedAt.IsZero() {
		text += " · last frame " + words(m.instant().Sub(s.AcceptedAt)) + " ago"
	}
	if s.Board.State != "" {
		text += " · board " + clean(s.Board.State)
	}
	return text
}

func modeWords(mode event.Mode) string {
	switch mode {
	case event.Live:
		return "LIVE"
	case event.Loop:
		return "LOOP"
	case event.Replay:
		return "REPLAY"
	case event.Waiting:
		return "WAITING"
	}
	return "UNKNOWN"
}

func modeStyle(mode event.Mode) style {
	_, st := modeSign(mode)
	st.attr = bold
	return st
}

// showsCamera reports whether the pictures are on the screen.
func (m *Model) showsCamera() bool {
	switch {
	case m.cfg.Image == NoImg, m.w < leastWidth, m.h < leastHeight:
		return false
	case m.zoom, m.w < stackedBelow:
		return m.focus == CameraPanel
	}
	return true
}

// drawTitle draws the first row: what it is attached to, what the public sees,
// and what the dashboard itself lost.
func (m *Model) drawTitle(c *canvas) {
	s := m.state()
	x := c.put(0, 0, c.w, "porthole", strong) + 1
	if m.cfg.Title != "" {
		x += c.put(x, 0, max(c.w/2-x, 0), clean(m.cfg.Title), quiet) + 1
	}
	x += c.put(x+1, 0, c.w-x-1, "public: "+modeWords(s.Mode), modeStyle(s.Mode)) + 2
	var notes []string
	if f := s.Fault; f.Name != "" {
		text := "FAULT " + clean(f.Name)
		if left := f.Until.Sub(m.instant()); left > 0 {
			text += ", undone in " + words(left+time.Second-1)
		}
		notes = append(notes, text)
	}
	if m.hist.dropped > 0 {
		notes = append(notes, fmt.Sprintf("%d events lost", m.hist.dropped))
	}
	if m.hist.skew != 0 {
		notes = append(notes, "its clock differs by "+words(m.hist.skew.Abs()))
	}
	if m.cfg.ReadOnly {
		notes = append(notes, "read-only")
	}
	switch {
	case m.cfg.Session != nil && m.playing:
		notes = append(notes, "RECORDING, playing")
	case m.cfg.Session != nil:
		notes = append(notes, "RECORDING")
	case m.hist.ended:
		notes = append(notes, "NO CONNECTION")
	case !m.cross.IsZero():
		notes = append(notes, "PAST: "+words(m.now().Sub(m.cross))+" ago")
	}
	if len(notes) > 0 {
		c.right(x, 0, c.w-x, strings.Join(notes, " · "), warn)
	}
}

// drawStack gives the focused panel the room and each other one a line.
func (m *Model) drawStack(c *canvas, r rect) {
	open := r.h - int(panels) + 1
	y := r.y
	for p := range panels {
		if p == m.focus {
			m.drawPanel(c, p, rect{r.x, y, r.w, open})
			y += open
			continue
		}
		m.areas[p] = rect{r.x, y, r.w, 1}
		n := c.put(r.x, y, r.w, fmt.Sprintf("  %d %-8s", p+1, p), quiet)
		text, st := m.panelLine(p)
		c.put(r.x+n, y, r.w-n, text, st)
		y++
	}
}

// drawColumns: the picture above the console, figures at the right.
func (m *Model) drawColumns(c *canvas, r rect) {
	left := r.w * 3 / 5
	top := r.h * 11 / 20
	m.drawPanel(c, CameraPanel, rect{r.x, r.y, left, top})
	m.drawPanel(c, ConsolePanel, rect{r.x, r.y + top, left, r.h - top})
	m.drawFigures(c, rect{r.x + left, r.y, r.w - left, r.h})
}

// drawThree: picture, figures, console side by side.
func (m *Model) drawThree(c *canvas, r rect) {
	left, middle := r.w*2/5, 52
	m.drawPanel(c, CameraPanel, rect{r.x, r.y, left, r.h})
	m.drawFigures(c, rect{r.x + left, r.y, middle, r.h})
	m.drawPanel(c, ConsolePanel, rect{r.x + left + middle, r.y, r.w - left - middle, r.h})
}

func (m *Model) drawFigures(c *canvas, r rect) {
	server, board := r.h*2/5, max(r.h/4, 8)
	m.drawPanel(c, ServerPanel, rect{r.x, r.y, r.w, server})
	m.drawPanel(c, LoadPanel, rect{r.x, r.y + server, r.w, r.h - server - board})
	m.drawPanel(c, BoardPanel, rect{r.x, r.y + r.h - board, r.w, board})
}

// drawPanel draws one panel with its frame.
func (m *Model) drawPanel(c *canvas, p Panel, r rect) {
	m.areas[p] = r
	title, st := fmt.Sprintf("%d %s", p+1, p), quiet
	if p == m.focus {
		title, st = "▸ "+title, accent
	}
	in := c.box(r, title, st)
	if in.w < 1 || in.h < 1 {
		return
	}
	switch p {
	case CameraPanel:
		m.drawCamera(c, in)
	case ServerPanel:
		m.drawServer(c, in)
	case LoadPanel:
		m.drawLoad(c, in)
	case BoardPanel:
		m.drawBoard(c, in)
	case ConsolePanel:
		m.drawConsole(c, in, r)
	}
}

// drawFooter draws what is typed, the last message, or the keys.
func (m *Model) drawFooter(c *canvas, y int) {
	if m.input != nil && !m.input.palette {
		how := "hides other lines, f marks instead"
		if !m.only {
			how = "marks lines, f hides the others"
		}
		n := c.put(0, y, c.w, "/"+m.input.text+"▏", strong)
		c.right(n+1, y, c.w-n-1, how+" · enter keeps, esc closes", quiet)
		return
	}
	if m.message != "" {
		st, sign := good, "✓ "
		if m.isError {
			st, sign = bad, "! "
		}
		c.put(0, y, c.w, sign+m.message, st)
		return
	}
	x := 0
	for _, b := range m.keys {
		if b.footer == "" {
			continue
		}
		if x+len(b.keys[0])+len(b.footer)+4 > c.w {
			break
		}
		st := normal
		if m.why(b) != "" {
			st = quiet
		}
		x += c.put(x, y, c.w-x, shortKey(b.keys[0]), keyName) + 1
		x += c.put(x, y, c.w-x, b.footer, st) + 2
	}
}

func shortKey(k string) string {
	switch k {
	case "left":
		return "←→"
	case "[":
		return "[ ]"
	}
	return k
}

// drawHelp draws the key table over the panels.
func (m *Model) drawHelp(c *canvas) {
	w := min(c.w-2, 100)
	h := min(c.h-2, len(m.keys)+2)
	r := rect{(c.w - w) / 2, 1, w, h}
	c.fill(r, normal)
	title := "Keys: any key closes"
	if len(m.keys) > h-2 {
		title = "Keys: down shows more, any other key closes"
	}
	in := c.box(r, title, accent)
	m.helpTop = min(m.helpTop, max(len(m.keys)-in.h, 0))
	for i := 0; i < in.h && m.helpTop+i < len(m.keys); i++ {
		b := m.keys[m.helpTop+i]
		c.put(in.x+1, in.y+i, 13, strings.Join(b.keys, " "), keyName)
		if why := m.why(b); why != "" {
			n := c.put(in.x+15, in.y+i, in.w-15, b.name, quiet)
			c.put(in.x+15+n, in.y+i, in.w-15-n, " — not now: "+why, warn)
		} else {
			c.put(in.x+15, in.y+i, in.w-15, b.help, normal)
		}
	}
}

func (m *Model) drawQuestion(c *canvas) {
	w := min(c.w-2, 70)
	lines := wrap(m.asking.text, w-4)
	r := rect{(c.w - w) / 2, max(c.h/2-3, 0), w, len(lines) + 4}
	c.fill(r, normal)
	in := c.box(r, "Sure?", warn)
	for i, l := range lines {
		c.put(in.x+1, in.y+i, in.w-1, l, strong)
	}
	c.put(in.x+1, in.y+in.h-1, in.w-1, "y does it, any other key does not", quiet)
}

// wrap breaks a text into lines of at most w cells at its spaces.
func wrap(s string, w int) []string {
	return strings.Split(ansi.Wrap(s, max(w, 1), ""), "\n")
}
