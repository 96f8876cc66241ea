package board_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"

	"porthole/internal/esprom"
	"porthole/internal/slip"
	"porthole/sim/board"
)

// servePTY publishes a board until the end of the test.
func servePTY(t *testing.T, cfg board.PTYConfig) *board.PTY {
	t.Helper()
	p, err := board.OpenPTY(cfg)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		t.Fatalf("this machine has no usable /dev/ptmx: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, board.ErrClosed) {
			t.Errorf("run ended with %v", err)
		}
	})
	return p
}

// openPort opens a device with the serial library that the harness and the
// flashers in Go use.
func openPort(t *testing.T, name string, baud int) serial.Port {
	t.Helper()
	port, err := serial.Open(name, &serial.Mode{BaudRate: baud, DataBits: 8})
	if err != nil {
		t.Fatal(err)
	}
	port.SetReadTimeout(100 * time.Millisecond)
	t.Cleanup(func() { port.Close() })
	return port
}

func TestPTYCarriesDataAndSpeed(t *testing.T) {
	b := newBoard(t, board.Config{Program: echo})
	p := servePTY(t, board.PTYConfig{Board: b})
	port := openPort(t, p.Name(), 115200)
	eventually(t, "the connection", func() bool { return b.Status().Connected })
	eventually(t, "the application", func() bool { return b.Status().State == board.StateApp })

	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	if _, err := port.Write(all); err != nil {
		t.Fatal(err)
	}
	got := until(t, port, string(all)) // every byte, XON, CR and 0xFF included
	if want := string(all); got[len(got)-len(want):] != want {
		t.Errorf("read % x", got)
	}
	for _, baud := range []int{230400, 921600, 230418, 74880, 3_000_000} { // standard and not
		if err := port.SetMode(&serial.Mode{BaudRate: baud, DataBits: 8}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the speed", func() bool { return b.Status().HostBaud == baud })
	}
}

func TestPTYReopens(t *testing.T) {
	var echoed atomic.Int64 // bytes the board has sent back
	counted := board.ProgramFunc(func(ctx context.Context, m *board.Machine) {
		m.Running()
		buf := make([]byte, 256)
		for {
			n, err := m.Read(buf)
			if err != nil {
				return
			}
			m.Write(buf[:n])
			echoed.Add(int64(n))
		}
	})
	b := newBoard(t, board.Config{Program: counted})
	p := servePTY(t, board.PTYConfig{Board: b})
	eventually(t, "the application", func() bool { return b.Status().State == board.StateApp })
	for round := range 5 {
		port := openPort(t, p.Name(), 115200)
		eventually(t, "the connection", func() bool { return b.Status().Connected })
		echoed.Store(0)
		if _, err := port.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if got := until(t, port, "ping"); got != "ping" {
			t.Errorf("round %d read %q: the one before left something behind", round, got)
		}
		port.Write([]byte("never read"))
		eventually(t, "the echo", func() bool { return echoed.Load() == int64(len("ping")+len("never read")) })
		port.Close()
		eventually(t, "the end", func() bool { return !b.Status().Connected })
	}
}

func TestPTYStaysRaw(t *testing.T) {
	b := newBoard(t, board.Config{Program: echo})
	p := servePTY(t, board.PTYConfig{Board: b})
	for _, when := range []string{"at first", "after a client that cooked it"} {
		f, err := os.OpenFile(p.Name(), os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		tio, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		if tio.Lflag&(unix.ECHO|unix.ICANON|unix.ISIG) != 0 || tio.Iflag&(unix.ICRNL|unix.IXON) != 0 || tio.Oflag&unix.OPOST != 0 {
			t.Errorf("%s: terminal is not raw: iflag %#x oflag %#x lflag %#x", when, tio.Iflag, tio.Oflag, tio.Lflag)
		}
		tio.Lflag |= unix.ECHO | unix.ICANON
		tio.Iflag |= unix.ICRNL
		if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, tio); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the connection", func() bool { return b.Status().Connected })
		f.Close()
		eventually(t, "the end", func() bool { return !b.Status().Connected })
	}
}

func TestPTYWithoutReaderDoesNotHoldUpTheBoard(t *testing.T) {
	done := make(chan struct{})
	flood := board.ProgramFunc(func(ctx context.Context, m *board.Machine) {
		for range 20_000 {
			m.Printf("0123456789abcdef\r\n")
		}
		m.Running()
		close(done)
		<-ctx.Done()
	})
	b := newBoard(t, board.Config{Program: flood})
	p := servePTY(t, board.PTYConfig{Board: b})
	openPort(t, p.Name(), 115200) // and never read
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the board waits for its reader")
	}
}

// A monitor that reads misses nothing, at the highest speed there is.
func TestPTYLosesNothingAtThreeMegabaud(t *testing.T) {
	const baud, size = 3_000_000, 300_000
	start := make(chan struct{})
	talk := board.ProgramFunc(func(ctx context.Context, m *board.Machine) {
		m.SetBaud(baud)
		m.Running()
		select {
		case <-start:
		case <-ctx.Done():
			return
		}
		for n := 0; n < size; n += 16 {
			m.Printf("%015d\n", n)
		}
	})
	b := newBoard(t, board.Config{Program: talk, Pace: true})
	p := servePTY(t, board.PTYConfig{Board: b})
	port := openPort(t, p.Name(), baud)
	eventually(t, "the application and its host", func() bool {
		s := b.Status()
		return s.State == board.StateApp && s.Connected && s.HostBaud == baud
	})
	port.ResetInputBuffer() // the boot log, garbled at this speed
	close(start)
	text := until(t, port, fmt.Sprintf("%015d\n", size-16))
	next := 0
	for line := range strings.Lines(text[strings.Index(text, "000000000000000\n"):]) {
		if want := fmt.Sprintf("%015d\n", next); line != want {
			t.Fatalf("line %q, want %q", line, want)
		}
		next += 16
	}
	if s := b.Status(); s.Overrun != 0 {
		t.Errorf("%d bytes lost", s.Overrun)
	}
}

func TestPTYDownloadPolicies(t *testing.T) {
	b := newBoard(t, board.Config{Program: echo, AutoDownload: true})
	p := servePTY(t, board.PTYConfig{Board: b, Download: true, CloseReset: 200 * time.Millisecond})
	eventually(t, "download mode", func() bool { return b.Status().State == board.StateROM })

	port := openPort(t, p.Name(), 115200)
	eventually(t, "the connection", func() bool { return b.Status().Connected })
	port.Close()
	reopened := openPort(t, p.Name(), 115200) // at once: no reset
	eventually(t, "the connection", func() bool { return b.Status().Connected })
	if s := b.Status().State; s != board.StateROM {
		t.Errorf("state %v after a quick reopen, want the loader", s)
	}
	reopened.Close()
	eventually(t, "the application", func() bool { return b.Status().State == board.StateApp })

	port = openPort(t, p.Name(), 115200)
	eventually(t, "the connection", func() bool { return b.Status().Connected })
	if _, err := port.Write(slip.Append(nil, esprom.Sync{}.Request().Append(nil))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "download mode again", func() bool { return b.Status().State == board.StateROM })
}

func TestPTYLink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "esp32")
	if err := os.Symlink("/nowhere", link); err != nil { // of a run that was killed
		t.Fatal(err)
	}
	p, err := board.OpenPTY(board.PTYConfig{Board: newBoard(t, board.Config{}), Link: link})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.Readlink(link); err != nil || got != p.Name() {
		t.Errorf("link points at %q, %v; want %q", got, err, p.Name())
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(link); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the link is still there: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}

	p, err = board.OpenPTY(board.PTYConfig{Board: newBoard(t, board.Config{}), Link: link})
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(link)
	os.Symlink("/dev/null", link) // another board took the name
	p.Close()
	if got, _ := os.Readlink(link); got != "/dev/null" {
		t.Errorf("somebody else's link was removed")
	}

	file := filepath.Join(dir, "precious")
	if err := os.WriteFile(file, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := board.OpenPTY(board.PTYConfig{Board: newBoard(t, board.Config{}), Link: file}); err == nil {
		t.Error("a file was replaced by a link")
	}
	if data, _ := os.ReadFile(file); string(data) != "data" {
		t.Errorf("the file holds %q now", data)
	}
}

func TestPTYUnplugAndReappear(t *testing.T) {
	link := filepath.Join(t.TempDir(), "esp32")
	b := newBoard(t, board.Config{Program: echo})
	p := servePTY(t, board.PTYConfig{Board: b, Link: link})
	eventually(t, "the application", func() bool { return b.Status().State == board.StateApp })
	port := openPort(t, link, 115200)
	eventually(t, "the connection", func() bool { return b.Status().Connected })

	b.SetPlugged(false)
	eventually(t, "the device to vanish", func() bool { _, err := os.Lstat(link); return err != nil })
	if p.Name() != "" {
		t.Errorf("an unplugged device is called %q", p.Name())
	}
	buf := make([]byte, 4096)
	eventually(t, "the port to fail", func() bool { n, err := port.Read(buf); return err != nil || n == 0 })

	b.SetPlugged(true)
	eventually(t, "the device to come back", func() bool { _, err := os.Stat(link); return err == nil })
	again := openPort(t, link, 115200)
	eventually(t, "the connection", func() bool { return b.Status().Connected })
	again.Write([]byte("ping"))
	until(t, again, "ping")
}

func TestPTYWhileAnotherHostIsConnected(t *testing.T) {
	b := newBoard(t, board.Config{Program: echo})
	p := servePTY(t, board.PTYConfig{Board: b})
	eventually(t, "the application", func() bool { return b.Status().State == board.StateApp })
	wire, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	port := openPort(t, p.Name(), 115200)
	until(t, port, "porthole: board is in use by another client\r\n")
	wire.Close()
	eventually(t, "the connection", func() bool { return b.Status().Connected })
	if _, err := io.WriteString(port, "mine"); err != nil {
		t.Fatal(err)
	}
	until(t, port, "mine")
}
