package monitor

import (
	"context"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"porthole/hil"
	"porthole/hil/backtrace"
	"porthole/hil/backtrace/backtracetest"
	"porthole/internal/espimage"
	"porthole/sim/board"
)

// wirePort is the cable to a simulated board as a port.
type wirePort struct{ *board.Wire }

var _ hil.Port = wirePort{}

func (p wirePort) Discard() error { return p.Purge() }

// simulated is a board with an application, or with an erased flash.
func simulated(t *testing.T, seed uint64, erased bool) *board.Board {
	t.Helper()
	image, err := board.DemoImage(espimage.Demo{Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	if erased {
		image = nil
	}
	flash, err := board.NewFlash(image, 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	program, err := board.ReadELF(backtracetest.ELF())
	if err != nil {
		t.Fatal(err)
	}
	firmware, err := board.NewFirmware(board.FirmwareConfig{ELF: program, Seed: seed, Speed: 1, Network: new(board.World)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := board.New(board.Config{Seed: seed, Flash: flash, Program: firmware})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSimulatedBoard: what the simulated board does wrong, the monitor names.
func TestSimulatedBoard(t *testing.T) {
	program, err := backtrace.Parse(backtracetest.ELF())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		erased bool
		wrong  func(*board.Board) error // done whenever the application runs
		crash  bool
		cause  Cause
	}{
		{"panic", false, func(b *board.Board) error { return b.Panic("") }, true, Panic},
		{"erased flash", true, nil, false, BadFlash},
		{"EN pulled", false, func(b *board.Board) error { b.PressEN(true); b.PressEN(false); return nil }, false, PowerOn},
	} {
		for seed := range uint64(5) {
			synctest.Test(t, func(t *testing.T) {
				b := simulated(t, seed, c.erased)
				defer b.Close()
				wire, err := b.Connect()
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				started := regexp.MustCompile(`porthole: boot `)
				var crashes []*Crash
				var loop *Loop
				_, err = Run(ctx, Config{Port: wirePort{wire}, Program: program, Emit: func(i Item) error {
					switch {
					case i.Crash != nil:
						crashes = append(crashes, i.Crash)
					case i.Loop != nil:
						loop = i.Loop
						stop()
					case i.Line != nil && c.wrong != nil && started.MatchString(i.Line.Text):
						time.AfterFunc(100*time.Millisecond, func() {
							if err := c.wrong(b); err != nil && ctx.Err() == nil {
								t.Errorf("%s: %v", c.name, err)
							}
						})
					}
					return nil
				}})
				if err != nil {
					t.Fatal(err)
				}
				if loop == nil || loop.Cause != c.cause || loop.Resets != 3 {
					t.Errorf("%s, seed %d: loop %v, want cause %s", c.name, seed, loop, c.cause)
				}
				if (len(crashes) > 0) != c.crash {
					t.Errorf("%s, seed %d: %d crashes", c.name, seed, len(crashes))
				}
				for _, crash := range crashes {
					if crash.Reason != board.DefaultPanic || !crash.Checked || len(crash.Calls) < 3 {
						t.Errorf("%s, seed %d: crash %v", c.name, seed, crash)
					}
					for _, call := range crash.Calls {
						if len(call.Frames) == 0 || call.Frames[0].Func == "" {
							t.Errorf("%s, seed %d: no name for 0x%x", c.name, seed, call.Addr)
						}
					}
				}
			})
		}
	}
}
