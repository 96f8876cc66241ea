package board

import (
	"encoding/binary"
	"errors"
	"time"

	"porthole/internal/esprom"
	"porthole/internal/slip"
)

// rom is the loader in the ROM. It does what genuine ROM code was seen to do
// (esp32-serial 12), which differs from what its documentation promises:
//
//   - It has one receive buffer. The size field is ignored, and a frame shorter
//     than its command runs with what an older frame left behind.
//   - The value field repeats the last register or SYNC value. Of the four status
//     bytes only the first is set on success; the others keep what an earlier
//     failure wrote.
//   - An unknown command is answered with the opcode of the last known one, and so
//     eight times if that was SYNC.
//   - A data block uses up its sequence number even when its checksum is wrong.
type rom struct {
	b   *Board
	dec slip.Decoder

	frame    []byte // the receive buffer
	op       esprom.Op
	value    uint32
	status   [esprom.ROMStatus]byte
	slow     [esprom.SlowBlock]byte
	attached bool   // the SPI pins lead to the flash
	limit    uint32 // flash size the ROM believes in

	ram   transfer
	flash transfer
}

// romFlash is the flash size before SPI_SET_PARAMS.
const romFlash = 4 << 20

// A transfer is a sequence of data blocks between its BEGIN and its END.
type transfer struct {
	op   esprom.Op // the data command it takes; 0: none begun
	seq  uint32
	addr uint32
	end  uint32
	z    *inflater
}

func newROM(b *Board) *rom { return &rom{b: b, limit: romFlash} }

func (r *rom) push(c byte) {
	body, ok, _ := r.dec.Push(c)
	if !ok {
		return
	}
	r.b.measured = true
	if len(body) > len(r.frame) {
		r.frame = append(r.frame, make([]byte, len(body)-len(r.frame))...)
	}
	copy(r.frame, body)
	r.handle(len(body))
}

// byteAt reads the receive buffer, which is zero where no frame has reached yet.
func (r *rom) byteAt(i int) byte {
	if i < len(r.frame) {
		return r.frame[i]
	}
	return 0
}

// arg is data word i of the command in the buffer.
func (r *rom) arg(i int) uint32 {
	at := esprom.HeaderSize + 4*i
	return binary.LittleEndian.Uint32([]byte{r.byteAt(at), r.byteAt(at + 1), r.byteAt(at + 2), r.byteAt(at + 3)})
}

func (r *rom) handle(size int) {
	op := esprom.Op(r.byteAt(1))
	f := r.b.faults.command(op)
	r.b.note(TraceCommand, uint64(op), uint64(max(size-esprom.HeaderSize, 0)))
	if f != nil && f.struck {
		return
	}
	r.b.wait(f.wait(), func() { r.run(op, size, f) })
}

// run executes a command of the ESP32's ROM. Each replies itself.
func (r *rom) run(op esprom.Op, size int, f *commandFault) {
	if r.byteAt(0) != 0 || !romKnows(op) {
		r.refuseUnknown(op, f)
		return
	}
	r.op = op
	if code, refused := f.refuses(); refused {
		r.reply(f, code, nil)
		return
	}
	switch op {
	case esprom.SyncOp:
		r.value = r.arg(0)
		r.b.sendSync(f, r.answer(op, 0, nil))
	case esprom.ReadRegOp:
		r.value = r.b.soc.read(r.arg(0))
		r.reply(f, 0, nil)
	case esprom.WriteRegOp:
		r.writeRegs(size, f)
	case esprom.MemBegin:
		r.ram = transfer{op: esprom.MemData, addr: r.arg(3), end: r.arg(3) + r.arg(0)}
		r.reply(f, 0, nil)
	case esprom.MemData:
		block, code := r.block(&r.ram)
		if code == 0 {
			r.b.soc.loadRAM(r.ram.addr, block)
			r.ram.addr += uint32(len(block))
		}
		r.reply(f, code, nil)
	case esprom.MemEnd:
		stay, entry := r.arg(0) != 0, r.arg(1)
		r.ram = transfer{}
		r.reply(f, 0, nil)
		if !stay && entry != 0 {
			r.b.jump(entry)
		}
	case esprom.FlashBegin:
		r.begin(size, f, esprom.FlashData)
	case esprom.DeflBegin:
		r.begin(size, f, esprom.DeflData)
	case esprom.FlashData:
		r.flashData(f)
	case esprom.DeflData:
		r.deflData(f)
	case esprom.FlashEnd, esprom.DeflEnd:
		r.end(f)
	case esprom.SPISetParams:
		r.limit = r.arg(1)
		r.reply(f, 0, nil)
	case esprom.SPIAttachOp:
		r.attached = true
		r.reply(f, 0, nil)
	case esprom.ReadFlashSlow:
		r.readSlow(f)
	case esprom.ChangeBaudOp:
		baud := r.arg(0)
		if baud == 0 || baud > maxBaud {
			r.reply(f, esprom.ErrParameter, nil)
			return
		}
		r.reply(f, 0, nil)
		r.b.changeBaud(int(baud))
	case esprom.FlashMD5:
		addr, n := r.arg(0), r.arg(1)
		if !r.attached || !covered(addr, n, r.size()) {
			r.reply(f, esprom.ErrFailed, nil)
			return
		}
		sum, delay := r.b.faults.digest(r.b.flash.digest(addr, n))
		r.b.wait(delay, func() { r.reply(f, 0, esprom.AppendDigest(nil, sum, false)) })
	}
}

// romKnows reports whether a command is one of the ROM of the ESP32.
func romKnows(op esprom.Op) bool {
	return op >= esprom.FlashBegin && op <= esprom.FlashMD5 && op != 0x0C
}

func (r *rom) readSlow(f *commandFault) {
	off, n := r.arg(0), r.arg(1)
	code := esprom.Code(0)
	switch {
	case n > esprom.SlowBlock:
		code = esprom.ErrReadLength
	case !r.attached || !covered(off, n, r.size()):
		code = esprom.ErrFailed
	default:
		r.b.flash.ReadAt(r.slow[:n], int64(off))
	}
	r.reply(f, code, r.slow[:])
}

// maxBaud is the highest rate the UART's divider reaches with the 40 MHz clock.
const maxBaud = 5_000_000

// size is how much of the flash the ROM can reach.
func (r *rom) size() uint32 { return min(r.limit, uint32(r.b.flash.Size())) }

// answer builds a reply frame and leaves the stale fields behind.
func (r *rom) answer(op esprom.Op, code esprom.Code, payload []byte) []byte {
	r.status[0] = 0
	if code != 0 {
		r.status[0], r.status[1] = 1, byte(code)
	}
	r.b.note(TraceReply, uint64(op), uint64(binary.BigEndian.Uint32(r.status[:])))
	data := append(append([]byte(nil), payload...), r.status[:]...)
	if code == esprom.ErrDeflate || code == esprom.ErrAdler {
		// The inflater's own result is what stays behind in the buffer.
		r.status = [4]byte{0, 0, 2, 3}
	}
	resp := esprom.Response{Op: op, Value: r.value, Data: data}
	return slip.Append(nil, resp.Append(nil))
}

func (r *rom) reply(f *commandFault, code esprom.Code, payload []byte) {
	r.b.sendReply(f, r.answer(r.op, code, payload))
}

// refuseUnknown answers a command the ROM does not have.
func (r *rom) refuseUnknown(op esprom.Op, f *commandFault) {
	if r.b.cfg.ROM == ROMFast {
		r.b.sendReply(f, r.answer(op, esprom.ErrFormat, nil))
		return
	}
	frame := r.answer(r.op, esprom.ErrFormat, nil)
	if r.op == esprom.SyncOp {
		r.b.sendSync(f, frame)
		return
	}
	r.b.sendReply(f, frame)
}

func (r *rom) writeRegs(size int, f *commandFault) {
	n := max((size-esprom.HeaderSize)/16, 1)
	var delay time.Duration
	for i := range n {
		r.b.soc.write(r.arg(4*i), r.arg(4*i+1), r.arg(4*i+2))
		delay += time.Duration(r.arg(4*i+3)) * time.Microsecond
	}
	r.b.wait(delay, func() { r.reply(f, 0, nil) })
}

// block checks the data command in the buffer and returns its block.
func (r *rom) block(t *transfer) ([]byte, esprom.Code) {
	length, seq := r.arg(0), r.arg(1)
	switch {
	case t.op != r.op:
		return nil, esprom.ErrFailed
	case seq != t.seq:
		return nil, esprom.ErrFormat
	case length > esprom.StubBlock:
		return nil, esprom.ErrParameter
	}
	t.seq++
	const header = esprom.HeaderSize + esprom.DataHeader
	if want := header + int(length); len(r.frame) < want {
		r.frame = append(r.frame, make([]byte, want-len(r.frame))...)
	}
	block := r.frame[header : header+int(length)]
	if esprom.Checksum(block) != r.byteAt(4) {
		return nil, esprom.ErrChecksum
	}
	return block, 0
}

// begin opens a flash transfer and erases what it will cover.
func (r *rom) begin(size int, f *commandFault, data esprom.Op) {
	total, offset := r.arg(0), r.arg(3)
	r.flash = transfer{}
	switch {
	case size >= esprom.HeaderSize+20: // the encrypt word of newer chips
		r.reply(f, esprom.ErrFormat, nil)
		return
	case !r.attached || !covered(offset, total, r.size()):
		r.reply(f, esprom.ErrFailed, nil)
		return
	}
	t := transfer{op: data, addr: offset, end: offset + total}
	if data == esprom.DeflData {
		t.z = newInflater()
	}
	r.b.startJob(eraseOps(r.b.flash, offset, int(total)), func() {
		r.flash = t
		r.reply(f, 0, nil)
	})
}

func (r *rom) flashData(f *commandFault) {
	t := &r.flash
	block, code := r.block(t)
	if code == 0 && !covered(t.addr, uint32(len(block)), r.size()) {
		code = esprom.ErrFailed
	}
	if code != 0 {
		r.reply(f, code, nil)
		return
	}
	addr := t.addr
	t.addr += uint32(len(block))
	r.b.startJob(programOps(addr, append([]byte(nil), block...)), func() { r.reply(f, 0, nil) })
}

func (r *rom) deflData(f *commandFault) {
	t := &r.flash
	block, code := r.block(t)
	if code != 0 {
		r.reply(f, code, nil)
		return
	}
	t.z.feed(block)
	r.b.startJob(t.inflateOps(r.size(), &code), func() { r.reply(f, code, nil) })
}

// inflateOps programs what the input so far inflates to, up to limit. A failure is
// left in code.
func (t *transfer) inflateOps(limit uint32, code *esprom.Code) func() (flashOp, bool) {
	var part func() (flashOp, bool)
	return func() (flashOp, bool) {
		for {
			if part != nil {
				if op, ok := part(); ok {
					return op, true
				}
			}
			out, err := t.z.next()
			switch {
			case errors.Is(err, errAdler):
				*code = esprom.ErrAdler
			case err != nil:
				*code = esprom.ErrDeflate
			case !covered(t.addr, uint32(len(out)), limit):
				*code = esprom.ErrFailed
			case len(out) > 0:
				part = programOps(t.addr, append([]byte(nil), out...))
				t.addr += uint32(len(out))
				continue
			}
			return flashOp{}, false
		}
	}
}

// end leaves the loader: the ROM goes on and starts what is in flash.
func (r *rom) end(f *commandFault) {
	r.reply(f, 0, nil)
	r.b.after(0, func() {
		r.b.soc.reset()
		r.b.bootFlash()
	})
}
