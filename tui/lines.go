package tui

import (
	"fmt"
	"strings"
	"time"
)

// consoleLines is how many lines of the console are kept.
const consoleLines = 5000

// line is one line of the console panel, cleaned.
type line struct {
	n     uint64 // counts all lines ever, from 1
	at    time.Time
	text  string
	level byte   // 'E', 'W', 'I', 'D', 'V', or 0 where the line names none
	note  bool   // ours, not the board's
	block uint64 // lines of one panic share a number; 0 for none
	head  bool   // the first line of its block
}

// lineRing keeps the newest lines and knows which of them form a panic.
type lineRing struct {
	ring  []line
	total uint64

	block uint64 // of the panic that is being received, 0 for none
	size  int    // lines of it so far
}

// panicLines bounds a panic: a board that never finishes one must not swallow
// its console.
const panicLines = 60

func (l *lineRing) add(at time.Time, text string, note bool) {
	text = clean(text)
	l.total++
	e := line{n: l.total, at: at, text: text, level: levelOf(text), note: note}
	if !note {
		l.fold(&e)
	}
	if len(l.ring) < consoleLines {
		l.ring = append(l.ring, e)
		return
	}
	l.ring[(l.total-1)%consoleLines] = e
}

// fold finds the block of a panic: from the line that names it to the restart.
func (l *lineRing) fold(e *line) {
	if strings.HasPrefix(e.text, "Guru Meditation Error:") || strings.HasPrefix(e.text, "abort() was called") {
		l.block, l.size = e.n, 0
		e.head = true
	}
	if e.head || strings.HasPrefix(e.text, "Guru Meditation") {
		e.level = 'E'
	}
	if l.block == 0 {
		return
	}
	e.block = l.block
	l.size++
	if l.size >= panicLines || strings.HasPrefix(e.text, "Rebooting") {
		l.block = 0
	}
}

// levelOf reads the letter of an ESP-IDF log line, "E (1234) tag: text".
func levelOf(text string) byte {
	if len(text) > 4 && text[1] == ' ' && text[2] == '(' && strings.IndexByte("EWIDV", text[0]) >= 0 {
		return text[0]
	}
	return 0
}

// get returns the line with number n, false where it is gone or not there yet.
func (l *lineRing) get(n uint64) (line, bool) {
	if n == 0 || n > l.total || n+consoleLines <= l.total {
		return line{}, false
	}
	return l.ring[(n-1)%consoleLines], true
}

// oldest is the number of the oldest line that is kept.
func (l *lineRing) oldest() uint64 {
	if l.total <= consoleLines {
		return 1
	}
	return l.total - consoleLines + 1
}

// until is the number of the newest line that is not younger than at.
func (l *lineRing) until(at time.Time) uint64 {
	lo, hi := l.oldest(), l.total+1
	for lo < hi {
		mid := lo + (hi-lo)/2
		if e, _ := l.get(mid); e.at.After(at) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo - 1
}

// blockSize counts the lines of a block that are kept.
func (l *lineRing) blockSize(block uint64) int {
	n := 0
	for i := block; i < block+panicLines; i++ {
		if e, ok := l.get(i); ok && e.block == block {
			n++
		}
	}
	return n
}

// lineView says which lines the console shows.
type lineView struct {
	last     uint64 // number of the newest line
	filter   string // lower case; empty for all
	only     bool   // hide what does not match, instead of marking what does
	unfolded bool   // panics line by line
}

func (v lineView) matches(e line) bool {
	return v.filter != "" && strings.Contains(strings.ToLower(e.text), v.filter)
}

func (v lineView) shows(e line) bool {
	switch {
	case v.only && v.filter != "" && !v.matches(e):
		return false
	case e.block != 0 && !e.head && !v.unfolded:
		return v.only && v.filter != "" // a match inside a panic is shown
	}
	return true
}

// page returns the newest n lines of the view, oldest first.
func (l *lineRing) page(v lineView, n int) []line {
	var out []line
	for i := min(v.last, l.total); i >= l.oldest() && len(out) < n; i-- {
		e, ok := l.get(i)
		if !ok {
			break
		}
		if v.shows(e) {
			out = append(out, e)
		}
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// move returns the number of the shown line that is by lines away from the view's
// last one, as far as there are any.
func (l *lineRing) move(v lineView, by int) uint64 {
	at, step := min(v.last, l.total), uint64(1)
	for left := max(by, -by); left > 0; {
		next := at + step
		if by < 0 {
			next = at - step
		}
		e, ok := l.get(next)
		if !ok {
			break
		}
		at = next
		if v.shows(e) {
			left--
		}
	}
	return at
}

// seek returns the number of the nearest matching line above (back) or below.
func (l *lineRing) seek(v lineView, back bool) (uint64, bool) {
	for i := v.last; ; {
		if back {
			i--
		} else {
			i++
		}
		e, ok := l.get(i)
		if !ok {
			return 0, false
		}
		if v.matches(e) {
			return i, true
		}
	}
}

// folded is the text of a folded panic.
func (l *lineRing) folded(e line) string {
	return fmt.Sprintf("crash, %d lines, enter opens: %s", l.blockSize(e.block), e.text)
}
