package board_test

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/console"
	"porthole/sim/board"
)

// xtensaELF is a program of the chip's machine type with a symbol table: what
// the linker leaves, without the code.
func xtensaELF(t testing.TB, functions []board.Function) []byte {
	t.Helper()
	var symbols, names bytes.Buffer
	put := func(w io.Writer, v any) {
		if err := binary.Write(w, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	names.WriteByte(0)
	put(&symbols, elf.Sym32{})
	for _, f := range functions {
		put(&symbols, elf.Sym32{Name: uint32(names.Len()), Value: f.Addr, Size: f.Size,
			Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: 1})
		names.WriteString(f.Name + "\x00")
	}
	// Data in the same table, a function without a size and one outside the code:
	// none of them counts.
	put(&symbols, elf.Sym32{Value: 0x400D9000, Size: 16, Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: 2})
	put(&symbols, elf.Sym32{Value: 0x3FFB0000, Size: 4, Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_OBJECT), Shndx: 1})
	put(&symbols, elf.Sym32{Value: 0x40000000, Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: 1})
	sections := "\x00.text\x00.symtab\x00.strtab\x00.shstrtab\x00"
	const header, entry = 52, 40
	at := uint32(header + 5*entry)
	var out bytes.Buffer
	put(&out, elf.Header32{
		Ident: [16]byte{0x7F, 'E', 'L', 'F', byte(elf.ELFCLASS32), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_XTENSA), Version: 1,
		Shoff: header, Ehsize: header, Shentsize: entry, Shnum: 5, Shstrndx: 4,
	})
	put(&out, elf.Section32{})
	put(&out, elf.Section32{Name: 1, Type: uint32(elf.SHT_NOBITS), Flags: uint32(elf.SHF_ALLOC | elf.SHF_EXECINSTR), Addr: 0x400D0000, Size: 0x100000})
	put(&out, elf.Section32{Name: 7, Type: uint32(elf.SHT_SYMTAB), Off: at, Size: uint32(symbols.Len()), Link: 3, Entsize: 16})
	put(&out, elf.Section32{Name: 15, Type: uint32(elf.SHT_STRTAB), Off: at + uint32(symbols.Len()), Size: uint32(names.Len())})
	put(&out, elf.Section32{Name: 23, Type: uint32(elf.SHT_STRTAB), Off: at + uint32(symbols.Len()+names.Len()), Size: uint32(len(sections))})
	out.Write(symbols.Bytes())
	out.Write(names.Bytes())
	out.WriteString(sections)
	return out.Bytes()
}

var demoFunctions = []board.Function{
	{Name: "app_main", Addr: 0x400D1000, Size: 0x80},
	{Name: "camera_capture", Addr: 0x400D2000, Size: 0x200},
	{Name: "_Z6uploadv", Addr: 0x400D3000, Size: 0x1F3},
	{Name: "_Z8loopTaskPv", Addr: 0x400D4000, Size: 0x40},
}

// Every address of a panic lies in a function of the given program, so that a
// decoder finds it, and the digest is that program's.
func TestPanicDecodes(t *testing.T) {
	file := xtensaELF(t, demoFunctions)
	prog, err := board.ReadELF(file)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(prog.Functions) != fmt.Sprint(demoFunctions) {
		t.Fatalf("functions %v", prog.Functions)
	}
	find := func(pc uint32) string {
		for _, f := range demoFunctions {
			if pc >= f.Addr && pc < f.Addr+f.Size {
				return f.Name
			}
		}
		t.Errorf("0x%08x is in no function", pc)
		return ""
	}
	digest := sha256.Sum256(file)
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			r := bootBoard(t, provisioned(t, nil), board.FirmwareConfig{ELF: prog, Seed: seed, Speed: 20}, board.Chip{})
			defer r.close()
			r.run(2 * time.Second)
			if err := r.b.Panic(""); err != nil {
				t.Fatal(err)
			}
			text := r.run(3 * time.Second)
			at := strings.Index(text, "Guru Meditation")
			p, ok := console.ParsePanic(text[max(at, 0):])
			if !ok || p.Reason != board.DefaultPanic || p.Core != 1 {
				t.Fatalf("seed %d: %+v, %v in\n%s", seed, p, ok, text)
			}
			if p.ELF != hex.EncodeToString(digest[:])[:16] {
				t.Errorf("seed %d: digest %s", seed, p.ELF)
			}
			for i, f := range p.Backtrace {
				find(f.PC)
				if i > 0 && f.SP <= p.Backtrace[i-1].SP {
					t.Errorf("seed %d: the stack does not grow down", seed)
				}
			}
			if last := p.Backtrace[len(p.Backtrace)-1]; find(last.PC) != "_Z8loopTaskPv" {
				t.Errorf("seed %d: outermost call is in %s", seed, find(last.PC))
			}
			find(p.Registers[console.RegPC])
			find(p.Registers[console.RegA0]&0x3FFFFFFF | 0x40000000 - 3)
			if p.Registers[console.RegExcCause] != 28 || p.Registers[console.RegA0]>>30 != 2 {
				t.Errorf("seed %d: registers %x", seed, p.Registers)
			}
			if boots := r.lines(console.Boot); len(boots) != 2 || boots[1].Reset != "panic" {
				t.Errorf("seed %d: boot lines %+v", seed, boots)
			}
		})
	}
}

// After a panic the memory that remembers it is lost with EN.
func TestPanicForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := bootBoard(t, provisioned(t, nil), board.FirmwareConfig{}, board.Chip{})
		defer r.close()
		r.run(2 * time.Second)
		if err := r.b.Panic(""); err != nil {
			t.Fatal(err)
		}
		r.run(100 * time.Millisecond) // in the bootloader
		r.b.PressEN(true)
		r.b.PressEN(false)
		r.run(2 * time.Second)
		if b := r.lines(console.Boot); len(b) != 2 || b[1].Reset != "poweron" {
			t.Errorf("boot lines %+v", b)
		}
	})
}

func TestReadELFRefuses(t *testing.T) {
	good := xtensaELF(t, demoFunctions)
	for name, file := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "cut": good[:60],
		"no functions":   xtensaELF(t, nil),
		"beyond 32 bits": xtensaELF(t, []board.Function{{Name: "f", Addr: 0xFFFFFFF0, Size: 0x11}}),
	} {
		if p, err := board.ReadELF(file); err == nil {
			t.Errorf("%s: %d functions", name, len(p.Functions))
		}
	}
}

// What is typed is answered, and nothing that is typed does more than that.
func TestConsole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := bootBoard(t, provisioned(t, nil), board.FirmwareConfig{Uploads: twoFrames}, board.Chip{})
		defer r.close()
		r.run(5 * time.Second)
		say := func(text string) string {
			before := len(r.run(0))
			if _, err := r.w.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			return r.run(100 * time.Millisecond)[before:]
		}
		for _, c := range []struct{ typed, want string }{
			{"help\r\n", `help why="help, status, reboot, panic [reason]"`},
			{"  status \n", `status uptime_ms=`},
			{"rm -rf /\r", `unknown command what="rm"`},
			{"\x1b[A\n", `unknown command what="\x1b[A"`},
			{"panic Boredom\n", `unknown command what="panic Boredom"`},
			{strings.Repeat("x", 200) + "\n", `unknown command what="` + strings.Repeat("x", 128) + `"`},
		} {
			if got := say(c.typed); !strings.Contains(got, c.want) {
				t.Errorf("typed %q, answer %q, want %q", c.typed, got, c.want)
			}
		}
		if got := say("\r\n\r\n \n"); got != "" {
			t.Errorf("empty lines are answered %q", got)
		}
		if l := r.lines(console.Status); len(l) != 1 || l[0].WiFi != "up" || l[0].Camera != "on" || l[0].Uploads != 2 || l[0].Uptime < 4*time.Second {
			t.Errorf("status %+v", l)
		}
		r.run(0)
		say("reboot\n")
		r.run(3 * time.Second)
		if b := r.lines(console.Boot); len(b) != 2 || b[1].Reset != "software" || len(r.lines(console.Restart)) != 1 {
			t.Errorf("after reboot: %+v", b)
		}
		say("panic IllegalInstruction\n")
		if text := r.run(3 * time.Second); !strings.Contains(text, "panic'ed (IllegalInstruction)") || len(r.lines(console.Boot)) != 3 {
			t.Errorf("console\n%s", text)
		}
	})
}
