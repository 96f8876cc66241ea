//go:build !linux

package serial

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	bugst "go.bug.st/serial"

	"porthole/hil"
	"porthole/internal/bytequeue"
	"porthole/internal/cli"
)

// rxQueue is how many received bytes wait for Read before the system's own
// buffer fills.
const rxQueue = 1 << 20

// Port is a serial device of this machine, by go.bug.st/serial alone: the two
// lines are set one after the other, and the system decides what they do when
// the port is opened and closed.
type Port struct {
	path string
	cfg  Config
	baud atomic.Int64
	data bugst.Port
	rx   *bytequeue.Queue
	work sync.WaitGroup
	turn sync.Mutex // one write at a time
	shut atomic.Bool
}

var _ hil.Port = (*Port)(nil)

// Open opens a device. It takes no [Lease]: see [Openers].
func Open(path string, cfg Config) (*Port, error) {
	cfg = cfg.withDefaults()
	data, err := bugst.Open(path, &bugst.Mode{BaudRate: cfg.Baud, InitialStatusBits: new(bugst.ModemOutputBits)})
	if err != nil { // perhaps it has no lines
		data, err = bugst.Open(path, &bugst.Mode{BaudRate: cfg.Baud})
	}
	if err != nil {
		err = plain(err)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = cli.Hint(err, "rig ports lists what is plugged in")
		case errors.Is(err, fs.ErrPermission):
			err = cli.Hint(err, "your user may not open serial devices")
		}
		return nil, openError(path, err)
	}
	p := &Port{path: path, cfg: cfg, data: data, rx: bytequeue.New(rxQueue)}
	p.baud.Store(int64(cfg.Baud))
	p.work.Go(p.receive)
	return p, nil
}

func (p *Port) receive() {
	buf := make([]byte, 4<<10)
	for {
		n, err := p.data.Read(buf)
		if n > 0 {
			p.rx.Write(buf[:n])
		}
		if err != nil {
			if e, ok := errors.AsType[*bugst.PortError](err); ok && e.Code() == bugst.PortClosed {
				err = io.EOF
			}
			p.rx.Close(fmt.Errorf("read port %q: the device is gone: %w", p.path, err))
			return
		}
	}
}

// Read implements [hil.Port].
func (p *Port) Read(b []byte) (int, error) { return p.rx.Read(b) }

// SetReadDeadline implements [hil.Port].
func (p *Port) SetReadDeadline(t time.Time) error { return p.rx.SetReadDeadline(t) }

// Write implements [hil.Port]. The library cannot give up on a write, so a
// goroutine waits for it; a stalled one is freed by emptying the buffer that it
// waits for, or at the latest by closing the port.
func (p *Port) Write(b []byte) (int, error) {
	p.turn.Lock()
	defer p.turn.Unlock()
	if p.shut.Load() {
		return 0, os.ErrClosed
	}
	type result struct {
		n   int
		err error
	}
	out := make(chan result, 1)
	b = append([]byte(nil), b...) // the write may outlive the call
	p.work.Go(func() {
		var r result
		for r.n < len(b) && r.err == nil {
			var n int
			n, r.err = p.data.Write(b[r.n:])
			if r.n += n; n == 0 && r.err == nil {
				r.err = io.ErrNoProgress
			}
		}
		out <- r
	})
	timer := time.NewTimer(p.cfg.writeBound(len(b), int(p.baud.Load())))
	defer timer.Stop()
	select {
	case r := <-out:
		if r.err != nil {
			return r.n, fmt.Errorf("write port %q: %w", p.path, r.err)
		}
		return r.n, nil
	case <-timer.C:
		p.data.ResetOutputBuffer()
		p.shut.Store(true) // how much went out is not known: the stream is lost
		return 0, cli.Hint(fmt.Errorf("write port %q: stalled: %w", p.path, os.ErrDeadlineExceeded),
			"the adapter takes no more data: unplug it and plug it in again")
	}
}

// SetLines implements [hil.Port]. The order is the one that passes through no
// reset on its way to running: RTS is released before DTR, and DTR is asserted
// before RTS.
func (p *Port) SetLines(dtr, rts bool) error {
	first, second := func() error { return p.data.SetDTR(dtr) }, func() error { return p.data.SetRTS(rts) }
	if !rts {
		first, second = second, first
	}
	if err := errors.Join(first(), second()); err != nil {
		return fmt.Errorf("set lines of port %q: %w", p.path, err)
	}
	return nil
}

// SetBaud implements [hil.Port].
func (p *Port) SetBaud(rate int) error {
	if rate <= 0 {
		return fmt.Errorf("set baud of port %q: %d is no speed", p.path, rate)
	}
	if err := p.data.SetMode(&bugst.Mode{BaudRate: rate}); err != nil {
		return fmt.Errorf("set baud of port %q to %d: %w", p.path, rate, err)
	}
	p.baud.Store(int64(rate))
	return nil
}

// SetHangUp changes [Config].HangUp of an open port, where the system can.
func (p *Port) SetHangUp(on bool) error {
	if on != p.cfg.HangUp {
		return fmt.Errorf("set hang-up of port %q: %w", p.path, errors.ErrUnsupported)
	}
	return nil
}

// Discard implements [hil.Port].
func (p *Port) Discard() error {
	err := p.data.ResetInputBuffer()
	p.rx.Discard()
	if err != nil {
		return fmt.Errorf("discard of port %q: %w", p.path, err)
	}
	return nil
}

// Close implements [hil.Port].
func (p *Port) Close() error {
	p.shut.Store(true)
	p.rx.Close(os.ErrClosed)
	err := p.data.Close()
	p.work.Wait()
	return err
}

// ReserveLow is needed on Linux only.
func ReserveLow() {}
