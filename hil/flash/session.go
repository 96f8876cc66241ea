package flash

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"time"

	"porthole/hil"
	"porthole/internal/esprom"
)

// session is one job on one board: the port, what is known of the chip, and the
// patience that is left.
type session struct {
	cfg   Config
	l     *link // nil while the port is closed
	log   evidence
	chip  Chip
	known bool // chip is filled in
	meter meter

	noLines bool
	rates   []int // highest first
	rate    int   // index of the one to use
	opened  bool  // the port was open once

	wrote    bool // the flash is being changed
	failures int  // troubles since anything was verified
	atRate   int  // of them, on the line, at this rate
	troubles int  // altogether
	resets   int
	last     error
	packed   bytes.Buffer
	packer   *zlib.Writer
	stray    bool // a BEGIN may have hit another place
}

// Patience.
const (
	connectTries = 10 // resets until the chip is given up
	syncTries    = 5  // after each
	maxFailures  = 30 // troubles without any progress
	rateFailures = 4  // troubles at a rate until a lower one is used
	reopenPause  = 100 * time.Millisecond
)

func newSession(cfg Config) *session {
	s := &session{cfg: cfg, meter: meter{tell: cfg.Progress}}
	s.rates = []int{cfg.Baud}
	for _, r := range rates {
		if r < cfg.Baud {
			s.rates = append(s.rates, r)
		}
	}
	return s
}

func (s *session) close() {
	s.drop()
}

// drop closes the port, if it is open.
func (s *session) drop() {
	if s.l != nil {
		if err := s.l.port.Close(); err != nil {
			s.cfg.Log.Debug("close port", "error", err)
		}
		s.l = nil
	}
}

// open opens the port. One that was there before is waited for.
func (s *session) open(ctx context.Context) error {
	until := time.Now().Add(s.cfg.Patience)
	for {
		port, err := s.cfg.Open(ctx)
		if err == nil {
			s.l, s.opened = newLink(port, &s.log), true
			return nil
		}
		if !s.opened || ctx.Err() != nil {
			return err
		}
		if time.Now().After(until) {
			return &Error{Verdict: Gone, Err: err}
		}
		if err := sleep(ctx, reopenPause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start opens the port and connects.
func (s *session) start(ctx context.Context) error {
	s.meter.begin(Connecting, "", 0)
	return s.reach(ctx)
}

// reach brings the chip into its loader and makes ready, however often that
// takes.
func (s *session) reach(ctx context.Context) error {
	for {
		err := s.attempt(ctx)
		if err == nil || !trouble(err) {
			return err
		}
		if err := s.trouble(ctx, err); err != nil {
			return err
		}
		if _, gone := errors.AsType[*goneError](err); gone {
			s.drop()
		}
	}
}

func (s *session) attempt(ctx context.Context) error {
	if s.l == nil {
		if err := s.open(ctx); err != nil {
			return err
		}
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	return s.prepare(ctx)
}

// connect resets the chip into its loader and gets its attention.
func (s *session) connect(ctx context.Context) error {
	for try := range connectTries {
		s.log.restart()
		strategy := ladder[try%len(ladder)]
		if err := s.enter(ctx, strategy, try); err != nil {
			return err
		}
		if s.noLines || s.log.banners == 0 || s.log.banner.Download() {
			ok, err := s.attention(ctx)
			if err != nil {
				return err
			}
			if ok {
				return nil
			}
		}
		s.cfg.Log.Info("not in the loader", "reset", strategy.Name, "try", try+1, "banners", s.log.banners, "strap", s.log.banner.Strap)
		if s.log.brownouts >= loopCount || s.log.powerOns >= loopCount {
			break
		}
	}
	return &Error{Verdict: s.log.verdict(!s.noLines), Tries: connectTries, Log: s.log.text()}
}

// enter does one reset. Without lines the chip may be in its loader at any rate
// that an earlier session left behind.
func (s *session) enter(ctx context.Context, strategy Strategy, try int) error {
	baud := hil.DefaultBaud
	if s.noLines {
		all := append([]int{hil.DefaultBaud}, s.rates...)
		baud = all[try%len(all)]
	}
	if err := s.l.setBaud(baud); err != nil {
		return err
	}
	if err := s.l.forget(); err != nil {
		return err
	}
	if s.noLines {
		return nil
	}
	s.resets++
	err := s.l.apply(ctx, strategy.Steps)
	if errors.Is(err, hil.ErrNoLines) {
		s.noLines = true
		return nil
	}
	return err
}

// attention sends SYNC until it is answered.
func (s *session) attention(ctx context.Context) (bool, error) {
	for range syncTries {
		stub, err := s.l.sync(ctx)
		switch {
		case err == nil && stub:
			return false, s.leaveStub(ctx)
		case err == nil:
			return true, nil
		case !trouble(err):
			return false, err
		}
		if _, gone := errors.AsType[*goneError](err); gone {
			return false, err
		}
		if errors.Is(err, errReset) && !s.noLines {
			return false, nil
		}
	}
	return false, nil
}

// leaveStub sends a stub that somebody left running back to the ROM
// (esp32-serial 2.3).
func (s *session) leaveStub(ctx context.Context) error {
	for _, cmd := range []esprom.Command{
		esprom.Begin{Op: esprom.FlashBegin, BlockSize: esprom.StubBlock}, esprom.End{Op: esprom.FlashEnd},
	} {
		req := cmd.Request()
		if _, err := s.l.exchange(ctx, req, esprom.WaitFor(req.Op, 0)); err != nil && !trouble(err) {
			return err
		}
	}
	return s.l.quiet(ctx, syncSilence, time.Second)
}

// prepare identifies the chip, raises the rate and attaches the flash.
func (s *session) prepare(ctx context.Context) error {
	magic, err := s.l.sureReg(ctx, esprom.RegMagic)
	if err != nil {
		return err
	}
	if magic != esprom.ChipMagic {
		return &RefusedError{
			Why: fmt.Sprintf("the chip is not an ESP32: it calls itself 0x%08x", magic),
			Do:  "only the classic ESP32 is supported",
		}
	}
	if s.rates[s.rate] != s.l.baud {
		if err := s.raise(ctx); err != nil {
			return err
		}
	}
	if err := s.recognise(ctx); err != nil {
		return err
	}
	return s.attach(ctx)
}

// recognise reads who the chip is, and later makes sure that it still is.
func (s *session) recognise(ctx context.Context) error {
	chip, err := s.l.identify(ctx)
	if err != nil {
		return err
	}
	if !s.known {
		chip.Crystal = s.chip.Crystal
		s.chip = chip
		return nil
	}
	if chip.MAC != s.chip.MAC {
		return &Error{Verdict: OtherBoard, Err: fmt.Errorf("%v instead of %v", chip.MAC, s.chip.MAC)}
	}
	return nil
}

// attach connects the flash and says how large it is.
func (s *session) attach(ctx context.Context) error {
	if _, err := s.l.call(ctx, esprom.Attach{Pins: s.chip.Pads, ROM: true}, 0); err != nil {
		return err
	}
	if !s.known {
		id, err := s.l.flashID(ctx)
		if err != nil {
			return err
		}
		size := esprom.FlashSize(id)
		if size == 0 {
			return fmt.Errorf("identify flash: it answers 0x%06x: %w", id, errGarbled)
		}
		s.chip.FlashID, s.chip.FlashSize, s.known = id, int64(size), true
	}
	_, err := s.l.call(ctx, esprom.ParamsFor(uint32(s.chip.FlashSize)), 0)
	return err
}

// settleTime is what both ends may take to change the rate.
const settleTime = 10 * time.Millisecond

// raise changes to the rate of the session and makes sure that it works; if it
// does not, the next connection uses a lower one.
func (s *session) raise(ctx context.Context) error {
	crystal, believed, err := s.l.clock(ctx)
	if err != nil {
		return err
	}
	s.chip.Crystal = int(crystal / 1_000_000)
	rate := s.rates[s.rate]
	ask := uint64(rate) * believed / crystal
	if _, err := s.l.call(ctx, esprom.Baud{New: uint32(ask)}, 0); err != nil {
		return err
	}
	if err := s.l.setBaud(rate); err != nil {
		return err
	}
	if err := s.l.quiet(ctx, settleTime, 10*settleTime); err != nil {
		return err
	}
	for good, try := 0, 0; try < 5; try++ {
		if err := s.l.forget(); err != nil {
			return err
		}
		req := esprom.ReadReg{Addr: esprom.RegMagic}.Request()
		resp, err := s.l.exchange(ctx, req, 150*time.Millisecond)
		if err == nil && resp.Value == esprom.ChipMagic {
			if good++; good == 2 {
				return nil
			}
		} else if err != nil && !errors.Is(err, errSilent) {
			return err
		}
	}
	s.lower()
	return fmt.Errorf("change to %d baud: %w", rate, errSilent)
}

// lower chooses the next lower rate, if there is one.
func (s *session) lower() {
	s.atRate = 0
	if s.rate+1 < len(s.rates) {
		s.rate++
		s.meter.note(fmt.Sprintf("going on at %d baud", s.rates[s.rate]))
	}
}
