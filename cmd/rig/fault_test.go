package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/event"
)

// TestFaultsAreUndone: by themselves, by command, by the next one and at the end.
func TestFaultsAreUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := new(event.Bus)
		var log []string
		one := func(name string) fault {
			return fault{name, name + " is on", func() { log = append(log, "+"+name) }, func() { log = append(log, "-"+name) }}
		}
		f := newFaults(bus, "", []fault{one("a"), one("b")})
		do := func(name string, args map[string]string) error {
			_, err := bus.Do(t.Context(), event.Command{Name: name, Args: args})
			return err
		}
		wait := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		for _, bad := range []string{"0s", "2h", "soon", "-1s"} {
			if do("fault.a", map[string]string{"for": bad}) == nil {
				t.Errorf("for=%s was taken", bad)
			}
		}
		if do("fault.undo", nil) == nil {
			t.Error("nothing was undone without an error")
		}
		if err := do("fault.a", nil); err != nil {
			t.Fatal(err)
		}
		if s := bus.Snapshot().Fault; s.Name != "a" || !s.Until.Equal(time.Now().Add(faultTime)) {
			t.Errorf("state %+v", s)
		}
		wait(faultTime - time.Second)
		if bus.Snapshot().Fault.Name != "a" {
			t.Error("undone too early")
		}
		wait(2 * time.Second)
		if bus.Snapshot().Fault != (event.Fault{}) {
			t.Error("not undone by itself")
		}
		do("fault.a", map[string]string{"for": "10s"})
		wait(5 * time.Second)
		do("fault.a", map[string]string{"for": "1m"}) // begins anew
		wait(30 * time.Second)
		do("fault.b", nil)
		do("fault.undo", nil)
		do("fault.b", nil)
		f.close()
		wait(time.Hour)
		if got, want := strings.Join(log, " "), "+a -a +a -a +a -a +b -b +b -b"; got != want {
			t.Errorf("did %s\nwant %s", got, want)
		}
		if err := do("fault.a", nil); !errors.Is(err, event.ErrNoHandler) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// TestFaultyLine: a cut line ends what runs and refuses what comes, a slow one
// takes its time within the deadline, and both leave every byte in its place.
func TestFaultyLine(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan []byte, 8)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { b, _ := io.ReadAll(c); got <- b; c.Close() })
		}
	})
	defer func() { ln.Close(); serving.Wait() }()
	line := new(faultyLine)
	dial := func() (net.Conn, error) { return line.dial(context.Background(), "tcp", ln.Addr().String()) }
	open, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	line.setCut(true)
	if _, err := open.Read(make([]byte, 1)); err == nil {
		t.Error("a cut connection is read from")
	}
	<-got
	if _, err := dial(); !errors.Is(err, errLineCut) {
		t.Errorf("dial over a cut line: %v", err)
	}
	line.setCut(false)
	open.Close()

	line.setSlow(true)
	slow, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	sent := bytes.Repeat([]byte("0123456789abcdef"), 160) // two and a half chunks
	begin := time.Now()
	if n, err := slow.Write(sent); n != len(sent) || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if d := time.Since(begin); d < 3*slowEvery {
		t.Errorf("three chunks took %v", d)
	}
	slow.SetWriteDeadline(time.Now().Add(slowEvery / 2))
	if _, err := slow.Write(sent); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write beyond the deadline: %v", err)
	}
	slow.Close()
	if b := <-got; !bytes.Equal(b, sent) {
		t.Errorf("%d bytes arrived, %d were sent", len(b), len(sent))
	}
	if len(line.conns) != 0 {
		t.Errorf("%d connections are kept", len(line.conns))
	}
}
