package flash_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"porthole/hil/flash"
	"porthole/sim/board"
)

// outcome is what came of one schedule.
type outcome struct {
	healed  bool
	corrupt bool // success was reported, and the flash is not as the files say
	err     error
	at      int64
	report  flash.Report
	took    string
}

// flashUnder flashes a board under a schedule of faults.
func flashUnder(t *testing.T, seed uint64, s board.Schedule, files []flash.File) outcome {
	return flashOver(t, seed, s, files, false)
}

// flashOver does the same, also over a port that has no reset lines, with a
// board that enters its loader when it hears a SYNC.
func flashOver(t *testing.T, seed uint64, s board.Schedule, files []flash.File, bare bool) (o outcome) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 0x666c617368))
		b := newBench(t, options{board: board.Config{
			Seed: seed, Faults: s, Pace: rng.IntN(2) == 0, Latency: rng.IntN(2) == 0,
			ROM: board.ROMMode(rng.IntN(2)), AutoDownload: bare,
		}, bare: bare})
		defer b.close()
		took := virtual(func() { o.report, o.err = b.flasher.Write(t.Context(), files, flash.WriteOptions{}) })
		o.took = took.String()
		if o.err == nil {
			o.at = b.differs(files)
			o.corrupt = o.at >= 0
			o.healed = !o.corrupt && (bare || o.report.Boot.State == flash.BootConfirmed)
		}
	})
	return o
}

// schedules is how many seeds are run: a few hundred, or PORTHOLE_SCHEDULES.
func schedules(t testing.TB) int {
	text := os.Getenv("PORTHOLE_SCHEDULES")
	if text == "" {
		return 500
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("PORTHOLE_SCHEDULES=%q is not a number of schedules", text)
	}
	return n
}

// tally counts outcomes per kind of fault.
type tally struct {
	mu                      sync.Mutex
	runs, survivable        int
	healed, healedNot       int
	corrupt                 []string
	failed                  []string
	with, withHealed        map[string]int
	resumed, troubles       int
	withSurv, withSurvHeals map[string]int
}

func (y *tally) add(seed uint64, s board.Schedule, o outcome) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.runs++
	y.troubles += o.report.Troubles
	line := fmt.Sprintf("seed %d, after %s: at 0x%x, boot %q, %v\n%s", seed, o.took, o.at, o.report.Boot.State, o.err, s)
	if o.corrupt {
		y.corrupt = append(y.corrupt, line)
	}
	if s.Heals() {
		y.survivable++
		if o.healed {
			y.healed++
		}
	}
	if !o.healed {
		y.failed = append(y.failed, line)
	}
	seen := map[string]bool{}
	for _, f := range s {
		if seen[f.Name] {
			continue
		}
		seen[f.Name] = true
		y.with[f.Name]++
		if o.healed {
			y.withHealed[f.Name]++
		}
	}
}

// markdown is the table for the benchmarks page.
func (y *tally) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d schedules of 1 to 5 faults, flashing 5 files: %d silent corruptions, %d of %d survivable ones healed (%.2f %%)\n\n",
		y.runs, len(y.corrupt), y.healed, y.survivable, 100*float64(y.healed)/float64(max(y.survivable, 1)))
	b.WriteString("| fault | what it is | schedules with it | healed |\n|---|---|---:|---:|\n")
	for _, spec := range board.FaultSpecs() {
		n := y.with[spec.Name]
		if n == 0 {
			continue
		}
		doc := spec.Doc
		if !spec.Heals {
			doc += " (not counted as survivable)"
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %.2f %% |\n", spec.Name, doc, n, 100*float64(y.withHealed[spec.Name])/float64(n))
	}
	return b.String()
}

// TestFaultSchedules flashes boards on which things go wrong: never a silent
// corruption, and what a careful host can survive is survived.
func TestFaultSchedules(t *testing.T) {
	n := schedules(t)
	y := &tally{with: map[string]int{}, withHealed: map[string]int{}}
	files := small(t)
	const shards = 2
	t.Run("shards", func(t *testing.T) {
		for shard := range shards {
			t.Run(strconv.Itoa(shard), func(t *testing.T) {
				t.Parallel()
				for i := shard; i < n; i += shards {
					seed := uint64(i + 1)
					s := board.RandomSchedule(seed)
					y.add(seed, s, flashUnder(t, seed, s, files))
				}
			})
		}
	})
	t.Logf("\n%s", y.markdown())
	for _, line := range y.corrupt {
		t.Errorf("silent corruption: %s", line)
	}
	for _, line := range y.failed[:min(len(y.failed), 20)] {
		t.Logf("not healed: %s", line)
	}
	if 100*y.healed < 99*y.survivable {
		t.Errorf("healed %d of %d survivable schedules", y.healed, y.survivable)
	}
}

// TestEveryFaultHeals meets each kind of fault at many places of a session.
func TestEveryFaultHeals(t *testing.T) {
	files := small(t)
	places := map[board.Trigger][]uint64{
		board.OnRX: {1, 40, 46, 200, 1000, 3000, 9000}, board.OnTX: {1, 90, 120, 200, 230, 400, 900},
		board.OnCommand: {1, 2, 3, 6, 20, 30, 40, 45, 50, 55, 60, 70}, board.OnSync: {1, 2}, board.OnBaud: {1, 2},
		board.OnErase: {1, 2, 4, 6}, board.OnWrite: {1, 2, 4, 8, 10}, board.OnMD5: {1, 5, 12, 20}, board.OnReset: {1, 2},
	}
	for _, spec := range board.FaultSpecs() {
		t.Run(spec.Name, func(t *testing.T) {
			for _, on := range spec.On {
				for _, n := range places[on] {
					f := board.Fault{Name: spec.Name, On: on, N: n, For: spec.For, Value: spec.Default}
					o := flashUnder(t, n, board.Schedule{f}, files)
					if !o.healed {
						t.Errorf("%v: corrupt %v at 0x%x, boot %q, %v", f, o.corrupt, o.at, o.report.Boot.State, o.err)
					}
				}
			}
		})
	}
}

// TestDeadFlash meets flashes that cannot be healed: the verdict names it, the
// chip is left in reset, and success is never reported.
func TestDeadFlash(t *testing.T) {
	const ever = 1 << 20
	for _, tt := range []struct {
		name  string
		fault board.Fault
		want  []flash.Verdict
	}{
		{"ignores writes", board.Fault{Name: "ignorewrite", On: board.OnWrite, N: 3, Count: ever}, []flash.Verdict{flash.NotWritten}},
		{"ignores erases", board.Fault{Name: "ignoreerase", On: board.OnErase, N: 1, Count: ever}, []flash.Verdict{flash.NotErased, flash.NotWritten}},
		{"stuck bits", board.Fault{Name: "stuckbits", On: board.OnWrite, N: 3, Count: ever, Value: 4}, []flash.Verdict{flash.StuckBits}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				old := make([]byte, 4<<20)
				for i := range old {
					old[i] = byte(i * 37)
				}
				content, err := board.NewFlash(old, 4<<20)
				if err != nil {
					t.Fatal(err)
				}
				b := newBench(t, options{board: board.Config{Flash: content, Faults: board.Schedule{tt.fault}}})
				defer b.close()
				_, err = b.flasher.Write(t.Context(), small(t), flash.WriteOptions{})
				e, ok := errors.AsType[*flash.Error](err)
				if !ok || !slices.Contains(tt.want, e.Verdict) {
					t.Fatalf("%v, want the verdict %v", err, tt.want)
				}
				stop, ok := errors.AsType[*flash.InterruptedError](err)
				if !ok || !stop.Held || !stop.Wrote {
					t.Errorf("%#v, want the chip held in reset", err)
				}
				if s := b.board.Status(); s.State != board.StateReset {
					t.Errorf("the chip is in state %v, want reset", s.State)
				}
				if flash.HintOf(err) == "" {
					t.Error("no hint")
				}
			})
		})
	}
}
