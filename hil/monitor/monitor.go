// Package monitor watches a board's console. It only listens: no line is
// touched, so no board is reset, and no terminal is needed.
//
//	port ─▶ reader ─▶ intake ─▶ Run ─┬─▶ Recorder          every byte
//	  ▲       │      (bounded,       ├─▶ lines, crashes,   Items, to Emit
//	  └ Reopen┘       counted loss)  │   reset loops
//	                                 └─▶ event.Bus
//
// The reader does nothing but read and note the time, so that a slow disk or
// terminal costs memory first and bytes, counted, last. When the port vanishes
// the reader waits for it to come back, under whatever name.
//
// A [Recorder] writes what was heard, a [Replay] is such a recording as a port.
package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"porthole/hil"
	"porthole/hil/backtrace"
	"porthole/internal/event"
)

// Config says what to watch and how. Only Port or Reopen is required.
type Config struct {
	// Port is the port to begin with; Run closes it. Nil begins with Reopen.
	Port hil.Port
	// Reopen opens the port again after it vanished. It is called when something
	// changed among the devices and every 100 ms, until it succeeds. Nil ends Run
	// when the port does.
	Reopen func(ctx context.Context) (hil.Port, error)
	// Watch lists the folders in which the port may reappear, such as DeviceDirs.
	// With none, or where the system cannot watch folders, it is found up to
	// 100 ms late.
	Watch []string

	// Emit gets everything there is to show, in order, from one goroutine. Its
	// error ends Run.
	Emit func(Item) error
	// Notes are shown among the rest, for what the caller knows of the port. May
	// be nil.
	Notes <-chan Note
	// Recorder keeps every byte; Run does not close it. May be nil.
	Recorder *Recorder
	// Events gets lines as event.Console, the rest as event.Note. May be nil.
	Events *event.Bus
	// Name tells several boards apart in events.
	Name string
	// Program decodes crashes. May be nil.
	Program *backtrace.Program

	// Until ends Run when a line matches. Within bounds the wait for it, from the
	// start of Run; 0 waits for ever.
	Until  *regexp.Regexp
	Within time.Duration

	MaxLine  int           // bytes of a line, default 4096; longer ones come in pieces
	Partial  time.Duration // an unfinished line is shown after such a silence, default 1 s
	Buffer   int           // bytes that wait while Emit or Recorder are slow, default 16 MiB
	LoopSize int           // resets that make a loop, default 3
	LoopTime time.Duration // within this time, default 10 s

	Log *slog.Logger // nil discards
}

func (c Config) withDefaults() Config {
	c.MaxLine = cmp.Or(c.MaxLine, 4096)
	c.Partial = cmp.Or(c.Partial, time.Second)
	c.Buffer = cmp.Or(c.Buffer, 16<<20)
	c.LoopSize = cmp.Or(c.LoopSize, 3)
	c.LoopTime = cmp.Or(c.LoopTime, 10*time.Second)
	if c.Emit == nil {
		c.Emit = func(Item) error { return nil }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Item is one thing to show. Just one of its pointers is set.
type Item struct {
	// At is when it happened, by the host's wall and monotonic clock: for a line,
	// when its first byte was read.
	At    time.Time
	Line  *Line
	Crash *Crash
	Loop  *Loop
	Note  *Note
}

// Crash is a crash of the board's program, after its last line.
type Crash struct {
	backtrace.Trace
	Decoded bool // there was a program to decode it with
}

// Note is news of the port.
type Note struct {
	Op   Op     // Gone, Back, Lost, or empty
	Text string // a sentence
	Lost uint64 // bytes
}

// Stats are the figures of a run.
type Stats struct {
	Bytes   uint64 // read from the board and handled
	Lost    uint64 // read but not handled, because Emit or Recorder were too slow
	Lines   uint64
	Reopens int
	Crashes int
	Resets  int
}

// NotSeenError means that no line matched Until.
type NotSeenError struct {
	Pattern string
	Within  time.Duration // 0 if the port ended first
}

func (e *NotSeenError) Error() string {
	if e.Within == 0 {
		return fmt.Sprintf("no line matched %q before the port ended", e.Pattern)
	}
	return fmt.Sprintf("no line matched %q within %v", e.Pattern, e.Within)
}

// Why a run ends that did what it was asked to.
var (
	errSeen  = errors.New("seen")  // what it waited for
	errEnded = errors.New("ended") // as a recording does
)

// Run watches until ctx ends or a line matches Until, which return nil, the port
// ends and cannot be reopened, which returns why (nil for the end of a replay),
// or Emit fails. Nothing of it runs when it has returned.
func Run(ctx context.Context, cfg Config) (Stats, error) {
	cfg = cfg.withDefaults()
	ctx, stop := context.WithCancel(ctx)
	m := &monitor{
		cfg:    cfg,
		in:     newIntake(cfg.Buffer),
		split:  splitter{max: cfg.MaxLine},
		resets: resets{size: cfg.LoopSize, window: cfg.LoopTime},
	}
	var reading sync.WaitGroup
	reading.Go(func() { m.read(ctx) })
	err := m.handle(ctx)
	stop()
	reading.Wait()
	if errors.Is(err, errSeen) || errors.Is(err, errEnded) {
		err = nil
	}
	return m.stats, err
}

// monitor is the state of one run. The reader owns the port, everything else
// belongs to the goroutine of handle.
type monitor struct {
	cfg     Config
	in      *intake
	split   splitter
	crashes crashes
	resets  resets
	told    string // the digest that was found to be another program's
	stats   Stats
}

// flushEvery bounds what a crash of this process takes out of a recording.
const flushEvery = time.Second

// handle works off what the reader takes in.
func (m *monitor) handle(ctx context.Context) error {
	var deadline <-chan time.Time
	if m.cfg.Until != nil && m.cfg.Within > 0 {
		t := time.NewTimer(m.cfg.Within)
		defer t.Stop()
		deadline = t.C
	}
	quiet := time.NewTimer(m.cfg.Partial) // since the last bytes
	defer quiet.Stop()
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	if m.cfg.Recorder == nil {
		flush.Stop()
	}
	for {
		c, ok := m.in.next()
		if ok {
			if err := m.chunk(c); err != nil {
				return m.flush(err)
			}
			quiet.Reset(m.cfg.Partial)
			if ctx.Err() == nil {
				continue
			}
		}
		select {
		case <-m.in.ready:
		case <-quiet.C:
			if err := m.silence(); err != nil {
				return m.flush(err)
			}
		case <-flush.C:
			if err := m.cfg.Recorder.Flush(); err != nil {
				return err
			}
		case n := <-m.cfg.Notes:
			if err := m.emit(Item{At: time.Now(), Note: &n}); err != nil {
				return m.flush(err)
			}
		case <-deadline:
			return m.flush(cmp.Or(m.finish(time.Time{}), error(&NotSeenError{m.cfg.Until.String(), m.cfg.Within})))
		case <-ctx.Done():
			return m.flush(m.finish(time.Now().Add(endWithin)))
		}
	}
}

// endWithin is how long a run that was told to end still handles lines: whoever
// stops looking at a flood does not wait for all of it.
const endWithin = time.Second

// finish handles what had been read when the run was told to end, and shows what
// is unfinished. What is left at a time, unless that is zero, is only recorded.
func (m *monitor) finish(by time.Time) error {
	var left uint64
	for {
		c, ok := m.in.next()
		switch {
		case !ok && left > 0:
			n := Note{Op: Lost, Lost: left, Text: fmt.Sprintf("%d bytes came before the end and are not shown", left)}
			m.stats.Lost += left
			return m.broken(chunk{at: time.Now()}, &n)
		case !ok:
			return m.silence()
		case c.op == Received && !by.IsZero() && time.Now().After(by):
			m.record(c)
			left += uint64(len(c.data))
		default:
			if err := m.chunk(c); err != nil {
				return err
			}
		}
	}
}

// record adds a piece to the recording.
func (m *monitor) record(c chunk) {
	if m.cfg.Recorder != nil && c.op != "" {
		m.cfg.Recorder.Add(c.at, Record{Op: c.op, Data: c.record(), Count: c.lost})
	}
}

// flush ends a run: what was recorded is handed on.
func (m *monitor) flush(err error) error {
	if m.cfg.Recorder != nil {
		err = cmp.Or(err, m.cfg.Recorder.Flush())
	}
	return err
}

// chunk handles one piece of what the reader took in.
func (m *monitor) chunk(c chunk) error {
	m.record(c)
	switch c.op {
	case Received:
		m.stats.Bytes += uint64(len(c.data))
		for l := range m.split.lines(c.at, c.data) {
			if err := m.line(l); err != nil {
				return err
			}
		}
		return nil
	case Lost:
		m.stats.Lost += c.lost
		return m.broken(c, &Note{Op: Lost, Lost: c.lost, Text: fmt.Sprintf("%d bytes lost: the output was too slow", c.lost)})
	case Gone:
		if err := m.broken(c, &Note{Op: Gone, Text: c.text}); err != nil || !c.final {
			return err
		}
		return m.portEnded(c)
	case Back:
		m.stats.Reopens++
		return m.broken(c, &Note{Op: Back, Text: c.text})
	}
	return m.emit(Item{At: c.at, Note: &Note{Text: c.text}})
}

// portEnded is how a run ends that cannot go on.
func (m *monitor) portEnded(c chunk) error {
	if m.cfg.Until != nil {
		return &NotSeenError{Pattern: m.cfg.Until.String()}
	}
	if c.err == nil {
		return errEnded
	}
	return fmt.Errorf("watch console: %w", c.err)
}

// broken shows a note about a gap in the stream. Lines do not reach across it.
func (m *monitor) broken(c chunk, n *Note) error {
	if err := m.silence(); err != nil {
		return err
	}
	m.split.reset()
	return m.emit(Item{At: c.at, Note: n})
}

// silence shows what waits for more: an unfinished line, a crash without an end.
func (m *monitor) silence() error {
	if l, ok := m.split.rest(); ok {
		if err := m.line(l); err != nil {
			return err
		}
	}
	return m.crashed(m.crashes.end())
}

func (m *monitor) emit(i Item) error {
	m.publish(i)
	return m.cfg.Emit(i)
}
