package hiltest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/hil"
)

func TestPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		port, far := Pipe()
		far.OnChange(func(c Change) {
			if c.RTS && !c.DTR {
				far.Write([]byte("reset"))
			}
		})
		buf := make([]byte, 16)
		if err := port.SetLines(false, true); err != nil {
			t.Fatal(err)
		}
		if n, err := port.Read(buf); err != nil || string(buf[:n]) != "reset" {
			t.Errorf("read %q, %v", buf[:n], err)
		}
		port.SetReadDeadline(time.Now().Add(time.Second))
		start := time.Now()
		if _, err := port.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("read after %v: %v", time.Since(start), err)
		}
		port.SetReadDeadline(time.Time{})
		if _, err := port.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if n, err := far.Read(buf); err != nil || string(buf[:n]) != "hello" {
			t.Errorf("board read %q, %v", buf[:n], err)
		}
		if err := port.SetBaud(921600); err != nil {
			t.Fatal(err)
		}
		if err := port.SetBaud(0); err == nil {
			t.Error("a speed of 0 was taken")
		}
		far.Write([]byte("old"))
		port.Discard()
		far.Write([]byte("new"))
		if n, _ := port.Read(buf); string(buf[:n]) != "new" {
			t.Errorf("read %q after discard", buf[:n])
		}
		var log []string
		for _, c := range far.Changes() {
			log = append(log, c.String())
		}
		if want := []string{"dtr=0 rts=1 115200", "dtr=0 rts=1 921600"}; !slices.Equal(log, want) {
			t.Errorf("changes %q, want %q", log, want)
		}
	})
}

func TestPipeTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		port, far := Pipe()
		far.RefuseLines()
		if err := port.SetLines(true, true); !errors.Is(err, hil.ErrNoLines) {
			t.Errorf("lines: %v", err)
		}
		far.Stall(true)
		start := time.Now()
		if _, err := port.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != stallTimeout {
			t.Errorf("stalled write after %v: %v", time.Since(start), err)
		}
		go func() {
			time.Sleep(stallTimeout / 2)
			far.Stall(false)
		}()
		if _, err := port.Write([]byte("x")); err != nil {
			t.Errorf("write after a stall: %v", err)
		}

		far.Write([]byte("last words"))
		far.Unplug(nil)
		if data, err := io.ReadAll(port); string(data) != "last words" || err != nil {
			t.Errorf("read %q, %v", data, err)
		}
		if _, err := port.Write([]byte("x")); !errors.Is(err, io.EOF) {
			t.Errorf("write to an unplugged port: %v", err)
		}
		if err := port.SetLines(false, false); !errors.Is(err, io.EOF) {
			t.Errorf("lines of an unplugged port: %v", err)
		}

		port, far = Pipe()
		go func() {
			time.Sleep(time.Second)
			port.Close()
		}()
		if _, err := port.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("read of a closed port: %v", err)
		}
		if _, err := far.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("board reads %v", err)
		}
	})
}

const talk = `# A sync.
b 115200
l 0 1
l 0 0
< "rst:0x1\r\n"
> "sync"
< "\x00ok"
d
> "bye"
`

func TestPlayback(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(p hil.Port) error
		want string // "" is success
	}{
		{"as written", func(p hil.Port) error { return converse(p, "sync", "bye") }, ""},
		{"other words", func(p hil.Port) error { return converse(p, "sink", "bye") }, `step 5: got write "i", want > "ync"`},
		{"too much", func(p hil.Port) error { return converse(p, "sync", "bye!") }, `step 9: got write "!", want nothing more`},
		{"stops early", func(p hil.Port) error { return converse(p, "sync", "") }, `closed at step 8 with 1 left: > "bye"`},
		{"wrong line", func(p hil.Port) error { return errors.Join(p.SetBaud(115200), p.SetLines(true, true)) }, `step 2: got l 1 1, want l 0 1`},
		{"wrong speed", func(p hil.Port) error { return p.SetBaud(9600) }, `step 1: got b 9600, want b 115200`},
		{"reads too little", func(p hil.Port) error {
			return errors.Join(p.SetBaud(115200), p.SetLines(false, true), p.SetLines(false, false), write(p, "sync"), p.Discard(), write(p, "bye"))
		}, ""}, // Discard threw the answers away
	} {
		t.Run(tt.name, func(t *testing.T) {
			steps, err := ParseScript(talk)
			if err != nil {
				t.Fatal(err)
			}
			p := NewPlayback(steps)
			err = errors.Join(tt.run(p), p.Close())
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("failed: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !IsFault(err)):
				t.Errorf("got %v, want a fault %q", err, tt.want)
			}
		})
	}

	p := NewPlayback([]Step{{Op: OpRead, Data: []byte("unread")}})
	if err := p.Close(); !IsFault(err) {
		t.Errorf("closed over unread answers: %v", err)
	}
}

func write(p hil.Port, text string) error {
	for i := range len(text) {
		if _, err := p.Write([]byte{text[i]}); err != nil {
			return err
		}
	}
	return nil
}

func converse(p hil.Port, first, last string) error {
	for _, err := range []error{p.SetBaud(115200), p.SetLines(false, true), p.SetLines(false, false)} {
		if err != nil {
			return err
		}
	}
	if _, err := io.ReadFull(p, make([]byte, 9)); err != nil {
		return err
	}
	if err := write(p, first); err != nil {
		return err
	}
	if _, err := io.ReadFull(p, make([]byte, 3)); err != nil {
		return err
	}
	return errors.Join(p.Discard(), write(p, last))
}

// TestRecordPlays: what was recorded on one port plays as the same port.
func TestRecordPlays(t *testing.T) {
	near, far := Pipe()
	board := make(chan error, 1)
	go func() {
		buf := make([]byte, 4)
		far.Write([]byte("rst:0x1\r\n"))
		if _, err := io.ReadFull(far, buf); err != nil {
			board <- err
			return
		}
		_, err := far.Write([]byte{0, 'o', 'k'})
		board <- err
	}()
	r := NewRecord(near)
	if err := converse(r, "sync", "bye"); err != nil {
		t.Fatal(err)
	}
	if err := <-board; err != nil {
		t.Fatal(err)
	}
	text := Script(r.Steps())
	if want := strings.TrimPrefix(talk, "# A sync.\n"); text != want {
		t.Errorf("recorded\n%s\nwant\n%s", text, want)
	}
	steps, err := ParseScript(text)
	if err != nil {
		t.Fatal(err)
	}
	p := NewPlayback(steps)
	if err := converse(p, "sync", "bye"); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestParseScript(t *testing.T) {
	for _, bad := range []string{"> sync", "< \"", "l 2 0", "l 1", "b fast", "b -1", "d now", "x", ">"} {
		if _, err := ParseScript(bad + "\n"); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	all := []byte(nil)
	for i := range 256 {
		all = append(all, byte(i))
	}
	steps, err := ParseScript(Script([]Step{{Op: OpWrite, Data: all}}))
	if err != nil || !bytes.Equal(steps[0].Data, all) {
		t.Errorf("bytes do not survive: %v", err)
	}
}
