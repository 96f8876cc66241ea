package board

import "fmt"

// A ResetReason is the cause of a start as the ROM prints it: rst:0x1
// (esp32-serial 4).
type ResetReason uint8

// Reset reasons of the ESP32.
const (
	PowerOnReset     ResetReason = 0x01 // power and the EN pin
	SoftwareReset    ResetReason = 0x03
	OwdtReset        ResetReason = 0x04
	DeepSleepReset   ResetReason = 0x05
	SDIOReset        ResetReason = 0x06
	TG0WatchdogReset ResetReason = 0x07
	TG1WatchdogReset ResetReason = 0x08
	RTCWatchdogSys   ResetReason = 0x09
	IntrusionReset   ResetReason = 0x0A
	TGWatchdogCPU    ResetReason = 0x0B
	SoftwareCPUReset ResetReason = 0x0C // esp_restart, panic
	RTCWatchdogCPU   ResetReason = 0x0D
	ExternalCPUReset ResetReason = 0x0E
	BrownoutReset    ResetReason = 0x0F
	RTCWatchdogRTC   ResetReason = 0x10
)

var reasonNames = [...]string{
	PowerOnReset: "POWERON_RESET", SoftwareReset: "SW_RESET", OwdtReset: "OWDT_RESET",
	DeepSleepReset: "DEEPSLEEP_RESET", SDIOReset: "SDIO_RESET",
	TG0WatchdogReset: "TG0WDT_SYS_RESET", TG1WatchdogReset: "TG1WDT_SYS_RESET",
	RTCWatchdogSys: "RTCWDT_SYS_RESET", IntrusionReset: "INTRUSION_RESET",
	TGWatchdogCPU: "TGWDT_CPU_RESET", SoftwareCPUReset: "SW_CPU_RESET",
	RTCWatchdogCPU: "RTCWDT_CPU_RESET", ExternalCPUReset: "EXT_CPU_RESET",
	BrownoutReset: "RTCWDT_BROWN_OUT_RESET", RTCWatchdogRTC: "RTCWDT_RTC_RESET",
}

// Valid reports whether the ROM has a name for r.
func (r ResetReason) Valid() bool {
	return int(r) < len(reasonNames) && reasonNames[r] != ""
}

// String is the name the ROM prints.
func (r ResetReason) String() string {
	if r.Valid() {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason 0x%x", uint8(r))
}

// relatches reports whether the straps are sampled again: power-on, brownout and
// the RTC watchdog reset the pads too. All other resets start from the straps as
// they were latched, so a chip in download mode stays there.
func (r ResetReason) relatches() bool {
	return r == PowerOnReset || r == BrownoutReset || r == RTCWatchdogRTC
}

// Bits of the strap value, as in boot:0x13 and GPIO_STRAP.
const (
	StrapGPIO5  = 0x01 // MTDO and GPIO5 choose the SDIO timing
	StrapMTDO   = 0x02 // GPIO15; low silences the ROM
	StrapGPIO4  = 0x04
	StrapGPIO2  = 0x08 // must be low with GPIO0 for download mode
	StrapGPIO0  = 0x10 // high: boot from flash
	StrapMTDI   = 0x20 // GPIO12; high selects 1.8 V for the flash
	strapIdle   = StrapGPIO0 | StrapMTDO | StrapGPIO5
	strapModule = 0x3F
)

// isDownload reports whether a strap value selects the ROM loader.
func isDownload(strap uint8) bool { return strap&(StrapGPIO0|StrapGPIO2) == 0 }

// bootName is the boot mode in the ROM's banner.
func bootName(strap uint8) string {
	if strap&StrapGPIO0 != 0 {
		return "SPI_FAST_FLASH_BOOT"
	}
	if !isDownload(strap) {
		return "HSPI_FLASH_BOOT"
	}
	edge := func(bit uint8) byte {
		if strap&bit != 0 {
			return 'R'
		}
		return 'F'
	}
	return fmt.Sprintf("DOWNLOAD_BOOT(UART0/UART1/SDIO_%cEI_%cEO_V2)", edge(StrapMTDO), edge(StrapGPIO5))
}

// Banner is what the ROM prints first: build date, reason and straps. The date
// belongs to the mask of the silicon: revision 3 got a new one.
func Banner(major uint8, reason ResetReason, strap uint8) string {
	date := "Jun  8 2016 00:22:57"
	if major >= 3 {
		date = "Jul 29 2019 12:21:46"
	}
	return fmt.Sprintf("ets %s\r\n\r\nrst:0x%x (%v),boot:0x%x (%s)\r\n", date, uint8(reason), reason, strap, bootName(strap))
}

// waiting is printed by the ROM loader when it is ready.
const waiting = "waiting for download\r\n"
