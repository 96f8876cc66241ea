package conformance

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"porthole/internal/espimage"
	"porthole/internal/esprom"
	"porthole/sim/board"
)

// part is a file and where it goes.
type part struct {
	name   string
	offset uint32
	data   []byte
}

// parts is what is flashed: bootloader, partition table and application, whose
// headers ask for 2 MB of flash, so that patching shows.
func parts(t testing.TB) []part {
	t.Helper()
	small := espimage.KeepAll
	small.Size = espimage.Size2MB
	patched := func(image []byte, err error) []byte {
		if err == nil {
			image, err = espimage.Patch(image, small)
		}
		if err != nil {
			t.Fatal(err)
		}
		return image
	}
	table, err := espimage.SingleAppTable().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return []part{
		{"bootloader", espimage.BootloaderOffset, patched(espimage.DemoBootloader())},
		{"partitions", espimage.TableOffset, table},
		{"application", espimage.AppOffset, patched(espimage.DemoApp("1.2.3"))},
	}
}

// noise is data that does not compress, with every byte value that serial lines
// and SLIP are touchy about; its length is no multiple of anything.
func noise(n int) []byte {
	data := make([]byte, n)
	x := uint32(2463534242)
	for i := range data {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		data[i] = byte(x >> 11)
	}
	copy(data, []byte{0xC0, 0xDB, 0xDC, 0xDD, 0xFF, 0xFF, 0x11, 0x13, 0xC0, 0xC0, 0xDB, 0xDB, 0x00, 0xF0, 0xFA})
	return data
}

// testMAC is the address of the boards.
var testMAC = esprom.MAC{0x94, 0xB9, 0x7E, 0x5A, 0x6E, 0x58}

// hello is the program in flash: a real one would be reads of what was flashed.
var hello = board.ProgramFunc(func(ctx context.Context, m *board.Machine) {
	m.Printf("load:0x3fff0030,len:6560\r\n")
	m.Running()
	m.Printf("application runs\r\n")
	<-ctx.Done()
})

func newBoard(t testing.TB, cfg board.Config) *board.Board {
	t.Helper()
	cfg.Chip = board.WROVERE(testMAC)
	cfg.Program = hello
	b, err := board.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// onPTY publishes a board as flashers without reset lines need it, and returns the
// path of the device.
func onPTY(t testing.TB, b *board.Board) string {
	t.Helper()
	p, err := board.OpenPTY(board.PTYConfig{
		Board: b, Link: filepath.Join(t.TempDir(), "esp32"), Download: true, CloseReset: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, board.ErrClosed) {
			t.Errorf("pseudo-terminal: %v", err)
		}
	})
	eventually(t, "download mode", func() bool { return b.Status().State == board.StateROM })
	return p.Name()
}

// onTCP serves a board on a port of the loopback interface and returns its address.
func onTCP(t testing.TB, b *board.Board) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	face := &board.RFC2217{Board: b}
	go func() { ended <- face.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, board.ErrClosed) {
			t.Errorf("rfc2217: %v", err)
		}
	})
	return ln.Addr().String()
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10s for %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// written is a flash full of somebody else's data, so that erasing shows.
func written(t testing.TB) *board.Flash {
	t.Helper()
	f, err := board.NewFlash(noise(4<<20), 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// flash returns n bytes of the board's flash, read past every flasher.
func flash(t testing.TB, b *board.Board, offset uint32, n int) []byte {
	t.Helper()
	got := make([]byte, n)
	if _, err := b.ReadFlash(got, int64(offset)); err != nil {
		t.Fatal(err)
	}
	return got
}

// compare fails when the flash does not hold data, and says where it begins.
func compare(t testing.TB, b *board.Board, what string, offset uint32, data []byte) {
	t.Helper()
	got := flash(t, b, offset, len(data))
	if bytes.Equal(got, data) {
		return
	}
	for i := range data {
		if got[i] != data[i] {
			t.Errorf("%s: flash differs from byte %#x of %#x on: % x, want % x", what, i, len(data),
				got[i:min(i+8, len(got))], data[i:min(i+8, len(data))])
			return
		}
	}
}

// sum is the MD5 of data in the form that flashers print.
func sum(data []byte) string { return fmt.Sprintf("%x", md5.Sum(data)) }

// blank reports whether n bytes of the flash are erased.
func blank(t testing.TB, b *board.Board, offset uint32, n int) bool {
	t.Helper()
	return espimage.Erased(flash(t, b, offset, n))
}

// save writes a part to a file for flashers that want one.
func save(t testing.TB, dir string, p part) string {
	t.Helper()
	path := filepath.Join(dir, p.name+".bin")
	if err := os.WriteFile(path, p.data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tail keeps the end of a log for failure messages.
type tail struct{ lines []string }

func (l *tail) Logf(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *tail) dump(t testing.TB) {
	if !t.Failed() {
		return
	}
	w := t.Output()
	for _, line := range l.lines[max(0, len(l.lines)-30):] {
		io.WriteString(w, line+"\n")
	}
}
