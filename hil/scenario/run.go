package scenario

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"porthole/internal/cli"
)

// Runner runs scenarios, each on a bench of its own.
type Runner struct {
	// Start makes a bench ready: the board runs, its camera is on.
	Start func(ctx context.Context, s *Scenario) (Bench, error)
	// Has says what the benches have; a scenario that needs more is skipped.
	Has func(Need) bool
	// Soak runs the scenarios that are only for soaking, too.
	Soak bool
	// Log is told every step as it begins, and what is skipped; nil for nobody.
	Log func(s *Scenario, text string)
}

// truthPoll is how often a runner asks the server.
const truthPoll = 100 * time.Millisecond

// tailLines is how much of the console a failure shows.
const tailLines = 40

// run is one scenario under way.
type run struct {
	r     *Runner
	s     *Scenario
	bench Bench
	mark  int64 // the first line that the next expect looks at
	res   *Result
}

// Run runs one scenario. Its outcome, whatever it is, is the Result.
func (r *Runner) Run(ctx context.Context, s *Scenario) (res Result) {
	res = Result{Name: s.Name, File: s.File, Outcome: Passed, Started: time.Now()}
	defer func() { res.Took = time.Since(res.Started) }()
	skip := func(why string) Result {
		res.Outcome, res.Reason = Skipped, why
		r.log(s, "NOT RUN: "+why)
		return res
	}
	if s.Soak && !r.Soak {
		return skip("it soaks for hours; run it with --soak")
	}
	for _, need := range s.Needs {
		if !r.Has(need) {
			return skip(fmt.Sprintf("it needs the %s, which this bench has not", need))
		}
	}
	bench, err := r.Start(ctx, s)
	if err != nil {
		res.Outcome, res.Reason, res.Hint = Broken, "start bench: "+err.Error(), cli.HintOf(err)
		return res
	}
	res.Bench = bench.Name()
	x := &run{r: r, s: s, bench: bench, res: &res}
	failed, err := x.steps(ctx, s.Steps)
	if err != nil {
		res.Outcome, res.Reason, res.Hint, res.Line = Failed, err.Error(), cli.HintOf(err), failed.Line
		res.Step = failed.Text
		if ctx.Err() != nil {
			res.Outcome, res.Reason = Broken, "interrupted"
		}
		res.Tail = bench.Console().Tail(tailLines)
	}
	if err := bench.Close(); err != nil && res.Outcome == Passed {
		res.Outcome, res.Reason, res.Hint = Broken, "end bench: "+err.Error(), cli.HintOf(err)
	}
	res.Evidence = bench.Evidence()
	return res
}

func (r *Runner) log(s *Scenario, text string) {
	if r.Log != nil {
		r.Log(s, text)
	}
}

// steps runs a list and returns the step that failed.
func (x *run) steps(ctx context.Context, list []Step) (Step, error) {
	for _, st := range list {
		if st.Verb == Repeat {
			for n := range st.Count {
				x.r.log(x.s, fmt.Sprintf("line %d: repeat %d of %d", st.Line, n+1, st.Count))
				if failed, err := x.steps(ctx, st.Body); err != nil {
					return failed, fmt.Errorf("%w (repeat %d of %d)", err, n+1, st.Count)
				}
			}
			continue
		}
		x.r.log(x.s, fmt.Sprintf("line %d: %s", st.Line, st.Text))
		if err := x.step(ctx, st); err != nil {
			return st, err
		}
		x.res.Steps++
	}
	return Step{}, nil
}

func (x *run) step(ctx context.Context, st Step) error {
	switch st.Verb {
	case Sleep:
		return sleep(ctx, st.Time)
	case Expect:
		return x.expect(ctx, st)
	case ExpectNot:
		return x.expectNot(ctx, st)
	case ExpectServer:
		return x.expectServer(ctx, st)
	case Provision:
		var err error
		if st.Args, err = fill(st.Args); err != nil {
			return err
		}
	}
	if st.Verb != Fault { // in force since the start, it does nothing now
		x.mark = x.bench.Console().Mark()
	}
	err := x.bench.Do(ctx, st)
	if errors.Is(err, ErrNotHere) {
		// What follows can still tell something without these two.
		if st.Verb != Fault && (st.Verb != Provision || len(st.Args) > 0) {
			return cli.Hint(err, "write 'needs simulator' into the scenario, or leave the step out")
		}
		note := fmt.Sprintf("line %d SKIPPED: %s: %v", st.Line, st.Text, err)
		x.res.Notes = append(x.res.Notes, note)
		x.r.log(x.s, note)
		return nil
	}
	return err
}

// fill puts values of the environment into settings. What is missing there is an
// error: a board is not given an empty token by accident.
func fill(args []string) ([]string, error) {
	out := make([]string, len(args))
	for i, a := range args {
		var missing string
		key, value, _ := strings.Cut(a, "=")
		if name, ok := strings.CutPrefix(value, "${"); ok && strings.HasSuffix(name, "}") {
			name = strings.TrimSuffix(name, "}")
			if value, ok = os.LookupEnv(name); !ok {
				missing = name
			}
		}
		if missing != "" {
			return nil, cli.Hint(fmt.Errorf("setting %q: the environment has no %q", key, missing), "export it, or write the value into the scenario")
		}
		out[i] = key + "=" + value
	}
	return out, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (x *run) expect(ctx context.Context, st Step) error {
	limited, cancel := context.WithTimeout(ctx, st.Time)
	defer cancel()
	_, at, err := x.bench.Console().Find(limited, x.mark, st.Pattern)
	switch {
	case err == nil:
		x.mark = at + 1
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("no line matched /%s/ within %v", st.Pattern, st.Time)
}

func (x *run) expectNot(ctx context.Context, st Step) error {
	limited, cancel := context.WithTimeout(ctx, st.Time)
	defer cancel()
	line, _, err := x.bench.Console().Find(limited, x.bench.Console().Mark(), st.Pattern)
	switch {
	case err == nil:
		return fmt.Errorf("a line matched /%s/: %q", st.Pattern, line)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return nil
}

// expectServer asks the server again and again: until it says what is expected,
// or, for quiet, that it says the same all the time.
func (x *run) expectServer(ctx context.Context, st Step) error {
	want := st.Args[0]
	deadline := time.Now().Add(st.Time)
	var start Truth
	var known bool // start is
	for {
		truth, err := x.bench.Truth(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
		case !known:
			start, known = truth, true
		}
		if err == nil {
			moved := truth.Accepted != start.Accepted
			switch {
			case want == "quiet" && moved:
				return fmt.Errorf("the server accepted %d frames where it should have accepted none", truth.Accepted-start.Accepted)
			case want == "live" && truth.Mode == "live", want == "offline" && truth.Mode == "loop", want == "fresh" && moved && truth.Accepted > 0:
				return nil
			}
		}
		if !time.Now().Before(deadline) {
			switch {
			case err != nil:
				return fmt.Errorf("the server does not say: %w", err)
			case want == "quiet":
				return nil
			case want == "fresh":
				return fmt.Errorf("the server accepted no frame within %v", st.Time)
			}
			return fmt.Errorf("the server is not %s after %v, it shows: %s", want, st.Time, truth.Mode)
		}
		if err := sleep(ctx, min(truthPoll, time.Until(deadline))); err != nil {
			return err
		}
	}
}
