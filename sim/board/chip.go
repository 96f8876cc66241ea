package board

import (
	"fmt"

	"porthole/internal/esprom"
)

// A Chip is the identity of an ESP32: what its eFuses and its flash chip say.
type Chip struct {
	MAC      esprom.MAC
	Revision esprom.Revision
	Package  esprom.Package
	// FlashID is the RDID word, manufacturer in the low byte; 0 means a Winbond
	// W25Q of the board's flash size.
	FlashID uint32
}

// WROVERE is the chip of an ESP32-WROVER-E module (ESP32-D0WD-V3 v3.1) with the
// given address.
func WROVERE(mac esprom.MAC) Chip {
	return Chip{MAC: mac, Revision: esprom.Revision{Major: 3, Minor: 1}, Package: esprom.D0WD}
}

// WROVER is the chip of an old ESP32-WROVER module (ESP32-D0WDQ6 v1.0).
func WROVER(mac esprom.MAC) Chip {
	return Chip{MAC: mac, Revision: esprom.Revision{Major: 1}, Package: esprom.D0WDQ6}
}

// efuse returns word n of eFuse block 0 (esp32-serial 2.1).
func (c Chip) efuse(n int) uint32 {
	w1, w2 := c.MAC.Words()
	w3, w5, _ := c.Revision.Bits()
	switch n {
	case 1:
		return w1
	case 2:
		return w2
	case 3:
		return w3 | 1<<13 | c.Package.Bits() // CPU frequency rated: 240 MHz
	case 4:
		return 0x00000333 // CK8M frequency 0x33, ADC reference 3
	case 5:
		return w5
	case 6:
		return 0x00000004 // BASIC console disabled
	}
	return 0
}

func (c Chip) apbDate() uint32 {
	_, _, apb := c.Revision.Bits()
	return apb | 0x16042000
}

// check validates the parts that have limits.
func (c Chip) check() error {
	if c.Revision.Major > 3 || c.Revision.Minor > 3 {
		return fmt.Errorf("check chip: no silicon revision %v", c.Revision)
	}
	return nil
}
