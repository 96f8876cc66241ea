package shutoff_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"

	"porthole/hil/hiltest"
	"porthole/hil/shutoff"
	"porthole/internal/cli"
)

// newSwitch returns a switch on a fake line whose wiring gives the safe level.
func newSwitch(t testing.TB, safe shutoff.Safe) (*shutoff.Switch, *hiltest.Pin, *[]shutoff.Edge) {
	t.Helper()
	pin := hiltest.NewPin(gpio.Level(safe == shutoff.SafeHigh))
	edges := new([]shutoff.Edge)
	sw, err := shutoff.New(shutoff.Config{
		Pin: shutoff.Chip(pin.Handle(), "fake", 3), Safe: safe,
		Log: func(e shutoff.Edge) { *edges = append(*edges, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return sw, pin, edges
}

// camera says whether the camera has its supply.
func camera(pin *hiltest.Pin, safe shutoff.Safe) string {
	if pin.Level() == gpio.Level(safe == shutoff.SafeHigh) {
		return "off"
	}
	return "on"
}

// Every story runs with both polarities. A step is what is done and how the
// camera is afterwards.
func TestSwitch(t *testing.T) {
	type step struct {
		do   string
		err  error
		want string
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"on and off", []step{{"on 1s", nil, "on"}, {"off", nil, "off"}, {"off", nil, "off"}, {"on 1s", nil, "on"}}},
		{"the lease ends", []step{{"on 1s", nil, "on"}, {"wait 999ms", nil, "on"}, {"wait 1ms", nil, "off"}, {"renew 1s", shutoff.ErrExpired, "off"}}},
		{"renewed in time", []step{{"on 1s", nil, "on"}, {"wait 900ms", nil, "on"}, {"renew 1s", nil, "on"}, {"wait 999ms", nil, "on"}, {"wait 1ms", nil, "off"}}},
		{"a renewal may shorten", []step{{"on 1h", nil, "on"}, {"renew 1s", nil, "on"}, {"wait 1s", nil, "off"}}},
		{"on again prolongs", []step{{"on 1s", nil, "on"}, {"wait 900ms", nil, "on"}, {"on 1s", nil, "on"}, {"wait 900ms", nil, "on"}, {"wait 100ms", nil, "off"}}},
		{"renewing never switches on", []step{{"renew 1s", shutoff.ErrExpired, "off"}, {"on 1s", nil, "on"}, {"off", nil, "off"}, {"renew 1s", shutoff.ErrExpired, "off"}}},
		{"an old lease does not cut a new one", []step{{"on 1s", nil, "on"}, {"off", nil, "off"}, {"wait 500ms", nil, "off"}, {"on 1s", nil, "on"}, {"wait 700ms", nil, "on"}, {"wait 300ms", nil, "off"}}},
		{"tripped", []step{{"on 1s", nil, "on"}, {"trip", nil, "off"}, {"on 1s", shutoff.ErrTripped, "off"}, {"renew 1s", shutoff.ErrTripped, "off"}, {"off", nil, "off"}, {"reset", nil, "off"}, {"on 1s", nil, "on"}}},
		{"tripped while off", []step{{"trip", nil, "off"}, {"trip", nil, "off"}, {"on 1s", shutoff.ErrTripped, "off"}}},
		{"closed", []step{{"on 1s", nil, "on"}, {"close", nil, "off"}, {"close", nil, "off"}, {"on 1s", shutoff.ErrClosed, "off"}, {"renew 1s", shutoff.ErrClosed, "off"}, {"off", nil, "off"}, {"trip", nil, "off"}, {"reset", shutoff.ErrClosed, "off"}, {"wait 2s", nil, "off"}}},
		{"no lease at all", []step{{"on 0s", errAny, "off"}, {"on -1s", errAny, "off"}, {"on 25h", errAny, "off"}, {"on 24h", nil, "on"}, {"renew 25h", errAny, "on"}}},
	} {
		for _, safe := range []shutoff.Safe{shutoff.SafeLow, shutoff.SafeHigh} {
			t.Run(tt.name+", safe "+string(safe), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sw, pin, _ := newSwitch(t, safe)
					defer sw.Close()
					for i, s := range tt.steps {
						word, arg, _ := strings.Cut(s.do, " ")
						d, _ := time.ParseDuration(arg)
						var err error
						switch word {
						case "on":
							err = sw.On(d)
						case "renew":
							err = sw.Renew(d)
						case "off":
							err = sw.Off()
						case "trip":
							err = sw.Trip("test")
						case "reset":
							err = sw.Reset()
						case "close":
							err = sw.Close()
						case "wait":
							time.Sleep(d)
							synctest.Wait()
						}
						if !errors.Is(err, s.err) && (s.err != errAny || err == nil) {
							t.Errorf("step %d %s: error %v, want %v", i+1, s.do, err, s.err)
						}
						if got := camera(pin, safe); got != s.want {
							t.Fatalf("step %d %s: camera %s, want %s", i+1, s.do, got, s.want)
						}
					}
				})
			})
		}
	}
}

var errAny = errors.New("any error")

// A pin that nobody has configured, or that cannot be, is not moved.
func TestNewRefuses(t *testing.T) {
	pin := hiltest.NewPin(gpio.Low)
	chip := shutoff.Chip(pin.Handle(), "fake", 0)
	rts, _, _ := newRTS(t)
	for _, tt := range []struct {
		name string
		cfg  shutoff.Config
		want error
	}{
		{"no pin", shutoff.Config{Safe: shutoff.SafeLow}, shutoff.ErrNoPin},
		{"null pin", shutoff.Config{Pin: shutoff.None{}, Safe: shutoff.SafeLow}, shutoff.ErrNoPin},
		{"no safe level", shutoff.Config{Pin: chip}, shutoff.ErrNoSafe},
		{"no level", shutoff.Config{Pin: chip, Safe: "middle"}, nil},
		{"rts the wrong way round", shutoff.Config{Pin: rts, Safe: shutoff.SafeHigh}, nil},
	} {
		sw, err := shutoff.New(tt.cfg)
		if err == nil {
			sw.Close()
			t.Errorf("%s: taken", tt.name)
			continue
		}
		if tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if tt.cfg.Pin != nil && cli.HintOf(err) == "" {
			t.Errorf("%s: %v has no hint", tt.name, err)
		}
	}
	if n := len(pin.Edges()); n != 0 {
		t.Errorf("%d edges on a pin that was refused", n)
	}
	// A line that another process holds is not fought over.
	other := pin.Handle()
	if err := other.Request(gpio.High); err != nil {
		t.Fatal(err)
	}
	if _, err := shutoff.New(shutoff.Config{Pin: chip, Safe: shutoff.SafeLow}); err == nil {
		t.Error("a held line was taken")
	}
}

// A pin that does not obey is let go of, and stays off until somebody has looked.
func TestPinFails(t *testing.T) {
	for _, safe := range []shutoff.Safe{shutoff.SafeLow, shutoff.SafeHigh} {
		for _, when := range []string{"stuck at on", "stuck at off", "unplugged at off", "unplugged at lease end", "unplugged at renew"} {
			t.Run(when+", safe "+string(safe), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sw, pin, edges := newSwitch(t, safe)
					defer sw.Close()
					var err error
					switch when {
					case "stuck at on": // stays off: the reading says so
						pin.Stick(true)
						err = sw.On(time.Minute)
					case "stuck at off":
						if err := sw.On(time.Minute); err != nil {
							t.Fatal(err)
						}
						pin.Stick(true)
						err = sw.Off()
					case "unplugged at off", "unplugged at lease end":
						if err := sw.On(time.Minute); err != nil {
							t.Fatal(err)
						}
						pin.Unplug(true)
						if when == "unplugged at off" {
							err = sw.Off()
							break
						}
						time.Sleep(time.Minute)
						synctest.Wait()
						_, _, err = sw.Status()
					case "unplugged at renew":
						if err := sw.On(time.Minute); err != nil {
							t.Fatal(err)
						}
						pin.Unplug(true)
						if err := sw.Renew(time.Minute); err != nil {
							t.Errorf("renew touched the pin: %v", err)
						}
						err = sw.Off()
					}
					if err == nil {
						t.Fatal("no error")
					}
					if got := camera(pin, safe); got != "off" {
						t.Errorf("camera %s", got)
					}
					state, _, tripped := sw.Status()
					if when != "stuck at on" && (state != shutoff.Unknown || tripped == nil) {
						t.Errorf("state %s, tripped by %v", state, tripped)
					}
					last := (*edges)[len(*edges)-1]
					if when != "stuck at on" && last.Err == nil {
						t.Errorf("last edge %v has no error", last)
					}
					pin.Stick(false)
					pin.Unplug(false)
					if when != "stuck at on" {
						if err := sw.On(time.Minute); !errors.Is(err, shutoff.ErrTripped) {
							t.Errorf("on after a failure: %v", err)
						}
					}
					if err := sw.Reset(); err != nil {
						t.Fatal(err)
					}
					if err := sw.On(time.Minute); err != nil {
						t.Errorf("on after reset: %v", err)
					}
				})
			})
		}
	}
}

// slowPin takes its time, as a line behind USB may.
type slowPin struct {
	shutoff.Pin
	took time.Duration
}

func (p *slowPin) Out(l gpio.Level) error {
	err := p.Pin.Out(l)
	if l == gpio.High {
		time.Sleep(p.took)
	}
	return err
}

// A driver that comes back after the end of the lease leaves no camera on.
func TestSlowDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pin := hiltest.NewPin(gpio.Low)
		sw, err := shutoff.New(shutoff.Config{Pin: &slowPin{shutoff.Chip(pin.Handle(), "slow", 0), 2 * time.Second}, Safe: shutoff.SafeLow})
		if err != nil {
			t.Fatal(err)
		}
		defer sw.Close()
		if err := sw.On(time.Second); !errors.Is(err, shutoff.ErrExpired) {
			t.Errorf("on: %v", err)
		}
		if pin.Level() != gpio.Low {
			t.Error("camera on")
		}
		if err := sw.On(3 * time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the lease counts from the call
		synctest.Wait()
		if pin.Level() != gpio.Low {
			t.Error("camera on after its lease")
		}
	})
}

// Whatever is asked for at the same time, a trip wins.
func TestTripRace(t *testing.T) {
	for range 200 {
		sw, pin, _ := newSwitch(t, shutoff.SafeLow)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 20 {
					_ = sw.On(time.Millisecond)
					_ = sw.Renew(time.Millisecond)
				}
			})
		}
		wg.Go(func() {
			if err := sw.Trip("race"); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if pin.Level() != gpio.Low {
			t.Fatal("camera on after a trip")
		}
		if _, _, tripped := sw.Status(); tripped == nil {
			t.Fatal("not tripped")
		}
		sw.Close()
	}
}

// The log has every edge, in both clocks, as text and as JSON.
func TestEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		sw, pin, edges := newSwitch(t, shutoff.SafeHigh)
		time.Sleep(time.Second)
		if err := errors.Join(sw.On(time.Second), sw.Renew(2*time.Second)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if err := errors.Join(sw.On(time.Second), sw.Trip("smoke"), sw.Close()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, e := range *edges {
			if e.Seq != uint64(i+1) || !e.Wall.Equal(start.Add(e.Mono)) || e.Err != nil {
				t.Errorf("edge %+v", e)
			}
			got = append(got, fmt.Sprintf("%v %s %s: %s", e.Mono, e.Camera, e.Level, e.Why))
		}
		want := []string{
			"0s off High: opened", "1s on Low: on for 1s", "3s off High: lease ended",
			"6s on Low: on for 1s", "6s off High: tripped: smoke",
		}
		if !slices.Equal(got, want) {
			t.Errorf("edges\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if n := len(pin.Edges()); n != 4 { // opening moved nothing: the wiring was there before
			t.Errorf("%d edges on the wire, want 4", n)
		}
		line, err := json.Marshal((*edges)[2])
		if err != nil {
			t.Fatal(err)
		}
		if want := `{"seq":3,"wall":"2000-01-01T00:00:03Z","mono_ns":3000000000,"took_ns":0,"level":"high","camera":"off","why":"lease ended"}`; string(line) != want {
			t.Errorf("line\n%s\nwant\n%s", line, want)
		}
		if text := (shutoff.Edge{Err: errors.New("gone"), Camera: shutoff.Off}).String(); !strings.Contains(text, "camera off") || !strings.HasSuffix(text, ": gone") {
			t.Errorf("text %q", text)
		}
	})
}

// registered is a pin of periph's registry. Reading it would turn it round.
type registered struct {
	gpio.PinIO
	t     *testing.T
	level gpio.Level
}

func (p *registered) String() string         { return "SHUTOFF_TEST" }
func (p *registered) Name() string           { return "SHUTOFF_TEST" }
func (p *registered) Number() int            { return 4711 }
func (p *registered) Out(l gpio.Level) error { p.level = l; return nil }

func (p *registered) Read() gpio.Level { p.t.Error("read"); return p.level }

func (p *registered) In(gpio.Pull, gpio.Edge) error { p.t.Error("made an input"); return nil }

// A pin of periph's registry works by its name, and is never read.
func TestPeriph(t *testing.T) {
	fake := &registered{PinIO: gpio.INVALID, t: t}
	if err := gpioreg.Register(fake); err != nil {
		t.Fatal(err)
	}
	defer gpioreg.Unregister(fake.Name())
	name, err := shutoff.ParseName("periph:SHUTOFF_TEST")
	if err != nil {
		t.Fatal(err)
	}
	pin, err := shutoff.Open(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	sw, err := shutoff.New(shutoff.Config{Pin: pin, Safe: shutoff.SafeHigh})
	if err != nil {
		t.Fatal(err)
	}
	if fake.level != gpio.High {
		t.Error("not safe after opening")
	}
	if err := sw.On(time.Minute); err != nil || fake.level != gpio.Low {
		t.Errorf("on: %v, level %v", err, fake.level)
	}
	if err := sw.Close(); err != nil || fake.level != gpio.High {
		t.Errorf("close: %v, level %v", err, fake.level)
	}
	if _, err := shutoff.Periph("NO_SUCH_PIN"); err == nil || cli.HintOf(err) == "" {
		t.Errorf("unknown pin: %v", err)
	}
}
