package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"

	"porthole/internal/cli"
	"porthole/internal/frame"
	"porthole/internal/scene"
	"porthole/sim"
)

// sourceFlags choose what the simulated camera sees.
type sourceFlags struct {
	Source   string        `default:"scene" placeholder:"scene|DIR|FILE|-" help:"What the camera sees: the simulated room, a folder of JPEGs, a file of concatenated JPEGs, or standard input (default: ${default})."`
	Order    string        `default:"loop" enum:"loop,ping-pong,once" help:"How a folder or file is played: loop, ping-pong or once."`
	Frames   int           `placeholder:"N" help:"End after N frames (default: go on)."`
	Interval time.Duration `default:"2s" help:"Time from one upload to the next, start to start."`
	Seed     uint64        `placeholder:"N" help:"Seed of the simulated room; 0 draws one and prints it."`
	Epoch    time.Time     `placeholder:"TIME" help:"Time at which the room starts, as 2026-01-02T15:04:05Z (default: now). Same seed and epoch, same pictures."`
	Clock    bool          `default:"true" negatable:"" help:"Draw a clock into the room."`
	Stamp    bool          `default:"true" negatable:"" help:"Draw the machine-readable stamp that frame age is measured by."`
	Quality  int           `default:"12" help:"The sensor's quality number, 1 to 63, smaller is better."`
}

// source is an open source, with what to say about it.
type source struct {
	sim.Source
	about string
	close func()
}

// open returns the source. It stays open until close is called.
func (f *sourceFlags) open(ctx context.Context, std cli.IO) (source, error) {
	if f.Frames < 0 || f.Interval <= 0 {
		return source{}, cli.Usage(fmt.Errorf("--frames %d and --interval %v: want a count and a time above 0", f.Frames, f.Interval))
	}
	order, err := sim.ParseOrder(f.Order)
	if err != nil {
		return source{}, cli.Usage(err)
	}
	const hint = "--source takes scene, a folder of .jpg files, a file of concatenated JPEGs, or - for standard input"
	switch f.Source {
	case "scene":
		return f.openScene()
	case "-":
		return source{sim.NewStream(ctx, std.In, "standard input", frame.Limits{}), "standard input", func() {}}, nil
	}
	st, err := os.Stat(f.Source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return source{}, cli.Hint(fmt.Errorf("source %q does not exist", f.Source), hint)
	case err != nil:
		return source{}, cli.Hint(fmt.Errorf("open source: %w", err), hint)
	case st.IsDir():
		root, err := os.OpenRoot(f.Source)
		if err != nil {
			return source{}, fmt.Errorf("open source: %w", err)
		}
		folder, err := sim.OpenFolder(root.FS(), order, frame.Limits{})
		if err != nil {
			root.Close()
			return source{}, cli.Hint(fmt.Errorf("folder %q: %w", f.Source, err), hint)
		}
		return source{folder, fmt.Sprintf("%d frames of folder %s, %s", folder.Len(), f.Source, order), func() { root.Close() }}, nil
	}
	if !st.Mode().IsRegular() {
		return source{}, cli.Hint(fmt.Errorf("source %q is neither a folder nor a file", f.Source), "send a pipe's frames to standard input: --source -")
	}
	file, err := os.Open(f.Source)
	if err != nil {
		return source{}, fmt.Errorf("open source: %w", err)
	}
	rec, err := sim.OpenRecording(file, st.Size(), f.Source, order, frame.Limits{})
	if err != nil {
		file.Close()
		return source{}, cli.Hint(err, hint)
	}
	return source{rec, fmt.Sprintf("%d frames of file %s, %s", rec.Len(), f.Source, order), func() { file.Close() }}, nil
}

func (f *sourceFlags) openScene() (source, error) {
	f.Seed = cmp.Or(f.Seed, rand.Uint64()>>1|1)
	if f.Epoch.IsZero() {
		f.Epoch = time.Now()
	}
	sc, err := scene.New(scene.Config{Seed: f.Seed, Epoch: f.Epoch, Interval: f.Interval, Quality: f.Quality, Clock: f.Clock, Stamp: f.Stamp})
	if err != nil {
		return source{}, cli.Usage(err)
	}
	about := fmt.Sprintf("the simulated room, --seed %d --epoch %s", f.Seed, f.Epoch.UTC().Format(time.RFC3339Nano))
	return source{sim.SceneSource{Scene: sc}, about, func() {}}, nil
}
