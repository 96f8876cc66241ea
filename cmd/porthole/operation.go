package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"porthole/internal/cli"
	"porthole/internal/sd"
	"porthole/server"
)

// operationFlags are about the process, not about pictures.
type operationFlags struct {
	Log      string        `default:"text" enum:"text,json" help:"Log format, text or json, on standard error; rotation is left to the system."`
	LogLevel string        `default:"info" enum:"debug,info,warn,error" help:"Least important lines shown: debug, info, warn or error. Debug may show addresses of clients, the others never do."`
	Drain    time.Duration `default:"0s" help:"When asked to end, go on serving for this long while /readyz says no, so that a load balancer looks elsewhere first."`
}

const maxDrain = 10 * time.Minute

func (c *operationFlags) check() error {
	if c.Drain < 0 || c.Drain > maxDrain {
		return cli.Usage(fmt.Errorf("--drain %v: want 0s to %v", c.Drain, maxDrain))
	}
	return nil
}

func (c *operationFlags) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		panic(err) // the flag's values are levels
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Log == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// drain returns the context that the server runs under: it ends Drain after ctx
// does, and in between the server says that it is not ready.
func (c *operationFlags) drain(ctx context.Context, srv *server.Server, notify sd.Notifier, log *slog.Logger) (context.Context, context.CancelFunc) {
	later, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		tell(log, notify.Stopping())
		if c.Drain > 0 {
			log.Info("draining", "for", c.Drain.String())
			srv.Drain()
			select {
			case <-time.After(c.Drain):
			case <-later.Done(): // a side failed meanwhile
			}
		}
		end()
	})
	return later, func() { stop(); end() }
}

// tell logs that the service manager could not be told something, which is no
// reason to end.
func tell(log *slog.Logger, err error) {
	if err != nil {
		log.Warn("service manager not told", "error", err)
	}
}

// pulse finds out whether a server is alive: new pictures appear, live or not.
type pulse struct {
	srv      *server.Server
	patience time.Duration // without a new picture
	last     uint64
	at       time.Time
}

// begun waits until the first picture is published, and reports whether that
// came before the end of ctx: only then is a service ready.
func (p *pulse) begun(ctx context.Context) bool {
	for !p.srv.Showing() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Millisecond):
		}
	}
	return true
}

func (p *pulse) check() error {
	now, published := time.Now(), p.srv.Truth().Published
	if published != p.last || p.at.IsZero() {
		p.last, p.at = published, now
	}
	if silent := now.Sub(p.at); silent > p.patience {
		return fmt.Errorf("no picture published for %v", silent.Round(time.Second))
	}
	return nil
}
