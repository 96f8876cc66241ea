package flash_test

import (
	"bytes"
	"context"
	"flag"
	"testing"
	"testing/synctest"

	"porthole/hil"
	"porthole/hil/flash"
	"porthole/hil/serial"
	"porthole/sim/board"
)

var confirm = flag.String("confirm", "", "port of a real board to run TestConfirm on; the last 64 KB of its flash are overwritten")

// confirmed is what every board does for a flasher: a fake, a simulated and a
// real one. It works in the last 64 KB of the flash.
var confirmed = []struct {
	name string
	do   func(*testing.T, *flash.Flasher, int64)
}{
	{"erase", func(t *testing.T, f *flash.Flasher, at int64) {
		if _, err := f.Erase(t.Context(), flash.Region{Offset: at, Size: confirmSize}); err != nil {
			t.Fatal(err)
		}
	}},
	{"write", func(t *testing.T, f *flash.Flasher, at int64) { confirmWrite(t, f, at, confirmData(0), 6*4096) }},
	{"write the same", func(t *testing.T, f *flash.Flasher, at int64) { confirmWrite(t, f, at, confirmData(0), 0) }},
	{"read", func(t *testing.T, f *flash.Flasher, at int64) {
		var out bytes.Buffer
		if _, err := f.Read(t.Context(), &out, flash.Region{Offset: at, Size: int64(len(confirmData(0)))}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), confirmData(0)) {
			t.Error("read something else than was written")
		}
	}},
	{"write one sector", func(t *testing.T, f *flash.Flasher, at int64) { confirmWrite(t, f, at, confirmData(9000), 4096) }},
	{"verify", func(t *testing.T, f *flash.Flasher, at int64) {
		for _, tt := range []struct {
			data []byte
			same bool
		}{{confirmData(9000), true}, {confirmData(0), false}} {
			got, err := f.Verify(t.Context(), []flash.File{{Name: "noise", Offset: at, Data: tt.data}})
			if err != nil || got[0].Same != tt.same || !tt.same && (len(got[0].Sectors) != 1 || got[0].Sectors[0] != at+8192) {
				t.Fatalf("%+v, %v", got, err)
			}
		}
	}},
	{"erase again", func(t *testing.T, f *flash.Flasher, at int64) {
		report, err := f.Erase(t.Context(), flash.Region{Offset: at, Size: confirmSize})
		if err != nil || report.Written != 6*4096 {
			t.Fatalf("erased %d bytes, %v", report.Written, err)
		}
	}},
}

const confirmSize = 64 << 10

// confirmData is noise over a little more than five sectors; another byte where
// it says so.
func confirmData(change int) []byte {
	data := make([]byte, 5*4096+1000)
	x := uint32(2463534242)
	for i := range data {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		data[i] = byte(x >> 11)
	}
	if change > 0 {
		data[change] ^= 0x5A
	}
	return data
}

func confirmWrite(t *testing.T, f *flash.Flasher, at int64, data []byte, want int64) {
	t.Helper()
	report, err := f.Write(t.Context(), []flash.File{{Name: "noise", Offset: at, Data: data}}, flash.WriteOptions{Force: true})
	if err != nil || report.Written != want {
		t.Fatalf("wrote %d bytes, want %d: %v", report.Written, want, err)
	}
}

// runConfirmed runs the table in order: each row builds on the one before.
func runConfirmed(t *testing.T, f *flash.Flasher) {
	info, err := f.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("on %v", info.Chip)
	at := info.Chip.FlashSize - confirmSize
	for _, row := range confirmed {
		t.Log(row.name)
		row.do(t, f, at)
	}
}

// TestConfirm runs one table on a fake, on a simulated board and, with
// -confirm=PORT, on a real one.
func TestConfirm(t *testing.T) {
	t.Run("fake", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := fake()
			runConfirmed(t, on(t, b))
			b.Wait()
		})
	})
	t.Run("simulated", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, options{board: board.Config{Pace: true, Latency: true, ROM: board.ROMStrict}})
			defer b.close()
			runConfirmed(t, b.flasher)
		})
	})
	t.Run("real", func(t *testing.T) {
		if *confirm == "" {
			t.Skip("NOT RUN ON A REAL BOARD: give one with -confirm=PORT")
		}
		ports := serial.Openers{}
		f, err := flash.New(flash.Config{Open: func(ctx context.Context) (hil.Port, error) { return ports.Open(ctx, *confirm) }})
		if err != nil {
			t.Fatal(err)
		}
		runConfirmed(t, f)
	})
}
