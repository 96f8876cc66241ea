package board

import (
	"time"

	"porthole/internal/esprom"
	"porthole/internal/slip"
)

const (
	// rxLimit bounds what waits for a chip that is busy: two of the largest
	// frames, fully escaped. A host that obeys the protocol has one in flight.
	rxLimit = 2 * 2 * slip.MaxBody
	// txFIFO is the transmit FIFO of the UART in bytes, and the piece in which a
	// paced line delivers.
	txFIFO = 128
	// bitsPerByte on the line: start, eight data bits, stop.
	bitsPerByte = 10
)

// byteTime is how long n bytes take on the line; nothing when it is not paced.
func (b *Board) byteTime(baud, n int) time.Duration {
	if !b.cfg.Pace {
		return 0
	}
	return time.Duration(n) * bitsPerByte * time.Second / time.Duration(max(baud, 1))
}

func (b *Board) setChipBaud(baud int) {
	baud = max(baud, 1)
	if baud == b.chipBaud {
		return
	}
	b.chipBaud = baud
	b.note(TraceBaud, uint64(b.hostBaud), uint64(baud))
}

func (b *Board) setHostBaud(baud int) {
	baud = max(baud, 1)
	if baud == b.hostBaud {
		return
	}
	b.hostBaud = baud
	b.note(TraceBaud, uint64(baud), uint64(b.chipBaud))
}

// receive takes bytes from the host off the line.
func (b *Board) receive(p []byte) {
	if !b.power {
		return
	}
	for _, c := range p {
		if b.plugged {
			b.faults.rxByte(c)
		}
	}
	b.pump()
}

// arrive puts one byte, as it came through the line, before the chip's receiver.
func (b *Board) arrive(c byte) {
	if b.xonxoff && (c == 0x11 || c == 0x13) {
		return
	}
	if b.state == StateROM && !b.measured {
		b.setChipBaud(b.hostBaud) // the ROM measures the edges of a SYNC
	}
	if clash(b.hostBaud, b.chipBaud) {
		for range b.garbled(b.chipBaud, b.hostBaud) {
			b.enqueue(byte(b.rng.Uint32()))
		}
		return
	}
	b.enqueue(c)
}

func (b *Board) enqueue(c byte) {
	if len(b.rx) >= rxLimit {
		b.overrun++
		b.note(TraceOverrun, 1, 0)
		return
	}
	b.rx = append(b.rx, c)
}

// clash reports whether two ends of a line differ too much to understand each
// other (esp32-serial 2.7).
func clash(a, b int) bool {
	d := float64(a)/float64(b) - 1
	return d > esprom.BaudSlack || d < -esprom.BaudSlack
}

// garbled is how many bytes a receiver makes of one byte sent at another rate.
func (b *Board) garbled(receiver, sender int) int {
	n := receiver / sender
	if b.rng.IntN(sender) < receiver%sender {
		n++
	}
	return min(n, 8)
}

// pump lets the chip take what has arrived, until it is busy.
func (b *Board) pump() {
	if b.pumping {
		return
	}
	b.pumping = true
	for len(b.rx) > 0 && !b.busy && !b.stalled {
		c := b.rx[0]
		b.rx = b.rx[1:]
		b.deliver(c)
	}
	if len(b.rx) == 0 {
		b.rx = nil
	}
	b.pumping = false
}

// deliver hands one byte to whatever listens.
func (b *Board) deliver(c byte) {
	switch b.state {
	case StateROM:
		b.rom.push(c)
	case StateStub:
		b.stub.push(c)
	case StateBoot, StateApp, StateRAMApp:
		if b.machine != nil {
			b.machine.input.Offer([]byte{c})
		}
		if b.sniff != nil {
			b.sniff.push(c)
		}
	}
}

// send puts bytes of the chip on the line.
func (b *Board) send(p []byte) {
	if len(p) == 0 || b.muted {
		return
	}
	b.note(TraceSend, uint64(len(p)), fnv(fnvOffset, p))
	if !b.cfg.Pace {
		b.depart(p, b.chipBaud)
		return
	}
	for len(p) > 0 {
		piece := append([]byte(nil), p[:min(len(p), txFIFO)]...)
		p = p[len(piece):]
		baud := b.chipBaud
		b.txFree = max(b.txFree, b.at) + b.byteTime(baud, len(piece))
		b.after(b.txFree-b.at, func() { b.depart(piece, baud) })
	}
}

// depart delivers bytes sent at a rate to the host.
func (b *Board) depart(p []byte, baud int) {
	for _, c := range p {
		b.faults.txByte(c, baud)
	}
}

// reach puts one byte, as it came through the line, into the host's buffer.
func (b *Board) reach(c byte, baud int) {
	if b.xonxoff && (c == 0x11 || c == 0x13) {
		return
	}
	if b.wire == nil || b.muted {
		b.unheard++
		return
	}
	if !clash(b.hostBaud, baud) {
		b.wire.offer(c)
		return
	}
	for range b.garbled(b.hostBaud, baud) {
		b.wire.offer(byte(b.rng.Uint32()))
	}
}

// A sniffer watches what the host sends to a running program for a SYNC.
type sniffer struct {
	b   *Board
	dec slip.Decoder
}

func newSniffer(b *Board) *sniffer {
	return &sniffer{b: b, dec: slip.Decoder{Limit: 64}}
}

func (s *sniffer) push(c byte) {
	body, ok, _ := s.dec.Push(c)
	if !ok {
		return
	}
	if r, err := esprom.ParseRequest(body); err != nil || r.Op != esprom.SyncOp || len(r.Data) != len(esprom.SyncData()) {
		return
	}
	b, frame := s.b, slip.Append(nil, body)
	b.stopChip(false)
	b.start(PowerOnReset, b.cfg.Strap&^(StrapGPIO0|StrapGPIO2))
	if b.state == StateROM { // else an old program is still ending; the host asks again
		b.rx = append(b.rx, frame...)
	}
}
