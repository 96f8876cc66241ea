package serial

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	bugst "go.bug.st/serial"
	"golang.org/x/sys/unix"

	"porthole/hil"
	"porthole/internal/cli"
)

// Port is a serial device of this machine.
//
// The bytes go through go.bug.st/serial; all waiting is on the control
// descriptor, which sees the same device become readable and writable and has
// the runtime's deadlines. So a Read costs no thread, and Close can wait until
// nobody is inside the library before it gives the descriptor number back.
type Port struct {
	path string
	cfg  Config
	baud atomic.Int64
	data bugst.Port
	ctl  *control
	raw  syscall.RawConn

	use sync.RWMutex // held shared by every call that touches data or ctl

	mu     sync.Mutex // guards closed against SetReadDeadline
	closed bool
}

var _ hil.Port = (*Port)(nil)

// Open opens a device. It takes the lock that other programs honour, but no
// [Lease]: see [Openers].
func Open(path string, cfg Config) (*Port, error) {
	return open(path, cfg, linux{})
}

func open(path string, cfg Config, k kernel) (*Port, error) {
	cfg = cfg.withDefaults()
	p := &Port{path: path, cfg: cfg}
	if err := p.open(k); err != nil {
		return nil, openError(path, err)
	}
	return p, nil
}

func (p *Port) open(k kernel) (err error) {
	if err := inspect(p.path); err != nil {
		return err
	}
	if p.ctl, err = openControl(p.path, k); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			p.ctl.close()
		}
	}()
	if err = p.ctl.prepare(p.cfg.HangUp); err != nil {
		return err
	}
	if p.raw, err = p.ctl.file.SyscallConn(); err != nil {
		return err
	}
	if p.data, err = openLow(p.path, p.ctl.fd, &bugst.Mode{BaudRate: p.cfg.Baud}); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			p.data.Close()
		}
	}()
	if err = p.data.SetReadTimeout(0); err != nil {
		return err
	}
	p.baud.Store(int64(p.cfg.Baud))
	// Opening has asserted both lines; the second descriptor once more. Only
	// now nothing raises them again.
	if err = p.ctl.setLines(false, false); errors.Is(err, hil.ErrNoLines) {
		err = nil
	}
	return err
}

// Read implements [hil.Port].
func (p *Port) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	if err := p.enter(); err != nil {
		return 0, err
	}
	defer p.use.RUnlock()
	wait := p.raw.Read(func(uintptr) bool {
		n, err = p.data.Read(b)
		return n > 0 || err != nil && !errors.Is(err, unix.EAGAIN)
	})
	switch {
	case n > 0:
		return n, nil
	case wait != nil:
		return 0, p.waitError(wait)
	}
	return 0, p.gone("read", err)
}

// Write implements [hil.Port].
func (p *Port) Write(b []byte) (done int, err error) {
	if err := p.enter(); err != nil {
		return 0, err
	}
	defer p.use.RUnlock()
	bound := p.cfg.writeBound(len(b), int(p.baud.Load()))
	if err := p.setDeadline(p.ctl.file.SetWriteDeadline, time.Now().Add(bound)); err != nil {
		return 0, err
	}
	for done < len(b) {
		var n int
		wait := p.raw.Write(func(uintptr) bool {
			n, err = p.data.Write(b[done:])
			return n > 0 || err != nil && !errors.Is(err, unix.EAGAIN)
		})
		done += n
		switch {
		case n > 0:
		case errors.Is(wait, os.ErrDeadlineExceeded) && !p.isClosed():
			return done, cli.Hint(fmt.Errorf("write port %q: stalled after %d of %d bytes: %w", p.path, done, len(b), wait),
				"the adapter takes no more data: unplug it and plug it in again")
		case wait != nil:
			return done, p.waitError(wait)
		default:
			return done, p.gone("write", err)
		}
	}
	return done, nil
}

// SetReadDeadline implements [hil.Port].
func (p *Port) SetReadDeadline(t time.Time) error {
	return p.setDeadline(p.ctl.file.SetReadDeadline, t)
}

// setDeadline sets a deadline unless Close has set the last one.
func (p *Port) setDeadline(set func(time.Time) error, t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return os.ErrClosed
	}
	return set(t)
}

// SetLines implements [hil.Port].
func (p *Port) SetLines(dtr, rts bool) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.use.RUnlock()
	if err := p.ctl.setLines(dtr, rts); err != nil {
		return fmt.Errorf("set lines of port %q: %w", p.path, err)
	}
	return nil
}

// SetBaud implements [hil.Port].
func (p *Port) SetBaud(rate int) error {
	if rate <= 0 {
		return fmt.Errorf("set baud of port %q: %d is no speed", p.path, rate)
	}
	if err := p.enter(); err != nil {
		return err
	}
	defer p.use.RUnlock()
	if err := p.data.SetMode(&bugst.Mode{BaudRate: rate}); err != nil {
		return fmt.Errorf("set baud of port %q to %d: %w", p.path, rate, err)
	}
	p.baud.Store(int64(rate))
	return nil
}

// SetHangUp changes [Config].HangUp of an open port.
func (p *Port) SetHangUp(on bool) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.use.RUnlock()
	if err := p.ctl.setHangUp(on); err != nil {
		return fmt.Errorf("set hang-up of port %q: %w", p.path, err)
	}
	return nil
}

// Discard implements [hil.Port].
func (p *Port) Discard() error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.use.RUnlock()
	if err := p.data.ResetInputBuffer(); err != nil {
		return p.gone("discard", err)
	}
	return nil
}

// Close implements [hil.Port]. What was written is sent as far as the line
// takes it; a stalled rest is given up on.
func (p *Port) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.ctl.file.SetDeadline(time.Unix(1, 0))
	p.mu.Unlock()

	p.use.Lock()
	defer p.use.Unlock()
	p.ctl.drain(p.cfg, int(p.baud.Load()))
	// The control descriptor goes last: it has the lock.
	err := p.data.Close()
	releaseLow()
	if errors.Is(err, unix.EIO) {
		err = nil // it was unplugged, and is closed all the same
	}
	return errors.Join(err, p.ctl.close())
}

// enter begins a call that Close waits for.
func (p *Port) enter() error {
	p.use.RLock()
	if p.isClosed() {
		p.use.RUnlock()
		return os.ErrClosed
	}
	return nil
}

func (p *Port) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

func (p *Port) waitError(err error) error {
	if p.isClosed() {
		return os.ErrClosed
	}
	return err
}

// gone describes the end of the device. To go.bug.st a device that was pulled
// out is a port that was closed.
func (p *Port) gone(what string, err error) error {
	if p.isClosed() {
		return os.ErrClosed
	}
	if e, ok := errors.AsType[*bugst.PortError](err); ok && e.Code() == bugst.PortClosed || errors.Is(err, unix.EIO) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%s port %q: the device is gone: %w", what, p.path, io.EOF)
	}
	return fmt.Errorf("%s port %q: %w", what, p.path, err)
}
