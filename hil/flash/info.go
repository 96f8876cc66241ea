package flash

import (
	"context"
	"errors"

	"porthole/internal/espimage"
)

// Info is what a board says about itself and what is in its flash.
type Info struct {
	Chip     Chip
	Baud     int
	Troubles int
	// Table is nil if there is no good one; TableFault then says why.
	Table      *espimage.Table
	TableFault string
	Bootloader *espimage.BootDescriptor // nil: none
	Apps       []AppInfo
	// Log is what the chip printed before it was asked, not printable as it is.
	Log string
}

// AppInfo is an application slot.
type AppInfo struct {
	Partition espimage.Partition
	// App is nil for a slot without an application.
	App *espimage.AppDescriptor
	// Boots says that the bootloader would choose this one.
	Boots bool
}

// descriptorAt is where descriptors begin in an image.
const descriptorAt = espimage.HeaderSize + espimage.SegmentHeaderSize

// Info reads what the board is and what it holds.
func (f *Flasher) Info(ctx context.Context) (Info, error) {
	var info Info
	_, err := f.run(ctx, func(ctx context.Context, s *session) error {
		info = Info{Chip: s.chip, Baud: s.rates[s.rate], Log: s.log.text()}
		s.meter.begin(Reading, "", 0)
		b := make([]byte, descriptorSize)
		if err := s.readBlock(ctx, b, espimage.BootloaderOffset+descriptorAt, 0); err != nil {
			return err
		}
		if d, ok := espimage.ParseBootDescriptor(b); ok {
			info.Bootloader = &d
		}
		t, err := s.readTable(ctx)
		if e, ok := errors.AsType[*espimage.TableError](err); ok {
			info.TableFault = e.Error()
			if e.Kind == espimage.TableBadMagic && e.Magic == 0xFFFF {
				info.TableFault = "the flash is erased where it should be"
			}
			return nil
		}
		if err != nil {
			return err
		}
		info.Table = t
		info.Apps, err = s.apps(ctx, t)
		info.Troubles = s.troubles
		return err
	})
	return info, err
}

// descriptorSize covers both kinds of descriptors, in bytes.
const descriptorSize = 256

// apps looks into the application slots.
func (s *session) apps(ctx context.Context, t *espimage.Table) ([]AppInfo, error) {
	var out []AppInfo
	var slots []int // indices in out of the OTA slots
	for _, p := range t.Partitions {
		if p.Type != espimage.TypeApp {
			continue
		}
		b := make([]byte, descriptorSize)
		if err := s.readBlock(ctx, b, int64(p.Offset)+descriptorAt, 0); err != nil {
			return nil, err
		}
		a := AppInfo{Partition: p}
		if d, ok := espimage.ParseAppDescriptor(b); ok {
			a.App = &d
		}
		if p.Subtype >= espimage.AppOTA0 && p.Subtype < espimage.AppOTA0+16 {
			slots = append(slots, len(out))
		}
		out = append(out, a)
	}
	i, err := s.selected(ctx, t, slots)
	if err == nil && i >= 0 && i < len(out) {
		out[i].Boots = true
	}
	return out, err
}

// selected is the index of the application that boots, -1 for none: what the
// OTA data selects, else the first one.
func (s *session) selected(ctx context.Context, t *espimage.Table, slots []int) (int, error) {
	p, ok := t.Find(espimage.TypeData, espimage.DataOTA)
	if !ok || len(slots) == 0 || p.Size < espimage.OTADataSize {
		return 0, nil
	}
	b := make([]byte, espimage.OTADataSize)
	for i := range 2 {
		at := i * espimage.SectorSize
		if err := s.readBlock(ctx, b[at:at+32], int64(p.Offset)+int64(at), 0); err != nil {
			return -1, err
		}
	}
	d, err := espimage.ParseOTAData(b)
	if err != nil {
		return -1, nil
	}
	if slot, ok := d.Slot(len(slots)); ok {
		return slots[slot], nil
	}
	return 0, nil
}
