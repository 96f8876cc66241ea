package flash

import (
	"context"
	"fmt"
	"math/bits"

	"porthole/internal/esprom"
)

// Chip is what a chip says about itself.
type Chip struct {
	MAC      esprom.MAC
	Revision esprom.Revision
	Package  esprom.Package
	// Crystal is in MHz, as measured by the UART: 40 or 26.
	Crystal int
	// FlashID is the RDID word, manufacturer in the low byte; FlashSize in bytes.
	FlashID   uint32
	FlashSize int64
	// Pads are the pins of the flash where they are not the usual ones, in the
	// form of SPI_ATTACH; else 0.
	Pads uint32
	// Encrypted, SecureV1 and SecureV2 are the protections burnt into the chip.
	Encrypted, SecureV1, SecureV2 bool
}

var packageNames = map[esprom.Package]string{
	esprom.D0WDQ6: "ESP32-D0WDQ6", esprom.D0WD: "ESP32-D0WD", esprom.D2WD: "ESP32-D2WD",
	esprom.U4WDH: "ESP32-U4WDH", esprom.PicoD4: "ESP32-PICO-D4", esprom.PicoV302: "ESP32-PICO-V3-02",
	esprom.D0WDR2V3: "ESP32-D0WDR2-V3",
}

// Name is the type as it stands on the chip.
func (c Chip) Name() string {
	name, ok := packageNames[c.Package]
	if !ok {
		return fmt.Sprintf("ESP32 (package %d)", uint8(c.Package))
	}
	if c.Revision.Major >= 3 && (c.Package == esprom.D0WDQ6 || c.Package == esprom.D0WD) {
		name += "-V3"
	}
	return name
}

func (c Chip) String() string {
	return fmt.Sprintf("%s %v, %v, %d MB flash", c.Name(), c.Revision, c.MAC, c.FlashSize>>20)
}

// refusal is why this chip must not be written, or nil. A write through the ROM
// is in plain: on a chip that decrypts what it reads, or boots only what is
// signed, it destroys what is there.
func (c Chip) refusal() error {
	why := ""
	switch {
	case c.Encrypted:
		why = "flash encryption is on: what is written in plain would be decrypted into noise"
	case c.SecureV1:
		why = "secure boot (v1) is on: it boots nothing but what was signed for it"
	case c.SecureV2:
		why = "secure boot (v2) is on: it boots nothing but what was signed for it"
	default:
		return nil
	}
	return &RefusedError{Why: why, Do: "use another board; these fuses cannot be cleared"}
}

// Bits of the eFuse words (esp32-serial 2.1).
const (
	cryptCountShift = 20 // word 0: seven bits, an odd number of ones is on
	cryptCountMask  = 0x7F
	absDone0        = 1 << 4 // word 6: secure boot v1
	absDone1        = 1 << 5 // word 6: secure boot v2
)

// identify reads the eFuses twice with a SYNC in between, and both must agree:
// neither questions nor answers carry a checksum, and an answer that came twice
// would shift all that follow. The address has a checksum besides.
func (l *link) identify(ctx context.Context) (Chip, error) {
	first, err := l.fuses(ctx)
	if err != nil {
		return Chip{}, err
	}
	if _, err := l.sync(ctx); err != nil {
		return Chip{}, err
	}
	w, err := l.fuses(ctx)
	if err != nil {
		return Chip{}, err
	}
	if w != first {
		return Chip{}, fmt.Errorf("identify chip: %w", errGarbled)
	}
	mac, err := esprom.MACFromWords(w[1], w[2])
	if err != nil {
		return Chip{}, fmt.Errorf("%w: %w", errGarbled, err)
	}
	return Chip{
		MAC: mac, Revision: esprom.RevisionFrom(w[3], w[5], w[7]), Package: esprom.PackageFrom(w[3]),
		Pads:      padsFrom(w[3], w[5]),
		Encrypted: bits.OnesCount32(w[0]>>cryptCountShift&cryptCountMask)%2 == 1,
		SecureV1:  w[6]&absDone0 != 0,
		SecureV2:  w[6]&absDone1 != 0,
	}, nil
}

// fuses reads eFuse words 0 to 6 and the register with the third revision bit.
func (l *link) fuses(ctx context.Context) (w [8]uint32, err error) {
	for i := range w {
		addr := esprom.EfuseWord(i)
		if i == 7 {
			addr = esprom.RegAPBDate
		}
		if w[i], err = l.readReg(ctx, addr); err != nil {
			return w, err
		}
	}
	return w, nil
}

// padsFrom packs the pins of the flash: word 5 has CLK, Q, D and CS from the
// low end, word 3 has HD, five bits each.
func padsFrom(w3, w5 uint32) uint32 {
	clk, q, d, cs, hd := w5&31, w5>>5&31, w5>>10&31, w5>>15&31, w3>>4&31
	return hd<<24 | cs<<18 | d<<12 | q<<6 | clk
}

// flashID asks the flash chip who it is.
func (l *link) flashID(ctx context.Context) (uint32, error) {
	id, err := l.spi(ctx, esprom.NorReadID, nil, 24)
	return id & 0xFFFFFF, err
}

// unprotect clears the block protection of the flash and says whether there was
// any.
func (l *link) unprotect(ctx context.Context) (bool, error) {
	status, err := l.spi(ctx, esprom.NorReadStatus1, nil, 8)
	if err != nil || status&esprom.NorBlockProtect == 0 {
		return false, err
	}
	if _, err := l.spi(ctx, esprom.NorWriteEnable, nil, 0); err != nil {
		return true, err
	}
	_, err = l.spi(ctx, esprom.NorWriteStatus1, []byte{0}, 0)
	return true, err
}

// clock works out the crystal from the oscillator's calibration, and what the
// ROM believes it to be: its dividers are wrong by the quotient.
//
//	believed = calibration * 15625 * CK8M / 40          (esp32-serial 2.1)
func (l *link) clock(ctx context.Context) (crystal, believed uint64, err error) {
	cali, err := l.sureReg(ctx, esprom.RegRTCCali)
	if err != nil {
		return 0, 0, err
	}
	w4, err := l.sureReg(ctx, esprom.EfuseWord(4))
	if err != nil {
		return 0, 0, err
	}
	believed = uint64(cali>>7) * 15625 * uint64(w4&0xFF) / 40
	crystal = 40_000_000
	if believed <= 33_000_000 {
		crystal = 26_000_000
	}
	// A calibration that never ran, or nonsense: the ROM then uses 40 MHz.
	if believed < 20_000_000 || believed > 60_000_000 {
		return 40_000_000, 40_000_000, nil
	}
	return crystal, believed, nil
}
