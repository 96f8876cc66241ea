package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"porthole/hil"
	"porthole/hil/flash"
	"porthole/hil/scenario"
	"porthole/hil/shutoff"
	"porthole/internal/boardcfg"
	"porthole/internal/espimage"
	"porthole/internal/rfc2217"
	"porthole/internal/scene"
	"porthole/sim"
	"porthole/sim/board"
)

// simBench is a bench of which nothing is real: the production server, a
// simulated board that uploads to it over TLS, and a spare adapter whose lines
// switch the board's camera. All of it talks over networks in memory, so a
// hundred of them run beside each other, and a test runs one in virtual time.
//
//	runner ─▶ scenario.Board ─ cable ────────────▶ board.Board ─ TLS ─▶ server
//	             └─ shutoff ─ RFC 2217 ─▶ adapter ─▶ camera rail           │
//	             └─ HTTP ──────────────────────────────────────▶ private side
type simBench struct {
	*scenario.Board
	seed   uint64
	sim    *board.Board
	world  *board.World
	rail   *adapter
	server *benchServer
	far    sync.WaitGroup // the adapter's session

	faults int // steps that announced one
	mu     sync.Mutex
	struck int      // faults that happened
	trace  []string // the last events of the board
}

// traceKept is how many events a failure shows.
const traceKept = 30

// event keeps what happens on the board. The board calls it under its lock.
func (b *simBench) event(e board.TraceEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e.Kind {
	case board.TraceSend:
		return // what it prints is in the tail
	case board.TraceFault:
		b.struck++
	}
	if len(b.trace) == traceKept {
		b.trace = append(b.trace[:0], b.trace[1:]...)
	}
	b.trace = append(b.trace, e.String())
}

// evidence is what a failure shows beside the console.
func (b *simBench) evidence() []string {
	s := b.sim.Status()
	lines := []string{
		fmt.Sprintf("seed %d, trace %016x", b.seed, b.sim.TraceHash()),
		fmt.Sprintf("board: state %v, reset %v, %d resets, camera supply cut %v, %d faults left", s.State, s.Reason, s.Resets, s.Shutoff, s.FaultsLeft),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.trace {
		lines = append(lines, "trace "+e)
	}
	return lines
}

// simBenchConfig describes a simulated bench.
type simBenchConfig struct {
	seed    uint64
	faults  []string      // lines of the board's schedule
	blank   bool          // the board was never flashed
	offline time.Duration // of the server; zero for its default
	silent  bool          // the board does not tell the server of its switch
}

// The times of a simulated bench: those of the product.
const benchInterval = 2 * time.Second

func newSimBench(ctx context.Context, cfg simBenchConfig) (_ *simBench, err error) {
	b := &simBench{seed: cfg.seed}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	schedule, err := board.ParseSchedule(strings.NewReader(strings.Join(cfg.faults, "\n")))
	if err != nil {
		return nil, fmt.Errorf("faults of the scenario: %w", err)
	}
	if b.server, err = newBenchServer(cfg.offline); err != nil {
		return nil, err
	}
	if err := b.server.start(); err != nil {
		return nil, err
	}
	settings := boardcfg.Config{
		SSID: roomSSID, Password: roomPassword, Host: "localhost", Port: 8443,
		Token: b.server.token, CA: string(b.server.rootPEM), Interval: benchInterval, Name: "bench",
	}
	if err := b.startBoard(cfg, schedule, settings); err != nil {
		return nil, err
	}
	sw, err := b.startShutoff(ctx)
	if err != nil {
		return nil, err
	}
	demo, err := demoFiles()
	if err != nil {
		return nil, err
	}
	b.Board, err = scenario.OpenBoard(ctx, scenario.BoardConfig{
		Name: fmt.Sprintf("simulator, seed %d", cfg.seed),
		Open: func(context.Context) (hil.Port, error) {
			wire, err := b.sim.Connect()
			if err != nil {
				return nil, err
			}
			return &benchPort{wire}, nil
		},
		Shutoff: sw, Admin: "http://localhost", Client: b.server.client(),
		Public: "https://localhost", PublicClient: b.server.publicClient(), Demo: demo, Settings: &settings,
		Evidence: b.evidence,
	})
	return b, err
}

func (b *simBench) startBoard(cfg simBenchConfig, schedule board.Schedule, settings boardcfg.Config) error {
	image, err := board.DemoImage(espimage.Demo{Version: "1.0.0"})
	if err != nil {
		return err
	}
	if cfg.blank {
		image = nil
	}
	chip, err := board.NewFlash(image, 4<<20)
	if err != nil {
		return err
	}
	if !cfg.blank {
		if err := board.Provision(chip, settings); err != nil {
			return err
		}
	}
	sc, err := scene.New(scene.Config{Seed: cfg.seed, Epoch: time.Now(), Interval: benchInterval, Width: 160, Height: 120, Stamp: false})
	if err != nil {
		return err
	}
	b.world = &board.World{Points: []board.AccessPoint{{SSID: roomSSID, Password: roomPassword}}, Dial: b.server.dial}
	uploader := board.NewUploader(board.UploaderConfig{Source: sim.SceneSource{Scene: sc}, Profile: sim.Firmware, Seed: cfg.seed})
	notify := uploader.Notify
	if cfg.silent {
		notify = nil
	}
	firmware, err := board.NewFirmware(board.FirmwareConfig{
		Network: b.world, Uploads: uploader.Run, Notify: notify, Speed: 1, Seed: cfg.seed,
	})
	if err != nil {
		return err
	}
	b.sim, err = board.New(board.Config{
		Seed: cfg.seed, Chip: board.WROVERE(deviceMAC(cfg.seed)), Flash: chip, Program: firmware, Faults: schedule, Trace: b.event,
	})
	return err
}

// startShutoff wires the adapter and takes its port.
func (b *simBench) startShutoff(ctx context.Context) (*shutoff.Switch, error) {
	b.rail = &adapter{rail: b.sim.SetShutoff}
	b.sim.SetShutoff(true) // as the wiring has it while nothing is driven
	near, far := net.Pipe()
	session := rfc2217.NewServer(far, rfc2217.ServerConfig{Device: b.rail})
	b.far.Go(func() {
		_ = session.Run(context.WithoutCancel(ctx)) // ends with the client
		b.rail.SetSignals(false, false)
	})
	client, err := rfc2217.NewClient(ctx, near, rfc2217.ClientConfig{})
	if err != nil {
		return nil, err
	}
	pin, err := shutoff.RTS(adapterPort{client}, "rts:simulated")
	if err != nil {
		return nil, err
	}
	sw, err := shutoff.New(shutoff.Config{Pin: pin, Safe: shutoff.SafeLow})
	if err != nil {
		err = errors.Join(err, pin.Halt())
	}
	return sw, err
}

// Do implements scenario.Bench.
func (b *simBench) Do(ctx context.Context, st scenario.Step) error {
	switch st.Verb {
	case scenario.Fault:
		b.faults++ // in the board's schedule since it was made
		return nil
	case scenario.WiFi:
		b.world.SetDown(roomSSID, st.Args[0] == "off")
		return nil
	case scenario.CameraCert:
		b.server.refuse(st.Args[0] == "refuse")
		return nil
	case scenario.Server:
		if st.Args[0] == "stop" {
			b.server.stop()
			return nil
		}
		return b.server.start()
	}
	return b.Board.Do(ctx, st)
}

// Close implements scenario.Bench.
func (b *simBench) Close() error {
	var err error
	if b.Board != nil {
		err = b.Board.Close()
	}
	b.far.Wait()
	if b.sim != nil {
		if !b.sim.Status().Shutoff && b.Board != nil && err == nil {
			err = errors.New("the camera is on after the end")
		}
		err = errors.Join(err, b.sim.Close())
		if err == nil && b.struck < b.faults { // nothing happens on a closed board
			err = fmt.Errorf("%d of %d faults of the scenario happened: it does not do what it says", b.struck, b.faults)
		}
	}
	if b.server != nil {
		b.server.stop()
	}
	return err
}

// demoFiles are the parts of the demo application, as a flasher writes them.
func demoFiles() ([]flash.File, error) {
	image, err := board.DemoImage(espimage.Demo{Version: "2.0.0"})
	if err != nil {
		return nil, err
	}
	part := func(name string, from, to int) flash.File {
		return flash.File{Name: name, Offset: int64(from), Data: image[from:to]}
	}
	return []flash.File{
		part("bootloader", espimage.BootloaderOffset, espimage.TableOffset),
		part("partition table", espimage.TableOffset, espimage.TableOffset+espimage.TableSize),
		part("OTA selection", espimage.OTADataOffset, espimage.AppOffset),
		part("application", espimage.AppOffset, len(image)),
	}, nil
}

// adapter is a spare serial adapter with the two transistors of the shutoff
// behind its lines: on only when RTS and not DTR (esp32-wire 5.3).
type adapter struct{ rail func(cut bool) }

var _ rfc2217.Device = (*adapter)(nil)

// SetSignals implements rfc2217.Device.
func (a *adapter) SetSignals(dtr, rts bool) error {
	a.rail(!rts || dtr)
	return nil
}

// The rest of rfc2217.Device: nothing hangs on the data lines.
func (*adapter) Write(p []byte) (int, error)                  { return len(p), nil }
func (*adapter) SetLine(l rfc2217.Line) (rfc2217.Line, error) { return l, nil }
func (*adapter) SetBreak(bool) error                          { return nil }
func (*adapter) Purge(rfc2217.Purge) error                    { return nil }

// adapterPort makes the client of an adapter a port.
type adapterPort struct{ *rfc2217.Client }

func (p adapterPort) SetLines(dtr, rts bool) error { return p.SetDTRRTS(dtr, rts) }
func (p adapterPort) SetBaud(rate int) error       { return p.Client.SetBaud(uint32(rate)) }
func (p adapterPort) Discard() error               { return p.Purge(rfc2217.PurgeReceived) }

// benchPort is the cable to a simulated board that outlives it.
type benchPort struct{ *board.Wire }

// Discard implements hil.Port.
func (p *benchPort) Discard() error { return p.Purge() }
