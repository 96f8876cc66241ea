package serial

import (
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/hil"
	"porthole/hil/hiltest"
	"porthole/internal/cli"
	"porthole/sim/board"
)

var confirm = flag.String("confirm", "", "also run the table of ports on the real board behind this `PORT`; it is reset, not written")

// bench is a port by its name, and the board behind it.
type bench struct {
	name    string
	openers Openers
	far     io.ReadWriter // nil: a real board
	noLines bool
	baud    func() int // nil: cannot be seen
}

const banner = "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"

// talkative makes the far side of a pipe print what a board does after a reset.
func talkative(far *hiltest.Far) *hiltest.Far {
	var mu sync.Mutex
	held := false
	far.OnChange(func(c hiltest.Change) {
		mu.Lock()
		defer mu.Unlock()
		if was := held; was && !c.RTS {
			far.Write([]byte(banner))
		}
		held = c.RTS && !c.DTR
	})
	return far
}

// benches are all kinds of names for which no hardware is needed.
func benches(t *testing.T) map[string]bench {
	terminal := func() *pty {
		p := newPTY(t)
		p.keep(t)
		return p
	}
	ptyBaud := func(p *pty) func() int {
		return func() int {
			return with(t, p.File, linux{}.speed)
		}
	}
	device, adapter := terminal(), terminal()
	all := map[string]bench{
		"device path": {name: device.path, far: device, noLines: true, baud: ptyBaud(device), openers: Openers{Leases: leaseDir(t)}},
		"usb": {name: "usb:10C4:EA60:0001", far: adapter, noLines: true, baud: ptyBaud(adapter), openers: Openers{Leases: leaseDir(t),
			Finder: Finder{List: func() ([]Info, error) {
				return []Info{{Path: adapter.path, VID: "10C4", PID: "EA60", Serial: "0001", Place: "1-1:1.0"}, {Path: "/dev/ttyS0"}}, nil
			}}}},
	}
	pipeBaud := func(far *hiltest.Far) func() int { return func() int { _, _, n := far.State(); return n } }
	for name, cfg := range map[string]ServerConfig{"rfc2217, open": {Open: true}, "rfc2217, token": {Token: "s3cret"}, "rfc2217, no lines": {Token: "s3cret"}} {
		port, far := hiltest.Pipe()
		noLines := strings.HasSuffix(name, "no lines")
		if noLines {
			far.RefuseLines()
		}
		cfg.Port = port
		address := serve(t, cfg)
		b := bench{name: "rfc2217://" + address, far: talkative(far), baud: pipeBaud(far), noLines: noLines}
		if cfg.Token != "" {
			b.name = "rfc2217://@" + address
			b.openers.Remote.Token = cfg.Token
		}
		all[name] = b
	}
	// A scheme of somebody else: each open gets the cable to the same board.
	far := new(lateFar)
	all["scheme"] = bench{name: "fake:x", far: far, baud: func() int { return pipeBaud(far.get())() }, openers: Openers{
		Schemes: map[string]hil.Opener{"fake": func(_ context.Context, rest string) (hil.Port, error) {
			if rest != "x" {
				t.Errorf("opener got %q", rest)
			}
			port, side := hiltest.Pipe()
			far.set(talkative(side))
			return port, nil
		}},
	}}
	return all
}

// lateFar is the board's side of the port that was opened last.
type lateFar struct {
	mu  sync.Mutex
	far *hiltest.Far
}

func (l *lateFar) set(far *hiltest.Far) { l.mu.Lock(); defer l.mu.Unlock(); l.far = far }
func (l *lateFar) get() *hiltest.Far    { l.mu.Lock(); defer l.mu.Unlock(); return l.far }

func (l *lateFar) Read(p []byte) (int, error)  { return l.get().Read(p) }
func (l *lateFar) Write(p []byte) (int, error) { return l.get().Write(p) }

// serve shares a port on loopback.
func serve(t *testing.T, cfg ServerConfig) (address string) {
	t.Helper()
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("server: %v", err)
		}
	})
	return ln.Addr().String()
}

// rows is what every port does, on whatever it is.
var rows = []struct {
	name string
	run  func(t *testing.T, b bench, p hil.Port)
}{
	{"bytes both ways", func(t *testing.T, b bench, p hil.Port) {
		if b.far == nil {
			t.Skip("a board says what it likes")
		}
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		if _, err := p.Write(all); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 256)
		if _, err := io.ReadFull(b.far, got); err != nil || string(got) != string(all) {
			t.Errorf("board got % x, %v", got, err)
		}
		b.far.Write(all)
		if _, err := io.ReadFull(p, got); err != nil || string(got) != string(all) {
			t.Errorf("host got % x, %v", got, err)
		}
	}},
	{"speed", func(t *testing.T, b bench, p hil.Port) {
		for _, rate := range []int{921600, 74880, hil.DefaultBaud} {
			if err := p.SetBaud(rate); err != nil {
				t.Fatal(err)
			}
			if b.baud != nil && b.baud() != rate {
				t.Errorf("board runs at %d, want %d", b.baud(), rate)
			}
		}
		if err := p.SetBaud(0); err == nil {
			t.Error("a speed of 0 was taken")
		}
	}},
	{"reset", func(t *testing.T, b bench, p hil.Port) {
		err := p.SetLines(false, true)
		if b.noLines {
			if !errors.Is(err, hil.ErrNoLines) {
				t.Errorf("got %v, want %v", err, hil.ErrNoLines)
			}
			return
		}
		if err == nil {
			err = p.Discard()
		}
		if err == nil {
			// On a board the capacitor at EN wants its time.
			p.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			if b.far == nil {
				io.ReadAll(p)
			}
			p.SetReadDeadline(time.Now().Add(5 * time.Second))
			err = p.SetLines(false, false)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readUntil(p, "rst:0x"); err != nil {
			t.Errorf("after a reset: %q, %v", got, err)
		}
	}},
	{"deadline", func(t *testing.T, b bench, p hil.Port) {
		if err := p.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := p.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("deadline in the past: %d, %v", n, err)
		}
	}},
	{"discard", func(t *testing.T, b bench, p hil.Port) {
		if b.far == nil {
			t.Skip("a board says what it likes")
		}
		b.far.Write([]byte("stale stale"))
		if _, err := io.ReadFull(p, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := p.Discard(); err != nil {
			t.Fatal(err)
		}
		b.far.Write([]byte("\nfresh\n"))
		got, err := readUntil(p, "fresh\n")
		if err != nil || strings.Contains(got, "stale") {
			t.Errorf("after a discard: %q, %v", got, err)
		}
	}},
	{"opening again resets nothing", func(t *testing.T, b bench, p hil.Port) {
		// Settled: what is still coming has come.
		p.SetReadDeadline(time.Now().Add(time.Second))
		if b.far == nil {
			io.ReadAll(p)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := open2(t, b)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		wait := 50 * time.Millisecond
		if b.far == nil {
			wait = 2 * time.Second
		}
		again.SetReadDeadline(time.Now().Add(wait))
		if got, err := readUntil(again, "rst:0x"); err == nil {
			t.Errorf("the board was reset: %q", got)
		}
	}},
	{"close ends a read", func(t *testing.T, b bench, p hil.Port) {
		p.SetReadDeadline(time.Time{})
		failed := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, p)
			failed <- err
		}()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := <-failed; err == nil || errors.Is(err, io.EOF) {
			t.Errorf("blocked read: %v", err)
		}
	}},
}

// open2 opens a port that was closed just now: a server takes a moment to notice.
func open2(t *testing.T, b bench) (hil.Port, error) {
	for start := time.Now(); ; {
		p, err := b.openers.Open(t.Context(), b.name)
		if err == nil || !strings.HasPrefix(b.name, "rfc2217:") || time.Since(start) > 10*time.Second {
			return p, err
		}
	}
}

func readUntil(p hil.Port, want string) (string, error) {
	var got []byte
	buf := make([]byte, 256)
	for !strings.Contains(string(got), want) {
		n, err := p.Read(buf)
		if got = append(got, buf[:n]...); err != nil {
			return string(got), err
		}
	}
	return string(got), nil
}

func runRows(t *testing.T, b bench) {
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p, err := open2(t, b)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			p.SetReadDeadline(time.Now().Add(20 * time.Second))
			row.run(t, b, p)
		})
	}
}

// TestPorts runs the table on every kind of port.
func TestPorts(t *testing.T) {
	for kind, b := range benches(t) {
		t.Run(kind, func(t *testing.T) { runRows(t, b) })
	}
}

// TestPortsSimulated runs it on the simulated board, over its own server.
func TestPortsSimulated(t *testing.T) {
	sim, err := board.New(board.Config{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- (&board.RFC2217{Board: sim}).Serve(ctx, ln) }()
	defer func() {
		stop()
		if err := errors.Join(<-ended, sim.Close()); err != nil {
			t.Error(err)
		}
	}()
	runRows(t, bench{name: "rfc2217://" + ln.Addr().String()})
}

// TestPortsConfirm runs the same table on a real board.
func TestPortsConfirm(t *testing.T) {
	if *confirm == "" {
		t.Skip("NOT RUN on a real board: give its port, go test ./hil/serial -confirm=/dev/ttyUSB0")
	}
	runRows(t, bench{name: *confirm})
}

func TestOpenersRefuse(t *testing.T) {
	far := newPTY(t)
	held := leaseDir(t)
	mustAcquire(t, held, far.path, Request{Purpose: "rig flash"})
	none := Finder{List: func() ([]Info, error) { return nil, nil }}
	for _, tt := range []struct {
		name, port string
		o          Openers
		code       int
		want, hint string
	}{
		{"no name", "", Openers{}, cli.ExitUsage, "open port: no name given", "a device path, usb:"},
		{"unknown scheme", "tcp:host", Openers{Schemes: map[string]hil.Opener{"sim": nil, "replay": nil}}, cli.ExitUsage, `there is no "tcp:"`, "replay:… or sim:…"},
		{"not plugged in", "usb:10C4:EA60", Openers{Finder: none}, cli.ExitFailed, `find port "usb:10C4:EA60"`, "nothing is plugged in"},
		{"half a name", "usb:10C4", Openers{Finder: none}, cli.ExitUsage, "no product", "rig ports"},
		{"no such device", "/dev/ttyUSB977", Openers{}, cli.ExitFailed, `open port "/dev/ttyUSB977": file does not exist`, "rig ports"},
		{"a colon in a path", "./by:path", Openers{}, cli.ExitFailed, `open port "./by:path": file does not exist`, "rig ports"},
		{"leased", far.path, Openers{Leases: held}, cli.ExitFailed, "is locked by ", "rig unlock " + far.path},
		{"remote without host", "rfc2217://", Openers{}, cli.ExitUsage, "want rfc2217://[TOKEN@]HOST[:PORT]", "for example"},
		{"remote with a path", "rfc2217://host/dev/tty", Openers{}, cli.ExitUsage, "want rfc2217://[TOKEN@]HOST[:PORT]", "for example"},
		{"remote with a password", "rfc2217://a:b@host", Openers{}, cli.ExitUsage, "a token has no colon", "rig share"},
		{"remote without its token", "rfc2217://@host", Openers{}, cli.ExitUsage, "no token", "RIG_SHARE_TOKEN"},
		{"nobody listens", "rfc2217://127.0.0.1:1", Openers{}, cli.ExitFailed, "refused", "is rig share running there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.o.Leases.Dir == "" {
				tt.o.Leases = leaseDir(t)
			}
			p, err := tt.o.Open(t.Context(), tt.port)
			if err == nil {
				p.Close()
				t.Fatal("opened")
			}
			if p != nil {
				t.Errorf("a port came with %v", err)
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(cli.HintOf(err), tt.hint) || cli.Code(err) != tt.code {
				t.Errorf("got %v, hint %q, code %d\nwant %q, %q, %d", err, cli.HintOf(err), cli.Code(err), tt.want, tt.hint, tt.code)
			}
			if _, err := os.Stat("/dev/ttyUSB977"); err == nil {
				t.Error("this machine has one")
			}
		})
	}
}
