package backtrace

import (
	"regexp"
	"strconv"
	"strings"

	"porthole/internal/console"
)

// Crash is what a board prints when its program ends against its will: a Guru
// Meditation block, an abort, a failed assertion, a smashed stack (esp32-serial 4).
type Crash struct {
	Reason    string // "LoadProhibited", "abort", or the assertion in the board's words
	Core      int    // -1 if not printed
	PC, A0    uint32 // of the register dump or of the abort line; 0 if not printed
	Backtrace []console.PanicFrame
	Corrupted bool   // the chip could not follow the stack to its end
	Continues bool   // the stack is deeper than the chip prints
	ELF       string // leading digits of the program's SHA-256; empty if not printed
}

// maxCalls is where a board itself ends a backtrace.
const maxCalls = 100

var (
	stackPair  = regexp.MustCompile(`0x([0-9a-fA-F]{8}):0x([0-9a-fA-F]{8})`)
	elfDigest  = regexp.MustCompile(`ELF file SHA256: +([0-9a-fA-F]{9,64})`)
	abortLine  = regexp.MustCompile(`^abort\(\) was called at PC 0x([0-9a-fA-F]{8}) on core (\d)`)
	assertLine = regexp.MustCompile(`^assert failed: (.{1,400})`)
	otherStart = regexp.MustCompile(`^(\*\*\*ERROR\*\*\* A stack overflow in task .{1,64} has been detected|Stack smashing protect failure!|CORRUPT HEAP: .{1,200}|Fatal exception.{1,80})`)
)

// IsCrash reports whether a line begins a crash.
func IsCrash(line string) bool {
	// A board may say thousands of lines a second, nearly none of which is one.
	if line == "" || strings.IndexByte("Ga*SCF", line[0]) < 0 {
		return false
	}
	return strings.HasPrefix(line, "Guru Meditation Error:") || abortLine.MatchString(line) ||
		assertLine.MatchString(line) || otherStart.MatchString(line)
}

// DigestIn finds the digest that a board names its program by in a line of a
// crash or of its start.
func DigestIn(line string) (prefix string, ok bool) {
	if !strings.Contains(line, "ELF file SHA256") {
		return "", false
	}
	m := elfDigest.FindStringSubmatch(line)
	if m == nil {
		return "", false
	}
	return strings.ToLower(m[1]), true
}

// ParseCrash reads a crash, given as the lines that were printed, without colours
// and with or without ends of line. It is false if no line begins one.
func ParseCrash(lines []string) (Crash, bool) {
	c := Crash{Core: -1}
	found := false
	for i, line := range lines {
		line = strings.TrimRight(line, "\r\n ")
		switch {
		case strings.HasPrefix(line, "Guru Meditation Error:"):
			p, ok := console.ParsePanic(strings.Join(lines[i:], "\n"))
			if !ok {
				continue
			}
			found = true
			c.Reason, c.Core = p.Reason, p.Core
			c.PC, c.A0 = p.Registers[console.RegPC], p.Registers[console.RegA0]
		case strings.HasPrefix(line, "Backtrace:"):
			c.readBacktrace(line)
		default:
			found = c.readReason(line) || found
			if prefix, ok := DigestIn(line); ok {
				c.ELF = prefix
			}
		}
	}
	return c, found
}

// readReason takes the cause from a line that names one. An assertion says more
// than the abort that it ends in.
func (c *Crash) readReason(line string) bool {
	if m := abortLine.FindStringSubmatch(line); m != nil {
		c.PC = parseHex(m[1])
		c.Core, _ = strconv.Atoi(m[2])
		if c.Reason == "" {
			c.Reason = "abort"
		}
		return true
	}
	reason := ""
	if m := assertLine.FindStringSubmatch(line); m != nil {
		reason = "assert failed: " + m[1]
	} else if m := otherStart.FindStringSubmatch(line); m != nil {
		reason = m[1]
	}
	if reason != "" && c.Reason == "" {
		c.Reason = reason
	}
	return reason != ""
}

func (c *Crash) readBacktrace(line string) {
	for _, m := range stackPair.FindAllStringSubmatch(line, maxCalls) {
		pc := parseHex(m[1])
		// The chip has moved these into the call already. Only a value that still
		// carries the size of a windowed call has not been touched.
		if pc&0x80000000 != 0 {
			pc = Return(pc)
		}
		c.Backtrace = append(c.Backtrace, console.PanicFrame{PC: pc, SP: parseHex(m[2])})
	}
	c.Corrupted = strings.HasSuffix(line, "|<-CORRUPTED")
	c.Continues = strings.HasSuffix(line, "|<-CONTINUES")
}

// parseHex reads eight hex digits that a pattern has found.
func parseHex(s string) uint32 {
	n, _ := strconv.ParseUint(s, 16, 32)
	return uint32(n)
}
