package hiltest

import (
	"bytes"
	"compress/zlib"
	"crypto/md5" // the chip's own comparison digest, not a security measure
	"fmt"
	"io"
	"strings"
	"sync"

	"porthole/internal/esprom"
	"porthole/internal/slip"
)

// Board is a fake of the least board that a flasher can work on: registers, a
// flash as a slice, and a loader that answers at once and without time. It
// keeps a transcript of everything that reached it, one line each, and a test
// may step in front of any answer. For boards that behave like boards there is
// the simulator; this one says what was sent.
//
//	lines dtr=1 rts=0
//	baud 921600
//	READ_REG 0x40001000
//	SPI_ATTACH 0 0
//	DEFL_DATA seq 3, 1024 bytes
type Board struct {
	// Regs are the registers; others read as zero.
	Regs map[uint32]uint32
	// Flash is the content; nothing is done beyond its end.
	Flash []byte
	// Mute keeps the loader from answering at all.
	Mute bool
	// Banner is printed when the chip leaves reset, by whether it goes to its
	// loader. nil prints nothing.
	Banner func(download bool) string
	// Answer, if it returns true, has dealt with a request itself; what it
	// returns is sent as it is.
	Answer func(req esprom.Request) (raw []byte, done bool)

	mu       sync.Mutex
	far      *Far
	log      []string
	dtr, rts bool
	baud     int
	loader   bool
	block    struct {
		data     []byte
		off      uint32
		deflated bool
	}
	wg sync.WaitGroup
}

// Plug connects the board to a new port. The board lives until that is closed,
// and Wait waits for it.
func (b *Board) Plug() *Port {
	port, far := Pipe()
	b.far = far
	far.OnChange(b.changed)
	b.wg.Go(b.serve)
	return port
}

// Wait waits until the board has seen its port close.
func (b *Board) Wait() { b.wg.Wait() }

// Transcript is what reached the board since the last call.
func (b *Board) Transcript() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	log := b.log
	b.log = nil
	return log
}

// Lines is the state of the reset lines.
func (b *Board) Lines() (dtr, rts bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dtr, b.rts
}

func (b *Board) note(format string, args ...any) {
	b.log = append(b.log, fmt.Sprintf(format, args...))
}

// changed follows the lines: the chip starts when EN is released, at once, and
// IO0 is looked at in that moment.
func (b *Board) changed(c Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.Baud != b.baud {
		b.baud = c.Baud
		b.note("baud %d", c.Baud)
	}
	if c.DTR == b.dtr && c.RTS == b.rts {
		return
	}
	inReset := b.rts && !b.dtr
	b.dtr, b.rts = c.DTR, c.RTS
	b.note("lines dtr=%d rts=%d", bit(c.DTR), bit(c.RTS))
	if inReset && !(c.RTS && !c.DTR) {
		b.loader = c.DTR && !c.RTS
		if b.Banner != nil {
			b.send([]byte(b.Banner(b.loader)))
		}
	}
}

func (b *Board) send(p []byte) {
	_, _ = b.far.Write(p) // a port that was closed takes nothing
}

func (b *Board) serve() {
	r := slip.NewReader(b.far, 0, nil)
	for {
		body, err := r.ReadFrame()
		if _, bad := err.(*slip.FrameError); bad {
			continue
		}
		if err != nil {
			return
		}
		req, err := esprom.ParseRequest(body)
		if err != nil {
			continue
		}
		b.mu.Lock()
		b.handle(req)
		b.mu.Unlock()
	}
}

// handle answers one request.
func (b *Board) handle(req esprom.Request) {
	cmd, err := req.Command()
	if err != nil {
		b.note("%v malformed: %v", req.Op, err)
		return
	}
	b.note("%s", describe(req.Op, cmd))
	if b.Mute {
		return
	}
	if b.Answer != nil {
		if raw, done := b.Answer(req); done {
			b.send(raw)
			return
		}
	}
	n := 1
	if req.Op == esprom.SyncOp {
		n = esprom.SyncReplies
	}
	value, payload, ok := b.execute(cmd)
	for range n {
		b.send(Reply(req.Op, value, payload, ok))
	}
}

// Reply is a framed answer of the ROM: a success, or a refusal with code 5.
func Reply(op esprom.Op, value uint32, payload []byte, ok bool) []byte {
	status := []byte{0, 0, 0, 0}
	if !ok {
		status = []byte{1, byte(esprom.ErrFormat), 0, 0}
	}
	resp := esprom.Response{Op: op, Value: value, Data: append(bytes.Clone(payload), status...)}
	return slip.Append(nil, resp.Append(nil))
}

// describe is the line of the transcript.
func describe(op esprom.Op, cmd esprom.Command) string {
	switch c := cmd.(type) {
	case esprom.ReadReg:
		return fmt.Sprintf("%v 0x%08x", op, c.Addr)
	case esprom.WriteReg:
		words := []string{op.String()}
		for _, w := range c {
			words = append(words, fmt.Sprintf("0x%08x=0x%x", w.Addr, w.Value))
		}
		return strings.Join(words, " ")
	case esprom.Begin:
		return fmt.Sprintf("%v 0x%x bytes at 0x%x, %d blocks of 0x%x", op, c.Size, c.Offset, c.Blocks, c.BlockSize)
	case esprom.Data:
		return fmt.Sprintf("%v seq %d, %d bytes", op, c.Seq, len(c.Block))
	case esprom.Digest:
		return fmt.Sprintf("%v 0x%x bytes at 0x%x", op, c.Size, c.Addr)
	case esprom.SlowRead:
		return fmt.Sprintf("%v 0x%x bytes at 0x%x", op, c.Len, c.Offset)
	case esprom.Baud:
		return fmt.Sprintf("%v %d", op, c.New)
	case esprom.FlashParams:
		return fmt.Sprintf("%v 0x%x", op, c.Size)
	case esprom.Attach:
		return fmt.Sprintf("%v 0x%x", op, c.Pins)
	}
	return op.String()
}

// execute does a command.
func (b *Board) execute(cmd esprom.Command) (value uint32, payload []byte, ok bool) {
	switch c := cmd.(type) {
	case esprom.Sync:
		return 0x20120707, nil, true
	case esprom.ReadReg:
		return b.Regs[c.Addr], nil, true
	case esprom.WriteReg:
		return 0, nil, true
	case esprom.Begin:
		region := b.region(c.Offset, c.Size)
		for i := range region {
			region[i] = 0xFF
		}
		b.block.data, b.block.off, b.block.deflated = nil, c.Offset, c.Op == esprom.DeflBegin
		return 0, nil, true
	case esprom.Data:
		b.block.data = append(b.block.data, c.Block...)
		b.program()
		return 0, nil, c.Intact()
	case esprom.Digest:
		sum := md5.Sum(b.region(c.Addr, c.Size))
		return 0, esprom.AppendDigest(nil, sum, false), true
	case esprom.SlowRead:
		out := make([]byte, esprom.SlowBlock)
		copy(out, b.region(c.Offset, min(c.Len, esprom.SlowBlock)))
		return 0, out, true
	}
	return 0, nil, true
}

// program writes what has come so far, inflated if need be.
func (b *Board) program() {
	data := b.block.data
	if b.block.deflated {
		z, err := zlib.NewReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		// The stream ends before its end until the last block is here.
		data, _ = io.ReadAll(io.LimitReader(z, int64(len(b.Flash))))
	}
	copy(b.region(b.block.off, uint32(len(data))), data)
}

func (b *Board) region(off, size uint32) []byte {
	from := min(uint64(off), uint64(len(b.Flash)))
	to := min(uint64(off)+uint64(size), uint64(len(b.Flash)))
	return b.Flash[from:to]
}
