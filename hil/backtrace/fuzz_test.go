package backtrace

import (
	"encoding/binary"
	"strings"
	"testing"

	"porthole/hil/backtrace/backtracetest"
)

// FuzzParse: whatever an ELF file claims, it is read or refused, and lookups in
// what was read come back.
func FuzzParse(f *testing.F) {
	f.Add(backtracetest.ELF())
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := Parse(file)
		if err != nil {
			return
		}
		for _, c := range p.code {
			for _, addr := range []uint64{c.low, c.low + 0x15, c.low + 0x22, c.low + 0x45, c.high - 1} {
				for _, frame := range p.Lookup(addr).Frames {
					if frame.Line < 0 || len(frame.Func) > maxString || len(frame.File) > maxString {
						t.Errorf("0x%x is %.200v", addr, frame)
					}
				}
			}
		}
	})
}

// FuzzCrash: text of a board is a crash or not, and prints as lines that cannot
// steer a terminal.
func FuzzCrash(f *testing.F) {
	f.Add(panicLog("0123456789abcdef"))
	p := xtensa(f)
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := ParseCrash(strings.Split(text, "\n"))
		if !ok {
			return
		}
		if len(c.Backtrace) > 2*maxCalls {
			t.Errorf("%d calls", len(c.Backtrace))
		}
		out := p.Decode(c).String()
		if strings.ContainsFunc(out, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7F }) {
			t.Errorf("control characters in %q", out)
		}
	})
}

// TestEveryByteBroken: no single damaged byte, and no cut, does more harm than an
// error or missing names.
func TestEveryByteBroken(t *testing.T) {
	whole := backtracetest.ELF()
	for i := range whole {
		for _, v := range []byte{0x00, 0x7F, 0xFF} {
			file := append([]byte(nil), whole...)
			file[i] = v
			if p, err := Parse(file); err == nil {
				p.Lookup(backtracetest.Check)
			}
		}
		if p, err := Parse(whole[:i]); err == nil {
			p.Lookup(backtracetest.Check)
		}
	}
}

func TestLimits(t *testing.T) {
	if _, err := Parse(make([]byte, 100)); err == nil {
		t.Error("zeros are a program")
	}
	// An object file has no addresses yet.
	object := backtracetest.ELF()
	binary.LittleEndian.PutUint16(object[16:], 1)
	if _, err := Parse(object); err == nil || !strings.Contains(err.Error(), "not a linked program") {
		t.Errorf("object file: %v", err)
	}
	if longString(nil) || longString([]byte(strings.Repeat("x", maxString)+"\x00")) {
		t.Error("a string of just the limit is refused")
	}
	if !longString([]byte(strings.Repeat("x", maxString+1) + "\x00")) {
		t.Error("a string above the limit passes")
	}
	if longString([]byte(strings.Repeat(strings.Repeat("x", maxString)+"\x00", 5))) {
		t.Error("several strings of just the limit are refused")
	}
	// Sections that claim to be huge are not made room for.
	huge := backtracetest.ELF()
	at := binary.LittleEndian.Uint32(huge[32:])
	for i := range binary.LittleEndian.Uint16(huge[48:]) {
		h := huge[at+uint32(i)*40:]
		if binary.LittleEndian.Uint32(h[4:]) == 1 && binary.LittleEndian.Uint32(h[12:]) == 0 { // debug sections
			binary.LittleEndian.PutUint32(h[20:], 0xF0000000)
		}
	}
	p, err := Parse(huge)
	if err != nil {
		t.Fatal(err)
	}
	if p.Debug() {
		t.Error("debug sections that reach beyond the file were read")
	}
	if got := short(p.Lookup(backtracetest.Loop)); got != "code < loop" {
		t.Errorf("symbols are left, but got %s", got)
	}
}
