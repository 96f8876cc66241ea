package board_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/esprom"
	"porthole/internal/slip"
	"porthole/sim/board"
)

// atBoard connects a host to a new board in a bubble of virtual time.
func atBoard(t *testing.T, cfg board.Config, f func(t *testing.T, b *board.Board, h *host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBoardInBubble(t, cfg)
		defer b.Close()
		w, err := b.Connect()
		if err != nil {
			t.Fatal(err)
		}
		h := newHost(w)
		h.spacing = 5 * time.Millisecond
		f(t, b, h)
	})
}

// inROM is a board whose EN constant suits direct lines, reset into its ROM loader.
func inROM(t *testing.T, cfg board.Config, f func(t *testing.T, b *board.Board, h *host)) {
	t.Helper()
	cfg.EN = 20 * time.Millisecond
	atBoard(t, cfg, func(t *testing.T, b *board.Board, h *host) {
		if err := h.connect(); err != nil {
			t.Fatalf("connect: %v, board %+v", err, b.Status())
		}
		f(t, b, h)
	})
}

// inStub is inROM with a stub running.
func inStub(t *testing.T, cfg board.Config, f func(t *testing.T, b *board.Board, h *host)) {
	t.Helper()
	inROM(t, cfg, func(t *testing.T, b *board.Board, h *host) {
		if err := errors.Join(h.upload(0x400BE000, make([]byte, 3532)), h.enter(0x400BE5EC)); err != nil {
			t.Fatal(err)
		}
		f(t, b, h)
	})
}

// raw sends a frame body and returns the bodies that come back, in hex.
func (h *host) raw(t *testing.T, body string) []string {
	t.Helper()
	p, err := hex.DecodeString(strings.ReplaceAll(body, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.line.Write(slip.Append(nil, p)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		f, err := h.frame(200 * time.Millisecond)
		if err != nil {
			return got
		}
		got = append(got, hex.EncodeToString(f))
	}
}

const (
	readMagic = "000a040000000000 00100040"
	unknown14 = "0014000000000000"
)

// TestROMQuirks replays what genuine ROM code was seen to do (esp32-serial 12).
func TestROMQuirks(t *testing.T) {
	eight := func(s string) []string { return slices.Repeat([]string{s}, 8) }
	for _, tt := range []struct {
		name string
		ask  []string // all but the last are set-up
		want []string
	}{
		{"SYNC answers eight times with its first word", []string{"0008240000000000 07071220" + strings.Repeat("55", 32)}, eight("0108040007071220" + "00000000")},
		{"SYNC with 8 bytes and the wrong magic", []string{"0008080000000000 0102030405060708"}, eight("0108040001020304" + "00000000")},
		{"value field is stale", []string{readMagic, "000d080000000000 0000000000000000"}, []string{"010d0400831df00000000000"}},
		{"error byte is stale after success", []string{"000c000000000000", readMagic}, []string{"010a0400831df00000050000"}},
		{"unknown after SYNC: its opcode, eight times", []string{unknown14}, eight("01080400070712200105" + "0000")},
		{"unknown after READ_REG: its opcode, once", []string{readMagic, "00d0000000000000"}, []string{"010a0400831df00001050000"}},
		{"direction byte 1", []string{readMagic, "010a040000000000 00100040"}, []string{"010a0400831df00001050000"}},
		{"size field too large", []string{"000affff00000000 00100040"}, []string{"010a0400831df00000000000"}},
		{"size field too small", []string{"000a000000000000 00100040"}, []string{"010a0400831df00000000000"}},
		{"three-byte frame runs with the old contents", []string{readMagic, "000a04"}, []string{"010a0400831df00000000000"}},
		{"empty frame is silent", []string{""}, nil},
		{"one byte of garbage as a frame", []string{readMagic, "00"}, []string{"010a0400831df00000000000"}},
		{"wrong checksum", []string{
			"0005100000000000 04000000010000000018000000000840",
			"0007140000000000 04000000000000000000000000000000 01020304"}, []string{"01070400070712200107" + "0000"}},
		{"the number of a bad block is used up", []string{
			"0005100000000000 04000000010000000018000000000840",
			"0007140000000000 04000000000000000000000000000000 01020304",
			"00071400eb000000 04000000000000000000000000000000 01020304"}, []string{"01070400070712200105" + "0000"}},
		{"data without begin", []string{"00031400ef000000 00000000000000000000000000000000"}, []string{"01030400070712200106" + "0000"}},
		{"FLASH_BEGIN with the encrypt word", []string{"000d040000000000 00000000", "0002140000000000 0004000001000000000400000000000000000000"}, []string{"01020400070712200105" + "0000"}},
		{"FLASH_BEGIN past the end", []string{"000d040000000000 00000000", "0002100000000000 00100000010000000004000000f83f00"}, []string{"01020400070712200106" + "0000"}},
		{"no flash before SPI_ATTACH", []string{"0002100000000000 00040000010000000004000000000000"}, []string{"01020400070712200106" + "0000"}},
		{"SPI_ATTACH takes 4 bytes", []string{"000d040000000000 00000000"}, []string{"010d0400070712200000" + "0000"}},
		{"DEFL_DATA that is not zlib", []string{"000d040000000000 00000000", "0010100000000000 00040000010000000004000000000000",
			"00111400eb000000 04000000000000000000000000000000 01020304"}, []string{"0111040007071220010b" + "0000"}},
		{"what a deflate error leaves behind", []string{"000d040000000000 00000000", "0010100000000000 00040000010000000004000000000000",
			"00111400eb000000 04000000000000000000000000000000 01020304", readMagic}, []string{"010a0400831df00000000203"}},
		{"READ_FLASH_SLOW above 64", []string{"000d040000000000 00000000", "000e080000000000 0000000040000000", "000e080000000000 0000000041000000"},
			[]string{"010e440007071220" + strings.Repeat("ff", 64) + "010a0000"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inROM(t, board.Config{ROM: board.ROMStrict}, func(t *testing.T, b *board.Board, h *host) {
				for _, s := range tt.ask[:len(tt.ask)-1] {
					h.raw(t, s)
				}
				if got := h.raw(t, tt.ask[len(tt.ask)-1]); !slices.Equal(got, tt.want) {
					t.Errorf("\n got %q\nwant %q", got, tt.want)
				}
			})
		})
	}
}

func TestROMFast(t *testing.T) {
	inROM(t, board.Config{}, func(t *testing.T, b *board.Board, h *host) {
		if got := h.raw(t, unknown14); len(got) != 1 || got[0] != "011404000707122001050000" {
			t.Errorf("%q", got)
		}
	})
}

// TestROMReadsBeforeSync: a register can be read without a SYNC, at any rate.
func TestROMReadsBeforeSync(t *testing.T) {
	atBoard(t, board.Config{}, func(t *testing.T, b *board.Board, h *host) {
		b.Restart(true)
		h.line.SetBaud(230400)
		h.drain(10 * time.Millisecond)
		if v, err := h.reg(esprom.RegMagic); err != nil || v != esprom.ChipMagic {
			t.Errorf("%#x, %v", v, err)
		}
	})
}

func TestRegisters(t *testing.T) {
	mac := esprom.MAC{0x94, 0xB9, 0x7E, 0x5A, 0x6E, 0x58}
	inROM(t, board.Config{Chip: board.WROVERE(mac)}, func(t *testing.T, b *board.Board, h *host) {
		for addr, want := range map[uint32]uint32{
			esprom.RegMagic: 0x00F01D83, esprom.EfuseWord(0): 0, esprom.EfuseWord(1): 0x7E5A6E58,
			esprom.EfuseWord(2): 0x00E294B9, esprom.EfuseWord(3): 0x0000A200,
			esprom.EfuseWord(4): 0x00000333, esprom.EfuseWord(5): 0x01100000,
			esprom.EfuseWord(6): 0x00000004, esprom.RegEfuseBlk1: 0, esprom.RegAPBDate: 0x96042000,
			esprom.RegUARTClkDiv: 0x0030015B, esprom.RegRTCCali: 0x0003EC00,
			esprom.RegGPIOStrap: 0x03, esprom.RegSDIOConf: 0x0AA00000,
			esprom.SPIUser: 0x80000040, esprom.SPIUser1: 0x5C000007, esprom.SPIUser2: 0x70000000,
			0x3FF00000: 0, 0x3FFE0000: 0,
		} {
			if v, err := h.reg(addr); err != nil || v != want {
				t.Errorf("register %#x: %#x, %v; want %#x", addr, v, err, want)
			}
		}
		w := esprom.WriteReg{{Addr: 0x3FFE0004, Value: 0xDEADBEEF, Mask: 0xFFFFFFFF}, {Addr: 0x3FFE0004, Value: 0, Mask: 0xFF00}}
		if _, _, err := h.ask(w); err != nil {
			t.Fatal(err)
		}
		if v, _ := h.reg(0x3FFE0004); v != 0xDEAD00EF {
			t.Errorf("RAM holds %#x after a masked write", v)
		}
		h.ask(esprom.WriteReg{{Addr: esprom.EfuseWord(1), Value: 0, Mask: 0xFFFFFFFF}})
		if v, _ := h.reg(esprom.EfuseWord(1)); v != 0x7E5A6E58 {
			t.Error("eFuses can be written")
		}
	})
}

// spi runs a flash command through the SPI1 registers, as esptool does.
func (h *host) spi(op uint8, addr, w0, phases uint32) (uint32, error) {
	regs := []esprom.RegWrite{
		{Addr: esprom.SPIMisoDLen, Value: 23}, {Addr: esprom.SPIUser, Value: esprom.SPIUserCommand | phases},
		{Addr: esprom.SPIUser2, Value: 0x70000000 | uint32(op)}, {Addr: esprom.SPIAddr, Value: addr << 8},
		{Addr: esprom.SPIW0, Value: w0}, {Addr: esprom.SPICmd, Value: esprom.SPICmdUser},
	}
	for _, r := range regs {
		r.Mask = 0xFFFFFFFF
		if _, _, err := h.ask(esprom.WriteReg{r}); err != nil {
			return 0, err
		}
	}
	for range 10 {
		if v, err := h.reg(esprom.SPICmd); err != nil || v&esprom.SPICmdUser == 0 {
			if err != nil {
				return 0, err
			}
			return h.reg(esprom.SPIW0)
		}
	}
	return 0, errors.New("SPI command does not end")
}

func TestSPICommands(t *testing.T) {
	inROM(t, board.Config{}, func(t *testing.T, b *board.Board, h *host) {
		check := func(name string, op uint8, addr, w0, want uint32) {
			t.Helper()
			if v, err := h.spi(op, addr, w0, esprom.SPIUserMiso); err != nil || v != want {
				t.Errorf("%s: %#x, %v; want %#x", name, v, err, want)
			}
		}
		check("RDID before attach", esprom.NorReadID, 0, 0, 0xFFFFFF)
		check("SFDP before attach", esprom.NorReadSFDP, 0, 0, 0xFFFFFFFF)
		h.ask(esprom.Attach{ROM: true})
		check("RDID", esprom.NorReadID, 0, 0, 0x001640EF)
		check("SFDP", esprom.NorReadSFDP, 0, 0, 0x50444653)
		check("SFDP 0x10", esprom.NorReadSFDP, 0x10, 0, 0xEF)
		check("status 1", esprom.NorReadStatus1, 0, 0, 0)
		check("status 2", esprom.NorReadStatus2, 0, 0, 2)
		check("status 3", esprom.NorReadStatus3, 0, 0, 0x60)
		h.spi(esprom.NorWriteStatus1, 0, 0x1C, 0)
		check("status 1 without write enable", esprom.NorReadStatus1, 0, 0, 0)
		h.spi(esprom.NorWriteEnable, 0, 0, 0)
		check("write latch", esprom.NorReadStatus1, 0, 0, 2)
		h.spi(esprom.NorWriteStatus1, 0, 0x1C, 0)
		check("status 1 written", esprom.NorReadStatus1, 0, 0, 0x1C)
	})
}

// TestBlockProtection: with protection bits set nothing changes the flash, and a
// digest tells; writing status register 1 zero cures it.
func TestBlockProtection(t *testing.T) {
	inROM(t, board.Config{Faults: board.Schedule{{Name: "protect", On: board.OnCommand, N: 1}}}, func(t *testing.T, b *board.Board, h *host) {
		h.ask(esprom.Attach{ROM: true})
		write := func() byte {
			t.Helper()
			if err := h.flashROM(0x1000, make([]byte, 0x400), false); err != nil {
				t.Fatal(err)
			}
			var p [1]byte
			b.ReadFlash(p[:], 0x1000)
			return p[0]
		}
		if write() != 0xFF {
			t.Error("protected flash was written")
		}
		h.spi(esprom.NorWriteEnable, 0, 0, 0)
		h.spi(esprom.NorWriteStatus1, 0, 0, 0)
		if write() != 0 {
			t.Error("flash stays protected")
		}
	})
}

// flashROM writes data through the ROM loader.
func (h *host) flashROM(offset uint32, data []byte, compress bool) error {
	size := uint32(len(data)+esprom.ROMBlock-1) / esprom.ROMBlock * esprom.ROMBlock
	op, begin := esprom.FlashData, esprom.FlashBegin
	if compress {
		op, begin = esprom.DeflData, esprom.DeflBegin
		data = pack(data)
	} else {
		data = append(bytes.Clone(data), bytes.Repeat([]byte{0xFF}, int(size)-len(data))...)
	}
	blocks := uint32(len(data)+esprom.ROMBlock-1) / esprom.ROMBlock
	if _, _, err := h.ask(esprom.Begin{Op: begin, Size: size, Blocks: blocks, BlockSize: esprom.ROMBlock, Offset: offset}); err != nil {
		return err
	}
	return h.blocks(op, data, esprom.ROMBlock)
}

// checkFlash compares flash content with want and both forms of its digest.
func checkFlash(t *testing.T, b *board.Board, h *host, offset uint32, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	b.ReadFlash(got, int64(offset))
	if !bytes.Equal(got, want) {
		t.Errorf("flash at %#x differs", offset)
	}
	_, p, err := h.ask(esprom.Digest{Addr: offset, Size: uint32(len(want))})
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := esprom.ParseDigest(p); err != nil || sum != md5.Sum(want) {
		t.Errorf("digest %x, %v; want %x", sum, err, md5.Sum(want))
	}
	if !h.stub && string(p) != fmt.Sprintf("%x", md5.Sum(want)) {
		t.Errorf("digest %q is not lower-case hex", p)
	}
}

func TestROMFlash(t *testing.T) {
	for _, compress := range []bool{false, true} {
		for _, latency := range []bool{false, true} {
			t.Run(fmt.Sprintf("compress=%v,latency=%v", compress, latency), func(t *testing.T) {
				inROM(t, board.Config{Latency: latency}, func(t *testing.T, b *board.Board, h *host) {
					h.ask(esprom.Attach{ROM: true})
					app := sample(0x6790)
					begin := time.Now()
					for range 2 { // the second time over old content
						if err := h.flashROM(0x10000, app, compress); err != nil {
							t.Fatal(err)
						}
						checkFlash(t, b, h, 0x10000, app)
					}
					// 7 sectors erased and 104 pages written, twice.
					want := time.Duration(0)
					if latency {
						want = 2 * (7*45 + 52) * time.Millisecond
					}
					if took := time.Since(begin); took < want || took > want+50*time.Millisecond {
						t.Errorf("took %v, want about %v", took, want)
					}
				})
			})
		}
	}
}

// TestNORSemantics: without an erase, writing only clears bits.
func TestNORSemantics(t *testing.T) {
	inROM(t, board.Config{}, func(t *testing.T, b *board.Board, h *host) {
		h.ask(esprom.Attach{ROM: true})
		write := func(size uint32, c byte) {
			t.Helper()
			if _, _, err := h.ask(esprom.Begin{Op: esprom.FlashBegin, Size: size, Blocks: 1, BlockSize: 16, Offset: 0x2000}); err != nil {
				t.Fatal(err)
			}
			if _, _, err := h.ask(esprom.Data{Op: esprom.FlashData, Block: bytes.Repeat([]byte{c}, 16)}); err != nil {
				t.Fatal(err)
			}
		}
		write(16, 0xF0) // erases
		write(0, 0x3C)  // does not
		var p [17]byte
		b.ReadFlash(p[:], 0x2000)
		if p[0] != 0x30 || p[15] != 0x30 || p[16] != 0xFF {
			t.Errorf("flash holds % x", p)
		}
		write(16, 0x0F)
		b.ReadFlash(p[:], 0x2000)
		if p[0] != 0x0F {
			t.Errorf("after an erase %02x", p[0])
		}
	})
}
