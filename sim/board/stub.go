package board

import (
	"crypto/md5"
	"encoding/binary"
	"hash"
	"time"

	"porthole/internal/esprom"
	"porthole/internal/slip"
)

// stub is the loader that flashers upload into RAM. Its code is never executed:
// that something entered stub space is taken as leave to behave like one
// (esp32-serial 1.3, 2.7). Data commands are acknowledged before they are
// written, so their failures show in the answer to the next one.
type stub struct {
	b       *Board
	dec     slip.Decoder
	ignores bool // the flavour that ignores "reboot" in FLASH_END

	ram   transfer
	flash stubFlash
	read  *flashRead
}

// stubFlash is a flash transfer. Sectors are erased just before they are written.
type stubFlash struct {
	transfer
	open   bool
	left   uint32 // bytes still to come, padding excluded
	erased uint32 // everything below, from the start, is erased
	failed esprom.Code
}

// flashRead is a READ_FLASH dialogue.
type flashRead struct {
	off, size, packet uint32
	sent, acked       uint32
	sum               hash.Hash
}

// newStubSpace: stubs of the new family load at 0x400A8000, the legacy ones end at
// 0x400C0000 (esp32-serial 2.3).
const newStubSpace = 0x400B0000

func newStub(b *Board, entry uint32) *stub {
	return &stub{b: b, ignores: entry < newStubSpace}
}

// stubHello is the longest a stub takes from its entry to its greeting.
const stubHello = 20 * time.Millisecond

// jump enters code that was loaded into RAM.
func (b *Board) jump(entry uint32) {
	if !esprom.IsStubEntry(entry) {
		b.rom, b.stub = nil, nil
		b.setState(StateRAMApp)
		b.startProgram(b.cfg.RAMApp, entry)
		return
	}
	b.rom, b.stub = nil, newStub(b, entry)
	b.setState(StateStub)
	b.wait(time.Millisecond+time.Duration(b.rng.Int64N(int64(stubHello-time.Millisecond))), func() {
		b.send(b.faults.hello(slip.Append(nil, []byte(esprom.Hello))))
	})
}

func (s *stub) push(c byte) {
	body, ok, _ := s.dec.Push(c)
	if !ok {
		return
	}
	if s.read != nil {
		s.acknowledge(body)
		return
	}
	r, err := esprom.ParseRequest(body)
	if err != nil {
		return
	}
	f := s.b.faults.command(r.Op)
	s.b.note(TraceCommand, uint64(r.Op), uint64(len(r.Data)))
	if f != nil && f.struck {
		return
	}
	s.b.wait(f.wait(), func() { s.run(f, r) })
}

func (s *stub) run(f *commandFault, r esprom.Request) {
	if r.Size != len(r.Data) {
		s.reply(f, r.Op, esprom.StubDataLen, 0, nil)
		return
	}
	if code, refused := f.refuses(); refused {
		s.reply(f, r.Op, code, 0, nil)
		return
	}
	cmd, err := r.Command()
	if err != nil {
		s.reply(f, r.Op, esprom.StubDataLen, 0, nil)
		return
	}
	s.handle(f, r.Op, cmd)
}

func (s *stub) frame(op esprom.Op, code esprom.Code, value uint32, payload []byte) []byte {
	s.b.note(TraceReply, uint64(op), uint64(code))
	data := append(append([]byte(nil), payload...), byte(code), 0)
	return slip.Append(nil, esprom.Response{Op: op, Value: value, Data: data}.Append(nil))
}

func (s *stub) reply(f *commandFault, op esprom.Op, code esprom.Code, value uint32, payload []byte) {
	s.b.sendReply(f, s.frame(op, code, value, payload))
}

func (s *stub) handle(f *commandFault, op esprom.Op, cmd esprom.Command) {
	b := s.b
	ok := func() { s.reply(f, op, 0, 0, nil) }
	fail := func(code esprom.Code) { s.reply(f, op, code, 0, nil) }
	switch c := cmd.(type) {
	case esprom.Sync:
		b.sendSync(f, s.frame(op, 0, 0, nil))
	case esprom.ReadReg:
		s.reply(f, op, 0, b.soc.read(c.Addr), nil)
	case esprom.WriteReg:
		var delay time.Duration
		for _, w := range c {
			b.soc.write(w.Addr, w.Value, w.Mask)
			delay += time.Duration(w.Delay) * time.Microsecond
		}
		b.wait(delay, ok)
	case esprom.Begin:
		s.begin(f, c)
	case esprom.Data:
		s.data(f, c)
	case esprom.End:
		s.end(f, c)
	case esprom.Jump:
		s.ram = transfer{}
		ok()
		if !c.Stay && c.Entry != 0 {
			b.jump(c.Entry)
		}
	case esprom.FlashParams, esprom.Attach:
		ok()
	case esprom.Baud:
		if c.New == 0 || c.New > maxBaud {
			fail(esprom.StubDataLen)
			return
		}
		ok()
		b.changeBaud(int(c.New))
	case esprom.Digest:
		if !covered(c.Addr, c.Size, uint32(b.flash.Size())) {
			fail(esprom.StubSPI)
			return
		}
		sum, delay := b.faults.digest(b.flash.digest(c.Addr, c.Size))
		b.wait(delay, func() { s.reply(f, op, 0, 0, esprom.AppendDigest(nil, sum, true)) })
	case esprom.EraseRegion:
		if c.Offset%SectorSize != 0 || c.Size%SectorSize != 0 || !covered(c.Offset, c.Size, uint32(b.flash.Size())) {
			fail(esprom.StubSPI)
			return
		}
		b.startJob(eraseOps(b.flash, c.Offset, int(c.Size)), ok)
	case esprom.ReadFlash:
		s.startRead(f, c)
	case esprom.Bare:
		s.bare(f, c)
	default:
		fail(esprom.StubUnsupported)
	}
}

func (s *stub) bare(f *commandFault, c esprom.Bare) {
	switch c.Op {
	case esprom.EraseFlashOp:
		s.b.startJob(eraseOps(s.b.flash, 0, s.b.flash.Size()), func() { s.reply(f, c.Op, 0, 0, nil) })
	case esprom.RunUserCodeOp: // not answered
		s.b.after(0, func() {
			s.b.soc.reset()
			s.b.bootFlash()
		})
	default:
		s.reply(f, c.Op, esprom.StubUnsupported, 0, nil)
	}
}

func (s *stub) begin(f *commandFault, c esprom.Begin) {
	var code esprom.Code
	if c.Op == esprom.MemBegin {
		s.ram = transfer{op: esprom.MemData, addr: c.Offset, end: c.Offset + c.Size}
	} else {
		s.flash = stubFlash{}
		switch {
		case c.BlockSize > esprom.StubBlock:
			code = esprom.StubBlockSize
		case !covered(c.Offset, c.Size, uint32(s.b.flash.Size())):
			code = esprom.StubSPI
		default:
			s.flash = stubFlash{
				transfer: transfer{op: esprom.FlashData, addr: c.Offset, end: c.Offset + c.Size},
				open:     true, left: c.Size, erased: c.Offset / SectorSize * SectorSize,
			}
			if c.Op == esprom.DeflBegin {
				s.flash.op, s.flash.z = esprom.DeflData, newInflater()
			}
		}
	}
	s.reply(f, c.Op, code, 0, nil)
}

func (s *stub) data(f *commandFault, c esprom.Data) {
	code := esprom.Code(0)
	switch {
	case c.Op != esprom.MemData && (!s.flash.open || s.flash.op != c.Op):
		code = esprom.StubNotBegun
	case int64(c.Len) != int64(len(c.Block)), c.Op == esprom.MemData && (c.Len%4 != 0 || s.ram.op == 0):
		code = esprom.StubDataLen
	case !c.Intact():
		code = esprom.StubChecksum
	case c.Op != esprom.MemData && s.flash.failed != 0:
		code, s.flash.failed = s.flash.failed, 0
	}
	if code != 0 || c.Op == esprom.MemData {
		if code == 0 {
			s.b.soc.loadRAM(s.ram.addr, c.Block)
			s.ram.addr += c.Len
		}
		s.reply(f, c.Op, code, 0, nil)
		return
	}
	s.reply(f, c.Op, 0, 0, nil)
	block := append([]byte(nil), c.Block...)
	s.b.startJob(s.writeOps(block), func() {})
}

// writeOps erases and programs what one acknowledged block brings.
func (s *stub) writeOps(block []byte) func() (flashOp, bool) {
	t := &s.flash
	var pieces func() []byte
	if t.op == esprom.DeflData {
		t.z.feed(block)
		pieces = func() []byte {
			out, err := t.z.next()
			if err != nil {
				t.failed = esprom.StubInflate
			}
			return out
		}
	} else {
		pieces = func() []byte {
			out := block
			block = nil
			return out[:min(len(out), int(max(t.left, 1)))] // the rest is padding
		}
	}
	var part func() (flashOp, bool)
	var piece []byte
	return func() (flashOp, bool) {
		for {
			if len(piece) == 0 {
				if part != nil {
					if op, ok := part(); ok {
						return op, true
					}
					part = nil
				}
				if piece = append([]byte(nil), pieces()...); len(piece) == 0 {
					return flashOp{}, false
				}
				if uint32(len(piece)) > t.left {
					t.failed = esprom.StubTooMuch
					piece = piece[:t.left]
					if len(piece) == 0 {
						return flashOp{}, false
					}
				}
			}
			if end := t.addr + uint32(len(piece)); t.erased < end {
				return t.erase(), true
			}
			part = programOps(t.addr, piece)
			t.addr += uint32(len(piece))
			t.left -= uint32(len(piece))
			piece = nil
		}
	}
}

// erase is the next erase ahead of the write pointer: a block where one fits into
// what is still to come.
func (t *stubFlash) erase() flashOp {
	op := flashOp{addr: t.erased, size: SectorSize}
	if t.erased%BlockSize == 0 && t.erased+BlockSize <= t.end {
		op.size = BlockSize
	}
	t.erased += uint32(op.size)
	return op
}

func (s *stub) end(f *commandFault, c esprom.End) {
	t := s.flash
	code := t.failed
	switch {
	case !t.open:
		code = esprom.StubNotBegun
	case code == 0 && t.left > 0:
		code = esprom.StubMissing
	default:
		s.flash = stubFlash{}
	}
	s.reply(f, c.Op, code, 0, nil)
	if code == 0 && !c.Stay && !s.ignores {
		s.b.after(0, func() { s.b.restart(SoftwareReset) })
	}
}

func (s *stub) startRead(f *commandFault, c esprom.ReadFlash) {
	if c.Packet == 0 || c.Packet > esprom.StubBlock || !covered(c.Offset, c.Size, uint32(s.b.flash.Size())) {
		s.reply(f, esprom.ReadFlashOp, esprom.StubDataLen, 0, nil)
		return
	}
	s.reply(f, esprom.ReadFlashOp, 0, 0, nil)
	s.read = &flashRead{off: c.Offset, size: c.Size, packet: c.Packet, sum: md5.New()}
	s.sendPacket()
}

// sendPacket sends the next piece of a READ_FLASH, or the digest that ends it.
func (s *stub) sendPacket() {
	r := s.read
	if r.sent == r.size {
		s.read = nil
		s.b.send(slip.Append(nil, s.b.faults.readDigest(r.sum.Sum(nil))))
		return
	}
	p := make([]byte, min(r.packet, r.size-r.sent))
	s.b.flash.ReadAt(p, int64(r.off+r.sent))
	r.sum.Write(p)
	r.sent += uint32(len(p))
	s.b.send(slip.Append(nil, s.b.faults.packet(p)))
}

// acknowledge takes the host's count of received bytes. Anything else ends the
// dialogue, as in the stubs.
func (s *stub) acknowledge(body []byte) {
	if len(body) != 4 || binary.LittleEndian.Uint32(body) > s.read.sent {
		s.read = nil
		return
	}
	if s.read.acked = binary.LittleEndian.Uint32(body); s.read.acked == s.read.sent {
		s.sendPacket()
	}
}
