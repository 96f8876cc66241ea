package serial

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"porthole/internal/cli"
)

// TestHandover: a process that opens a monitored port gets it, and the monitor
// has it again when that process is done, or dead.
func TestHandover(t *testing.T) {
	far := newPTY(t)
	far.keep(t)
	l := leaseDir(t)
	moves := make(chan Handover, 10)
	o := Openers{Leases: l, Request: Request{Purpose: "rig monitor"}}
	s, err := o.OpenShared(t.Context(), far.path, 0, func(h Handover) { moves <- h })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.SetBaud(74880); err != nil {
		t.Fatal(err)
	}
	s.SetReadDeadline(time.Now().Add(30 * time.Second))
	far.SetReadDeadline(time.Now().Add(30 * time.Second))
	board := bufio.NewReader(far)
	expect := func(want string, r *bufio.Reader) {
		t.Helper()
		if got, err := r.ReadString('\n'); got != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	next := func() Handover {
		t.Helper()
		select {
		case h := <-moves:
			return h
		case <-time.After(30 * time.Second):
			t.Fatal("no handover")
		}
		panic("unreachable")
	}
	monitor := bufio.NewReader(s)
	fmt.Fprint(far, "one\n")
	expect("one\n", monitor)

	// A second monitor does not push the first one out.
	if _, err := o.OpenShared(t.Context(), far.path, 0, nil); err == nil || !strings.Contains(err.Error(), "rig monitor") {
		t.Errorf("second monitor: %v", err)
	}

	for _, end := range []string{"done", "killed"} {
		flasher := child(t, "flasher", "LEASES="+l.Dir, "PORT="+far.path)
		in, err := flasher.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		flasher.Stdout = os.Stderr
		if err := flasher.Start(); err != nil {
			t.Fatal(err)
		}
		expect("flash\n", board)
		if h := next(); h.Back || !strings.Contains(h.To, fmt.Sprintf("rig flash (pid %d)", flasher.Process.Pid)) {
			t.Errorf("handed to %+v", h)
		}
		if h, ok := l.Status(far.path); !ok || h.PID != flasher.Process.Pid {
			t.Errorf("lease of %+v", h)
		}
		if _, err := s.Write([]byte("x")); !errors.Is(err, ErrLent) {
			t.Errorf("monitor writes meanwhile: %v", err)
		}
		// While the port is away a third one is told who has it.
		if _, err := (Openers{Leases: l}).Open(t.Context(), far.path); err == nil || !strings.Contains(err.Error(), "rig flash") {
			t.Errorf("third one: %v", err)
		}
		if end == "killed" {
			flasher.Process.Kill()
		} else {
			io.WriteString(in, "end")
		}
		in.Close()
		flasher.Wait()
		if h := next(); !h.Back {
			t.Errorf("%s: handed to %+v", end, h)
		}
		fmt.Fprintf(far, "%s\n", end)
		expect(end+"\n", monitor)
		if _, err := s.Write([]byte("typed\n")); err != nil {
			t.Errorf("monitor writes again: %v", err)
		}
		expect("typed\n", board)
		if h, ok := l.Status(far.path); !ok || h.PID != os.Getpid() || !h.Yields {
			t.Errorf("lease is back with %+v", h)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if h, ok := l.Status(far.path); ok {
		t.Errorf("closed, but leased by %v", h)
	}
	p, err := o.Open(t.Context(), far.path)
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}

// flasher is the child of TestHandover.
func flasher() error {
	o := Openers{Leases: Leases{Dir: os.Getenv("LEASES")}, Request: Request{Purpose: "rig flash"}}
	p, err := o.Open(context.Background(), os.Getenv("PORT"))
	if err != nil {
		return err
	}
	if _, err := p.Write([]byte("flash\n")); err != nil {
		return err
	}
	if err := holdStdin(); err != nil {
		return err
	}
	return p.Close()
}

// TestHandoverTrouble: whoever talks nonsense to the socket, or nothing, gets no
// port, and the monitor keeps its own.
func TestHandoverTrouble(t *testing.T) {
	far := newPTY(t)
	far.keep(t)
	l := leaseDir(t)
	s, err := (Openers{Leases: l}).OpenShared(t.Context(), far.path, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, text := range []string{"", "\n", "rubbish\n", "{}", strings.Repeat("x", 2*maxAsk)} {
		conn, err := net.Dial("unix", l.record(far.path, "use").socket())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, text)
		conn.(*net.UnixConn).CloseWrite()
		if got, _ := io.ReadAll(conn); len(got) > 0 {
			t.Errorf("%.10q is answered with %q", text, got)
		}
		conn.Close()
	}
	s.SetReadDeadline(time.Now().Add(10 * time.Second))
	far.Write([]byte("here"))
	if _, err := io.ReadFull(s, make([]byte, 4)); err != nil {
		t.Errorf("monitor: %v", err)
	}

	// A port that is busy in the monitor's own process stays there.
	b, err := s.Borrow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = (Openers{Leases: l}).Open(ctx, far.path)
	if _, ok := errors.AsType[*LockedError](err); !ok || cli.HintOf(err) == "" {
		t.Errorf("open of a port that is borrowed: %v", err)
	}
	b.Close()
}
