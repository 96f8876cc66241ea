package flash

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"time"

	"porthole/internal/espimage"
	"porthole/internal/esprom"
)

// WriteOptions are what a write may do beyond its files.
type WriteOptions struct {
	// Settings, if set, are patched into the header of the bootloader at 0x1000.
	Settings *espimage.FlashSettings
	// Force skips the checks of the images themselves. What would write over
	// something else, or beyond the flash, is refused all the same.
	Force bool
}

// Report is what a write did.
type Report struct {
	Chip     Chip
	Baud     int
	Size     int64 // of all files, in bytes
	Written  int64 // of flash, in bytes: whole sectors
	Troubles int   // that were healed on the way
	// Stray says that a write was acknowledged and did not arrive: it may have
	// gone to a place outside of the files.
	Stray bool
	Took  time.Duration
	Boot  Boot
}

// Write makes the flash hold the files. See the package for what it promises.
func (f *Flasher) Write(ctx context.Context, files []File, opt WriteOptions) (Report, error) {
	began := time.Now()
	w := &writing{files: append([]File(nil), files...), opt: opt}
	if len(files) == 0 {
		return Report{}, errors.New("write flash: no files")
	}
	if err := w.checkFiles(); err != nil {
		return Report{}, err
	}
	boot, err := f.run(ctx, w.job)
	w.report.Boot, w.report.Took = boot, time.Since(began)
	return w.report, err
}

// writing is one write.
type writing struct {
	files  []File
	opt    WriteOptions
	table  *espimage.Table // known, else nil
	report Report
}

// checkFiles does all checks that need no chip.
func (w *writing) checkFiles() error {
	for i := range w.files {
		if f := &w.files[i]; len(f.Data) == 0 {
			return f.refuse("check how it was built", "it is empty")
		} else if f.Partition != "" {
			f.Offset = -1
		}
	}
	var err error
	if w.table, err = tableIn(w.files); err != nil && !w.opt.Force {
		return err
	}
	if w.table != nil {
		if err := place(w.files, w.table); err != nil {
			return err
		}
	}
	var placed []File
	for _, f := range w.files {
		w.report.Size += int64(len(f.Data))
		if f.Offset >= 0 {
			placed = append(placed, f)
		}
	}
	if err := checkPlaces(placed); err != nil {
		return err
	}
	if w.opt.Force {
		return nil
	}
	return checkImages(placed, w.table, 0)
}

func (w *writing) job(ctx context.Context, s *session) error {
	defer func() {
		w.report.Chip, w.report.Troubles, w.report.Stray = s.chip, s.troubles, s.stray
		w.report.Baud = s.rates[s.rate]
	}()
	if err := s.chip.refusal(); err != nil {
		return err
	}
	if err := w.fit(ctx, s); err != nil {
		return err
	}
	if err := w.patch(); err != nil {
		return err
	}
	for round := 0; ; round++ {
		differ, err := w.compare(ctx, s, round)
		if err != nil {
			return err
		}
		if len(differ) == 0 {
			s.wrote = false
			return nil
		}
		if round == maxRounds {
			return &Error{Verdict: StuckBits, Offset: differ[0].Offset, Tries: round}
		}
		if err := w.write(ctx, s, differ); err != nil {
			return err
		}
	}
}

// fit resolves names and does the checks that need the chip.
func (w *writing) fit(ctx context.Context, s *session) error {
	for i := range w.files {
		if w.files[i].Offset < 0 {
			if err := w.readTable(ctx, s); err != nil {
				return err
			}
			if err := place(w.files, w.table); err != nil {
				return err
			}
			break
		}
	}
	if err := checkPlaces(w.files); err != nil {
		return err
	}
	if err := checkFit(w.files, s.chip.FlashSize, w.table); err != nil {
		return err
	}
	if w.opt.Force {
		return nil
	}
	return checkImages(w.files, w.table, uint16(s.chip.Revision.Major)*100+uint16(s.chip.Revision.Minor))
}

// readTable takes the partition table from the board, if it has a good one.
func (w *writing) readTable(ctx context.Context, s *session) error {
	if w.table != nil {
		return nil
	}
	t, err := s.readTable(ctx)
	if err == nil {
		w.table = t
	}
	if _, ok := errors.AsType[*espimage.TableError](err); ok {
		return nil
	}
	return err
}

// patch rewrites the flash settings of the bootloader. From here on the patched
// file is what the flash is compared with.
func (w *writing) patch() error {
	if w.opt.Settings == nil {
		return nil
	}
	for i := range w.files {
		f := &w.files[i]
		b := f.inside(espimage.BootloaderOffset)
		if b == nil {
			continue
		}
		patched, err := espimage.Patch(b, *w.opt.Settings)
		if err != nil {
			return f.refuse("leave its flash settings as they are", "%v", err)
		}
		f.Data = append(bytes.Clone(f.Data[:len(f.Data)-len(b)]), patched...)
	}
	return nil
}

// compare gives the files that the flash does not hold.
func (w *writing) compare(ctx context.Context, s *session, round int) ([]File, error) {
	phase := Verifying
	if round == 0 {
		phase = Comparing
	}
	s.meter.begin(phase, "", w.report.Size)
	var differ []File
	var done int64
	for i := range w.files {
		f := &w.files[i]
		same, err := s.same(ctx, piece{file: f, off: f.Offset, data: f.Data})
		if err != nil {
			return nil, err
		}
		if !same {
			differ = append(differ, *f)
		}
		done += int64(len(f.Data))
		s.meter.set(done)
	}
	return differ, nil
}

// maxRounds is how often a region is written again before the flash is blamed.
const maxRounds = 12

// write writes the sectors of files that differ, piece after piece.
func (w *writing) write(ctx context.Context, s *session, files []File) error {
	if err := w.readTable(ctx, s); err != nil {
		return err
	}
	if err := checkFit(files, s.chip.FlashSize, w.table); err != nil {
		return err
	}
	type job struct {
		piece
		bad []piece
	}
	var jobs []job
	var total int64
	for _, p := range pieces(files, w.table) {
		bad, err := s.differing(ctx, p)
		if err != nil {
			return err
		}
		for _, b := range bad {
			total += roundUp(b.size())
		}
		jobs = append(jobs, job{p, bad})
	}
	s.meter.begin(Writing, "", total)
	var done int64
	for _, j := range jobs {
		s.meter.now.File = j.file.Name
		n, err := s.put(ctx, j.piece, j.bad, done)
		w.report.Written += n
		if err != nil {
			return err
		}
		for _, b := range j.bad {
			done += roundUp(b.size())
		}
		s.meter.set(done)
	}
	return nil
}

// put writes the bad sectors of a piece and compares, until none is left.
func (s *session) put(ctx context.Context, p piece, bad []piece, done int64) (written int64, err error) {
	for round := 0; len(bad) > 0; round++ {
		switch round {
		case maxRounds / 2:
			s.lower()
			if err := s.reach(ctx); err != nil {
				return written, err
			}
		case maxRounds:
			return written, s.blame(ctx, bad[0], round)
		}
		if round >= 2 {
			if err := s.unprotect(ctx); err != nil {
				return written, err
			}
		}
		for _, run := range join(bad) {
			if err := s.writeRun(ctx, run, done+written); err != nil {
				return written, err
			}
			written += roundUp(run.size())
		}
		if bad, err = s.differing(ctx, p); err != nil {
			return written, err
		}
		if len(bad) > 0 {
			s.stray = true
		}
	}
	return written, nil
}

// writeRun writes one run. After trouble only what is still wrong is written
// again: what was verified stays.
func (s *session) writeRun(ctx context.Context, run piece, done int64) error {
	s.wrote = true
	todo := []piece{run}
	err := s.try(ctx, func(ctx context.Context) error {
		if todo == nil {
			bad, err := s.differing(ctx, run)
			if err != nil {
				return err
			}
			todo = join(bad)
		}
		now := todo
		todo = nil
		for _, r := range now {
			if err := s.deflate(ctx, r, done+r.off-run.off); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	sum, err := s.digest(ctx, run.off, run.size())
	if err == nil && run.same(sum) {
		s.progress()
	}
	return err
}

// deflate erases a region and sends its content compressed. Whatever goes wrong
// within, the sequence has to begin anew: the ROM uses up a sequence number even
// when it refuses the block (esp32-serial 12).
func (s *session) deflate(ctx context.Context, p piece, done int64) error {
	data := p.padded()
	size := int64(len(data))
	if p.blank() { // erased is all it has to be
		blocks := uint32(size / esprom.ROMBlock)
		_, err := s.l.call(ctx, esprom.Begin{
			Op: esprom.FlashBegin, Size: uint32(size), Blocks: blocks, BlockSize: esprom.ROMBlock, Offset: uint32(p.off),
		}, size)
		return err
	}
	z, err := s.compress(data)
	if err != nil {
		return err
	}
	blocks := (len(z) + esprom.ROMBlock - 1) / esprom.ROMBlock
	begin := esprom.Begin{
		Op: esprom.DeflBegin, Size: uint32(size), Blocks: uint32(blocks),
		BlockSize: esprom.ROMBlock, Offset: uint32(p.off),
	}
	if _, err := s.l.call(ctx, begin, size); err != nil {
		return err
	}
	for seq := range blocks {
		block := z[seq*esprom.ROMBlock : min((seq+1)*esprom.ROMBlock, len(z))]
		if _, err := s.l.call(ctx, esprom.Data{Op: esprom.DeflData, Seq: uint32(seq), Block: block}, size); err != nil {
			return err
		}
		s.meter.set(done + size*int64(seq+1)/int64(blocks))
	}
	return nil
}

// compress makes one zlib stream, as the ROM inflates it.
func (s *session) compress(data []byte) ([]byte, error) {
	s.packed.Reset()
	if s.packer == nil {
		var err error
		if s.packer, err = zlib.NewWriterLevel(&s.packed, zlib.BestCompression); err != nil {
			return nil, fmt.Errorf("compress: %w", err)
		}
	} else {
		s.packer.Reset(&s.packed)
	}
	if _, err := s.packer.Write(data); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := s.packer.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return s.packed.Bytes(), nil
}
