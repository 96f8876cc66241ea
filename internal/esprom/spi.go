package esprom

// The SPI1 controller, through which flashers talk to the flash chip directly:
// they set up one transaction with WRITE_REG, start it with bit 18 of SPICmd and
// poll until the bit clears (esp32-serial 2.2).
const (
	SPIBase     = 0x3FF42000
	SPICmd      = SPIBase + 0x00 // bit 18 starts the user transaction
	SPIAddr     = SPIBase + 0x04 // address, left-aligned: 24 bits are addr<<8
	SPIUser     = SPIBase + 0x1C // which phases there are
	SPIUser1    = SPIBase + 0x20 // [31:26] address bits-1, [7:0] dummy cycles-1
	SPIUser2    = SPIBase + 0x24 // [31:28] command bits-1, [15:0] command
	SPIMosiDLen = SPIBase + 0x28 // bits to send minus 1
	SPIMisoDLen = SPIBase + 0x2C // bits to receive minus 1
	SPIW0       = SPIBase + 0x80 // sixteen data words
	SPIWEnd     = SPIBase + 0xC0
)

// Bits of SPICmd and SPIUser.
const (
	SPICmdUser     = 1 << 18
	SPIUserCommand = 1 << 31
	SPIUserAddr    = 1 << 30
	SPIUserDummy   = 1 << 29
	SPIUserMiso    = 1 << 28
	SPIUserMosi    = 1 << 27
)

// Reset values of the set-up registers; flashers save and restore them.
const (
	SPIUserReset  = 0x80000040
	SPIUser1Reset = 0x5C000007
	SPIUser2Reset = 0x70000000
)

// Commands of the flash chip.
const (
	NorWriteStatus1 = 0x01
	NorWriteDisable = 0x04
	NorReadStatus1  = 0x05
	NorWriteEnable  = 0x06
	NorWriteStatus3 = 0x11
	NorReadStatus3  = 0x15
	NorWriteStatus2 = 0x31
	NorReadStatus2  = 0x35
	NorVolatileSR   = 0x50 // write enable for volatile status bits
	NorReadSFDP     = 0x5A
	NorResetEnable  = 0x66
	NorReset        = 0x99
	NorReadID       = 0x9F
	NorWakeUp       = 0xAB
	NorPowerDown    = 0xB9
)

// Bits of the flash status register 1.
const (
	NorBusy         = 1 << 0
	NorWriteLatch   = 1 << 1
	NorBlockProtect = 7 << 2 // BP0..BP2: any of them set protects something
)

// SFDPSignature is the first word of the flash's parameter table, "SFDP".
const SFDPSignature = 0x50444653

// FlashID builds the RDID word, manufacturer in the low byte: Winbond W25Q32
// (0xEF, 0x40, 4 MB) is 0x001640EF. size must be a power of two from 256 kB up.
func FlashID(manufacturer, device uint8, size int) uint32 {
	code := uint32(0)
	for 1<<code < size {
		code++
	}
	return code<<16 | uint32(device)<<8 | uint32(manufacturer)
}

// FlashSize reads the size in bytes from an RDID word, 0 if it says nothing
// sensible: no chip answers with all ones or all zeros. Adesto (0x1F) puts the
// code elsewhere.
func FlashSize(id uint32) int {
	code := id >> 16 & 0xFF
	if id&0xFF == 0x1F {
		code = id>>8&0x1F + 0x0F
	}
	if code < 0x12 || code > 0x1A {
		return 0
	}
	return 1 << code
}
