package flash

import (
	"context"

	"porthole/internal/espimage"
	"porthole/internal/esprom"
)

// blockSize is the middle step of a comparison, in bytes: the erase block of the
// flash.
const blockSize = 64 << 10

// digest asks for the MD5 of a region until it is answered.
func (s *session) digest(ctx context.Context, off, size int64) (sum [16]byte, err error) {
	err = s.try(ctx, func(ctx context.Context) error {
		sum, err = s.l.digest(ctx, off, size)
		return err
	})
	return sum, err
}

// differing gives the sectors of a piece that the flash does not hold, by one
// digest of the whole, then of its blocks, then of the sectors of those that
// differ. Where the flash is erased nothing more is asked.
func (s *session) differing(ctx context.Context, p piece) ([]piece, error) {
	sum, err := s.digest(ctx, p.off, p.size())
	if err != nil || p.same(sum) {
		return nil, err
	}
	if sum == espimage.ErasedDigest(p.size()) {
		var out []piece
		for _, sector := range p.split(espimage.SectorSize) {
			if !sector.blank() {
				out = append(out, sector)
			}
		}
		return out, nil
	}
	unit := int64(espimage.SectorSize)
	if len(p.split(blockSize)) > 1 {
		unit = blockSize
	} else if p.size() <= espimage.SectorSize && len(p.split(unit)) == 1 {
		return []piece{p}, nil
	}
	var out []piece
	for _, part := range p.split(unit) {
		some, err := s.differing(ctx, part)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

// same asks whether the flash holds a piece, so that a yes can be relied upon:
// no answer to an older question is on the way, and a no is asked twice.
func (s *session) same(ctx context.Context, p piece) (bool, error) {
	for range 2 {
		if err := s.try(ctx, s.barrier); err != nil {
			return false, err
		}
		sum, err := s.digest(ctx, p.off, p.size())
		if err != nil {
			return false, err
		}
		if p.same(sum) {
			return true, nil
		}
	}
	return false, nil
}

// barrier asks something else and waits for its answer. Answers come in order:
// behind it, none to an older digest can come.
func (s *session) barrier(ctx context.Context) error {
	_, err := s.l.sureReg(ctx, esprom.RegMagic)
	return err
}
