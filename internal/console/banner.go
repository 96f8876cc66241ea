package console

import (
	"fmt"
	"regexp"
	"strconv"
)

// Banner is what the ROM prints at every start (esp32-serial 4):
//
//	ets Jul 29 2019 12:21:46
//
//	rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)
//
// The last line is what this reads: why the chip started and what the strapping
// pins chose. It may come behind garbage on the same line, since the reset cuts
// off whatever was being printed.
type Banner struct {
	Reset  uint8
	Reason string // "POWERON_RESET"
	Strap  uint8
	Mode   string // "SPI_FAST_FLASH_BOOT", "DOWNLOAD_BOOT(UART0/…)"
}

// Waiting is the ROM loader's last word before it listens.
const Waiting = "waiting for download"

func (b Banner) String() string {
	return fmt.Sprintf("rst:0x%x (%s),boot:0x%x (%s)", b.Reset, b.Reason, b.Strap, b.Mode)
}

// Download says whether the straps chose the ROM loader: GPIO0 and GPIO2 low.
func (b Banner) Download() bool { return b.Strap&0x18 == 0 }

var bannerLine = regexp.MustCompile(`rst:0x([0-9a-f]{1,2}) \(([A-Z0-9_]{1,32})\),boot:0x([0-9a-f]{1,2}) \(([A-Za-z0-9_/()]{1,64})\)[\r\n]*$`)

// ParseBanner finds the reset line of the ROM at the end of a line.
func ParseBanner(line string) (Banner, bool) {
	if len(line) > MaxLine {
		return Banner{}, false
	}
	m := bannerLine.FindStringSubmatch(line)
	if m == nil {
		return Banner{}, false
	}
	reset, _ := strconv.ParseUint(m[1], 16, 8) // the pattern has two digits
	strap, _ := strconv.ParseUint(m[3], 16, 8)
	return Banner{Reset: uint8(reset), Reason: m[2], Strap: uint8(strap), Mode: m[4]}, true
}
