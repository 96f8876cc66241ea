package board

import (
	"fmt"

	"porthole/internal/boardcfg"
	"porthole/internal/espimage"
	"porthole/internal/nvs"
)

// DemoImage is the content of a flash that boots into our application: the
// bootloader, the Arduino core's partition table, the selection of the first
// slot, and the application, with an empty configuration. It ends with the
// application; NewFlash fills up with FF. Any number of flashes may share it.
func DemoImage(app espimage.Demo) ([]byte, error) {
	boot, err := espimage.DemoBootloader()
	if err != nil {
		return nil, fmt.Errorf("make demo flash: %w", err)
	}
	program, err := espimage.BuildDemo(app)
	if err != nil {
		return nil, fmt.Errorf("make demo flash: %w", err)
	}
	layout := espimage.ArduinoTable()
	table, err := layout.Bytes()
	if err != nil {
		return nil, fmt.Errorf("make demo flash: %w", err)
	}
	if slot, _ := layout.Find(espimage.TypeApp, espimage.AppOTA0); len(program) > int(slot.Size) {
		return nil, fmt.Errorf("make demo flash: application of %d bytes exceeds its slot of %d", len(program), slot.Size)
	}
	image := make([]byte, espimage.AppOffset+len(program))
	fillFF(image)
	copy(image[espimage.BootloaderOffset:], boot)
	copy(image[espimage.TableOffset:], table)
	copy(image[espimage.OTADataOffset:], espimage.BootSlot(0).Bytes())
	copy(image[espimage.AppOffset:], program)
	return image, nil
}

// Provision writes a configuration into the nvs partition of a flash, as
// flashing it would: other namespaces stay. It is for flashes that no board has
// yet.
func Provision(f *Flash, cfg boardcfg.Config) error {
	raw := make([]byte, espimage.TableSize)
	if _, err := f.ReadAt(raw, espimage.TableOffset); err != nil {
		return fmt.Errorf("provision flash: %w", err)
	}
	table, err := espimage.ParseTable(raw, int64(f.Size()))
	if err != nil {
		return fmt.Errorf("provision flash: %w", err)
	}
	part, ok := table.Find(espimage.TypeData, espimage.DataNVS)
	if !ok {
		return fmt.Errorf("provision flash: %w", errNoNVS)
	}
	old := make([]byte, part.Size)
	if _, err := f.ReadAt(old, int64(part.Offset)); err != nil {
		return fmt.Errorf("provision flash: %w", err)
	}
	store, err := nvs.Parse(old)
	if err != nil {
		return fmt.Errorf("provision flash: %w", err)
	}
	if err := cfg.Write(store); err != nil {
		return fmt.Errorf("provision flash: %w", err)
	}
	b, err := store.Bytes(int(part.Size))
	if err != nil {
		return fmt.Errorf("provision flash: %w", err)
	}
	f.Erase(part.Offset, int(part.Size))
	for off := 0; off < len(b); off += SectorSize {
		// Pages that stay erased need no memory.
		if page := b[off : off+SectorSize]; !espimage.Erased(page) {
			f.Program(part.Offset+uint32(off), page)
		}
	}
	return nil
}
