package loadtest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// switchable is a camera that can be stopped, as a bench would.
type switchable struct {
	mu      sync.Mutex
	start   time.Time
	off     time.Duration // when it stopped; -1 while it runs
	gaps    []time.Duration
	refuses error
	did     []string
}

func (s *switchable) Knows(do []string) error {
	if do[0] != "camera" {
		return errors.New("only the camera can be switched")
	}
	return nil
}

func (s *switchable) Do(_ context.Context, do []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.did = append(s.did, strings.Join(do, " ")+" at "+time.Since(s.start).String())
	return s.refuses
}

// TestPhases: the camera stops from 10 s to 20 s. Two viewers poll at even
// seconds. Each figure of each phase is computed by hand.
func TestPhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		// Frame n is taken at 2n and seen at once, but for those of the stop: the
		// last one before it is of 8 s (at 10 s sharp the camera is off), the first
		// one after it of 20 s.
		f := newFeed(func(at time.Duration) (still, time.Duration) {
			n := at / (2 * s)
			if at >= 10*s && at < 20*s {
				n = 4
			}
			return still{uint64(n), n * 2 * s}, 0
		})
		expect := func(list string) []Objective {
			o, err := ParseObjectives(list)
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		bench := &switchable{start: time.Now()}
		c := Config{
			TargetURL: "http://feed.example/latest", Stamper: textStamp, Conditional: true, Duration: 30 * s, Faults: bench,
			Steps: []Step{
				{At: 9 * s, Do: []string{"camera", "stop"}, For: 10500 * time.Millisecond, Expect: expect("age.max < 10s, unrecovered == 2")},
				{At: 19500 * time.Millisecond, Name: "back", Expect: expect("recovery.max <= 500ms, age.mean < 1.6s, errors == 0")},
			},
		}.withDefaults()
		c.Viewers = 2
		r := playStays(t, f, c, []stay{{}, {}}).report(c)
		balance(t, r)
		if got := strings.Join(bench.did, ", "); got != "camera stop at 9s, camera start at 19.5s" {
			t.Errorf("did %s", got)
		}
		if len(r.Phases) != 3 {
			t.Fatalf("%d phases", len(r.Phases))
		}
		first, stop, back := r.Phases[0], r.Phases[1], r.Phases[2]
		for _, p := range []struct {
			Phase
			name     string
			from, to time.Duration
			sent     uint64
			maxAge   time.Duration
			mean     time.Duration
		}{
			// 0 to 9: each picture for 2 s at ages 0..2, the last for 1 s at 0..1.
			{first, "start", 0, 9 * s, 10, 2 * s, 8500 * time.Millisecond / 9},
			// 9 to 19.5: the frame of 8 s, at ages 1..11.5.
			{stop, "camera stop", 9 * s, 19500 * time.Millisecond, 10, 11500 * time.Millisecond, 6250 * time.Millisecond},
			// 19.5 to 20: 11.5..12; then 0..2 five times. (0.5 s x 11.75 + 10 s x 1) / 10.5 s
			{back, "back", 19500 * time.Millisecond, 30 * s, 10, 12 * s, 15875 * time.Millisecond * 2 / 21},
		} {
			if p.Name != p.name || p.Polls.Sent != p.sent || p.Polls.Errors != 0 {
				t.Errorf("phase %+v", p)
			}
			near(t, p.name+" from", p.From, p.from, 0)
			near(t, p.name+" to", p.To, p.to, 0)
			near(t, p.name+" age max", p.Age.Max, p.maxAge, 0)
			near(t, p.name+" age mean", p.Age.Mean, p.mean, time.Microsecond)
			near(t, p.name+" watch time", p.Watch.Total, 2*(p.to-p.from), 0)
		}
		// The frame of 8 s is not newer than the stop; who sees none waits to its end.
		if stop.Unrecovered != 2 || back.Unrecovered != 0 {
			t.Errorf("unrecovered %d and %d", stop.Unrecovered, back.Unrecovered)
		}
		near(t, "recovery during the stop", stop.Recovery.Max, 10500*time.Millisecond, 0)
		near(t, "recovery after it", back.Recovery.Max, 500*time.Millisecond, 0)
		var met []bool
		for _, o := range append(stop.Objectives, back.Objectives...) {
			met = append(met, o.Met)
		}
		if want := []bool{false, true, true, true, true}; len(met) != 5 || met[0] != want[0] || met[1] != want[1] || !met[2] || !met[3] || !met[4] {
			t.Errorf("met %v, want %v; %+v %+v", met, want, stop.Objectives, back.Objectives)
		}
		if r.Verdict != Breach || len(r.Reasons) != 1 || r.Reasons[0] != `missed: in phase "camera stop": age.max < 10s, measured 11.50s` {
			t.Errorf("verdict %s, reasons %q", r.Verdict, r.Reasons)
		}
	})
}

// TestStepThatFails: a fault that was not injected has shown nothing.
func TestStepThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		bench := &switchable{start: time.Now(), refuses: errors.New("no such camera")}
		r := play(t, newFeed(steady(2*s, 0)), Config{Viewers: 1, Duration: 10 * s, Faults: bench, Steps: []Step{{At: 5 * s, Do: []string{"camera", "stop"}}}})
		if r.Verdict != Inconclusive || len(r.Reasons) != 1 || !strings.Contains(r.Reasons[0], `"camera stop" failed: no such camera`) {
			t.Errorf("verdict %s, reasons %q", r.Verdict, r.Reasons)
		}
	})
}

func TestStepsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		name string
		step Step
		want string
	}{
		{"unknown", Step{Do: []string{"server", "stop"}}, "only the camera can be switched"},
		{"after the end", Step{At: time.Hour, Do: []string{"camera", "stop"}}, "the run is over"},
		{"nobody", Step{Do: []string{"slow", "none"}}, `slow "none": want a number`},
		{"too many", Step{Do: []string{"storm", "1000000"}}, "want a number from 1 to 10000"},
		{"no number", Step{Do: []string{"slowloris"}}, "want slowloris N"},
		{"expects what a phase cannot tell", Step{Expect: []Objective{{metric: "unseen", op: "==", number: "0"}}}, "known of a whole run only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Run(t.Context(), Config{TargetURL: "http://127.0.0.1:1/", Steps: []Step{tt.step}, Faults: new(switchable)}, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}
