package conformance

import (
	"bytes"
	"compress/zlib"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"porthole/internal/esprom"
	"porthole/internal/rfc2217"
	"porthole/internal/slip"
	"porthole/sim/board"
)

// pyserialPause is what pyserial's RFC 2217 port spends on every change: it looks
// for the acknowledgement that often.
const pyserialPause = 50 * time.Millisecond

// host is a flasher that does what a transcript says and knows what a genuine
// board answers, to the byte.
type host struct {
	t       testing.TB
	board   *board.Board
	port    *rfc2217.Client
	decoder slip.Decoder
	frames  [][]byte
	outside []byte // what came between frames
	checked int

	inStub bool
	value  uint32  // value field of the next reply: stale in the ROM, 0 in the stub
	stale  [3]byte // error byte and the two behind it, which the ROM leaves as they were

	app    []byte
	offset uint32
}

func newHost(t testing.TB, address string, b *board.Board) *host {
	port, err := rfc2217.Dial(t.Context(), address, rfc2217.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Close() })
	h := &host{t: t, board: b, port: port}
	h.decoder.Outside = func(c byte) { h.outside = append(h.outside, c) }
	h.app, h.offset = image(t)
	return h
}

// forget starts over.
func (h *host) forget() {
	h.decoder.Reset()
	h.frames, h.outside = nil, nil
	h.inStub, h.value, h.stale = false, 0, [3]byte{}
}

// receive reads once from the port and sorts what came.
func (h *host) receive(deadline time.Time) error {
	var buf [4096]byte
	h.port.SetReadDeadline(deadline)
	n, err := h.port.Read(buf[:])
	for body, frameErr := range h.decoder.Feed(buf[:n]) {
		if frameErr != nil {
			return frameErr
		}
		h.frames = append(h.frames, bytes.Clone(body))
	}
	return err
}

// frame returns the next frame. Nothing may come before it.
func (h *host) frame(within time.Duration) ([]byte, error) {
	deadline := time.Now().Add(within)
	for len(h.frames) == 0 {
		if err := h.receive(deadline); err != nil {
			return nil, fmt.Errorf("no frame, %q outside of frames: %w", h.outside, err)
		}
	}
	if len(h.outside) > 0 {
		return nil, fmt.Errorf("%q before the frame", h.outside)
	}
	f := h.frames[0]
	h.frames = h.frames[1:]
	return f, nil
}

// expect compares the next frame with the reply that the loader owes.
func (h *host) expect(op esprom.Op, payload []byte, status ...byte) error {
	got, err := h.frame(3 * time.Second)
	if err != nil {
		return err
	}
	data := append(bytes.Clone(payload), status...)
	want := []byte{1, byte(op)}
	want = binary.LittleEndian.AppendUint16(want, uint16(len(data)))
	want = binary.LittleEndian.AppendUint32(want, h.value)
	want = append(want, data...)
	if !bytes.Equal(got, want) {
		return fmt.Errorf("reply % x, want % x", got, want)
	}
	h.checked++
	return nil
}

func (h *host) success() []byte {
	if h.inStub {
		return []byte{0, 0}
	}
	return append([]byte{0}, h.stale[:]...)
}

func (h *host) send(r esprom.Request) error {
	_, err := h.port.Write(slip.Append(nil, r.Append(nil)))
	return err
}

// command sends a request and compares the reply, which has to be a success.
func (h *host) command(r esprom.Request, payload []byte) error {
	if err := h.send(r); err != nil {
		return err
	}
	return h.expect(r.Op, payload, h.success()...)
}

func (h *host) openPort([]string) error {
	p := h.port
	for _, f := range []func() error{
		func() error { return p.SetLine(rfc2217.Line8N1(9600)) },
		func() error { return p.SetFlow(rfc2217.FlowNone) },
		func() error { return p.SetDTR(true) },
		func() error { return p.SetRTS(true) },
		func() error { return p.Purge(rfc2217.PurgeReceived) },
		func() error { return p.Purge(rfc2217.PurgeSend) },
		func() error { return p.SetLine(rfc2217.Line8N1(115200)) },
		func() error { return p.SetFlow(rfc2217.FlowNone) },
	} {
		if err := h.paced(f); err != nil {
			return err
		}
	}
	return nil
}

// paced does what pyserial does: one thing every 50 ms.
func (h *host) paced(f func() error) error {
	pause := time.After(pyserialPause)
	err := f()
	<-pause
	return err
}

func (h *host) lines(args []string) error {
	for _, a := range args {
		on := a[1] == '1'
		set := h.port.SetDTR
		if a[0] == 'R' {
			set = h.port.SetRTS
			if on { // a reset ends the stub, its RAM and every stale byte
				h.inStub, h.value, h.stale = false, 0, [3]byte{}
			}
		}
		if err := h.paced(func() error { return set(on) }); err != nil {
			return err
		}
	}
	return nil
}

// log waits for a text outside of frames and throws away everything up to it.
func (h *host) log(args []string) error {
	deadline := time.Now().Add(3 * time.Second)
	for {
		if i := strings.Index(string(h.outside), args[0]); i >= 0 {
			h.outside = h.outside[i+len(args[0]):]
			return nil
		}
		if err := h.receive(deadline); err != nil {
			return fmt.Errorf("read %q: %w", h.outside, err)
		}
	}
}

func (h *host) purge([]string) error {
	for _, which := range []rfc2217.Purge{rfc2217.PurgeReceived, rfc2217.PurgeSend} {
		if err := h.paced(func() error { return h.port.Purge(which) }); err != nil {
			return err
		}
	}
	h.frames, h.outside = nil, nil
	return nil
}

func (h *host) sync([]string) error {
	if err := h.send(esprom.Sync{}.Request()); err != nil {
		return err
	}
	h.value = 0x20120707 // the first word of the payload, and it stays
	for i := range 8 {
		if err := h.expect(esprom.SyncOp, nil, h.success()...); err != nil {
			return fmt.Errorf("reply %d of 8: %w", i+1, err)
		}
	}
	return h.quiet()
}

// quiet fails when the loader says more than it was asked.
func (h *host) quiet() error {
	err := h.receive(time.Now().Add(100 * time.Millisecond))
	if !errors.Is(err, os.ErrDeadlineExceeded) || len(h.frames) > 0 || len(h.outside) > 0 {
		return fmt.Errorf("unasked: frames % x, outside %q, %v", h.frames, h.outside, err)
	}
	return nil
}

func (h *host) refuse(args []string) error {
	op := esprom.Op(hex(args[0]))
	if err := h.send(esprom.Request{Op: op}); err != nil {
		return err
	}
	if err := h.expect(op, nil, 1, byte(esprom.ErrFormat), h.stale[1], h.stale[2]); err != nil {
		return err
	}
	h.stale[0] = byte(esprom.ErrFormat) // stays behind in later replies
	return h.quiet()
}

func (h *host) mem(args []string) error {
	addr, size := hex(args[0]), dec(args[1])
	code := noise(size) // never executed
	blocks := (size + esprom.RAMBlock - 1) / esprom.RAMBlock
	begin := esprom.Begin{Op: esprom.MemBegin, Size: uint32(size), Blocks: uint32(blocks), BlockSize: esprom.RAMBlock, Offset: addr}
	if err := h.command(begin.Request(), nil); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return h.blocks(esprom.MemData, code, esprom.RAMBlock, false)
}

// blocks sends data in blocks, the last one padded or not.
func (h *host) blocks(op esprom.Op, data []byte, size int, pad bool) error {
	for seq := 0; len(data) > 0; seq++ {
		block := bytes.Clone(data[:min(size, len(data))])
		data = data[len(block):]
		for pad && len(block) < size {
			block = append(block, 0xFF)
		}
		d := esprom.Data{Op: op, Seq: uint32(seq), Block: block}
		if err := h.command(d.Request(), nil); err != nil {
			return fmt.Errorf("block %d: %w", seq, err)
		}
	}
	return nil
}

func (h *host) run(args []string) error {
	if err := h.command(esprom.Jump{Entry: hex(args[0])}.Request(), nil); err != nil {
		return err
	}
	hello, err := h.frame(3 * time.Second)
	if err != nil || string(hello) != esprom.Hello {
		return fmt.Errorf("greeting %q, %v", hello, err)
	}
	h.inStub, h.value = true, 0
	return nil
}

func (h *host) baud(args []string) error {
	rate, old := uint32(dec(args[0])), uint32(dec(args[1]))
	if err := h.command(esprom.Baud{New: rate, Old: old}.Request(), nil); err != nil {
		return err
	}
	if err := h.paced(func() error { return h.port.SetBaud(rate) }); err != nil {
		return err
	}
	<-time.After(50 * time.Millisecond) // esptool's own pause
	return h.purge(nil)
}

func (h *host) attach(args []string) error {
	return h.command(esprom.Request{Op: esprom.SPIAttachOp, Data: make([]byte, dec(args[0]))}, nil)
}

func (h *host) params(args []string) error {
	return h.command(esprom.ParamsFor(hex(args[0])).Request(), nil)
}

// begin is a FLASH_BEGIN or DEFL_BEGIN of 16 or 20 bytes.
func (h *host) begin(op esprom.Op, size, blocks, blockSize, offset uint32, length int) error {
	b := esprom.Begin{Op: op, Size: size, Blocks: blocks, BlockSize: blockSize, Offset: offset, Long: length == 20}
	r := b.Request()
	if len(r.Data) != length {
		return fmt.Errorf("a begin command has 16 or 20 bytes")
	}
	return h.command(r, nil)
}

func (h *host) flashBegin(args []string) error {
	return h.begin(esprom.FlashBegin, hex(args[0]), 0, h.blockSize(), hex(args[1]), dec(args[2]))
}

func (h *host) blockSize() uint32 {
	if h.inStub {
		return esprom.StubBlock
	}
	return esprom.ROMBlock
}

func (h *host) deflate(args []string) error {
	var packed bytes.Buffer
	w, err := zlib.NewWriterLevel(&packed, zlib.BestCompression)
	if err != nil {
		return err
	}
	w.Write(h.app)
	w.Close()
	size := h.blockSize()
	blocks := (uint32(packed.Len()) + size - 1) / size
	if err := h.begin(esprom.DeflBegin, uint32(len(h.app)), blocks, size, h.offset, dec(args[0])); err != nil {
		return err
	}
	return h.blocks(esprom.DeflData, packed.Bytes(), int(size), false)
}

func (h *host) flash(args []string) error {
	size := h.blockSize()
	blocks := (uint32(len(h.app)) + size - 1) / size
	if err := h.begin(esprom.FlashBegin, uint32(len(h.app)), blocks, size, h.offset, dec(args[0])); err != nil {
		return err
	}
	return h.blocks(esprom.FlashData, h.app, int(size), true)
}

func (h *host) deflateEnd(args []string) error {
	r := esprom.Request{Op: esprom.DeflEnd, Data: binary.LittleEndian.AppendUint32(nil, hex(args[0]))}
	return h.command(r, nil)
}

func (h *host) md5([]string) error {
	digest := md5.Sum(h.app)
	payload := digest[:]
	if !h.inStub {
		payload = fmt.Appendf(nil, "%x", digest)
	}
	return h.command(esprom.Digest{Addr: h.offset, Size: uint32(len(h.app))}.Request(), payload)
}
