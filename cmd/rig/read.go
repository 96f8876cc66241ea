package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"porthole/internal/cli"
)

type readCmd struct {
	Port   string `arg:"" placeholder:"PORT" help:"Serial port; see rig ports."`
	Region string `arg:"" placeholder:"REGION" help:"OFFSET:SIZE, the name of a partition, or all."`
	File   string `arg:"" placeholder:"FILE" help:"Where to put it. It appears when all of it was read and compared."`

	flasherFlags `embed:""`
}

// Help is the long text of rig read --help.
func (c *readCmd) Help() string {
	return `The chip's own loader gives 64 bytes per question: count on a minute per
megabyte, and more on adapters that wait before they answer. Erased parts cost
nothing. A partition may hold secrets, so FILE is readable by its owner only.`
}

func (c *readCmd) Run(ctx context.Context, std cli.IO) error {
	region, err := parseRegion(c.Region)
	if err != nil {
		return err
	}
	f, d, err := c.flasher(c.Port, std)
	if err != nil {
		return err
	}
	var size int64
	err = writeWhole(c.File, func(w io.Writer) error {
		got, err := f.Read(ctx, w, region)
		size = got.Size
		return d.failed(err)
	})
	if err != nil {
		return err
	}
	if c.JSON {
		d.line(readLine{"done", c.File, size})
		return nil
	}
	fmt.Fprintf(std.Out, "read        %d bytes into %s\n", size, cli.Printable(c.File))
	return nil
}

// readLine is the last line of --json.
type readLine struct {
	Event string `json:"event"`
	File  string `json:"file"`
	Size  int64  `json:"size"`
}

// writeWhole makes a file of what fill writes, in one step: a failure leaves
// what was there before.
func writeWhole(path string, fill func(io.Writer) error) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return cli.Hint(fmt.Errorf("create file: %w", err), "choose a folder that you may write to")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	if err := fill(tmp); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}
