package board

import (
	"encoding/binary"

	"porthole/internal/esprom"
)

// soc is what the loaders can reach by address: registers, RAM and the flash
// behind the SPI1 controller (esp32-serial 2.1, 2.2).
type soc struct {
	b    *Board
	ram  map[uint32]*[ramPage]byte
	regs map[uint32]uint32 // registers that were written and have no row below
	nor  nor
}

// ramPage is the unit in which RAM is kept, in bytes.
const ramPage = 1 << 10

// maxRegs bounds the registers a host may write.
const maxRegs = 1024

// ramRegions are the memories a host may load: [from, to).
var ramRegions = [...][2]uint32{
	{0x3FF80000, 0x3FF82000}, // RTC fast, data bus
	{0x3FFAE000, 0x40000000}, // SRAM, data bus
	{0x40070000, 0x400A0000}, // SRAM, instruction bus
	{0x400A0000, 0x400C0000}, // SRAM 1, instruction bus
	{0x400C0000, 0x400C2000}, // RTC fast, instruction bus
	{0x50000000, 0x50002000}, // RTC slow
}

func isRAM(addr uint32) bool {
	for _, r := range ramRegions {
		if addr >= r[0] && addr < r[1] {
			return true
		}
	}
	return false
}

// reset forgets RAM and registers. On silicon RAM survives EN; nothing that starts
// afterwards relies on it. The flash chip keeps its status registers.
func (s *soc) reset() {
	s.nor.latch = false
	*s = soc{b: s.b, nor: s.nor}
}

func (s *soc) loadRAM(addr uint32, p []byte) {
	for i, c := range p {
		at := addr + uint32(i)
		if !isRAM(at) {
			continue
		}
		if s.ram == nil {
			s.ram = make(map[uint32]*[ramPage]byte)
		}
		page := s.ram[at/ramPage]
		if page == nil {
			page = new([ramPage]byte)
			s.ram[at/ramPage] = page
		}
		page[at%ramPage] = c
	}
}

// read returns the word at addr.
func (s *soc) read(addr uint32) uint32 {
	if isRAM(addr) {
		page := s.ram[addr/ramPage]
		if page == nil || addr%ramPage > ramPage-4 {
			return 0
		}
		return binary.LittleEndian.Uint32(page[addr%ramPage:])
	}
	if addr >= esprom.RegEfuse && addr < esprom.RegEfuse+7*4 {
		return s.b.cfg.Chip.efuse(int(addr-esprom.RegEfuse) / 4)
	}
	switch addr {
	case esprom.RegMagic:
		return esprom.ChipMagic
	case esprom.RegAPBDate:
		return s.b.cfg.Chip.apbDate()
	case esprom.RegUARTClkDiv:
		return esprom.ClkDiv(s.b.chipBaud)
	case esprom.RegGPIOStrap:
		return uint32(s.b.strap)
	}
	if v, ok := s.regs[addr]; ok {
		return v
	}
	if v, ok := resetValues[addr]; ok {
		return v
	}
	s.b.note(TraceRegister, uint64(addr), 0)
	return 0
}

// resetValues are registers that differ from zero, and those known to be zero.
var resetValues = map[uint32]uint32{
	esprom.RegRTCCali:   2008 << 7, // with CK8M_FREQ: an 8 MHz oscillator at 40.003/5
	esprom.RegSDIOConf:  0x0AA00000,
	esprom.RegUARTDate:  0x15122500,
	esprom.RegUARTDate2: 0x15122500,
	esprom.SPIUser:      esprom.SPIUserReset,
	esprom.SPIUser1:     esprom.SPIUser1Reset,
	esprom.SPIUser2:     esprom.SPIUser2Reset,
	esprom.SPICmd:       0,
	esprom.SPIAddr:      0,
	esprom.SPIMosiDLen:  0,
	esprom.SPIMisoDLen:  0,
	esprom.SPIW0:        0,
}

// write stores the bits of value under mask.
func (s *soc) write(addr, value, mask uint32) {
	value = value&mask | s.read(addr)&^mask
	switch {
	case isRAM(addr):
		s.loadRAM(addr, binary.LittleEndian.AppendUint32(nil, value))
	case addr == esprom.SPICmd:
		if value&esprom.SPICmdUser != 0 {
			s.userCommand() // the bit clears itself
		}
	case addr >= esprom.RegEfuse && addr < esprom.RegEfuse+0x100,
		addr == esprom.RegMagic, addr == esprom.RegAPBDate,
		addr == esprom.RegUARTClkDiv, addr == esprom.RegGPIOStrap:
		// read only here
	default:
		if s.regs == nil {
			s.regs = make(map[uint32]uint32)
		}
		if _, ok := s.regs[addr]; ok || len(s.regs) < maxRegs {
			s.regs[addr] = value
		}
	}
}
