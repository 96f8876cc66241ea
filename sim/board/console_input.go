package board

import (
	"context"
	"strings"
	"sync"

	"porthole/internal/console"
)

// What can be typed on the console of a running application, one command a
// line: help, status, reboot, panic [reason].
const (
	maxCommand = 128
	helpText   = "help, status, reboot, panic [reason]"
)

// A request is something that the application is told from outside its course.
type request struct {
	act    action
	reason string
}

type action int

const (
	actPrint action = iota // reason is a command that needs only an answer
	actReboot
	actPanic
	actBrownout
	actHang
)

// control runs the application and answers requests until the chip is reset.
func (a *app) control(ctx context.Context) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	var app, reader sync.WaitGroup
	app.Go(func() { a.run(running) })
	reader.Go(a.listen)
	// The reader ends when the chip is reset: its input is closed then.
	defer reader.Wait()
	defer app.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-a.requests:
			if r.act == actPrint {
				a.answer(r.reason)
				continue
			}
			if r.act == actReboot {
				a.print(console.Line{Kind: console.Restart, Why: r.reason})
			}
			if r.act != actHang {
				a.hush()
			}
			stop()
			app.Wait()
			a.end(ctx, r)
			<-ctx.Done()
			return
		}
	}
}

// hush leaves the console to what ends the program.
func (a *app) hush() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.silent = true
}

// listen reads commands.
func (a *app) listen() {
	var line []byte
	buf := make([]byte, 64)
	for {
		n, err := a.m.Read(buf)
		for _, c := range buf[:n] {
			switch {
			case c == '\r' || c == '\n':
				if text := strings.TrimSpace(string(line)); text != "" {
					a.command(text)
				}
				line = line[:0]
			case len(line) < maxCommand:
				line = append(line, c)
			}
		}
		if err != nil {
			return
		}
	}
}

func (a *app) command(text string) {
	word, rest, _ := strings.Cut(text, " ")
	r := request{act: actPrint, reason: word}
	switch word {
	case "reboot":
		r = request{actReboot, "console"}
	case "panic":
		r = request{actPanic, strings.TrimSpace(rest)}
		if _, ok := panicReason(r.reason); !ok {
			r = request{act: actPrint, reason: text}
		}
	}
	a.ask(r)
}

// ask hands a request over; a board that is flooded with them drops some, as
// one would.
func (a *app) ask(r request) bool {
	select {
	case a.requests <- r:
		return true
	default:
		return false
	}
}

func (a *app) answer(word string) {
	switch word {
	case "help":
		a.print(console.Line{Kind: console.Help, Why: helpText})
	case "status":
		a.mu.Lock()
		s := a.status
		a.mu.Unlock()
		s.Uptime = a.now()
		a.print(s)
	default:
		a.print(console.Line{Kind: console.Unknown, What: word})
	}
}
