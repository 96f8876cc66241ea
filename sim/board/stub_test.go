package board_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/internal/esprom"
	"porthole/sim/board"
)

// flashStub writes data through the stub, with the short or the long BEGIN.
func (h *host) flashStub(offset uint32, data []byte, compress, long bool) error {
	op, begin, end, send := esprom.FlashData, esprom.FlashBegin, esprom.FlashEnd, data
	if compress {
		op, begin, end, send = esprom.DeflData, esprom.DeflBegin, esprom.DeflEnd, pack(data)
	} else if n := len(data) % esprom.StubBlock; n != 0 {
		send = append(bytes.Clone(data), bytes.Repeat([]byte{0xFF}, esprom.StubBlock-n)...)
	}
	blocks := uint32(len(send)+esprom.StubBlock-1) / esprom.StubBlock
	if _, _, err := h.ask(esprom.Begin{Op: begin, Size: uint32(len(data)), Blocks: blocks, BlockSize: esprom.StubBlock, Offset: offset, Long: long}); err != nil {
		return err
	}
	if err := h.blocks(op, send, esprom.StubBlock); err != nil {
		return err
	}
	_, _, err := h.ask(esprom.End{Op: end, Stay: true})
	return err
}

func TestStubFlash(t *testing.T) {
	for _, compress := range []bool{false, true} {
		for _, latency := range []bool{false, true} {
			t.Run(fmt.Sprintf("compress=%v,latency=%v", compress, latency), func(t *testing.T) {
				inStub(t, board.Config{Latency: latency}, func(t *testing.T, b *board.Board, h *host) {
					for i, n := range []int{1, 4095, 4096, 4097, 0x6790, 0x23456} {
						data := sample(n)
						if err := h.flashStub(0x10000, data, compress, i%2 == 0); err != nil {
							t.Fatalf("%d bytes: %v", n, err)
						}
						checkFlash(t, b, h, 0x10000, data)
					}
				})
			})
		}
	}
}

// TestStubRefusals checks the enforcement and the order {code, status} of a stub.
func TestStubRefusals(t *testing.T) {
	begin := func(op esprom.Op) esprom.Command {
		return esprom.Begin{Op: op, Size: 64, Blocks: 1, BlockSize: 0x400, Offset: 0x1000}
	}
	badSum := esprom.Data{Op: esprom.FlashData, Block: []byte{1, 2, 3, 4}}.Request()
	badSum.Check ^= 1
	badLen := esprom.Data{Op: esprom.FlashData, Block: []byte{1, 2, 3, 4}}.Request()
	badLen.Data[0] = 5
	block := func(op esprom.Op, p []byte) esprom.Command { return esprom.Data{Op: op, Block: p} }
	for _, tt := range []struct {
		name string
		cmds []esprom.Command
		want esprom.Code
	}{
		{"data without begin", []esprom.Command{block(esprom.FlashData, []byte{1})}, esprom.StubNotBegun},
		{"the other kind of data", []esprom.Command{begin(esprom.DeflBegin), block(esprom.FlashData, []byte{1})}, esprom.StubNotBegun},
		{"end without begin", []esprom.Command{esprom.End{Op: esprom.FlashEnd, Stay: true}}, esprom.StubNotBegun},
		{"end too early", []esprom.Command{begin(esprom.FlashBegin), esprom.End{Op: esprom.FlashEnd, Stay: true}}, esprom.StubMissing},
		{"unknown command", []esprom.Command{begin(esprom.FlashBegin), esprom.Bare{Op: 0xFE, Data: nil}}, esprom.StubUnsupported},
		{"block size", []esprom.Command{esprom.Begin{Op: esprom.FlashBegin, Size: 64, BlockSize: 0x4001}}, esprom.StubBlockSize},
		{"no zlib: shown by the next command", []esprom.Command{begin(esprom.DeflBegin), block(esprom.DeflData, []byte("garbage")), block(esprom.DeflData, []byte{1})}, esprom.StubInflate},
		{"no zlib: shown by END", []esprom.Command{begin(esprom.DeflBegin), block(esprom.DeflData, []byte("garbage")), esprom.End{Op: esprom.DeflEnd, Stay: true}}, esprom.StubInflate},
		{"too much data", []esprom.Command{begin(esprom.DeflBegin), block(esprom.DeflData, pack(make([]byte, 65))), esprom.End{Op: esprom.DeflEnd, Stay: true}}, esprom.StubTooMuch},
		{"security info", []esprom.Command{esprom.Bare{Op: esprom.GetSecurityInfo}}, esprom.StubUnsupported},
		{"slow read", []esprom.Command{esprom.SlowRead{Len: 64}}, esprom.StubUnsupported},
		{"odd erase", []esprom.Command{esprom.EraseRegion{Offset: 1, Size: 4096}}, esprom.StubSPI},
		{"erase beyond the end", []esprom.Command{esprom.EraseRegion{Offset: 4 << 20, Size: 4096}}, esprom.StubSPI},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inStub(t, board.Config{}, func(t *testing.T, b *board.Board, h *host) {
				for i, c := range tt.cmds {
					_, _, err := h.ask(c)
					if i < len(tt.cmds)-1 {
						if err != nil {
							t.Fatalf("command %d: %v", i, err)
						}
						continue
					}
					if se, ok := errors.AsType[*esprom.StatusError](err); !ok || se.Code != tt.want {
						t.Errorf("%v, want %#x", err, tt.want)
					}
				}
			})
		})
	}
	inStub(t, board.Config{}, func(t *testing.T, b *board.Board, h *host) {
		h.ask(begin(esprom.FlashBegin))
		for want, r := range map[string]esprom.Request{"0103020000000000c100": badSum, "0103020000000000c000": badLen} {
			if got := h.raw(t, fmt.Sprintf("%x", r.Append(nil))); !slices.Equal(got, []string{want}) {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if err := h.sync(); err != nil {
			t.Error(err)
		}
		if got := h.raw(t, "000804000000000007071220"); len(got) != 8 || got[0] != "01080200000000000000" {
			t.Errorf("SYNC in the stub: %q", got)
		}
	})
}

func TestStubEraseAndRead(t *testing.T) {
	flash, err := board.NewFlash(sample(0x20000), 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	inStub(t, board.Config{Flash: flash}, func(t *testing.T, b *board.Board, h *host) {
		want := sample(0x20000)
		for _, c := range []esprom.ReadFlash{
			{Size: 0x20000, Packet: 0x1000, Window: 64}, {Offset: 0x123, Size: 0x1001, Packet: 0x1000, Window: 64},
			{Offset: 5, Size: 1, Packet: 0x1000, Window: 1024},
		} {
			got, sum, err := h.readFlash(c)
			part := want[c.Offset : c.Offset+c.Size]
			if digest := md5.Sum(part); err != nil || !bytes.Equal(got, part) || !bytes.Equal(sum, digest[:]) {
				t.Errorf("%+v: %d bytes, digest %x, %v", c, len(got), sum, err)
			}
		}
		if _, _, err := h.ask(esprom.EraseRegion{Offset: 0x1000, Size: 0x2000}); err != nil {
			t.Fatal(err)
		}
		copy(want[0x1000:], bytes.Repeat([]byte{0xFF}, 0x2000))
		checkFlash(t, b, h, 0, want)
		if _, _, err := h.ask(esprom.Bare{Op: esprom.EraseFlashOp}); err != nil {
			t.Fatal(err)
		}
		checkFlash(t, b, h, 0, bytes.Repeat([]byte{0xFF}, 4<<20))
		if err := h.sync(); err != nil {
			t.Error(err)
		}
	})
}

// TestStubReboot: FLASH_END(0) takes a legacy stub back into the ROM loader, as the
// straps stay latched; the newer stub ignores the flag.
func TestStubReboot(t *testing.T) {
	for _, tt := range []struct {
		text, entry uint32
		want        board.State
	}{{0x400BE000, 0x400BE5EC, board.StateROM}, {0x400A8000, 0x400A9074, board.StateStub}} {
		inROM(t, board.Config{}, func(t *testing.T, b *board.Board, h *host) {
			err := errors.Join(h.upload(tt.text, make([]byte, 100)), h.enter(tt.entry))
			_, _, err2 := h.ask(esprom.Begin{Op: esprom.FlashBegin, BlockSize: esprom.StubBlock, Long: true})
			_, _, err3 := h.ask(esprom.End{Op: esprom.FlashEnd})
			if err := errors.Join(err, err2, err3); err != nil {
				t.Fatal(err)
			}
			h.listen(10 * time.Millisecond)
			if s := b.Status(); s.State != tt.want || tt.want == board.StateROM && (s.Reason != board.SoftwareReset || s.Strap != 0x03) {
				t.Errorf("entry %#x: %+v", tt.entry, s)
			}
			if tt.want == board.StateROM && !strings.Contains(h.log.String(), "rst:0x3 (SW_RESET),boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))\r\nwaiting for download\r\n") {
				t.Errorf("log %q", h.log.String())
			}
		})
	}
}

// TestRAMApp: an entry outside stub space starts a program, which prints.
func TestRAMApp(t *testing.T) {
	app := board.ProgramFunc(func(ctx context.Context, m *board.Machine) {
		m.Printf("Hello world! from %#x\n", m.Entry())
		<-ctx.Done()
	})
	inROM(t, board.Config{RAMApp: app}, func(t *testing.T, b *board.Board, h *host) {
		if err := errors.Join(h.upload(0x40080000, sample(5000)), h.enter(0x40080404)); err != nil {
			t.Fatal(err)
		}
		h.listen(time.Second)
		if !strings.HasSuffix(h.log.String(), "Hello world! from 0x40080404\n") || b.Status().State != board.StateRAMApp {
			t.Errorf("log %q, %v", h.log.String(), b.Status().State)
		}
		if err := h.connect(); err != nil {
			t.Errorf("after the program: %v", err)
		}
	})
}

// TestBaudChange: reply at the old rate, then only the new one is understood.
func TestBaudChange(t *testing.T) {
	inStub(t, board.Config{}, func(t *testing.T, b *board.Board, h *host) {
		if err := h.changeBaud(460800, 115200); err != nil {
			t.Fatal(err)
		}
		if v, err := h.reg(esprom.RegUARTClkDiv); err != nil || v != 0x00C00056 {
			t.Errorf("divider %#x, %v", v, err)
		}
		for baud, want := range map[int]bool{460800 * 102 / 100: true, 460800 * 98 / 100: true, 460800 * 104 / 100: false, 115200: false} {
			h.line.SetBaud(baud)
			_, err := h.reg(esprom.RegMagic)
			if (err == nil) != want {
				t.Errorf("host at %d: %v", baud, err)
			}
			h.line.SetBaud(460800)
			h.line.Write([]byte{0xC0, 0xC0})
			h.drain(10 * time.Millisecond)
		}
	})
}

// TestPace: bytes take their time on a paced line, in both directions.
func TestPace(t *testing.T) {
	inStub(t, board.Config{Pace: true}, func(t *testing.T, b *board.Board, h *host) {
		if err := h.changeBaud(921600, 115200); err != nil {
			t.Fatal(err)
		}
		data := sample(0x10000)
		begin := time.Now()
		if err := h.flashStub(0, data, false, true); err != nil {
			t.Fatal(err)
		}
		wire := time.Duration(len(data)) * 10 * time.Second / 921600
		if took := time.Since(begin); took < wire || took > wire*104/100 {
			t.Errorf("writing %d bytes took %v, the line alone %v", len(data), took, wire)
		}
		begin = time.Now()
		if _, _, err := h.readFlash(esprom.ReadFlash{Size: 0x10000, Packet: 0x1000, Window: 64}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < wire || took > wire*104/100 {
			t.Errorf("reading took %v, the line alone %v", took, wire)
		}
	})
}
