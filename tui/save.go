package tui

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	tea "charm.land/bubbletea/v2"

	"porthole/internal/event"
)

// keptEvents is how many events are kept to be saved.
const keptEvents = 4096

// log keeps an event to be saved. What falls out is folded into the state that
// the log begins with. The caller holds the lock.
func (h *history) log(e event.Event) {
	const spare = keptEvents / 8
	if len(h.events) >= keptEvents+spare {
		for _, old := range h.events[:spare] {
			h.base.Apply(old)
		}
		h.events = append(h.events[:0], h.events[spare:]...)
	}
	h.events = append(h.events, e)
}

// save writes what is remembered as a session, beside the work of the screen.
func (m *Model) save() tea.Cmd {
	s := &Session{Start: m.hist.base, Events: slices.Clone(m.hist.events)}
	for which, all := range m.hist.pictures {
		s.pictures[which] = slices.Clone(all)
	}
	path := filepath.Join(m.cfg.Dir, "porthole-"+m.cfg.Now().Format("20060102-150405")+".jsonl")
	return func() tea.Msg {
		const name = "save session"
		// Nobody else needs to read what a camera saw.
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return repliedMsg{name: name, err: err}
		}
		if err := errors.Join(s.write(f), f.Close()); err != nil {
			return repliedMsg{name: name, err: errors.Join(err, os.Remove(path))}
		}
		return repliedMsg{name: name, reply: event.Reply{Text: fmt.Sprintf("%d events in %s; rig tui --replay shows it", len(s.Events), path)}}
	}
}

func (m *Model) noSave() string {
	switch {
	case m.cfg.Session != nil:
		return "this is a recording already"
	case len(m.hist.events) == 0:
		return "nothing has happened yet"
	}
	return ""
}

// write writes a session file.
func (s *Session) write(w io.Writer) error {
	buffered := bufio.NewWriterSize(w, 64<<10)
	lines := json.NewEncoder(buffered)
	err := lines.Encode(sessionLine{Porthole: sessionMagic, Version: sessionVersion, Snapshot: &s.Start})
	for i := range s.Events {
		err = errors.Join(err, lines.Encode(sessionLine{Event: &s.Events[i]}))
	}
	for which, all := range s.pictures {
		for _, p := range all {
			err = errors.Join(err, lines.Encode(sessionLine{Picture: Which(which).String(), Seq: p.seq, At: p.at, JPEG: p.jpeg}))
		}
	}
	if err := errors.Join(err, buffered.Flush()); err != nil {
		return fmt.Errorf("write session: %w", err)
	}
	return nil
}
