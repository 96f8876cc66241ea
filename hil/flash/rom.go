package flash

import (
	"context"
	"errors"
	"fmt"

	"porthole/internal/esprom"
)

// call sends one command that covers size bytes of flash and gives the payload
// of its answer.
func (l *link) call(ctx context.Context, cmd esprom.Command, size int64) ([]byte, error) {
	req := cmd.Request()
	resp, err := l.exchange(ctx, req, esprom.WaitFor(req.Op, size))
	if err != nil {
		return nil, fmt.Errorf("%v: %w", req.Op, err)
	}
	payload, err := resp.Result(esprom.PayloadLen(req.Op, false), false)
	if err != nil {
		return nil, err
	}
	return payload, nil
}

func (l *link) readReg(ctx context.Context, addr uint32) (uint32, error) {
	req := esprom.ReadReg{Addr: addr}.Request()
	resp, err := l.exchange(ctx, req, esprom.WaitFor(req.Op, 0))
	if err != nil {
		return 0, fmt.Errorf("%v 0x%08x: %w", req.Op, addr, err)
	}
	if _, err := resp.Result(0, false); err != nil {
		return 0, err
	}
	return resp.Value, nil
}

// sureReads is how often a register is read at most to have it twice alike.
const sureReads = 6

// sureReg reads a register until it gives the same value twice: neither the
// question nor the answer carries a checksum.
func (l *link) sureReg(ctx context.Context, addr uint32) (uint32, error) {
	last, err := l.readReg(ctx, addr)
	for range sureReads {
		if err != nil {
			return 0, err
		}
		var again uint32
		if again, err = l.readReg(ctx, addr); err == nil && again == last {
			return last, nil
		}
		last = again
	}
	if err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("read register 0x%08x: %w", addr, errGarbled)
}

// digest asks for the MD5 of a region.
func (l *link) digest(ctx context.Context, off, size int64) ([16]byte, error) {
	payload, err := l.call(ctx, esprom.Digest{Addr: uint32(off), Size: uint32(size)}, size)
	if err != nil {
		return [16]byte{}, err
	}
	sum, err := esprom.ParseDigest(payload)
	if err != nil {
		return sum, fmt.Errorf("%w: %w", errGarbled, err)
	}
	return sum, nil
}

// readSlow reads up to 64 bytes.
func (l *link) readSlow(ctx context.Context, off int64, p []byte) error {
	payload, err := l.call(ctx, esprom.SlowRead{Offset: uint32(off), Len: uint32(len(p))}, 0)
	copy(p, payload)
	return err
}

// spiPolls is how often the end of a transaction is asked for.
const spiPolls = 10

// spi has the flash chip execute one of its own commands (esp32-serial 2.2):
// out is sent behind the opcode, and the first bits of the answer come back.
func (l *link) spi(ctx context.Context, op uint8, out []byte, bits uint32) (uint32, error) {
	user, err := l.sureReg(ctx, esprom.SPIUser)
	if err != nil {
		return 0, err
	}
	user2, err := l.sureReg(ctx, esprom.SPIUser2)
	if err != nil {
		return 0, err
	}
	const all = 0xFFFFFFFF
	phases := uint32(esprom.SPIUserCommand)
	var set esprom.WriteReg
	var word uint32
	for i, b := range out {
		word |= uint32(b) << (8 * i)
	}
	if len(out) > 0 {
		phases |= esprom.SPIUserMosi
		set = append(set, esprom.RegWrite{Addr: esprom.SPIMosiDLen, Value: uint32(len(out))*8 - 1, Mask: all})
	}
	if bits > 0 {
		phases |= esprom.SPIUserMiso
		set = append(set, esprom.RegWrite{Addr: esprom.SPIMisoDLen, Value: bits - 1, Mask: all})
	}
	set = append(set,
		esprom.RegWrite{Addr: esprom.SPIUser, Value: phases, Mask: all},
		esprom.RegWrite{Addr: esprom.SPIUser2, Value: esprom.SPIUser2Reset | uint32(op), Mask: all},
		esprom.RegWrite{Addr: esprom.SPIW0, Value: word, Mask: all},
		esprom.RegWrite{Addr: esprom.SPICmd, Value: esprom.SPICmdUser, Mask: all})
	if _, err := l.call(ctx, set, 0); err != nil {
		return 0, err
	}
	for poll := 0; ; poll++ {
		cmd, err := l.readReg(ctx, esprom.SPICmd)
		if err != nil {
			return 0, err
		}
		if cmd&esprom.SPICmdUser == 0 {
			break
		}
		if poll == spiPolls {
			return 0, fmt.Errorf("run flash command 0x%02x: %w", op, errGarbled)
		}
	}
	result, err := l.sureReg(ctx, esprom.SPIW0)
	if err != nil {
		return 0, err
	}
	_, err = l.call(ctx, esprom.WriteReg{
		{Addr: esprom.SPIUser, Value: user, Mask: all}, {Addr: esprom.SPIUser2, Value: user2, Mask: all},
	}, 0)
	return result, err
}

// trouble says that an error is what lines and chips do now and then, and that
// recovery may help.
func trouble(err error) bool {
	if errors.Is(err, errSilent) || errors.Is(err, errReset) || errors.Is(err, errGarbled) {
		return true
	}
	if _, ok := errors.AsType[*goneError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*esprom.StatusError](err); ok {
		return true
	}
	_, ok := errors.AsType[*esprom.LengthError](err)
	return ok
}
