package flash

import (
	"bytes"
	"context"

	"porthole/internal/espimage"
	"porthole/internal/esprom"
)

// unprotect clears the write protection of the flash, if that is why it keeps
// its content.
func (s *session) unprotect(ctx context.Context) error {
	return s.try(ctx, func(ctx context.Context) error {
		was, err := s.l.unprotect(ctx)
		if was && err == nil {
			s.meter.note("the flash was write-protected; the protection is lifted")
		}
		return err
	})
}

// blame says what is wrong with a flash that does not take a sector.
func (s *session) blame(ctx context.Context, sector piece, tries int) error {
	e := &Error{Verdict: StuckBits, Offset: sector.off, Tries: tries}
	have := make([]byte, min(sector.size(), esprom.SlowBlock))
	if err := s.try(ctx, func(ctx context.Context) error { return s.l.readSlow(ctx, sector.off, have) }); err != nil {
		return err
	}
	want := sector.data[:len(have)]
	sum, err := s.digest(ctx, sector.off, sector.size())
	if err != nil {
		return err
	}
	switch {
	case sum == espimage.ErasedDigest(sector.size()):
		e.Verdict = NotWritten
	case !bytes.Equal(have, want) && !subset(have, want):
		// Zeros that should be ones, not explained by what was written.
		e.Verdict = NotErased
		if !subset(want, have) {
			e.Verdict = NotWritten
		}
	}
	return e
}

// subset says that every zero of a is a zero of b too.
func subset(a, b []byte) bool {
	for i := range a {
		if a[i]&b[i] != b[i] {
			return false
		}
	}
	return true
}
