package server

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/event"
	"porthole/server/picture"
	"porthole/server/reservoir"
)

// Of the numbered pictures: 8 by 6 blocks, of which the upper four rows hold a
// number.
const (
	numberedWidth, numberedHeight = 64, 48
	numberBits                    = 32
)

// numbered returns a picture that carries n through every encoding.
func numbered(n uint32) []byte {
	g := image.NewGray(image.Rect(0, 0, numberedWidth, numberedHeight))
	for i := range g.Pix {
		x, y := i%numberedWidth, i/numberedWidth
		g.Pix[i] = uint8(70 + x/2)
		if bit := y/8*8 + x/8; bit < numberBits && n>>bit&1 == 1 {
			g.Pix[i] += 90
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, g, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// numberOf reads it back. Of a picture of the loop it makes anything.
func numberOf(t *testing.T, data []byte) (n uint32) {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("decode picture: %v", err)
	}
	g, ok := img.(*image.Gray)
	if !ok || g.Rect.Dx() != numberedWidth {
		return 0
	}
	mean := func(bit int) (sum int) {
		for y := range 8 {
			for x := range 8 {
				sum += int(g.GrayAt(bit%8*8+x, bit/8*8+y).Y)
			}
		}
		return sum / 64
	}
	for bit := range numberBits {
		// Against a block of the same column without a bit, whatever the gain.
		if 10*mean(bit) > 14*mean(40+bit%8) {
			n |= 1 << bit
		}
	}
	return n
}

// publicShot is one publication as the public gets it, with the truth about it.
type publicShot struct {
	at   time.Time
	body []byte
	mode event.Mode
}

// world is a private feed in virtual time, with a camera and an observer.
type world struct {
	*site
	dir    string
	on     atomic.Bool // the camera sends
	frame  func(n uint32) []byte
	jitter func() time.Duration
	sent   atomic.Uint32
	shots  []publicShot // that passed

	mu     sync.Mutex
	sentAt map[uint32]time.Time
	noted  []publicShot // since
}

type worldConfig struct {
	seed    uint64
	clips   bool
	privacy Privacy
	change  func(*Config)
	jitter  time.Duration
	frame   func(n uint32) []byte
	fill    func(*reservoir.Reservoir)
}

// newWorld starts a feed. It is called inside of a bubble. t must be the
// bubble's.
func newWorld(t *testing.T, cfg worldConfig) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), frame: cfg.frame, sentAt: make(map[uint32]time.Time)}
	if w.frame == nil {
		w.frame = numbered
	}
	p := cfg.privacy
	p.On = true
	var seed [32]byte
	copy(seed[:], fmt.Sprint("world ", cfg.seed))
	p.Random = rand.NewChaCha8(seed)
	rnd := rand.New(rand.NewPCG(cfg.seed, 99))
	w.jitter = func() time.Duration {
		return time.Duration(rnd.Int64N(int64(max(cfg.jitter, 1)))) - cfg.jitter/2
	}
	if cfg.clips {
		root, err := os.OpenRoot(w.dir)
		if err != nil {
			t.Fatal(err)
		}
		if p.Clips, err = reservoir.Open(root, reservoir.Config{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Clips.Close(); root.Close() })
		if cfg.fill != nil {
			cfg.fill(p.Clips)
		}
	}
	srv := testServer(t, func(c *Config) {
		c.Privacy = p
		c.Log = nil
		if cfg.change != nil {
			cfg.change(c)
		}
	})
	w.site = start(t, srv)
	ctx, cancel := context.WithCancel(context.Background())
	filmed, watched := make(chan struct{}), make(chan struct{})
	go func() { defer close(filmed); w.film(ctx) }()
	go func() { defer close(watched); w.watch(ctx) }()
	t.Cleanup(func() { cancel(); <-filmed; <-watched })
	return w
}

// film is the camera: a frame each period, more or less. It admits a frame and
// hands it over as an upload does.
func (w *world) film(ctx context.Context) {
	next := time.Now().Add(300 * time.Millisecond)
	for n := uint32(1); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next.Add(w.jitter()))):
		}
		next = next.Add(w.cfg.Period)
		if !w.on.Load() {
			n--
			continue
		}
		era := w.control.now()
		data, info, err := clean(w.frame(n), w.cfg.Limits.WithDefaults())
		if err != nil {
			panic(err)
		}
		a, err := w.pipeline.Load().Admit(data, info)
		if err != nil {
			panic(err)
		}
		w.mu.Lock()
		w.sentAt[n] = time.Now()
		w.mu.Unlock()
		w.sent.Store(n)
		w.take(&upload{seq: uint64(n), admitted: a, era: era, at: time.Now()})
	}
}

// watch notes every publication.
func (w *world) watch(ctx context.Context) {
	sub := w.cfg.Events.Subscribe(1 << 10)
	defer sub.Close()
	mode := w.Truth().Mode
	for {
		e, ok := sub.Next(ctx)
		if !ok {
			return
		}
		switch e.Kind {
		case event.ModeChanged:
			mode = e.Mode
		case event.Published:
			w.mu.Lock()
			w.noted = append(w.noted, publicShot{e.Time, w.current.Load().jpeg.body, mode})
			w.mu.Unlock()
		}
	}
}

// pass lets time pass and returns what was published.
func (w *world) pass(d time.Duration) []publicShot {
	time.Sleep(d)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	news := w.noted
	w.noted = nil
	w.shots = append(w.shots, news...)
	return news
}

// age returns how old a frame of the camera was at a time.
func (w *world) age(n uint32, at time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return at.Sub(w.sentAt[n])
}

// quickRuns make a test see many of them.
var quickRuns = Privacy{MinRun: 10 * time.Second, MeanRun: 40 * time.Second, Reserve: time.Nanosecond}

// TestBeat: whatever the camera does and whatever is shown, there is a new
// picture at every beat of the clock, and at no other time.
func TestBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, worldConfig{seed: 1, clips: true, privacy: quickRuns, jitter: 1700 * time.Millisecond})
		rnd := rand.New(rand.NewPCG(1, 5))
		seen := make(map[event.Mode]int)
		for range 60 {
			w.on.Store(rnd.IntN(4) > 0)
			w.pass(time.Duration(rnd.Int64N(int64(2 * time.Minute))))
		}
		begun := w.shots[0].at
		for i, s := range w.shots {
			seen[s.mode]++
			if want := begun.Add(time.Duration(i) * w.cfg.Period); !s.at.Equal(want) {
				t.Fatalf("picture %d (%s) comes %v off the beat", i, s.mode, s.at.Sub(want))
			}
		}
		for _, mode := range []event.Mode{event.Live, event.Replay, event.Loop} {
			if seen[mode] < 20 {
				t.Errorf("only %d pictures of mode %s: nothing was tested", seen[mode], mode)
			}
		}
		t.Log(seen)
	})
}

// TestOnce: no frame of the camera is public twice, and none sooner than the
// hold allows.
func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, worldConfig{seed: 2, clips: true, privacy: quickRuns, jitter: time.Second})
		w.on.Store(true)
		rnd := rand.New(rand.NewPCG(1, 6))
		for range 40 {
			w.pass(time.Duration(rnd.Int64N(int64(5 * time.Minute))))
			w.on.Store(!w.on.Load() || rnd.IntN(3) > 0)
		}
		public := make(map[uint32]int)
		var last uint32
		replayed := 0
		for i, s := range w.shots {
			if s.mode == event.Loop {
				last = 0
				continue
			}
			n := numberOf(t, s.body)
			if s.mode == event.Replay {
				replayed++
			}
			// A frame stays when the next one is not due yet.
			if n != last && public[n] > 0 {
				t.Fatalf("frame %d is public again at %d (%s), first at %d", n, i, s.mode, public[n]-1)
			}
			public[n], last = i+1, n
			if age := w.age(n, s.at); age < 2*w.cfg.Period {
				t.Fatalf("frame %d is public after %v (%s)", n, age, s.mode)
			}
			if age := w.age(n, s.at); s.mode == event.Live && age > 5*w.cfg.Period {
				t.Fatalf("frame %d is live after %v", n, age)
			}
		}
		if replayed < 100 {
			t.Errorf("%d recorded frames: nothing was tested", replayed)
		}
		t.Logf("%d publications, %d of recorded frames", len(w.shots), replayed)
	})
}

// TestOutageIsCovered: when a camera falls silent the public picture goes on
// without one beat of standstill, and the switch comes before the hold runs out.
func TestOutageIsCovered(t *testing.T) {
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, worldConfig{seed: seed, clips: true, privacy: quickRuns, jitter: 600 * time.Millisecond})
			w.on.Store(true)
			w.SetOrder(Record)
			w.pass(4 * time.Minute)
			w.SetOrder(OnlyLive)
			w.pass(40*time.Second + time.Duration(seed)*340*time.Millisecond)
			if mode := w.Truth().Mode; mode != event.Live {
				t.Fatalf("mode %s before", mode)
			}
			w.on.Store(false)
			after := w.pass(30 * time.Second)
			before := w.shots[len(w.shots)-len(after)-1].body
			switched := false
			for i, s := range after {
				if n := numberOf(t, s.body); n == numberOf(t, before) {
					t.Errorf("seed %d: picture %d is the one before (%d, %s)", seed, i, n, s.mode)
				}
				before = s.body
				switched = switched || s.mode == event.Replay
				if s.mode == event.Live && w.age(w.sent.Load(), s.at) > 3*w.cfg.Period {
					t.Errorf("seed %d: still live %v after the last frame", seed, w.age(w.sent.Load(), s.at))
				}
			}
			if !switched {
				t.Errorf("seed %d: no recording after the outage", seed)
			}
		})
	}
}

// TestCutDropsTheHold: at whatever instant a camera says that it is switched
// off, no frame that was not public then becomes so, live or from a clip.
func TestCutDropsTheHold(t *testing.T) {
	for step := range 8 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, worldConfig{seed: uint64(step), clips: true, privacy: quickRuns})
			w.on.Store(true)
			w.SetOrder(Record)
			w.pass(3 * time.Minute)
			w.SetOrder(OnlyLive)
			w.pass(30*time.Second + time.Duration(step)*257*time.Millisecond)
			if mode := w.Truth().Mode; mode != event.Live {
				t.Fatalf("mode %s before", mode)
			}
			newest := numberOf(t, w.current.Load().jpeg.body)
			if step%2 == 0 {
				w.cut(false)
			} else {
				w.SetOrder(Dark)
			}
			held := w.sent.Load()
			if held-newest < 2 {
				t.Fatalf("only %d frames were held back", held-newest)
			}
			for i, s := range w.pass(3 * time.Minute) {
				if n := numberOf(t, s.body); s.mode != event.Loop && n > newest || s.mode == event.Live {
					t.Fatalf("step %d: picture %d after the cut is frame %d (%s); public was %d, sent %d", step, i, n, s.mode, newest, held)
				}
			}
			if step%2 == 0 {
				w.cut(true)
			} else {
				w.SetOrder(Auto)
			}
			live := false
			for _, s := range w.pass(6 * time.Minute) {
				if n := numberOf(t, s.body); s.mode != event.Loop && n > newest && n <= held {
					t.Fatalf("step %d: frame %d, which was dropped, is public (%s)", step, n, s.mode)
				}
				live = live || s.mode == event.Live
			}
			if !live {
				t.Errorf("step %d: never live again", step)
			}
		})
	}
}

// TestStoredMasked: what is in the reservoir has the masks in it.
func TestStoredMasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mask := image.Rect(16, 8, 48, 24)
		w := newWorld(t, worldConfig{seed: 4, clips: true, privacy: quickRuns, change: func(c *Config) {
			var err error
			if c.Pipeline, err = picture.New(picture.Config{Camera: image.Pt(numberedWidth, numberedHeight), Masks: []image.Rectangle{mask}}); err != nil {
				t.Fatal(err)
			}
		}})
		w.on.Store(true)
		w.SetOrder(Record)
		w.pass(5 * time.Minute)
		w.SetOrder(OnlyLive)
		w.pass(time.Minute)
		clips := w.cfg.Privacy.Clips.Clips()
		if len(clips) == 0 {
			t.Fatal("nothing was recorded")
		}
		clip, err := w.cfg.Privacy.Clips.Take(clips[0].Name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range clip.Frames {
			data, _, _ := clip.Frame(i)
			img, err := jpeg.Decode(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			for y := mask.Min.Y; y < mask.Max.Y; y++ {
				for x := mask.Min.X; x < mask.Max.X; x++ {
					if v := img.(*image.Gray).GrayAt(x, y).Y; v > 20 {
						t.Fatalf("frame %d has %d at %d,%d, which is masked", i, v, x, y)
					}
				}
			}
		}
	})
}

// TestNoTwoEqual: of a room in which nothing moves, and of a loop that comes
// round, no two public pictures are equal. PORTHOLE_LONG=1 watches for 24 hours.
func TestNoTwoEqual(t *testing.T) {
	length := 40 * time.Minute
	if os.Getenv("PORTHOLE_LONG") != "" {
		length = 24 * time.Hour
	}
	synctest.Test(t, func(t *testing.T) {
		still := numbered(5)
		w := newWorld(t, worldConfig{seed: 5, clips: true, privacy: quickRuns,
			frame:  func(uint32) []byte { return still },
			change: func(c *Config) { c.Loop = testLoop(t, 1, 2, 3) }})
		seen := make(map[string]int)
		modes := make(map[event.Mode]int)
		for spent := time.Duration(0); spent < length; spent += 10 * time.Minute {
			w.on.Store(spent/(10*time.Minute)%3 != 2)
			for _, s := range w.pass(10 * time.Minute) {
				modes[s.mode]++
				if before, ok := seen[string(s.body)]; ok {
					t.Fatalf("picture %d (%s) is byte for byte picture %d", len(seen), s.mode, before)
				}
				seen[string(s.body)] = len(seen)
			}
			w.shots = w.shots[:0]
		}
		t.Logf("%d pictures in %v: %v", len(seen), length, modes)
		if len(modes) != 3 {
			t.Errorf("modes %v: not all were tested", modes)
		}
	})
}

// TestPrivacyRefuses: settings that could not work.
func TestPrivacyRefuses(t *testing.T) {
	for _, p := range []Privacy{{Share: 1}, {Share: 0.05}, {MinRun: time.Second}, {MeanRun: 40 * time.Second}, {Reserve: -1}} {
		if err := p.Check(DefaultPeriod); err == nil {
			t.Errorf("%+v: accepted", p)
		}
	}
	var p Privacy
	if err := p.Check(DefaultPeriod); err != nil || p.Share != DefaultShare {
		t.Errorf("defaults: %v", err)
	}
	if _, ok := p.Random.(systemRandom); !ok {
		t.Error("the default source of random numbers is not the system's")
	}
	a := []uint64{p.Random.Uint64(), p.Random.Uint64(), p.Random.Uint64()}
	slices.Sort(a)
	if len(slices.Compact(a)) != 3 {
		t.Error("the system's random numbers repeat")
	}
}
