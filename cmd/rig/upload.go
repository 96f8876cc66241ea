package main

import (
	"time"

	"porthole/internal/cli"
	"porthole/sim"
	"porthole/sim/board"
)

// uploadFlags choose the program on the simulated board and what happens to it.
type uploadFlags struct {
	Profile string `default:"firmware" enum:"firmware,sketch" help:"Program on the board: our firmware, or the sketch that boards in the field run, with its defects (default: ${default})."`
	TLS     string `name:"tls" default:"core2" enum:"core2,core3" help:"TLS library of the board: that of Arduino core 2.0.x or 3.x (default: ${default})."`
	Timing  string `default:"instant" enum:"instant,lan,internet,poor" help:"How long handshake, sending and answers take: instant, lan, internet or poor (default: ${default})."`
	Faults  string `placeholder:"NAME=N,…" help:"What goes wrong, each once in N times: captures null, cut, overflow; connections dns, refuse, reset, cert; uploads wifi."`
	Resume  bool   `help:"Offer the last TLS session to the server, where the profile is firmware."`
}

// config is what the flags say, for a board of that seed.
func (f *uploadFlags) config(seed uint64) (board.UploaderConfig, error) {
	timing, err := sim.ParseTiming(f.Timing)
	if err != nil {
		return board.UploaderConfig{}, cli.Usage(err)
	}
	faults, err := sim.ParseFaults(f.Faults)
	if err != nil {
		return board.UploaderConfig{}, cli.Usage(cli.Hint(err, "such as --faults cut=50,dns=20"))
	}
	return board.UploaderConfig{
		Profile: sim.Profile(f.Profile), Core: sim.Core(f.TLS), Timing: timing, Faults: faults, Resume: f.Resume, Seed: seed,
	}, nil
}

// sensor is what the camera of such a board makes of a source.
func sensor(source sim.Source, cfg board.UploaderConfig) *sim.Sensor {
	return &sim.Sensor{Source: source, Faults: cfg.Faults, Seed: cfg.Seed, Fresh: cfg.Profile == sim.Firmware}
}

// wifiGone is how long a network stays away that a fault took.
const wifiGone = 5 * time.Second

// losing takes the network away after uploads, as often as the faults say.
func losing(w *board.World, cfg *board.UploaderConfig) {
	if cfg.Faults.WiFi == 0 {
		return
	}
	uploads := 0
	cfg.Uploaded = func() {
		if uploads++; uploads%cfg.Faults.WiFi != 0 {
			return
		}
		w.SetDown(roomSSID, true)
		time.AfterFunc(wifiGone, func() { w.SetDown(roomSSID, false) })
	}
}
