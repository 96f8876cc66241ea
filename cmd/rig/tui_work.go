package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"porthole/hil"
	"porthole/hil/flash"
	"porthole/internal/boardcfg"
	"porthole/internal/cli"
	"porthole/internal/espimage"
	"porthole/internal/event"
	"porthole/internal/nvs"
)

// workTimeout ends work on a board that a person has forgotten about.
const workTimeout = 30 * time.Minute

// resetHold is how long the reset line is held.
const resetHold = 100 * time.Millisecond

// reset implements the command board.reset by the line of the port. Where there
// is none it says so in a way that leaves the command to others.
func (w *watch) reset(ctx context.Context, _ event.Command) (event.Reply, error) {
	w.mu.Lock()
	port, busy := w.port, w.busy
	w.mu.Unlock()
	if busy != "" {
		return event.Reply{}, fmt.Errorf("the port is busy: %s", busy)
	}
	if err := port.SetLines(false, true); err != nil {
		if errors.Is(err, hil.ErrNoLines) {
			return event.Reply{}, fmt.Errorf("%w: press its button (%w)", err, event.ErrNoHandler)
		}
		return event.Reply{}, fmt.Errorf("reset board: %w", err)
	}
	err := pause(ctx, resetHold)
	if lineErr := port.SetLines(false, false); lineErr != nil {
		return event.Reply{}, fmt.Errorf("release reset: %w", lineErr)
	}
	if err != nil {
		return event.Reply{}, err
	}
	w.note("the board was reset")
	return event.Reply{Text: "the board was reset"}, nil
}

// work runs one job with the flasher in the background, if no other one runs.
func (w *watch) work(what string, do func(context.Context, *flash.Flasher) (flash.Report, error)) (event.Reply, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy != "" {
		return event.Reply{}, fmt.Errorf("the port is busy: %s", w.busy)
	}
	p := &progress{bus: w.bus, work: what}
	var port *borrowed // of the worker's goroutine
	f, err := flash.New(flash.Config{
		Open: func(ctx context.Context) (hil.Port, error) {
			w.mu.Lock()
			shared := w.port
			w.mu.Unlock()
			lent, err := shared.Borrow(ctx)
			if err != nil {
				return nil, err
			}
			port = &borrowed{Port: lent, w: w}
			return port, nil
		},
		Progress: func(now flash.Progress) {
			if now.Phase == flash.Restarting && port != nil {
				port.listen()
			}
			p.tell(now)
		},
	})
	if err != nil {
		return event.Reply{}, err
	}
	ctx, stop := context.WithTimeout(context.Background(), workTimeout)
	remove := w.bus.Handle("board.stop", func(context.Context, event.Command) (event.Reply, error) {
		stop()
		return event.Reply{Text: what + " is being stopped"}, nil
	})
	w.busy = what
	w.parts.Go(func() {
		defer stop()
		report, err := do(ctx, f)
		remove()
		w.mu.Lock()
		w.busy = ""
		w.mu.Unlock()
		p.end(report, err)
	})
	w.undo = append(w.undo, stop)
	return event.Reply{Text: what + " has begun"}, nil
}

// progress publishes how far work is, as often as a screen can show it.
type progress struct {
	bus  *event.Bus
	work string
	last event.Progress
	at   time.Time
}

func (p *progress) tell(now flash.Progress) {
	if now.Note != "" {
		p.bus.Publish(event.Event{Source: event.Bench, Kind: event.Note, Text: p.work + ": " + cli.Printable(now.Note)})
	}
	next := event.Progress{Work: p.work, Phase: phaseText[now.Phase], Done: now.Done, Total: now.Total}
	if next.Phase == p.last.Phase && time.Since(p.at) < lineEvery && next.Done < next.Total {
		return
	}
	p.last, p.at = next, time.Now()
	p.bus.Publish(event.Event{Source: event.Bench, Kind: event.Progressed, Progress: next})
}

func (p *progress) end(r flash.Report, err error) {
	end := event.Progress{Work: p.work, Ended: true}
	text := fmt.Sprintf("%s: %d of %d bytes written in %.1f s, compared with the chip's own digest; started: %s", p.work, r.Written, r.Size, r.Took.Seconds(), bootText[r.Boot.State])
	if err != nil {
		end.Failure = cli.Printable(err.Error())
		text = p.work + " failed: " + end.Failure
		if hint := flash.HintOf(err); hint != "" {
			text += "\nhint: " + hint
		}
		if _, ok := errors.AsType[*flash.InterruptedError](err); ok {
			text += "\nthe chip is held in reset: the same work again goes on with what is missing"
		}
	}
	p.bus.Publish(event.Event{Source: event.Bench, Kind: event.Progressed, Progress: end})
	p.bus.Publish(event.Event{Source: event.Bench, Kind: event.Note, Text: text})
}

// flash implements the command board.flash, on a bus that nobody reaches from
// another machine, as it reads files: file=PATH, and at=PLACE where the
// file does not tell itself.
func (w *watch) flash(_ context.Context, c event.Command) (event.Reply, error) {
	path := c.Args["file"]
	if path == "" {
		return event.Reply{}, errors.New("no file given: file=PATH at=PLACE")
	}
	arg := path
	if at := c.Args["at"]; at != "" {
		arg = at + "=" + path
	}
	file, err := loadFile(arg)
	if err != nil && c.Args["at"] == "" {
		if place, ok := placeOf(path); ok {
			file, err = loadFile(place + "=" + path)
		}
	}
	if err != nil {
		return event.Reply{}, err
	}
	return w.work("flash "+filepath.Base(path), func(ctx context.Context, f *flash.Flasher) (flash.Report, error) {
		return f.Write(ctx, []flash.File{file}, flash.WriteOptions{})
	})
}

// appDescriptor is where the descriptor of an application lies in its image:
// behind the header and that of the first segment.
const appDescriptor = 24 + 8

// placeOf says where a file belongs that is an application by its own word.
func placeOf(path string) (string, bool) {
	f, err := loadFile("0x10000=" + path)
	if err != nil || len(f.Data) < appDescriptor || f.Data[0] != espimage.Magic {
		return "", false
	}
	_, ok := espimage.ParseAppDescriptor(f.Data[appDescriptor:])
	return "0x10000", ok
}

// provision implements the command board.provision. What is not given stays as
// it is on the board; secrets come from a file or the environment.
func (w *watch) provision(_ context.Context, c event.Command) (event.Reply, error) {
	given := provisionCmd{
		SSID: c.Args["ssid"], Server: c.Args["server"], CA: c.Args["ca"], Crop: c.Args["crop"], Name: c.Args["name"], Secrets: c.Args["secrets"],
	}
	if len(c.Args) == 0 {
		return event.Reply{}, errors.New("nothing is given: ssid=, server=, ca=FILE, interval=, crop=, name=, secrets=FILE")
	}
	for key := range c.Args {
		switch key {
		case "ssid", "server", "ca", "crop", "name", "secrets", "interval", "partition":
		case "password", "wifi-password", "token":
			return event.Reply{}, errors.New(key + " is a secret: put it into a file and give secrets=FILE")
		default:
			return event.Reply{}, fmt.Errorf("%q is no setting of a board", key)
		}
	}
	if s := c.Args["interval"]; s != "" {
		var err error
		if given.Interval, err = time.ParseDuration(s); err != nil {
			return event.Reply{}, fmt.Errorf("interval=%q is no time: 2s is one", s)
		}
	}
	// RIG_TOKEN is the dashboard's own, for the server it looks at.
	change, err := given.change(false)
	if err != nil {
		return event.Reply{}, err
	}
	return w.work("provision", func(ctx context.Context, f *flash.Flasher) (flash.Report, error) {
		return f.EditNVS(ctx, cmp.Or(c.Args["partition"], flash.DefaultNVS), func(s *nvs.Store) error {
			var now boardcfg.Config
			now, err := change.apply(s)
			if err == nil {
				w.note(fmt.Sprintf("settings: network %s, server %s port %d, a frame every %v", cli.Printable(now.SSID), cli.Printable(now.Host), now.Port, now.Interval))
			}
			return err
		})
	})
}
