package board_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/netmem"
	"porthole/internal/rfc2217"
	"porthole/sim/board"
)

// echo is a program that says hello and sends back what it gets.
var echo = board.ProgramFunc(func(ctx context.Context, m *board.Machine) {
	m.Running()
	m.Printf("hello\r\n")
	buf := make([]byte, 256)
	for {
		n, err := m.Read(buf)
		if err != nil {
			return
		}
		m.Write(buf[:n])
	}
})

func newBoard(t *testing.T, cfg board.Config) *board.Board {
	t.Helper()
	b, err := board.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// until reads from r until the text has come, and returns everything read.
func until(t *testing.T, r io.Reader, text string) string {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	if d, ok := r.(interface{ SetReadDeadline(time.Time) error }); ok {
		d.SetReadDeadline(deadline)
	}
	var got bytes.Buffer
	buf := make([]byte, 1024)
	for seen := 0; !bytes.Contains(got.Bytes()[max(0, seen-len(text)):], []byte(text)); {
		seen = got.Len()
		n, err := r.Read(buf)
		got.Write(buf[:n])
		if err == nil && time.Now().After(deadline) {
			err = os.ErrDeadlineExceeded // a serial port gives 0 bytes and no error
		}
		if err != nil {
			t.Fatalf("read %q, want %q: %v", got.String(), text, err)
		}
	}
	return got.String()
}

// eventually waits, without a fixed time, for what happens on its own.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10s for %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// serveTCP serves a board on a loopback port until the end of the test.
func serveTCP(t *testing.T, f *board.RFC2217) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- f.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, board.ErrClosed) {
			t.Errorf("serve ended with %v", err)
		}
	})
	return ln.Addr().String()
}

func dial(t *testing.T, addr string) *rfc2217.Client {
	t.Helper()
	c, err := rfc2217.Dial(t.Context(), addr, rfc2217.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestResetLinesOverTCP(t *testing.T) {
	b := newBoard(t, board.Config{Program: echo})
	c := dial(t, serveTCP(t, &board.RFC2217{Board: b}))
	set := func(dtr, rts bool) {
		t.Helper()
		if err := c.SetDTRRTS(dtr, rts); err != nil {
			t.Fatal(err)
		}
	}
	set(false, true)
	set(true, false)
	eventually(t, "the loader", func() bool { return b.Status().State == board.StateROM })
	set(false, false)
	if got := until(t, c, "waiting for download"); !strings.Contains(got, "boot:0x3 (DOWNLOAD_BOOT") {
		t.Errorf("boot log %q", got)
	}
	set(false, true)
	set(false, false)
	if got := until(t, c, "hello"); !strings.Contains(got, "boot:0x13 (SPI_FAST_FLASH_BOOT") {
		t.Errorf("boot log %q", got)
	}
	if _, err := c.Write([]byte{'a', 0xFF, 0xC0}); err != nil {
		t.Fatal(err)
	}
	until(t, c, "a\xff\xc0")
}

func TestSecondClientIsToldWhy(t *testing.T) {
	b := newBoard(t, board.Config{})
	addr := serveTCP(t, &board.RFC2217{Board: b, Grace: time.Millisecond})
	first := dial(t, addr)

	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	conn.Write([]byte("\xff\xfb\x2c")) // unread when the server answers, must not cost the line
	line, err := bufio.NewReader(conn).ReadString('\n')
	if want := "porthole: board is in use by 127.0.0.1:"; err != nil || !strings.HasPrefix(line, want) {
		t.Errorf("second client read %q, %v; want %q", line, err, want)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the reason: %v, want the end", err)
	}
	if err := first.SetDTR(true); err != nil {
		t.Errorf("the first client was disturbed: %v", err)
	}
	first.Close()
	again, err := rfc2217.Dial(t.Context(), addr, rfc2217.ClientConfig{})
	for err != nil && t.Context().Err() == nil { // the server may not have noticed yet: Grace is 1 ms here
		again, err = rfc2217.Dial(t.Context(), addr, rfc2217.ClientConfig{})
	}
	again.Close()
}

// pipe serves a board in memory, in virtual time.
func pipe(t *testing.T, f *board.RFC2217) *netmem.Listener {
	t.Helper()
	ln := netmem.Listen()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, board.ErrClosed) {
			t.Errorf("serve ended with %v", err)
		}
		f.Board.Close()
	})
	return ln
}

func dialPipe(t *testing.T, ln *netmem.Listener) *rfc2217.Client {
	t.Helper()
	conn, err := ln.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := rfc2217.NewClient(t.Context(), conn, rfc2217.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func newBoardInBubble(t *testing.T, cfg board.Config) *board.Board {
	t.Helper()
	b, err := board.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b // closed by pipe
}

func TestReopeningWaitsForTheOldSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoardInBubble(t, board.Config{})
		ln := pipe(t, &board.RFC2217{Board: b})
		first := dialPipe(t, ln)
		time.AfterFunc(300*time.Millisecond, func() { first.Close() })
		second := dialPipe(t, ln) // fails the test if it is refused
		if err := second.SetBaud(921600); err != nil {
			t.Error(err)
		}
		if got := b.Status().HostBaud; got != 921600 {
			t.Errorf("host speed %d, want 921600", got)
		}
		second.Close()
		synctest.Wait()
		third := dialPipe(t, ln)
		if got := b.Status().HostBaud; got != 115200 {
			t.Errorf("speed of a fresh session %d, want 115200", got)
		}
		third.Close()
	})
}

func TestLeavingLetsGoOfTheLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoardInBubble(t, board.Config{})
		ln := pipe(t, &board.RFC2217{Board: b})
		c := dialPipe(t, ln)
		if err := c.SetDTRRTS(false, true); err != nil {
			t.Fatal(err)
		}
		if s := b.Status(); !s.RTS || s.State != board.StateReset {
			t.Fatalf("status %+v, want the chip held in reset", s)
		}
		c.Close()
		time.Sleep(time.Second)
		if s := b.Status(); s.RTS || s.DTR || s.Connected || s.State == board.StateReset {
			t.Errorf("status %+v, want the lines let go and the chip running", s)
		}
	})
}

func TestSlowClientDoesNotHoldUpTheBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lines = 100_000
		done := make(chan time.Duration, 1)
		flood := board.ProgramFunc(func(ctx context.Context, m *board.Machine) {
			start := time.Now()
			for range lines {
				m.Printf("0123456789abcdef\r\n")
			}
			done <- time.Since(start)
			<-ctx.Done()
		})
		b := newBoardInBubble(t, board.Config{Program: flood})
		ln := pipe(t, &board.RFC2217{Board: b, WriteTimeout: time.Minute})
		conn, err := ln.Dial(t.Context()) // never reads
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if d := <-done; d > time.Second {
			t.Errorf("the board printed for %v, want it not to wait for its reader", d)
		}
		time.Sleep(2 * time.Minute)
		if s := b.Status(); s.Connected {
			t.Error("a client that has read nothing for two minutes is still connected")
		}
	})
}

func TestUnpluggedCableEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoardInBubble(t, board.Config{})
		ln := pipe(t, &board.RFC2217{Board: b})
		c := dialPipe(t, ln)
		c.SetReadDeadline(time.Now().Add(time.Minute))
		b.SetPlugged(false)
		if _, err := io.Copy(io.Discard, c); !errors.Is(err, io.EOF) && err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading ended with %v, want the end of the connection", err)
		}
		conn, err := ln.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(conn)
		if want := "porthole: cable is unplugged\r\n"; string(text) != want {
			t.Errorf("client of an unplugged board read %q, want %q", text, want)
		}
		conn.Close()
		b.SetPlugged(true)
		dialPipe(t, ln).Close()
	})
}

func TestServeEndsWithTheBoard(t *testing.T) {
	b := newBoard(t, board.Config{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- (&board.RFC2217{Board: b}).Serve(t.Context(), ln) }()
	b.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text, _ := io.ReadAll(conn)
	if want := "porthole: board is closed\r\n"; string(text) != want {
		t.Errorf("client of a closed board read %q, want %q", text, want)
	}
	if err := <-ended; !errors.Is(err, board.ErrClosed) {
		t.Errorf("serve ended with %v, want %v", err, board.ErrClosed)
	}
}
