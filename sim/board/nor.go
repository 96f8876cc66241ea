package board

import (
	"crypto/md5"
	"io"

	"porthole/internal/esprom"
)

// nor is the flash chip behind its command set: identification and status
// registers. The content is Flash.
type nor struct {
	status  [3]uint8 // status registers 1..3, without the write latch
	latch   bool     // a write enable came
	changed bool     // status holds more than the reset values
}

// Reset values of status registers 2 (quad enable) and 3 (drive strength).
const (
	norStatus2 = 0x02
	norStatus3 = 0x60
)

func (n *nor) read(reg int) uint8 {
	v := n.status[reg]
	if !n.changed {
		v = [3]uint8{0, norStatus2, norStatus3}[reg]
	}
	if reg == 0 && n.latch {
		v |= esprom.NorWriteLatch
	}
	return v
}

func (n *nor) write(reg int, v uint8) {
	if !n.changed {
		n.status, n.changed = [3]uint8{0, norStatus2, norStatus3}, true
	}
	n.status[reg] = v &^ (esprom.NorBusy | esprom.NorWriteLatch)
	if reg != 0 {
		n.status[reg] = v
	}
}

// writeProtected reports whether block protection bits keep the flash from
// changing. Real parts protect a part of the array; here any bit protects it all.
func (s *soc) writeProtected() bool {
	return s.nor.changed && s.nor.status[0]&esprom.NorBlockProtect != 0
}

// userCommand runs the transaction that is set up in the SPI1 registers. The data
// lengths are ignored, as some flashers never set them.
func (s *soc) userCommand() {
	op := uint8(s.read(esprom.SPIUser2))
	w0 := s.read(esprom.SPIW0)
	result := w0
	if s.b.rom != nil && !s.b.rom.attached {
		// The pins do not lead to the flash yet: nothing drives the data line.
		result = 0xFFFFFFFF
		if op == esprom.NorReadID {
			result = 0xFFFFFF
		}
		s.write(esprom.SPIW0, result, 0xFFFFFFFF)
		return
	}
	switch op {
	case esprom.NorReadID:
		result = s.flashID()
	case esprom.NorReadSFDP:
		// The parameter table is as good as empty: signature, then FF. Byte 0x10
		// must not be 0x20, which would start the XMC procedure of flashers.
		switch s.read(esprom.SPIAddr) >> 8 {
		case 0:
			result = esprom.SFDPSignature
		case 0x10:
			result = 0xEF
		default:
			result = 0xFFFFFFFF
		}
	case esprom.NorReadStatus1:
		result = uint32(s.nor.read(0))
	case esprom.NorReadStatus2:
		result = uint32(s.nor.read(1))
	case esprom.NorReadStatus3:
		result = uint32(s.nor.read(2))
	case esprom.NorWriteEnable, esprom.NorVolatileSR:
		s.nor.latch = true
	case esprom.NorWriteDisable:
		s.nor.latch = false
	case esprom.NorWriteStatus1:
		s.writeStatus(0, uint8(w0))
		if s.read(esprom.SPIMosiDLen) == 15 { // two bytes: register 2 as well
			s.nor.latch = true
			s.writeStatus(1, uint8(w0>>8))
		}
	case esprom.NorWriteStatus2:
		s.writeStatus(1, uint8(w0))
	case esprom.NorWriteStatus3:
		s.writeStatus(2, uint8(w0))
	}
	s.write(esprom.SPIW0, result, 0xFFFFFFFF)
}

func (s *soc) writeStatus(reg int, v uint8) {
	if s.nor.latch {
		s.nor.write(reg, v)
	}
	s.nor.latch = false
}

func (s *soc) flashID() uint32 {
	if id := s.b.cfg.Chip.FlashID; id != 0 {
		return id
	}
	return esprom.FlashID(0xEF, 0x40, s.b.flash.Size())
}

// digest hashes a region of the flash, clipped to its end.
func (f *Flash) digest(addr, size uint32) (sum [16]byte) {
	h := md5.New()
	var buf [SectorSize]byte
	for r := io.NewSectionReader(f, int64(addr), int64(size)); ; {
		n, err := r.Read(buf[:])
		h.Write(buf[:n])
		if err != nil {
			break
		}
	}
	h.Sum(sum[:0])
	return sum
}
