package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"periph.io/x/conn/v3/gpio"

	"porthole/hil/shutoff"
	"porthole/internal/cli"
)

type smokeCmd struct {
	powerFlags `embed:""`
}

// Help is the long text of rig hil smoke --help.
func (smokeCmd) Help() string {
	return `Tries what only the real pin can show: that it obeys, that a lease cuts it, and
that the camera goes off when the program that holds it is killed. The camera
comes on three times, for less than a second. Watch the indicator on its supply.

Without --pin nothing is run, and that is said; with REQUIRE_BOARD=1 it fails.`
}

// Run tries the pin.
func (c *smokeCmd) Run(ctx context.Context, std cli.IO) error {
	if c.Pin == "" {
		fmt.Fprintln(std.Out, "NOT RUN: the shutoff pin was not tried, because no --pin is given")
		if os.Getenv("REQUIRE_BOARD") == "1" {
			return cli.WithCode(cli.Hint(errors.New("REQUIRE_BOARD=1, and no --pin"), "give --pin and --safe"), cli.ExitBench)
		}
		return nil
	}
	name, err := c.parse()
	if err != nil {
		return err
	}
	if err := c.obey(ctx, std); err != nil {
		return fmt.Errorf("smoke test: %w", err)
	}
	if err := c.killed(ctx, std, name); err != nil {
		return fmt.Errorf("smoke test: %w", err)
	}
	fmt.Fprintln(std.Out, "passed")
	return nil
}

// obey switches on and off and lets a lease end. The pin is read back by the
// switch, where it can be.
func (c *smokeCmd) obey(ctx context.Context, std cli.IO) (err error) {
	sw, end, err := c.take(ctx, std, "rig hil smoke")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if err := sw.On(time.Second); err != nil {
		return err
	}
	if err := pause(ctx, 300*time.Millisecond); err != nil {
		return err
	}
	if err := sw.Off(); err != nil {
		return err
	}
	if err := sw.On(300 * time.Millisecond); err != nil {
		return err
	}
	if err := pause(ctx, 600*time.Millisecond); err != nil {
		return err
	}
	if state, _, tripped := sw.Status(); state != shutoff.Off {
		return fmt.Errorf("the camera is %s after its lease (%v)", state, tripped)
	}
	return nil
}

// killed has another process switch on, kills it, and looks at what is left.
func (c *smokeCmd) killed(ctx context.Context, std cli.IO, name shutoff.Name) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, "power", "on", "--for", "30s", "--pin", c.Pin, "--safe", c.Safe, "--json")
	cmd.Stderr = std.Err
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start holder: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start holder: %w", err)
	}
	on := false
	for lines := bufio.NewScanner(io.LimitReader(out, 64<<10)); !on && lines.Scan(); {
		on = strings.Contains(lines.Text(), `"camera":"on"`)
	}
	if on {
		err = pause(ctx, 300*time.Millisecond)
	}
	err = errors.Join(err, cmd.Process.Kill())
	_ = cmd.Wait() // says that it was killed
	if err != nil || !on {
		return cmp.Or(err, errors.New("the second process did not switch on"))
	}
	if name.Driver != "gpiochip" {
		fmt.Fprintln(std.Out, "the program that held the pin was killed; this pin cannot be read, so LOOK: the indicator must be off now")
		return nil
	}
	deadline := time.Now().Add(time.Second)
	for {
		level, user, err := shutoff.Look(name.Chip, name.Line)
		if err == nil && user == "" && level == gpio.Level(c.Safe == string(shutoff.SafeHigh)) {
			fmt.Fprintln(std.Out, "the program that held the pin was killed, and the wiring switched off")
			return nil
		}
		if time.Now().After(deadline) {
			return cli.Hint(fmt.Errorf("the camera is on a second after the program that held its pin was killed (%v)", err),
				"the controller keeps the level, or the resistor is missing: the pin is not fail-safe; see docs/wiring.md")
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}
