package board_test

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/boardcfg"
	"porthole/internal/console"
	"porthole/internal/espimage"
	"porthole/internal/nvs"
	"porthole/sim/board"
)

var updateBoot = flag.Bool("update-boot", false, "rewrite testdata/boot")

func TestBootLogs(t *testing.T) {
	good := func(i *bootImage) *bootImage {
		return i.bootloader().table(espimage.ArduinoTable()).app(0x10000, "1.0.0").config(nil)
	}
	old := board.WROVER([6]byte{0x24, 0x0A, 0xC4, 1, 2, 3})
	for _, c := range []struct {
		name  string
		flash func(i *bootImage) *bootImage
		chip  board.Chip
		lasts time.Duration
		then  func(r *bootBench)
	}{
		{"erased", func(i *bootImage) *bootImage { return i }, board.Chip{}, 2500 * time.Millisecond, nil},
		{"erased-old-chip", func(i *bootImage) *bootImage { return i }, old, 1500 * time.Millisecond, nil},
		{"bootloader-only", func(i *bootImage) *bootImage { return i.bootloader() }, board.Chip{}, 400 * time.Millisecond, nil},
		{"bootloader-checksum", func(i *bootImage) *bootImage {
			i.bootloader()
			i.flash[0x2000] ^= 1
			return i
		}, board.Chip{}, 1500 * time.Millisecond, nil},
		{"app-as-bootloader", func(i *bootImage) *bootImage { return i.app(0x1000, "1.0.0") }, board.Chip{}, 1500 * time.Millisecond, nil},
		{"table-md5", func(i *bootImage) *bootImage {
			good(i)
			i.flash[0x8000+40] ^= 1
			return i
		}, board.Chip{}, 400 * time.Millisecond, nil},
		{"table-garbage", func(i *bootImage) *bootImage {
			return good(i).put(0x8000, make([]byte, 64), nil)
		}, board.Chip{}, 400 * time.Millisecond, nil},
		{"app-hash", func(i *bootImage) *bootImage {
			good(i)
			i.flash[0x10004] ^= 1 // the entry point: not in the checksum
			return i
		}, board.Chip{}, 600 * time.Millisecond, nil},
		{"app-checksum", func(i *bootImage) *bootImage {
			good(i)
			i.flash[0x12345] ^= 1
			return i
		}, board.Chip{}, 600 * time.Millisecond, nil},
		{"app-missing", func(i *bootImage) *bootImage {
			return i.bootloader().table(espimage.ArduinoTable()).config(nil)
		}, board.Chip{}, 600 * time.Millisecond, nil},
		{"bootloader-entry", func(i *bootImage) *bootImage {
			i.bootloader()
			i.flash[0x1007] ^= 0x20 // the entry point: not in the checksum
			return i
		}, board.Chip{}, 1500 * time.Millisecond, nil},
		{"app-larger-flash", func(i *bootImage) *bootImage {
			good(i)
			b, err := espimage.Patch(i.flash[0x10000:0x50000], espimage.FlashSettings{
				Mode: espimage.KeepMode, Freq: espimage.KeepFreq, Size: espimage.Size16MB})
			return i.put(0x10000, b, err)
		}, board.Chip{}, 600 * time.Millisecond, nil},
		{"app-smaller-flash", func(i *bootImage) *bootImage {
			good(i)
			b, err := espimage.Patch(i.flash[0x10000:0x50000], espimage.FlashSettings{
				Mode: espimage.QIO, Freq: espimage.KeepFreq, Size: espimage.Size2MB})
			return i.put(0x10000, b, err)
		}, board.Chip{}, 500 * time.Millisecond, nil},
		{"test-app", func(i *bootImage) *bootImage {
			return i.bootloader().config(nil).app(0x100000, "0.9.0").table(&espimage.Table{MD5: true, Partitions: []espimage.Partition{
				{Type: espimage.TypeData, Subtype: espimage.DataNVS, Offset: 0x9000, Size: 0x5000, Label: "nvs"},
				{Subtype: espimage.AppFactory, Offset: 0x10000, Size: 0xF0000, Label: "factory"},
				{Subtype: espimage.AppTest, Offset: 0x100000, Size: 0xF0000, Label: "test"},
			}})
		}, board.Chip{}, 3 * time.Second, nil},
		{"app-not-ours", func(i *bootImage) *bootImage {
			desc, err := espimage.AppDescriptor{Project: "hello_world", Version: "1", IDF: "v5.1.4"}.Bytes()
			if err != nil {
				i.t.Fatal(err)
			}
			b, err := espimage.Build(espimage.DefaultHeader(0x40080000), []espimage.Segment{
				{Addr: 0x3F400020, Data: desc}, {Addr: 0x40080000, Data: make([]byte, 64)}})
			return good(i).put(0x10000, b, err)
		}, board.Chip{}, 3 * time.Second, nil},
		{"ota-0", func(i *bootImage) *bootImage {
			return good(i).put(0xE000, espimage.BootSlot(0).Bytes(), nil)
		}, board.Chip{}, 7 * time.Second, nil},
		{"ota-1", func(i *bootImage) *bootImage {
			return good(i).app(0x150000, "2.0.0").put(0xE000, espimage.BootSlot(1).Bytes(), nil)
		}, board.Chip{}, 7 * time.Second, nil},
		{"ota-1-broken", func(i *bootImage) *bootImage {
			return good(i).put(0xE000, espimage.BootSlot(1).Bytes(), nil)
		}, board.Chip{}, 2 * time.Second, nil},
		{"ota-initial", good, board.Chip{}, 2 * time.Second, nil},
		{"factory", func(i *bootImage) *bootImage {
			return i.bootloader().table(espimage.SingleAppTable()).app(0x10000, "1.0.0").config(nil)
		}, old, 7 * time.Second, nil},
		{"nvs-missing", func(i *bootImage) *bootImage {
			return i.bootloader().table(espimage.ArduinoTable()).app(0x10000, "1.0.0")
		}, board.Chip{}, 6 * time.Second, nil},
		{"nvs-wrong", func(i *bootImage) *bootImage {
			return good(i).config(func(s *nvs.Store) {
				for key, v := range map[string]nvs.Value{
					"port": nvs.Int(uint32(8443)), "interval": nvs.Int(uint32(5)), "ssid": nvs.Text(""), "crop": nvs.Text("\x1b[2J"),
				} {
					if err := s.Set(boardcfg.Namespace, key, v); err != nil {
						i.t.Fatal(err)
					}
				}
				s.Delete(boardcfg.Namespace, "token")
			})
		}, board.Chip{}, 4 * time.Second, nil},
		{"panic", good, board.Chip{}, 5 * time.Second, func(r *bootBench) {
			if err := r.fw.Panic("StoreProhibited"); err != nil {
				r.t.Error(err)
			}
			r.run(3 * time.Second)
		}},
		{"brownout", good, board.Chip{}, 5 * time.Second, func(r *bootBench) {
			if err := r.fw.Brownout(); err != nil {
				r.t.Error(err)
			}
			r.run(2 * time.Second)
		}},
		{"watchdog", good, board.Chip{}, 5 * time.Second, func(r *bootBench) {
			if err := r.fw.Hang(); err != nil {
				r.t.Error(err)
			}
			r.run(32 * time.Second)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				flash := c.flash(newBootImage(t)).flash
				r := bootBoard(t, flash, board.FirmwareConfig{Plain: true, Seed: 1, Uploads: twoFrames}, c.chip)
				defer r.close()
				r.run(c.lasts)
				if c.then != nil {
					c.then(r)
				}
				compareBoot(t, c.name, r.run(0))
			})
		})
	}
}

func compareBoot(t *testing.T, name, got string) {
	t.Helper()
	if strings.Count(got, "\n") != strings.Count(got, "\r\n") || strings.Count(got, "\r") != strings.Count(got, "\r\n") {
		t.Error("a line does not end in CR LF")
	}
	if strings.ContainsRune(got, '\x1b') {
		t.Error("an escape sequence without colours")
	}
	got = strings.ReplaceAll(got, "\r\n", "\n")
	path := filepath.Join("testdata", "boot", name+".golden")
	if *updateBoot {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("%s line %d\n got %q\nwant %q", path, i+1, g[i], w[i])
		}
	}
	t.Fatalf("%s: %d lines, want %d", path, len(g), len(w))
}

// The same seed gives the same log, another speed only another pace.
func TestBootSpeed(t *testing.T) {
	flash := newBootImage(t).bootloader().table(espimage.ArduinoTable()).app(0x10000, "1.0.0").flash
	logAt := func(speed float64) (text string, took time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			r := bootBoard(t, flash, board.FirmwareConfig{Speed: speed, Seed: 1}, board.Chip{})
			defer r.close()
			begun := time.Now()
			for len(r.lines(console.ConfigMissing)) == 0 && time.Since(begun) < time.Minute {
				text = r.run(time.Millisecond)
			}
			took = time.Since(begun)
		})
		text, _, _ = strings.Cut(text, "retry")
		return text, took
	}
	slow, slowTook := logAt(1)
	again, _ := logAt(1)
	if slow != again {
		t.Error("two boots differ")
	}
	if !strings.Contains(slow, "\x1b[0;32mI (29) boot: ESP-IDF v5.1.4 2nd stage bootloader\x1b[0m\r\n") {
		t.Errorf("no coloured bootloader line in\n%s", slow)
	}
	fast, fastTook := logAt(50)
	if fast != slow {
		t.Error("a fast boot prints something else")
	}
	if slowTook < 300*time.Millisecond || slowTook > 2*time.Second || fastTook > slowTook/2 {
		t.Errorf("boot takes %v, at speed 50 %v", slowTook, fastTook)
	}
	for _, speed := range []float64{-1, board.MinSpeed / 2, board.MaxSpeed * 2, math.NaN(), math.Inf(1)} {
		if _, err := board.NewFirmware(board.FirmwareConfig{Speed: speed}); err == nil {
			t.Errorf("speed %v was taken", speed)
		}
	}
}

// Two boards with the same seed and flash take the same course to the last event.
func TestBootTrace(t *testing.T) {
	flash := provisioned(t, nil)
	run := func() (hash uint64) {
		synctest.Test(t, func(t *testing.T) {
			r := bootBoard(t, flash, board.FirmwareConfig{Seed: 9, Uploads: twoFrames}, board.Chip{})
			defer r.close()
			r.run(10 * time.Second)
			r.b.SetShutoff(true)
			r.run(time.Second)
			r.b.SetShutoff(false)
			r.run(3 * time.Second)
			if err := r.fw.Panic(""); err != nil {
				t.Error(err)
			}
			r.run(10 * time.Second)
			hash = r.b.TraceHash()
		})
		return hash
	}
	want := run()
	for range 20 {
		if got := run(); got != want {
			t.Fatalf("trace hash %x, before %x", got, want)
		}
	}
}

// A board that has booted, joined and waits with its camera off costs little.
func TestMeasureFirmwareMemory(t *testing.T) {
	const boards = 200
	const limit = 64 << 10
	image, err := board.DemoImage(espimage.Demo{})
	if err != nil {
		t.Fatal(err)
	}
	world := harbour()
	world.JoinTime = time.Millisecond
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	running := make([]*board.Board, 0, boards)
	for range boards {
		f, err := board.NewFlash(image, 4<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := board.Provision(f, bootConfig); err != nil {
			t.Fatal(err)
		}
		fw, err := board.NewFirmware(board.FirmwareConfig{Network: world, Speed: board.MaxSpeed})
		if err != nil {
			t.Fatal(err)
		}
		b, err := board.New(board.Config{Flash: f, Program: fw, EN: board.MinEN})
		if err != nil {
			t.Fatal(err)
		}
		b.SetShutoff(true)
		running = append(running, b)
	}
	for _, b := range running {
		for deadline := time.Now().Add(10 * time.Second); b.Status().State != board.StateApp; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatal("a board does not boot")
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc+after.StackInuse) - int64(before.HeapAlloc+before.StackInuse)) / boards
	t.Logf("%d bytes per board that runs its application, its nvs page included", each)
	if each > limit {
		t.Errorf("%d bytes per board, at most %d", each, limit)
	}
	for _, b := range running {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// An update runs on probation: confirmed by its first upload, given up when it
// is reset before.
func TestRollback(t *testing.T) {
	image := func(t testing.TB) []byte {
		ota := espimage.OTAData{espimage.NewOTASelect(1, espimage.OTAValid), espimage.NewOTASelect(2, espimage.OTANew)}
		return newBootImage(t).bootloader().table(espimage.ArduinoTable()).app(0x10000, "1.0.0").app(0x150000, "2.0.0").
			config(nil).put(0xE000, ota.Bytes(), nil).flash
	}
	states := func(r *bootBench) (first, second espimage.OTAState) {
		raw := make([]byte, espimage.OTADataSize)
		if _, err := r.b.ReadFlash(raw, 0xE000); err != nil {
			r.t.Fatal(err)
		}
		d, err := espimage.ParseOTAData(raw)
		if err != nil {
			r.t.Fatal(err)
		}
		return d[0].State, d[1].State
	}
	versions := func(r *bootBench) (v []string) {
		for _, l := range r.lines(console.Boot) {
			v = append(v, l.Version)
		}
		return v
	}
	t.Run("confirmed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := bootBoard(t, image(t), board.FirmwareConfig{Uploads: twoFrames}, board.Chip{})
			defer r.close()
			r.run(1500 * time.Millisecond)
			if _, s := states(r); s != espimage.OTAPending {
				t.Errorf("state before the first upload is %d", s)
			}
			r.run(6 * time.Second)
			if _, s := states(r); s != espimage.OTAValid {
				t.Errorf("state after it is %d", s)
			}
			if l := r.lines(console.OTA); len(l) != 1 || l[0].What != "confirmed" || l[0].Version != "2.0.0" {
				t.Errorf("lines %+v", l)
			}
			r.b.PressEN(true)
			r.b.PressEN(false)
			r.run(3 * time.Second)
			if v := versions(r); fmt.Sprint(v) != "[2.0.0 2.0.0]" {
				t.Errorf("versions %v", v)
			}
		})
	})
	t.Run("given up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := bootBoard(t, image(t), board.FirmwareConfig{}, board.Chip{})
			defer r.close()
			r.run(1500 * time.Millisecond)
			if err := r.fw.Panic(""); err != nil {
				t.Fatal(err)
			}
			r.run(2 * time.Second)
			if v := versions(r); fmt.Sprint(v) != "[2.0.0 1.0.0]" {
				t.Errorf("versions %v", v)
			}
			if first, second := states(r); first != espimage.OTAValid || second != espimage.OTAAborted {
				t.Errorf("states %d and %d", first, second)
			}
		})
	})
}

func TestNoAppToPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := bootBoard(t, newBootImage(t).flash, board.FirmwareConfig{}, board.Chip{})
		defer r.close()
		r.run(time.Second)
		for name, f := range map[string]func() error{
			"panic": func() error { return r.b.Panic("") }, "brownout": r.fw.Brownout, "hang": r.fw.Hang,
		} {
			if err := f(); err == nil || !strings.Contains(err.Error(), "not running") {
				t.Errorf("%s of an erased board: %v", name, err)
			}
		}
		if err := r.fw.Panic("Boredom"); err == nil || errors.Unwrap(err) != nil {
			t.Errorf("unknown reason: %v", err)
		}
	})
}
