package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/sim"
)

// fleet is many boards in one process, each with its own token, seed and phase.
// They have no serial side.
type fleet struct {
	cameras []*sim.Camera
	bus     *event.Bus

	uploads, failed, bytes atomic.Uint64
}

// fleetConfig describes a fleet. sim is that of every board but for token, seed,
// phase and source.
type fleetConfig struct {
	sim    sim.Config
	tokens []string // board i has tokens[i % len]
	boards int
	seed   uint64
	source sim.Source
}

func newFleet(cfg fleetConfig) (*fleet, error) {
	f := &fleet{bus: cfg.sim.Events}
	interval := cmp.Or(cfg.sim.Interval, sim.DefaultInterval)
	shared, colors := &sharedSource{source: cfg.source}, new(sim.Colors)
	for i := range cfg.boards {
		rng := rand.New(rand.NewPCG(cfg.seed, uint64(i)))
		c := cfg.sim
		c.Name = fmt.Sprintf("board-%d", i+1)
		c.Target.Token = cfg.tokens[i%len(cfg.tokens)]
		c.Seed = rng.Uint64()
		c.Phase = time.Duration(rng.Int64N(int64(interval)))
		c.Source = &sim.Sensor{Source: shared.from(rng.IntN(sharedFrames)), Faults: c.Faults, Seed: c.Seed, Fresh: c.Profile == sim.Firmware, Colors: colors}
		c.Report = f.count
		camera, err := sim.New(c)
		if err != nil {
			return nil, err
		}
		f.cameras = append(f.cameras, camera)
	}
	return f, nil
}

func (f *fleet) count(o sim.Outcome) {
	if !o.OK() {
		f.failed.Add(1)
		return
	}
	f.uploads.Add(1)
	f.bytes.Add(uint64(o.Bytes))
}

// run uploads until ctx ends or all boards have sent their frames.
func (f *fleet) run(ctx context.Context) error {
	var boards sync.WaitGroup
	errs := make([]error, len(f.cameras))
	for i, c := range f.cameras {
		boards.Go(func() { errs[i] = c.Run(ctx) })
	}
	boards.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(errs...)
}

// report prints what the fleet did, once a second, until ctx ends.
func (f *fleet) report(ctx context.Context, out io.Writer) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last, lastBytes uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n, b := f.uploads.Load(), f.bytes.Load()
			fmt.Fprintf(out, "%s %d boards: %d uploads/s, %.1f kB/s of pictures, %d in all, %d failed\n",
				time.Now().Format("15:04:05"), len(f.cameras), n-last, float64(b-lastBytes)/1000, n, f.failed.Load())
			last, lastBytes = n, b
		}
	}
}

// sharedFrames is how many pictures a fleet has between its boards: what each sees
// is one of them, and the next time the next.
const sharedFrames = 60

// sharedSource takes pictures once and gives them to every board.
type sharedSource struct {
	source sim.Source
	mu     sync.Mutex
	frames [][]byte
	ended  bool
}

// from is the source of a board that begins with picture n.
func (s *sharedSource) from(n int) sim.Source {
	return sourceFunc(func(ctx context.Context, seq uint64, at time.Duration) ([]byte, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := (n + int(seq)) % sharedFrames; !s.ended && len(s.frames) <= i; {
			// Slow sources are asked in the order of need; the scene is quick.
			frame, err := s.source.Next(ctx, uint64(len(s.frames))+1, time.Duration(len(s.frames))*sim.DefaultInterval)
			if errors.Is(err, io.EOF) && len(s.frames) > 0 {
				s.ended = true
				break
			}
			if err != nil {
				return nil, err
			}
			s.frames = append(s.frames, frame)
		}
		return s.frames[(n+int(seq))%len(s.frames)], nil
	})
}

type sourceFunc func(ctx context.Context, seq uint64, at time.Duration) ([]byte, error)

func (f sourceFunc) Next(ctx context.Context, seq uint64, at time.Duration) ([]byte, error) {
	return f(ctx, seq, at)
}

// runFleet runs many boards against the server of --to.
func (c *simCmd) runFleet(ctx context.Context, std cli.IO, bus *event.Bus, src source) error {
	tokens, err := c.fleetTokens()
	if err != nil {
		return err
	}
	cfg, err := c.cameraConfig(tokens[0])
	if err != nil {
		return err
	}
	f, err := newFleet(fleetConfig{sim: cfg, tokens: tokens, boards: c.Boards, seed: c.Seed, source: src})
	if err != nil {
		return err
	}
	fmt.Fprintf(std.Out, "boards      %d of profile %s, %d tokens, --seed %d\ncamera      %s\nuploads to  %s\nstop        Ctrl-C\n\n",
		c.Boards, c.Profile, len(tokens), c.Seed, src.about, cli.Printable(c.To))
	ctx, stop := context.WithCancel(ctx)
	var reporting sync.WaitGroup
	reporting.Go(func() { f.report(ctx, std.Out) })
	err = f.run(ctx)
	stop()
	reporting.Wait()
	fmt.Fprintf(std.Out, "%d uploads, %d failed\n", f.uploads.Load(), f.failed.Load())
	if err == nil && f.uploads.Load() == 0 {
		return cli.Hint(errors.New("no frame was accepted"), "check the address, the token and --ca, or run one board: --boards 1")
	}
	return err
}

// fleetTokens gives the tokens of a fleet: one a line of --tokens, or the one of
// --token for all.
func (c *simCmd) fleetTokens() ([]string, error) {
	if c.Tokens == "" {
		if c.Token == "" {
			return nil, cli.Usage(cli.Hint(errors.New("no token given"), "--tokens FILE has one a line; RIG_TOKEN or --token is one for all boards"))
		}
		return []string{c.Token}, nil
	}
	text, err := os.ReadFile(c.Tokens)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("read tokens: %w", err), "--tokens names a file with one upload token a line")
	}
	tokens := strings.Fields(string(text))
	if len(tokens) == 0 {
		return nil, cli.Hint(fmt.Errorf("no token in %q", c.Tokens), "--tokens names a file with one upload token a line")
	}
	return tokens, nil
}
