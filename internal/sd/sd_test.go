package sd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMain: with SD_TEST_CHILD set this process is the service that sockets are
// handed to. It greets on each with the name it knows it by.
func TestMain(m *testing.M) {
	if os.Getenv("SD_TEST_CHILD") == "" {
		os.Exit(m.Run())
	}
	sockets, err := Inherit()
	if err != nil {
		os.Stdout.WriteString(err.Error())
		os.Exit(1)
	}
	if os.Getenv("LISTEN_FDS") != "" {
		os.Stdout.WriteString("the environment still has LISTEN_FDS")
		os.Exit(1)
	}
	for _, name := range sockets.Names() {
		ln := sockets.Take(name)
		conn, err := ln.Accept()
		if err != nil {
			os.Stdout.WriteString(err.Error())
			os.Exit(1)
		}
		io.WriteString(conn, name)
		conn.Close()
		ln.Close()
	}
	os.Exit(len(sockets))
}

// listenFile returns a listener's address and a descriptor of it.
func listenFile(t *testing.T) (string, *os.File) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return ln.Addr().String(), f
}

// TestInherit hands two sockets to another process as systemd does.
func TestInherit(t *testing.T) {
	first, a := listenFile(t)
	second, b := listenFile(t)
	// The shell's process number becomes the child's.
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), "SD_TEST_CHILD=1", "LISTEN_FDS=2", "LISTEN_FDNAMES=https:redirect")
	cmd.ExtraFiles = []*os.File{a, b}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ address, name string }{{first, "https"}, {second, "redirect"}} {
		conn, err := net.Dial("tcp", tt.address)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		got, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || string(got) != tt.name {
			t.Errorf("socket %s answered %q, %v", tt.name, got, err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestInheritForAnother(t *testing.T) {
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()+1))
	t.Setenv("LISTEN_FDS", "1")
	if s, err := Inherit(); len(s) != 0 || err != nil {
		t.Errorf("took %d sockets of another process, %v", len(s), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	notASocket := func(int) *os.File {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	socket := func(int) *os.File {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, tt := range []struct {
		name, count, names string
		file               func(int) *os.File
		want               string
	}{
		{"not a number", "two", "", socket, `LISTEN_FDS is "two"`},
		{"negative", "-1", "", socket, `LISTEN_FDS is "-1"`},
		{"too many", "65", "", socket, `LISTEN_FDS is "65"`},
		{"a name too few", "2", "https", socket, "2 sockets have 1 names"},
		{"a name too many", "1", "https:http", socket, "1 sockets have 2 names"},
		{"one name twice", "2", "https:https", socket, `two of them are named "https"`},
		{"nameless twice", "2", "", socket, `two of them are named "unknown"`},
		{"not a socket", "1", "https", notASocket, `take over socket 0 ("https")`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := open(tt.count, tt.names, tt.file); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	s, err := open("1", "", socket)
	if err != nil || len(s.Names()) != 1 || s.Names()[0] != "unknown" {
		t.Errorf("one without a name: %v, %v", s.Names(), err)
	}
	s.Close()
	if len(s) != 0 {
		t.Error("close left a socket")
	}
}

// manager receives notifications as systemd does.
func manager(t *testing.T) (socket string, next func() string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return socket, func() string {
		var b [512]byte
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, _, err := conn.ReadFrom(b[:])
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestNotify(t *testing.T) {
	socket, next := manager(t)
	t.Setenv("NOTIFY_SOCKET", socket)
	n, err := NewNotifier()
	if err != nil || os.Getenv("NOTIFY_SOCKET") != "" {
		t.Fatalf("%v; the variable stayed: %q", err, os.Getenv("NOTIFY_SOCKET"))
	}
	send := func(want string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if got := next(); got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
	send("READY=1\nSTATUS=serving a b", n.Ready("serving\na  b"))
	send("STOPPING=1\nSTATUS=stopping", n.Stopping())
	send("RELOADING=1", n.Reloading())
	n.Watch(t.Context(), func() error { t.Error("asked without a watchdog"); return nil }, nil)
}

func TestWatchdog(t *testing.T) {
	socket, next := manager(t)
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	n, err := NewNotifier()
	if err != nil || n.Watchdog() != 2*time.Millisecond {
		t.Fatalf("watchdog %v, %v", n.Watchdog(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	unwell := errors.New("unwell")
	checks, reports := 0, 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Watch(ctx, func() error {
			if checks++; checks <= 3 {
				return unwell
			}
			if checks == 6 {
				cancel()
			}
			return nil
		}, func(err error) {
			if reports++; !errors.Is(err, unwell) {
				t.Error(err)
			}
		})
	}()
	for range 3 { // checks 4 to 6, not the first three
		if got := next(); got != "WATCHDOG=1" {
			t.Errorf("sent %q", got)
		}
	}
	<-done
	if reports != 3 {
		t.Errorf("%d reports, want 3", reports)
	}
}

func TestNotifierWithoutSystemd(t *testing.T) {
	for _, tt := range []struct {
		name, usec, pid string
		wantErr         bool
	}{
		{"no watchdog", "", "", false},
		{"of another process", "2000", "1", false},
		{"not a number", "soon", "", true},
		{"negative", "-5", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
			t.Setenv("WATCHDOG_USEC", tt.usec)
			t.Setenv("WATCHDOG_PID", tt.pid)
			n, err := NewNotifier()
			if (err != nil) != tt.wantErr || n.Watchdog() != 0 {
				t.Errorf("watchdog %v, %v", n.Watchdog(), err)
			}
			if n.Ready("x") == nil {
				t.Error("a manager that is not there was told")
			}
		})
	}
	if err := (Notifier{}).Ready("x"); err != nil {
		t.Errorf("without systemd: %v", err)
	}
}
