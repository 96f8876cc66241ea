package scenario

import (
	"context"
	"regexp"
	"sync"
)

// Limits of what a Console keeps.
const (
	maxKept     = 10_000 // lines
	maxLineKept = 4 << 10
)

// Console keeps what a board prints as lines, numbered from 0. A bench writes to
// it, a runner waits for lines. The zero value is ready to use.
type Console struct {
	mu      sync.Mutex
	lines   []string // the last ones
	first   int64    // number of lines[0]
	partial []byte
	wake    chan struct{} // closed with the next line; nil while nobody waits
}

// Write takes bytes from the board. It never fails.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.next()
	for _, b := range p {
		switch {
		case b == '\n':
			c.lines = append(c.lines, clean(c.partial))
			c.partial = c.partial[:0]
		case len(c.partial) < maxLineKept:
			c.partial = append(c.partial, b)
		}
	}
	if drop := len(c.lines) - maxKept; drop > 0 {
		c.lines = append(c.lines[:0], c.lines[drop:]...)
		c.first += int64(drop)
	}
	if c.next() != before && c.wake != nil {
		close(c.wake)
		c.wake = nil
	}
	return len(p), nil
}

func (c *Console) next() int64 { return c.first + int64(len(c.lines)) }

// Mark is the number of the next line.
func (c *Console) Mark() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next()
}

// Find waits for a line that matches, from a number on, until ctx ends. It
// returns the line and its number.
func (c *Console) Find(ctx context.Context, from int64, re *regexp.Regexp) (string, int64, error) {
	for {
		c.mu.Lock()
		for i := max(from, c.first); i < c.next(); i++ {
			if line := c.lines[i-c.first]; re.MatchString(line) {
				c.mu.Unlock()
				return line, i, nil
			}
		}
		from = c.next()
		if c.wake == nil {
			c.wake = make(chan struct{})
		}
		wake := c.wake
		c.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return "", 0, ctx.Err()
		}
	}
}

// Tail returns the last n lines, and what was printed of the next one.
func (c *Console) Tail(n int) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	tail := append([]string(nil), c.lines[max(0, len(c.lines)-n):]...)
	if text := clean(c.partial); text != "" {
		tail = append(tail, text)
	}
	return tail
}

// escapes are the sequences that steer a terminal; boards colour their lines.
var escapes = regexp.MustCompile("\x1b\\[[0-9;?]*[ -/]*[@-~]")

// clean takes colours and line ends away. What is left is still the board's: it
// is matched as it is and printed only escaped.
func clean(b []byte) string {
	b = escapes.ReplaceAll(b, nil)
	for len(b) > 0 && b[len(b)-1] == '\r' {
		b = b[:len(b)-1]
	}
	return string(b)
}
