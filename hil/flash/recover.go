package flash

import (
	"context"
	"errors"
	"time"
)

// try does a step until it succeeds, healing trouble in between.
func (s *session) try(ctx context.Context, step func(context.Context) error) error {
	for {
		err := step(ctx)
		if err == nil || !trouble(err) {
			return err
		}
		if err := s.recover(ctx, err); err != nil {
			return err
		}
	}
}

// recover makes the loader listen again after an error: by a new SYNC, by a
// reset, by opening the port again.
func (s *session) recover(ctx context.Context, cause error) error {
	if err := s.trouble(ctx, cause); err != nil {
		return err
	}
	if _, gone := errors.AsType[*goneError](cause); gone {
		s.drop()
		return s.reach(ctx)
	}
	if errors.Is(cause, errReset) {
		return s.reach(ctx)
	}
	if s.atRate++; s.atRate >= rateFailures {
		s.lower()
		return s.reach(ctx)
	}
	if err := s.resync(ctx); err == nil || !trouble(err) {
		return err
	}
	return s.reach(ctx)
}

// resync ends a frame that the loader may be in the middle of, gets its
// attention and sets again what a garbled command may have changed.
func (s *session) resync(ctx context.Context) error {
	if err := s.l.write([]byte{0xC0, 0xC0}); err != nil {
		return err
	}
	if err := s.l.quiet(ctx, 20*time.Millisecond, 300*time.Millisecond); err != nil {
		return err
	}
	var err error
	for range 2 {
		if _, err = s.l.sync(ctx); err == nil {
			return s.attach(ctx)
		}
		if !errors.Is(err, errSilent) {
			return err
		}
	}
	return err
}

// trouble counts what went wrong and ends the work when there is no hope left.
func (s *session) trouble(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.troubles++
	s.failures++
	s.last = err
	s.cfg.Log.Info("trouble", "error", err, "baud", s.rates[s.rate], "in a row", s.failures)
	verdict := BadLine
	switch {
	case s.log.brownouts >= loopCount:
		verdict = BrownoutLoop
	case s.log.powerOns >= loopCount:
		verdict = PowerLoop
	case s.failures < maxFailures:
		return nil
	}
	return &Error{Verdict: verdict, Tries: s.failures, Log: s.log.text(), Err: err}
}

// progress is called when something was verified: patience begins anew.
func (s *session) progress() {
	s.failures, s.atRate = 0, 0
	s.log.brownouts, s.log.powerOns, s.log.waited = 0, 0, false
}
