package tui

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
)

// Size of the film of a session, in cells and steps. It is meant for a page that
// is read: few columns, and not much longer than somebody looks at it.
const (
	filmColumns, filmRows = 112, 40
	filmFrames            = 36
	filmStep              = 900 * time.Millisecond // that a step is shown for
)

// Size of a cell in the film, in its own units.
const cellW, cellH = 8, 17

// WriteSVG writes the session as a film: the dashboard as it was, step by step,
// as one animated SVG that needs no script, no font of its own and nothing else.
// Who prefers reduced motion sees the last step.
func (s *Session) WriteSVG(w io.Writer, title string) error {
	f := newFilm()
	at, end := s.Events[0].Time, s.End()
	step := max(end.Sub(at)/filmFrames+1, time.Second) // the last step is not before the end
	m := New(context.Background(), Config{Title: clean(title), Now: func() time.Time { return at }})
	m.w, m.h, m.profile = filmColumns, filmRows, colorprofile.ANSI256
	m.hist = newHistory(m.cfg.Now, historySpan)
	m.hist.frozen, m.hist.snap = true, s.Start
	m.hist.mu.Lock()
	defer m.hist.mu.Unlock()
	var events, pictures [2]int
	for at = at.Add(step); f.frames < filmFrames && !at.After(end.Add(step)); at = at.Add(step) {
		for ; events[0] < len(s.Events) && !s.Events[events[0]].Time.After(at); events[0]++ {
			m.hist.fold(s.Events[events[0]])
		}
		m.hist.record(at)
		for which, all := range s.pictures {
			for ; pictures[which] < len(all) && !all[pictures[which]].at.After(at); pictures[which]++ {
				m.hist.keep(Which(which), all[pictures[which]])
			}
			if p, ok := m.hist.pictureAt(Which(which), at); ok && (m.shown[which].img == nil || m.shown[which].of.seq != p.seq) {
				img, err := decode(p.jpeg)
				m.shown[which] = shownPicture{of: p, img: img, err: err}
			}
		}
		f.add(m.paint())
	}
	out := bufio.NewWriter(w)
	f.write(out, title)
	if err := out.Flush(); err != nil {
		return fmt.Errorf("export session: %w", err)
	}
	return nil
}

// film collects what stands where in which frames. A piece of a row that comes
// again, also in another row, is written once.
type film struct {
	frames int
	shown  map[placed][]bool // for each frame
	order  []placed
	uses   map[string]int
	ids    map[string]string
}

// placed is a piece of SVG in a row.
type placed struct {
	svg string
	row int
}

func newFilm() *film {
	return &film{shown: make(map[placed][]bool), uses: make(map[string]int), ids: make(map[string]string)}
}

func (f *film) put(svg string, row int) {
	p := placed{svg, row}
	if _, ok := f.shown[p]; !ok {
		f.order = append(f.order, p)
		f.uses[svg]++
	}
	for len(f.shown[p]) < f.frames {
		f.shown[p] = append(f.shown[p], false)
	}
	f.shown[p] = append(f.shown[p], true)
}

// add takes one screen in.
func (f *film) add(c *canvas) {
	f.picture(c)
	for y := range c.h {
		row := c.cells[y*c.w : (y+1)*c.w]
		f.lines(row, y)
		for x := 0; x < len(row); {
			n := pieceLength(row[x:])
			if n == 0 {
				x++
				continue
			}
			f.put(piece(row[x:x+n], x), y)
			x += n
		}
	}
	f.frames++
}

// pieceLength is how many cells from here on belong together: up to a border, a
// picture or a gap of two.
func pieceLength(row []cell) int {
	blank := func(i int) bool {
		return i >= len(row) || row[i].r == ' ' && row[i].st.attr&reverse == 0 && row[i].st.bg == 0
	}
	ends := func(i int) bool { return i >= len(row) || row[i].r == '▀' || isDrawn(row[i].r) }
	if blank(0) || ends(0) {
		return 0
	}
	n := 1
	for !ends(n) && !(blank(n) && (blank(n+1) || ends(n+1))) {
		n++
	}
	return n
}

// ink is a colour of the film.
func ink(n int16) string {
	names := [...]string{"#3b4252", "#ef6b73", "#8cc97a", "#e5c07b", "#7aa2e8", "#c792d8", "#4fc3d0", "#c8ccd4",
		"#5c6370", "#ff8b92", "#a5e094", "#ffd88a", "#9dbcff", "#e0aef0", "#7fe0ea", "#ffffff"}
	switch {
	case n <= 0:
		return ""
	case int(n) <= len(names):
		return names[n-1]
	}
	v := 8 + 10*(int(n)-1-232)
	return fmt.Sprintf("#%02x%02x%02x", v, v, v)
}

// look gives the attributes of a style.
func look(st style) string {
	var b strings.Builder
	if c := ink(st.fg); c != "" {
		fmt.Fprintf(&b, ` fill="%s"`, c)
	}
	if st.attr&bold != 0 {
		b.WriteString(` class="b"`)
	}
	if st.attr&faint != 0 {
		b.WriteString(` opacity=".6"`)
	}
	if st.attr&reverse != 0 {
		b.WriteString(` fill="#16181d"`)
	}
	return b.String()
}

// piece is text: one element for each style, its length fixed so that any font
// keeps to the cells.
func piece(row []cell, x int) string {
	var b strings.Builder
	for i := 0; i < len(row); {
		n := i
		var text strings.Builder
		for n < len(row) && row[n].st == row[i].st {
			if row[n].r != 0 {
				text.WriteRune(row[n].r)
			}
			n++
		}
		left, width := (x+i)*cellW, (n-i)*cellW
		if row[i].st.attr&reverse != 0 {
			fmt.Fprintf(&b, `<rect x="%d" width="%d" height="%d" fill="#d8dee9"/>`, left, width, cellH)
		}
		if s := text.String(); strings.TrimSpace(s) != "" {
			length := ""
			if ansi.StringWidth(s) > 1 {
				length = fmt.Sprintf(` textLength="%d"`, width)
			}
			fmt.Fprintf(&b, `<text x="%d" y="13"%s%s>`, left, length, look(row[i].st))
			_ = xml.EscapeText(&b, []byte(s))
			b.WriteString("</text>")
		}
		i = n
	}
	return b.String()
}

// lines draws what is no letter as shapes, which need no font: borders, the time
// line, bars and the dots of charts.
func (f *film) lines(row []cell, y int) {
	type shape struct {
		d    strings.Builder
		st   style
		fill bool
	}
	var shapes []*shape
	for x, c := range row {
		d, fill := outline(c.r, x*cellW)
		if d == "" {
			continue
		}
		i := slices.IndexFunc(shapes, func(s *shape) bool { return s.st == c.st && s.fill == fill })
		if i < 0 {
			shapes = append(shapes, &shape{st: c.st, fill: fill})
			i = len(shapes) - 1
		}
		shapes[i].d.WriteString(d)
	}
	for _, s := range shapes {
		color := ink(s.st.fg)
		if color == "" {
			color = "#d8dee9"
		}
		if s.st.attr&faint != 0 {
			color += `" opacity=".5`
		}
		if s.fill {
			f.put(fmt.Sprintf(`<path fill="%s" d="%s"/>`, color, s.d.String()), y)
		} else {
			f.put(fmt.Sprintf(`<path class="l" stroke="%s" d="%s"/>`, color, s.d.String()), y)
		}
	}
}

// isDrawn reports whether a character is drawn as a shape.
func isDrawn(r rune) bool {
	d, _ := outline(r, 0)
	return d != ""
}

// outline is the shape of a character in its cell, filled or as a line.
func outline(r rune, x int) (d string, fill bool) {
	const mx, my = cellW / 2, cellH / 2
	switch r {
	case '─':
		return fmt.Sprintf("M%d %dh%d", x, my, cellW), false
	case '│':
		return fmt.Sprintf("M%d 0v%d", x+mx, cellH), false
	case '╭':
		return fmt.Sprintf("M%d %dv-5q0-4 4-4", x+mx, cellH), false
	case '╮':
		return fmt.Sprintf("M%d %dq4 0 4 4v5", x, my), false
	case '╰':
		return fmt.Sprintf("M%d 0v4q0 4 4 4", x+mx), false
	case '╯':
		return fmt.Sprintf("M%d 0v4q0 4-4 4", x+mx), false
	case '━':
		return fmt.Sprintf("M%d 7h%dv3h-%dz", x, cellW, cellW), true
	case '╌':
		return fmt.Sprintf("M%d 8h3v2h-3zm4 0h3v2h-3z", x), true
	case '┃':
		return fmt.Sprintf("M%d 0h3v%dh-3z", x+2, cellH), true
	}
	if i := strings.IndexRune(bars, r); r != ' ' && i > 0 {
		h := cellH * (strings.Count(bars[:i], "") - 1) / 8
		return fmt.Sprintf("M%d %dh%dv%dh-%dz", x, cellH-h, cellW, h, cellW), true
	}
	if r < 0x2800 || r > 0x28ff {
		return "", false
	}
	var b strings.Builder
	for col := range 2 {
		for level := range 4 {
			if (r-0x2800)&brailleDots[col][level] != 0 {
				fmt.Fprintf(&b, "M%d %dh2v2h-2z", x+1+4*col, cellH-3-4*level)
			}
		}
	}
	return b.String(), true
}

// picture puts the half blocks of a screen as one small image.
func (f *film) picture(c *canvas) {
	var area image.Rectangle
	for i, cl := range c.cells {
		if cl.r == '▀' {
			area = area.Union(image.Rect(i%c.w, i/c.w, i%c.w+1, i/c.w+1))
		}
	}
	if area.Empty() {
		return
	}
	palette := color.Palette{color.Transparent}
	for v := range 24 {
		palette = append(palette, color.Gray{uint8(8 + 10*v)})
	}
	img := image.NewPaletted(image.Rect(0, 0, area.Dx(), area.Dy()*2), palette)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			cl := c.cells[y*c.w+x]
			if cl.r != '▀' {
				continue
			}
			for half, n := range [2]int16{cl.st.fg, cl.st.bg} {
				img.SetColorIndex(x-area.Min.X, 2*(y-area.Min.Y)+half, uint8(min(max(int(n)-1-232, 0), 23)+1))
			}
		}
	}
	var data bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	if err := enc.Encode(&data, img); err != nil {
		return // memory does not fail
	}
	f.put(fmt.Sprintf(`<image x="%d" width="%d" height="%d" preserveAspectRatio="none" href="data:image/png;base64,%s"/>`,
		area.Min.X*cellW, area.Dx()*cellW, area.Dy()*cellH, base64.StdEncoding.EncodeToString(data.Bytes())), area.Min.Y)
}

// write writes the film. What is shown in the same frames is one group with one
// animation.
func (f *film) write(w *bufio.Writer, title string) {
	width, height := filmColumns*cellW, filmRows*cellH
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 -12 %d %d" role="img" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="13" fill="#d8dee9" xml:space="preserve"><title>`, width+24, height+24)
	_ = xml.EscapeText(w, []byte(title))
	fmt.Fprintf(w, "</title>\n<rect x=\"-12\" y=\"-12\" width=\"%d\" height=\"%d\" rx=\"10\" fill=\"#16181d\"/>\n", width+24, height+24)
	groups := make(map[string][]placed)
	var keys []string
	for _, p := range f.order {
		key := pattern(f.shown[p], f.frames)
		if groups[key] == nil {
			keys = append(keys, key)
		}
		groups[key] = append(groups[key], p)
	}
	total := time.Duration(f.frames) * filmStep
	fmt.Fprintf(w, "<style>text{white-space:pre}.b{font-weight:bold}.l{fill:none}image{image-rendering:pixelated}.h{visibility:hidden}")
	for i, key := range keys {
		if strings.Contains(key, "0") {
			fmt.Fprintf(w, "\n#g%d{animation:k%d %.1fs step-end infinite}@keyframes k%d{%s}", i, i, total.Seconds(), i, keyframes(key))
		}
	}
	fmt.Fprint(w, "\n@media(prefers-reduced-motion:reduce){g{animation:none!important}}</style>\n<defs>")
	for _, p := range f.order {
		if f.uses[p.svg] > 1 && f.ids[p.svg] == "" {
			f.ids[p.svg] = fmt.Sprintf("s%d", len(f.ids))
			fmt.Fprintf(w, "<g id=\"%s\">%s</g>\n", f.ids[p.svg], p.svg)
		}
	}
	fmt.Fprint(w, "</defs>\n")
	for i, key := range keys {
		class := ""
		if !strings.HasSuffix(key, "1") {
			class = ` class="h"` // without animation the last frame stands
		}
		fmt.Fprintf(w, "<g id=\"g%d\"%s>\n", i, class)
		for _, p := range groups[key] {
			if id := f.ids[p.svg]; id != "" {
				fmt.Fprintf(w, "<use href=\"#%s\" y=\"%d\"/>\n", id, p.row*cellH)
			} else {
				fmt.Fprintf(w, "<g transform=\"translate(0 %d)\">%s</g>\n", p.row*cellH, p.svg)
			}
		}
		fmt.Fprint(w, "</g>\n")
	}
	fmt.Fprint(w, "</svg>\n")
}

// pattern is a 0 or 1 for each frame.
func pattern(shown []bool, frames int) string {
	b := bytes.Repeat([]byte("0"), frames)
	for i, on := range shown {
		if on {
			b[i] = '1'
		}
	}
	return string(b)
}

// keyframes are the changes of a pattern.
func keyframes(pattern string) string {
	var b strings.Builder
	for i := range pattern {
		if i > 0 && pattern[i] == pattern[i-1] {
			continue
		}
		state := "hidden"
		if pattern[i] == '1' {
			state = "visible"
		}
		fmt.Fprintf(&b, "%.4g%%{visibility:%s}", 100*float64(i)/float64(len(pattern)), state)
	}
	return b.String()
}
