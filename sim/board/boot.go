package board

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"porthole/internal/espimage"
)

// FirmwareConfig says what the software of a board does beyond its flash. The
// zero value boots, prints and joins no network.
type FirmwareConfig struct {
	// Network is the radio; nil means that no network is ever found.
	Network Network
	// Uploads sends the frames; nil means a camera without a server: the board
	// joins, gets its camera ready and sends nothing.
	Uploads Uploads
	// Notify tells the server about the camera's switch; nil means nobody does.
	Notify Notify
	// ELF is the program that panics decode against; nil takes addresses of the
	// application image in flash.
	ELF *Program32
	// Speed divides every wait of bootloader and application; 0 means 1, as fast
	// as the board is. Times in the log stay those of the board.
	Speed float64
	// Plain leaves the colours out of log lines.
	Plain bool
	// Quiet leaves out what the Arduino core logs when built with a debug level.
	Quiet bool
	// Watchdog is after how long a hanging application is shot; 0 means 30 s.
	Watchdog time.Duration
	// Seed of backoff and of what a panic shows.
	Seed uint64
}

// Firmware is the Program of a Porthole board: the ROM's loader of flash, the
// second-stage bootloader and the application, each printing what the real one
// prints about what really is in flash.
//
//	ROM          header and segments at 0x1000, checksum
//	bootloader   partition table at 0x8000, OTA selection, application image
//	application  configuration in the nvs partition, Wi-Fi, camera, uploads
//
// What is wrong there leads to the loop it leads to on a board: erased flash to
// a watchdog reset every second, a bad table or image to a software reset. An
// application other than ours is verified, named and then left idle, because no
// code is executed here.
//
// A Firmware belongs to one Board: it is also the memory that survives a reset.
type Firmware struct {
	cfg FirmwareConfig

	mu     sync.Mutex
	app    *app   // running, for Panic and the like
	cause  string // of the next start, if the application knows better than the chip
	boots  uint64
	camera int // error code of a camera that does not answer
}

var _ Program = (*Firmware)(nil)

// Limits of FirmwareConfig.Speed.
const (
	MinSpeed = 0.001
	MaxSpeed = 1e6
)

// The pace of ROM and bootloader.
const (
	romWatchdog   = time.Second // from start to reset when the ROM finds nothing
	romRepeats    = 8           // of its complaint until then
	bootStart     = 29 * time.Millisecond
	consoleBaud   = 115200
	flashReadRate = 4 << 20 // bytes per second, load and hash together
)

// NewFirmware checks cfg.
func NewFirmware(cfg FirmwareConfig) (*Firmware, error) {
	if cfg.Speed == 0 {
		cfg.Speed = 1
	}
	if !(cfg.Speed >= MinSpeed && cfg.Speed <= MaxSpeed) {
		return nil, fmt.Errorf("create firmware: speed %v is outside %v..%v", cfg.Speed, MinSpeed, MaxSpeed)
	}
	if cfg.Watchdog == 0 {
		cfg.Watchdog = 30 * time.Second
	}
	if cfg.Network == nil {
		cfg.Network = new(World)
	}
	return &Firmware{cfg: cfg}, nil
}

// SetCameraFault makes the camera fail with a driver's error code whenever it is
// started, console.CameraNotFound for a loose ribbon; 0 repairs it.
func (f *Firmware) SetCameraFault(code int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.camera = code
}

func (f *Firmware) cameraFault() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.camera
}

// Boot implements Program.
func (f *Firmware) Boot(ctx context.Context, m *Machine) {
	f.mu.Lock()
	f.boots++
	f.mu.Unlock()
	l := &bootLog{ctx: ctx, m: m, cfg: &f.cfg}
	boot, ok := romLoad(l)
	if !ok {
		return
	}
	app, ok := secondStage(l, boot)
	if !ok {
		l.finish(SoftwareReset)
		return
	}
	f.runApp(ctx, l, app)
}

// romLoad is the ROM: it loads the second-stage bootloader from 0x1000. When it
// cannot, it leaves the chip to its watchdog.
func romLoad(l *bootLog) (*espimage.Image, bool) {
	flash := section(l.m, espimage.BootloaderOffset, int64(l.m.FlashSize()))
	img, err := espimage.Scan(flash, espimage.Check{Base: espimage.BootloaderOffset, Loose: true})
	e, fault := imageFault(err)
	if fault && e.Kind == espimage.BadMagic {
		romComplain(l)
	}
	if err != nil && !fault || fault && e.Kind == espimage.BadMagic {
		return nil, false
	}
	h := img.Header
	l.rawf("configsip: 0, SPIWP:0x%02x\r\n", h.WPPin)
	l.rawf("clk_drv:0x%02x,q_drv:0x%02x,d_drv:0x%02x,cs0_drv:0x%02x,hd_drv:0x%02x,wp_drv:0x%02x\r\n",
		h.PinDrive[0]&3, h.PinDrive[0]>>2&3, h.PinDrive[0]>>4&3, h.PinDrive[0]>>6&3, h.PinDrive[1]&3, h.PinDrive[1]>>2&3)
	divider := 2
	if h.Freq == espimage.Freq80M {
		divider = 1
	}
	l.rawf("mode:%v, clock div:%d\r\n", h.Mode, divider)
	runs := err == nil
	for _, s := range img.Segments {
		l.rawf("load:0x%08x,len:%d\r\n", s.Addr, s.Size)
		l.work(readTime(int64(s.Size)))
		// Loading into mapped flash or registers hangs the chip: an application
		// written to the place of the bootloader does that.
		runs = runs && espimage.Loaded(s.Addr)
	}
	if fault && e.Kind == espimage.BadChecksum {
		l.rawf("csum err:0x%02x!=0x%02x\r\n", e.Got, e.Want)
		l.rawf("ets_main.c 371 \r\n")
	} else if err == nil {
		l.rawf("entry 0x%08x\r\n", h.Entry)
	}
	if !runs || !entered(img) {
		l.until(romWatchdog)
		l.finish(TG0WatchdogReset)
		return nil, false
	}
	return img, true
}

// romComplain is what the ROM says about flash that does not begin with an
// image; the mask of revision 3 has other words than the older ones.
func romComplain(l *bootLog) {
	if l.m.Chip().Revision.Major < 3 {
		l.rawf("flash read err, 1000\r\nets_main.c 371 \r\n")
	} else {
		var word [4]byte
		if _, err := l.m.ReadAt(word[:], espimage.BootloaderOffset); err != nil {
			return
		}
		for range romRepeats {
			l.rawf("invalid header: 0x%08x\r\n", binary.LittleEndian.Uint32(word[:]))
		}
	}
	l.until(romWatchdog)
	l.finish(RTCWatchdogRTC)
}

// entered says whether the entry point lies in what was loaded.
func entered(img *espimage.Image) bool {
	for _, s := range img.Segments {
		if img.Header.Entry >= s.Addr && img.Header.Entry-s.Addr < uint32(s.Size) {
			return true
		}
	}
	return false
}

// section is the flash from off to end as a reader of its own.
func section(m *Machine, off, end int64) io.ReaderAt {
	return io.NewSectionReader(m, off, max(0, end-off))
}

func readTime(n int64) time.Duration {
	return time.Duration(n) * time.Second / flashReadRate
}
