package monitor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/hil"
	"porthole/hil/hiltest"
	"porthole/hil/serial"
)

// long says that the nightly forms of the tests run.
func long() bool { return os.Getenv("PORTHOLE_LONG") != "" }

// TestLosesNothing: a board that talks without a pause for breath is recorded to
// the last byte, over a pseudo-terminal and the very port that real boards are
// opened with. In the nightly form, ten minutes at 3 Mbaud.
func TestLosesNothing(t *testing.T) {
	pty, err := hiltest.OpenConsolePTY("")
	if err != nil {
		t.Fatal(err)
	}
	defer pty.Unplug()
	port, err := serial.Open(pty.Name, serial.Config{Baud: 3_000_000})
	if err != nil {
		t.Fatal(err)
	}
	pipe, file := io.Pipe()
	heard := make(chan [sha256.Size]byte, 1)
	go func() { heard <- hashRecording(t, pipe) }()
	rec, err := NewRecorder(file, pty.Name, Redact("a secret that never comes"))
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan [sha256.Size]byte, 1)
	total := uint64(0)
	go func() { said <- babble(t, pty, &total) }()
	var notes []string
	stats, err := Run(t.Context(), Config{Port: port, Recorder: rec, Until: regexp.MustCompile("^last line$"), Emit: func(i Item) error {
		if i.Note != nil {
			notes = append(notes, i.Note.Text)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(rec.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	if <-said != <-heard || stats.Bytes != total || stats.Lost != 0 || len(notes) > 0 {
		t.Errorf("of %d bytes said the recording has others; %+v, %q", total, stats, notes)
	}
	t.Logf("%d bytes, %d lines, none lost", stats.Bytes, stats.Lines)
}

// babble writes lines, and noise between them, as fast as the terminal takes
// them: 3 MB, or nightly for ten minutes at 3 Mbaud.
func babble(t *testing.T, w io.Writer, total *uint64) [sha256.Size]byte {
	const seed = 11
	rng := rand.New(rand.NewPCG(seed, seed))
	hash := sha256.New()
	say := func(b []byte) bool {
		hash.Write(b)
		n, err := w.Write(b)
		*total += uint64(n)
		if err != nil {
			t.Errorf("seed %d: write: %v", seed, err)
		}
		return err == nil
	}
	const (
		rate  = 300_000 // bytes a second at 3 Mbaud
		slice = 3000
	)
	size, every := 3<<20, time.Duration(0)
	if long() {
		size, every = rate*600, time.Second*slice/rate
	}
	start := time.Now()
	var b []byte
	for n := 0; *total < uint64(size); n++ {
		b = b[:0]
		for len(b) < slice {
			b = fmt.Appendf(b, "I (%d) camera: frame %x taken\r\n", n, rng.Uint64())
			if rng.IntN(20) == 0 {
				b = append(b, byte(rng.Uint32()), byte(rng.Uint32()), '\r')
			}
		}
		if every > 0 {
			select {
			case <-time.After(time.Until(start.Add(time.Duration(n) * every))):
			case <-t.Context().Done():
				return [sha256.Size]byte{}
			}
		}
		if !say(b) {
			break
		}
	}
	say([]byte("\nlast line\n"))
	return [sha256.Size]byte(hash.Sum(nil))
}

// hashRecording gives the hash of what a recording says was received.
func hashRecording(t *testing.T, r io.Reader) [sha256.Size]byte {
	defer io.Copy(io.Discard, r)
	hash := sha256.New()
	p, err := NewPlayer(r)
	if err != nil {
		t.Error(err)
		return [sha256.Size]byte{}
	}
	for {
		rec, err := p.Next()
		if errors.Is(err, io.EOF) {
			return [sha256.Size]byte(hash.Sum(nil))
		}
		if err != nil {
			t.Error(err)
			return [sha256.Size]byte{}
		}
		if rec.Op == Received {
			hash.Write(rec.Data)
		}
	}
}

// TestReenumeration: a board that is pulled and comes back under another name is
// heard again within 250 ms. In the nightly form, 1,000 times.
func TestReenumeration(t *testing.T) {
	const bound = 250 * time.Millisecond
	cycles, allowed := 50, 1 // a busy machine may stall once
	if long() {
		cycles, allowed = 1000, 0
	}
	dir := t.TempDir()
	items := make(chan Item, 100)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := Run(ctx, Config{
			Watch: []string{dir},
			Emit:  func(i Item) error { items <- i; return nil },
			// As by usb:VID:PID: whatever name the board has now.
			Reopen: func(context.Context) (hil.Port, error) {
				names, err := filepath.Glob(filepath.Join(dir, "ttyUSB*"))
				if err != nil || len(names) == 0 {
					return nil, errors.Join(errors.New("not plugged in"), err)
				}
				return serial.Open(names[0], serial.Config{})
			},
		})
		done <- err
	}()
	await := func(what string, found func(Item) bool) Item {
		t.Helper()
		timeout := time.After(20 * time.Second)
		for {
			select {
			case i := <-items:
				if found(i) {
					return i
				}
			case <-timeout:
				t.Fatalf("waited 20 s for %s", what)
			}
		}
	}
	var took []time.Duration
	for n := range cycles {
		pty, err := hiltest.OpenConsolePTY(filepath.Join(dir, fmt.Sprintf("ttyUSB%d", n%7)))
		if err != nil {
			t.Fatal(err)
		}
		appeared := time.Now()
		if n > 0 {
			back := await("the port to be back", func(i Item) bool { return i.Note != nil && i.Note.Op == Back })
			took = append(took, back.At.Sub(appeared))
		}
		hello := fmt.Sprintf("hello %d", n)
		if _, err := pty.Write([]byte(hello + "\r\n")); err != nil {
			t.Fatal(err)
		}
		await(hello, func(i Item) bool {
			if i.Line != nil && i.Line.Text != hello {
				t.Errorf("cycle %d: heard %q", n, i.Line.Text)
			}
			return i.Line != nil
		})
		if err := pty.Unplug(); err != nil {
			t.Fatal(err)
		}
		await("the port to be gone", func(i Item) bool { return i.Note != nil && i.Note.Op == Gone })
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	slices.Sort(took)
	late := 0
	for _, d := range took {
		if d > bound {
			late++
		}
	}
	t.Logf("%d re-enumerations: median %v, worst %v", len(took), took[len(took)/2], took[len(took)-1])
	if late > allowed {
		t.Errorf("%d of %d took more than %v, the worst %v", late, len(took), bound, took[len(took)-1])
	}
}

// TestSameLink: a fixed name, as udev's rules give, that leads to another device
// after the board came back.
func TestSameLink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "esp32")
	first, err := hiltest.OpenConsolePTY(link)
	if err != nil {
		t.Fatal(err)
	}
	port, err := serial.Open(link, serial.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	pr := &Printer{W: &out}
	gone := make(chan struct{})
	go func() {
		if _, err := first.Write([]byte("one\r\n")); err != nil {
			t.Error(err)
		}
		<-gone
		if err := first.Unplug(); err != nil {
			t.Error(err)
		}
		second, err := hiltest.OpenConsolePTY(link)
		if err != nil {
			t.Error(err)
			return
		}
		defer context.AfterFunc(t.Context(), func() { second.Unplug() })
		if _, err := second.Write([]byte("two\r\n")); err != nil {
			t.Error(err)
		}
	}()
	_, err = Run(t.Context(), Config{
		Port: port, Watch: []string{dir}, Until: regexp.MustCompile("two"), Within: 20 * time.Second,
		Reopen: func(context.Context) (hil.Port, error) { return serial.Open(link, serial.Config{}) },
		Emit: func(i Item) error {
			if i.Line != nil && i.Line.Text == "one" {
				close(gone)
			}
			return pr.Print(i)
		},
	})
	if err != nil || !strings.HasPrefix(out.String(), "one\n-- the port is gone") || !strings.HasSuffix(out.String(), "-- the port is back\ntwo\n") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
