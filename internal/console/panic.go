package console

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Panic is the block that ESP-IDF prints when a program crashes
// (esp32-serial 4):
//
//	Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled.
//
//	Core  1 register dump:
//	PC      : 0x400d1a2b  PS      : 0x00060c30  A0      : 0x800d1f04  A1      : 0x3ffb2180
//	... six rows of four
//
//	Backtrace: 0x400d1a28:0x3ffb2180 0x400d1f01:0x3ffb21a0
//
//	ELF file SHA256: 7b1eed647e97babc
//
//	Rebooting...
//
// All lines end in CR LF. The program counters of the backtrace already point
// into the calling instruction; those of the registers do not.
type Panic struct {
	Core      int
	Reason    string // "LoadProhibited", see PanicCause
	Registers [24]uint32
	Backtrace []PanicFrame
	Corrupted bool   // the stack could not be followed to its end
	ELF       string // leading hex digits of the program's SHA-256
}

// PanicFrame is one call of a backtrace.
type PanicFrame struct{ PC, SP uint32 }

// Indices of Panic.Registers.
const (
	RegPC       = 0
	RegPS       = 1
	RegA0       = 2
	RegA1       = 3
	RegSAR      = 18
	RegExcCause = 19
	RegExcVAddr = 20
)

// RegisterNames are the names of Panic.Registers in printed order.
var RegisterNames = [24]string{
	"PC", "PS", "A0", "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9",
	"A10", "A11", "A12", "A13", "A14", "A15", "SAR", "EXCCAUSE",
	"EXCVADDR", "LBEG", "LEND", "LCOUNT",
}

var panicCauses = map[string]uint32{
	"IllegalInstruction": 0, "LoadStoreError": 3, "IntegerDivideByZero": 6, "LoadStoreAlignment": 9,
	"InstrFetchProhibited": 20, "LoadProhibited": 28, "StoreProhibited": 29,
	"Interrupt wdt timeout on CPU0": 5, "Interrupt wdt timeout on CPU1": 6,
	"Unhandled debug exception": 1, "Double exception": 2, "Cache error": 7,
}

// PanicCause gives the EXCCAUSE that belongs to a reason.
func PanicCause(reason string) (uint32, bool) {
	c, ok := panicCauses[reason]
	return c, ok
}

// elfDigits is how much of the digest IDF 5 prints.
const elfDigits = 16

// String gives the block up to the digest; Rebooting follows it.
func (p Panic) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Guru Meditation Error: Core %2d panic'ed (%s). Exception was unhandled.\r\n", p.Core, p.Reason)
	fmt.Fprintf(&b, "\r\nCore %2d register dump:\r\n", p.Core)
	for i, r := range p.Registers {
		fmt.Fprintf(&b, "%-8s: 0x%08x  ", RegisterNames[i], r)
		if i%4 == 3 {
			b.WriteString("\r\n")
		}
	}
	b.WriteString("\r\n\r\nBacktrace:")
	for _, f := range p.Backtrace {
		fmt.Fprintf(&b, " 0x%08x:0x%08x", f.PC, f.SP)
	}
	if p.Corrupted {
		b.WriteString(" |<-CORRUPTED")
	}
	b.WriteString("\r\n\r\n\r\n")
	if p.ELF != "" {
		fmt.Fprintf(&b, "ELF file SHA256: %s\r\n\r\n", p.ELF[:min(len(p.ELF), elfDigits)])
	}
	return b.String()
}

// Rebooting is what a panic ends with.
const Rebooting = "Rebooting...\r\n"

var (
	guruLine = regexp.MustCompile(`^Guru Meditation Error: Core +(\d+) panic'ed \(([^)]{1,80})\)\.`)
	pairs    = regexp.MustCompile(`0x([0-9a-fA-F]{8}):0x([0-9a-fA-F]{8})`)
	elfLine  = regexp.MustCompile(`^ELF file SHA256: ([0-9a-f]{9,64})$`)
)

// maxBacktrace is the depth the chip itself stops at.
const maxBacktrace = 100

// ParsePanic reads a block from its Guru line on, with either kind of line end
// and with or without the space behind "Backtrace:"; what follows the block is
// ignored. It is false if the first line is not a Guru line.
func ParsePanic(text string) (Panic, bool) {
	var p Panic
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if i == 0 {
			m := guruLine.FindStringSubmatch(line)
			if m == nil {
				return p, false
			}
			p.Core, _ = strconv.Atoi(m[1])
			p.Reason = m[2]
			continue
		}
		if rest, ok := strings.CutPrefix(line, "Backtrace:"); ok {
			for _, m := range pairs.FindAllStringSubmatch(rest, maxBacktrace) {
				p.Backtrace = append(p.Backtrace, PanicFrame{parseHex(m[1]), parseHex(m[2])})
			}
			p.Corrupted = strings.HasSuffix(strings.TrimRight(rest, " "), "|<-CORRUPTED")
		} else if m := elfLine.FindStringSubmatch(line); m != nil {
			p.ELF = m[1]
			break
		} else if strings.HasPrefix(line, "Rebooting") {
			break
		} else {
			p.registers(line)
		}
	}
	return p, true
}

// registers reads up to four `NAME    : 0x%08x  ` of a line.
func (p *Panic) registers(line string) {
	for len(line) >= 20 && line[8:12] == ": 0x" {
		name := strings.TrimRight(line[:8], " ")
		n, err := strconv.ParseUint(line[12:20], 16, 32)
		if err != nil {
			return
		}
		for i, r := range RegisterNames {
			if r == name {
				p.Registers[i] = uint32(n)
			}
		}
		if len(line) < 22 {
			return
		}
		line = line[22:]
	}
}

// parseHex reads eight hex digits that a pattern has found.
func parseHex(s string) uint32 {
	n, _ := strconv.ParseUint(s, 16, 32)
	return uint32(n)
}
