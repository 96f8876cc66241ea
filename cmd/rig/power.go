package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"periph.io/x/conn/v3/gpio"

	"porthole/hil"
	"porthole/hil/serial"
	"porthole/hil/shutoff"
	"porthole/internal/cli"
)

// pinFlags say where the shutoff is and which level is safe.
type pinFlags struct {
	Pin  string `placeholder:"PIN" help:"Shutoff pin: gpiochip:CHIP:LINE, rts:PORT or periph:NAME."`
	Safe string `placeholder:"low|high" help:"Level of the pin at which the camera is off. There is no default; docs/wiring.md says which."`
}

// parse checks the flags.
func (f *pinFlags) parse() (shutoff.Name, error) {
	if f.Pin == "" {
		return shutoff.Name{}, cli.Usage(cli.Hint(errors.New("no pin given"), "--pin takes gpiochip:CHIP:LINE, rts:PORT or periph:NAME; docs/wiring.md shows the circuit"))
	}
	name, err := shutoff.ParseName(f.Pin)
	if err != nil {
		return name, cli.Usage(err)
	}
	if safe := shutoff.Safe(f.Safe); name.Driver != "none" && safe != shutoff.SafeLow && safe != shutoff.SafeHigh {
		err := shutoff.ErrNoSafe
		if f.Safe != "" {
			err = fmt.Errorf("safe level %q: want low or high", f.Safe)
		}
		return name, cli.Usage(cli.Hint(err, "give the level at which the camera is off, --safe low or --safe high; docs/wiring.md says which"))
	}
	return name, nil
}

// open takes the pin and switches the camera off.
func (f *pinFlags) open(ctx context.Context, name shutoff.Name, log func(shutoff.Edge)) (*shutoff.Switch, error) {
	pin, err := shutoff.Open(ctx, name, openShutoffPort)
	if err != nil {
		return nil, err
	}
	sw, err := shutoff.New(shutoff.Config{Pin: pin, Safe: shutoff.Safe(f.Safe), Log: log})
	if err != nil {
		return nil, errors.Join(err, pin.Halt())
	}
	return sw, nil
}

// openShutoffPort opens a port whose lines fall with its process.
func openShutoffPort(ctx context.Context, name string) (hil.Port, error) {
	o := openers(serial.Request{Purpose: "shutoff"})
	o.Config.HangUp = true
	return o.Open(ctx, name)
}

type powerCmd struct {
	On     powerOnCmd     `cmd:"" help:"Switch the camera on, for a time or as long as this command runs."`
	Off    powerOffCmd    `cmd:"" help:"Switch the camera off, also for another rig power on."`
	Cycle  powerCycleCmd  `cmd:"" help:"Switch the camera off, wait, and switch it on."`
	Status powerStatusCmd `cmd:"" help:"Say who holds the pin and how it is, without touching it."`
}

// Help is the long text of rig power --help.
func (powerCmd) Help() string {
	return `A pin is driven only as long as a process holds it. So the camera is on only
while a command here runs, and off after it in whatever way it ends: the wiring
sees to that. On a serial adapter, status and off open the port, which
is safe with the circuit of docs/wiring.md.`
}

// powerFlags are what all of rig power shares.
type powerFlags struct {
	pinFlags `embed:""`
	JSON     bool `name:"json" help:"Print edges as JSON lines."`
}

// printer prints edges.
func (f *powerFlags) printer(w io.Writer) func(shutoff.Edge) {
	if f.JSON {
		enc := json.NewEncoder(w)
		return func(e shutoff.Edge) { _ = enc.Encode(e) }
	}
	return func(e shutoff.Edge) { fmt.Fprintln(w, cli.Printable(e.String())) }
}

// pinLease is the name under which a pin is leased: one holder at a time, who
// can be found.
func pinLease(name shutoff.Name) string { return "pin " + name.String() }

// leases says who has a pin. Commands take the lease before they open the pin.
func (f *powerFlags) take(ctx context.Context, std cli.IO, purpose string) (*shutoff.Switch, func() error, error) {
	name, err := f.parse()
	if err != nil {
		return nil, nil, err
	}
	lease, err := (serial.Leases{}).Acquire(ctx, pinLease(name), serial.Request{Purpose: purpose})
	if err != nil {
		return nil, nil, cli.Hint(err, "rig power off ends it")
	}
	sw, err := f.open(ctx, name, f.printer(std.Out))
	if err != nil {
		return nil, nil, errors.Join(err, lease.Release())
	}
	return sw, func() error { return errors.Join(sw.Close(), lease.Release()) }, nil
}

// onFlags say how long the camera is on. One of them is the confirmation, which
// the environment cannot give.
type onFlags struct {
	For       time.Duration `env:"-" placeholder:"30s" help:"Keep the camera on for this time."`
	Keep      bool          `env:"-" help:"Keep the camera on until this command ends."`
	Heartbeat time.Duration `env:"-" placeholder:"5s" help:"Keep the camera on as long as a line arrives on standard input at least this often."`
}

func (f *onFlags) check() error {
	n := 0
	for _, given := range []bool{f.For != 0, f.Keep, f.Heartbeat != 0} {
		if given {
			n++
		}
	}
	switch {
	case n != 1:
		return cli.Usage(cli.Hint(errors.New("say how long the camera is to be on"), "one of --for 30s, --keep and --heartbeat 5s"))
	case f.For < 0 || f.Heartbeat < 0 || f.For > shutoff.MaxLease || f.Heartbeat > shutoff.MaxLease:
		return cli.Usage(fmt.Errorf("a time of %v: want up to %v", max(f.For, f.Heartbeat), shutoff.MaxLease))
	}
	return nil
}

// keepLease is how long the camera stays on after a --keep that hangs.
const keepLease = 10 * time.Second

// hold switches the camera on and returns when its time is over or ctx ends.
func (f *onFlags) hold(ctx context.Context, std cli.IO, sw *shutoff.Switch) error {
	switch {
	case f.Keep:
		if err := sw.On(keepLease); err != nil {
			return err
		}
		return sw.Hold(ctx, keepLease)
	case f.Heartbeat != 0:
		return f.beat(ctx, std, sw)
	}
	if err := sw.On(f.For); err != nil {
		return err
	}
	t := time.NewTimer(f.For)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return nil
}

// beat renews the lease with every line of standard input. Whoever pipes it
// decides with what it does not write, too.
func (f *onFlags) beat(ctx context.Context, std cli.IO, sw *shutoff.Switch) error {
	beats := make(chan struct{})
	// Reading standard input cannot be interrupted; the goroutine ends with it or
	// with the process.
	go func() {
		defer close(beats)
		for lines := bufio.NewScanner(std.In); lines.Scan(); {
			select {
			case beats <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	if err := sw.On(f.Heartbeat); err != nil {
		return err
	}
	missed := time.NewTimer(f.Heartbeat)
	defer missed.Stop()
	for {
		select {
		case _, more := <-beats:
			if !more {
				return nil
			}
			if err := sw.Renew(f.Heartbeat); err != nil {
				return err
			}
			missed.Reset(f.Heartbeat)
		case <-missed.C:
			return cli.Hint(fmt.Errorf("no heartbeat for %v; the camera is off", f.Heartbeat), "write a line more often than that")
		case <-ctx.Done():
			return nil
		}
	}
}

type powerOnCmd struct {
	onFlags    `embed:""`
	powerFlags `embed:""`
}

// Run switches on.
func (c *powerOnCmd) Run(ctx context.Context, std cli.IO) error {
	if err := c.check(); err != nil {
		return err
	}
	sw, end, err := c.take(ctx, std, "rig power on")
	if err != nil {
		return err
	}
	return errors.Join(c.hold(ctx, std, sw), end())
}

type powerCycleCmd struct {
	OffTime    time.Duration `name:"off-time" default:"3s" help:"How long the camera stays off."`
	onFlags    `embed:""`
	powerFlags `embed:""`
}

// Run switches off and on.
func (c *powerCycleCmd) Run(ctx context.Context, std cli.IO) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := endHolder(ctx, std, &c.pinFlags); err != nil {
		return err
	}
	sw, end, err := c.take(ctx, std, "rig power cycle")
	if err != nil {
		return err
	}
	t := time.NewTimer(c.OffTime)
	defer t.Stop()
	select {
	case <-t.C:
		err = c.hold(ctx, std, sw)
	case <-ctx.Done():
	}
	return errors.Join(err, end())
}

type powerOffCmd struct {
	powerFlags `embed:""`
}

// Run switches off: first whoever else has switched on, then the pin itself.
func (c *powerOffCmd) Run(ctx context.Context, std cli.IO) error {
	if err := endHolder(ctx, std, &c.pinFlags); err != nil {
		return err
	}
	_, end, err := c.take(ctx, std, "rig power off")
	if err != nil {
		return err
	}
	return end()
}

// Grace given to another rig power on: to end by itself, then to be gone.
const (
	termGrace = 2 * time.Second
	killGrace = 2 * time.Second
)

// endHolder ends the process that holds the pin, if it is one of ours. The lease
// is a lock: its holder lives, and its number is not somebody else's by now.
func endHolder(ctx context.Context, std cli.IO, f *pinFlags) error {
	name, err := f.parse()
	if err != nil {
		return err
	}
	var leases serial.Leases
	holder, held := leases.Status(pinLease(name))
	if !held {
		return nil
	}
	p, err := os.FindProcess(holder.PID)
	if err != nil {
		return fmt.Errorf("end process %d: %w", holder.PID, err)
	}
	fmt.Fprintf(std.Out, "ending %s, pid %d\n", cli.Printable(holder.Purpose), holder.PID)
	for _, step := range []struct {
		signal os.Signal
		grace  time.Duration
	}{{terminate, termGrace}, {os.Kill, killGrace}} {
		if err := p.Signal(step.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return cli.Hint(fmt.Errorf("end process %d: %w", holder.PID, err), "it may be another user's")
		}
		deadline := time.Now().Add(step.grace)
		for time.Now().Before(deadline) {
			if now, held := leases.Status(pinLease(name)); !held || now.PID != holder.PID {
				return nil
			}
			if err := pause(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("process %d holds the pin and does not end", holder.PID)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type powerStatusCmd struct {
	pinFlags `embed:""`
}

// Run tells the state.
func (c *powerStatusCmd) Run(_ context.Context, std cli.IO) error {
	name, err := c.parse()
	if err != nil {
		return err
	}
	if holder, held := (serial.Leases{}).Status(pinLease(name)); held {
		fmt.Fprintf(std.Out, "held by %s, pid %d, since %s\n", cli.Printable(holder.Purpose), holder.PID, holder.Since.Local().Format(time.TimeOnly))
		return nil
	}
	fmt.Fprintln(std.Out, "held by nobody here: the wiring decides, which means off")
	if name.Driver != "gpiochip" {
		return nil
	}
	level, user, err := shutoff.Look(name.Chip, name.Line)
	switch {
	case err != nil:
		return err
	case user != "":
		return cli.Hint(fmt.Errorf("another program drives the pin: %q", user), "end it; gpioinfo shows it")
	}
	camera := "off"
	if level != gpio.Level(c.Safe == string(shutoff.SafeHigh)) {
		camera = "ON"
	}
	fmt.Fprintf(std.Out, "the pin reads %s: camera %s\n", map[gpio.Level]string{gpio.Low: "low", gpio.High: "high"}[level], camera)
	if camera == "ON" {
		return cli.Hint(errors.New("the camera is on and nobody holds its pin"), "the wiring is not fail-safe: check the resistor of docs/wiring.md, and --safe")
	}
	return nil
}
