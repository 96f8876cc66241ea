package board

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A PTY is a board as a pseudo-terminal. [OpenPTY] publishes it, [PTY.Run] serves
// it, [PTY.Close] takes it away.
type PTY struct {
	cfg PTYConfig
	log *slog.Logger

	mu     sync.Mutex
	master *terminal // nil while the cable is unplugged
	closed bool
}

// OpenPTY makes a pseudo-terminal for a board and publishes its name. It can be
// opened at once; bytes flow as soon as Run does.
func OpenPTY(cfg PTYConfig) (*PTY, error) {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &PTY{cfg: cfg, log: log}
	if err := p.plug(); err != nil {
		return nil, err
	}
	return p, nil
}

// Name is the path of the device, such as /dev/pts/7. It changes when the board
// was unplugged and comes back, unlike the link.
func (p *PTY) Name() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.master == nil {
		return ""
	}
	return p.master.name
}

// Close removes the device and the link. Run returns.
func (p *PTY) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	return p.unplug()
}

func (p *PTY) plug() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("open pseudo-terminal: %w", fs.ErrClosed)
	}
	t, err := openTerminal()
	if err != nil {
		return err
	}
	if p.cfg.Link != "" {
		if err := publish(p.cfg.Link, t.name); err != nil {
			t.close()
			return err
		}
	}
	p.master = t
	return nil
}

func (p *PTY) unplug() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.master
	if t == nil {
		return nil
	}
	p.master = nil
	var err error
	if p.cfg.Link != "" {
		err = unpublish(p.cfg.Link, t.name)
	}
	return errors.Join(err, t.close())
}

// Run serves the device until ctx ends or the PTY is closed, which return nil, or
// something fails. The PTY is closed when it returns.
func (p *PTY) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { p.Close() })
	defer stop()
	defer p.Close()
	if p.cfg.Download {
		p.cfg.Board.Restart(true)
	}
	for ctx.Err() == nil {
		p.mu.Lock()
		t, closed := p.master, p.closed
		p.mu.Unlock()
		switch {
		case closed:
			return nil
		case t == nil: // unplugged: come back when the cable does
			switch err := p.cfg.Board.reachable(); {
			case errors.Is(err, ErrClosed):
				return fmt.Errorf("serve pseudo-terminal: %w", err)
			case err != nil:
				sleep(ctx, ptyPoll)
				continue
			}
			if err := p.plug(); err != nil && !errors.Is(err, fs.ErrClosed) {
				return err
			}
		default:
			err := p.serve(ctx, t)
			p.log.Debug("pseudo-terminal ended", "name", t.name, "reason", err)
			if errors.Is(err, ErrClosed) {
				return fmt.Errorf("serve pseudo-terminal: %w", err)
			}
			if err := p.unplug(); err != nil {
				p.log.Warn("pseudo-terminal", "error", err)
			}
		}
	}
	return nil
}

// serve waits for hosts on one terminal until it has to go: closed, unplugged, or
// spoilt by a host.
func (p *PTY) serve(ctx context.Context, t *terminal) error {
	var reset <-chan time.Time
	poll := time.NewTicker(ptyPoll)
	defer poll.Stop()
	for {
		open, err := t.isOpen()
		if err != nil {
			return err
		}
		if open {
			if err := p.host(ctx, t); err != nil {
				return err
			}
			if p.cfg.CloseReset > 0 { // replaces one that is running
				reset = time.After(p.cfg.CloseReset)
			}
			continue // the next host may be there already
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-reset:
			reset = nil
			if p.cfg.Board.Status().State.loading() {
				p.log.Info("device stays closed: starting the application")
				p.cfg.Board.Restart(false)
			}
		case <-poll.C:
		}
		if err := p.cfg.Board.reachable(); err != nil {
			return err
		}
	}
}

// host connects the host that has opened the device to the board until it closes
// it, which returns nil.
func (p *PTY) host(ctx context.Context, t *terminal) error {
	wire, err := p.connect(ctx, t)
	if err != nil {
		return err
	}
	if wire == nil { // the host gave up waiting
		return t.clean()
	}
	defer wire.Close() // after clean: a board that looks free is ready for the next host
	p.log.Info("device opened", "name", t.name)
	var wg sync.WaitGroup
	unplugged := make(chan error, 1)
	wg.Go(func() { unplugged <- t.copyFrom(wire) })
	err = p.listen(ctx, t, wire, unplugged)
	wire.SetReadDeadline(time.Unix(1, 0)) // wakes copyFrom, wherever it waits
	t.file.SetWriteDeadline(time.Unix(1, 0))
	wg.Wait()
	t.file.SetWriteDeadline(time.Time{})
	p.log.Info("device closed", "name", t.name)
	if err != nil {
		return err
	}
	return t.clean()
}

// connect plugs the host in. Opening cannot be refused: while the board is busy
// with another host, this one is ignored, and told why once.
func (p *PTY) connect(ctx context.Context, t *terminal) (*Wire, error) {
	for told := false; ; told = true {
		wire, err := p.cfg.Board.Connect()
		if !errors.Is(err, ErrBusy) {
			return wire, err
		}
		if !told {
			t.file.SetWriteDeadline(time.Now().Add(ptyPoll))
			t.file.Write([]byte("porthole: board is in use by another client\r\n"))
			t.file.SetWriteDeadline(time.Time{})
		}
		if !sleep(ctx, ptyPoll) {
			return nil, context.Cause(ctx)
		}
		if open, err := t.isOpen(); err != nil || !open {
			return nil, err
		}
	}
}

// listen hands what the host sends to the board, at the speed the host has set.
func (p *PTY) listen(ctx context.Context, t *terminal, wire *Wire, unplugged <-chan error) error {
	buf := make([]byte, 4<<10)
	baud := 0
	for {
		t.file.SetReadDeadline(time.Now().Add(ptyPoll))
		n, err := t.file.Read(buf)
		if now := t.baud(); now > 0 && now != baud {
			baud = now
			if err := wire.SetBaud(baud); err != nil {
				return err
			}
			p.log.Debug("host set speed", "baud", baud)
		}
		if n > 0 {
			if _, err := wire.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, unix.EIO): // closed by the last host
			return nil
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("read from host: %w", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-unplugged:
			if err != nil {
				return err
			}
			unplugged = nil // the host has closed; the next read says so
		default:
		}
	}
}
