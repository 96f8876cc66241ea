package tui

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi/kitty"
)

// Terminals that have the graphics protocol of kitty show the picture itself. It
// is sent beside the screen under a number; on the screen stand placeholders,
// plain characters that say which cell of which picture belongs there, so that
// the screen is drawn, compared and clipped as ever (load-tui 5).
const (
	kittyID    = 0xe0 // of the first picture: a colour of the palette, which placeholders wear
	kittyWidth = 480  // pixels at most: more than a panel has
	kittyMost  = 256  // columns or rows; the protocol knows 297
	kittyChunk = 4096 // bytes of base64 in one sequence
)

// kittyCell marks a cell as a placeholder: its row and column lie below.
const kittyCell rune = 1 << 24

// placement is what a terminal has been sent: a picture and its size in cells.
type placement struct {
	of         picture
	cols, rows int
}

func (p placement) is(o placement) bool {
	return p.of.seq == o.of.seq && p.of.at.Equal(o.of.at) && p.cols == o.cols && p.rows == o.rows
}

// askKitty asks a terminal whether it has the protocol, where it is worth it.
func (m *Model) askKitty() tea.Cmd {
	switch {
	case m.cfg.Image == Kitty:
		m.kitty = true
	case m.cfg.Image == Auto && m.profile >= colorprofile.ANSI256 && !m.kittyAsked:
		m.kittyAsked = true
		return tea.Raw("\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\")
	}
	return nil
}

func (m *Model) answered(e uv.KittyGraphicsEvent) {
	if e.Options.ID == 31 && string(e.Payload) == "OK" && m.kittyAsked && m.profile >= colorprofile.ANSI256 {
		m.kitty, m.dirty = true, true
	}
}

// sendPictures sends what the screen has placeholders for and the terminal does
// not have yet.
func (m *Model) sendPictures() tea.Cmd {
	if !m.kitty {
		return nil
	}
	var cmds []tea.Cmd
	for which := range m.shown {
		s := &m.shown[which]
		want := placement{s.of, s.cols, s.rows}
		if s.img == nil || s.cols == 0 || m.placed[which].is(want) {
			continue
		}
		m.placed[which] = want
		img := s.img
		cmds = append(cmds, func() tea.Msg { return tea.RawMsg{Msg: kittyPicture(img, kittyID+which, want.cols, want.rows)} })
	}
	return tea.Batch(cmds...)
}

// kittyPicture is a picture as escape sequences: its data, and that it is shown
// by placeholders in so many columns and rows. The terminal answers nothing.
func kittyPicture(img *image.Gray, id, cols, rows int) string {
	if w := img.Bounds().Dx(); w > kittyWidth {
		h := max(img.Bounds().Dy()*kittyWidth/w, 1)
		img = &image.Gray{Pix: average(img, kittyWidth, h), Stride: kittyWidth, Rect: image.Rect(0, 0, kittyWidth, h)}
	}
	var data bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&data, img); err != nil {
		return "" // memory does not fail
	}
	rest := base64.StdEncoding.EncodeToString(data.Bytes())
	var b strings.Builder
	keys := fmt.Sprintf("a=T,U=1,q=2,f=100,i=%d,c=%d,r=%d,", id, cols, rows)
	for rest != "" {
		chunk := rest[:min(len(rest), kittyChunk)]
		rest = rest[len(chunk):]
		more := 0
		if rest != "" {
			more = 1
		}
		fmt.Fprintf(&b, "\x1b_G%sm=%d;%s\x1b\\", keys, more, chunk)
		keys = ""
	}
	return b.String()
}

// forgetPictures takes the pictures out of the terminal's memory.
func forgetPictures() string {
	return fmt.Sprintf("\x1b_Ga=d,d=I,q=2,i=%d\x1b\\\x1b_Ga=d,d=I,q=2,i=%d\x1b\\", kittyID, kittyID+1)
}

// placeholders are the cells that a picture stands in.
func placeholders(which Which, img *image.Gray, w, h int) (*thumbnail, error) {
	cols, rows, err := fit(img.Bounds(), min(w, kittyMost), min(h, kittyMost))
	if err != nil {
		return nil, err
	}
	t := &thumbnail{w: cols, h: rows, cells: make([]cell, cols*rows)}
	for i := range t.cells {
		t.cells[i] = cell{kittyCell | rune(i/cols)<<9 | rune(i%cols), style{fg: int16(1 + kittyID + int(which))}}
	}
	return t, nil
}

// writeCell writes the character of a cell.
func writeCell(b *strings.Builder, r rune) {
	if r < kittyCell {
		b.WriteRune(r)
		return
	}
	r &^= kittyCell
	b.WriteRune(kitty.Placeholder)
	b.WriteRune(kitty.Diacritic(int(r >> 9)))
	b.WriteRune(kitty.Diacritic(int(r & 0x1ff)))
}
