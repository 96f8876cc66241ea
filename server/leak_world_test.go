//go:build !race

package server

import (
	"bufio"
	"cmp"
	"context"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/event"
	"porthole/internal/netmem"
	"porthole/internal/scene"
	"porthole/server/picture"
	"porthole/server/reservoir"
)

// leakRun is a feed of the simulated room, watched from outside by somebody who
// keeps everything.
type leakRun struct {
	seed    uint64
	leaks   leaks
	bare    bool // pictures as they are: no normal brightness
	empty   bool // no reservoir
	publics int  // pictures to watch
	// outages are how long the camera is there and away, on average; none if zero.
	outages [2]time.Duration
	// allDay spreads the recorded clips over the whole day, not only around the
	// time of the run.
	allDay bool
	hour   int // at which the run begins; 9 if zero
	// quick makes the runs of the schedule as short as they may be, for more
	// changes; most of them are live then.
	quick bool
	// changes are watched, too, besides the pictures.
	changes bool
	stock   float64 // recorded frames for each picture to watch; 1 if zero
}

// leakWidth and leakHeight are the camera's picture: small, for there are many.
const leakWidth, leakHeight = 160, 120

// observation is one answer to GET /latest, and the truth about it.
type observation struct {
	answer
	at   time.Time
	mode event.Mode
	why  string // it is that
	// change is what a viewer of changes got; nothing unless those are watched.
	change coded
}

// leakRuns are the runs of the schedule: short, so that there are many changes
// to learn from.
var leakRuns = Privacy{MinRun: 20 * time.Second, MeanRun: 80 * time.Second, Reserve: time.Nanosecond}

// room is the simulated room without clock and stamp, in a time that goes on.
type room struct {
	*scene.Scene
	epoch time.Time
	seq   uint64
}

func newRoom(t *testing.T, seed uint64) *room {
	t.Helper()
	epoch := time.Date(1999, 11, 1, 0, 0, 0, 0, time.UTC)
	s, err := scene.New(scene.Config{Seed: seed, Epoch: epoch, Width: leakWidth, Height: leakHeight})
	if err != nil {
		t.Fatal(err)
	}
	return &room{s, epoch, 0}
}

// at returns what the camera sees at a time. Its noise is new each time.
func (r *room) at(at time.Time) []byte {
	r.seq++
	return r.JPEG(r.seq, at.Sub(r.epoch))
}

// fill records clips of earlier days, as the director would have.
func (c *leakRun) fill(t *testing.T, clips *reservoir.Reservoir, r *room, p *picture.Pipeline, frames int) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(c.seed, 3))
	// No moment was recorded twice: each clip has a slot of its own.
	const days, least, most = 10, 100, 180
	length := time.Duration(c.publics) * DefaultPeriod
	if c.allDay {
		length = 24 * time.Hour
	}
	slots := rnd.Perm(days * int(length/((most+1)*DefaultPeriod)))
	now := time.Now()
	for frames > 0 {
		if len(slots) == 0 {
			t.Fatalf("no room for %d frames more in %d days", frames, days)
		}
		slot := slots[0]
		slots = slots[1:]
		begun := now.Add(time.Duration(slot/days)*(most+1)*DefaultPeriod - time.Duration(1+slot%days)*24*time.Hour)
		n := least + rnd.IntN(most-least+1)
		frames -= n
		rec, err := clips.Record(begun, DefaultPeriod, leakWidth, leakHeight)
		if err != nil {
			t.Fatal(err)
		}
		var flatten *picture.Pipeline
		if c.leaks.size {
			flatten, _ = picture.New(picture.Config{Denoise: true})
		}
		for i := range n {
			a := admitted(t, p, r.at(begun.Add(time.Duration(i)*DefaultPeriod+time.Duration(rnd.Int64N(int64(time.Second))))))
			data, err := a.JPEG()
			if flatten != nil {
				shown, ferr := flatten.Render(a)
				if ferr != nil {
					t.Fatal(ferr)
				}
				data = shown.JPEG
			}
			if err == nil {
				err = rec.Add(data, lookOf(a))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := rec.Finish(); err != nil {
			t.Fatal(err)
		}
	}
}

func admitted(t *testing.T, p *picture.Pipeline, data []byte) *picture.Admitted {
	t.Helper()
	info, err := inspect(data)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Admit(data, info)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// observe runs the feed in virtual time and returns what was seen.
func (c *leakRun) observe(t *testing.T) (seen []observation) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Duration(cmp.Or(c.hour, 9)) * time.Hour) // the bubble begins at midnight
		r := newRoom(t, c.seed)
		pipeline, err := picture.New(picture.Config{Camera: image.Pt(leakWidth, leakHeight), Denoise: true, Normalize: !c.bare})
		if err != nil {
			t.Fatal(err)
		}
		cfg := worldConfig{seed: c.seed, clips: !c.empty, privacy: leakRuns, jitter: time.Second,
			frame:  func(uint32) []byte { return r.at(time.Now()) },
			change: func(cfg *Config) { cfg.Pipeline = pipeline; cfg.Loop, err = EmbeddedLoop(); cfg.Deltas = c.deltas() },
			fill: func(clips *reservoir.Reservoir) {
				c.fill(t, clips, r, pipeline, int(float64(c.publics)*cmp.Or(c.stock, 1)))
			},
		}
		cfg.privacy.leaks = c.leaks
		if c.quick {
			cfg.privacy.MinRun, cfg.privacy.MeanRun, cfg.privacy.Share = 6*time.Second, 30*time.Second, 0.3
		}
		w := newWorld(t, cfg)
		if err != nil {
			t.Fatal(err)
		}
		w.on.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if c.outages[0] > 0 {
			go w.unplug(ctx, c.seed, c.outages)
		}
		seen = w.stare(t, c.publics)
	})
	return seen
}

func (c *leakRun) deltas() Deltas {
	if c.changes {
		return DeltasStrict
	}
	return DeltasOff
}

// unplug takes the camera away at random times.
func (w *world) unplug(ctx context.Context, seed uint64, outages [2]time.Duration) {
	rnd := rand.New(rand.NewPCG(seed, 4))
	for {
		for _, d := range outages {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Duration(rnd.ExpFloat64() * float64(d))):
			}
			w.on.Store(!w.on.Load())
		}
	}
}

// stare is a viewer who notes each picture, over a connection of its own.
func (w *world) stare(t *testing.T, n int) (seen []observation) {
	ln := netmem.Listen()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, w.Server, nil, ln) }()
	defer func() { cancel(); <-served }()
	conn, err := ln.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	sub := w.cfg.Events.Subscribe(1 << 10)
	defer sub.Close()
	mode, why := w.Truth().Mode, ""
	var changes *follower
	if w.deltas != nil {
		changes = &follower{feed: w.deltas.feed}
	}
	for len(seen) < n {
		e, ok := sub.Next(ctx)
		if !ok {
			t.Fatal("the feed ended")
		}
		if e.Kind == event.ModeChanged {
			mode, why = e.Mode, e.Text
		}
		if e.Kind != event.Published {
			continue
		}
		a, err := askRaw(conn, answers, "GET /latest", "")
		if err != nil {
			t.Fatal(err)
		}
		o := observation{answer: a, at: time.Now(), mode: mode, why: why}
		if changes != nil {
			o.change = changes.next(t)
		}
		seen = append(seen, o)
	}
	return seen
}

func decodeGray(t *testing.T, data []byte) *image.Gray {
	t.Helper()
	img, err := jpeg.Decode(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return img.(*image.Gray)
}

// longLeaks says whether the long form was asked for.
func longLeaks() bool { return os.Getenv("PORTHOLE_LONG") != "" }

// leakSeed returns the seed that PORTHOLE_SEED asks for, so that a figure can be
// had of more than one world, or usual.
func leakSeed(usual uint64) uint64 {
	if seed, err := strconv.ParseUint(os.Getenv("PORTHOLE_SEED"), 10, 64); err == nil {
		return seed
	}
	return usual
}
