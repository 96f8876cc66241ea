package flash_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"porthole/hil/flash"
	"porthole/internal/espimage"
	"porthole/sim/board"
)

// TestInterrupt ends the work at many points: the chip is then in reset, or
// unchanged and running, and running the same again ends well.
func TestInterrupt(t *testing.T) {
	for _, after := range []time.Duration{
		0, 5 * time.Millisecond, 60 * time.Millisecond, 150 * time.Millisecond, 200 * time.Millisecond,
		250 * time.Millisecond, 300 * time.Millisecond, 400 * time.Millisecond, 500 * time.Millisecond, 600 * time.Millisecond,
	} {
		t.Run(after.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				files := small(t)
				b := newBench(t, options{board: board.Config{Pace: true, Latency: true}})
				defer b.close()
				ctx, cancel := context.WithTimeoutCause(t.Context(), after, context.Canceled)
				defer cancel()
				began := time.Now()
				_, err := b.flasher.Write(ctx, files, flash.WriteOptions{})
				stop, ok := errors.AsType[*flash.InterruptedError](err)
				if !ok || !stop.Cancelled {
					t.Fatalf("%v, want an interruption", err)
				}
				if errors.Is(err, context.Canceled) {
					t.Error("counts as an orderly end")
				}
				if late := time.Since(began) - after; late > 500*time.Millisecond {
					t.Errorf("ended %v after it was told to", late)
				}
				touched := !espimage.Erased(b.read(0, 4<<20))
				if touched && !stop.Wrote {
					t.Error("the flash was changed, and it says unchanged")
				}
				time.Sleep(time.Second)
				state := b.board.Status().State
				if stop.Wrote && (!stop.Held || state != board.StateReset || !strings.Contains(err.Error(), "held in reset")) {
					t.Errorf("state %v, %v", state, err)
				}
				if !stop.Wrote && state == board.StateReset {
					t.Errorf("nothing was written, and the chip is left in reset: %v", err)
				}
				report, err := b.flasher.Write(t.Context(), files, flash.WriteOptions{})
				if err != nil || report.Boot.State != flash.BootConfirmed {
					t.Fatalf("again: %+v, %v", report, err)
				}
				b.holds(files)
			})
		})
	}
}

// TestUnplug pulls the cable in the middle: the port is opened again and the
// work goes on; when it does not come back, that is the verdict.
func TestUnplug(t *testing.T) {
	for _, tt := range []struct {
		name  string
		gone  time.Duration
		heals bool
	}{
		{"for 3 s", 3 * time.Second, true},
		{"for good", 24 * time.Hour, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				files := small(t)
				b := newBench(t, options{board: board.Config{Pace: true, Latency: true}})
				defer b.close()
				pulled := false
				b.onTell = func(p flash.Progress) {
					if p.Phase == flash.Writing && p.Done > p.Total/2 && !pulled {
						pulled = true
						b.board.SetPlugged(false)
						time.AfterFunc(tt.gone, func() { b.board.SetPlugged(true) })
					}
				}
				report, err := b.flasher.Write(t.Context(), files, flash.WriteOptions{})
				if !tt.heals {
					e, ok := errors.AsType[*flash.Error](err)
					if !ok || e.Verdict != flash.Gone {
						t.Fatalf("%v, want %v", err, flash.Gone)
					}
					time.Sleep(25 * time.Hour) // let the timer end
					return
				}
				if err != nil || !pulled || b.opens < 2 || report.Boot.State != flash.BootConfirmed {
					t.Fatalf("opened %d times, %+v, %v", b.opens, report, err)
				}
				b.holds(files)
			})
		})
	}
}

// TestNoLines works on a port that cannot reset, with a chip that somebody put
// into its loader.
func TestNoLines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t, options{bare: true})
		defer b.close()
		files := small(t)
		time.Sleep(time.Second)
		_, err := b.flasher.Write(t.Context(), files, flash.WriteOptions{})
		if e, ok := errors.AsType[*flash.Error](err); !ok || e.Verdict != flash.NoLines {
			t.Fatalf("%v, want %v", err, flash.NoLines)
		}
		b.board.Restart(true)
		report, err := b.flasher.Write(t.Context(), files, flash.WriteOptions{})
		if err != nil || report.Boot.State != flash.BootNoLines {
			t.Fatalf("%+v, %v", report, err)
		}
		b.holds(files)
		time.Sleep(time.Second)
		if state := b.board.Status().State; state != board.StateApp && state != board.StateBoot {
			t.Errorf("the chip was not started: %v", state)
		}
		// The loader may be waiting at the rate of an earlier session.
		b.board.Restart(true)
		ctx, cancel := context.WithCancel(t.Context())
		b.onTell = func(p flash.Progress) {
			if p.Phase == flash.Comparing {
				cancel()
			}
		}
		if _, err := b.flasher.Write(ctx, files, flash.WriteOptions{}); err == nil {
			t.Fatal("not interrupted")
		}
		b.onTell = nil
		if _, err := b.flasher.Write(t.Context(), files, flash.WriteOptions{}); err != nil {
			t.Errorf("after an interruption at a high rate: %v", err)
		}
	})
}

// TestResetLadder starts boards with every time constant of EN.
func TestResetLadder(t *testing.T) {
	for _, en := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 75 * time.Millisecond, 150 * time.Millisecond, 500 * time.Millisecond} {
		t.Run(en.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBench(t, options{board: board.Config{EN: en, Pace: true}})
				defer b.close()
				began := time.Now()
				if _, err := b.flasher.Info(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > 2*en+500*time.Millisecond {
					t.Errorf("took %v", took)
				}
			})
		})
	}
	t.Run("without a banner", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			b := newBench(t, options{board: board.Config{Strap: 0x11, Pace: true}}) // GPIO15 low
			defer b.close()
			files := small(t)
			report, err := b.flasher.Write(t.Context(), files, flash.WriteOptions{})
			if err != nil || report.Boot.State != flash.BootSilent {
				t.Fatalf("%+v, %v", report, err)
			}
			b.holds(files)
		})
	})
}

// TestOrder checks what is written when: the application after the rest, the
// OTA selection last, also where all of it is one file.
func TestOrder(t *testing.T) {
	merged := func(t *testing.T) []flash.File {
		all := bytes.Repeat([]byte{0xFF}, 0x16000)
		for _, f := range small(t) {
			copy(all[f.Offset:], f.Data)
		}
		return []flash.File{{Name: "merged.bin", Offset: 0, Data: all}}
	}
	for _, tt := range []struct {
		name  string
		files func(*testing.T) []flash.File
	}{{"files", func(t *testing.T) []flash.File { return small(t) }}, {"merged", merged}} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var order []uint64
				b := newBench(t, options{board: board.Config{Trace: func(e board.TraceEvent) {
					if e.Kind == board.TraceProgram {
						order = append(order, e.A)
					}
				}}})
				defer b.close()
				files := tt.files(t)
				if _, err := b.flasher.Write(t.Context(), files, flash.WriteOptions{}); err != nil {
					t.Fatal(err)
				}
				b.holds(files)
				rank := func(at uint64) int {
					switch {
					case at >= 0xE000 && at < 0x10000:
						return 2
					case at >= 0x10000:
						return 1
					}
					return 0
				}
				seen := map[int]bool{}
				for i, at := range order {
					seen[rank(at)] = true
					if i > 0 && rank(at) < rank(order[i-1]) {
						t.Errorf("0x%x is written after 0x%x", at, order[i-1])
					}
				}
				if len(seen) != 3 {
					t.Errorf("wrote %x", order)
				}
			})
		})
	}
}
