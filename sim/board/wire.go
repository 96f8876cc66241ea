package board

import (
	"time"

	"porthole/internal/bytequeue"
)

// hostBuffer is how many unread bytes a host may leave behind before further ones
// are lost: the input queue of a serial driver, with room for a whole READ_FLASH
// packet.
const hostBuffer = 16 << 10

// A Wire is a host's end of the serial cable: what the in-memory, RFC 2217 and PTY
// faces are made of. One is connected at a time. Bytes the chip sends while none is
// are lost, as on a closed port.
//
// Connecting and closing move no line: what an operating system does to DTR and
// RTS when it opens or closes a port is the face's business.
//
// Methods may be called from several goroutines. After Close they fail with
// ErrClosed, after the cable was pulled with ErrUnplugged; the wire is then dead
// and the host connects again.
type Wire struct {
	b *Board
	q *bytequeue.Queue
}

// Connect plugs a host in. It fails with ErrBusy while another one is connected,
// with ErrUnplugged while a fault has pulled the cable, with ErrClosed for good.
func (b *Board) Connect() (*Wire, error) {
	var w *Wire
	err := ErrClosed
	b.do(func() {
		switch {
		case !b.plugged:
			err = ErrUnplugged
		case b.wire != nil:
			err = ErrBusy
		default:
			w = &Wire{b, bytequeue.New(hostBuffer)}
			b.wire, err = w, nil
		}
	})
	return w, err
}

// SetPlugged pulls the cable or puts it back. Pulling it ends the connection and
// lets go of the lines; the supply is a matter of its own (SetPower).
func (b *Board) SetPlugged(in bool) {
	b.do(func() { b.setPlugged(in) })
}

func (b *Board) setPlugged(in bool) {
	if b.plugged == in {
		return
	}
	b.plugged = in
	if in {
		return
	}
	if b.wire != nil {
		b.wire.q.Close(ErrUnplugged)
		b.wire = nil
	}
	b.setLines(false, false)
}

// Read returns bytes from the chip, waiting for the first until the deadline.
func (w *Wire) Read(p []byte) (int, error) { return w.q.Read(p) }

// SetReadDeadline bounds reads; the zero time means for ever.
func (w *Wire) SetReadDeadline(t time.Time) error { return w.q.SetReadDeadline(t) }

// Write sends bytes to the chip. On a paced board it returns when they have all
// arrived.
func (w *Wire) Write(p []byte) (int, error) {
	for done := 0; ; {
		piece := len(p) - done
		if w.b.cfg.Pace {
			piece = min(piece, txFIFO)
			if err := w.pace(piece); err != nil {
				return done, err
			}
		}
		if err := w.do(func() { w.b.receive(p[done : done+piece]) }); err != nil {
			return done, err
		}
		if done += piece; done == len(p) {
			return done, nil
		}
	}
}

// pace waits until n more bytes have gone over the line.
func (w *Wire) pace(n int) error {
	var wait time.Duration
	if err := w.do(func() {
		b := w.b
		b.rxFree = max(b.rxFree, b.at) + b.byteTime(b.hostBaud, n)
		wait = b.rxFree - b.at
	}); err != nil {
		return err
	}
	time.Sleep(wait)
	return nil
}

// SetLines sets DTR and RTS in one step; true asserts, which pulls low.
func (w *Wire) SetLines(dtr, rts bool) error {
	return w.do(func() { w.b.setLines(dtr, rts) })
}

// SetDTR sets DTR alone.
func (w *Wire) SetDTR(on bool) error {
	return w.do(func() { w.b.setLines(on, w.b.rts) })
}

// SetRTS sets RTS alone.
func (w *Wire) SetRTS(on bool) error {
	return w.do(func() { w.b.setLines(w.b.dtr, on) })
}

// SetBaud tells at what rate the host sends and receives.
func (w *Wire) SetBaud(baud int) error {
	return w.do(func() { w.b.setHostBaud(baud) })
}

// Break sends a break condition: the chip sees one zero byte with a framing error.
func (w *Wire) Break() error {
	return w.do(func() { w.b.receive([]byte{0}) })
}

// Purge drops what the host has not read yet.
func (w *Wire) Purge() error {
	return w.do(func() { w.q.Discard() })
}

// Close unplugs the host, leaving the lines as they are.
func (w *Wire) Close() error {
	w.b.do(func() {
		if w.b.wire == w {
			w.b.wire = nil
		}
	})
	w.q.Close(ErrClosed)
	return nil
}

// do runs f on the board while the wire is the connected one.
func (w *Wire) do(f func()) error {
	err := ErrClosed
	w.b.do(func() {
		switch {
		case w.b.wire == w:
			f()
			err = nil
		case !w.b.plugged:
			err = ErrUnplugged
		}
	})
	return err
}

func (w *Wire) offer(c byte) {
	if w.q.Offer([]byte{c}) == 0 {
		w.b.note(TraceOverrun, 0, 1)
	}
}
