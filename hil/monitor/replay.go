package monitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"porthole/hil"
	"porthole/internal/bytequeue"
	"porthole/internal/cli"
)

// Replay is a recording as a port: the board's bytes come at the distances they
// came at, counted from when it was opened, and what is written goes nowhere.
// Times of no port are times of no bytes. After the last byte Read gives io.EOF.
type Replay struct {
	rx     *bytequeue.Queue
	file   io.Closer
	closed chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
}

var _ hil.Port = (*Replay)(nil)

// replayQueue bounds what waits for a slow reader; then the replay waits too.
const replayQueue = 1 << 20

// OpenReplay opens a recording by its file name. With "?speed=2" behind the name
// it runs twice as fast, with "?speed=max" without waiting.
func OpenReplay(_ context.Context, name string) (hil.Port, error) {
	path, speed := name, 1.0
	if i := strings.LastIndex(name, "?speed="); i >= 0 {
		var err error
		path = name[:i]
		if speed, err = parseSpeed(name[i+len("?speed="):]); err != nil {
			return nil, cli.Usage(cli.Hint(fmt.Errorf("open replay %q: %w", name, err), "for example replay:session.rec?speed=10, or ?speed=max"))
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("open replay: %w", err), "rig monitor --record makes recordings")
	}
	p, err := NewPlayer(f)
	if err != nil {
		f.Close()
		return nil, cli.Hint(fmt.Errorf("open replay %q: %w", path, err), "rig monitor --record makes recordings")
	}
	return NewReplay(p, f, speed), nil
}

func parseSpeed(s string) (float64, error) {
	if s == "max" {
		return 0, nil
	}
	speed, err := strconv.ParseFloat(s, 64)
	if err != nil || !(speed >= 1e-3 && speed <= 1e6) {
		return 0, fmt.Errorf("speed %q is not a number from 0.001 to 1000000", s)
	}
	return speed, nil
}

// NewReplay plays a recording, speed times as fast as it was; 0 is without
// waiting. Close closes file too, unless it is nil.
func NewReplay(p *Player, file io.Closer, speed float64) *Replay {
	r := &Replay{rx: bytequeue.New(replayQueue), file: file, closed: make(chan struct{})}
	start := time.Now()
	r.wg.Go(func() { r.rx.Close(r.play(p, start, speed)) })
	return r
}

// play hands every byte over when it is due, and returns how the stream ends.
func (r *Replay) play(p *Player, start time.Time, speed float64) error {
	for {
		rec, err := p.Next()
		switch {
		case errors.Is(err, io.EOF):
			return io.EOF
		case errors.Is(err, io.ErrUnexpectedEOF):
			return cli.Hint(err, "the recording was cut off; what came before is right")
		case err != nil:
			return cli.Hint(err, "the file was changed, or is damaged")
		}
		if rec.Op != Received {
			continue
		}
		if speed > 0 && !r.sleep(time.Until(start.Add(scaled(rec.At, speed)))) {
			return os.ErrClosed
		}
		if _, err := r.rx.Write(rec.Data); err != nil {
			return os.ErrClosed
		}
	}
}

// scaled divides a time, exactly where the speed is 1.
func scaled(at time.Duration, speed float64) time.Duration {
	if speed == 1 {
		return at
	}
	return time.Duration(min(float64(at)/speed, 1<<62))
}

func (r *Replay) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.closed:
		return false
	}
}

// Read implements [hil.Port].
func (r *Replay) Read(p []byte) (int, error) { return r.rx.Read(p) }

// Write implements [hil.Port]: nobody is there to read it.
func (r *Replay) Write(p []byte) (int, error) { return len(p), nil }

// SetReadDeadline implements [hil.Port].
func (r *Replay) SetReadDeadline(t time.Time) error { return r.rx.SetReadDeadline(t) }

// SetLines implements [hil.Port]: the past cannot be reset.
func (r *Replay) SetLines(dtr, rts bool) error { return hil.ErrNoLines }

// SetBaud implements [hil.Port]; the bytes come as they were recorded.
func (r *Replay) SetBaud(int) error { return nil }

// Discard implements [hil.Port].
func (r *Replay) Discard() error {
	r.rx.Discard()
	return nil
}

// Close implements [hil.Port].
func (r *Replay) Close() error {
	var err error
	r.once.Do(func() {
		close(r.closed)
		r.rx.Close(os.ErrClosed)
		r.wg.Wait()
		r.rx.Discard()
		if r.file != nil {
			err = r.file.Close()
		}
	})
	return err
}
