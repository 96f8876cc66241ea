package monitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"porthole/hil"
)

// readSize is what one Read may take: 200 ms of the fastest line.
const readSize = 64 << 10

// reopenEvery is how often a vanished port is looked for when nothing tells that
// the devices changed. A port that fails within this time, without a byte, is
// left alone for as long, so that it is not opened in a loop.
const reopenEvery = 100 * time.Millisecond

// DeviceDirs are where devices and their names by identity appear.
func DeviceDirs() []string { return []string{"/dev", "/dev/serial/by-id"} }

// read takes in what comes from the port and reopens it when it vanishes. It ends
// with ctx, or with the port if that cannot be reopened.
func (m *monitor) read(ctx context.Context) {
	port := m.cfg.Port
	if port == nil {
		if port = m.reopen(ctx); port == nil {
			return
		}
	}
	for {
		opened := time.Now()
		n, err := m.readPort(ctx, port)
		if ctx.Err() != nil {
			return
		}
		text := "the port is gone"
		if err != nil {
			text += ": " + err.Error()
		} else if m.cfg.Reopen == nil {
			text = "the port ended"
		}
		if m.cfg.Reopen == nil {
			m.in.tell(chunk{at: time.Now(), op: Gone, text: text, err: err, final: true})
			return
		}
		m.in.tell(chunk{at: time.Now(), op: Gone, text: text})
		if n == 0 && time.Since(opened) < reopenEvery && !pause(ctx, reopenEvery) {
			return
		}
		if port = m.reopen(ctx); port == nil {
			return
		}
		m.in.tell(chunk{at: time.Now(), op: Back, text: "the port is back"})
	}
}

// readPort takes in what comes from a port until it ends, and closes it. It
// returns how many bytes there were, and why it ended, nil for the end of a
// stream.
func (m *monitor) readPort(ctx context.Context, port hil.Port) (total int, err error) {
	stop := context.AfterFunc(ctx, func() { port.Close() })
	defer func() {
		if stop() {
			if err := port.Close(); err != nil {
				m.cfg.Log.Debug("close port", "error", err)
			}
		}
	}()
	buf := make([]byte, readSize)
	for {
		n, err := port.Read(buf)
		if n > 0 {
			total += n
			m.in.receive(time.Now(), buf[:n])
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// reopen waits for the port to come back. It is nil when ctx ended first.
func (m *monitor) reopen(ctx context.Context) hil.Port {
	if m.cfg.Reopen == nil {
		m.in.tell(chunk{at: time.Now(), op: Gone, err: errors.New("no port to watch"), text: "no port to watch", final: true})
		return nil
	}
	// The watch comes before the first attempt: what changes between the two is
	// not missed.
	w, err := newWatch(m.cfg.Watch)
	if err != nil {
		m.cfg.Log.Debug("watch devices", "error", err)
	}
	defer w.close()
	again := time.NewTicker(reopenEvery)
	defer again.Stop()
	last := ""
	for {
		port, err := m.cfg.Reopen(ctx)
		if err == nil {
			return port
		}
		if ctx.Err() != nil {
			return nil
		}
		if text := err.Error(); text != last {
			last = text
			m.in.tell(chunk{at: time.Now(), text: fmt.Sprintf("waiting for the port: %s", text)})
		}
		select {
		case <-w.changes():
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
