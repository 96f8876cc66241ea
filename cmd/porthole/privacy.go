package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"porthole/internal/cli"
	"porthole/server"
	"porthole/server/reservoir"
)

// privacyFlags say what viewers may learn about the camera.
type privacyFlags struct {
	Privacy     string        `default:"off" enum:"on,off" help:"on: viewers cannot tell the camera from recordings of it that nobody has seen, nor learn that it is off (implies --normalize and --denoise). off (default): every picture is shown at once."`
	Clips       string        `placeholder:"DIR" help:"Folder of such recordings (default: clips in the state folder)."`
	ClipsBytes  int64         `default:"2000000000" placeholder:"N" help:"Recordings kept, in bytes (default: ${default})."`
	ClipsAge    time.Duration `default:"336h" placeholder:"TIME" help:"Age at which recordings are deleted (default: ${default})."`
	ReplayShare float64       `default:"0.5" placeholder:"SHARE" help:"Share of the time in which recordings are shown though the camera is on, 0.1 to 0.9 (default: ${default}, which tells least)."`
	MinRun      time.Duration `default:"30s" placeholder:"TIME" help:"Shortest time from one change between camera and recording to the next (default: ${default})."`
	MeanRun     time.Duration `default:"4m" placeholder:"TIME" help:"… and the usual time (default: ${default})."`
	Reserve     time.Duration `default:"30m" placeholder:"TIME" help:"Recordings around a time of day that are left for when the camera fails (default: ${default})."`
}

func (f *privacyFlags) on() bool { return f.Privacy == "on" }

// privacy opens the folder of clips. The returned function closes it.
func (f *privacyFlags) privacy(period time.Duration, log *slog.Logger) (p server.Privacy, closeClips func(), err error) {
	closeClips = func() {}
	if !f.on() {
		if f.Clips != "" {
			return p, nil, cli.Usage(cli.Hint(errors.New("--clips without --privacy=on: nothing would be recorded"), "add --privacy=on, or leave --clips out"))
		}
		return p, closeClips, nil
	}
	p = server.Privacy{On: true, Share: f.ReplayShare, MinRun: f.MinRun, MeanRun: f.MeanRun, Reserve: f.Reserve}
	if f.ClipsBytes < 1 || f.ClipsAge <= 0 {
		return p, nil, cli.Usage(fmt.Errorf("--clips-bytes %d and --clips-age %v: want more than 0", f.ClipsBytes, f.ClipsAge))
	}
	if err := p.Check(period); err != nil {
		return p, nil, cli.Usage(err)
	}
	dir, err := stateFile(f.Clips, "clips")
	if err != nil {
		return p, nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return p, nil, fmt.Errorf("make folder of clips: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return p, nil, fmt.Errorf("open folder of clips: %w", err)
	}
	if p.Clips, err = reservoir.Open(root, reservoir.Config{MaxBytes: f.ClipsBytes, MaxAge: f.ClipsAge, Log: log}); err != nil {
		root.Close()
		err = fmt.Errorf("folder %q: %w", dir, err)
		if errors.Is(err, reservoir.ErrInUse) {
			err = cli.Hint(err, "stop the other server, or give this one a folder of its own: --clips DIR")
		}
		return p, nil, err
	}
	return p, func() { p.Clips.Close(); root.Close() }, nil
}
