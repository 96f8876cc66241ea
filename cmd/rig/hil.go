package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"porthole/hil"
	"porthole/hil/flash"
	"porthole/hil/scenario"
	"porthole/hil/serial"
	"porthole/hil/shutoff"
	"porthole/internal/cli"
)

type hilCmd struct {
	Run   hilRunCmd `cmd:"" default:"withargs" help:"Run scenarios: on the simulator, or on a real board with --port."`
	Smoke smokeCmd  `cmd:"" help:"Try a real shutoff pin, also by killing the program that holds it."`
}

type hilRunCmd struct {
	Files []string `arg:"" name:"scenario" help:"Scenario files, such as scenarios/*.txt."`

	Port       string   `env:"RIG_HIL_PORT" placeholder:"PORT" help:"Serial port of a real board; without one everything is simulated."`
	Server     string   `env:"RIG_HIL_SERVER" placeholder:"URL" help:"Private address of the server that the real board uploads to, http://127.0.0.1:9100."`
	Public     string   `env:"RIG_HIL_PUBLIC" placeholder:"URL" help:"Public address of that server, which 'wave' goes to, https://cam.example.org."`
	AdminToken string   `placeholder:"TOKEN" help:"Token of that private side, if it asks for one. Better in the environment."`
	Firmware   []string `placeholder:"PLACE=FILE" help:"What 'flash demo' writes to a real board: 0x10000=app.bin."`
	pinFlags   `embed:""`

	JUnit   string `name:"junit" placeholder:"FILE" help:"Write the results as JUnit XML."`
	JSON    string `name:"json" placeholder:"FILE" help:"Write the results as JSON lines."`
	Soak    bool   `help:"Also run the scenarios that take a night."`
	Seed    uint64 `placeholder:"N" help:"Seed of the simulator; 0 draws one and prints it."`
	Jobs    int    `placeholder:"N" help:"How many simulations run beside each other (default: 4 for each processor)."`
	Verbose bool   `short:"v" help:"Print every step."`
}

// Help is the long text of rig hil --help.
func (c *hilRunCmd) Help() string {
	return `A scenario is a text file: what is done to the board, and what must be seen then
on its console and on the private side of the server. On failure the console's
last lines are shown with the seed and a trace.

  rig hil scenarios/*.txt --junit artifacts/hil.xml
  rig hil scenarios/shutoff-drill.txt --port usb:10c4:ea60 --pin gpiochip:gpiochip0:17 --safe low --server http://127.0.0.1:9100`
}

// Run runs the scenarios.
func (c *hilRunCmd) Run(ctx context.Context, std cli.IO) error {
	var list []*scenario.Scenario
	for _, file := range c.Files {
		s, err := scenario.Open(file)
		if err != nil {
			return cli.Usage(err)
		}
		list = append(list, s)
	}
	runner := &scenario.Runner{Soak: c.Soak}
	jobs := cmp.Or(max(c.Jobs, 0), 4*runtime.NumCPU())
	if c.Port == "" {
		if c.Pin != "" || c.Server != "" || len(c.Firmware) > 0 {
			return cli.Usage(cli.Hint(errors.New("--pin, --server and --firmware are for a real board"), "add --port, or leave them out"))
		}
		c.Seed = cmp.Or(c.Seed, rand.Uint64()>>1|1)
		fmt.Fprintf(std.Out, "on the simulator, --seed %d\n", c.Seed)
		runner.Has = func(scenario.Need) bool { return true }
		runner.Start = func(ctx context.Context, s *scenario.Scenario) (scenario.Bench, error) {
			b, err := newSimBench(ctx, simBenchConfig{seed: c.Seed, faults: s.Faults(), blank: s.FromScratch()})
			if err != nil {
				return nil, err
			}
			return b, nil
		}
	} else {
		jobs = 1
		if err := c.realBoard(runner); err != nil {
			return err
		}
	}
	var out sync.Mutex
	runner.Log = func(s *scenario.Scenario, text string) {
		if !c.Verbose {
			return
		}
		out.Lock()
		defer out.Unlock()
		fmt.Fprintf(std.Out, "        %s: %s\n", cli.Printable(s.Name), cli.Printable(text))
	}
	results := runAll(ctx, runner, list, jobs, func(r scenario.Result) {
		out.Lock()
		defer out.Unlock()
		_ = scenario.WriteText(std.Out, r) // a closed terminal ends nothing
	})
	if c.Port == "" {
		fmt.Fprintln(std.Out, "NOT RUN on a real board: no --port given")
	}
	return errors.Join(c.report(results), verdict(results))
}

// runAll runs scenarios beside each other and returns their results in order.
func runAll(ctx context.Context, runner *scenario.Runner, list []*scenario.Scenario, jobs int, done func(scenario.Result)) []scenario.Result {
	results := make([]scenario.Result, len(list))
	var work sync.WaitGroup
	free := make(chan struct{}, jobs)
	for i, s := range list {
		free <- struct{}{}
		work.Go(func() {
			defer func() { <-free }()
			results[i] = runner.Run(ctx, s)
			done(results[i])
		})
	}
	work.Wait()
	return results
}

// realBoard prepares the runner for the board at a port.
func (c *hilRunCmd) realBoard(runner *scenario.Runner) error {
	demo, err := loadFiles(c.Firmware)
	if err != nil {
		return err
	}
	var name shutoff.Name
	if c.Pin != "" {
		if name, err = c.pinFlags.parse(); err != nil {
			return err
		}
	}
	wired := c.Pin != "" && name.Driver != "none"
	runner.Has = func(n scenario.Need) bool { return n == scenario.NeedsShutoff && wired }
	runner.Start = func(ctx context.Context, s *scenario.Scenario) (scenario.Bench, error) {
		return startRealBench(ctx, c, name, wired, demo)
	}
	return nil
}

func startRealBench(ctx context.Context, c *hilRunCmd, name shutoff.Name, wired bool, demo []flash.File) (scenario.Bench, error) {
	var sw *shutoff.Switch
	var edges edgeLog
	if wired {
		var err error
		if sw, err = c.pinFlags.open(ctx, name, edges.add); err != nil {
			return nil, err
		}
	}
	b, err := scenario.OpenBoard(ctx, scenario.BoardConfig{
		Name: "board at " + c.Port,
		Open: func(ctx context.Context) (hil.Port, error) {
			return openers(serial.Request{Purpose: "rig hil"}).Open(ctx, c.Port)
		},
		Shutoff: sw, Admin: c.Server, Public: c.Public, AdminToken: c.AdminToken, Demo: demo, Evidence: edges.lines,
	})
	if err != nil {
		return nil, err // a nil Board is no nil Bench
	}
	return b, nil
}

// report writes the files that were asked for.
func (c *hilRunCmd) report(results []scenario.Result) error {
	write := func(path string, content func(io.Writer) error) error {
		if path == "" {
			return nil
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
		f, err := os.Create(path)
		if err != nil {
			return fmt.Errorf("write report: %w", err)
		}
		return errors.Join(content(f), f.Close())
	}
	return errors.Join(
		write(c.JUnit, func(w io.Writer) error { return scenario.WriteJUnit(w, results) }),
		write(c.JSON, func(w io.Writer) error {
			for _, r := range results {
				if err := scenario.WriteJSON(w, r); err != nil {
					return err
				}
			}
			return nil
		}))
}

// verdict is the error of a run, if any: a bench that is broken weighs more
// than a scenario that failed, for nothing was learnt.
func verdict(results []scenario.Result) error {
	names := func(o scenario.Outcome) (list []string) {
		for _, r := range results {
			if r.Outcome == o {
				list = append(list, r.Name)
			}
		}
		return list
	}
	if broken := names(scenario.Broken); len(broken) > 0 {
		return cli.WithCode(cli.Hint(fmt.Errorf("the bench failed in %d of %d scenarios: %s", len(broken), len(results), strings.Join(broken, ", ")),
			"nothing was learnt about the board; see the reasons above"), cli.ExitBench)
	}
	if failed := names(scenario.Failed); len(failed) > 0 {
		return cli.Hint(fmt.Errorf("%d of %d scenarios failed: %s", len(failed), len(results), strings.Join(failed, ", ")),
			"-v shows every step; the same --seed repeats a simulated run")
	}
	return nil
}

// edgeLog keeps the edges of a shutoff for the report.
type edgeLog struct {
	mu    sync.Mutex
	edges []string
}

func (l *edgeLog) add(e shutoff.Edge) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.edges = append(l.edges, "shutoff: "+e.String())
}

func (l *edgeLog) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.edges)
}
