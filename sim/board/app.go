package board

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"porthole/internal/boardcfg"
	"porthole/internal/console"
	"porthole/internal/espimage"
	"porthole/internal/nvs"
)

// What a WROVER has free after start, and how long its camera takes to come up.
const (
	freeHeap   = 214664
	freePSRAM  = 4192123
	cameraInit = 240 * time.Millisecond
)

// Waiting before another try: full jitter under a doubling ceiling.
const (
	backoffBase = time.Second
	backoffCap  = time.Minute
	retryLeast  = 200 * time.Millisecond // of a board that is sped up
)

var errNoNVS = errors.New("no nvs partition")

// app is the application from its start to the next reset.
//
//	configure ─▶ join ─▶ camera ─▶ uploads ─┐
//	               ▲       ▲  switch off    │
//	               │       └────────────────┤
//	               └────────── link lost ───┘
//
// Its goroutines: run is the application, listen reads what is typed, and
// control, the one of Boot, answers and brings the others down for a panic.
type app struct {
	f        *Firmware
	l        *bootLog
	m        *Machine
	image    *loadedApp
	begun    time.Duration // uptime when the application started
	start    time.Duration // the board's time then
	rng      *rand.Rand
	requests chan request

	mu     sync.Mutex // the console, one line at a time, and what is below
	silent bool       // panicking: only the block is printed
	status console.Line
	crash  string // reset word of the next start
}

// runApp is the application: it returns when the chip is reset.
func (f *Firmware) runApp(ctx context.Context, l *bootLog, image *loadedApp) {
	ours := image.known && image.desc.Project == espimage.DemoProject
	if ok := startup(l, image, ours); !ok {
		l.finish(SoftwareCPUReset)
		return
	}
	l.m.Running()
	if !ours {
		<-ctx.Done()
		return
	}
	f.mu.Lock()
	boots := f.boots
	a := &app{
		f: f, l: l, m: l.m, image: image, begun: l.m.Uptime(), start: l.t,
		rng:      rand.New(rand.NewPCG(f.cfg.Seed, boots)),
		requests: make(chan request, 8),
		status:   console.Line{Kind: console.Status, WiFi: "down", Camera: "off", Heap: freeHeap},
	}
	cause := f.cause
	f.cause, f.app = "", a
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.app, f.cause = nil, a.crash
		f.mu.Unlock()
	}()
	// The memory that tells a panic from a restart loses its content with EN.
	if cause == "" || l.m.Reason() == PowerOnReset {
		cause = console.ResetName(uint8(l.m.Reason()))
	}
	a.print(console.Line{Kind: console.Boot, Project: image.desc.Project, Version: image.desc.Version,
		Reset: cause, Heap: freeHeap, PSRAM: freePSRAM})
	a.control(ctx)
}

// run is the application proper.
func (a *app) run(ctx context.Context) {
	cfg, ok := a.configure(ctx)
	for attempt := 0; ok; {
		link, joined := a.join(ctx, cfg, &attempt)
		if !joined {
			return
		}
		a.note(func(s *console.Line) { s.WiFi = "up" })
		ok = a.serve(ctx, cfg, link)
		a.note(func(s *console.Line) { s.WiFi = "down" })
	}
}

// configure reads the configuration, again and again until it is right.
func (a *app) configure(ctx context.Context) (boardcfg.Config, bool) {
	for attempt := 1; ; attempt++ {
		cfg, lines := a.readConfig()
		if len(lines) == 0 {
			a.print(console.Line{Kind: console.ConfigRead, Name: cfg.Name, SSID: cfg.SSID, Host: cfg.Host,
				Port: int(cfg.Port), Path: cfg.Path, Pace: cfg.Interval, Crop: cfg.Crop.String(), CA: len(cfg.CA)})
			return cfg, true
		}
		for _, line := range lines {
			a.print(line)
		}
		if !a.retry(ctx, "config", attempt) {
			return cfg, false
		}
	}
}

// readConfig reads the store in flash as it is now. The lines say what is wrong.
func (a *app) readConfig() (boardcfg.Config, []console.Line) {
	unreadable := func(why string) (boardcfg.Config, []console.Line) {
		return boardcfg.Config{}, []console.Line{{Kind: console.ConfigUnreadable, Why: why}}
	}
	part, ok := a.image.table.Find(espimage.TypeData, espimage.DataNVS)
	if !ok {
		return unreadable(errNoNVS.Error())
	}
	if int64(part.Offset)+int64(part.Size) > int64(a.m.FlashSize()) || part.Size > espimage.MaxSegmentSize {
		return unreadable("nvs partition is outside the flash")
	}
	raw := make([]byte, part.Size)
	if _, err := a.m.ReadAt(raw, int64(part.Offset)); err != nil {
		return unreadable(err.Error())
	}
	store, err := nvs.Parse(raw)
	if err != nil {
		return unreadable(err.Error())
	}
	cfg, err := boardcfg.Read(store)
	var lines []console.Line
	for _, f := range boardcfg.Faults(err) {
		if f.Missing {
			lines = append(lines, console.Line{Kind: console.ConfigMissing, Key: f.Key})
		} else {
			lines = append(lines, console.Line{Kind: console.ConfigWrong, Key: f.Key, Why: f.Why})
		}
	}
	return cfg, lines
}

// join tries until the network lets the board in.
func (a *app) join(ctx context.Context, cfg boardcfg.Config, attempt *int) (Link, bool) {
	for {
		*attempt++
		a.print(console.Line{Kind: console.WiFiJoining, SSID: cfg.SSID, Attempt: *attempt})
		began := a.m.Uptime()
		link, err := a.f.cfg.Network.Join(ctx, cfg.SSID, cfg.Password)
		if ctx.Err() != nil {
			return Link{}, false
		}
		if err == nil {
			*attempt = 0
			a.print(console.Line{Kind: console.WiFiJoined, SSID: cfg.SSID, IP: link.IP.String(),
				RSSI: link.RSSI, Channel: link.Channel, Took: a.m.Uptime() - began})
			return link, true
		}
		line := console.Line{Kind: console.WiFiFailed, SSID: cfg.SSID, Why: err.Error()}
		if e, ok := errors.AsType[*JoinError](err); ok {
			line.Reason, line.Why = e.Reason, console.WiFiName(e.Reason)
		}
		a.print(line)
		if !a.retry(ctx, "wifi", *attempt) {
			return Link{}, false
		}
	}
}

// serve takes pictures and uploads them while there is a link. False: the chip
// was reset.
func (a *app) serve(ctx context.Context, cfg boardcfg.Config, link Link) bool {
	off := false
	var news *telling
	defer func() {
		if news != nil {
			news.stop()
		}
	}()
	for failures := 0; ; {
		on, changed := a.m.CameraPower()
		turned := on == off
		if !on && !off {
			off = true
			a.print(console.Line{Kind: console.CameraOff})
		}
		if on && off {
			off = false
			a.print(console.Line{Kind: console.CameraOn})
		}
		a.note(func(s *console.Line) { s.Camera = onOff(on) })
		w := &wait{link: link, changed: changed}
		var end ending
		if turned && a.f.cfg.Notify != nil {
			if news != nil {
				news.stop()
			}
			news = a.tell(ctx, cfg, link, on)
			if on {
				w.told = news.done // before pictures: they share the connection
			}
		}
		if on {
			end = a.takePictures(ctx, cfg, w)
		} else {
			end, _ = w.first(ctx)
		}
		switch end {
		case endReset:
			return false
		case endLink:
			a.print(console.Line{Kind: console.WiFiLost, SSID: cfg.SSID, Reason: w.reason, Why: console.WiFiName(w.reason)})
			return true
		case endSource:
			if failures++; !a.retry(ctx, "camera", failures) {
				return false
			}
		}
	}
}

// takePictures starts the camera and uploads until something ends it. Uploads
// are given up at once when the switch opens, whatever has been sent of a frame:
// what the server has not got by then it never gets.
func (a *app) takePictures(ctx context.Context, cfg boardcfg.Config, w *wait) ending {
	if w.told != nil {
		if end, _ := w.first(ctx); end != endTold {
			return end
		}
	}
	up := time.NewTimer(scale(cameraInit, a.f.cfg.Speed))
	defer up.Stop()
	w.timer = up.C
	if end, _ := w.first(ctx); end != endTimer {
		return end
	}
	if code := a.f.cameraFault(); code != 0 {
		a.printLog(console.CameraProbeLine(0, code))
		a.print(console.Line{Kind: console.CameraError, Code: code, Why: console.CameraName(code)})
		return endSource
	}
	size := "800x600"
	if c := cfg.Crop; c != (boardcfg.Crop{}) {
		size = fmt.Sprintf("%dx%d", c.W, c.H)
	}
	a.print(console.Line{Kind: console.CameraReady, Sensor: "OV2640", Size: size, Took: cameraInit})
	if a.f.cfg.Uploads == nil {
		end, _ := w.first(ctx)
		return end
	}
	uctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		done <- a.f.cfg.Uploads(uctx, Upload{
			Config: cfg, Dial: w.link.Dial,
			Powered: func() bool { on, now := a.m.CameraPower(); return on && now == w.changed && uctx.Err() == nil },
			Report:  func(r Report) { a.report(cfg, r) },
		})
	})
	w.done = done
	end, err := w.first(ctx)
	cancel()
	wg.Wait()
	if end == endSource {
		if errors.Is(err, ErrCrash) {
			a.ask(request{actPanic, DefaultPanic})
			<-ctx.Done()
			return endReset
		}
		a.printLog(console.CameraLateLine(0))
		a.print(console.Line{Kind: console.CameraError, Code: -1, Why: err.Error()})
	}
	return end
}

// wait is what can end a phase of serve.
type wait struct {
	link    Link
	changed <-chan struct{} // the camera switch
	timer   <-chan time.Time
	done    <-chan error    // of the uploads
	told    <-chan struct{} // the server knows of the switch
	reason  int             // why the link was lost
}

// An ending is what did end it.
type ending int

const (
	endReset ending = iota
	endLink
	endSwitch
	endTimer
	endSource
	endTold
)

func (w *wait) first(ctx context.Context) (ending, error) {
	for {
		select {
		case <-ctx.Done():
			return endReset, nil
		case <-w.changed:
			return endSwitch, nil
		case w.reason = <-w.link.Lost:
			return endLink, nil
		case <-w.timer:
			w.timer = nil
			return endTimer, nil
		case <-w.told:
			w.told = nil
			return endTold, nil
		case err := <-w.done:
			if err != nil {
				return endSource, err
			}
			w.done = nil // no more frames; the board stays as it is
		}
	}
}

// retry says that something is tried again, and waits for its time.
func (a *app) retry(ctx context.Context, what string, attempt int) bool {
	ceiling := backoffCap
	if attempt < 7 {
		ceiling = min(backoffCap, backoffBase<<(attempt-1))
	}
	wait := time.Duration(a.rng.Int64N(int64(ceiling))).Round(time.Millisecond)
	a.print(console.Line{Kind: console.Retry, What: what, Attempt: attempt, Wait: wait})
	// However fast the board is: one that fails at once and waits for nothing would
	// flood its console.
	return sleep(ctx, max(scale(wait, a.f.cfg.Speed), min(wait, retryLeast)))
}

// now is the time of the application's log lines: the board's own, which runs
// ahead of real time where booting was sped up.
func (a *app) now() time.Duration { return a.start + a.m.Uptime() - a.begun }

func (a *app) print(l console.Line) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.silent {
		return
	}
	l.At = a.now()
	text := l.Colored()
	if a.f.cfg.Plain {
		text = l.String()
	}
	// A board that was reset takes no text; ctx tells those who care.
	_, _ = a.m.Write([]byte(text + "\r\n"))
}

func (a *app) printCore(lines ...console.CoreLine) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.silent || a.f.cfg.Quiet {
		return
	}
	for _, l := range lines {
		l.At = a.now()
		_, _ = a.m.Write([]byte(l.String() + "\r\n"))
	}
}

// printLog prints a line of a driver, with the time of now.
func (a *app) printLog(l console.LogLine) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.silent {
		return
	}
	l.At, l.Color = a.now(), !a.f.cfg.Plain
	_, _ = a.m.Write([]byte(l.String() + "\r\n"))
}

func (a *app) note(f func(*console.Line)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.status)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
