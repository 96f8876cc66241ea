package flash

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"porthole/internal/espimage"
)

// Erase makes a region of whole sectors hold nothing but ones. Sectors that do
// already are left alone.
func (f *Flasher) Erase(ctx context.Context, r Region) (Report, error) {
	began := time.Now()
	var report Report
	boot, err := f.run(ctx, func(ctx context.Context, s *session) error {
		defer func() { report.Chip, report.Troubles, report.Baud = s.chip, s.troubles, s.rates[s.rate] }()
		if err := s.chip.refusal(); err != nil {
			return err
		}
		r, err := s.resolve(ctx, r)
		if err != nil {
			return err
		}
		if r.Offset%espimage.SectorSize != 0 || r.Size%espimage.SectorSize != 0 {
			return &RefusedError{
				Why: fmt.Sprintf("%v is not made of whole sectors", r),
				Do:  "flash is erased by sectors of 0x1000: choose multiples of that",
			}
		}
		report.Size = r.Size
		all := piece{
			file: &File{Name: r.String()}, off: r.Offset, data: bytes.Repeat([]byte{0xFF}, int(r.Size)),
		}
		s.meter.begin(Comparing, "", 0)
		bad, err := s.differing(ctx, all)
		if err != nil {
			return err
		}
		s.meter.begin(Erasing, "", int64(len(bad))*espimage.SectorSize)
		report.Written, err = s.put(ctx, all, bad, 0)
		if err != nil {
			return err
		}
		s.wrote = false
		return nil
	})
	report.Boot, report.Took = boot, time.Since(began)
	return report, err
}
