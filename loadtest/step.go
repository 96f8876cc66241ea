package loadtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Step is something that happens during a run. It begins a phase, which lasts
// to the next step and has figures and expectations of its own.
type Step struct {
	At   time.Duration
	Name string
	// Do is what is done, in words: "camera stop". Empty marks a phase only, such
	// as a stage of the crowd.
	Do []string
	// For undoes it after that time, where it is something that can be.
	For time.Duration
	// Expect must hold for the phase.
	Expect []Objective
}

// Faults carries out steps that are not the viewers' own: at the camera, at the
// server. It is called on one goroutine, in the order of the steps.
type Faults interface {
	// Knows returns nil for a step that Do can carry out, or why it cannot.
	Knows(do []string) error
	Do(ctx context.Context, do []string) error
}

// phases returns the steps of a configuration, the stages of its crowd among
// them, in order. Steps of the same instant become one. Where there are any, the
// first one is at the start.
func (c Config) phases() []Step {
	var all []Step
	var at time.Duration
	for i, s := range c.Crowd.Stages {
		stage := at
		at += s.For
		// A profile names the stages itself, for what is expected of them.
		if !slices.ContainsFunc(c.Steps, func(o Step) bool { return o.At == stage && len(o.Do) == 0 }) {
			all = append(all, Step{At: stage, Name: cmp.Or(s.Name, s.describe(i))})
		}
	}
	for _, s := range c.Steps {
		s.Name = cmp.Or(s.Name, strings.Join(s.Do, " "))
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	var merged []Step
	for _, s := range all {
		if n := len(merged) - 1; n >= 0 && merged[n].At == s.At {
			merged[n].Name += ", " + s.Name
			merged[n].Expect = append(slices.Clip(merged[n].Expect), s.Expect...)
			continue
		}
		merged = append(merged, s)
	}
	if len(merged) > 0 && merged[0].At > 0 {
		merged = append([]Step{{Name: "start"}}, merged...)
	}
	return merged
}

func (s Stage) describe(i int) string {
	if s.Evenly {
		return fmt.Sprintf("stage %d: to %d", i+1, s.To)
	}
	return fmt.Sprintf("stage %d: %d", i+1, s.To)
}

// checkSteps refuses steps that cannot be carried out.
func (c Config) checkSteps() error {
	if len(c.Steps) > maxSteps {
		return fmt.Errorf("%d steps: want at most %d", len(c.Steps), maxSteps)
	}
	for _, s := range c.Steps {
		if slices.Contains(s.Do, "") || s.For < 0 {
			return fmt.Errorf("step at %v: an empty word or a time below 0", s.At)
		}
		if s.At < 0 || s.At >= c.Duration {
			return fmt.Errorf("step %q at %v: the run is over at %v", strings.Join(s.Do, " "), s.At, c.Duration)
		}
		if err := checkExpect(s.Expect); err != nil {
			return err
		}
		if len(s.Do) == 0 {
			continue
		}
		own, err := parseNuisance(s.Do)
		switch {
		case err != nil:
			return fmt.Errorf("step at %v: %w", s.At, err)
		case own != nil:
		case c.Faults == nil:
			return fmt.Errorf("step at %v: nothing here can do %q", s.At, strings.Join(s.Do, " "))
		default:
			if err := c.Faults.Knows(s.Do); err != nil {
				return fmt.Errorf("step at %v: %w", s.At, err)
			}
		}
	}
	return nil
}

// act carries out the steps that Faults does, in order, and notes what failed.
// It ends with ctx.
func (c Config) act(ctx context.Context, start time.Time, t *troubles) {
	type deed struct {
		at time.Duration
		do []string
	}
	var deeds []deed
	for _, s := range c.Steps {
		if len(s.Do) == 0 || c.Faults == nil {
			continue
		}
		if own, _ := parseNuisance(s.Do); own != nil {
			continue
		}
		deeds = append(deeds, deed{s.At, s.Do})
		if undo := undoing(s.Do); s.For > 0 && undo != nil {
			deeds = append(deeds, deed{s.At + s.For, undo})
		}
	}
	slices.SortStableFunc(deeds, func(a, b deed) int { return cmp.Compare(a.at, b.at) })
	for _, d := range deeds {
		if sleepUntil(ctx, start.Add(d.at)) != nil {
			return
		}
		if err := c.Faults.Do(ctx, d.do); err != nil && ctx.Err() == nil {
			t.add(fmt.Sprintf("the step %q failed: %v", strings.Join(d.do, " "), err))
		}
	}
}

// disturb runs the nuisances of the steps, each for its time or to the end.
func (r *run) disturb(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, s := range r.cfg.Steps {
		if len(s.Do) == 0 {
			continue
		}
		if n, _ := parseNuisance(s.Do); n != nil {
			all.Go(func() {
				if sleepUntil(ctx, r.start.Add(s.At)) == nil {
					n.run(ctx, r, cmp.Or(s.For, r.cfg.Duration))
				}
			})
		}
	}
}

// undoing returns what takes a step back, nil where nothing does.
func undoing(do []string) []string {
	if len(do) < 2 {
		return nil
	}
	back := map[string]string{"stop": "start", "off": "on", "slow": "normal", "corrupt": "normal", "freeze": "thaw", "kill": "start"}[do[1]]
	if back == "" {
		return nil
	}
	return []string{do[0], back}
}

func sleepUntil(ctx context.Context, at time.Time) error {
	wait := time.Until(at)
	if wait <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
