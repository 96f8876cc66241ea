package serial

import (
	"os"
	"sync"
	"time"

	"porthole/hil"
	"porthole/internal/bytequeue"
)

// borrowed is the port for whoever has borrowed it.
type borrowed struct {
	s    *Shared
	rx   *bytequeue.Queue
	baud int // guarded by s.mu
	once sync.Once
}

// Read implements [hil.Port].
func (b *borrowed) Read(p []byte) (int, error) { return b.rx.Read(p) }

// SetReadDeadline implements [hil.Port].
func (b *borrowed) SetReadDeadline(t time.Time) error { return b.rx.SetReadDeadline(t) }

// Write implements [hil.Port].
func (b *borrowed) Write(p []byte) (n int, err error) {
	err = b.s.mine(b, func(port hil.Port) error { n, err = port.Write(p); return err })
	return n, err
}

// SetLines implements [hil.Port].
func (b *borrowed) SetLines(dtr, rts bool) error {
	return b.s.mine(b, func(port hil.Port) error { return port.SetLines(dtr, rts) })
}

// SetBaud implements [hil.Port].
func (b *borrowed) SetBaud(rate int) error {
	err := b.s.mine(b, func(port hil.Port) error { return port.SetBaud(rate) })
	if err == nil {
		b.s.mu.Lock()
		b.baud = rate
		b.s.mu.Unlock()
	}
	return err
}

// Discard implements [hil.Port].
func (b *borrowed) Discard() error {
	err := b.s.mine(b, func(port hil.Port) error { return port.Discard() })
	b.rx.Discard()
	return err
}

// Close gives the port back.
func (b *borrowed) Close() (err error) {
	b.once.Do(func() {
		b.s.mu.Lock()
		port, rate, changed := b.s.port, b.s.baud, b.baud != b.s.baud
		failed := b.s.err != nil
		b.s.mu.Unlock()
		if changed && !failed {
			err = port.SetBaud(rate)
		}
		b.s.mu.Lock()
		b.s.borrower = nil
		b.rx.SetReadDeadline(time.Time{})
		for left := b.rx.Len(); left > 0; left = b.rx.Len() {
			buf := make([]byte, min(left, 64<<10))
			n, _ := b.rx.Read(buf)
			b.s.rx.Offer(buf[:n])
		}
		b.rx.Close(os.ErrClosed)
		b.s.mu.Unlock()
		<-b.s.turn
	})
	return err
}
