package backtrace

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"porthole/hil/backtrace/backtracetest"
	"porthole/internal/console"
	"porthole/internal/espimage"
)

var update = flag.Bool("update", false, "write the golden files anew")

func xtensa(t testing.TB) *Program {
	t.Helper()
	p, err := Open("testdata/xtensa.elf")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got\n%s\nwant\n%s", path, got, want)
	}
}

// TestFixture: the committed file is what its generator writes.
func TestFixture(t *testing.T) {
	elf := backtracetest.ELF()
	if *update {
		if err := os.WriteFile("testdata/xtensa.elf", elf, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile("testdata/xtensa.elf")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, elf) {
		t.Error("testdata/xtensa.elf is not what backtracetest writes; run with -update and look at the goldens")
	}
}

// short prints a location on one line.
func short(l Location) string {
	var s strings.Builder
	s.WriteString(l.Region.String())
	for _, f := range l.Frames {
		s.WriteString(" < " + f.text())
	}
	return s.String()
}

func TestLookup(t *testing.T) {
	p := xtensa(t)
	if !p.Debug() {
		t.Error("no debug information")
	}
	for _, c := range []struct {
		name string
		addr uint64
		want string
	}{
		{"line", backtracetest.Loop, "code < loop at /build/src/main.cpp:32"},
		{"first byte of a function", 0x400D0000, "code < loop at /build/src/main.cpp:30"},
		{"inlined", backtracetest.Grab, "code < camera::Driver::grab at /build/src/driver.h:12 < loop at /build/src/main.cpp:34"},
		{"inlined twice", backtracetest.Check, "code < (anonymous namespace)::check at /build/src/driver.h:5 < camera::Driver::grab at /build/src/driver.h:14 < loop at /build/src/main.cpp:34"},
		{"between two pieces of an inlined call", 0x400D0018, "code < loop at /build/src/main.cpp:36"},
		{"last byte before the second piece", 0x400D001F, "code < loop at /build/src/main.cpp:36"},
		{"second piece", backtracetest.GrabCold, "code < camera::Driver::grab at /build/src/driver.h:16 < loop at /build/src/main.cpp:34"},
		{"last byte of the second piece", 0x400D002B, "code < camera::Driver::grab at /build/src/driver.h:16 < loop at /build/src/main.cpp:34"},
		{"behind the second piece", 0x400D002C, "code < loop at /build/src/main.cpp:40"},
		{"last byte of a function", 0x400D003F, "code < loop at /build/src/main.cpp:40"},
		{"next function", 0x400D0040, "code < setup at /build/src/main.cpp:20"},
		{"no debug information", backtracetest.NoDWARF, "code < app_main"},
		{"behind the last symbol", 0x400D0070, "code"},
		{"last byte of the section", 0x400D007F, "code"},
		{"behind the section", 0x400D0080, "outside"},
		{"symbol without a size", backtracetest.Assembly, "code < _xt_lowint1"},
		{"second unit", backtracetest.Abort, "code < panic_abort at esp/panic.c:470"},
		{"ROM", backtracetest.ROM, "ROM"},
		{"first of ROM", 0x40000000, "ROM"},
		{"before ROM", 0x3FFFFFFF, "outside"},
		{"behind ROM", 0x40070000, "outside"},
		{"data with a symbol", backtracetest.Data, "outside"},
		{"null, where dropped code lies", 0x4, "outside"},
		{"beyond 32 bits", 0x1_400D_0004, "outside"},
	} {
		if got := short(p.Lookup(c.addr)); got != c.want {
			t.Errorf("%s: 0x%x is\n%s, want\n%s", c.name, c.addr, got, c.want)
		}
	}
	if f := p.Lookup(backtracetest.Grab).Frames; f[0].Symbol != "_ZN6camera6Driver4grabEv" || f[1].Symbol != "_Z4loopv" {
		t.Errorf("symbols %q and %q", f[0].Symbol, f[1].Symbol)
	}
}

func TestReturn(t *testing.T) {
	for _, c := range []struct{ a0, want uint32 }{
		{0x800D1F04, 0x400D1F01}, // call8
		{0xC00D1F04, 0x400D1F01}, // call12
		{0x400D1F04, 0x400D1F01}, // call4
		{0x80080040, 0x4008003D}, // IRAM
	} {
		if got := Return(c.a0); got != c.want {
			t.Errorf("Return(0x%x) is 0x%x, want 0x%x", c.a0, got, c.want)
		}
	}
}

func TestDigest(t *testing.T) {
	file := backtracetest.ELF()
	p, err := Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(file)
	all := hex.EncodeToString(sum[:])
	for _, good := range []string{all, all[:9], all[:16], strings.ToUpper(all[:16])} {
		if err := p.Check(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "0123456789abcdef", all[:8] + "x", all + "0"} {
		if _, ok := errors.AsType[*DigestError](p.Check(bad)); !ok {
			t.Errorf("%q passes", bad)
		}
	}
	if err := p.CheckApp(espimage.AppDescriptor{ELF: sum}); err != nil {
		t.Error(err)
	}
	if err := p.CheckApp(espimage.AppDescriptor{}); err == nil {
		t.Error("an empty descriptor passes")
	}
}

// panicLog is a crash of the fixture as a board prints it.
func panicLog(digest string) string {
	p := console.Panic{Core: 1, Reason: "LoadProhibited", ELF: digest, Backtrace: []console.PanicFrame{
		{PC: backtracetest.Check, SP: 0x3FFB2180}, {PC: backtracetest.GrabCold, SP: 0x3FFB21A0}, {PC: backtracetest.ROM, SP: 0x3FFB21C0},
		{PC: backtracetest.Setup, SP: 0x3FFB21E0}, {PC: backtracetest.NoDWARF, SP: 0x3FFB2200}, {PC: backtracetest.Abort, SP: 0x3FFB2220},
		{PC: 0x12345678, SP: 0x3FFB2240},
	}}
	p.Registers[console.RegPC] = backtracetest.Check
	p.Registers[console.RegA0] = backtracetest.GrabCold + 3&0x3FFFFFFF | 0x80000000
	return p.String() + console.Rebooting
}

func TestPanicGolden(t *testing.T) {
	p := xtensa(t)
	sum := p.Digest()
	digest := hex.EncodeToString(sum[:])
	good := panicLog(digest)
	noBacktrace := good[:strings.Index(good, "Backtrace:")] + "Backtrace: |<-CORRUPTED\r\n"
	var out strings.Builder
	for _, c := range []struct{ name, text string }{
		{"panic", good},
		{"another program", panicLog(strings.Repeat("0123456789abcdef", 4))},
		{"older IDF: no space, cut", strings.Replace(strings.ReplaceAll(good, "Backtrace: 0x", "Backtrace:0x"), " 0x12345678:0x3ffb2240", " |<-CONTINUES", 1)},
		{"no backtrace", noBacktrace},
		{"untouched return address in the backtrace", "abort() was called at PC 0x400d0045 on core 0\r\n\r\nBacktrace: 0x800d0048:0x3ffb2180\r\n"},
		{"assertion", "assert failed: grab driver.h:12 (frame != NULL)\r\n\r\nabort() was called at PC 0x400d0045 on core 0\r\n\r\nBacktrace: 0x40080048:0x3ffb2180 0x400d0011:0x3ffb21a0\r\n"},
		{"stack overflow, nothing more", "***ERROR*** A stack overflow in task loopTask has been detected.\r\n"},
	} {
		crash, ok := ParseCrash(strings.Split(c.text, "\n"))
		if !ok {
			t.Errorf("%s: not a crash", c.name)
		}
		out.WriteString("== " + c.name + "\n" + p.Decode(crash).String())
	}
	crash, _ := ParseCrash(strings.Split(good, "\r\n"))
	out.WriteString("== without an ELF\n" + (*Program)(nil).Decode(crash).String())
	golden(t, "xtensa.txt", []byte(out.String()))

	if tr := p.Decode(crash); !tr.Checked || tr.Mismatch != nil {
		t.Errorf("digest %q not checked: %v", crash.ELF, tr.Mismatch)
	}
}

func TestNotACrash(t *testing.T) {
	for _, text := range []string{
		"", "Backtrace: 0x400d0045:0x3ffb2180", "Guru Meditation Error: of another chip", "I (12) app: abort() was called at PC 0x400d0045 on core 0",
	} {
		if c, ok := ParseCrash([]string{text}); ok {
			t.Errorf("%q is a crash: %+v", text, c)
		}
	}
}

func TestDemangle(t *testing.T) {
	for _, c := range []struct{ symbol, want string }{
		{"app_main", "app_main"},
		{"_Z4loopv", "loop"},
		{"_ZL5setupv", "setup"},
		{"_ZN6camera6Driver4grabEv", "camera::Driver::grab"},
		{"_ZNK6camera6Driver4sizeEv", "camera::Driver::size"},
		{"_ZN6camera6DriverC2Ei", "camera::Driver::Driver"},
		{"_ZN6camera6DriverD1Ev", "camera::Driver::~Driver"},
		{"_ZN12_GLOBAL__N_15checkEv", "(anonymous namespace)::check"},
		{"_ZSt4moveIRiEONSt16remove_referenceIT_E4typeEOS2_", "_ZSt4moveIRiEONSt16remove_referenceIT_E4typeEOS2_"},
		{"_Z3maxIiET_S0_S0_", "_Z3maxIiET_S0_S0_"},
		{"_ZN1AplEi", "_ZN1AplEi"},
		{"_Z", "_Z"}, {"_ZN", "_ZN"}, {"_Z99x", "_Z99x"}, {"_Z99999999999999999999x", "_Z99999999999999999999x"}, {"_ZN1a", "_ZN1a"}, {"_ZN1aC", "_ZN1aC"}, {"", ""},
	} {
		if got := demangle(c.symbol); got != c.want {
			t.Errorf("%q is %q, want %q", c.symbol, got, c.want)
		}
	}
}
