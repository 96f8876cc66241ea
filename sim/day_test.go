package sim_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"image"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/event"
	"porthole/internal/netmem"
	"porthole/internal/scene"
	"porthole/server"
	"porthole/server/picture"
	"porthole/sim"
)

// sequence is what the camera sees in a day of a test: some pictures again and again.
type sequence [][]byte

func newSequence() sequence {
	var s sequence
	for n := range 30 {
		gray := image.NewGray(image.Rect(0, 0, 64, 48))
		for i := range gray.Pix {
			gray.Pix[i] = byte(i/64*4 + i%64*2 + n*5)
		}
		s = append(s, scene.EncodeOV2640(gray, 12))
	}
	return s
}

// Next implements sim.Source.
func (s sequence) Next(_ context.Context, seq uint64, _ time.Duration) ([]byte, error) {
	return s[seq%uint64(len(s))], nil
}

// trace is what happened, in the order of virtual time, component and number: an
// order that does not depend on which goroutine ran first.
type trace struct {
	mu      sync.Mutex
	entries []entry
}

type entry struct {
	at   time.Duration
	who  string
	seq  uint64
	what string
}

func (t *trace) add(e entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries = append(t.entries, e)
}

// sum is the hash of everything, and everything as text.
func (t *trace) sum() (hash string, text []string) {
	slices.SortFunc(t.entries, func(a, b entry) int {
		switch {
		case a.at != b.at:
			return int(a.at - b.at)
		case a.who != b.who:
			return bytes.Compare([]byte(a.who), []byte(b.who))
		}
		return int(a.seq) - int(b.seq)
	})
	h := sha256.New()
	for _, e := range t.entries {
		line := fmt.Sprintln(e.at, e.who, e.seq, e.what)
		h.Write([]byte(line))
		text = append(text, line)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), text
}

// runDay lets a board upload for some virtual time, two seconds a picture, over
// HTTP in memory to the production server with its picture pipeline off. It returns
// the hash of the trace and the number of frames the server took.
func runDay(t *testing.T, length time.Duration, profile sim.Profile) (hash string, text []string, accepted int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		tokens, err := server.TokensOf("day", "token")
		if err != nil {
			t.Fatal(err)
		}
		loop, err := server.EmbeddedLoop()
		if err != nil {
			t.Fatal(err)
		}
		bus := new(event.Bus)
		srv, err := server.New(server.Config{Tokens: tokens, Loop: loop, Events: bus, Pipeline: picture.PassThrough()})
		if err != nil {
			t.Fatal(err)
		}
		happened := new(trace)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ln := netmem.ListenBuffered()
		var parts sync.WaitGroup
		sub := bus.Subscribe(1024) // before anything happens
		parts.Go(func() { srv.Run(ctx, ln) })
		parts.Go(func() {
			for {
				e, ok := sub.Next(context.WithoutCancel(ctx))
				if !ok {
					return
				}
				if e.Kind == event.Accepted {
					accepted++
				}
				if e.Kind == event.Accepted || e.Kind == event.Published {
					// Sizes are of uploaded bytes: what is published differs by its dither.
					happened.add(entry{e.Time.Sub(begun), "server " + string(e.Kind), e.Frame.Seq, fmt.Sprint(e.Frame.Live)})
				}
			}
		})
		target := sim.Target{Host: "day.example.org", Port: 80, Path: "/upload", Token: "token"}
		frames := int(length / sim.DefaultInterval)
		synctest.Wait() // the server is up
		camera, err := sim.New(sim.Config{
			Target: target, Dial: ln.Dial, Source: newSequence(), Profile: profile, Seed: 1, Frames: frames,
			// Off the grid of the server's own timers: what falls on the same instant of
			// virtual time has no order.
			Phase: 137 * time.Millisecond,
			Report: func(o sim.Outcome) {
				happened.add(entry{time.Since(begun), "board", o.Seq, fmt.Sprint(o.Reply.Status, o.Bytes, o.Took, o.Reply.Sequence)})
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := camera.Run(ctx); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		stop()
		sub.Close()
		parts.Wait()
		if n := sub.Dropped(); n > 0 {
			t.Errorf("%d events lost", n)
		}
		hash, text = happened.sum()
	})
	return hash, text, accepted
}

// TestHourIsAlwaysTheSame: the same seed gives the same trace, run for run.
func TestHourIsAlwaysTheSame(t *testing.T) {
	runs, length := 3, 10*time.Minute
	if os.Getenv("PORTHOLE_LONG") != "" {
		runs, length = 100, time.Hour
	}
	for _, profile := range []sim.Profile{sim.Sketch, sim.Firmware} {
		var first string
		var firstText []string
		for i := range runs {
			hash, text, accepted := runDay(t, length, profile)
			if accepted != int(length/sim.DefaultInterval) {
				t.Fatalf("profile %s: %d frames accepted", profile, accepted)
			}
			if first == "" {
				first, firstText = hash, text
			}
			if hash != first {
				for j := range min(len(text), len(firstText)) {
					if text[j] != firstText[j] {
						t.Logf("entry %d: %sfirst run: %s", j, text[j], firstText[j])
						break
					}
				}
				t.Fatalf("profile %s: run %d has trace %s of %d entries, the first %s of %d", profile, i+1, hash, len(text), first, len(firstText))
			}
		}
	}
}

// TestMeasureDay runs 24 hours in virtual time and prints what that took; with
// PORTHOLE_LONG on one, two and eight processors, with the same trace each time.
func TestMeasureDay(t *testing.T) {
	processors := []int{runtime.GOMAXPROCS(0)}
	length := 24 * time.Hour
	switch {
	case os.Getenv("PORTHOLE_LONG") != "":
		processors = []int{1, 2, 8}
	case raceEnabled:
		length = time.Hour
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var first string
	for _, n := range processors {
		runtime.GOMAXPROCS(n)
		began := time.Now()
		hash, _, accepted := runDay(t, length, sim.Firmware)
		took := time.Since(began)
		if want := int(length / sim.DefaultInterval); accepted != want {
			t.Errorf("%d frames accepted, want %d", accepted, want)
		}
		t.Logf("%v in %v on %d processors: %.0f times as fast as real time, %d frames, trace %s",
			length, took.Round(time.Millisecond), n, float64(length)/float64(took), accepted, hash)
		if first == "" {
			first = hash
		}
		if hash != first {
			t.Errorf("on %d processors the trace is %s, before it was %s", n, hash, first)
		}
	}
}
