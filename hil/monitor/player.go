package monitor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Player reads a recording. Its memory is bounded whatever the file claims, and
// its first error is its last.
type Player struct {
	Header Header

	r    *bufio.Reader
	line int
	last time.Duration
	err  error
}

// NewPlayer reads the head of a recording.
func NewPlayer(r io.Reader) (*Player, error) {
	p := &Player{r: bufio.NewReaderSize(r, maxRecord)}
	for _, read := range []func(string) bool{
		func(s string) bool { return s == magic },
		func(s string) bool {
			text, ok := strings.CutPrefix(s, "start ")
			start, err := time.Parse(time.RFC3339Nano, text)
			p.Header.Start = start
			return ok && err == nil && start.UTC().Format(time.RFC3339Nano) == text
		},
		func(s string) bool {
			text, ok := strings.CutPrefix(s, "port ")
			name, quoted := unquote(text)
			p.Header.Port = string(name)
			return ok && quoted
		},
	} {
		s, err := p.readLine()
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("read recording: %w", err)
		}
		if err != nil || !read(s) {
			return nil, fmt.Errorf("read recording: line %d: not a recording", p.line)
		}
	}
	return p, nil
}

// Next returns the next record. The record "end" is returned as io.EOF; a
// recording that stops before it gives io.ErrUnexpectedEOF.
func (p *Player) Next() (Record, error) {
	if p.err != nil {
		return Record{}, p.err
	}
	r, err := p.next()
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read recording: line %d: %w", p.line, err)
	}
	p.err = err
	return r, err
}

func (p *Player) next() (Record, error) {
	line, err := p.readLine()
	if errors.Is(err, io.EOF) {
		return Record{}, io.ErrUnexpectedEOF
	}
	if err != nil {
		return Record{}, err
	}
	r, err := parseRecord(line)
	if err != nil {
		return Record{}, err
	}
	if r.At < p.last {
		return Record{}, errors.New("time runs backwards")
	}
	p.last = r.At
	if r.Op == End {
		if _, err := p.r.ReadByte(); !errors.Is(err, io.EOF) {
			return Record{}, errors.New("something follows the end")
		}
		return Record{}, io.EOF
	}
	return r, nil
}

// readLine returns a line without its end.
func (p *Player) readLine() (string, error) {
	p.line++
	b, err := p.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errors.New("line is too long")
	case errors.Is(err, io.EOF) && len(b) > 0:
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", err
	}
	return string(b[:len(b)-1]), nil
}
