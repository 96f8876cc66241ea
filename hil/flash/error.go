package flash

import (
	"errors"
	"fmt"
	"time"
)

// A Verdict is the likely cause of a failure that retrying did not heal.
type Verdict uint8

// The verdicts.
const (
	NoAnswer     Verdict = iota + 1 // not a byte came from the chip
	NoSync                          // only noise came, or nothing that fits
	WrongMode                       // the chip starts, but from flash
	SilentLoader                    // the loader says it waits, and does not answer
	BrownoutLoop                    // the supply dips again and again
	PowerLoop                       // the chip restarts by itself again and again
	NoLines                         // the port cannot reset the chip, and nothing listens
	BadLine                         // connected, but too much goes wrong on the line
	Gone                            // the port vanished and did not come back
	NotWritten                      // the flash keeps its old content
	NotErased                       // zeros stay zeros
	StuckBits                       // something was written, but not this
	OtherBoard                      // after a reconnect another chip answers
)

var verdicts = map[Verdict][2]string{
	NoAnswer: {"the chip does not answer",
		"check that this is the board's port, that it has power, and that no other program uses the port"},
	NoSync: {"no loader answers, only noise",
		"check cable and port; a board whose console runs at another rate looks like this"},
	WrongMode: {"wrong boot mode: the chip starts from flash instead of its loader",
		"hold the BOOT button during the next try; if that helps, the reset circuit lacks its capacitor at EN"},
	SilentLoader: {"the loader waits for a download but does not answer",
		"the line from the host's TX to the chip's RX does not work: check the wiring"},
	BrownoutLoop: {"the chip reports a brownout again and again",
		"the supply is too weak: use a short cable, another USB port or a powered hub; flashing again does not help"},
	PowerLoop: {"the chip restarts by itself again and again",
		"the power comes and goes: check cable, connector and supply"},
	NoLines: {"the port has no reset lines and no loader answers",
		"hold BOOT, press EN, release BOOT, then try again"},
	BadLine: {"too much goes wrong on the line",
		"use a shorter cable or a lower rate with --baud"},
	Gone: {"the port vanished and did not come back",
		"check the cable; the board may have come back under another name: see rig ports"},
	NotWritten: {"not written: the flash keeps its old content",
		"the flash is write-protected or its supply is wrong (GPIO12 strap): this is a matter of hardware"},
	NotErased: {"not erased: the flash keeps its old zeros",
		"the flash is write-protected in part, or worn out: this is a matter of hardware"},
	StuckBits: {"the flash holds something else than what was written",
		"the flash is worn out or its supply is too weak: this is a matter of hardware"},
	OtherBoard: {"another board answers",
		"do not change boards during the work; begin again"},
}

func (v Verdict) String() string {
	if t, ok := verdicts[v]; ok {
		return t[0]
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// Hint says what to do about it.
func (v Verdict) Hint() string { return verdicts[v][1] }

// An Error is work that failed for good.
type Error struct {
	Verdict Verdict
	Offset  int64  // in the flash, for the verdicts about the flash
	Tries   int    // resets, reopenings or rewrites that did not help
	Log     string // end of what the chip printed; from outside, not printable as it is
	Err     error  // last trouble, may be nil
}

func (e *Error) Error() string {
	text := e.Verdict.String()
	switch e.Verdict {
	case NotWritten, NotErased, StuckBits:
		text = fmt.Sprintf("%s (at 0x%x, after %d tries)", text, e.Offset, e.Tries)
	default:
		if e.Tries > 0 {
			text = fmt.Sprintf("%s (after %d tries)", text, e.Tries)
		}
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// A RefusedError is work that was not begun, because it would do harm.
type RefusedError struct {
	File string // empty: the chip is what refuses
	Why  string
	Do   string // what to do instead, may be empty
}

func (e *RefusedError) Error() string {
	if e.File == "" {
		return "refused: " + e.Why
	}
	return fmt.Sprintf("%q is refused: %s", e.File, e.Why)
}

// HintOf is what to do about an error of this package, or "".
func HintOf(err error) string {
	if e, ok := errors.AsType[*InterruptedError](err); ok {
		return e.hint()
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Verdict.Hint()
	}
	if e, ok := errors.AsType[*RefusedError](err); ok {
		return e.Do
	}
	return ""
}

// An InterruptedError is work that was ended from outside or failed, with what
// became of the chip.
type InterruptedError struct {
	// Cause is context.Canceled or what went wrong. It is not unwrapped when
	// the work was cancelled: half-written flash is not an orderly end.
	Cause     error
	Cancelled bool
	Wrote     bool // the flash was being changed
	Held      bool // the chip is held in reset: EN is low
}

func (e *InterruptedError) Error() string {
	text := e.Cause.Error()
	if e.Cancelled {
		text = "interrupted"
	}
	switch {
	case !e.Wrote:
		return text + "; the flash is unchanged"
	case e.Held:
		return text + "; the flash is incomplete and the chip is held in reset"
	}
	return text + "; the flash is incomplete and the chip could not be held in reset"
}

// Unwrap gives the cause, unless the work was cancelled.
func (e *InterruptedError) Unwrap() error {
	if e.Cancelled {
		return nil
	}
	return e.Cause
}

func (e *InterruptedError) hint() string {
	if !e.Cancelled {
		if h := HintOf(e.Cause); h != "" {
			return h
		}
	}
	if e.Wrote {
		return "run the same command again: it goes on with what is missing"
	}
	return "run the command again when you are ready"
}

// Trouble on the line: what recovery is for.
var (
	errSilent  = errors.New("no answer in time")
	errReset   = errors.New("the chip was reset")
	errGarbled = errors.New("the answer is garbled")
)

// goneError is a port that fails.
type goneError struct{ err error }

func (e *goneError) Error() string { return "port failed: " + e.err.Error() }
func (e *goneError) Unwrap() error { return e.err }

// Progress is how far the work is.
type Progress struct {
	Phase Phase
	// File is what is being worked on; empty for the whole.
	File string
	// Done and Total count bytes of flash in this phase; Total 0: not known.
	Done, Total int64
	// Rate is in bytes of flash per second, since the phase began; ETA the time
	// left at that rate, 0 while unknown.
	Rate float64
	ETA  time.Duration
	// Note is something that happened and that a person should see.
	Note string
}

// Phase is a step of the work.
type Phase string

// The phases.
const (
	Connecting Phase = "connect"
	Comparing  Phase = "compare"
	Writing    Phase = "write"
	Verifying  Phase = "verify"
	Erasing    Phase = "erase"
	Reading    Phase = "read"
	Restarting Phase = "restart"
)
