package board

import (
	"context"
	"fmt"
	"time"

	"porthole/internal/bytequeue"
)

// A Program is the software the chip runs when it starts from flash: second-stage
// bootloader and application. The board core ends where it begins:
//
//	core                                    Program
//	EN rises, straps sampled
//	ROM banner "rst:…,boot:…"
//	GPIO0 low:  ROM loader, no Program
//	GPIO0 high: state Boot ────────────────▶ Boot(ctx, m) on a goroutine of its own
//	                                         reads flash, prints, m.Running()
//	any reset, power off, Close ───────────▶ ctx is cancelled
//	                                         Boot returns
//	the next start waits for that return ◀──
//
// So at most one Boot runs at a time, and nothing of an old run is printed after a
// reset: once ctx is done, every method of m fails or does nothing.
type Program interface {
	// Boot runs the software. It must return soon after ctx is done, since the
	// chip does not start again before. Returning earlier leaves the chip idle in
	// its state until the next reset. Boot must not call methods of the Board that
	// wait for it (Close), and should do all its waiting with ctx.
	//
	// The ROM's own messages after the banner (flash read err, invalid header,
	// load lines, the watchdog loop of an erased flash) are Boot's to print.
	Boot(ctx context.Context, m *Machine)
}

// ProgramFunc makes a function a Program.
type ProgramFunc func(ctx context.Context, m *Machine)

// Boot implements Program.
func (f ProgramFunc) Boot(ctx context.Context, m *Machine) { f(ctx, m) }

// A Machine is the chip as the software on it sees it, from one reset to the next.
// Its methods may be called from several goroutines.
type Machine struct {
	b      *Board
	ctx    context.Context
	cancel context.CancelFunc
	begun  time.Duration // board time of the start
	reason ResetReason
	strap  uint8
	entry  uint32 // RAM application: where it was entered
	input  *bytequeue.Queue
}

// consoleInput is how many unread bytes from the host a program may leave behind
// before further ones are lost: the receive ring of the UART driver.
const consoleInput = 256

// Reason is why the chip started.
func (m *Machine) Reason() ResetReason { return m.reason }

// Strap is the latched value of the strapping pins (bit 4: GPIO0).
func (m *Machine) Strap() uint8 { return m.strap }

// Entry is the address a RAM application was entered at; 0 when booted from flash.
func (m *Machine) Entry() uint32 { return m.entry }

// Chip tells what chip this is.
func (m *Machine) Chip() Chip { return m.b.cfg.Chip }

// Uptime is the time since the start.
func (m *Machine) Uptime() time.Duration { return m.b.now() - m.begun }

// Write prints on UART0. On a paced board it returns when the bytes have left but
// for a FIFO full of them. After a reset it fails with the error of the context.
func (m *Machine) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n := min(len(p)-done, txFIFO)
		var wait time.Duration
		if !m.live(func() {
			m.b.send(p[done : done+n])
			wait = m.b.txFree - m.b.at - m.b.byteTime(m.b.chipBaud, txFIFO)
		}) {
			return done, m.ctxErr()
		}
		done += n
		if wait > 0 && !sleep(m.ctx, wait) {
			return done, m.ctxErr()
		}
	}
	return done, nil
}

// Printf prints formatted text on UART0. The ROM and the bootloader end lines with
// CR LF; nothing is added here.
func (m *Machine) Printf(format string, args ...any) {
	fmt.Fprintf(m, format, args...)
}

// Read returns bytes the host sent, waiting for the first. After a reset it fails.
func (m *Machine) Read(p []byte) (int, error) {
	if m.ctx.Err() != nil {
		return 0, m.ctxErr() // what is left in the queue belongs to the past
	}
	return m.input.Read(p)
}

// SetBaud changes the rate of UART0, as software may.
func (m *Machine) SetBaud(baud int) {
	m.live(func() { m.b.setChipBaud(baud) })
}

// FlashSize is the size of the flash in bytes.
func (m *Machine) FlashSize() int { return m.b.flash.Size() }

// ReadAt reads flash; beyond the end it fails like any io.ReaderAt.
func (m *Machine) ReadAt(p []byte, off int64) (n int, err error) {
	err = m.ctxErr()
	m.live(func() { n, err = m.b.flash.ReadAt(p, off) })
	return n, err
}

// Program writes data into flash at off: bits only go from 1 to 0. It takes as
// long as the flash does and may be cut short by a reset or a power cut.
func (m *Machine) Program(off int64, data []byte) error {
	return m.operate(off, len(data), programOps(uint32(off), append([]byte(nil), data...)))
}

// Erase erases the 4 KB sectors that cover size bytes from off.
func (m *Machine) Erase(off int64, size int) error {
	return m.operate(off, size, eraseOps(m.b.flash, uint32(off), size))
}

func (m *Machine) operate(off int64, size int, next func() (flashOp, bool)) error {
	if off < 0 || size < 0 || off+int64(size) > int64(m.b.flash.Size()) {
		return fmt.Errorf("write flash: %d bytes at %#x exceed %d", size, off, m.b.flash.Size())
	}
	done := make(chan struct{})
	if !m.live(func() { m.b.startJob(next, func() { close(done) }) }) {
		return m.ctxErr()
	}
	select {
	case <-done:
		return nil
	case <-m.ctx.Done():
		return m.ctxErr()
	}
}

// Running tells the board that the application has taken over from the bootloader.
func (m *Machine) Running() {
	m.live(func() { m.b.setState(StateApp) })
}

// Reset resets the chip: esp_restart, a panic or a watchdog. It returns at once;
// ctx is done, and the chip starts again when Boot has returned.
func (m *Machine) Reset(reason ResetReason) {
	m.live(func() { m.b.restart(reason) })
}

// CameraPower reports whether the camera rail is on, and a channel that is closed
// when that changes.
func (m *Machine) CameraPower() (on bool, changed <-chan struct{}) {
	m.b.mu.Lock()
	defer m.b.mu.Unlock()
	return !m.b.shutoff, m.b.railChanged
}

// live runs f under the board's lock if m is the machine that runs now.
func (m *Machine) live(f func()) bool {
	ok := false
	m.b.do(func() {
		if m.b.machine == m && m.ctx.Err() == nil {
			ok = true
			f()
		}
	})
	return ok
}

func (m *Machine) ctxErr() error {
	if err := context.Cause(m.ctx); err != nil {
		return err
	}
	return context.Canceled
}

// sleep waits d or until ctx is done, and reports whether it waited.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
