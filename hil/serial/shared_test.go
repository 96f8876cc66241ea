package serial

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"porthole/hil"
	"porthole/hil/hiltest"
)

// over is a port that has nothing to say.
type over struct{ hil.Port }

func (over) Read([]byte) (int, error) { return 0, io.EOF }

// TestSharedBaud: the owner's speed is set before the port is read, so that it
// comes in time for one that ends at once.
func TestSharedBaud(t *testing.T) {
	pipe, far := hiltest.Pipe()
	port := over{pipe}
	s, err := NewShared(t.Context(), SharedConfig{Baud: 74880, Open: func(context.Context) (hil.Port, error) { return port, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read: %v", err)
	}
	if _, _, baud := far.State(); baud != 74880 {
		t.Errorf("the port is at %d", baud)
	}
	gone, _ := hiltest.Pipe()
	gone.Close()
	for _, cfg := range []SharedConfig{
		{Baud: 74880, Open: func(context.Context) (hil.Port, error) { return gone, nil }},
		{Baud: -1, Open: func(context.Context) (hil.Port, error) { return port, nil }},
	} {
		if _, err := NewShared(t.Context(), cfg); err == nil {
			t.Errorf("speed %d was taken", cfg.Baud)
		} else if refused, ok := errors.AsType[*BaudError](err); !ok || refused.Baud != cfg.Baud {
			t.Errorf("speed %d: %v", cfg.Baud, err)
		}
	}
}

// TestSharedInProcess: a flasher borrows the port of a monitor.
func TestSharedInProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		port, far := hiltest.Pipe()
		s, err := NewShared(t.Context(), SharedConfig{Open: func(context.Context) (hil.Port, error) { return port, nil }})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		says := func(text string) {
			far.Write([]byte(text))
			synctest.Wait()
		}
		if err := s.SetBaud(74880); err != nil {
			t.Fatal(err)
		}
		says("boot ")
		b, err := s.Borrow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// The owner sees silence, and cannot interfere.
		says("sync")
		if _, err := s.Write([]byte("x")); !errors.Is(err, ErrLent) {
			t.Errorf("owner writes: %v", err)
		}
		if err := s.SetLines(false, true); !errors.Is(err, ErrLent) {
			t.Errorf("owner sets lines: %v", err)
		}
		// A second borrower waits for its turn.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if _, err := s.Borrow(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("second borrower: %v", err)
		}
		cancel()
		buf := make([]byte, 4)
		if _, err := io.ReadFull(b, buf); err != nil || string(buf) != "sync" {
			t.Errorf("borrower reads %q, %v", buf, err)
		}
		b.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := b.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("borrower's deadline: %v", err)
		}
		if err := errors.Join(b.SetBaud(921600), b.SetLines(false, true), b.SetLines(false, false)); err != nil {
			t.Error(err)
		}
		if _, err := b.Write([]byte("flash")); err != nil {
			t.Error(err)
		}
		says("hello ")
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("borrower writes after all: %v", err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		says("world")
		s.SetReadDeadline(time.Now())
		s.SetReadDeadline(time.Time{})
		got := make([]byte, len("boot hello world"))
		if _, err := io.ReadFull(s, got); err != nil || string(got) != "boot hello world" {
			t.Errorf("owner reads %q, %v", got, err)
		}
		if _, err := s.Write([]byte("!")); err != nil {
			t.Error(err)
		}
		var log []string
		for _, c := range far.Changes() {
			log = append(log, c.String())
		}
		want := []string{"dtr=0 rts=0 74880", "dtr=0 rts=0 921600", "dtr=0 rts=1 921600", "dtr=0 rts=0 921600", "dtr=0 rts=0 74880"}
		if !slices.Equal(log, want) {
			t.Errorf("board saw %q, want %q", log, want)
		}

		// Unplugged while it is lent: both hear of it.
		b, err = s.Borrow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		gone := errors.New("pulled out")
		far.Unplug(gone)
		if _, err := b.Read(buf); !errors.Is(err, gone) {
			t.Errorf("borrower: %v", err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if _, err := s.Read(buf); !errors.Is(err, gone) {
			t.Errorf("owner: %v", err)
		}
		if _, err := s.Borrow(t.Context()); !errors.Is(err, gone) {
			t.Errorf("next borrower: %v", err)
		}
	})
}

func TestSharedClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		port, _ := hiltest.Pipe()
		s, err := NewShared(t.Context(), SharedConfig{Open: func(context.Context) (hil.Port, error) { return port, nil }})
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Borrow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error, 2)
		for _, r := range []io.Reader{s, b} {
			go func() {
				_, err := r.Read(make([]byte, 1))
				failed <- err
			}()
		}
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-failed; !errors.Is(err, os.ErrClosed) {
				t.Errorf("blocked read: %v", err)
			}
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := s.SetBaud(9600); !errors.Is(err, os.ErrClosed) {
			t.Errorf("closed port: %v", err)
		}
	})
}

func TestSharedOpenFails(t *testing.T) {
	l := Leases{Dir: t.TempDir()}
	bad := errors.New("no board")
	if _, err := NewShared(t.Context(), SharedConfig{
		ID: "board", Leases: l, Open: func(context.Context) (hil.Port, error) { return nil, bad },
	}); !errors.Is(err, bad) {
		t.Errorf("got %v", err)
	}
	if h, ok := l.Status("board"); ok {
		t.Errorf("still leased by %v", h)
	}
}
