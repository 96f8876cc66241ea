package main

import (
	"context"

	"porthole/internal/cli"
)

type eraseCmd struct {
	Port   string `arg:"" placeholder:"PORT" help:"Serial port; see rig ports."`
	Region string `arg:"" placeholder:"REGION" help:"OFFSET:SIZE in whole sectors of 0x1000, the name of a partition, or all."`

	flasherFlags `embed:""`
}

func (c *eraseCmd) Run(ctx context.Context, std cli.IO) error {
	region, err := parseRegion(c.Region)
	if err != nil {
		return err
	}
	f, d, err := c.flasher(c.Port, std)
	if err != nil {
		return err
	}
	report, err := f.Erase(ctx, region)
	if err != nil {
		return d.failed(err)
	}
	d.report("erased", report)
	return nil
}
