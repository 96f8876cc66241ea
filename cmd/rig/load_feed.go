package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"porthole/internal/boardcfg"
	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/internal/remote"
	"porthole/loadtest"
	"porthole/sim"
	"porthole/sim/board"
)

// loadFeed is what a load test without --url runs against: the frame server in a
// process of its own, and a simulated board here that uploads to it. Steps of a
// profile can do harm to both.
type loadFeed struct {
	server  *serverProcess
	device  *device
	spoiler *spoiler
	slow    atomic.Bool
	log     *modeLog
	stop    func() // ends both, once
}

var _ loadtest.Faults = (*loadFeed)(nil)

// startLoadFeed starts both and waits for the first live picture.
func startLoadFeed(ctx context.Context, std cli.IO, seed uint64, protocol loadtest.Protocol) (f *loadFeed, stop func() error, err error) {
	f = &loadFeed{log: new(modeLog)}
	if f.server, err = newServerProcess(std.Err, protocol); err != nil {
		return nil, nil, err
	}
	if err := f.server.start(ctx); err != nil {
		return nil, nil, cli.WithCode(err, cli.ExitBench)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	var closers []func() error
	stop = func() error {
		cancel()
		parts.Wait()
		var err error
		for _, c := range slices.Backward(closers) {
			err = errors.Join(err, c())
		}
		return errors.Join(err, f.server.stop(syscall.SIGTERM))
	}
	fail := func(err error) (*loadFeed, func() error, error) { return nil, nil, errors.Join(err, stop()) }

	src, err := (&sourceFlags{Source: "scene", Order: "loop", Interval: 2 * time.Second, Seed: seed, Stamp: true, Clock: true}).open(ctx, std)
	if err != nil {
		return fail(err)
	}
	closers = append(closers, func() error { src.close(); return nil })
	f.spoiler = &spoiler{Source: src}
	host, port, err := net.SplitHostPort(f.server.settings.HTTPS)
	if err != nil {
		return fail(err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fail(err)
	}
	f.device, err = newDevice(deviceConfig{
		board:    board.Config{Seed: seed},
		firmware: board.FirmwareConfig{Speed: instant, Seed: seed},
		settings: &boardcfg.Config{
			SSID: roomSSID, Password: roomPassword, Host: host, Port: uint16(number),
			Token: f.server.settings.Token, CA: string(f.server.ca.RootPEM), Interval: 2 * time.Second, Name: "sim",
		},
		source: newFinite(f.spoiler, 0), bus: new(event.Bus),
		world: &board.World{Points: []board.AccessPoint{{SSID: roomSSID, Password: roomPassword}}, JoinTime: time.Millisecond, ScanTime: time.Millisecond, Dial: f.dial},
	})
	if err != nil {
		return fail(err)
	}
	live := make(chan struct{})
	admin := "http://" + f.server.settings.Admin // each start of the server has the same
	parts.Go(func() { f.follow(running, admin, live) })
	parts.Go(func() { _ = f.device.run(running) }) // it ends with its context
	select {
	case <-live:
		return f, stop, nil
	case <-ctx.Done():
		return fail(ctx.Err())
	case <-time.After(30 * time.Second):
		return fail(cli.WithCode(cli.Hint(errors.New("the simulated camera did not get a frame through in 30 s"), "see what happens with: rig sim"), cli.ExitBench))
	}
}

// follow keeps the truth about what the public is shown, as the private side at
// address tells it, over restarts of the server. live is closed with the first live picture.
func (f *loadFeed) follow(ctx context.Context, address string, live chan<- struct{}) {
	for ctx.Err() == nil {
		dialling, cancel := context.WithTimeout(ctx, 2*time.Second)
		admin, err := remote.Dial(dialling, remote.Config{Admin: address})
		cancel()
		if err != nil {
			_ = pause(ctx, 50*time.Millisecond)
			continue
		}
		if snap := admin.Snapshot(); snap.Mode != "" {
			f.log.add(snap.ModeSince, snap.Mode)
			if snap.Mode == event.Live && live != nil {
				close(live)
				live = nil
			}
		}
		for {
			e, ok := admin.Next(ctx)
			if !ok {
				break
			}
			if e.Kind == event.ModeChanged {
				f.log.add(e.Time, e.Mode)
				if e.Mode == event.Live && live != nil {
					close(live)
					live = nil
				}
			}
		}
		admin.Close()
	}
}

// dial is the board's way to the server.
func (f *loadFeed) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil || !f.slow.Load() {
		return conn, err
	}
	return &slowConn{conn}, nil
}

// slowConn uploads at 8 kB a second, so that a picture takes some.
type slowConn struct{ net.Conn }

func (c *slowConn) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = c.Conn.Write(p[n:min(n+512, len(p))])
		n += k
		time.Sleep(time.Duration(k) * time.Second / 8000)
	}
	return n, err
}

// spoiler is a source whose frames can be spoiled.
type spoiler struct {
	sim.Source
	on atomic.Bool
}

// Next implements sim.Source.
func (s *spoiler) Next(ctx context.Context, seq uint64, at time.Duration) ([]byte, error) {
	data, err := s.Source.Next(ctx, seq, at)
	if err != nil || !s.on.Load() || len(data) < 100 {
		return data, err
	}
	// Cut in the middle, with an end of image: what a bad contact makes of it.
	return append(slices.Clone(data[:len(data)/2]), 0, 0), nil
}

// deeds are the steps, by subject and verb.
func (f *loadFeed) deeds() map[string]func(context.Context) error {
	restart := func(sig syscall.Signal) func(context.Context) error {
		return func(ctx context.Context) error {
			if err := f.server.stop(sig); err != nil {
				return err
			}
			return f.server.start(ctx)
		}
	}
	plain := func(do func()) func(context.Context) error {
		return func(context.Context) error { do(); return nil }
	}
	return map[string]func(context.Context) error{
		"camera stop":    plain(func() { f.device.SetShutoff(true) }),
		"camera start":   plain(func() { f.device.SetShutoff(false) }),
		"camera slow":    plain(func() { f.slow.Store(true) }),
		"camera corrupt": plain(func() { f.spoiler.on.Store(true) }),
		"camera normal":  plain(func() { f.slow.Store(false); f.spoiler.on.Store(false) }),
		"server stop":    func(context.Context) error { return f.server.stop(syscall.SIGTERM) },
		"server kill":    func(context.Context) error { return f.server.stop(syscall.SIGKILL) },
		"server start":   func(ctx context.Context) error { return f.server.start(ctx) },
		"server restart": restart(syscall.SIGTERM),
		"server crash":   restart(syscall.SIGKILL),
		"server freeze":  func(context.Context) error { return f.server.signal(syscall.SIGSTOP) },
		"server thaw":    func(context.Context) error { return f.server.signal(syscall.SIGCONT) },
	}
}

// Knows implements loadtest.Faults.
func (f *loadFeed) Knows(do []string) error {
	if _, ok := (*loadFeed)(nil).deeds()[strings.Join(do, " ")]; !ok {
		names := slices.Sorted(maps.Keys((*loadFeed)(nil).deeds()))
		return cli.Hint(fmt.Errorf("unknown step %q", strings.Join(do, " ")), "the steps are: "+strings.Join(names, ", ")+"; and slow N, abort N, storm N, slowloris N")
	}
	return nil
}

// Do implements loadtest.Faults.
func (f *loadFeed) Do(ctx context.Context, do []string) error {
	return f.deeds()[strings.Join(do, " ")](ctx)
}

// commandFaults carries out "run PROGRAM ARG…" for servers that are not ours.
type commandFaults struct {
	allowed bool
	out     io.Writer
}

// commandPatience bounds one of them.
const commandPatience = time.Minute

// Knows implements loadtest.Faults.
func (c commandFaults) Knows(do []string) error {
	switch {
	case do[0] != "run" || len(do) < 2:
		return cli.Hint(fmt.Errorf("the step %q is for the feed that rig load starts by itself", strings.Join(do, " ")), "leave --url out, or let the step run a program of yours: run ssh host systemctl restart porthole")
	case !c.allowed:
		return cli.Hint(fmt.Errorf("the step %q would run a program", strings.Join(do, " ")), "add --allow-run if you know the profile")
	}
	if _, err := exec.LookPath(do[1]); err != nil {
		return fmt.Errorf("step %q: %w", strings.Join(do, " "), err)
	}
	return nil
}

// Do implements loadtest.Faults.
func (c commandFaults) Do(ctx context.Context, do []string) error {
	ctx, cancel := context.WithTimeout(ctx, commandPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, do[1], do[2:]...)
	cmd.Stdout, cmd.Stderr = c.out, c.out
	return cmd.Run()
}
