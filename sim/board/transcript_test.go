package board_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"embed"
	"encoding/hex"
	"errors"
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

// Transcripts are what flashers send and the answers they must get, one step a
// line, in testdata/transcripts. They run over any line: the wire of a board in
// virtual time here, RFC 2217 over TCP with the faces.
//
//	dtr 0|1, rts 0|1          one line change
//	lines D R                 both in one call, where the line can do that
//	wait DURATION             do nothing
//	flush                     forget what came in
//	log TEXT                  the text is printed within 2 s, outside frames
//	sync                      SYNC, up to five times; eight replies
//	> OP [HEX]                a request with that data; the steps below compare
//	< OP VALUE|* STATUS [HEX]  the reply: value field, status bytes, payload
//	xN < …                    the same N times
//	read ADDR VALUE           READ_REG and its value
//	write ADDR VALUE MASK DELAY
//	spi OP PHASES [ADDR] = VALUE|*  a flash command through the SPI1 registers,
//	                          step for step as esptool does it
//	upload ADDR SIZE          MEM_BEGIN, MEM_DATA…
//	enter ENTRY               MEM_END, and OHAI for an entry in stub space
//	baud NEW OLD              CHANGE_BAUD, both switch, 50 ms, flush
//	rate BAUD                 only the host switches
//	write-flash OFFSET SIZE plain|deflate BLOCK short|long   BEGIN and the data;
//	                          the content is sample(SIZE)
//	end OP FLAG               FLASH_END or DEFL_END
//	md5 OFFSET SIZE           digest, compared with sample(SIZE)
//	md5-erased OFFSET SIZE    digest, compared with FF
//	read-flash OFFSET SIZE    READ_FLASH, compared with sample(SIZE)
//	read-slow OFFSET SIZE     READ_FLASH_SLOW in pieces of 64
//
// Numbers are hexadecimal, durations as in Go. # begins a comment.

//go:embed testdata/transcripts
var transcripts embed.FS

// runTranscript replays one file over l; spacing is how long one line change takes.
func runTranscript(l line, name string, spacing time.Duration) error {
	f, err := transcripts.Open("testdata/transcripts/" + name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := newHost(l)
	h.spacing = spacing
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		text, _, _ := strings.Cut(sc.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if err := h.step(words); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", name, n, strings.TrimSpace(text), err)
		}
	}
	return sc.Err()
}

// args parses hexadecimal numbers.
func args(words []string, n int) ([]uint32, error) {
	if len(words) < n {
		return nil, fmt.Errorf("%d numbers, want %d", len(words), n)
	}
	out := make([]uint32, n)
	for i := range out {
		v, err := strconv.ParseUint(words[i], 16, 32)
		if err != nil {
			return nil, err
		}
		out[i] = uint32(v)
	}
	return out, nil
}

func (h *host) step(words []string) error {
	times := 1
	if n, ok := strings.CutPrefix(words[0], "x"); ok && len(words) > 1 {
		times, _ = strconv.Atoi(n)
		words = words[1:]
	}
	verb, rest := words[0], words[1:]
	switch verb {
	case "dtr":
		return h.dtr(rest[0] == "1")
	case "rts":
		return h.rts(rest[0] == "1")
	case "lines":
		if l, ok := h.line.(interface{ SetLines(dtr, rts bool) error }); ok {
			return l.SetLines(rest[0] == "1", rest[1] == "1")
		}
		return errors.Join(h.dtr(rest[0] == "1"), h.rts(rest[1] == "1"))
	case "wait":
		d, err := time.ParseDuration(rest[0])
		time.Sleep(d)
		return err
	case "flush":
		h.drain(20 * time.Millisecond)
		h.log.Reset()
		return nil
	case "log":
		return h.expectLog(strings.Join(rest, " "))
	case "sync":
		return h.sync()
	case ">":
		op, ok := esprom.ParseOp(rest[0])
		if !ok {
			v, err := args(rest, 1)
			if err != nil {
				return err
			}
			op = esprom.Op(v[0])
		}
		data, err := hex.DecodeString(strings.Join(rest[1:], ""))
		return errors.Join(err, h.send(esprom.Request{Op: op, Data: data}))
	case "<":
		for range times {
			if err := h.expectReply(rest); err != nil {
				return err
			}
		}
		return nil
	case "spi":
		return h.spiStep(rest)
	case "write-flash":
		return h.writeStep(rest)
	case "end":
		op, _ := esprom.ParseOp(rest[0])
		_, _, err := h.ask(esprom.End{Op: op, Stay: rest[1] == "1"})
		return err
	}
	n := map[string]int{"read": 2, "write": 4, "upload": 2, "enter": 1, "rate": 1, "baud": 2, "md5": 2, "md5-erased": 2, "read-flash": 2, "read-slow": 2}[verb]
	if n == 0 {
		return errors.New("unknown step")
	}
	v, err := args(rest, n)
	if err != nil {
		return err
	}
	switch verb {
	case "read":
		return equal(v[1])(h.reg(v[0]))
	case "write":
		_, _, err = h.ask(esprom.WriteReg{{Addr: v[0], Value: v[1], Mask: v[2], Delay: v[3]}})
	case "upload":
		err = h.upload(v[0], sample(int(v[1])))
	case "enter":
		err = h.enter(v[0])
	case "rate":
		err = h.line.SetBaud(int(v[0]))
	case "baud":
		err = h.changeBaud(int(v[0]), int(v[1]))
	case "md5":
		err = h.digestStep(v[0], sample(int(v[1])))
	case "md5-erased":
		err = h.digestStep(v[0], bytes.Repeat([]byte{0xFF}, int(v[1])))
	case "read-flash":
		err = h.readStep(v[0], sample(int(v[1])))
	case "read-slow":
		err = h.readSlowStep(v[0], sample(int(v[1])))
	}
	return err
}

func equal(want uint32) func(uint32, error) error {
	return func(got uint32, err error) error {
		if err == nil && got != want {
			err = fmt.Errorf("got %08x", got)
		}
		return err
	}
}

func (h *host) expectLog(text string) error {
	for end := time.Now().Add(2 * time.Second); !strings.Contains(h.log.String(), text); {
		if time.Now().After(end) {
			return fmt.Errorf("log is %q", h.log.String())
		}
		if err := h.read(100 * time.Millisecond); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return nil
}

// expectReply compares the next frame: OP VALUE|* STATUS [PAYLOAD].
func (h *host) expectReply(want []string) error {
	body, err := h.frame(3 * time.Second)
	if err != nil {
		return err
	}
	r, err := esprom.ParseResponse(body)
	if err != nil {
		return err
	}
	payload := strings.Join(want[3:], "")
	got := []string{r.Op.String(), fmt.Sprintf("%08x", r.Value), hex.EncodeToString(r.Data)}
	if got[0] != want[0] || want[1] != "*" && got[1] != want[1] || got[2] != payload+want[2] || r.Size != len(r.Data) {
		return fmt.Errorf("got %v", got)
	}
	return nil
}

// spiStep is esptool's run_spiflash_command (esp32-serial 2.2).
func (h *host) spiStep(words []string) error {
	want := words[len(words)-1]
	v, err := args(words[:len(words)-2], len(words)-2)
	if err != nil {
		return err
	}
	op, phases := v[0], v[1]
	user, err := h.reg(esprom.SPIUser)
	user2, err2 := h.reg(esprom.SPIUser2)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	set := esprom.WriteReg{{Addr: esprom.SPIMisoDLen, Value: 0x17}}
	if len(v) > 2 {
		set = append(set, esprom.RegWrite{Addr: esprom.SPIUser1, Value: 0x5C000007})
	}
	set = append(set, esprom.RegWrite{Addr: esprom.SPIUser, Value: phases}, esprom.RegWrite{Addr: esprom.SPIUser2, Value: 0x70000000 | op})
	if len(v) > 2 {
		set = append(set, esprom.RegWrite{Addr: esprom.SPIAddr, Value: v[2] << 8})
	}
	set = append(set, esprom.RegWrite{Addr: esprom.SPIW0}, esprom.RegWrite{Addr: esprom.SPICmd, Value: esprom.SPICmdUser})
	put := func(r esprom.RegWrite) error {
		r.Mask = 0xFFFFFFFF
		_, _, err := h.ask(esprom.WriteReg{r})
		return err
	}
	for _, r := range set {
		if err := put(r); err != nil {
			return err
		}
	}
	cmd, err := h.reg(esprom.SPICmd)
	if err != nil || cmd&esprom.SPICmdUser != 0 {
		return fmt.Errorf("SPI_CMD %08x, %w", cmd, err)
	}
	got, err := h.reg(esprom.SPIW0)
	if err := errors.Join(err, put(esprom.RegWrite{Addr: esprom.SPIUser, Value: user}), put(esprom.RegWrite{Addr: esprom.SPIUser2, Value: user2})); err != nil {
		return err
	}
	if want != "*" && fmt.Sprintf("%08x", got) != want {
		return fmt.Errorf("got %08x", got)
	}
	return nil
}

func (h *host) writeStep(words []string) error {
	v, err := args(words, 2)
	if err != nil || len(words) != 5 {
		return fmt.Errorf("malformed: %w", err)
	}
	block, err := strconv.ParseUint(words[3], 16, 16)
	if err != nil {
		return err
	}
	data := sample(int(v[1]))
	size, send := uint32(len(data)), data
	begin, op := esprom.FlashBegin, esprom.FlashData
	if words[2] == "deflate" {
		begin, op, send = esprom.DeflBegin, esprom.DeflData, pack(data)
	} else if n := len(send) % int(block); n != 0 {
		send = append(bytes.Clone(send), bytes.Repeat([]byte{0xFF}, int(block)-n)...)
	}
	blocks := (uint32(len(send)) + uint32(block) - 1) / uint32(block)
	if !h.stub {
		size = (size + uint32(block) - 1) / uint32(block) * uint32(block)
	}
	if _, _, err := h.ask(esprom.Begin{Op: begin, Size: size, Blocks: blocks, BlockSize: uint32(block), Offset: v[0], Long: words[4] == "long"}); err != nil {
		return err
	}
	return h.blocks(op, send, int(block))
}

func (h *host) digestStep(offset uint32, want []byte) error {
	_, p, err := h.ask(esprom.Digest{Addr: offset, Size: uint32(len(want))})
	if err != nil {
		return err
	}
	if sum, err := esprom.ParseDigest(p); err != nil || sum != md5.Sum(want) {
		return fmt.Errorf("digest %x, %w", sum, err)
	}
	return nil
}

func (h *host) readStep(offset uint32, want []byte) error {
	got, sum, err := h.readFlash(esprom.ReadFlash{Offset: offset, Size: uint32(len(want)), Packet: 0x1000, Window: 64})
	if digest := md5.Sum(want); err == nil && (!bytes.Equal(got, want) || !bytes.Equal(sum, digest[:])) {
		err = errors.New("content or digest differs")
	}
	return err
}

func (h *host) readSlowStep(offset uint32, want []byte) error {
	for i := 0; i < len(want); i += esprom.SlowBlock {
		n := min(len(want)-i, esprom.SlowBlock)
		_, p, err := h.ask(esprom.SlowRead{Offset: offset + uint32(i), Len: uint32(n)})
		if err != nil {
			return err
		}
		if !bytes.Equal(p[:n], want[i:i+n]) {
			return fmt.Errorf("content differs at %#x", i)
		}
	}
	return nil
}

// transcriptBoard is the board the transcripts were written for.
func transcriptBoard() board.Config {
	cfg := board.Config{Chip: board.WROVERE(esprom.MAC{0x94, 0xB9, 0x7E, 0x5A, 0x6E, 0x58}), RAMApp: helloApp}
	return cfg
}

// TestTranscripts replays every transcript on a wire, with the line spacing of
// pyserial over RFC 2217.
func TestTranscripts(t *testing.T) {
	names, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, name := range names {
		name = filepath.Base(name)
		t.Run(name, func(t *testing.T) {
			cfg := transcriptBoard()
			if strings.Contains(name, "strict") {
				cfg.ROM = board.ROMStrict
			}
			atBoard(t, cfg, func(t *testing.T, b *board.Board, h *host) {
				if err := runTranscript(h.line, name, 50*time.Millisecond); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestTranscriptFails: the runner notices a wrong answer.
func TestTranscriptFails(t *testing.T) {
	inROM(t, transcriptBoard(), func(t *testing.T, b *board.Board, h *host) {
		for _, s := range []string{
			"read 40001000 00f01d84", "spi 9f 90000000 = 001740ef", "md5 0 10", "md5-erased 0 ffffff0",
			"enter", "frobnicate 1", "log never printed", "write-flash 0 10 deflate 400 long",
		} {
			if err := h.step(strings.Fields(s)); err == nil {
				t.Errorf("%q passes", s)
			}
		}
		h.drain(time.Millisecond)
		h.send(esprom.ReadReg{Addr: esprom.RegMagic}.Request())
		if err := h.step(strings.Fields("< READ_REG 00f01d83 01050000")); err == nil {
			t.Error("wrong status passes")
		}
	})
}

// helloApp prints what esptool's load_ram test waits for.
var helloApp = board.ProgramFunc(func(ctx context.Context, m *board.Machine) {
	m.Printf("Hello world!\n")
	<-ctx.Done()
})
