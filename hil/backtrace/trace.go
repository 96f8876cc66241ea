package backtrace

import (
	"cmp"
	"fmt"
	"strings"

	"porthole/internal/cli"
)

// Trace is a crash with names.
type Trace struct {
	Reason string `json:"reason"`
	Core   int    `json:"core"` // -1 if unknown
	// Calls are the functions that were active, innermost first.
	Calls []Location `json:"calls"`
	// Guessed says that the board printed no usable backtrace: Calls has only
	// what the registers say.
	Guessed   bool `json:"guessed,omitempty"`
	Corrupted bool `json:"corrupted,omitempty"`
	Continues bool `json:"continues,omitempty"`
	// Mismatch is a *DigestError if the board runs another program than the file:
	// then the names are wrong. It is nil too if the board did not say.
	Mismatch error `json:"-"`
	Checked  bool  `json:"checked"` // the board named its program, and it is this one
}

// Decode names the functions of a crash. A nil program leaves the addresses
// without names.
func (p *Program) Decode(c Crash) Trace {
	t := Trace{Reason: c.Reason, Core: c.Core, Corrupted: c.Corrupted, Continues: c.Continues}
	if p != nil && c.ELF != "" {
		t.Mismatch = p.Check(c.ELF)
		t.Checked = t.Mismatch == nil
	}
	for _, f := range c.Backtrace {
		t.Calls = append(t.Calls, p.locate(f.PC))
	}
	if len(t.Calls) > 0 {
		return t
	}
	t.Guessed = true
	if c.PC != 0 {
		t.Calls = append(t.Calls, p.locate(c.PC))
	}
	// A0 is a return address only inside a function that keeps it there; what
	// does not lie in code was something else.
	if c.A0 != 0 {
		if at := p.locate(Return(c.A0)); at.Region != Outside {
			t.Calls = append(t.Calls, at)
		}
	}
	return t
}

func (p *Program) locate(pc uint32) Location {
	if p == nil {
		return Location{Addr: uint64(pc)}
	}
	return p.Lookup(uint64(pc))
}

// String gives the trace for people, each line with its end:
//
//	crash on core 1: LoadProhibited
//	  #0  0x400d1a28  camera::grab at src/main.cpp:41
//	                  inlined into loop at src/main.cpp:77
//	  #1  0x40081234  ROM
//
// Names are escaped where they could steer a terminal.
func (t Trace) String() string {
	var b strings.Builder
	b.WriteString("crash")
	if t.Core >= 0 {
		fmt.Fprintf(&b, " on core %d", t.Core)
	}
	fmt.Fprintf(&b, ": %s\n", cli.Printable(cmp.Or(t.Reason, "no reason printed")))
	if t.Mismatch != nil {
		fmt.Fprintf(&b, "  WRONG NAMES: %v\n", t.Mismatch)
	}
	if t.Guessed {
		b.WriteString("  no backtrace; from the registers:\n")
	}
	for i, loc := range t.Calls {
		fmt.Fprintf(&b, "  #%-2d 0x%08x  %s\n", i, loc.Addr, loc.text())
		for j := 1; j < len(loc.Frames); j++ {
			fmt.Fprintf(&b, "                  inlined into %s\n", loc.Frames[j].text())
		}
	}
	switch {
	case t.Corrupted:
		b.WriteString("  the stack is corrupted: the rest is lost\n")
	case t.Continues:
		b.WriteString("  the stack goes on; the board prints no more of it\n")
	}
	return b.String()
}

func (l Location) text() string {
	switch {
	case l.Region == ROM:
		return "ROM"
	case len(l.Frames) == 0:
		return "?"
	}
	return l.Frames[0].text()
}

func (f Frame) text() string {
	text := cli.Printable(cmp.Or(f.Func, "?"))
	if f.File == "" {
		return text
	}
	text += " at " + cli.Printable(f.File)
	if f.Line == 0 {
		return text
	}
	return fmt.Sprintf("%s:%d", text, f.Line)
}
