package loadtest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/internal/cli"
)

func TestProfile(t *testing.T) {
	p, err := ParseProfile(strings.NewReader(`
# A post is read by many.
name Front page
period 1s
think after
etag off
seed 7
timeout 4s

stage 30s to 200
stage 1m hold as plateau
	expect errors == 0, age.p99 < 4s
stage 10s at 1000

at 40s camera stop for 15s
  expect live < 100%
at 70s server restart as deploy
  expect recovery.p95 < 6s
  expect unrecovered == 0
at 75s slow 20 for 5s
objective errors < 1%
objective age.p99 < 4.5s, missed < 1%
`), "front.txt")
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Conditional: true, Objectives: nil, TargetURL: "http://feed.example/"}
	if err := p.Apply(&c); err != nil {
		t.Fatal(err)
	}
	c = c.withDefaults()
	if c.Name != "Front page" || c.Duration != 100*time.Second || c.Period != time.Second || c.Think != After || c.Conditional || c.Seed != 7 || c.Timeout != 4*time.Second {
		t.Errorf("config %+v", c)
	}
	if len(c.Objectives) != 3 || c.Objectives[2].String() != "missed < 1%" {
		t.Errorf("objectives %v", c.Objectives)
	}
	type line struct {
		at     time.Duration
		name   string
		expect int
	}
	var got []line
	for _, ph := range c.phases() {
		got = append(got, line{ph.At, ph.Name, len(ph.Expect)})
	}
	const s = time.Second
	want := []line{{0, "stage 1: to 200", 0}, {30 * s, "plateau", 2}, {40 * s, "camera stop", 1}, {70 * s, "deploy", 2}, {75 * s, "slow 20", 0}, {90 * s, "stage 3: 1000", 0}}
	if !slices.Equal(got, want) {
		t.Errorf("phases\n%v, want\n%v", got, want)
	}
	if _, err := c.check(); err == nil || !strings.Contains(err.Error(), `nothing here can do "camera stop"`) {
		t.Errorf("without anybody to do it: %v", err)
	}
}

func TestProfileErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"unknown line", "viewers 3\nfoo bar\n", `p.txt:2: unknown line "foo"`},
		{"no value", "viewers\n", "p.txt:1: viewers takes one value"},
		{"two values", "viewers 1 2\n", "p.txt:1: viewers takes one value"},
		{"twice", "viewers 1\nviewers 2\n", "p.txt:2: viewers is set twice, first in line 1"},
		{"name twice", "name a\nname b\n", "p.txt:2: name: want one name"},
		{"pattern", "arrivals mob\n", `p.txt:1: arrivals: want one pattern, once, got "mob"`},
		{"both", "arrivals spike\nstage 10s at 1\n", "p.txt:2: arrivals and stages exclude each other"},
		{"hold nobody", "stage 10s hold\n", "p.txt:1: stage: there is nobody to hold"},
		{"stage without time", "stage at 10\n", `p.txt:1: stage: "at" is no time`},
		{"stage into nothing", "stage 10s up 10\n", `"up" is none of to, at and hold`},
		{"too many viewers", "stage 10s to 1000000\n", "want 0 to 100000"},
		{"negative time", "at -1s camera stop\n", `"-1s" is no time`},
		{"at nothing", "at 10s\n", "want a time and what happens"},
		{"for nothing", "at 10s camera stop for x\n", `"x" is no time`},
		{"expect of nothing", "expect errors == 0\n", "no stage or at line stands above it"},
		{"expect nonsense", "stage 1s at 1\nexpect luck > 1\n", `p.txt:2: expect: parse objective "luck > 1": unknown metric "luck"`},
		{"objective nonsense", "objective age < 1s\n", "needs a percentile"},
		{"empty objective", "objective\n", "p.txt:1: objective: nothing"},
		{"long line", "name " + strings.Repeat("x", 1100), "p.txt:1: the line has more than 1000 bytes"},
		{"big file", strings.Repeat("# "+strings.Repeat("x", 900)+"\n", 80), "the file has more than 65536 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ParseProfile(strings.NewReader(tt.text), "p.txt")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, %v; want %q", p, err, tt.want)
			}
		})
	}
	for _, tt := range []struct{ text, want string }{
		{"viewers none", `p.txt:1: "none" is no number from 1`}, {"viewers 0", "no number"}, {"period x", "no time"}, {"etag maybe", "neither on nor off"}, {"seed -1", "no seed"},
	} {
		p, err := ParseProfile(strings.NewReader(tt.text), "p.txt")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Apply(new(Config)); err == nil || !strings.Contains(err.Error(), tt.want) || cli.Code(err) != cli.ExitUsage || cli.HintOf(err) == "" {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.want)
		}
	}
	if _, err := OpenProfile("no/such/profile.txt"); err == nil || cli.HintOf(err) == "" {
		t.Errorf("a missing file: %v", err)
	}
}

// TestEveryProfileKeyIsApplied holds the table of keys against set.
func TestEveryProfileKeyIsApplied(t *testing.T) {
	for key, form := range profileKeys {
		value := strings.Split(strings.Fields(form)[1], "|")[0]
		if key == "etag" || key == "resume" {
			value = "on"
		}
		if key == "keepalive" {
			value = "off"
		}
		var c, zero Config
		if err := c.set(key, value); err != nil {
			t.Errorf("%s %s: %v", key, value, err)
		}
		if marshal(t, c.scenario(0)) == marshal(t, zero.scenario(0)) && c.Timeout+c.FreezeAfter+c.Wait+c.Stay == 0 {
			t.Errorf("%s %s changes nothing", key, value)
		}
	}
}

// FuzzProfile: whatever a file holds is a profile within the limits or refused
// with its line.
func FuzzProfile(f *testing.F) {
	f.Add("name a\nviewers 3\nstage 10s to 5\nexpect errors == 0\nat 5s camera stop for 2s as b\nobjective age.p99 < 1s\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseProfile(strings.NewReader(text), "fuzz.txt")
		if err != nil {
			if p != nil || !strings.HasPrefix(err.Error(), "fuzz.txt:") {
				t.Errorf("error %q with %v", err, p)
			}
			return
		}
		if p.Name == "" || len(p.Steps) > maxSteps || len(p.Stages) > maxSteps || len(p.Objectives) > maxObjectives {
			t.Errorf("%q: %d steps, %d stages, %d objectives", p.Name, len(p.Steps), len(p.Stages), len(p.Objectives))
		}
		var c Config
		if err := p.Apply(&c); err != nil {
			if cli.Code(err) != cli.ExitUsage || !strings.HasPrefix(err.Error(), "fuzz.txt:") {
				t.Errorf("apply: %v", err)
			}
			return
		}
		c.TargetURL = "http://feed.example/"
		c = c.withDefaults()
		c.Faults = anything{}
		if _, err := c.check(); err != nil {
			return
		}
		phases := c.phases()
		for i := 1; i < len(phases); i++ {
			if phases[i].At <= phases[i-1].At {
				t.Errorf("phase %d at %v after %v", i, phases[i].At, phases[i-1].At)
			}
		}
		if c.Duration <= 0 || c.Duration > maxRun {
			t.Errorf("duration %v", c.Duration)
		}
	})
}

// anything carries out every step.
type anything struct{ failing error }

func (anything) Knows([]string) error { return nil }

func (a anything) Do(context.Context, []string) error { return a.failing }
