package monitor

import (
	"fmt"

	"porthole/hil/backtrace"
	"porthole/internal/event"
)

// line handles one line of the console.
func (m *monitor) line(l Line) error {
	m.stats.Lines++
	if m.crashes.cutBy(l.Text) {
		if err := m.crashed(m.crashes.end()); err != nil {
			return err
		}
	}
	if err := m.emit(Item{At: l.At, Line: &l}); err != nil {
		return err
	}
	if err := m.crashed(m.crashes.line(l.Text)); err != nil {
		return err
	}
	if isBanner(l.Text) {
		m.stats.Resets++
	}
	if loop, ok := m.resets.see(l.At, l.Text); ok {
		if err := m.emit(Item{At: l.At, Loop: &loop}); err != nil {
			return err
		}
	}
	if err := m.digest(l); err != nil {
		return err
	}
	if m.cfg.Until != nil && m.cfg.Until.MatchString(l.Text) {
		return errSeen
	}
	return nil
}

// crashed decodes a crash of which all lines are there.
func (m *monitor) crashed(lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	c, ok := backtrace.ParseCrash(lines)
	if !ok {
		return nil
	}
	m.stats.Crashes++
	return m.emit(Item{At: m.split.at, Crash: &Crash{Trace: m.cfg.Program.Decode(c), Decoded: m.cfg.Program != nil}})
}

// digest tells once that the board runs another program than the ELF file's: its
// start says so, long before a crash does.
func (m *monitor) digest(l Line) error {
	if m.cfg.Program == nil {
		return nil
	}
	prefix, ok := backtrace.DigestIn(l.Text)
	if !ok || prefix == m.told {
		return nil
	}
	err := m.cfg.Program.Check(prefix)
	if err == nil {
		return nil
	}
	m.told = prefix
	return m.emit(Item{At: l.At, Note: &Note{Text: err.Error()}})
}

// publish makes an event of an item.
func (m *monitor) publish(i Item) {
	if m.cfg.Events == nil {
		return
	}
	e := event.Event{Time: i.At, Source: event.Board, Kind: event.Note, Name: m.cfg.Name}
	switch {
	case i.Line != nil:
		e.Kind, e.Text = event.Console, i.Line.Text
	case i.Crash != nil:
		e.Text = i.Crash.Trace.String()
	case i.Loop != nil:
		e.Text = fmt.Sprintf("%v; %s", *i.Loop, i.Loop.Advice())
	case i.Note != nil:
		e.Source, e.Text = event.Bench, i.Note.Text
	}
	m.cfg.Events.Publish(e)
}
