package hiltest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Fault is a failure of the test's script, not of the device: the code under
// test did something that was not foreseen. See [IsFault].
type Fault struct{ err error }

// Error implements error.
func (f Fault) Error() string { return "playback: " + f.err.Error() }

// Unwrap returns what is wrong.
func (f Fault) Unwrap() error { return f.err }

// IsFault reports whether err says that the script was not followed.
func IsFault(err error) bool {
	_, ok := errors.AsType[Fault](err)
	return ok
}

// Op is what one step of a transcript does.
type Op byte

// The steps. A transcript has one per line, its letter first:
//
//	> "text"     the host writes
//	< "text"     the board answers
//	l 1 0        the host sets DTR and RTS
//	b 921600     the host sets the speed
//	d            the host discards what has arrived
//	# text       a comment
const (
	OpWrite   Op = '>'
	OpRead    Op = '<'
	OpLines   Op = 'l'
	OpBaud    Op = 'b'
	OpDiscard Op = 'd'
)

// Step is one step of a transcript.
type Step struct {
	Op       Op
	Data     []byte // OpWrite, OpRead
	DTR, RTS bool   // OpLines
	Baud     int    // OpBaud
}

// String is the step as a line of a transcript.
func (s Step) String() string {
	switch s.Op {
	case OpWrite, OpRead:
		return fmt.Sprintf("%c %+q", s.Op, s.Data)
	case OpLines:
		return fmt.Sprintf("%c %d %d", s.Op, bit(s.DTR), bit(s.RTS))
	case OpBaud:
		return fmt.Sprintf("%c %d", s.Op, s.Baud)
	}
	return string(rune(s.Op))
}

// Script is the steps as the text of a transcript.
func Script(steps []Step) string {
	var b strings.Builder
	for _, s := range steps {
		b.WriteString(s.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// ParseScript reads a transcript.
func ParseScript(text string) ([]Step, error) {
	var steps []Step
	line := 0
	for raw := range strings.Lines(text) {
		line++
		s := strings.TrimSpace(raw)
		if s == "" || s[0] == '#' {
			continue
		}
		step, err := parseStep(s)
		if err != nil {
			return nil, fmt.Errorf("parse script: line %d: %w", line, err)
		}
		steps = append(steps, step)
	}
	return steps, nil
}

func parseStep(s string) (Step, error) {
	step := Step{Op: Op(s[0])}
	rest := strings.TrimSpace(s[1:])
	switch step.Op {
	case OpWrite, OpRead:
		data, err := strconv.Unquote(rest)
		if err != nil {
			return Step{}, fmt.Errorf("%q is no quoted text", rest)
		}
		step.Data = []byte(data)
	case OpLines:
		switch rest {
		case "0 0", "0 1", "1 0", "1 1":
			step.DTR, step.RTS = rest[0] == '1', rest[2] == '1'
		default:
			return Step{}, fmt.Errorf("lines %q: want two of 0 and 1", rest)
		}
	case OpBaud:
		n, err := strconv.Atoi(rest)
		if err != nil || n <= 0 {
			return Step{}, fmt.Errorf("%q is no speed", rest)
		}
		step.Baud = n
	case OpDiscard:
		if rest != "" {
			return Step{}, fmt.Errorf("%q after a step that takes nothing", rest)
		}
	default:
		return Step{}, fmt.Errorf("unknown step %q", s)
	}
	return step, nil
}
