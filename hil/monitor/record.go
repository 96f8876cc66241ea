package monitor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A recording is a text file, one record a line, that a person can read and a
// program replays byte for byte and instant for instant:
//
//	porthole recording 1
//	start 2026-11-24T12:00:00.000000000Z
//	port "usb:10C4:EA60"
//	0 baud 115200
//	1204775 < "ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWER"
//	1391006 < "ON_RESET)\r\n"
//	90021004 lines dtr=0 rts=1
//	90121519 > "status\r\n"
//	95000000 gone "input/output error"
//	97120000 back
//	98000000 lost 4096
//	99000000 end
//
// The number is nanoseconds since the start, by the monotonic clock, never less
// than in the line before. Data is in double quotes with \r \n \t \" \\ and \xNN
// for every other byte outside 0x20..0x7E; one record holds at most MaxData
// bytes. There is one way to write a record and the reader accepts no other.
// A recording without "end" was cut off: its writer died.
const magic = "porthole recording 1"

// MaxData is the most bytes that one record holds.
const MaxData = 64 << 10

// maxRecord is the longest line: all bytes as \xNN, the quotes, and a number.
const maxRecord = 4*MaxData + 64

// Op says what happened.
type Op string

// The kinds of record.
const (
	Received Op = "<"     // bytes from the board, in Data
	Sent     Op = ">"     // bytes to the board, in Data
	Baud     Op = "baud"  // a new speed, in Baud
	Lines    Op = "lines" // DTR and RTS were set; true is asserted
	Gone     Op = "gone"  // the port vanished; Data says why
	Back     Op = "back"  // and is there again
	Lost     Op = "lost"  // Count bytes from the board were not kept
	End      Op = "end"   // the recording is complete
)

// Record is one line of a recording. Fields that do not belong to its Op are
// zero.
type Record struct {
	At       time.Duration // since the start
	Op       Op
	Data     []byte
	Baud     int
	DTR, RTS bool
	Count    uint64
}

// Header is what a recording says of itself.
type Header struct {
	Start time.Time // wall clock, UTC
	Port  string    // what the port was called
}

func (h Header) append(b []byte) []byte {
	b = append(b, magic+"\nstart "...)
	b = h.Start.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, "\nport "...)
	b = appendQuoted(b, []byte(h.Port))
	return append(b, '\n')
}

func (r Record) append(b []byte) []byte {
	b = strconv.AppendInt(b, int64(r.At), 10)
	b = append(append(b, ' '), r.Op...)
	switch r.Op {
	case Received, Sent, Gone:
		b = appendQuoted(append(b, ' '), r.Data)
	case Baud:
		b = strconv.AppendInt(append(b, ' '), int64(r.Baud), 10)
	case Lines:
		b = fmt.Appendf(b, " dtr=%d rts=%d", bit(r.DTR), bit(r.RTS))
	case Lost:
		b = strconv.AppendUint(append(b, ' '), r.Count, 10)
	}
	return append(b, '\n')
}

func bit(on bool) int {
	if on {
		return 1
	}
	return 0
}

var errRecord = errors.New("malformed record")

// parseRecord reads a line without its end.
func parseRecord(line string) (Record, error) {
	number, rest, ok := strings.Cut(line, " ")
	at, numberOK := canonical(number, 1<<62)
	op, value, hasValue := strings.Cut(rest, " ")
	if !ok || !numberOK {
		return Record{}, errRecord
	}
	r := Record{At: time.Duration(at), Op: Op(op)}
	ok = hasValue
	switch r.Op {
	case Received, Sent, Gone:
		var quoted bool
		r.Data, quoted = unquote(value)
		ok = ok && quoted && len(r.Data) <= MaxData && (len(r.Data) > 0 || r.Op == Gone)
	case Baud:
		n, number := canonical(value, 1<<31-1)
		r.Baud, ok = int(n), ok && number && n > 0
	case Lines:
		dtr, rts := strings.HasPrefix(value, "dtr=1 "), strings.HasSuffix(value, " rts=1")
		r.DTR, r.RTS = dtr, rts
		ok = ok && value == fmt.Sprintf("dtr=%d rts=%d", bit(dtr), bit(rts))
	case Lost:
		n, number := canonical(value, 1<<62)
		r.Count, ok = n, ok && number && n > 0
	case Back, End:
		ok = !hasValue
	default:
		ok = false
	}
	if !ok {
		return Record{}, errRecord
	}
	return r, nil
}

// canonical reads a decimal number of at most limit, without a sign and without
// leading zeros.
func canonical(s string, limit uint64) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= limit && (s == "0" || s[0] >= '1' && s[0] <= '9')
}

// escapes are the bytes with a short form, and the letters of it.
const escapes = "\r\n\t\"\\"
const letters = "rnt\"\\"

func appendQuoted(b, data []byte) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for _, c := range data {
		if i := strings.IndexByte(escapes, c); i >= 0 {
			b = append(b, '\\', letters[i])
		} else if c >= 0x20 && c <= 0x7E {
			b = append(b, c)
		} else {
			b = append(b, '\\', 'x', digits[c>>4], digits[c&15])
		}
	}
	return append(b, '"')
}

// unquote accepts just what appendQuoted writes.
func unquote(s string) ([]byte, bool) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return nil, false
	}
	s = s[1 : len(s)-1]
	data := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < 0x20 || c > 0x7E || c == '"' {
			return nil, false
		}
		if c != '\\' {
			data = append(data, c)
			continue
		}
		if i++; i == len(s) {
			return nil, false
		}
		if j := strings.IndexByte(letters, s[i]); j >= 0 {
			data = append(data, escapes[j])
			continue
		}
		if s[i] != 'x' || i+2 >= len(s) || strings.ContainsAny(s[i+1:i+3], "ABCDEF+_") {
			return nil, false
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil || n >= 0x20 && n <= 0x7E || strings.IndexByte(escapes, byte(n)) >= 0 {
			return nil, false // what has another form
		}
		data = append(data, byte(n))
		i += 2
	}
	return data, true
}
