package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"porthole/internal/cli"
	"porthole/loadtest"
)

type loadFindMaxCmd struct {
	crowdFlags  `embed:""`
	outputFlags `embed:""`

	From   int     `default:"100" help:"Viewers of the first run."`
	To     int     `default:"10000" help:"Viewers of the largest run."`
	Within float64 `default:"5" help:"Stop when the largest that passed and the smallest that did not are this close, in percent."`
}

// Help is the long text of rig load find-max --help.
func (c *loadFindMaxCmd) Help() string {
	return `Runs larger and larger crowds until one misses an objective, then crowds in
between. The reports asked for are those of the largest that passed.

An inconclusive run is repeated once; a second time it is the generator that has
reached its limit, not the server, and the result says so: use --agents then.

  rig load find-max --url https://cam.example.org/latest --duration 30s --html max.html`
}

// Run searches.
func (c *loadFindMaxCmd) Run(ctx context.Context, std cli.IO) error {
	if c.Viewers != 0 {
		return cli.Usage(cli.Hint(errors.New("find-max finds the number of viewers"), "give --from and --to instead of --viewers"))
	}
	if c.From < 1 || c.To < c.From || c.Within <= 0 || c.Within > 100 {
		return cli.Usage(fmt.Errorf("--from %d, --to %d, --within %v: want 1 or more, no less than that, and a percentage", c.From, c.To, c.Within))
	}
	if c.Results != "" || c.Samples != "" {
		return cli.Usage(errors.New("--results and --samples are for one run"))
	}
	cfg, err := c.config()
	if err != nil {
		return err
	}
	if len(cfg.Crowd.Stages) > 0 && c.Arrivals == "" {
		return cli.Usage(errors.New("a profile with stages has a size of its own"))
	}
	out, err := c.outputFlags.open(std)
	if err != nil {
		return err
	}
	defer out.close()
	fmt.Fprintf(out.text, "from %d to %d viewers, --seed %d\n", c.From, c.To, cfg.Seed)
	return c.against(ctx, std, out.text, cfg, func(ctx context.Context, cfg loadtest.Config, _ *loadFeed) (*loadtest.Report, error) {
		found, err := loadtest.Search{From: c.From, To: c.To, Within: c.Within / 100}.Run(ctx, func(ctx context.Context, n int) (*loadtest.Report, error) {
			cfg := cfg
			cfg.Viewers = n
			if pattern := cmp.Or(c.Arrivals, cfg.Crowd.Pattern); pattern != "" {
				if err := cfg.SetArrivals(pattern); err != nil {
					return nil, err
				}
			}
			report, err := loadtest.Run(ctx, cfg, nil)
			if cli.Code(err) == cli.ExitBench { // more than this machine can play
				return &loadtest.Report{Verdict: loadtest.Inconclusive, Reasons: []string{err.Error()}}, nil
			}
			if err == nil {
				fmt.Fprintf(out.text, "%6d viewers: %-12s  age p99 %v, answer p99 %v, %d errors of %d polls, hiccup p99 %v\n", n, report.Verdict,
					report.Age.P99, report.Service.P99, report.Polls.Errors, report.Polls.Sent, report.Generator.Hiccup.P99)
			}
			return report, err
		})
		if err != nil {
			return nil, err
		}
		if found.Best == nil {
			return nil, cli.WithCode(cli.Hint(fmt.Errorf("no crowd passed: %s", found.Why), "see one run in full with rig load"), found.Tries[len(found.Tries)-1].Report.Verdict.ExitCode())
		}
		fmt.Fprintf(out.text, "\nthe largest crowd that passed: %d viewers; %s\n", found.Best.Scenario.Viewers, cli.Printable(found.Why))
		// What the server has used is of all the runs, and says nothing of the best.
		return found.Best, out.write(found.Best, nil)
	})
}
