package monitor

import (
	"strings"

	"porthole/hil/backtrace"
)

// maxCrash bounds the lines of one crash: a register dump, a backtrace, and a
// memory dump between them.
const maxCrash = 200

// crashes collects the lines of a crash from those of a console.
type crashes struct {
	lines []string // of the open crash
}

// cutBy reports whether a line shows that the open crash has ended before it: the
// board starts anew.
func (c *crashes) cutBy(text string) bool {
	return len(c.lines) > 0 && (isBanner(text) || strings.HasPrefix(text, "ets "))
}

// line adds a line. It returns the lines of a crash of which this is the last.
func (c *crashes) line(text string) []string {
	if len(c.lines) == 0 {
		if backtrace.IsCrash(text) {
			c.lines = append(c.lines, text)
		}
		return nil
	}
	c.lines = append(c.lines, text)
	if strings.HasPrefix(text, "Rebooting...") || len(c.lines) >= maxCrash {
		return c.end()
	}
	return nil
}

// end gives up waiting for more lines.
func (c *crashes) end() []string {
	lines := c.lines
	c.lines = nil
	return lines
}
