package conformance

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"porthole/internal/esprom"
	"porthole/sim/board"
)

// TestTranscripts replays what versions of esptool send, over a real TCP
// connection with the 50 ms that pyserial spends on every command of the port, and
// compares every answer of the board.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			b := newBoard(t, board.Config{EN: steadyEN})
			h := newHost(t, onTCP(t, b), b)
			err := h.replay(file)
			for range 6 { // as often as esptool resets a board that boots its application
				if err == nil || b.Status().State != board.StateApp || h.checked > 0 {
					break
				}
				t.Log("this machine was late, again:", err)
				h.forget()
				err = h.replay(file)
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.checked < 40 {
				t.Errorf("only %d answers were compared", h.checked)
			}
			compare(t, b, "application", h.offset, h.app)
		})
	}
}

// steadyEN is for hosts that do not try again: EN begins to rise when DTR is
// asserted, RTS follows 50 ms later, and pyserial holds IO0 until 150 ms at least.
// On a busy machine the straps have to be sampled in the middle.
const steadyEN = 100 * time.Millisecond

// TestFastEN shows that the timing of the transcripts is the real thing: a board
// whose EN rises in 5 ms has sampled IO0 before pyserial pulls it low, and boots its
// application, as esptool users know it (esp32-serial 3.4).
func TestFastEN(t *testing.T) {
	t.Parallel()
	b := newBoard(t, board.Config{EN: 5 * time.Millisecond})
	h := newHost(t, onTCP(t, b), b)
	for _, line := range []string{
		"open", "lines D0", "lines R1 D0", "wait 100", "lines D1", "lines R0 D1", "wait 50", "lines D0",
		"log boot:0x13 (SPI_FAST_FLASH_BOOT)", "state app",
	} {
		if err := h.play(line); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
}

// verbs is the language of the transcripts. Numbers of registers, addresses and
// opcodes are hexadecimal, all others decimal.
//
//	open                     what pyserial does when it opens the port
//	lines D0 R1              one change of DTR or RTS after the other
//	wait MS                  milliseconds
//	log TEXT                 the board prints a text before anything else is done
//	purge                    both buffers
//	sync                     SYNC and its eight replies
//	refuse OP                a command the loader does not know
//	read ADDR = VALUE        READ_REG
//	efuse N = VALUE          READ_REG of word N of block 0
//	mem ADDR SIZE            MEM_BEGIN and MEM_DATA
//	run ENTRY                MEM_END and the greeting of the stub
//	baud NEW OLD             CHANGE_BAUD, and the port follows
//	spi OP [addr A] [read BITS = VALUE]   a flash command through the registers
//	attach BYTES             SPI_ATTACH with a body of that size
//	params SIZE              SPI_SET_PARAMS
//	deflate BYTES            DEFL_BEGIN with a body of that size, DEFL_DATA
//	flash BYTES              FLASH_BEGIN and FLASH_DATA, likewise
//	flash-begin SIZE OFFSET BYTES         FLASH_BEGIN alone
//	deflate-end N            DEFL_END
//	md5                      SPI_FLASH_MD5 of the file
//	state NAME               the board comes to be in a state
//	strap VALUE              what the strapping pins were at the last reset
var verbs = map[string]func(h *host, args []string) error{
	"open":        (*host).openPort,
	"lines":       (*host).lines,
	"wait":        (*host).wait,
	"log":         (*host).log,
	"purge":       (*host).purge,
	"sync":        (*host).sync,
	"refuse":      (*host).refuse,
	"read":        func(h *host, args []string) error { return h.read(hex(args[0]), args[1:]) },
	"efuse":       func(h *host, args []string) error { return h.read(esprom.EfuseWord(dec(args[0])), args[1:]) },
	"mem":         (*host).mem,
	"run":         (*host).run,
	"baud":        (*host).baud,
	"spi":         (*host).spi,
	"attach":      (*host).attach,
	"params":      (*host).params,
	"deflate":     (*host).deflate,
	"flash":       (*host).flash,
	"flash-begin": (*host).flashBegin,
	"deflate-end": (*host).deflateEnd,
	"md5":         (*host).md5,
	"state":       (*host).state,
	"strap":       (*host).strap,
}

// replay plays a file from its beginning.
func (h *host) replay(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := h.play(line); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", file, n, line, err)
		}
	}
	return nil
}

func (h *host) play(line string) error {
	args := strings.Fields(line)
	verb, ok := verbs[args[0]]
	if !ok {
		return fmt.Errorf("no such verb")
	}
	if args[0] == "log" {
		args = []string{"log", strings.TrimSpace(strings.TrimPrefix(line, "log"))}
	}
	return verb(h, args[1:])
}

// Transcripts are our own files: a malformed number is a bug in them.

func hex(s string) uint32 {
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		panic(err)
	}
	return uint32(n)
}

func dec(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func (h *host) wait(args []string) error {
	<-time.After(time.Duration(dec(args[0])) * time.Millisecond)
	return nil
}

func (h *host) state(args []string) error {
	eventually(h.t, "state "+args[0], func() bool { return h.board.Status().State.String() == args[0] })
	return nil
}

func (h *host) strap(args []string) error {
	if got := h.board.Status().Strap; uint32(got) != hex(args[0]) {
		return fmt.Errorf("straps were %#x", got)
	}
	return nil
}

// read is READ_REG: the one command whose value field means something.
func (h *host) read(addr uint32, args []string) error {
	if len(args) != 2 || args[0] != "=" {
		return fmt.Errorf("want = VALUE")
	}
	h.value = hex(args[1])
	if h.inStub {
		defer func() { h.value = 0 }()
	}
	return h.command(esprom.ReadReg{Addr: addr}.Request(), nil)
}

// spi runs a flash command through the registers of SPI1, in the order in which
// esptool touches them (esp32-serial 2.2).
func (h *host) spi(args []string) error {
	const base = 0x3FF42000
	op, addr, bits, want := hex(args[0]), int64(-1), 0, uint32(0)
	for args = args[1:]; len(args) > 0; {
		switch {
		case args[0] == "addr" && len(args) >= 2:
			addr, args = int64(hex(args[1])), args[2:]
		case args[0] == "read" && len(args) >= 4 && args[2] == "=":
			bits, want, args = dec(args[1]), hex(args[3]), args[4:]
		default:
			return fmt.Errorf("unknown argument %q", args[0])
		}
	}
	flags := uint32(1 << 31)
	type reg struct {
		off, value uint32
		write      bool
	}
	steps := []reg{{0x1C, 0x80000040, false}, {0x24, 0x70000000, false}}
	if bits > 0 {
		flags |= 1 << 28
		steps = append(steps, reg{0x2C, uint32(bits) - 1, true})
	}
	if addr >= 0 {
		// 24 address bits, then 8 dummy cycles.
		flags |= 1<<30 | 1<<29
		steps = append(steps, reg{0x20, 0x5C000007, true})
	}
	steps = append(steps, reg{0x1C, flags, true}, reg{0x24, 7<<28 | op, true})
	if addr >= 0 {
		steps = append(steps, reg{0x04, uint32(addr) << 8, true})
	}
	steps = append(steps, reg{0x80, 0, true}, reg{0x00, 1 << 18, true},
		reg{0x00, 0, false}, reg{0x80, want, false},
		reg{0x1C, 0x80000040, true}, reg{0x24, 0x70000000, true})
	for _, s := range steps {
		var err error
		if s.write {
			err = h.command(esprom.WriteReg{{Addr: base + s.off, Value: s.value, Mask: 0xFFFFFFFF}}.Request(), nil)
		} else {
			err = h.read(base+s.off, []string{"=", fmt.Sprintf("%X", s.value)})
		}
		if err != nil {
			return fmt.Errorf("register %#x: %w", base+s.off, err)
		}
	}
	return nil
}

// image is the file of the transcripts.
func image(t testing.TB) (app []byte, offset uint32) {
	p := parts(t)[2]
	return bytes.Clone(p.data), p.offset
}
