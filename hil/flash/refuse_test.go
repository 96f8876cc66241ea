package flash_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"porthole/hil"
	"porthole/hil/flash"
	"porthole/internal/espimage"
	"porthole/sim/board"
)

// TestRefusals hands over what must not be written. Each is refused with the
// reason and with what to do, and not one byte of the flash changes.
func TestRefusals(t *testing.T) {
	program := func(change func(*espimage.Header)) []byte {
		h := espimage.DefaultHeader(0x40080404)
		if change != nil {
			change(&h)
		}
		img, err := espimage.Build(h, []espimage.Segment{{Addr: 0x40080400, Data: bytes.Repeat([]byte{1, 2, 3, 4}, 2000)}})
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	set := firmware(t, "1.0.0", 0)
	boot, table, app := set[0].Data, set[1].Data, set[3].Data
	tooLarge := &espimage.Table{MD5: true, Partitions: []espimage.Partition{
		{Type: espimage.TypeApp, Subtype: espimage.AppFactory, Offset: 0x10000, Size: 0x1000, Label: "tiny"},
	}}
	tinyTable, err := tooLarge.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	flip := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	for _, tt := range []struct {
		name  string
		files []flash.File
		why   string
		force bool // is refused even so
	}{
		{"empty file", []flash.File{{Offset: 0x10000}}, "empty", true},
		{"within a sector", []flash.File{{Offset: 0x10100, Data: []byte("x")}}, "within a sector", true},
		{"overlap", []flash.File{{Name: "a", Offset: 0x20000, Data: make([]byte, 0x2001)}, {Name: "b", Offset: 0x22000, Data: []byte("x")}}, `"a" reaches to 0x22001`, true},
		{"same place twice", []flash.File{{Name: "a", Offset: 0x20000, Data: []byte("x")}, {Name: "b", Offset: 0x20000, Data: []byte("x")}}, "reaches to", true},
		{"beyond the flash", []flash.File{{Offset: 0x3FF000, Data: make([]byte, 0x1001)}}, "the flash has 0x400000 bytes", true},
		{"another chip", []flash.File{{Offset: 0x10000, Data: program(func(h *espimage.Header) { h.ChipID = 9 })}}, "chip id 9", false},
		{"bootloader of another chip", []flash.File{{Offset: 0x1000, Data: program(func(h *espimage.Header) { h.ChipID = 5 })}}, "chip id 5", false},
		{"newer silicon", []flash.File{{Offset: 0x10000, Data: program(func(h *espimage.Header) { h.MinRevFull = 302 })}}, "needs chip revision v3.2, chip is v3.1", false},
		{"older silicon", []flash.File{{Offset: 0x10000, Data: program(func(h *espimage.Header) { h.MaxRevFull = 299 })}}, "chip revision", false},
		{"corrupt", []flash.File{{Offset: 0x10000, Data: flip(app, 5000)}}, "checksum", false},
		{"hash", []flash.File{{Offset: 0x10000, Data: flip(app, len(app)-1)}}, "SHA-256", false},
		{"cut", []flash.File{{Offset: 0x10000, Data: app[:len(app)/2]}}, "ends at byte", false},
		{"application as bootloader", []flash.File{{Offset: 0x1000, Data: app}}, "0x1000 is the bootloader's place", false},
		{"bootloader as application", []flash.File{{Offset: 0x10000, Data: boot}}, "it is a bootloader", false},
		{"wrong address for its mapping", []flash.File{{Offset: 0x11000, Data: app}}, "modulo 64 KB", false},
		{"no program at 0x1000", []flash.File{{Offset: 0x1000, Data: bytes.Repeat([]byte("hello"), 10)}}, "first byte", false},
		{"broken table", []flash.File{{Offset: 0x8000, Data: flip(table, 40)}}, "no partition table", false},
		{"larger than its partition", []flash.File{{Offset: 0x8000, Data: tinyTable}, {Name: "app", Offset: 0x10000, Data: app}}, `do not fit partition "tiny"`, true},
		{"no such partition", []flash.File{{Offset: 0x8000, Data: table}, {Partition: "app7", Data: app}}, `no partition "app7"`, true},
		{"data where a slot is", []flash.File{{Offset: 0x8000, Data: table}, {Offset: 0x10000, Data: bytes.Repeat([]byte("no program"), 10)}}, "first byte", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBench(t, options{})
				defer b.close()
				_, err := b.flasher.Write(t.Context(), tt.files, flash.WriteOptions{})
				if _, ok := errors.AsType[*flash.RefusedError](err); !ok || !strings.Contains(err.Error(), tt.why) {
					t.Fatalf("%v, want a refusal with %q", err, tt.why)
				}
				if flash.HintOf(err) == "" {
					t.Errorf("%v: no hint", err)
				}
				if !espimage.Erased(b.read(0, 4<<20)) {
					t.Error("the flash was changed")
				}
				_, err = b.flasher.Write(t.Context(), tt.files, flash.WriteOptions{Force: true})
				if tt.force != (err != nil) {
					t.Errorf("with force: %v", err)
				}
			})
		})
	}
}

// TestRefusesByTheBoardsTable checks the fit against the table on the board,
// when the files bring none.
func TestRefusesByTheBoardsTable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t, options{})
		defer b.close()
		files := small(t)
		if _, err := b.flasher.Write(t.Context(), files, flash.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		_, err := b.flasher.Write(t.Context(), []flash.File{{Name: "big", Offset: 0x9000, Data: make([]byte, 0x6000)}}, flash.WriteOptions{})
		if _, ok := errors.AsType[*flash.RefusedError](err); !ok || !strings.Contains(err.Error(), `partition "nvs"`) {
			t.Errorf("%v, want a refusal", err)
		}
		b.holds(files)
		app := files[4]
		app.Offset, app.Partition = 0, "app1"
		if _, err := b.flasher.Write(t.Context(), []flash.File{app}, flash.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		app.Offset = 0x150000
		b.holds(append(files, app))
	})
}

// TestPatch checks the one thing that may be written otherwise than the file
// has it, and that a comparison knows it.
func TestPatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t, options{board: board.Config{}})
		defer b.close()
		files := firmware(t, "1.0.0", 0)
		settings := espimage.FlashSettings{Mode: espimage.DOUT, Freq: espimage.Freq40M, Size: espimage.Size2MB}
		for _, want := range []int64{1, 0} {
			report, err := b.flasher.Write(t.Context(), files, flash.WriteOptions{Settings: &settings})
			if err != nil || (report.Written > 0) != (want > 0) {
				t.Fatalf("%+v, %v", report, err)
			}
		}
		head := b.read(0x1000, 4)
		if head[2] != 3 || head[3] != 0x10 {
			t.Errorf("header %x", head)
		}
		got, err := b.flasher.Verify(t.Context(), files)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range got {
			if !c.Same || c.Patched != (i == 0) {
				t.Errorf("%s: %+v", c.File.Name, c.Sectors)
			}
		}
		// Another change of the header is no patch.
		bad := bytes.Clone(files[0].Data)
		bad[4] ^= 1
		got, err = b.flasher.Verify(t.Context(), []flash.File{{Name: "bad", Offset: 0x1000, Data: bad}})
		if err != nil || got[0].Same || len(got[0].Sectors) == 0 || got[0].Sectors[0] != 0x1000 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	open := func(context.Context) (hil.Port, error) { return nil, errors.New("no") }
	for _, tt := range []struct {
		name string
		cfg  flash.Config
	}{{"no opener", flash.Config{}}, {"too slow", flash.Config{Open: open, Baud: 9600}}, {"too fast", flash.Config{Open: open, Baud: 5_000_000}}} {
		if _, err := flash.New(tt.cfg); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
	f, err := flash.New(flash.Config{Open: open})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Info(t.Context()); err == nil || err.Error() != "no" {
		t.Errorf("a port that does not open: %v", err)
	}
}
