package console

import (
	"strconv"
	"strings"
	"time"
)

// Level gives the level of the line's kind.
func (l Line) Level() Level {
	if s := specOf(l.Kind); s != nil {
		return s.level
	}
	return Info
}

// String gives the line as a board prints it, without the end of line.
func (l Line) String() string {
	return LogLine{Level: l.Level(), At: l.At, Tag: Tag, Text: l.text()}.String()
}

// Colored gives the line with the colours a board adds by default.
func (l Line) Colored() string {
	return LogLine{Level: l.Level(), At: l.At, Tag: Tag, Text: l.text(), Color: true}.String()
}

func (l Line) text() string {
	b := append(make([]byte, 0, 128), l.Kind...)
	s := specOf(l.Kind)
	if s == nil {
		return string(b)
	}
	for _, f := range s.fields {
		b = append(b, ' ')
		b = append(b, f.name...)
		b = append(b, '=')
		switch v := f.at(&l).(type) {
		case *string:
			b = appendQuoted(b, *v)
		case *int:
			b = strconv.AppendInt(b, int64(*v), 10)
		case *hex:
			if *v > 0 {
				b = append(b, "0x"...)
				b = strconv.AppendInt(b, int64(*v), 16)
			} else {
				b = strconv.AppendInt(b, int64(*v), 10)
			}
		case *uint64:
			b = strconv.AppendUint(b, *v, 10)
		case *time.Duration:
			b = strconv.AppendInt(b, v.Milliseconds(), 10)
		}
	}
	return string(b)
}

// Parse reads an application line, with or without colours and end of line. It
// is false for every other line, and for one whose kind or whose known values
// are malformed.
func Parse(line string) (Line, bool) {
	log, ok := ParseLog(line)
	if !ok || log.Tag != Tag {
		return Line{}, false
	}
	s, rest := cutKind(log.Text)
	if s == nil {
		return Line{}, false
	}
	l := Line{At: log.At, Kind: s.kind}
	for rest != "" {
		var name, value string
		if name, value, rest, ok = cutValue(rest); !ok {
			return Line{}, false
		}
		for _, f := range s.fields {
			if f.name == name && !store(f.at(&l), value) {
				return Line{}, false
			}
		}
	}
	return l, true
}

// cutKind finds the kind whose words begin the text. No kind begins with the
// words of another.
func cutKind(text string) (*spec, string) {
	for i := range vocabulary {
		s := &vocabulary[i]
		if after, ok := strings.CutPrefix(text, string(s.kind)); ok && (after == "" || after[0] == ' ') {
			return s, after
		}
	}
	return nil, ""
}

// cutValue takes ` name=value` off the front; value keeps its quotes.
func cutValue(s string) (name, value, rest string, ok bool) {
	s, ok = strings.CutPrefix(s, " ")
	if !ok {
		return "", "", "", false
	}
	name, s, ok = strings.Cut(s, "=")
	if !ok || name == "" || strings.ContainsAny(name, ` "`) {
		return "", "", "", false
	}
	end := strings.IndexByte(s, ' ')
	if strings.HasPrefix(s, `"`) {
		// Quotes inside a string are escaped, so the next one ends it.
		end = strings.IndexByte(s[1:], '"')
		if end < 0 {
			return "", "", "", false
		}
		end += 2
	} else if end < 0 {
		end = len(s)
	}
	return name, s[:end], s[end:], true
}

func store(at any, value string) bool {
	if p, ok := at.(*string); ok {
		s, ok := unquote(value)
		*p = s
		return ok
	}
	if p, ok := at.(*uint64); ok {
		n, err := strconv.ParseUint(value, 10, 64)
		*p = n
		return err == nil
	}
	base := 10
	if _, ok := at.(*hex); ok {
		if after, ok := strings.CutPrefix(value, "0x"); ok {
			value, base = after, 16
		}
	}
	n, err := strconv.ParseInt(value, base, 64)
	if err != nil || n < -maxNumber || n > maxNumber {
		return false
	}
	switch p := at.(type) {
	case *int:
		*p = int(n)
	case *hex:
		*p = hex(n)
	case *time.Duration:
		*p = time.Duration(n) * time.Millisecond
	}
	return true
}

// maxNumber keeps milliseconds within a time.Duration.
const maxNumber = 1 << 40

func appendQuoted(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		if c := s[i]; c >= 0x20 && c <= 0x7E && c != '"' && c != '\\' {
			b = append(b, c)
		} else {
			b = append(b, '\\', 'x', digits[c>>4], digits[c&15])
		}
	}
	return append(b, '"')
}

func unquote(s string) (string, bool) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", false
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s, plain(s)
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			if !plain(s[i : i+1]) {
				return "", false
			}
			b = append(b, s[i])
			continue
		}
		if i+4 > len(s) || s[i+1] != 'x' {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+2:i+4], 16, 8)
		if err != nil {
			return "", false
		}
		b = append(b, byte(n))
		i += 3
	}
	return string(b), true
}

// plain says that a string needs no escapes.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7E || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
