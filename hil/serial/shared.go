package serial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"porthole/hil"
	"porthole/internal/bytequeue"
)

// ErrLent means that the port is with somebody else for the moment. Reads wait
// instead: from where the owner stands the board is silent.
var ErrLent = errors.New("the port is lent out")

// Handover tells where a shared port is now.
type Handover struct {
	To   string // who has it, when it was given away
	Back bool   // it is here again
}

// SharedConfig configures a [Shared]. Open is required.
type SharedConfig struct {
	// Open opens the port, without a lease: now, and whenever it comes back.
	Open func(ctx context.Context) (hil.Port, error)

	// Baud is the owner's speed from the first byte on; 0 is [hil.DefaultBaud].
	// Set later, with SetBaud, it may come after the port's end: a recording that is
	// played at once is over by then.
	Baud int

	// ID is the port's identity for its lease. Without one the port is shared
	// inside this process only.
	ID      string
	Leases  Leases
	Request Request

	// Notify is told when another process gets the port and when it is back.
	Notify func(Handover)
}

// Shared is a port whose owner, such as a monitor, steps back for others: for
// whoever calls Borrow in this process, and for whoever opens the port in
// another. It is a [hil.Port] for its owner. What the board says while the port
// is lent belongs to the borrower; what that leaves unread, to the owner.
type Shared struct {
	cfg    SharedConfig
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	rx     *bytequeue.Queue // the owner's
	turn   chan struct{}    // full while the port is lent

	mu       sync.Mutex
	port     hil.Port // nil while another process has it
	pumped   chan struct{}
	lease    *Lease // nil while another process has the port, and without an ID
	lender   *lender
	borrower *borrowed
	baud     int // the owner's
	err      error
}

var _ hil.Port = (*Shared)(nil)

// sharedQueue is how many bytes wait for the owner: at 3 Mbaud, 14 s.
const sharedQueue = 4 << 20

// BaudError is a speed that a port refused when it was opened. Err names the port.
type BaudError struct {
	Baud int
	Err  error
}

func (e *BaudError) Error() string { return e.Err.Error() }
func (e *BaudError) Unwrap() error { return e.Err }

// NewShared opens a port to share. ctx bounds the opening only.
func NewShared(ctx context.Context, cfg SharedConfig) (*Shared, error) {
	if cfg.Baud < 0 {
		return nil, &BaudError{cfg.Baud, fmt.Errorf("set baud: %d is no speed", cfg.Baud)}
	}
	cfg.Request.Yields = true
	s := &Shared{cfg: cfg, rx: bytequeue.New(sharedQueue), turn: make(chan struct{}, 1), baud: cmp.Or(cfg.Baud, hil.DefaultBaud)}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.take(ctx, cfg.Request); err != nil {
		s.cancel()
		return nil, err
	}
	if cfg.ID != "" {
		s.work.Go(s.lend)
	}
	return s, nil
}

// take takes the lease and opens the port.
func (s *Shared) take(ctx context.Context, req Request) (err error) {
	var lease *Lease
	var answers *lender
	if s.cfg.ID != "" {
		if lease, err = s.cfg.Leases.Acquire(ctx, s.cfg.ID, req); err != nil {
			return err
		}
		if answers, err = s.cfg.Leases.listenYield(s.cfg.ID); err != nil {
			return errors.Join(err, lease.Release())
		}
	}
	port, err := s.cfg.Open(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.baud != hil.DefaultBaud {
		if err = port.SetBaud(s.baud); err != nil {
			err = errors.Join(&BaudError{s.baud, err}, port.Close())
		}
	}
	if err == nil && s.err != nil {
		err = errors.Join(s.err, port.Close())
	}
	if err != nil {
		if lease != nil {
			err = errors.Join(err, answers.close(), lease.Release())
		}
		return err
	}
	s.port, s.lease, s.lender, s.pumped = port, lease, answers, make(chan struct{})
	s.work.Go(func() { s.pump(port, s.pumped) })
	return nil
}

// pump carries the board's bytes to whoever has the port.
func (s *Shared) pump(port hil.Port, done chan struct{}) {
	defer close(done)
	buf := make([]byte, 16<<10)
	for {
		n, err := port.Read(buf)
		s.mu.Lock()
		if s.borrower != nil {
			s.borrower.rx.Offer(buf[:n])
		} else {
			s.rx.Offer(buf[:n])
		}
		away := s.port != port
		s.mu.Unlock()
		if err != nil {
			if !away {
				s.fail(err)
			}
			return
		}
	}
}

// fail ends the port for everybody.
func (s *Shared) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.rx.Close(err)
	if s.borrower != nil {
		s.borrower.rx.Close(err)
	}
}

// lend answers other processes, one after the other.
func (s *Shared) lend() {
	for {
		s.mu.Lock()
		answers := s.lender
		s.mu.Unlock()
		l, err := answers.next()
		if err != nil {
			return // closed
		}
		err = s.lendTo(l)
		l.close()
		switch {
		case s.ctx.Err() != nil:
			return
		case err != nil:
			s.fail(err)
			return
		}
	}
}

// lendTo gives the port to another process and takes it back. Its error is the
// end of the port here.
func (s *Shared) lendTo(l *loan) error {
	wait, cancel := context.WithTimeout(s.ctx, askWithin*4/5)
	defer cancel()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-wait.Done():
		return nil // busy in this process; the other one is told by the end of the connection
	}
	defer context.AfterFunc(s.ctx, func() { l.close() })()
	if err := s.leave(); err != nil {
		return fmt.Errorf("hand port over: %w", err)
	}
	if l.grant() == nil {
		s.notify(Handover{To: l.String()})
		l.returned()
	}
	req := s.cfg.Request
	req.Wait = true
	if err := s.take(s.ctx, req); err != nil {
		return fmt.Errorf("take port back: %w", err)
	}
	s.notify(Handover{Back: true})
	return nil
}

// leave closes the port and ends its lease.
func (s *Shared) leave() error {
	s.mu.Lock()
	port, lease, answers, pumped := s.port, s.lease, s.lender, s.pumped
	s.port, s.lease = nil, nil
	s.mu.Unlock()
	if port == nil {
		return nil
	}
	err := port.Close()
	<-pumped
	if lease != nil {
		err = errors.Join(err, answers.close(), lease.Release())
	}
	return err
}

func (s *Shared) notify(h Handover) {
	if s.cfg.Notify != nil {
		s.cfg.Notify(h)
	}
}

// Borrow gives the port to another part of this process, once nobody else has
// borrowed it, until that closes what it gets. The speed is the owner's again
// then; the lines stay.
func (s *Shared) Borrow(ctx context.Context) (hil.Port, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("borrow port: %w", context.Cause(ctx))
	case <-s.ctx.Done():
		return nil, os.ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		<-s.turn
		return nil, s.err
	}
	s.borrower = &borrowed{s: s, rx: bytequeue.New(sharedQueue), baud: s.baud}
	return s.borrower, nil
}

// mine runs f on the port for its owner, or for a borrower.
func (s *Shared) mine(who *borrowed, f func(hil.Port) error) error {
	s.mu.Lock()
	port, err := s.port, s.err
	if err == nil && (s.borrower != who || port == nil) {
		err = ErrLent
		if who != nil {
			err = os.ErrClosed
		}
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return f(port)
}

// Read implements [hil.Port].
func (s *Shared) Read(p []byte) (int, error) { return s.rx.Read(p) }

// SetReadDeadline implements [hil.Port].
func (s *Shared) SetReadDeadline(t time.Time) error { return s.rx.SetReadDeadline(t) }

// Write implements [hil.Port]; [ErrLent] while somebody else has the port.
func (s *Shared) Write(p []byte) (n int, err error) {
	err = s.mine(nil, func(port hil.Port) error { n, err = port.Write(p); return err })
	return n, err
}

// SetLines implements [hil.Port]; [ErrLent] while somebody else has the port.
func (s *Shared) SetLines(dtr, rts bool) error {
	return s.mine(nil, func(port hil.Port) error { return port.SetLines(dtr, rts) })
}

// SetBaud implements [hil.Port]. While somebody else has the port, the speed is
// set when it comes back.
func (s *Shared) SetBaud(rate int) error {
	if rate <= 0 {
		return fmt.Errorf("set baud: %d is no speed", rate)
	}
	err := s.mine(nil, func(port hil.Port) error { return port.SetBaud(rate) })
	if err == nil || errors.Is(err, ErrLent) {
		s.mu.Lock()
		s.baud = rate
		s.mu.Unlock()
		return nil
	}
	return err
}

// Discard implements [hil.Port].
func (s *Shared) Discard() error {
	err := s.mine(nil, func(port hil.Port) error { return port.Discard() })
	s.rx.Discard()
	if errors.Is(err, ErrLent) {
		return nil
	}
	return err
}

// Close implements [hil.Port]. A borrower loses the port.
func (s *Shared) Close() error {
	s.cancel()
	s.fail(os.ErrClosed)
	s.mu.Lock()
	answers := s.lender
	s.mu.Unlock()
	if answers != nil {
		answers.close()
	}
	err := s.leave()
	s.work.Wait()
	return err
}

// Dropped is how many bytes the owner has missed because it did not read.
func (s *Shared) Dropped() uint64 { return s.rx.Dropped() }

// OpenShared opens a port by its name like [Openers.Open], for an owner that
// steps back for others. baud is its speed, 0 for [hil.DefaultBaud].
func (o Openers) OpenShared(ctx context.Context, name string, baud int, notify func(Handover)) (*Shared, error) {
	cfg := SharedConfig{Baud: baud, Leases: o.Leases, Request: o.Request, Notify: notify}
	cfg.Open = func(ctx context.Context) (hil.Port, error) { return o.Open(ctx, name) }
	if scheme, _ := o.split(name); scheme == "" || scheme == "usb" {
		info, err := o.Local(name)
		if err != nil {
			return nil, err
		}
		if err := inspect(cmp.Or(info.Path, name)); err != nil {
			return nil, openError(name, err)
		}
		cfg.ID = info.ID()
		cfg.Open = func(context.Context) (hil.Port, error) {
			now, err := o.Local(name) // it may be called something else by now
			if err != nil {
				return nil, err
			}
			return Open(now.Path, o.Config)
		}
	}
	return NewShared(ctx, cfg)
}
