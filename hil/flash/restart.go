package flash

import (
	"context"
	"errors"
	"slices"
	"time"

	"porthole/hil"
	"porthole/internal/esprom"
)

// restart runs the chip from flash and waits for its banner.
func (s *session) restart(ctx context.Context) (Boot, error) {
	s.meter.begin(Restarting, "", 0)
	if s.noLines {
		return Boot{State: BootNoLines}, s.leave(ctx)
	}
	pulses := slices.Clone(hardResets)
	for i := 0; i < len(pulses); i++ {
		err := s.pulse(ctx, pulses[i])
		if err == nil && s.log.banners > 0 && !s.log.banner.Download() {
			return Boot{State: BootConfirmed, Banner: s.log.banner}, nil
		}
		if err != nil {
			if !trouble(err) {
				return Boot{}, err
			}
			if err := s.trouble(ctx, err); err != nil {
				return Boot{}, err
			}
			s.drop()
			if err := s.open(ctx); err != nil {
				return Boot{}, err
			}
		}
		// Trouble takes no try from the ladder, up to the same patience.
		if (err != nil || s.log.banners > 0) && len(pulses) < connectTries {
			pulses = append(pulses, pulse)
		}
	}
	if s.log.banners == 0 {
		return Boot{State: BootSilent}, nil
	}
	return Boot{State: BootLoader, Banner: s.log.banner},
		&Error{Verdict: WrongMode, Tries: len(pulses), Err: errors.New("the flash is as wanted, but the chip stays in its loader: is BOOT held down?")}
}

// bannerWait is how long a started chip may take to print its banner.
const bannerWait = 1500 * time.Millisecond

func (s *session) pulse(ctx context.Context, low time.Duration) error {
	if s.l == nil {
		return &goneError{errors.New("closed")}
	}
	if err := s.l.setBaud(hil.DefaultBaud); err != nil {
		return err
	}
	if err := s.l.apply(ctx, []Step{{false, true, low, false}}); err != nil {
		return err
	}
	if err := s.l.forget(); err != nil {
		return err
	}
	s.log.restart()
	if err := s.l.apply(ctx, []Step{{}}); err != nil {
		return err
	}
	s.l.opaque = false
	for until := time.Now().Add(bannerWait); s.log.banners == 0; {
		err := s.l.fill(ctx, until)
		if errors.Is(err, errSilent) {
			break
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leave has the loader start the flash without a reset.
func (s *session) leave(ctx context.Context) error {
	for _, cmd := range []esprom.Command{
		esprom.Begin{Op: esprom.FlashBegin, BlockSize: esprom.ROMBlock}, esprom.End{Op: esprom.FlashEnd},
	} {
		if _, err := s.l.call(ctx, cmd, 0); err != nil {
			if !trouble(err) {
				return err
			}
			s.cfg.Log.Info("leave loader", "error", err)
			return nil // a person resets the board; the work is done
		}
	}
	return nil
}

// abandon leaves the chip in a state that does no harm, and says which.
func (s *session) abandon(ctx context.Context, cause error) error {
	cancelled := ctx.Err() != nil
	if !cancelled && !s.wrote {
		s.release()
		return cause
	}
	e := &InterruptedError{Cause: cause, Cancelled: cancelled, Wrote: s.wrote}
	if !s.wrote {
		s.release()
		return e
	}
	if s.l == nil {
		if port, err := s.cfg.Open(context.WithoutCancel(ctx)); err == nil {
			s.l = newLink(port, &s.log)
		}
	}
	e.Held = s.l != nil && s.l.lines(false, true) == nil
	return e
}

// release restarts the chip as it was, without waiting for anything.
func (s *session) release() {
	if s.l == nil || s.noLines || s.resets == 0 {
		return
	}
	if err := s.l.lines(false, true); err != nil {
		s.cfg.Log.Warn("restart chip", "error", err)
		return
	}
	time.Sleep(pulse)
	if err := s.l.lines(false, false); err != nil {
		s.cfg.Log.Warn("restart chip", "error", err)
	}
}
