package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porthole/hil/scenario"
)

const scenarioDir = "../../scenarios"

// shipped returns the path of a shipped scenario.
func shipped(name string) string { return filepath.Join(scenarioDir, name+".txt") }

// runShipped runs a scenario in virtual time. change may wrap the bench or edit
// the scenario.
func runShipped(t *testing.T, path string, change func(*scenario.Scenario, *simBenchConfig) func(*simBench) scenario.Bench) (r scenario.Result) {
	t.Helper()
	s, err := scenario.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		runner := &scenario.Runner{
			Soak: true, Has: func(scenario.Need) bool { return true },
			Start: func(ctx context.Context, s *scenario.Scenario) (scenario.Bench, error) {
				cfg := simBenchConfig{seed: 5, faults: s.Faults(), blank: s.FromScratch()}
				var wrap func(*simBench) scenario.Bench
				if change != nil {
					wrap = change(s, &cfg)
				}
				b, err := newSimBench(ctx, cfg)
				if err != nil {
					return nil, err
				}
				if wrap != nil {
					return wrap(b), nil
				}
				return b, nil
			},
			Log: func(_ *scenario.Scenario, text string) { t.Log(time.Now().Format("15:04:05.000"), text) },
		}
		r = runner.Run(t.Context(), s)
	})
	return r
}

// Every shipped scenario passes on the simulator.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(shipped("*"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d scenarios in %s, %v", len(files), scenarioDir, err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			if r := runShipped(t, path, evening); r.Outcome != scenario.Passed {
				var text strings.Builder
				scenario.WriteText(&text, r)
				t.Errorf("\n%s", text.String())
			}
		})
	}
}

// evening shortens the soak to twenty minutes; PORTHOLE_LONG=1 runs the night.
func evening(s *scenario.Scenario, _ *simBenchConfig) func(*simBench) scenario.Bench {
	if os.Getenv("PORTHOLE_LONG") == "" {
		for i := range s.Steps {
			s.Steps[i].Count = min(s.Steps[i].Count, 2)
		}
	}
	return nil
}

// broken is a bench with one cause broken on purpose.
type broken struct {
	*simBench
	// instead does a step in place of the bench; false leaves it to the bench.
	instead func(*simBench, scenario.Step) (bool, error)
	// after is what happens once a step is done.
	after func(*simBench, scenario.Step)
	dones atomic.Int64
}

func (b *broken) Do(ctx context.Context, st scenario.Step) error {
	if b.instead != nil {
		if did, err := b.instead(b.simBench, st); did || err != nil {
			return err
		}
	}
	err := b.simBench.Do(ctx, st)
	if b.after != nil && err == nil {
		b.after(b.simBench, st)
	}
	return err
}

// ignoring breaks one verb: it does nothing, and says that it did.
func ignoring(verb scenario.Verb, args ...string) func(*scenario.Scenario, *simBenchConfig) func(*simBench) scenario.Bench {
	return func(*scenario.Scenario, *simBenchConfig) func(*simBench) scenario.Bench {
		return func(b *simBench) scenario.Bench {
			return &broken{simBench: b, instead: func(_ *simBench, st scenario.Step) (bool, error) {
				return st.Verb == verb && (len(args) == 0 || st.Args[0] == args[0]), nil
			}}
		}
	}
}

// following does something behind the back of the bench after a step.
func following(verb scenario.Verb, arg string, do func(*simBench)) func(*scenario.Scenario, *simBenchConfig) func(*simBench) scenario.Bench {
	return func(*scenario.Scenario, *simBenchConfig) func(*simBench) scenario.Bench {
		return func(b *simBench) scenario.Bench {
			return &broken{simBench: b, after: func(b *simBench, st scenario.Step) {
				if st.Verb == verb && (arg == "" || st.Args[0] == arg) {
					do(b)
				}
			}}
		}
	}
}

// neverOffline has a server that shows an old picture for ever, and a board that
// does not tell it to stop.
func neverOffline(_ *scenario.Scenario, cfg *simBenchConfig) func(*simBench) scenario.Bench {
	cfg.offline, cfg.silent = 100*time.Hour, true
	return nil
}

// withSettings provisions something wrong after the scenario's own settings, or
// before everything where it has none.
func withSettings(args ...string) func(*scenario.Scenario, *simBenchConfig) func(*simBench) scenario.Bench {
	return func(s *scenario.Scenario, _ *simBenchConfig) func(*simBench) scenario.Bench {
		bad := scenario.Step{Verb: scenario.Provision, Text: "sabotage", Args: args}
		at := 0
		for i, st := range s.Steps {
			if st.Verb == scenario.Provision {
				at = i + 1
			}
		}
		s.Steps = append(s.Steps[:at:at], append([]scenario.Step{bad}, s.Steps[at:]...)...)
		return nil
	}
}

// Each shipped scenario fails when its cause is broken: a scenario that cannot
// fail is worth nothing. The want is a part of the step that has to notice.
func TestScenariosNotice(t *testing.T) {
	for _, tt := range []struct {
		file, broken string
		change       func(*scenario.Scenario, *simBenchConfig) func(*simBench) scenario.Bench
		want         string
	}{
		{"shutoff-drill", "shutoff not wired", following(scenario.Power, "off", func(b *simBench) { b.sim.SetShutoff(false) }), "expect"},
		{"shutoff-drill", "pin not driven", ignoring(scenario.Power, "off"), "expect /camera off/"},
		{"shutoff-drill", "power does not come back", ignoring(scenario.Power, "on"), "expect /camera on/"},
		{"shutoff-drill", "no fallback of the server", neverOffline, "expect-server offline"},
		{"shutoff-drill", "wrong token", withSettings("token=wrong"), "expect-server fresh"},
		{"flash-and-boot", "nothing is flashed", ignoring(scenario.Flash), ""},
		{"flash-and-boot", "not provisioned", withSettings("ssid=elsewhere"), "expect /wifi joined/"},
		{"flash-and-boot", "wrong token", withSettings("token=wrong"), "expect /upload ok"},
		{"flash-and-boot", "server is down", following(scenario.Provision, "", func(b *simBench) { b.server.stop() }), "expect /upload ok"},
		{"flash-and-boot", "it crashes", following(scenario.Provision, "", func(b *simBench) { b.sim.SetPower(false) }), "expect /"},
		{"wifi-loss", "the network stays", ignoring(scenario.WiFi, "off"), "expect /wifi lost/"},
		{"wifi-loss", "it does not come back", ignoring(scenario.WiFi, "on"), "expect /wifi joined/"},
		{"wifi-loss", "no fallback of the server", neverOffline, "expect-server offline"},
		{"server-restart", "the server stays", ignoring(scenario.Server, "stop"), "expect /upload failed"},
		{"server-restart", "it does not come back", ignoring(scenario.Server, "start"), "expect /upload ok/"},
		{"server-restart", "the board restarts meanwhile", following(scenario.Server, "start", func(b *simBench) {
			time.AfterFunc(4*time.Second, func() { b.sim.Restart(false) })
		}), "expect"},
		{"certificate-refused", "the right certificate", ignoring(scenario.CameraCert), "X509"},
		{"certificate-refused", "a board that trusts everybody", withSettings("ca="), "expect"},
		{"certificate-refused", "it stays refused", ignoring(scenario.CameraCert, "accept"), "expect /upload ok/"},
		{"certificate-refused", "no fallback of the server", neverOffline, "expect-server offline"},
		{"panic-recovery", "it does not crash", ignoring(scenario.Send), "Guru Meditation"},
		{"panic-recovery", "it does not come back", following(scenario.Send, "", func(b *simBench) {
			time.AfterFunc(100*time.Millisecond, func() { b.sim.SetPower(false) })
		}), "expect /"},
		{"panic-recovery", "it crashes again", following(scenario.Send, "", func(b *simBench) {
			time.AfterFunc(8*time.Second, func() { _ = b.sim.Panic("") })
		}), "expect"},
		{"power-cut-while-flashing", "nothing is flashed", ignoring(scenario.Flash), ""},
		{"power-cut-while-flashing", "the power stays off", following(scenario.Flash, "", func(b *simBench) { b.sim.SetPower(false) }), ""},
		{"power-cut-while-flashing", "no power cut", func(_ *scenario.Scenario, cfg *simBenchConfig) func(*simBench) scenario.Bench {
			cfg.faults = nil
			return nil
		}, "bench"},
		{"wave", "nobody waves", ignoring(scenario.Wave), "expect /waves"},
		{"wave", "wrong token", withSettings("token=wrong"), "expect-server"},
		{"overnight-soak", "a crash in the night", following(scenario.Reset, "", func(b *simBench) {
			time.AfterFunc(3*time.Minute, func() { _ = b.sim.Panic("") })
		}), "expect-not /Guru"},
		{"overnight-soak", "the camera does not come back", ignoring(scenario.Power, "on"), "expect-server fresh"},
		{"overnight-soak", "reset does nothing", ignoring(scenario.Reset), "reset=\"poweron\""},
	} {
		t.Run(tt.file+"/"+tt.broken, func(t *testing.T) {
			r := runShipped(t, shipped(tt.file), tt.change)
			if tt.want == "bench" {
				if r.Outcome != scenario.Broken || !strings.Contains(r.Reason, "fault") {
					t.Errorf("outcome %s (%s), want broken for lack of a fault", r.Outcome, r.Reason)
				}
				return
			}
			if r.Outcome != scenario.Failed {
				t.Fatalf("outcome %s (%s), want failed", r.Outcome, r.Reason)
			}
			if !strings.Contains(r.Step, tt.want) {
				t.Errorf("noticed by %q (%s), want %q", r.Step, r.Reason, tt.want)
			}
			if evidence := strings.Join(r.Evidence, "\n"); !strings.Contains(evidence, "seed 5, trace ") {
				t.Errorf("evidence\n%s", evidence)
			}
		})
	}
}
