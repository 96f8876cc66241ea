package main

import (
	"context"
	"errors"
	"os"

	"porthole/hil"
	"porthole/hil/monitor"
	"porthole/hil/serial"
	"porthole/sim/board"
)

// openPort opens a port by the name that a person gives it.
func openPort(ctx context.Context, name string) (hil.Port, error) {
	return openers(serial.Request{}).Open(ctx, name)
}

// openers knows all forms of names. req is what others see of us in rig ports.
func openers(req serial.Request) serial.Openers {
	return serial.Openers{
		Schemes: map[string]hil.Opener{
			"replay": monitor.OpenReplay,
			"sim":    openSim,
		},
		Finder:  finder(),
		Request: req,
		Remote:  serial.RemoteConfig{Token: os.Getenv("RIG_SHARE_TOKEN")},
	}
}

// finder looks for ports in the sysfs of the environment: in a container the
// host's may be mounted elsewhere.
func finder() serial.Finder {
	dir := os.Getenv("RIG_SYSFS")
	if dir == "" {
		return serial.Finder{}
	}
	return serial.Finder{List: func() ([]serial.Info, error) { return serial.ListSysfs(os.DirFS(dir)) }}
}

// openSim opens the port of a new simulated board. sim: alone has the demo
// application in its flash; sim:FILE keeps the flash in a file, so that the
// next command finds what this one wrote.
func openSim(ctx context.Context, file string) (_ hil.Port, err error) {
	cfg := deviceConfig{
		board:    board.Config{Seed: 1, FlashFile: file},
		firmware: board.FirmwareConfig{Speed: 1, Seed: 1},
		world:    new(board.World),
	}
	var kept *flashFile
	if file != "" {
		if kept, err = takeFlashFile(ctx, file, ""); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, kept.release())
			}
		}()
		if cfg.board.Flash, err = kept.load(4 << 20); err != nil {
			return nil, err
		}
	}
	d, err := newDevice(cfg)
	if err != nil {
		return nil, err
	}
	wire, err := d.Connect()
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return &simPort{wire, d, kept}, nil
}

// simPort is the cable to a simulated board that lives as long as the cable.
type simPort struct {
	*board.Wire
	device *device
	kept   *flashFile
}

// Discard implements [hil.Port].
func (p *simPort) Discard() error { return p.Purge() }

// Close implements [hil.Port].
func (p *simPort) Close() error {
	return errors.Join(p.Wire.Close(), p.device.close(), p.kept.release())
}

// stableName is a name of the same board that survives unplugging, which
// ttyUSB0 does not.
func stableName(name string) string { return openers(serial.Request{}).Stable(name) }

// openShared opens a port for an owner that steps back for others: a monitor,
// for a flasher. notify, which may be nil, is told of it.
func openShared(ctx context.Context, name string, baud int, notify func(serial.Handover)) (*serial.Shared, error) {
	return openers(serial.Request{}).OpenShared(ctx, name, baud, notify)
}
