package tui

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"time"
)

// page is a document without data: it draws what the script element with the id
// "session" holds, and loads nothing.
//
//go:embed session.html
var page []byte

// pagePictures is how many pictures of each kind a page holds at most; a longer
// recording is thinned out evenly.
const pagePictures = 150

type pageSession struct {
	Title  string       `json:"title"`
	Start  int64        `json:"start"` // Unix ms, of the first second
	Zone   int          `json:"zone"`  // minutes east, of the machine that exports
	Mode   []string     `json:"mode"`  // for each second
	Age    []float64    `json:"age"`   // of the newest frame in s, -1 for none
	View   []int        `json:"viewers"`
	P99    []float64    `json:"p99"` // age that viewers saw, in s
	Board  []string     `json:"board"`
	Marks  []pageMark   `json:"marks"`
	Lines  []pageLine   `json:"lines"`
	Sent   []pageImage  `json:"sent"`
	Public []pageImage  `json:"public"`
	Totals []pageTotals `json:"totals"`
}

type pageMark struct {
	At   int64  `json:"at"`
	Sign string `json:"sign"`
	Text string `json:"text"`
	Bad  bool   `json:"bad,omitempty"`
}

type pageLine struct {
	At    int64  `json:"at"`
	Text  string `json:"text"`
	Level string `json:"level,omitempty"`
}

type pageImage struct {
	At   int64  `json:"at"`
	Seq  uint64 `json:"seq"`
	JPEG []byte `json:"jpeg"`
}

type pageTotals struct {
	Accepted uint64 `json:"accepted"`
	Rejected uint64 `json:"rejected"`
	Failures uint64 `json:"failures"`
}

// WriteHTML writes the session as one page that needs nothing else: time line,
// charts, pictures and console, with a slider through time.
func (s *Session) WriteHTML(w io.Writer, title string) error {
	data, err := jsonSafe(s.page(title))
	if err != nil {
		return fmt.Errorf("export session: %w", err)
	}
	before, after, ok := bytes.Cut(page, []byte("{{session}}"))
	if !ok {
		return fmt.Errorf("export session: the page has no place for data")
	}
	for _, part := range [][]byte{before, bytes.TrimSpace(data), after} {
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("export session: %w", err)
		}
	}
	return nil
}

func (s *Session) page(title string) pageSession {
	h := s.history()
	p := pageSession{Title: clean(title)}
	if len(h.moments) > 0 {
		p.Start = h.moments[0].at.UnixMilli()
		_, east := h.moments[0].at.Zone()
		p.Zone = east / 60
	}
	for i := range h.moments {
		m := &h.moments[i]
		age := -1.0
		if !m.snap.AcceptedAt.IsZero() {
			age = max(m.end().Sub(m.snap.AcceptedAt).Seconds(), 0)
		}
		p.Mode = append(p.Mode, string(m.snap.Mode))
		p.Age = append(p.Age, age)
		p.View = append(p.View, m.snap.Load.Viewers)
		p.P99 = append(p.P99, m.snap.Load.AgeP99.Seconds())
		b := m.snap.Board
		p.Board = append(p.Board, clean(fmt.Sprintf("%s, reset %s, camera %s, %s", orDash(b.State), orDash(b.Reset), orDash(b.Camera), orDash(b.Firmware))))
		p.Totals = append(p.Totals, pageTotals{m.snap.Accepted, m.snap.Rejected, m.snap.Failures})
	}
	for _, mk := range h.marks {
		p.Marks = append(p.Marks, pageMark{mk.at.UnixMilli(), string(mk.sign), mk.text, mk.bad})
	}
	for n := h.lines.oldest(); n <= h.lines.total; n++ {
		if l, ok := h.lines.get(n); ok {
			level := ""
			if l.level != 0 {
				level = string(l.level)
			}
			p.Lines = append(p.Lines, pageLine{l.at.UnixMilli(), l.text, level})
		}
	}
	p.Sent, p.Public = thin(h.pictures[Sent]), thin(h.pictures[Public])
	return p
}

func thin(all []picture) []pageImage {
	n := min(len(all), pagePictures)
	out := make([]pageImage, 0, n)
	for i := range n {
		p := all[i*len(all)/n]
		out = append(out, pageImage{p.at.UnixMilli(), p.seq, p.jpeg})
	}
	return out
}

// Length is the time from the first to the last event.
func (s *Session) Length() time.Duration { return s.End().Sub(s.Events[0].Time) }
