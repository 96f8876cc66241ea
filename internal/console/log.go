package console

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// LogLine is a log line of ESP-IDF and its bootloader:
//
//	ESC[0;32mI (1834) wifi: connectedESC[0m
//
// The colours are optional; green, yellow and red for I, W and E. Lines printed
// before the clock runs have no time: `E BOD: Brownout detector was triggered`
// (esp32-serial 4).
type LogLine struct {
	Level   Level
	At      time.Duration // since the start, milliseconds
	Untimed bool
	Tag     string
	Text    string
	Color   bool
}

func (l LogLine) String() string {
	var b strings.Builder
	color := l.Level.color()
	if l.Color && color != "" {
		b.WriteString("\x1b[0;" + color + "m")
	}
	b.WriteByte(byte(l.Level))
	if !l.Untimed {
		fmt.Fprintf(&b, " (%d)", l.At.Milliseconds())
	}
	b.WriteString(" " + l.Tag + ": " + l.Text)
	if l.Color && color != "" {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}

func (l Level) color() string {
	switch l {
	case Error:
		return "31"
	case Warning:
		return "33"
	case Info:
		return "32"
	}
	return ""
}

func (l Level) valid() bool { return strings.IndexByte("EWIDV", byte(l)) >= 0 }

// ParseLog reads a log line, with or without colours and end of line.
func ParseLog(line string) (LogLine, bool) {
	var l LogLine
	if len(line) > MaxLine {
		return l, false
	}
	line = strings.TrimRight(line, "\r\n")
	if after, ok := strings.CutPrefix(line, "\x1b[0;"); ok {
		if len(after) < 3 || after[2] != 'm' {
			return l, false
		}
		color := after[:2]
		line, l.Color = strings.TrimSuffix(after[3:], "\x1b[0m"), true
		if len(line) == 0 || Level(line[0]).color() != color {
			return l, false
		}
	}
	if len(line) < 2 || !Level(line[0]).valid() || line[1] != ' ' {
		return LogLine{}, false
	}
	l.Level = Level(line[0])
	rest := line[2:]
	if after, ok := strings.CutPrefix(rest, "("); ok {
		ms, after, ok := strings.Cut(after, ") ")
		n, err := strconv.ParseUint(ms, 10, 32) // the tick is a u32
		if !ok || err != nil {
			return LogLine{}, false
		}
		l.At, rest = time.Duration(n)*time.Millisecond, after
	} else {
		l.Untimed = true
	}
	tag, text, ok := strings.Cut(rest, ": ")
	if !ok || tag == "" || strings.ContainsAny(tag, " \t") {
		return LogLine{}, false
	}
	l.Tag, l.Text = tag, text
	return l, true
}

// CoreLine is a log line of the Arduino core:
//
//	[  8123][E][ssl_client.cpp:37] _handle_error(): text
//
// Boards print these only when built with a debug level (esp32-wire 3.3).
type CoreLine struct {
	At    time.Duration
	Level Level
	File  string
	Row   int
	Func  string
	Text  string
}

func (l CoreLine) String() string {
	return fmt.Sprintf("[%6d][%c][%s:%d] %s(): %s", l.At.Milliseconds(), l.Level, l.File, l.Row, l.Func, l.Text)
}

// ParseCore reads a line of the Arduino core.
func ParseCore(line string) (CoreLine, bool) {
	if len(line) > MaxLine {
		return CoreLine{}, false
	}
	head, rest, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "] ")
	if !ok {
		return CoreLine{}, false
	}
	part := strings.Split(head, "][")
	if len(part) != 3 || !strings.HasPrefix(part[0], "[") || len(part[1]) != 1 || !Level(part[1][0]).valid() {
		return CoreLine{}, false
	}
	ms, err := strconv.ParseUint(strings.TrimLeft(part[0][1:], " "), 10, 32)
	if err != nil {
		return CoreLine{}, false
	}
	file, number, ok := strings.Cut(part[2], ":")
	row, err := strconv.ParseUint(number, 10, 31)
	if !ok || err != nil || file == "" {
		return CoreLine{}, false
	}
	name, text, ok := strings.Cut(rest, "(): ")
	if !ok || name == "" {
		return CoreLine{}, false
	}
	return CoreLine{
		At: time.Duration(ms) * time.Millisecond, Level: Level(part[1][0]),
		File: file, Row: int(row), Func: name, Text: text,
	}, true
}
