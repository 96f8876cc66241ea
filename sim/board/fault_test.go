package board_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"porthole/internal/esprom"
	"porthole/sim/board"
)

func TestScheduleRoundTrip(t *testing.T) {
	const text = `# what a bad afternoon looks like
flip rx=1042 bit=3
drop tx=0x10 count=4   # hexadecimal too
stall rx=2000 for=250ms

unplug command=14 power=1
powercut time=1.5s
brownout erase=2
ignorewrite write=5 count=3
baudskew baud=1
`
	s, err := board.ParseSchedule(iotest.OneByteReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	want := board.Schedule{
		{Name: "flip", On: board.OnRX, N: 1042, Value: 3},
		{Name: "drop", On: board.OnTX, N: 16, Count: 4},
		{Name: "stall", On: board.OnRX, N: 2000, For: 250 * time.Millisecond},
		{Name: "unplug", On: board.OnCommand, N: 14, For: 2 * time.Second, Value: 1},
		{Name: "powercut", On: board.OnTime, At: 1500 * time.Millisecond, For: 500 * time.Millisecond},
		{Name: "brownout", On: board.OnErase, N: 2},
		{Name: "ignorewrite", On: board.OnWrite, N: 5, Count: 3},
		{Name: "baudskew", On: board.OnBaud, N: 1, Value: 6},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got\n%v\nwant\n%v", s, want)
	}
	again, err := board.ParseSchedule(strings.NewReader(s.String()))
	if err != nil || !reflect.DeepEqual(again, s) {
		t.Errorf("printed and read again: %v\n%v", err, again)
	}
	for seed := range uint64(2000) {
		s := board.RandomSchedule(seed)
		again, err := board.ParseSchedule(strings.NewReader(s.String()))
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("seed %d: %v\n%v%v", seed, err, s, again)
		}
		for _, f := range s {
			if one, err := board.ParseFault(f.String()); err != nil || one != f {
				t.Fatalf("seed %d: %v reads back as %v, %v", seed, f, one, err)
			}
		}
		if h := board.HealingSchedule(seed); !h.Heals() {
			t.Fatalf("seed %d: %v", seed, h)
		}
	}
}

func TestScheduleRefuses(t *testing.T) {
	for _, line := range []string{
		"flop rx=1", "flip", "flip rx=0", "flip rx=-1", "flip rx=1 rx=2", "flip rx=1 tx=2", "flip rx=1 bit=8",
		"flip rx=1 bit", "flip rx=1 for=1s", "flip reset=1", "flip rx=1 bit=1 bit=1", "flip 7=1", "flip =1",
		"unplug command=1 count=2", "unplug time=-1s", "unplug time=25h", "unplug command=1 for=11m",
		"drop rx=1 count=2000000", "stall rx=1 for=x", "drop rx=1 byte=1", "wrongboot reset=1 =3",
		"flip rx=1 " + strings.Repeat(" ", 300),
	} {
		if s, err := board.ParseSchedule(strings.NewReader(line)); err == nil {
			t.Errorf("%q accepted as %v", line, s)
		}
	}
	many := strings.Repeat("flip rx=1\n", board.MaxFaults)
	if _, err := board.ParseSchedule(strings.NewReader(many)); err != nil {
		t.Error(err)
	}
	if _, err := board.ParseSchedule(strings.NewReader(many + "flip rx=1")); err == nil {
		t.Error("one fault too many accepted")
	}
	if _, err := board.New(board.Config{Faults: board.Schedule{{Name: "flip", On: board.OnReset, N: 1}}}); err == nil {
		t.Error("impossible fault accepted")
	}
}

// TestEveryFaultStrikes runs each kind of fault at an early chance in a full
// session and checks that the board takes another course, seen by all that is
// traced but the mark of the fault itself, or that the host hears another thing.
func TestEveryFaultStrikes(t *testing.T) {
	for _, spec := range board.FaultSpecs() {
		for _, on := range spec.On {
			f := board.Fault{Name: spec.Name, On: on, N: 1, For: spec.For, Value: spec.Default}
			switch on {
			case board.OnTime:
				f.N, f.At = 0, 200*time.Millisecond
			case board.OnRX, board.OnTX:
				f.N = 3 // inside a frame, or the banner
			}
			t.Run(fmt.Sprintf("%s/%v", spec.Name, on), func(t *testing.T) {
				t.Parallel()
				r := runSchedule(t, 7, board.Schedule{f}, true)
				if r.struck == 0 {
					t.Errorf("did not happen: %v", f)
				}
				if clean := runSchedule(t, 7, nil, true); clean.course == r.course {
					t.Error("made no difference")
				}
			})
		}
	}
}

// A run is what a schedule did to a session.
type run struct {
	hash   uint64
	course uint64 // a hash of all but the faults' own marks, and of what the host heard
	struck int
	err    error // of the session
	intact bool  // what the session flashed is there
}

// scheduleConfig derives the rest of the board from a seed.
func scheduleConfig(seed uint64, s board.Schedule) board.Config {
	r := rand.New(rand.NewPCG(seed, 3))
	cfg := board.Config{
		Seed: seed, Faults: s, EN: 20 * time.Millisecond,
		Latency: r.IntN(2) == 0, Pace: r.IntN(3) == 0,
		Program: board.ProgramFunc(func(ctx context.Context, m *board.Machine) {
			time.Sleep(3*time.Millisecond + 333*time.Nanosecond) // never at once with the host
			m.Running()
			m.Printf("camera ready\r\n")
			<-ctx.Done()
		}),
	}
	if r.IntN(2) == 0 {
		cfg.ROM = board.ROMStrict
	}
	return cfg
}

// runSchedule lets a host work on a board with faults, once through the ROM and
// once through a stub, giving up a session at its first error. It then ends the
// faults and checks the one thing that must always hold: a reset brings the board
// back.
func runSchedule(t *testing.T, seed uint64, s board.Schedule, long bool) (res run) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		course, heard := fnv.New64a(), fnv.New64a()
		cfg := scheduleConfig(seed, s)
		cfg.Trace = func(e board.TraceEvent) {
			if e.Kind == board.TraceFault {
				res.struck++
				return
			}
			fmt.Fprint(course, e)
		}
		b, err := board.New(cfg)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		defer b.Close()
		app := sample(0x2345)
		for _, stub := range []bool{false, true} {
			w := replug(b)
			if w == nil {
				t.Fatalf("seed %d: cable never came back\n%v", seed, s)
			}
			h := newHost(w)
			h.tap = func(p []byte) { heard.Write(p) }
			err := session(h, app, stub)
			w.Close()
			res.err = errors.Join(res.err, err)
			if err != nil && !long {
				break
			}
		}
		got := make([]byte, len(app))
		b.ReadFlash(got, 0x1000)
		res.intact = bytes.Equal(got, app)

		b.ClearFaults()
		w := replug(b)
		if w == nil {
			t.Fatalf("seed %d: cable is still out\n%v", seed, s)
		}
		h := newHost(w)
		if err := h.connect(); err != nil {
			t.Fatalf("seed %d: a reset does not bring the board back: %v\n%v%+v", seed, err, s, b.Status())
		}
		if v, err := h.reg(esprom.RegMagic); err != nil || v != esprom.ChipMagic {
			t.Fatalf("seed %d: magic %#x, %v\n%v", seed, v, err, s)
		}
		res.hash, res.course = b.TraceHash(), course.Sum64()^heard.Sum64()
	})
	return res
}

// replug connects as soon as the cable is in.
func replug(b *board.Board) *board.Wire {
	for range 10_000 {
		if w, err := b.Connect(); err == nil {
			return w
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// session flashes and verifies, as a flasher would, without any recovery.
func session(h *host, app []byte, stub bool) error {
	h.spacing = 5 * time.Millisecond
	if err := h.connect(); err != nil {
		return err
	}
	if _, err := h.reg(esprom.EfuseWord(3)); err != nil {
		return err
	}
	if stub {
		if err := errors.Join(h.upload(0x400BE000, sample(600))); err != nil {
			return err
		}
		if err := h.enter(0x400BE5EC); err != nil {
			return err
		}
	}
	if _, _, err := h.ask(esprom.Attach{ROM: !stub}); err != nil {
		return err
	}
	if err := h.changeBaud(460800, 115200); err != nil {
		return err
	}
	if !stub {
		if err := h.flashROM(0x1000, app, true); err != nil {
			return err
		}
	} else if err := h.flashStub(0x1000, app, true, true); err != nil {
		return err
	}
	if err := h.digestStep(0x1000, app); err != nil {
		return err
	}
	if stub {
		if _, _, err := h.readFlash(esprom.ReadFlash{Offset: 0x1000, Size: 0x1800, Packet: 0x1000, Window: 64}); err != nil {
			return err
		}
	}
	return h.hardReset()
}

// TestSchedules runs seeded fault schedules: 500, or PORTHOLE_SCHEDULES of them.
// Every hundredth runs twice, and must take the same course.
func TestSchedules(t *testing.T) {
	n := 500
	if s := os.Getenv("PORTHOLE_SCHEDULES"); s != "" {
		v, err := strconv.Atoi(s)
		if err != nil || v < 1 {
			t.Fatalf("PORTHOLE_SCHEDULES=%q is not a number", s)
		}
		n = v
	}
	const shards = 2
	failed, unnoticed := make([]int, shards), make([][]uint64, shards)
	t.Run("seeds", func(t *testing.T) {
		for shard := range shards {
			t.Run(strconv.Itoa(shard), func(t *testing.T) {
				t.Parallel()
				for seed := uint64(shard); seed < uint64(n); seed += shards {
					s := board.RandomSchedule(seed)
					r := runSchedule(t, seed, s, false)
					if r.err != nil {
						failed[shard]++
					} else if !r.intact {
						unnoticed[shard] = append(unnoticed[shard], seed)
					}
					if seed%100 < shards {
						if again := runSchedule(t, seed, s, false); again.hash != r.hash {
							t.Fatalf("seed %d: trace hash %x, then %x\n%v", seed, r.hash, again.hash, s)
						}
					}
				}
			})
		}
	})
	t.Logf("%d schedules: every board came back after a reset; a host without recovery failed on %d", n, failed[0]+failed[1])
	if u := slices.Concat(unnoticed...); len(u) > 0 {
		t.Logf("%d sessions ended well with other content in flash, seeds %v", len(u), u[:min(len(u), 20)])
	}
}

func FuzzSchedule(f *testing.F) {
	f.Add("flip rx=1042 bit=3\n# comment\nunplug time=1s power=1")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := board.ParseSchedule(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, one := range s {
			if err := one.Check(); err != nil {
				t.Fatalf("%v: %v", one, err)
			}
		}
		again, err := board.ParseSchedule(strings.NewReader(s.String()))
		if err != nil || !slices.Equal(again, s) {
			t.Fatalf("%v: does not read back\n%v%v", err, s, again)
		}
	})
}

// FuzzWire throws bytes at a board in download mode and in its stub: it must not
// panic, and a reset must bring it back.
func FuzzWire(f *testing.F) {
	f.Add([]byte("\xc0\x00\x08\x24\x00\x00\x00\x00\x00\x07\x07\x12\x20\xc0"), false)
	f.Fuzz(func(t *testing.T, p []byte, stub bool) {
		synctest.Test(t, func(t *testing.T) {
			b, err := board.New(board.Config{EN: 20 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			w, err := b.Connect()
			if err != nil {
				t.Fatal(err)
			}
			h := newHost(w)
			b.Restart(true)
			if stub {
				if err := h.enter(0x400BE5EC); err != nil {
					t.Fatal(err)
				}
			}
			h.ask(esprom.Attach{ROM: !stub})
			w.Write(p)
			time.Sleep(10 * time.Second)
			b.Restart(true)
			w.SetBaud(esprom.DefaultBaud)
			if err := h.sync(); err != nil {
				t.Fatalf("a reset does not bring the board back: %v, %+v", err, b.Status())
			}
		})
	})
}
