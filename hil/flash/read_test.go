package flash_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"porthole/hil/flash"
	"porthole/internal/boardcfg"
	"porthole/internal/espimage"
	"porthole/internal/nvs"
	"porthole/sim/board"
)

// flashed is a board that was flashed already.
func flashed(t *testing.T, files []flash.File, cfg board.Config) *bench {
	t.Helper()
	content := bytes.Repeat([]byte{0xFF}, 4<<20)
	for _, f := range files {
		copy(content[f.Offset:], f.Data)
	}
	var err error
	if cfg.Flash, err = board.NewFlash(content, 4<<20); err != nil {
		t.Fatal(err)
	}
	return newBench(t, options{board: cfg})
}

func TestRead(t *testing.T) {
	files := small(t)
	for _, tt := range []struct {
		name      string
		region    flash.Region
		off, size int64
		faults    string
	}{
		{"one byte", flash.Region{Offset: 0x8000, Size: 1}, 0x8000, 1, ""},
		{"unaligned", flash.Region{Offset: 0x1003, Size: 0x1041}, 0x1003, 0x1041, ""},
		{"partition", flash.Region{Partition: "nvs"}, 0x9000, 0x5000, ""},
		{"everything", flash.Region{All: true}, 0, 4 << 20, ""},
		{"flipped bits", flash.Region{Offset: 0x10000, Size: 0x3000}, 0x10000, 0x3000, "flip tx=5000 bit=3 count=2\nflip tx=22035 bit=0\nflip tx=38040 bit=0\nflip tx=52045 bit=0"},
		{"a lost answer and a reset", flash.Region{Offset: 0x10000, Size: 0x3000}, 0x10000, 0x3000, "lostreply command=70\nreset command=170 reason=0x10"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				faults, err := board.ParseSchedule(strings.NewReader(tt.faults))
				if err != nil {
					t.Fatal(err)
				}
				b := flashed(t, files, board.Config{Faults: faults})
				defer b.close()
				var out bytes.Buffer
				region, err := b.flasher.Read(t.Context(), &out, tt.region)
				if err != nil || region.Offset != tt.off || region.Size != tt.size {
					t.Fatalf("%+v, %v", region, err)
				}
				if !bytes.Equal(out.Bytes(), b.read(tt.off, tt.size)) {
					t.Error("what was read is not what is there")
				}
				if b.board.Status().FaultsLeft != 0 {
					t.Errorf("%d faults did not happen", b.board.Status().FaultsLeft)
				}
			})
		})
	}
	for _, r := range []flash.Region{{Offset: 0, Size: 0}, {Offset: 4 << 20, Size: 1}, {Offset: 0x3FFFFF, Size: 2}, {Offset: -1, Size: 4}, {Partition: "nowhere"}} {
		bubble(t, func(t *testing.T) {
			b := flashed(t, files, board.Config{})
			defer b.close()
			if _, err := b.flasher.Read(t.Context(), new(bytes.Buffer), r); flash.HintOf(err) == "" {
				t.Errorf("%+v: %v", r, err)
			}
		})
	}
}

func TestErase(t *testing.T) {
	files := small(t)
	for _, tt := range []struct {
		name      string
		region    flash.Region
		off, size int64
	}{
		{"sector", flash.Region{Offset: 0x1000, Size: 0x1000}, 0x1000, 0x1000},
		{"partition", flash.Region{Partition: "nvs"}, 0x9000, 0x5000},
		{"everything", flash.Region{All: true}, 0, 4 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := flashed(t, files, board.Config{Faults: board.Schedule{{Name: "ignoreerase", On: board.OnErase, N: 1}}})
				defer b.close()
				before := b.read(0, 4<<20)
				if _, err := b.flasher.Erase(t.Context(), tt.region); err != nil {
					t.Fatal(err)
				}
				after := b.read(0, 4<<20)
				if !espimage.Erased(after[tt.off : tt.off+tt.size]) {
					t.Error("not erased")
				}
				if !bytes.Equal(before[:tt.off], after[:tt.off]) || !bytes.Equal(before[tt.off+tt.size:], after[tt.off+tt.size:]) {
					t.Error("something else changed")
				}
				report, err := b.flasher.Erase(t.Context(), tt.region)
				if err != nil || report.Written != 0 {
					t.Errorf("again: %d bytes, %v", report.Written, err)
				}
			})
		})
	}
	bubble(t, func(t *testing.T) {
		b := flashed(t, files, board.Config{})
		defer b.close()
		if _, err := b.flasher.Erase(t.Context(), flash.Region{Offset: 0x1000, Size: 0x800}); flash.HintOf(err) == "" {
			t.Errorf("half a sector: %v", err)
		}
	})
}

func TestVerify(t *testing.T) {
	bubble(t, func(t *testing.T) {
		files := small(t)
		b := flashed(t, files, board.Config{})
		defer b.close()
		files[4].Data = bytes.Clone(files[4].Data)
		files[4].Data[0x1005] ^= 1
		got, err := b.flasher.Verify(t.Context(), files)
		if err != nil || len(got) != len(files) {
			t.Fatal(got, err)
		}
		for i, c := range got {
			if c.Same != (i != 4) || c.Patched {
				t.Errorf("%s: %v", c.File.Name, c.Same)
			}
		}
		if s := got[4].Sectors; len(s) != 1 || s[0] != 0x11000 {
			t.Errorf("differs at %x", s)
		}
	})
}

func TestInfo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		files := firmware(t, "2.0.1", 0)
		b := flashed(t, files, board.Config{})
		defer b.close()
		info, err := b.flasher.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.Chip.String() != "ESP32-D0WD-V3 v3.1, 94:b9:7e:5a:6e:58, 4 MB flash" || info.Table == nil || info.Bootloader == nil ||
			len(info.Apps) != 2 || info.Apps[0].App == nil || info.Apps[0].App.Version != "2.0.1" || !info.Apps[0].Boots || info.Apps[1].App != nil {
			t.Errorf("%+v", info)
		}
		if !strings.Contains(info.Log, "waiting for download") {
			t.Errorf("log %q", info.Log)
		}
	})
	bubble(t, func(t *testing.T) {
		b := newBench(t, options{board: board.Config{Chip: board.WROVER(testMAC)}})
		defer b.close()
		info, err := b.flasher.Info(t.Context())
		if err != nil || info.Table != nil || info.TableFault == "" || info.Bootloader != nil || info.Chip.Name() != "ESP32-D0WDQ6" {
			t.Errorf("erased: %+v, %v", info, err)
		}
	})
}

func TestEditNVS(t *testing.T) {
	set := func(c boardcfg.Config) func(*nvs.Store) error {
		return func(s *nvs.Store) error { return c.Write(s) }
	}
	lookup := func(t *testing.T, b *bench) (boardcfg.Config, *nvs.Store) {
		t.Helper()
		s, err := nvs.Parse(b.read(0x9000, 0x5000))
		if err != nil {
			t.Fatal(err)
		}
		c, err := boardcfg.Read(s)
		if err != nil {
			t.Fatal(err)
		}
		return c, s
	}
	bubble(t, func(t *testing.T) {
		var erased []uint64
		b := flashed(t, small(t), board.Config{Trace: func(e board.TraceEvent) {
			if e.Kind == board.TraceErase {
				erased = append(erased, e.A)
			}
		}})
		defer b.close()
		before := b.read(0, 4<<20)
		report, err := b.flasher.EditNVS(t.Context(), flash.DefaultNVS, set(settings()))
		if err != nil || report.Written == 0 {
			t.Fatalf("%+v, %v", report, err)
		}
		got, store := lookup(t, b)
		if got != settings().Defaults() {
			t.Errorf("%+v", got)
		}
		if v, err := store.Lookup("cal", "offset"); err != nil || !v.Equal(nvs.Int(int32(-7))) {
			t.Errorf("another namespace: %v, %v", v.Describe(), err)
		}
		if after := b.read(0, 4<<20); !bytes.Equal(before[:0x9000], after[:0x9000]) || !bytes.Equal(before[0xE000:], after[0xE000:]) {
			t.Error("something else changed")
		}
		if len(erased) != 1 || erased[0] != 0x9000 {
			t.Errorf("erased %x, want the one changed sector", erased)
		}
		erased = nil
		report, err = b.flasher.EditNVS(t.Context(), flash.DefaultNVS, set(settings()))
		if err != nil || report.Written != 0 || len(erased) != 0 {
			t.Errorf("again: %+v, %v", report, err)
		}
		refusal := errors.New("missing")
		if _, err := b.flasher.EditNVS(t.Context(), flash.DefaultNVS, func(*nvs.Store) error { return refusal }); !errors.Is(err, refusal) {
			t.Errorf("edit fails: %v", err)
		}
	})
	for _, tt := range []struct {
		name, label string
		files       []flash.File
	}{
		{"no table", "nvs", nil},
		{"no such partition", "config", small(t)},
		{"not a store", "app0", small(t)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := flashed(t, tt.files, board.Config{})
				defer b.close()
				_, err := b.flasher.EditNVS(t.Context(), tt.label, set(settings()))
				if _, ok := errors.AsType[*flash.RefusedError](err); !ok || flash.HintOf(err) == "" {
					t.Errorf("%v", err)
				}
			})
		})
	}
}
