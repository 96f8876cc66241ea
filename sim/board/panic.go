package board

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"porthole/internal/console"
)

// errNoApp is why a panic cannot be provoked: nothing runs that could.
var errNoApp = errors.New("application is not running")

// DefaultPanic is the most common crash of C programs.
const DefaultPanic = "LoadProhibited"

// Panic makes the application crash, as by an access to address 28: it prints
// the Guru Meditation block and restarts. reason is one of console.PanicCause;
// empty means DefaultPanic.
func (f *Firmware) Panic(reason string) error {
	reason, ok := panicReason(reason)
	if !ok {
		return fmt.Errorf("panic board: no reason %q", reason)
	}
	return f.ask("panic board", request{actPanic, reason})
}

// Brownout makes the supply sag below what the chip's detector accepts.
func (f *Firmware) Brownout() error { return f.ask("brown out board", request{act: actBrownout}) }

// Hang makes the application stop in a loop, until its task watchdog ends it.
func (f *Firmware) Hang() error { return f.ask("hang board", request{act: actHang}) }

func (f *Firmware) ask(what string, r request) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.app == nil || !f.app.ask(r) {
		return fmt.Errorf("%s: %w", what, errNoApp)
	}
	return nil
}

func panicReason(reason string) (string, bool) {
	reason = cmp.Or(reason, DefaultPanic)
	_, ok := console.PanicCause(reason)
	return reason, ok
}

// Panic makes the program on the board crash, if it is one that can.
func (b *Board) Panic(reason string) error {
	p, ok := b.cfg.Program.(interface{ Panic(string) error })
	if !ok {
		return fmt.Errorf("panic board: %w", errNoApp)
	}
	return p.Panic(reason)
}

// end is how a program ends before its time, up to the reset.
func (a *app) end(ctx context.Context, r request) {
	switch r.act {
	case actReboot:
		a.m.Reset(SoftwareCPUReset)
	case actPanic:
		reason, _ := panicReason(r.reason)
		a.crash = "panic"
		a.write(a.panicBlock(reason).String() + console.Rebooting)
		a.m.Reset(SoftwareCPUReset)
	case actBrownout:
		a.crash = "brownout"
		line := console.LogLine{Level: console.Error, Untimed: true, Tag: "BOD", Text: "Brownout detector was triggered"}
		a.write("\r\n" + line.String() + "\r\n\r\n")
		a.m.Reset(SoftwareCPUReset)
	case actHang:
		if !sleep(ctx, scale(a.f.cfg.Watchdog, a.f.cfg.Speed)) {
			return
		}
		a.hush()
		a.crash = "watchdog"
		a.write(a.watchdogBlock() + console.Rebooting)
		a.m.Reset(SoftwareCPUReset)
	}
}

func (a *app) write(text string) {
	// A board that was reset meanwhile takes no text.
	_, _ = a.m.Write([]byte(text))
}

// watchdogBlock is what the task watchdog prints when it is set to panic.
func (a *app) watchdogBlock() string {
	var text strings.Builder
	for _, s := range []string{
		"Task watchdog got triggered. The following tasks/users did not reset the watchdog in time:",
		" - loopTask (CPU 1)",
		"Tasks currently running:",
		"CPU 0: IDLE0",
		"CPU 1: loopTask",
		"Aborting.",
	} {
		text.WriteString(console.LogLine{Level: console.Error, At: a.now(), Tag: "task_wdt", Text: s}.String() + "\r\n")
	}
	p := a.panicBlock("Interrupt wdt timeout on CPU1")
	fmt.Fprintf(&text, "\r\nabort() was called at PC 0x%08x on core 1\r\n\r\n\r\nBacktrace:", p.Backtrace[0].PC)
	for _, f := range p.Backtrace {
		fmt.Fprintf(&text, " 0x%08x:0x%08x", f.PC, f.SP)
	}
	fmt.Fprintf(&text, "\r\n\r\n\r\n\r\nELF file SHA256: %s\r\n\r\n", p.ELF[:16])
	return text.String()
}

// panicBlock makes up a crash that decodes: every program counter lies in a
// function of the program, the registers agree with the backtrace.
func (a *app) panicBlock(reason string) console.Panic {
	prog := a.f.cfg.ELF
	if prog == nil {
		prog = a.image.program()
	}
	cause, _ := console.PanicCause(reason)
	p := console.Panic{Core: 1, Reason: reason, ELF: hex.EncodeToString(prog.SHA256[:])}
	const stackTop, frameSize = 0x3FFB2180, 0x20
	for i, fn := range prog.calls(a.rng, 3+a.rng.IntN(6)) {
		pc := fn.Addr + a.rng.Uint32N(max(fn.Size, 1))
		p.Backtrace = append(p.Backtrace, console.PanicFrame{PC: pc, SP: stackTop + uint32(i)*frameSize})
	}
	for i := range p.Registers {
		p.Registers[i] = a.rng.Uint32() >> (8 * a.rng.Uint32N(4))
	}
	// The chip has moved the printed counter back into the instruction.
	p.Registers[console.RegPC] = p.Backtrace[0].PC
	p.Registers[console.RegPS] = 0x00060030
	p.Registers[console.RegA0] = windowed(p.Backtrace[min(1, len(p.Backtrace)-1)].PC + 3)
	p.Registers[console.RegA1] = p.Backtrace[0].SP
	p.Registers[console.RegSAR] &= 0x1F
	p.Registers[console.RegExcCause] = cause
	p.Registers[console.RegExcVAddr] = 0
	if reason == "LoadProhibited" || reason == "StoreProhibited" {
		p.Registers[console.RegExcVAddr] = 0x1C // a field of a null pointer
	}
	return p
}

// windowed is a return address as a call8 leaves it in A0: the size of the call
// in the top bits instead of the region.
func windowed(addr uint32) uint32 { return addr&0x3FFFFFFF | 0x80000000 }
