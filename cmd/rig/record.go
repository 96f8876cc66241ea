package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"porthole/internal/cli"
	"porthole/tui"
)

// recording is a session file that is being written.
type recording struct {
	*tui.Recorder
	file   *os.File
	keep   bool   // the file was asked for; else it only serves the export
	export string // page to write at the end, "" for none
}

// recording starts what --record and --export ask for; nil for neither.
func (c *tuiCmd) recording(src tui.Source) (*recording, error) {
	if c.Record == "" && c.Export == "" {
		return nil, nil
	}
	var f *os.File
	var err error
	if c.Record != "" {
		// Nobody else needs to read what a camera saw.
		f, err = os.OpenFile(c.Record, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	} else {
		f, err = os.CreateTemp("", "rig-session-*.jsonl")
	}
	if err != nil {
		return nil, fmt.Errorf("record session: %w", err)
	}
	return &recording{tui.NewRecorder(src, f, int64(c.RecordLimit)<<20), f, c.Record != "", c.Export}, nil
}

// finish closes the file and writes the page.
func (r *recording) finish(std cli.IO) error {
	err := r.Close()
	if errors.Is(err, tui.ErrSessionFull) {
		fmt.Fprintf(std.Err, "%v: what came after is not in it\n", err)
		err = nil
	}
	if err == nil && r.export != "" {
		err = r.write(std.Out)
	}
	err = errors.Join(err, r.file.Close())
	if !r.keep {
		return errors.Join(err, os.Remove(r.file.Name()))
	}
	if err == nil {
		fmt.Fprintf(std.Out, "recorded  %s (show it again: rig tui --replay %[1]s)\n", cli.Printable(r.file.Name()))
	}
	return err
}

func (r *recording) write(out io.Writer) error {
	if _, err := r.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read session: %w", err)
	}
	s, err := tui.ReadSession(bufio.NewReader(r.file))
	if err != nil {
		return err
	}
	return exportSession(out, s, "session", r.export)
}

func readSession(path string) (*tui.Session, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("read session: %w", err), "rig tui --record FILE makes one")
	}
	defer f.Close()
	s, err := tui.ReadSession(bufio.NewReader(f))
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("%q: %w", path, err), "rig tui --record FILE makes one")
	}
	return s, nil
}

// exportSession writes a session as one page, or as a film where the file is
// named so.
func exportSession(out io.Writer, s *tui.Session, title, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("export session: %w", err)
	}
	w := bufio.NewWriter(f)
	write := s.WriteHTML
	if strings.EqualFold(filepath.Ext(path), ".svg") {
		write = s.WriteSVG
	}
	if err := errors.Join(write(w, title), w.Flush(), f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(out, "exported  %s: %d events, %v\n", cli.Printable(path), len(s.Events), s.Length().Round(1e9))
	return nil
}
