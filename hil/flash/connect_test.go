package flash_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/hil"
	"porthole/hil/flash"
	"porthole/hil/hiltest"
	"porthole/internal/esprom"
	"porthole/internal/slip"
	"porthole/sim/board"
)

// fake is a board that answers like a WROVER-E, with a flash of 4 MB.
func fake() *hiltest.Board {
	w1, w2 := testMAC.Words()
	return &hiltest.Board{
		Regs: map[uint32]uint32{
			esprom.RegMagic: esprom.ChipMagic, esprom.EfuseWord(1): w1, esprom.EfuseWord(2): w2,
			esprom.EfuseWord(3): 0xA200, esprom.EfuseWord(4): 0x333, esprom.EfuseWord(5): 0x01100000, esprom.EfuseWord(6): 4,
			esprom.RegAPBDate: 0x96042000, esprom.RegRTCCali: 2008 << 7,
			esprom.SPIUser: esprom.SPIUserReset, esprom.SPIUser2: esprom.SPIUser2Reset,
			esprom.SPIW0: esprom.FlashID(0xEF, 0x40, 4<<20),
		},
		Flash: make([]byte, 4<<20),
		Banner: func(download bool) string {
			if download {
				return board.Banner(3, board.PowerOnReset, 0x03) + "waiting for download\r\n"
			}
			return board.Banner(3, board.PowerOnReset, 0x13)
		},
	}
}

// on is a flasher on a fake board.
func on(t *testing.T, b *hiltest.Board) *flash.Flasher {
	t.Helper()
	f, err := flash.New(flash.Config{Patience: time.Second, Open: func(context.Context) (hil.Port, error) { return b.Plug(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestConversation is the whole of what a flasher says to write one sector.
func TestConversation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := fake()
		data := make([]byte, 4096)
		copy(data, "nothing that looks like a program")
		report, err := on(t, b).Write(t.Context(), []flash.File{{Name: "data", Offset: 0x3000, Data: data}}, flash.WriteOptions{})
		b.Wait()
		if err != nil || report.Written != 4096 {
			t.Fatalf("%+v, %v", report, err)
		}
		fuses := strings.Fields("READ_REG 0x3ff5a000 READ_REG 0x3ff5a004 READ_REG 0x3ff5a008 READ_REG 0x3ff5a00c " +
			"READ_REG 0x3ff5a010 READ_REG 0x3ff5a014 READ_REG 0x3ff5a018 READ_REG 0x3ff6607c")
		var reads []string
		for i := 0; i < len(fuses); i += 2 {
			reads = append(reads, fuses[i]+" "+fuses[i+1])
		}
		twice := func(s string) []string { return []string{s, s} }
		want := slices.Concat(
			[]string{"lines dtr=0 rts=1", "lines dtr=1 rts=0", "lines dtr=0 rts=0", "SYNC"},
			twice("READ_REG 0x40001000"), twice("READ_REG 0x3ff5f06c"), twice("READ_REG 0x3ff5a010"),
			[]string{"CHANGE_BAUD 921672", "baud 921600"}, twice("READ_REG 0x40001000"),
			reads, []string{"SYNC"}, reads,
			[]string{"SPI_ATTACH 0x0"}, twice("READ_REG 0x3ff4201c"), twice("READ_REG 0x3ff42024"),
			[]string{"WRITE_REG 0x3ff4202c=0x17 0x3ff4201c=0x90000000 0x3ff42024=0x7000009f 0x3ff42080=0x0 0x3ff42000=0x40000",
				"READ_REG 0x3ff42000"}, twice("READ_REG 0x3ff42080"),
			[]string{"WRITE_REG 0x3ff4201c=0x80000040 0x3ff42024=0x70000000", "SPI_SET_PARAMS 0x400000"},
			twice("READ_REG 0x40001000"), []string{"SPI_FLASH_MD5 0x1000 bytes at 0x3000"},
			twice("READ_REG 0x40001000"), []string{"SPI_FLASH_MD5 0x1000 bytes at 0x3000",
				"SPI_FLASH_MD5 0x100 bytes at 0x8000", "READ_FLASH_SLOW 0x40 bytes at 0x8000", "READ_FLASH_SLOW 0x40 bytes at 0x8040",
				"READ_FLASH_SLOW 0x40 bytes at 0x8080", "READ_FLASH_SLOW 0x40 bytes at 0x80c0",
				"SPI_FLASH_MD5 0x1000 bytes at 0x3000",
				"DEFL_BEGIN 0x1000 bytes at 0x3000, 1 blocks of 0x400", "DEFL_DATA seq 0",
				"SPI_FLASH_MD5 0x1000 bytes at 0x3000", "SPI_FLASH_MD5 0x1000 bytes at 0x3000"},
			twice("READ_REG 0x40001000"), []string{"SPI_FLASH_MD5 0x1000 bytes at 0x3000",
				"baud 115200", "lines dtr=0 rts=1", "lines dtr=0 rts=0"},
		)
		got := b.Transcript()
		for i := range got { // how well it compresses is not the point
			if strings.HasPrefix(got[i], "DEFL_DATA") {
				got[i], _, _ = strings.Cut(got[i], ",")
			}
		}
		if len(got) > 0 && got[0] == "baud 115200" {
			got = got[1:]
		}
		if !slices.Equal(got, want) {
			for i := range max(len(got), len(want)) {
				var g, w string
				if i < len(got) {
					g = got[i]
				}
				if i < len(want) {
					w = want[i]
				}
				if g != w {
					t.Fatalf("line %d is %q, want %q; all of it:\n%s", i, g, w, strings.Join(got, "\n"))
				}
			}
		}
	})
}

func TestRefusesProtectedChips(t *testing.T) {
	for _, tt := range []struct {
		name string
		word int
		bits uint32
		why  string
	}{
		{"encryption, one count bit", 0, 1 << 20, "flash encryption"},
		{"encryption, three count bits", 0, 7 << 20, "flash encryption"},
		{"encryption, two count bits: off again", 0, 3 << 20, ""},
		{"secure boot v1", 6, 1 << 4, "secure boot (v1)"},
		{"secure boot v2", 6, 1 << 5, "secure boot (v2)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := fake()
				b.Regs[esprom.EfuseWord(tt.word)] |= tt.bits
				_, err := on(t, b).Write(t.Context(), []flash.File{{Name: "data", Offset: 0x3000, Data: []byte("x")}}, flash.WriteOptions{Force: true})
				b.Wait()
				_, refused := errors.AsType[*flash.RefusedError](err)
				if refused != (tt.why != "") || tt.why != "" && !strings.Contains(err.Error(), tt.why) {
					t.Fatalf("%v, want %q", err, tt.why)
				}
				for _, line := range b.Transcript() {
					if refused && (strings.Contains(line, "BEGIN") || strings.Contains(line, "DATA")) {
						t.Errorf("refused, and sent %s", line)
					}
				}
				if dtr, rts := b.Lines(); dtr || rts {
					t.Error("the chip was not released")
				}
			})
		})
	}
}

func TestRefusesOtherChips(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := fake()
		b.Regs[esprom.RegMagic] = 0x6F51306F // an ESP32-C3
		_, err := on(t, b).Info(t.Context())
		b.Wait()
		if _, ok := errors.AsType[*flash.RefusedError](err); !ok || !strings.Contains(err.Error(), "0x6f51306f") {
			t.Errorf("%v, want a refusal that names the chip", err)
		}
	})
}

// TestFlashPins checks that a flash on unusual pins is attached to them.
func TestFlashPins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := fake()
		b.Regs[esprom.EfuseWord(3)] |= 11 << 4
		b.Regs[esprom.EfuseWord(5)] |= 6 | 17<<5 | 8<<10 | 16<<15
		if _, err := on(t, b).Info(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.Wait()
		want := fmt.Sprintf("SPI_ATTACH 0x%x", 11<<24|16<<18|8<<12|17<<6|6)
		if log := b.Transcript(); !slices.Contains(log, want) {
			t.Errorf("no %s in %s", want, log)
		}
	})
}

// TestVerdicts checks what is said of boards that cannot be reached.
func TestVerdicts(t *testing.T) {
	const brown = "\r\nBrownout detector was triggered\r\n\r\n"
	for _, tt := range []struct {
		name   string
		change func(*hiltest.Board)
		bare   bool
		want   flash.Verdict
	}{
		{"silent", func(b *hiltest.Board) { b.Mute, b.Banner = true, nil }, false, flash.NoAnswer},
		{"boots the application", func(b *hiltest.Board) {
			b.Mute, b.Banner = true, func(bool) string { return board.Banner(3, board.PowerOnReset, 0x13) }
		}, false, flash.WrongMode},
		{"hears nothing", func(b *hiltest.Board) { b.Mute = true }, false, flash.SilentLoader},
		{"noise", func(b *hiltest.Board) { b.Mute, b.Banner = true, func(bool) string { return "\x80\xff\x00\x1b[2J" } }, false, flash.NoSync},
		{"brownouts", func(b *hiltest.Board) {
			b.Mute, b.Banner = true, func(bool) string { return board.Banner(3, board.BrownoutReset, 0x13) + brown }
		}, false, flash.BrownoutLoop},
		{"power comes and goes", func(b *hiltest.Board) {
			b.Mute, b.Banner = true, func(bool) string { return strings.Repeat(board.Banner(3, board.PowerOnReset, 0x13), 3) }
		}, false, flash.PowerLoop},
		{"no lines", func(b *hiltest.Board) { b.Mute, b.Banner = true, nil }, true, flash.NoLines},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := fake()
				tt.change(b)
				f, err := flash.New(flash.Config{Open: func(context.Context) (hil.Port, error) {
					if tt.bare {
						return bare{b.Plug()}, nil
					}
					return b.Plug(), nil
				}})
				if err != nil {
					t.Fatal(err)
				}
				_, err = f.Info(t.Context())
				b.Wait()
				e, ok := errors.AsType[*flash.Error](err)
				if !ok || e.Verdict != tt.want {
					t.Fatalf("%v, want %v", err, tt.want)
				}
				if flash.HintOf(err) == "" || e.Verdict.String() == "" {
					t.Errorf("no words for it: %v", err)
				}
			})
		})
	}
}

// TestStubIsSentBack meets a chip on which somebody left a stub running.
func TestStubIsSentBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := fake()
		stub, ended := true, false
		b.Answer = func(req esprom.Request) ([]byte, bool) {
			if !stub {
				return nil, false
			}
			if req.Op == esprom.FlashEnd {
				stub, ended = false, true
			}
			resp := esprom.Response{Op: req.Op, Data: []byte{0, 0}}
			return slip.Append(nil, resp.Append(nil)), true
		}
		f, err := flash.New(flash.Config{Open: func(context.Context) (hil.Port, error) { return bare{b.Plug()}, nil }})
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Info(t.Context())
		b.Wait()
		if err != nil || !ended {
			t.Errorf("sent back %v, %v", ended, err)
		}
	})
}
