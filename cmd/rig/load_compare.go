package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"porthole/internal/cli"
	"porthole/loadtest"
)

type loadCompareCmd struct {
	Before    string `arg:"" help:"Report of the run before, as rig load --json wrote it."`
	After     string `arg:"" help:"Report of the run after."`
	Tolerance string `default:"10%" placeholder:"LIST" help:"How much worse a figure may be: 10%, or 10%,age.p99=5% (default: ${default})."`
	JSON      bool   `name:"json" help:"Print the differences as JSON."`
}

// Help is the long text of rig load compare --help.
func (loadCompareCmd) Help() string {
	return `Both runs must have played the same scenario on the same kind of machine, and
neither may be inconclusive; else they are not compared. A figure that became
worse by more than its tolerance ends with exit code 3.

  rig load --json before.json && git checkout change && rig load --json after.json
  rig load compare before.json after.json --tolerance 10%,age.p99=5%`
}

// Run compares.
func (c *loadCompareCmd) Run(_ context.Context, std cli.IO) error {
	tolerances, err := loadtest.ParseTolerances(c.Tolerance)
	if err != nil {
		return cli.Usage(err)
	}
	before, err := readLoadReport(c.Before)
	if err != nil {
		return err
	}
	after, err := readLoadReport(c.After)
	if err != nil {
		return err
	}
	list, err := loadtest.Compare(before, after, tolerances)
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(std.Out)
		e.SetIndent("", "  ")
		err = e.Encode(list)
	} else {
		err = loadtest.WriteDifferences(std.Out, list)
	}
	if err != nil {
		return err
	}
	var worse []string
	for _, d := range list {
		if d.Worse {
			worse = append(worse, d.Name)
		}
	}
	if len(worse) > 0 {
		return cli.WithCode(cli.Hint(errors.New("worse than tolerated: "+strings.Join(worse, ", ")), "repeat both runs to see whether it holds; --tolerance says how much is tolerated"), cli.ExitObjective)
	}
	return nil
}

func readLoadReport(path string) (*loadtest.Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("read report: %w", err), "give a report that rig load --json wrote")
	}
	defer f.Close()
	r, err := loadtest.ReadReport(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
