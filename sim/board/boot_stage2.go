package board

import (
	"cmp"
	"errors"
	"io"
	"strings"
	"time"

	"porthole/internal/console"
	"porthole/internal/espimage"
)

// secondStage is the bootloader. It returns the application it loaded, or false
// when it resets the chip, which it does at once and for ever.
func secondStage(l *bootLog, boot *espimage.Image) (*loadedApp, bool) {
	l.until(bootStart)
	desc, _ := boot.Boot(section(l.m, espimage.BootloaderOffset, int64(l.m.FlashSize())))
	rev := l.m.Chip().Revision
	l.logf(console.Info, "boot", "ESP-IDF %s 2nd stage bootloader", console.Clean(cmp.Or(desc.IDF, "v4.4.7")))
	l.logf(console.Info, "boot", "compile time %s", console.Clean(cmp.Or(desc.Built, "00:00:00")))
	l.logf(console.Info, "boot", "Multicore bootloader")
	l.logf(console.Info, "boot", "chip revision: v%d.%d", rev.Major, rev.Minor)
	l.logf(console.Info, "boot.esp32", "SPI Speed      : %v", boot.Header.Freq)
	l.logf(console.Info, "boot.esp32", "SPI Mode       : %v", boot.Header.Mode)
	l.logf(console.Info, "boot.esp32", "SPI Flash Size : %v", boot.Header.Size)
	l.logf(console.Info, "boot", "Enabling RNG early entropy source...")

	s := &stage2{l: l, size: boot.Header.Size.Bytes()}
	if !s.readTable() {
		l.logf(console.Error, "boot", "load partition table error!")
		return nil, false
	}
	index, ok := s.choose()
	if !ok {
		return nil, false
	}
	app := s.load(index)
	if app == nil {
		l.logf(console.Error, "boot", "No bootable app partitions in the partition table")
		return nil, false
	}
	l.logf(console.Info, "boot", "Disabling RNG early entropy source...")
	return app, l.alive()
}

// Boot indices below the OTA slots.
const (
	testApp    = -2
	factoryApp = -1
)

// stage2 is what the bootloader learns from flash.
type stage2 struct {
	l       *bootLog
	size    int64 // of the flash, as the header claims
	table   *espimage.Table
	factory espimage.Partition
	test    espimage.Partition
	slots   [16]espimage.Partition
	count   int // of OTA partitions
	otadata espimage.Partition
	ota     espimage.OTAData
	initial bool // no selection was ever written and there is no factory app
}

// loadedApp is an application that verified.
type loadedApp struct {
	table   *espimage.Table
	part    espimage.Partition
	image   *espimage.Image
	desc    espimage.AppDescriptor
	known   bool         // there is a descriptor
	confirm func() error // marks a new version as good; nil if that is not due
	flash   io.ReaderAt  // the partition
	header  espimage.FlashSize
}

func (s *stage2) readTable() bool {
	l := s.l
	raw := make([]byte, espimage.TableSize)
	if _, err := l.m.ReadAt(raw, espimage.TableOffset); err != nil {
		return false
	}
	table, err := espimage.ParseTable(raw, s.size)
	s.table = table
	if err != nil {
		s.tableFault(err)
		l.logf(console.Error, "boot", "Failed to verify partition table")
		return false
	}
	l.logf(console.Info, "boot", "Partition Table:")
	l.logf(console.Info, "boot", "## Label            Usage          Type ST Offset   Length")
	for i, p := range table.Partitions {
		l.logf(console.Info, "boot", "%2d %-16s %-16s %02x %02x %08x %08x", i, console.Clean(p.Label), p.Usage(), p.Type, p.Subtype, p.Offset, p.Size)
		switch {
		case p.Type == espimage.TypeData && p.Subtype == espimage.DataOTA:
			s.otadata = p
		case p.Type != espimage.TypeApp:
		case p.Subtype == espimage.AppFactory:
			s.factory = p
		case p.Subtype == espimage.AppTest:
			s.test = p
		case p.Subtype&0xF0 == espimage.AppOTA0:
			s.slots[p.Subtype&0x0F] = p
			s.count++
		}
	}
	l.logf(console.Info, "boot", "End of partition table")
	return true
}

func (s *stage2) tableFault(err error) {
	e, ok := errors.AsType[*espimage.TableError](err)
	if !ok {
		return
	}
	logf := func(format string, args ...any) { s.l.logf(console.Error, "flash_parts", format, args...) }
	switch e.Kind {
	case espimage.TableBadMD5:
		logf("Incorrect MD5 checksum")
	case espimage.TableTwoMD5:
		logf("Only one MD5 checksum is allowed")
	case espimage.TableBadMagic:
		logf("partition %d invalid magic number 0x%x", e.Row, e.Magic)
	case espimage.TableTooBig:
		logf("partition %d invalid - offset 0x%x size 0x%x exceeds flash chip size 0x%x", e.Row, e.Part.Offset, e.Part.Size, s.size)
	case espimage.TableNoEnd:
		logf("partition table has no terminating entry, not valid")
	}
}

// choose picks the partition to try first. It is false when the OTA selection
// has no room for its two sectors.
func (s *stage2) choose() (int, bool) {
	l := s.l
	if s.otadata.Offset == 0 {
		return factoryApp, true
	}
	if s.otadata.Size < espimage.OTADataSize {
		l.logf(console.Error, "boot", "ota_info partition size %d is too small (minimum %d bytes)", s.otadata.Size, espimage.OTADataSize)
		return 0, false
	}
	raw := make([]byte, espimage.OTADataSize)
	if _, err := l.m.ReadAt(raw, int64(s.otadata.Offset)); err != nil {
		l.logf(console.Error, "boot", "bootloader_mmap(0x%x, 0x%x) failed", s.otadata.Offset, s.otadata.Size)
		return 0, false
	}
	ota, err := espimage.ParseOTAData(raw)
	if err != nil {
		return 0, false
	}
	s.ota = ota
	// A version that was started and not confirmed is given up.
	for i := range s.ota {
		if s.ota[i].State == espimage.OTAPending {
			s.ota[i].State = espimage.OTAAborted
			s.writeOTA(i)
		}
	}
	if s.ota[0].Unset() && s.ota[1].Unset() || s.count == 0 {
		if s.factory.Offset != 0 {
			l.logf(console.Info, "boot", "Defaulting to factory image")
			return factoryApp, true
		}
		l.logf(console.Info, "boot", "No factory image, trying OTA 0")
		s.initial = true
		return 0, true
	}
	slot, ok := s.ota.Slot(s.count)
	switch {
	case ok:
		if i, _ := s.ota.Active(); s.ota[i].State == espimage.OTANew {
			s.ota[i].State = espimage.OTAPending
			s.writeOTA(i)
		}
		return slot, true
	case s.factory.Offset != 0:
		l.logf(console.Error, "boot", "ota data partition invalid, falling back to factory")
	default:
		l.logf(console.Error, "boot", "ota data partition invalid and no factory, will try all partitions")
	}
	return factoryApp, true
}

// writeOTA writes entry i to its sector.
func (s *stage2) writeOTA(i int) {
	if err := writeOTA(s.l.m, s.otadata.Offset, s.ota, i); err != nil {
		s.l.logf(console.Error, "boot", "Error in write_otadata operation. err = 0x%x", 0x101)
	}
}

func writeOTA(m *Machine, at uint32, d espimage.OTAData, i int) error {
	off := int64(at) + int64(i)*espimage.SectorSize
	if err := m.Erase(off, espimage.SectorSize); err != nil {
		return err
	}
	return m.Program(off, d.Bytes()[i*espimage.SectorSize:][:32])
}

func (s *stage2) partition(index int) espimage.Partition {
	switch {
	case index == factoryApp:
		return s.factory
	case index == testApp:
		return s.test
	case index < s.count:
		return s.slots[index]
	}
	return espimage.Partition{}
}

// load tries the chosen partition, then downwards to the factory application,
// then upwards, then the test application.
func (s *stage2) load(start int) *loadedApp {
	var order []int
	for i := start; i >= factoryApp; i-- {
		order = append(order, i)
	}
	for i := start + 1; i < s.count; i++ {
		order = append(order, i)
	}
	for _, i := range order {
		p := s.partition(i)
		if p.Size == 0 {
			continue
		}
		if app := s.try(p); app != nil {
			s.settle(app, i)
			return app
		}
		if !s.l.alive() {
			return nil
		}
		if i == factoryApp {
			s.l.logf(console.Error, "boot", "Factory app partition is not bootable")
		} else {
			s.l.logf(console.Error, "boot", "OTA app partition slot %d is not bootable", i)
		}
	}
	if s.test.Size != 0 {
		if app := s.try(s.test); app != nil {
			s.l.logf(console.Warning, "boot", "Falling back to test app as only bootable partition")
			return app
		}
	}
	return nil
}

// settle writes a first selection where there was none, and prepares the
// confirmation of a version that runs on probation.
func (s *stage2) settle(app *loadedApp, index int) {
	if index > factoryApp && s.initial {
		s.ota[0] = espimage.NewOTASelect(uint32(index)+1, espimage.OTAValid)
		s.writeOTA(0)
		s.l.logf(console.Info, "boot", "Set actual ota_seq=%d in otadata[0]", index+1)
		return
	}
	i, ok := s.ota.Active()
	if !ok || s.ota[i].State != espimage.OTAPending {
		return
	}
	ota, at, m := s.ota, s.otadata.Offset, s.l.m
	app.confirm = func() error {
		ota[i].State = espimage.OTAValid
		return writeOTA(m, at, ota, i)
	}
}

// try verifies one application and says what it finds, like the bootloader.
func (s *stage2) try(p espimage.Partition) *loadedApp {
	l := s.l
	flash := section(l.m, int64(p.Offset), int64(l.m.FlashSize()))
	rev := l.m.Chip().Revision
	img, err := espimage.Scan(flash, espimage.Check{
		Base: int64(p.Offset), Limit: int64(p.Size), Revision: uint16(rev.Major)*100 + uint16(rev.Minor),
	})
	for i, seg := range img.Segments {
		use := ""
		switch {
		case espimage.Mapped(seg.Addr):
			use = "map"
		case espimage.Loaded(seg.Addr):
			use = "load"
		}
		l.logf(console.Info, "esp_image", "segment %d: paddr=%08x vaddr=%08x size=%05xh (%6d) %s",
			i, int64(p.Offset)+seg.Offset, seg.Addr, seg.Size, seg.Size, use)
		l.work(readTime(int64(seg.Size)))
	}
	if err != nil {
		s.imageFault(p, err)
		return nil
	}
	l.logf(console.Info, "boot", "Loaded app from partition at offset 0x%x", p.Offset)
	desc, known := img.App(flash)
	return &loadedApp{table: s.table, part: p, image: img, desc: desc, known: known, flash: flash, header: img.Header.Size}
}

func (s *stage2) imageFault(p espimage.Partition, err error) {
	e, ok := imageFault(err)
	if !ok {
		return // the chip was reset while it read
	}
	logf := func(tag, format string, args ...any) { s.l.logf(console.Error, tag, format, args...) }
	switch e.Kind {
	case espimage.BadMagic:
		logf("esp_image", "image at 0x%x has invalid magic byte (nothing flashed here?)", p.Offset)
	case espimage.BadChip:
		logf("boot_comm", "mismatch chip ID, expected %d, found %d", e.Want, e.Got)
	case espimage.BadRevision:
		sign := ">="
		if e.Want < e.Got {
			sign = "<="
		}
		logf("boot_comm", "Image requires chip rev %s v%d.%d, but chip is v%d.%d", sign, e.Want/100, e.Want%100, e.Got/100, e.Got%100)
	case espimage.BadSegmentCount:
		logf("esp_image", "image at 0x%x segment count %d exceeds max %d", p.Offset, e.Got, e.Want)
	case espimage.BadSegmentLength:
		logf("esp_image", "invalid segment length 0x%x", e.Got)
	case espimage.BadMapping:
		logf("esp_image", "Segment %d load address 0x%08x, doesn't match data 0x%08x", e.Segment, e.Want, e.Got)
	case espimage.BadChecksum:
		logf("esp_image", "Checksum failed. Calculated 0x%x read 0x%x", e.Want, e.Got)
	case espimage.TooLong:
		logf("esp_image", "Image length %d doesn't fit in partition length %d", e.Got, e.Want)
	case espimage.BadHash:
		logf("esp_image", "Image hash failed - image is corrupt")
	case espimage.Cut:
		logf("esp_image", "bootloader_mmap(0x%x, 0x%x) failed", int64(p.Offset)+e.Offset, e.Want-e.Got)
	}
}

// flashProbe is how the application's start compares the real flash with what
// its header says. False: it aborts.
func flashProbe(l *bootLog, app *loadedApp) bool {
	have, want := int64(l.m.FlashSize()), app.header.Bytes()
	l.logf(console.Info, "spi_flash", "detected chip: generic")
	l.logf(console.Info, "spi_flash", "flash io: %s", strings.ToLower(app.image.Header.Mode.String()))
	switch {
	case have < want:
		l.logf(console.Error, "spi_flash", "Detected size(%dk) smaller than the size in the binary image header(%dk). Probe failed.", have>>10, want>>10)
		return false
	case have > want:
		l.logf(console.Warning, "spi_flash", "Detected size(%dk) larger than the size in the binary image header(%dk). Using the size in the binary image header.", have>>10, want>>10)
	}
	l.work(5 * time.Millisecond)
	return true
}
