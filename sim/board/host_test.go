package board_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"porthole/internal/esprom"
	"porthole/internal/slip"
)

// A line is a host's end of a serial port: a *board.Wire, or whatever carries one.
type line interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetDTR(bool) error
	SetRTS(bool) error
	SetBaud(int) error
}

// A host is a flasher reduced to its protocol. It keeps what the chip prints.
type host struct {
	line   line
	dec    slip.Decoder
	log    bytes.Buffer
	frames [][]byte
	stub   bool
	// spacing is the time a line change takes: pyserial over RFC 2217 needs 50 ms.
	spacing time.Duration
	tap     func([]byte) // if set, gets every byte that comes in
}

func newHost(l line) *host {
	h := &host{line: l}
	h.dec.Outside = func(b byte) { h.log.WriteByte(b) }
	return h
}

var errSilence = errors.New("no answer")

// read takes in what comes within d, or less if frames arrive.
func (h *host) read(d time.Duration) error {
	if err := h.line.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	var buf [4096]byte
	n, err := h.line.Read(buf[:])
	if h.tap != nil {
		h.tap(buf[:n])
	}
	for body, err := range h.dec.Feed(buf[:n]) {
		if err == nil {
			h.frames = append(h.frames, bytes.Clone(body))
		}
	}
	if n == 0 && err != nil {
		return fmt.Errorf("%w: %w", errSilence, err)
	}
	return nil
}

// frame returns the next frame that comes within d.
func (h *host) frame(d time.Duration) ([]byte, error) {
	for end := time.Now().Add(d); len(h.frames) == 0; {
		left := time.Until(end)
		if left <= 0 {
			return nil, errSilence
		}
		if err := h.read(left); err != nil {
			return nil, err
		}
	}
	f := h.frames[0]
	h.frames = h.frames[1:]
	return f, nil
}

// listen reads until the line has been silent for d. One read is not enough: what
// the board says arrives in as many pieces as it was said in.
func (h *host) listen(d time.Duration) {
	for h.read(d) == nil {
	}
}

// drain reads until the line has been silent for d, and forgets it.
func (h *host) drain(d time.Duration) {
	h.listen(d)
	h.frames = nil
	h.dec.Reset()
}

func (h *host) send(r esprom.Request) error {
	_, err := h.line.Write(slip.Append(nil, r.Append(nil)))
	return err
}

// ask sends a command and returns the response and its payload.
func (h *host) ask(c esprom.Command) (esprom.Response, []byte, error) {
	req := c.Request()
	if err := h.send(req); err != nil {
		return esprom.Response{}, nil, err
	}
	for range 100 {
		body, err := h.frame(3 * time.Second)
		if err != nil {
			return esprom.Response{}, nil, fmt.Errorf("%v: %w", req.Op, err)
		}
		resp, err := esprom.ParseResponse(body)
		if err != nil || resp.Op != req.Op {
			continue
		}
		payload, err := resp.Result(esprom.PayloadLen(req.Op, h.stub), h.stub)
		return resp, payload, err
	}
	return esprom.Response{}, nil, fmt.Errorf("%v: no answer in 100 frames", req.Op)
}

func (h *host) reg(addr uint32) (uint32, error) {
	r, _, err := h.ask(esprom.ReadReg{Addr: addr})
	return r.Value, err
}

func (h *host) dtr(on bool) error {
	time.Sleep(h.spacing)
	return h.line.SetDTR(on)
}

func (h *host) rts(on bool) error {
	time.Sleep(h.spacing)
	return h.line.SetRTS(on)
}

// classicReset is esptool's sequence with one call per line.
func (h *host) classicReset(hold time.Duration) error {
	err := errors.Join(h.dtr(false), h.rts(true))
	time.Sleep(100 * time.Millisecond)
	err = errors.Join(err, h.dtr(true), h.rts(false))
	time.Sleep(hold)
	return errors.Join(err, h.dtr(false))
}

func (h *host) hardReset() error {
	err := errors.Join(h.dtr(false), h.rts(true))
	time.Sleep(100 * time.Millisecond)
	return errors.Join(err, h.rts(false))
}

// sync sends SYNC up to five times and takes the eight replies.
func (h *host) sync() error {
	for range 5 {
		h.drain(time.Millisecond)
		if err := h.send(esprom.Sync{}.Request()); err != nil {
			return err
		}
		n := 0
		for {
			body, err := h.frame(100 * time.Millisecond)
			if err != nil {
				break
			}
			if r, err := esprom.ParseResponse(body); err == nil && r.Op == esprom.SyncOp {
				if n++; n == esprom.SyncReplies {
					return nil
				}
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errSilence
}

// connect resets into the ROM loader, alternating the short and the long hold.
func (h *host) connect() (err error) {
	h.stub = false
	for i := range 7 {
		hold := 50 * time.Millisecond
		if i%2 == 1 {
			hold = 550 * time.Millisecond
		}
		h.line.SetBaud(esprom.DefaultBaud)
		if err = h.classicReset(hold); err != nil {
			return err
		}
		if err = h.sync(); err == nil {
			return nil
		}
	}
	return err
}

// upload loads a block into RAM.
func (h *host) upload(addr uint32, data []byte) error {
	blocks := (len(data) + esprom.RAMBlock - 1) / esprom.RAMBlock
	if _, _, err := h.ask(esprom.Begin{Op: esprom.MemBegin, Size: uint32(len(data)), Blocks: uint32(blocks), BlockSize: esprom.RAMBlock, Offset: addr}); err != nil {
		return err
	}
	return h.blocks(esprom.MemData, data, esprom.RAMBlock)
}

func (h *host) blocks(op esprom.Op, data []byte, size int) error {
	for seq := uint32(0); len(data) > 0; seq++ {
		n := min(size, len(data))
		if _, _, err := h.ask(esprom.Data{Op: op, Seq: seq, Block: data[:n]}); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// enter jumps to what was uploaded and waits for a stub's greeting.
func (h *host) enter(entry uint32) error {
	if _, _, err := h.ask(esprom.Jump{Entry: entry}); err != nil {
		return err
	}
	if !esprom.IsStubEntry(entry) {
		return nil
	}
	body, err := h.frame(3 * time.Second)
	if err != nil {
		return err
	}
	if string(body) != esprom.Hello {
		return fmt.Errorf("greeting %q", body)
	}
	h.stub = true
	return nil
}

func (h *host) changeBaud(baud, old int) error {
	if _, _, err := h.ask(esprom.Baud{New: uint32(baud), Old: uint32(old)}); err != nil {
		return err
	}
	if err := h.line.SetBaud(baud); err != nil {
		return err
	}
	time.Sleep(50 * time.Millisecond)
	h.drain(time.Millisecond)
	return nil
}

// readFlash is the READ_FLASH dialogue.
func (h *host) readFlash(c esprom.ReadFlash) (data, digest []byte, err error) {
	if _, _, err := h.ask(c); err != nil {
		return nil, nil, err
	}
	for uint32(len(data)) < c.Size {
		p, err := h.frame(3 * time.Second)
		if err != nil {
			return data, nil, err
		}
		if data = append(data, p...); uint32(len(p)) < c.Packet && uint32(len(data)) < c.Size {
			return data, nil, errors.New("corrupt data")
		}
		ack := binary.LittleEndian.AppendUint32(nil, uint32(len(data)))
		if _, err := h.line.Write(slip.Append(nil, ack)); err != nil {
			return data, nil, err
		}
	}
	digest, err = h.frame(3 * time.Second)
	return data, digest, err
}
