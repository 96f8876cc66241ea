package monitor

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/hil"
	"porthole/hil/backtrace"
	"porthole/hil/backtrace/backtracetest"
	"porthole/hil/hiltest"
	"porthole/internal/console"
	"porthole/internal/event"
)

// collect is an Emit that keeps items as short texts.
type collect struct {
	mu    sync.Mutex
	items []string
}

func (c *collect) seen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.items)
}

func (c *collect) emit(i Item) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case i.Line != nil:
		c.items = append(c.items, mark(*i.Line))
	case i.Crash != nil:
		c.items = append(c.items, fmt.Sprintf("CRASH %s, %d calls", i.Crash.Reason, len(i.Crash.Calls)))
	case i.Loop != nil:
		c.items = append(c.items, fmt.Sprintf("LOOP %d %s", i.Loop.Resets, i.Loop.Cause))
	case i.Note != nil:
		c.items = append(c.items, "NOTE "+i.Note.Text)
	}
	return nil
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("items\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestRun follows a board over a port that vanishes and comes back.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		port, far := hiltest.Pipe()
		var got collect
		var file bytes.Buffer
		rec, err := NewRecorder(&file, "test", nil)
		if err != nil {
			t.Fatal(err)
		}
		bus := new(event.Bus)
		sub := bus.Subscribe(100)
		tries := 0
		plugged := make(chan *hiltest.Far, 1)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		var stats Stats
		go func() {
			var err error
			stats, err = Run(ctx, Config{
				Port: port, Emit: got.emit, Recorder: rec, Events: bus, Name: "door",
				Reopen: func(context.Context) (hil.Port, error) {
					if tries++; tries < 5 {
						return nil, errors.New("no such device")
					}
					p, far := hiltest.Pipe()
					plugged <- far
					return p, nil
				},
			})
			done <- err
		}()
		say := func(f *hiltest.Far, text string) {
			t.Helper()
			if _, err := f.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		time.Sleep(1500 * time.Millisecond)
		say(far, "one\r\ntwo\r\nhal")
		want(t, got.seen(), "one", "two")
		time.Sleep(900 * time.Millisecond)
		say(far, "f a line\n> ")
		want(t, got.seen(), "one", "two", "half a line")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		want(t, got.seen(), "one", "two", "half a line", "> …")
		say(far, "unfinish")
		far.Unplug(os.ErrClosed)
		unplugged := time.Now()
		second := <-plugged
		if took := time.Since(unplugged); took != 400*time.Millisecond {
			t.Errorf("reopened after %v, at the fifth attempt", took)
		}
		say(second, "\nback\n") // the empty line is not the end of what was cut
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		want(t, got.seen(), "one", "two", "half a line", "> …", "unfinish…", "NOTE the port is gone: file already closed",
			"NOTE waiting for the port: no such device", "NOTE the port is back", "", "back")
		if stats != (Stats{Bytes: 38, Lines: 7, Reopens: 1}) {
			t.Errorf("stats %+v", stats)
		}
		if changes := slices.Concat(far.Changes(), second.Changes()); len(changes) > 0 {
			t.Errorf("the monitor touched lines or speed: %v", changes)
		}
		if err := rec.Close(); err != nil {
			t.Fatal(err)
		}
		records, err := readAll(&file)
		if !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		var ops []string
		var data []byte
		for _, r := range records {
			ops = append(ops, string(r.Op))
			if r.Op == Received {
				data = append(data, r.Data...)
			}
		}
		if got := strings.Join(ops, " "); got != "< < < gone back <" || string(data) != "one\r\ntwo\r\nhalf a line\n> unfinish\nback\n" {
			t.Errorf("recorded %s: %q", got, data)
		}
		var events []string
		for e, ok := sub.TryNext(); ok; e, ok = sub.TryNext() {
			events = append(events, fmt.Sprintf("%s %s %s %s", e.Source, e.Kind, e.Name, e.Text))
		}
		if len(events) != len(got.seen()) || events[0] != "board console door one" || events[5] != "bench note door the port is gone: file already closed" {
			t.Errorf("events\n%s", strings.Join(events, "\n"))
		}
		sub.Close()
	})
}

// replayed runs the monitor over a text that comes at once.
func replayed(t *testing.T, cfg Config, text string) (items []string, stats Stats, err error) {
	t.Helper()
	var got collect
	port, far := hiltest.Pipe()
	if _, err := far.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	far.Unplug(io.EOF)
	cfg.Port, cfg.Emit = port, got.emit
	stats, err = Run(t.Context(), cfg)
	return got.seen(), stats, err
}

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Until: regexp.MustCompile("^wifi (joined|failed)$"), Within: time.Minute}
		items, _, err := replayed(t, cfg, "boot\nwifi joined\nmore\n")
		if err != nil {
			t.Error(err)
		}
		want(t, items, "boot", "wifi joined")

		_, _, err = replayed(t, cfg, "boot\n")
		if e, ok := errors.AsType[*NotSeenError](err); !ok || e.Within != 0 {
			t.Errorf("ended: %v", err)
		}

		// A prompt has no end of line; it counts when the time is up at the latest.
		for _, text := range []string{"wifi joined", "wifi"} {
			port, far := hiltest.Pipe()
			far.Write([]byte(text))
			start := time.Now()
			cfg.Port, cfg.Partial = port, 2*time.Minute
			_, err = Run(t.Context(), cfg)
			e, missed := errors.AsType[*NotSeenError](err)
			if missed != (text == "wifi") || missed && e.Within != time.Minute || time.Since(start) != time.Minute {
				t.Errorf("%q: %v after %v", text, err, time.Since(start))
			}
		}
	})
}

func TestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if _, _, err := replayed(t, Config{}, "a\n"); err != nil {
			t.Errorf("end of a recording: %v", err)
		}
		port, far := hiltest.Pipe()
		far.Unplug(os.ErrPermission)
		if _, err := Run(t.Context(), Config{Port: port}); !errors.Is(err, os.ErrPermission) {
			t.Errorf("port gone: %v", err)
		}
		if _, err := Run(t.Context(), Config{}); err == nil {
			t.Error("nothing to watch, and no error")
		}
		broken := errors.New("broken pipe")
		port, far = hiltest.Pipe()
		far.Write([]byte("a\nb\n"))
		n := 0
		_, err := Run(t.Context(), Config{Port: port, Emit: func(Item) error { n++; return broken }})
		if !errors.Is(err, broken) || n != 1 {
			t.Errorf("broken output: %v after %d", err, n)
		}
	})
}

// TestPortThatFailsAtOnce: a port that opens and fails is not opened in a loop.
func TestPortThatFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		opened := 0
		if _, err := Run(ctx, Config{Reopen: func(context.Context) (hil.Port, error) {
			opened++
			port, far := hiltest.Pipe()
			far.Unplug(os.ErrInvalid)
			return port, nil
		}}); err != nil {
			t.Error(err)
		}
		if opened < 50 || opened > 101 {
			t.Errorf("opened %d times in 10 s", opened)
		}
	})
}

func TestCrashBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		program, err := backtrace.Parse(backtracetest.ELF())
		if err != nil {
			t.Fatal(err)
		}
		sum := program.Digest()
		p := console.Panic{Core: 1, Reason: "LoadProhibited", ELF: hex.EncodeToString(sum[:]), Backtrace: []console.PanicFrame{
			{PC: backtracetest.Check, SP: 0x3FFB2180}, {PC: backtracetest.Setup, SP: 0x3FFB21E0},
		}}
		for _, end := range []string{console.Rebooting, "ets Jul 29 2019 12:21:46\r\n\r\n", powerOn + "\r\n", ""} {
			var out bytes.Buffer
			pr := &Printer{W: &out}
			port, far := hiltest.Pipe()
			far.Write([]byte("before\r\n" + p.String() + end + "after\r\n"))
			far.Unplug(io.EOF)
			if _, err := Run(t.Context(), Config{Port: port, Program: program, Emit: pr.Print}); err != nil {
				t.Fatal(err)
			}
			const decoded = `-- crash on core 1: LoadProhibited
--   #0  0x400d0015  (anonymous namespace)::check at /build/src/driver.h:5
--                   inlined into camera::Driver::grab at /build/src/driver.h:14
--                   inlined into loop at /build/src/main.cpp:34
--   #1  0x400d0045  setup at /build/src/main.cpp:21
`
			text := out.String()
			if strings.Count(text, decoded) != 1 || !strings.HasPrefix(text, "before\n") {
				t.Errorf("ended by %q:\n%s", end, text)
			}
			if i := strings.Index(text, "ets "); i >= 0 && i < strings.Index(text, decoded) {
				t.Errorf("the next start comes before the crash:\n%s", text)
			}
			if end == console.Rebooting && !strings.HasSuffix(text, decoded+"after\n-- the port ended\n") {
				t.Errorf("the block is not where the crash is:\n%s", text)
			}
		}
		// Another program is told from its start already, and once.
		line := "I (312) app_init: ELF file SHA256:  0123456789abcdef...\n"
		items, _, err := replayed(t, Config{Program: program}, line+line)
		if err != nil || len(items) != 4 || !strings.Contains(items[1], "another program") {
			t.Errorf("%v, %q", err, items)
		}
		items, stats, err := replayed(t, Config{}, p.String()+"still talking\n"+strings.Repeat("x\n", 300))
		if err != nil || stats.Crashes != 1 || !slices.Contains(items, "CRASH LoadProhibited, 2 calls") {
			t.Errorf("%v, %+v", err, stats)
		}
	})
}

// TestSlowOutput: what does not fit while the output is slow is counted where it
// is missing, and not one byte of the count is wrong.
func TestSlowOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		port, far := hiltest.Pipe()
		var got collect
		first := true
		done := make(chan error, 1)
		var stats Stats
		const line = "0123456789abcde\n"
		go func() {
			var err error
			stats, err = Run(t.Context(), Config{Port: port, Buffer: 1000, Emit: func(i Item) error {
				if first {
					time.Sleep(time.Minute)
					first = false
				}
				return got.emit(i)
			}})
			done <- err
		}()
		for range 200 {
			far.Write([]byte(line))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2 * time.Minute)
		far.Write([]byte("after\n"))
		synctest.Wait()
		far.Unplug(io.EOF)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if stats.Bytes+stats.Lost != 200*uint64(len(line))+6 || stats.Lost == 0 || stats.Bytes < 1000 {
			t.Errorf("stats %+v", stats)
		}
		at := slices.IndexFunc(got.seen(), func(s string) bool { return strings.HasPrefix(s, "NOTE ") })
		if at < 0 || got.seen()[at] != fmt.Sprintf("NOTE %d bytes lost: the output was too slow", stats.Lost) ||
			!slices.Equal(got.seen()[at+1:], []string{"after", "NOTE the port ended"}) {
			t.Errorf("items %q", got.seen())
		}
	})
}

// TestEndOfAFlood: a run that is told to end does not handle megabytes first; it
// records them, and says how much it did not show.
func TestEndOfAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		port, far := hiltest.Pipe()
		ctx, stop := context.WithCancel(t.Context())
		var got collect
		var recording bytes.Buffer
		rec, err := NewRecorder(&recording, "port", Redact())
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan Stats, 1)
		go func() {
			stats, err := Run(ctx, Config{Port: port, Recorder: rec, Emit: func(i Item) error {
				time.Sleep(10 * time.Millisecond)
				return got.emit(i)
			}})
			if err != nil {
				t.Error(err)
			}
			done <- stats
		}()
		const line = "I (1234) flood: 0123456789abcdef\n"
		const lines = 2000 // 20 s of handling
		for range lines {
			far.Write([]byte(line))
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		begun := time.Now()
		stop()
		stats := <-done
		if took := time.Since(begun); took > 2*endWithin {
			t.Errorf("ended after %v", took)
		}
		if stats.Bytes+stats.Lost != lines*uint64(len(line)) || stats.Lost == 0 {
			t.Errorf("stats %+v", stats)
		}
		seen := got.seen()
		if last := seen[len(seen)-1]; last != fmt.Sprintf("NOTE %d bytes came before the end and are not shown", stats.Lost) {
			t.Errorf("the last item is %q", last)
		}
		if n := strings.Count(recording.String(), "flood"); n != lines {
			t.Errorf("%d of %d lines are recorded", n, lines)
		}
	})
}

// TestIntakeJoins: single bytes do not make the queue long.
func TestIntakeJoins(t *testing.T) {
	in := newIntake(1 << 20)
	for i := range 300_000 {
		in.receive(time.Time{}, []byte{byte(i)})
	}
	if n := len(in.chunks); n > maxChunks+1 {
		t.Errorf("%d chunks", n)
	}
	total := 0
	for c, ok := in.next(); ok; c, ok = in.next() {
		for _, b := range c.data {
			if b != byte(total) {
				t.Fatalf("byte %d is %d", total, b)
			}
			total++
		}
	}
	if total != 300_000 || in.bytes != 0 {
		t.Errorf("%d bytes out, %d left", total, in.bytes)
	}
}

// TestIntakeCounts: whatever the pace of both sides, what comes out is what went
// in, with gaps just as long as is said.
func TestIntakeCounts(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 5))
		in := newIntake(1000)
		sent, got, lost := 0, 0, uint64(0)
		take := func() bool {
			c, ok := in.next()
			if c.op == Lost {
				got += int(c.lost)
				lost += c.lost
			}
			for _, b := range c.data {
				if b != byte(got) {
					t.Fatalf("seed %d: byte %d is %d", seed, got, b)
				}
				got++
			}
			return ok
		}
		for range 500 {
			b := make([]byte, 1+rng.IntN(300))
			for i := range b {
				b[i] = byte(sent + i)
			}
			sent += len(b)
			in.receive(time.Time{}, b)
			if in.bytes > 1000 {
				t.Fatalf("seed %d: %d bytes held", seed, in.bytes)
			}
			for range rng.IntN(3) {
				take()
			}
		}
		for take() {
		}
		if got != sent || lost == 0 || in.bytes != 0 {
			t.Errorf("seed %d: %d bytes in, %d accounted for, %d of them lost, %d held", seed, sent, got, lost, in.bytes)
		}
	}
}
