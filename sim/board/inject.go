package board

import (
	"time"

	"porthole/internal/esprom"
)

// An injector makes the faults of a schedule happen. The board asks it at every
// seam: a byte each way, a command, a reset, a flash operation, a digest.
type injector struct {
	b       *Board
	counts  [triggers]uint64
	waiting [triggers][]armedFault
	hits    []armedFault // reused by hit
}

type armedFault struct {
	Fault
	index int // in the schedule
}

func newInjector(b *Board, s Schedule) (injector, error) {
	in := injector{b: b}
	for i, f := range s {
		if err := f.Check(); err != nil {
			return in, err
		}
		f.Count = max(f.Count, 1)
		in.waiting[f.On] = append(in.waiting[f.On], armedFault{f, i})
	}
	return in, nil
}

// start sets the faults that wait for a time.
func (in *injector) start() {
	for _, f := range in.waiting[OnTime] {
		in.b.afterAlways(f.At, func() {
			if in.remove(OnTime, f.index) {
				in.strike(f)
			}
		})
	}
}

func (in *injector) left() (n int) {
	for _, w := range in.waiting {
		n += len(w)
	}
	return n
}

func (in *injector) remove(on Trigger, index int) bool {
	w := in.waiting[on]
	for i := range w {
		if w[i].index == index {
			in.waiting[on] = append(w[:i], w[i+1:]...)
			return true
		}
	}
	return false
}

// hit counts an occurrence and returns the faults that strike at it. The result is
// valid until the next hit.
func (in *injector) hit(on Trigger) []armedFault {
	in.counts[on]++
	w := in.waiting[on]
	if len(w) == 0 {
		return nil
	}
	n := in.counts[on]
	in.hits = in.hits[:0]
	keep := w[:0]
	for _, f := range w {
		if n >= f.N {
			in.hits = append(in.hits, f)
			in.b.note(TraceFault, uint64(f.index), n)
		}
		if n < f.N+f.Count-1 {
			keep = append(keep, f)
		}
	}
	in.waiting[on] = keep
	return in.hits
}

// strike does a fault that concerns the whole board. It must not be called from
// within the handling of a command, except through deferred.
func (in *injector) strike(f armedFault) {
	b := in.b
	if f.On == OnTime {
		b.note(TraceFault, uint64(f.index), uint64(f.At))
	}
	switch f.Name {
	case "unplug":
		withPower := f.Value == 1
		b.setPlugged(false)
		if withPower {
			b.cutPower()
		}
		b.afterAlways(f.For, func() {
			b.setPlugged(true)
			if withPower {
				b.setPower(true)
			}
		})
	case "xonxoff":
		b.xonxoff = true
		b.afterAlways(f.For, func() { b.xonxoff = false })
	case "stall":
		b.stalled = true
		b.afterAlways(f.For, func() { b.stalled = false; b.pump() })
	case "log":
		b.send([]byte("I (5031) wifi: state: run -> init (200)\r\n"))
	case "reset":
		b.muted = false
		b.restart(ResetReason(f.Value))
	case "brownout":
		b.muted = false
		if b.state == StateApp {
			b.send([]byte("\r\nE BOD: Brownout detector was triggered\r\n\r\n"))
			b.restart(SoftwareCPUReset)
			return
		}
		b.restart(BrownoutReset)
	case "powercut":
		b.cutPower()
		b.afterAlways(f.For, func() { b.setPower(true) })
	case "protect":
		b.soc.nor.write(0, b.soc.nor.read(0)|esprom.NorBlockProtect)
	}
}

// deferred does a fault of the whole board as soon as the current step is over;
// until then the chip says nothing more.
func (in *injector) deferred(f armedFault) {
	if f.Name == "reset" || f.Name == "unplug" {
		in.b.muted = true
	}
	in.b.afterAlways(0, func() {
		in.b.muted = false
		in.strike(f)
	})
}

// rxByte takes a byte from the host through the line.
func (in *injector) rxByte(c byte) {
	copies := 1
	for _, f := range in.hit(OnRX) {
		switch f.Name {
		case "flip":
			c ^= 1 << f.Value
		case "drop":
			copies = 0
		case "dup":
			copies = 2
		case "insert":
			in.b.arrive(byte(f.Value))
		case "stall":
			in.strike(f)
		default:
			in.deferred(f)
		}
	}
	for range copies {
		in.b.arrive(c)
	}
}

// txByte takes a byte of the chip, sent at a rate, through the line.
func (in *injector) txByte(c byte, baud int) {
	copies := 1
	for _, f := range in.hit(OnTX) {
		switch f.Name {
		case "flip":
			c ^= 1 << f.Value
		case "drop":
			copies = 0
		case "dup":
			copies = 2
		case "insert":
			in.b.reach(byte(f.Value), baud)
		default:
			in.deferred(f)
		}
	}
	for range copies {
		in.b.reach(c, baud)
	}
}

// A commandFault is what goes wrong with one command. nil is nothing.
type commandFault struct {
	delay         time.Duration
	lost, twice   bool
	wrongOp, line bool
	refused       bool
	code          esprom.Code
	struck        bool // the board was struck: the command is not executed
}

func (f *commandFault) refuses() (esprom.Code, bool) {
	if f == nil {
		return 0, false
	}
	return f.code, f.refused
}

func (f *commandFault) wait() time.Duration {
	if f == nil {
		return 0
	}
	return f.delay
}

// command is asked before a loader executes a command.
func (in *injector) command(esprom.Op) *commandFault {
	hits := in.hit(OnCommand)
	if len(hits) == 0 {
		return nil
	}
	cf := &commandFault{}
	for _, f := range hits {
		switch f.Name {
		case "slow":
			cf.delay += f.For
		case "lostreply":
			cf.lost = true
		case "dupreply":
			cf.twice = true
		case "wrongop":
			cf.wrongOp = true
		case "log":
			cf.line = true
		case "refuse":
			cf.refused, cf.code = true, esprom.Code(f.Value)
		case "xonxoff", "protect":
			in.strike(f)
		default:
			cf.struck = true
			in.deferred(f)
		}
	}
	return cf
}

// reset may change the straps a start samples.
func (in *injector) reset(strap uint8) uint8 {
	for range in.hit(OnReset) { // wrongboot is the only one
		strap ^= StrapGPIO0
	}
	return strap
}

// An opEffect is what goes wrong with one flash operation.
type opEffect struct {
	delay  time.Duration
	ignore bool
	stuck  byte         // bits that stay one
	cut    func(*Board) // ends the operation in the middle
}

func (in *injector) flashOp(op flashOp) opEffect {
	on := OnErase
	if op.data != nil {
		on = OnWrite
	}
	var e opEffect
	for _, f := range in.hit(on) {
		switch f.Name {
		case "slowerase", "slowwrite":
			e.delay += f.For
		case "ignoreerase", "ignorewrite":
			e.ignore = true
		case "stuckbits":
			e.stuck |= byte(f.Value)
		default: // reset, brownout, powercut
			e.cut = func(*Board) { in.strike(f) }
		}
	}
	return e
}

// digest may falsify and delay an answer to SPI_FLASH_MD5.
func (in *injector) digest(sum [16]byte) ([16]byte, time.Duration) {
	var delay time.Duration
	for _, f := range in.hit(OnMD5) {
		if f.Name == "slowmd5" {
			delay += f.For
		} else {
			sum[7] ^= 0x10
		}
	}
	return sum, delay
}

func (in *injector) packet(p []byte) []byte {
	for _, f := range in.hit(OnPacket) {
		p = p[:max(len(p)-int(f.Value), 0)]
	}
	return p
}

func (in *injector) readDigest(sum []byte) []byte {
	for range in.hit(OnRead) {
		sum[3] ^= 0x01
	}
	return sum
}

func (in *injector) hello(frame []byte) []byte {
	for _, f := range in.hit(OnHello) {
		if f.Name == "nohello" {
			return nil
		}
		frame[2] ^= 0x04
	}
	return frame
}

// ClearFaults ends every fault: those to come do not happen, those that last are
// over, power and cable are back.
func (b *Board) ClearFaults() {
	b.do(func() {
		for on := range b.faults.waiting {
			b.faults.waiting[on] = nil
		}
		b.xonxoff, b.stalled, b.muted = false, false, false
		b.setPlugged(true)
		b.setPower(true)
		b.pump()
	})
}
