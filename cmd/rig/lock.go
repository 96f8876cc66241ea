package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"porthole/hil/serial"
	"porthole/internal/cli"
)

type lockCmd struct {
	Port    string        `arg:"" help:"A device path or usb:VID:PID[:SERIAL][@PLACE]; see rig ports."`
	Command []string      `arg:"" optional:"" help:"After --: a command to run with the port kept for it."`
	For     time.Duration `placeholder:"10m" help:"End the lock after this time; the command is ended too."`
	Wait    bool          `help:"Wait until the port is free."`
}

// Help implements kong's interface.
func (lockCmd) Help() string {
	return `With a command, the port is kept for what the command starts, and is free when it ends.

  rig lock usb:10C4:EA60 --wait -- make hil

Without one, it is kept for the shell that asked and for what that starts, until rig unlock, until its time is up or until the shell ends, whichever comes first.`
}

func (c *lockCmd) Run(ctx context.Context, std cli.IO) error {
	if c.For < 0 {
		return cli.Usage(fmt.Errorf("--for %v: want a time from now on", c.For))
	}
	info, err := openers(serial.Request{}).Local(c.Port)
	if err != nil {
		return err
	}
	req := serial.Request{For: c.For, Wait: c.Wait}
	if len(c.Command) > 0 {
		return c.run(ctx, std, info, req)
	}
	req.Purpose = "reserved"
	h, err := (serial.Leases{}).Reserve(ctx, info.ID(), req)
	if err != nil {
		return err
	}
	until := "this shell ends"
	if !h.Until.IsZero() {
		until = h.Until.Local().Format(time.TimeOnly) + ", or until " + until
	}
	fmt.Fprintf(std.Out, "%s is locked until %s; earlier with: rig unlock %s\n", cli.Printable(c.Port), until, cli.Printable(c.Port))
	if runtime.GOOS != "linux" {
		fmt.Fprintf(std.Out, "for your own commands: export %s=%s\n", serial.LeaseEnv, h.ID)
	}
	return nil
}

// run runs a command that has the port.
func (c *lockCmd) run(ctx context.Context, std cli.IO, info serial.Info, req serial.Request) error {
	req.Lends = true
	req.Purpose = "rig lock: " + c.Command[0]
	lease, err := (serial.Leases{}).Acquire(ctx, info.ID(), req)
	if err != nil {
		return err
	}
	defer lease.Release()
	if c.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, lease.Holder.Until, fmt.Errorf("the lock's time is up after %v", c.For))
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = std.In, std.Out, std.Err
	cmd.Env = append(os.Environ(), serial.LeaseEnv+"="+lease.Holder.ID)
	cmd.WaitDelay = 5 * time.Second
	if runtime.GOOS != "windows" {
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	}
	err = cmd.Run()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return fmt.Errorf("run %q: %w", c.Command[0], cause)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		return cli.WithCode(fmt.Errorf("run %q: %w", strings.Join(c.Command, " "), err), exit.ExitCode())
	}
	if err != nil {
		return cli.Hint(fmt.Errorf("run %q: %w", c.Command[0], err), "after -- comes a command and its arguments")
	}
	return lease.Release()
}

type unlockCmd struct {
	Port string `arg:"" help:"The port, by any of its names."`
}

// Help implements kong's interface.
func (unlockCmd) Help() string {
	return `Ends what rig lock without a command has begun, also for another shell of yours. A port that a running process uses is never taken away; the error says which process that is.`
}

func (c *unlockCmd) Run(_ context.Context, std cli.IO) error {
	info, err := openers(serial.Request{}).Local(c.Port)
	if err != nil {
		return err
	}
	if err := (serial.Leases{}).Unlock(info.ID()); err != nil {
		return err
	}
	fmt.Fprintf(std.Out, "%s is free\n", cli.Printable(c.Port))
	return nil
}
