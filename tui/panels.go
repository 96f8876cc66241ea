package tui

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"porthole/internal/event"
)

// rows writes labelled values below one another.
type rows struct {
	c *canvas
	r rect
	y int
}

const labelWidth = 11

// add writes one row; it reports whether there was room.
func (p *rows) add(label, value string, st style) bool {
	if p.y >= p.r.h {
		return false
	}
	c, y := p.c, p.r.y+p.y
	c.put(p.r.x+1, y, labelWidth-1, label, quiet)
	c.put(p.r.x+1+labelWidth, y, p.r.w-2-labelWidth, value, st)
	p.y++
	return true
}

// chart draws a labelled braille line in the rows that are left, up to h.
func (p *rows) chart(label string, h int, values []float64, format func(float64) string) {
	h = min(h, p.r.h-p.y-1)
	known := func(v float64) bool { return !math.IsNaN(v) }
	if h < 1 || len(values) < 2 || p.r.w < 24 || !slices.ContainsFunc(values, known) {
		return
	}
	y := p.r.y + p.y
	top := p.c.line(rect{p.r.x + 1, y + 1, p.r.w - 2, h}, values, accent)
	p.c.put(p.r.x+1, y, p.r.w-2, fmt.Sprintf("%s, top %s", label, format(top)), quiet)
	p.y += h + 1
}

// rateWindow is the span that rates are taken over.
const rateWindow = 10 * time.Second

// rate is the growth of a counter per second over the last ten.
func (m *Model) rate(of func(event.Snapshot) uint64) float64 {
	at := m.instant()
	now := m.state()
	before, begin := now, at
	for i := len(m.hist.moments) - 1; i >= 0; i-- {
		mo := &m.hist.moments[i]
		if mo.at.After(at) {
			continue
		}
		before, begin = mo.snap, mo.at
		if at.Sub(mo.at) >= rateWindow {
			break
		}
	}
	d := at.Sub(begin).Seconds()
	if d < 1 || of(now) < of(before) {
		return 0
	}
	return float64(of(now)-of(before)) / d
}

func (m *Model) drawServer(c *canvas, r rect) {
	s := m.state()
	p := &rows{c: c, r: r}
	if s.Mode == "" && s.Accepted == 0 && s.Rejected == 0 {
		m.absent(c, r, orElse(m.cfg.Absent[ServerPanel], "no server has said anything yet"))
		return
	}
	since := ""
	if !s.ModeSince.IsZero() {
		since = " " + words(m.instant().Sub(s.ModeSince))
	}
	if s.ModeWhy != "" && s.Mode != event.Live {
		since += ", " + clean(s.ModeWhy)
	}
	p.add("public", modeWords(s.Mode)+since, modeStyle(s.Mode))
	age, st := "none yet", normal
	if !s.AcceptedAt.IsZero() {
		age = "frame " + fmt.Sprint(s.LastAccepted.Seq) + ", " + words(m.instant().Sub(s.AcceptedAt)) + " ago"
		st = ageStyle(m, Sent, s)
		if st == quiet {
			st = normal
		}
	}
	p.add("newest", age, st)
	perSecond := m.rate(func(s event.Snapshot) uint64 { return s.Accepted })
	p.add("uploads", fmt.Sprintf("%d taken, %.1f/s, %s/s", s.Accepted, perSecond, kilobytes(perSecond*float64(s.LastAccepted.Bytes))), normal)
	if v := s.Public; v.Span > 0 {
		per := func(n uint64) float64 { return float64(n) / v.Span.Seconds() }
		p.add("viewers", fmt.Sprintf("%d, %d streaming, %d connections", v.Viewers, v.Streams, v.Connections), normal)
		answers := fmt.Sprintf("%.0f/s, %s/s", per(v.Requests), kilobytes(per(v.Bytes)))
		if v.Pictures > 0 {
			answers += fmt.Sprintf(", p99 %v", v.P99.Round(10*time.Microsecond))
			if r.w > 60 {
				answers += fmt.Sprintf(", %d %% unchanged", 100*v.Unchanged/v.Pictures)
			}
		}
		p.add("answers", answers, normal)
		if v.Refused+v.Slow > 0 {
			p.add("limits", fmt.Sprintf("%d turned away, %d too slow", v.Refused, v.Slow), warn)
		}
	}
	st = normal
	if s.Rejected > 0 || s.Failures > 0 {
		st = warn
	}
	p.add("errors", fmt.Sprintf("%d refused, %d not sent", s.Rejected, s.Failures), st)
	shown := fmt.Sprintf("%d pictures", s.Published)
	if s.Waves > 0 {
		shown += fmt.Sprintf("; %d waves", s.Waves)
	}
	p.add("shown", shown, normal)
	if c := s.Cover; c.Clips > 0 || c.Bare > 0 {
		text, st := fmt.Sprintf("%.1f days", c.Days), normal
		if c.Bare > 0 {
			text += fmt.Sprintf(", %d hours without", c.Bare)
			st = warn
		}
		p.add("cover", fmt.Sprintf("%s, %d clips, %s", text, c.Clips, kilobytes(float64(c.Bytes))), st)
	}
	if s.LastProblem != "" {
		p.add("problem", s.ProblemAt.Format("15:04:05 ")+clean(s.LastProblem), warn)
	}
	if s.Public.Span > 0 && p.y < r.h {
		c.put(r.x+1, r.y+p.y, labelWidth, "over time", quiet)
		c.spark(r.x+1+labelWidth, r.y+p.y, r.w-2-labelWidth, m.hist.series(m.now(), m.window(), func(mo *moment) float64 {
			if mo.snap.Public.Span == 0 {
				return math.NaN()
			}
			return float64(mo.snap.Public.Viewers)
		}), 0, accent)
		p.y++
	}
	p.chart("age of the newest frame", 4, m.hist.series(m.now(), m.window(), func(mo *moment) float64 {
		if mo.snap.AcceptedAt.IsZero() {
			return math.NaN()
		}
		return max(mo.end().Sub(mo.snap.AcceptedAt).Seconds(), 0)
	}), seconds)
}

func seconds(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f s", v)
	}
	return fmt.Sprintf("%.0f s", v)
}

// What the default objective of a load run asks for: no errors, and this.
const objectiveAge = 4500 * time.Millisecond

// verdict says where a load run stands against the default objective: no errors,
// and the age that viewers see. A run's own report has the last word, as its age is
// that of the whole run, and this one's of its worst second.
func verdict(l event.LoadFigure) (string, style) {
	switch {
	case l.Errors > 0:
		return fmt.Sprintf("misses the objective: %d errors", l.Errors), bad
	case l.AgeP99 >= objectiveAge:
		return fmt.Sprintf("misses the objective: age p99 %v", l.AgeP99.Round(10*time.Millisecond)), bad
	}
	return "meets the objective so far", good
}

// load is the load run up to the instant that is shown.
func (m *Model) load() event.LoadFigure {
	if m.cross.IsZero() {
		return m.hist.run
	}
	return m.hist.runAt(m.cross)
}

func (m *Model) drawLoad(c *canvas, r rect) {
	s := m.state()
	l := s.Load
	run := m.load()
	if run.Polls == 0 && l.Viewers == 0 {
		m.absent(c, r, orElse(m.cfg.Absent[LoadPanel], "no load runs"))
		return
	}
	p := &rows{c: c, r: r}
	phase := "running for " + words(l.At)
	if l.Finished {
		phase = "ended after " + words(l.At)
	}
	p.add("run", phase, normal)
	p.add("viewers", fmt.Sprintf("%d, %d polls/s, %s/s", l.Viewers, l.Polls, kilobytes(float64(l.Bytes))), normal)
	age := "— no live picture on a screen"
	if l.AgeP99 > 0 {
		age = fmt.Sprintf("p50 %v, p99 %v", l.AgeP50.Round(10*time.Millisecond), l.AgeP99.Round(10*time.Millisecond))
	}
	p.add("age", age, normal)
	p.add("answer", fmt.Sprintf("p99 %v", l.DoneP99.Round(time.Millisecond)), normal)
	st := normal
	if run.Errors+run.Skipped > 0 {
		st = warn
	}
	p.add("polls", fmt.Sprintf("%d, %d errors, %d skipped", run.Polls, run.Errors, run.Skipped), st)
	if run.Keys+run.Gaps+run.Mismatches > 0 { // of viewers who decode changes
		st := normal
		if run.Refetches+run.Gaps+run.Mismatches > 0 {
			st = warn
		}
		p.add("changes", fmt.Sprintf("%d gaps, %d keys again, %d wrong", run.Gaps, run.Refetches, run.Mismatches), st)
	}
	text, st := verdict(run)
	p.add("verdict", text, st)
	figure := func(f func(event.LoadFigure) float64) []float64 {
		return m.hist.series(m.now(), m.window(), func(mo *moment) float64 {
			if mo.run.Polls == 0 {
				return math.NaN()
			}
			return f(mo.snap.Load)
		})
	}
	if p.y < r.h {
		c.put(r.x+1, r.y+p.y, labelWidth, "viewers", quiet)
		c.spark(r.x+1+labelWidth, r.y+p.y, r.w-2-labelWidth, figure(func(l event.LoadFigure) float64 { return float64(l.Viewers) }), 0, accent)
		p.y++
	}
	p.chart("age p99", 4, figure(func(l event.LoadFigure) float64 {
		if l.AgeP99 == 0 { // recorded pictures have no age
			return math.NaN()
		}
		return l.AgeP99.Seconds()
	}), seconds)
}

func (m *Model) drawBoard(c *canvas, r rect) {
	s := m.state()
	b := s.Board
	if b == (event.BoardState{}) {
		m.absent(c, r, orElse(m.cfg.Absent[BoardPanel], "no board has said anything yet"))
		return
	}
	p := &rows{c: c, r: r}
	port := orDash(clean(b.Port))
	if b.Holder != "" {
		port += ", held by " + clean(b.Holder)
	}
	p.add("port", port, normal)
	st := normal
	if b.State == "crashed" || b.State == "gone" {
		st = bad
	}
	p.add("state", fmt.Sprintf("%s, %d starts, %d crashes", orDash(clean(b.State)), b.Starts, b.Panics), st)
	if w := s.Progress; w.Work != "" {
		text, st := progressWords(w, p.r.w-labelWidth-3)
		p.add("work", text, st)
	}
	p.add("reset", orDash(clean(b.Reset)), normal)
	p.add("firmware", orDash(clean(b.Firmware)), normal)
	st = normal
	if b.Camera == "off" {
		st = warn
	}
	p.add("camera", orDash(clean(b.Camera)), st)
	if b.Pin != "" {
		p.add("shutoff", clean(b.Pin), normal)
	}
	radio := orDash(clean(b.WiFi))
	if b.RSSI != 0 {
		radio += fmt.Sprintf(", %d dBm", b.RSSI)
	}
	p.add("wifi", radio, normal)
	memory := "—"
	if b.Heap != 0 {
		memory = fmt.Sprintf("heap %s, psram %s free", kilobytes(float64(b.Heap)), kilobytes(float64(b.PSRAM)))
	}
	p.add("memory", memory, normal)
	p.chart("heap", 3, m.hist.series(m.now(), m.window(), func(mo *moment) float64 {
		if mo.snap.Board.Heap == 0 {
			return math.NaN()
		}
		return float64(mo.snap.Board.Heap)
	}), kilobytes)
}

// progressWords says how far work is, with a bar where there is room.
func progressWords(p event.Progress, w int) (string, style) {
	what := clean(p.Work)
	switch {
	case p.Failure != "":
		return what + " failed: " + clean(p.Failure), bad
	case p.Ended:
		return what + " is done", good
	case p.Total <= 0:
		return what + ": " + clean(p.Phase), warn
	}
	done := min(max(float64(p.Done)/float64(p.Total), 0), 1)
	text := fmt.Sprintf("%.0f %% %s", 100*done, clean(p.Phase))
	if n := min(w-len(text)-3, 16); n >= 6 {
		full := int(done * float64(n))
		text = "[" + strings.Repeat("=", full) + strings.Repeat(" ", n-full) + "] " + text
	}
	if len(text)+len(what)+2 <= w {
		text += ", " + what
	}
	return text, warn
}

func orDash(s string) string { return orElse(s, "—") }

// panelLine is a panel as one row of the stack.
func (m *Model) panelLine(p Panel) (string, style) {
	s := m.state()
	switch p {
	case CameraPanel:
		what, age := m.pictureWords(Sent, s)
		if age != "" {
			what += ", " + age
		}
		return what, ageStyle(m, Sent, s)
	case ServerPanel:
		text := fmt.Sprintf("%s, %d taken, %d refused, %d not sent", modeWords(s.Mode), s.Accepted, s.Rejected, s.Failures)
		if s.Public.Span > 0 {
			text += fmt.Sprintf(", %d viewers", s.Public.Viewers)
		}
		return text, modeStyle(s.Mode)
	case LoadPanel:
		run := m.load()
		if run.Polls == 0 && s.Load.Viewers == 0 {
			return "no load runs", quiet
		}
		text, st := verdict(run)
		return fmt.Sprintf("%d viewers, %d errors, %s", s.Load.Viewers, run.Errors, text), st
	case BoardPanel:
		if w := s.Progress; w.Work != "" && !w.Ended {
			return progressWords(w, 60)
		}
		if s.Board == (event.BoardState{}) {
			return "not attached", quiet
		}
		return fmt.Sprintf("%s, reset %s, camera %s", orDash(clean(s.Board.State)), orDash(clean(s.Board.Reset)), orDash(clean(s.Board.Camera))), normal
	}
	if lines := m.hist.lines.page(m.lineView(), 1); len(lines) > 0 {
		return lines[0].text, levelStyle(lines[0])
	}
	return "no line yet", quiet
}
