package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"porthole/internal/cli"
	"porthole/internal/devca"
	"porthole/server"
)

// ingestFlags say whose pictures are shown, and what boards are told.
type ingestFlags struct {
	Camera    string        `placeholder:"NAME" help:"Name of the camera that the public sees (default: the first in the token file). The newest picture of others is on the private side only."`
	Interval  time.Duration `placeholder:"TIME" help:"Time from picture to picture that boards are asked to keep (default: their own)."`
	Waves     string        `placeholder:"FILE" help:"File that keeps the count of waves (default: waves in the state folder); 'off' keeps it in memory."`
	WaveDelay time.Duration `default:"30s" help:"A wave reaches the board after a random time of at most this."`
}

func (f *ingestFlags) ingest(tokens *server.Tokens) (server.IngestConfig, error) {
	c := server.IngestConfig{Camera: f.Camera, Interval: f.Interval}
	if f.Camera != "" && tokens.Active(f.Camera) == 0 {
		return c, cli.Hint(fmt.Errorf("--camera %q has no token", f.Camera), "porthole token list shows those that have one, porthole token new "+f.Camera+" makes one")
	}
	if f.Interval < 0 || f.Interval > time.Hour {
		return c, cli.Usage(fmt.Errorf("--interval %v: want 0s to 1h", f.Interval))
	}
	return c, nil
}

func (f *ingestFlags) waves() (server.WaveConfig, error) {
	c := server.WaveConfig{File: f.Waves, Delay: f.WaveDelay}
	if f.WaveDelay <= 0 || f.WaveDelay > time.Hour {
		return c, cli.Usage(fmt.Errorf("--wave-delay %v: want more than 0s and at most 1h", f.WaveDelay))
	}
	switch f.Waves {
	case "off":
		c.File = ""
	case "":
		dir, err := devca.Dir()
		if err != nil {
			return c, err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return c, fmt.Errorf("make state folder: %w", err)
		}
		c.File = filepath.Join(dir, "waves")
	}
	return c, nil
}
