package flash

import (
	"bytes"
	"strconv"
)

// Banner is the line that the ROM prints at every start:
//
//	rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)
type Banner struct {
	Reason uint8 // esp32-serial 4
	Strap  uint8 // level of the strapping pins
}

// Reset reasons that mean something here.
const (
	reasonPowerOn  = 0x01
	reasonBrownout = 0x0F
)

// Bits of the straps: both low select the loader.
const (
	strapGPIO2 = 0x08
	strapGPIO0 = 0x10
)

// Download says that the chip went to its loader.
func (b Banner) Download() bool { return b.Strap&(strapGPIO0|strapGPIO2) == 0 }

// ParseBanner finds a banner in a line of the console, which may begin with
// noise.
func ParseBanner(line []byte) (Banner, bool) {
	_, rest, ok := bytes.Cut(line, []byte("rst:0x"))
	if !ok {
		return Banner{}, false
	}
	reason, rest, ok := hexDigits(rest)
	if !ok || !bytes.HasPrefix(rest, []byte(" (")) {
		return Banner{}, false
	}
	_, rest, ok = bytes.Cut(rest, []byte("),boot:0x"))
	if !ok {
		return Banner{}, false
	}
	strap, rest, ok := hexDigits(rest)
	if !ok || !bytes.HasPrefix(rest, []byte(" (")) {
		return Banner{}, false
	}
	return Banner{reason, strap}, true
}

// hexDigits reads one or two hexadecimal digits.
func hexDigits(b []byte) (v uint8, rest []byte, ok bool) {
	n := 0
	for n < len(b) && n < 3 && bytes.IndexByte([]byte("0123456789abcdefABCDEF"), b[n]) >= 0 {
		n++
	}
	u, err := strconv.ParseUint(string(b[:n]), 16, 8)
	return uint8(u), b[n:], err == nil
}

const (
	maxLogLine = 256      // bytes of a line that are looked at
	maxLogTail = 4 << 10  // bytes kept as evidence
	tailChunk  = 16 << 10 // memory before the tail is cut
)

// evidence is what the chip said outside of the protocol, and what follows from
// it.
type evidence struct {
	tail []byte // text outside of frames, the end of it
	line []byte // of everything received: a banner may follow a stray C0

	bytes     int  // received since the last reset of ours
	ready     bool // the loader says it waits, since the last reset
	banner    Banner
	banners   int  // since the last reset
	waited    bool // it said so once since the last verified progress
	brownouts int  // since then
	powerOns  int  // starts from power-on that were not ours, since then
}

// restart forgets what was said before a reset of ours.
func (e *evidence) restart() {
	e.line = e.line[:0]
	e.bytes, e.banners, e.ready, e.banner = 0, 0, false, Banner{}
}

// add takes one received byte; text says that it was outside of a frame, scan
// that lines are looked for.
func (e *evidence) add(b byte, text, scan bool) {
	e.bytes++
	if text {
		if len(e.tail) >= tailChunk {
			e.tail = append(e.tail[:0], e.tail[len(e.tail)-maxLogTail:]...)
		}
		e.tail = append(e.tail, b)
	}
	if !scan {
		return
	}
	if b != '\n' {
		if len(e.line) < maxLogLine {
			e.line = append(e.line, b)
		}
		return
	}
	e.look(e.line)
	e.line = e.line[:0]
}

func (e *evidence) look(line []byte) {
	if b, ok := ParseBanner(line); ok {
		e.banner = b
		e.banners++
		e.ready = false
		switch {
		case b.Reason == reasonBrownout:
			e.brownouts++
		case b.Reason == reasonPowerOn && e.banners > 1:
			e.powerOns++
		}
	}
	if bytes.Contains(line, []byte("waiting for download")) {
		e.ready, e.waited = true, true
	}
	if bytes.Contains(line, []byte("Brownout detector was triggered")) {
		e.brownouts++
	}
}

// text is the end of what the chip printed.
func (e *evidence) text() string {
	return string(e.tail[max(0, len(e.tail)-maxLogTail):])
}

// Loops begin at this many repetitions without any progress between them.
const loopCount = 6

// verdict is what a failure to connect comes from.
func (e *evidence) verdict(lines bool) Verdict {
	switch {
	case e.brownouts >= loopCount:
		return BrownoutLoop
	case e.powerOns >= loopCount:
		return PowerLoop
	case !lines:
		return NoLines
	case e.waited:
		return SilentLoader
	case e.banners > 0 && !e.banner.Download():
		return WrongMode
	case e.bytes == 0:
		return NoAnswer
	}
	return NoSync
}
