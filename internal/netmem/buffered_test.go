package netmem

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
)

// TestPipeIsAConn holds the pipe to what package net expects of connections.
func TestPipeIsAConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := Pipe()
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

func TestPipeHoldsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		want := bytes.Repeat([]byte("0123456789"), 1000)
		if n, err := a.Write(want); n != len(want) || err != nil { // nobody reads yet
			t.Fatalf("write: %d, %v", n, err)
		}
		a.Close()
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
		if _, err := b.Write([]byte("x")); err == nil {
			t.Error("wrote to an end that is closed")
		}

		a, b = Pipe()
		defer b.Close()
		a.SetWriteDeadline(time.Now().Add(time.Second))
		began := time.Now()
		n, err := a.Write(make([]byte, window+1))
		if n != window || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("write beyond the window: %d, %v after %v", n, err, time.Since(began))
		}
		a.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read without bytes: %v", err)
		}
		a.SetReadDeadline(time.Time{})
		go b.Write([]byte("late"))
		if n, err := a.Read(make([]byte, 9)); n != 4 || err != nil {
			t.Errorf("read after a deadline: %d, %v", n, err)
		}
	})
}

// TestPipeDeadlineMoved: a deadline that is moved while somebody reads or is about
// to has not passed.
func TestPipeDeadlineMoved(t *testing.T) {
	a, b := Pipe()
	defer a.Close()
	defer b.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20_000 {
			a.SetReadDeadline(time.Now().Add(time.Hour))
		}
	}()
	var buf [1]byte
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		default:
		}
		b.Write([]byte{1})
		if _, err := a.Read(buf[:]); err != nil {
			t.Fatalf("read %d: %v", n, err)
		}
	}
}
