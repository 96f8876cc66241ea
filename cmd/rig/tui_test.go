//go:build linux

package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"golang.org/x/sys/unix"
)

// person is a rig on a pseudo-terminal: what a person types and reads.
type person struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	done   chan struct{} // closed when the terminal has hung up
	ended  chan struct{} // closed when rig has ended, with err
	err    error

	mu  sync.Mutex
	raw strings.Builder
	em  *vt.Emulator
}

// openPTY returns a pseudo-terminal: the side of the terminal, and the name of
// the other one.
func openPTY(t *testing.T, cols, rows uint16) (master *os.File, name string) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: cols, Row: rows}); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "ptmx"), filepath.Join("/dev/pts", strconv.Itoa(n))
}

// onTerminal runs rig on a terminal of a size, without colours.
func onTerminal(t *testing.T, cols, rows uint16, args ...string) *person {
	t.Helper()
	return onTerminalWith(t, cols, rows, []string{"TERM=xterm-256color", "NO_COLOR=1"}, args...)
}

// onTerminalWith runs rig on a terminal that env describes.
func onTerminalWith(t *testing.T, cols, rows uint16, env []string, args ...string) *person {
	t.Helper()
	master, name := openPTY(t, cols, rows)
	tty, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, master: master, done: make(chan struct{}), ended: make(chan struct{}), em: vt.NewEmulator(int(cols), int(rows))}
	p.cmd = exec.Command(self)
	p.cmd.Args = append([]string{"rig"}, args...)
	p.cmd.Env = append(append(os.Environ(), "HOME="+t.TempDir(), "XDG_STATE_HOME="+t.TempDir()), env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = tty, tty, tty
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.ended); p.err = p.cmd.Wait() }()
	answered := make(chan struct{})
	go func() { defer close(answered); io.Copy(io.Discard, p.em) }() // its answers to queries
	go func() {
		defer close(p.done)
		buf := make([]byte, 32<<10)
		for {
			n, err := master.Read(buf)
			p.mu.Lock()
			p.raw.Write(buf[:n])
			p.em.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Signal(syscall.SIGTERM)
		<-p.ended
		master.Close()
		<-p.done
		p.em.InputPipe().(io.Closer).Close()
		<-answered
	})
	return p
}

func (p *person) types(keys string) {
	p.t.Helper()
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// output is everything the terminal has been sent.
func (p *person) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.raw.String()
}

// screen is what the terminal shows.
func (p *person) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for y := range p.em.Height() {
		for x := range p.em.Width() {
			if c := p.em.CellAt(x, y); c != nil && c.Content != "" {
				b.WriteString(c.Content)
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// sees waits until the screen has all parts, and returns how long that took.
func (p *person) sees(within time.Duration, parts ...string) time.Duration {
	p.t.Helper()
	begin := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		screen := p.screen()
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(screen, part) }) {
			return time.Since(begin)
		}
		if time.Since(begin) > within {
			p.t.Fatalf("%q not seen within %v:\n%s", parts, within, screen)
		}
		<-tick.C
	}
}

// summaryAfter presses q and returns what stays in the scrollback.
func (p *person) summaryAfter(keys string) string {
	p.t.Helper()
	p.types(keys)
	select {
	case <-p.ended:
		if p.err != nil {
			p.t.Errorf("rig: %v\n%s", p.err, lastOf(p.output()))
		}
	case <-time.After(time.Minute): // with the race detector a picture takes seconds
		p.t.Fatalf("rig did not end\n%s", lastOf(p.output()))
	}
	<-p.done // the terminal has hung up: all of it is here
	out := p.output()
	i := strings.LastIndex(out, "\x1b[?1049l")
	if i < 0 {
		p.t.Fatalf("the alternate screen was never left: %q", lastOf(out))
	}
	return out[i:]
}

func lastOf(s string) string { return s[max(len(s)-3000, 0):] }

// TestOperator is the evening of an operator: attached to the private side of a
// server and to the serial port of a board, he sees it boot, cuts the camera, sees
// the public get the loop, gives the camera back, and reads why the board crashed.
func TestOperator(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the server to notice silence, ten seconds")
	}
	dir := t.TempDir()
	page, admin, link := simOnPTY(t, dir, "500ms")

	p := onTerminal(t, 120, 40, "tui", "--server", admin, "--public", page, "--port", link, "--record", filepath.Join(dir, "evening"))
	p.sees(20*time.Second, "public: LIVE", "1 Camera", "state      running", "camera     on")
	if strings.Contains(p.screen(), "2 starts") {
		t.Fatal("watching has reset the board")
	}
	p.types("r")
	p.sees(10*time.Second, "board.reset: the board was reset")
	p.sees(10*time.Second, "porthole: boot project=", "camera ready", "firmware   porthole 1.0.0", "wifi       porthole, -58 dBm")

	p.types("o")
	p.sees(5*time.Second, "camera off", "camera     off")
	t.Logf("the loop played after %v", p.sees(13*time.Second, "public: LOOP", "recorded picture", "shown to the public"))

	p.types("O")
	p.sees(5*time.Second, "Turn the camera on?")
	p.types("y")
	p.sees(10*time.Second, "public: LIVE", "camera     on")

	p.types("x")
	p.sees(5*time.Second, "Crash the application")
	p.types("y")
	p.sees(10*time.Second, "1 crashes")
	p.types("/guru\r")
	p.sees(5*time.Second, "only /guru", "lines, enter opens: Guru Meditation Error")
	p.types("/\x15crash on\r")
	p.sees(5*time.Second, "board: crash on core 1: LoadProhibited")

	p.types("[")
	p.sees(5*time.Second, "PAST")
	p.types("0")
	summary := p.summaryAfter("q")
	for _, want := range []string{"frames sent", "public   LIVE", "1 crashes", "recorded"} {
		if !strings.Contains(summary, want) {
			t.Errorf("the scrollback lacks %q:\n%s", want, summary)
		}
	}
	html := filepath.Join(dir, "evening.html")
	if out := rig(t, t.Context(), "tui", "--replay", filepath.Join(dir, "evening"), "--export", html); !strings.Contains(out, "exported") {
		t.Errorf("export: %s", out)
	}
	if page, err := os.ReadFile(html); err != nil || !strings.Contains(string(page), "LoadProhibited") || len(page) < 100_000 {
		t.Errorf("page of %d bytes, %v", len(page), err)
	}
}

// simOnPTY runs rig sim in a process of its own, with a pseudo-terminal.
func simOnPTY(t *testing.T, dir, interval string) (page, admin, link string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link = filepath.Join(dir, "board")
	sim := exec.Command(self)
	sim.Args = []string{"rig", "sim", "--port", "0", "--http-port", "0", "--admin-port", "0", "--serial", "off", "--pty", link, "--interval", interval, "--seed", "3"}
	sim.Env = append(os.Environ(), "HOME="+dir, "XDG_STATE_HOME="+dir, "RIG_RUNTIME_DIR="+dir)
	sim.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := sim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Process.Signal(syscall.SIGTERM); sim.Wait() })
	page, admin = addresses(t, out)
	return page, admin, link
}

var addressLine = regexp.MustCompile(`^(live page|private) +(http://[0-9.:]+)`)

// addresses reads where rig sim listens.
func addresses(t *testing.T, out io.Reader) (page, admin string) {
	t.Helper()
	lines := bufio.NewScanner(out)
	for page == "" || admin == "" {
		if !lines.Scan() {
			t.Fatalf("rig sim ended: %v", lines.Err())
		}
		if m := addressLine.FindStringSubmatch(lines.Text()); m != nil {
			if m[1] == "private" {
				admin = m[2]
			} else {
				page = m[2]
			}
		}
	}
	go io.Copy(io.Discard, out) // ends with the process
	return page, admin
}

// TestTerminated: a signal restores the terminal and leaves the summary.
func TestTerminated(t *testing.T) {
	p := onTerminal(t, 80, 24, "tui", "--seed", "1")
	p.sees(20*time.Second, "public: LIVE")
	p.cmd.Process.Signal(syscall.SIGTERM)
	if summary := p.summaryAfter(""); !strings.Contains(summary, "frames sent") {
		t.Errorf("scrollback:\n%s", summary)
	}
}
