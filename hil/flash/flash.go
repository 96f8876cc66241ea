// Package flash writes, reads and checks the flash of an ESP32 over its serial
// port, through the loader in its ROM: nothing is uploaded to the chip.
//
//	files ─▶ plan ─▶ connect ─▶ compare by MD5 ─▶ write what differs ─▶ verify ─▶ restart
//	                   ▲                                  │
//	                   └──────── recover ◀── trouble ─────┘
//
// What a caller may rely on:
//
//   - A reported success means that the flash was compared with the files, by
//     the chip's own digest, after the last write and behind a barrier that no
//     stale answer passes.
//   - Only sectors of 4 KB that differ are erased and written. An unchanged
//     file costs one digest.
//   - The order keeps the board bootable for as long as possible: bootloader,
//     table and data first, applications then, the OTA selection last of all.
//   - Trouble on the line is healed by resynchronising, by resetting the chip,
//     by opening the port again or by a lower rate, whatever helps first; the
//     work goes on where the flash is verified. What cannot be healed ends in
//     an error that names the likely cause.
//   - Work that began to write and did not end leaves the chip held in reset,
//     never running half a program.
//
// The protocol has one weakness that no host can close: the commands that begin
// a write carry no checksum. A bit that flips there erases or writes elsewhere.
// Inside the files the last comparison finds and repairs that; outside of them
// [Report.Stray] says that it may have happened.
package flash

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"porthole/hil"
)

// Config is how a [Flasher] reaches its board. Only Open is needed.
type Config struct {
	// Open opens the port, and opens it again after it has vanished.
	Open func(context.Context) (hil.Port, error)
	// Baud is the highest rate tried, 0 for [DefaultBaud].
	Baud int
	// Patience is how long a port that vanished is waited for; 0 for 30 s.
	Patience time.Duration
	// Progress, if set, is told how far the work is. It is called from the
	// goroutine that works and must be quick.
	Progress func(Progress)
	// Log gets what happened on the line, never content; nil: discard.
	Log *slog.Logger
}

// DefaultBaud is the rate that is tried first.
const DefaultBaud = 921600

// rates is the ladder below [Config.Baud]: what bridges and cables are known to
// manage (esp32-serial 8).
var rates = []int{921600, 460800, 230400, hil.DefaultBaud}

// A Flasher works on one board. Its methods open the port, reset the chip into
// its loader, do one job, restart the chip and close the port. They are for one
// goroutine at a time.
type Flasher struct{ cfg Config }

// New checks cfg.
func New(cfg Config) (*Flasher, error) {
	if cfg.Open == nil {
		return nil, errors.New("create flasher: no way to open the port")
	}
	if cfg.Baud == 0 {
		cfg.Baud = DefaultBaud
	}
	if cfg.Baud < hil.DefaultBaud || cfg.Baud > maxBaud {
		return nil, fmt.Errorf("create flasher: rate %d is outside %d..%d", cfg.Baud, hil.DefaultBaud, maxBaud)
	}
	if cfg.Patience == 0 {
		cfg.Patience = 30 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Progress == nil {
		cfg.Progress = func(Progress) {}
	}
	return &Flasher{cfg}, nil
}

// maxBaud is the highest rate of common bridges.
const maxBaud = 3_000_000

// run does one job in a session of its own. A job that began to change the
// flash and did not succeed leaves the chip in reset.
func (f *Flasher) run(ctx context.Context, job func(context.Context, *session) error) (boot Boot, err error) {
	s := newSession(f.cfg)
	defer s.close()
	if err := s.start(ctx); err != nil {
		return Boot{}, s.abandon(ctx, err)
	}
	if err := job(ctx, s); err != nil {
		return Boot{}, s.abandon(ctx, err)
	}
	boot, err = s.restart(ctx)
	if err != nil {
		return boot, s.abandon(ctx, err)
	}
	return boot, nil
}
