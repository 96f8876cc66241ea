package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"slices"
	"sync"
	"time"

	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/internal/frame"
	"porthole/internal/sd"
	"porthole/server"
)

type serveCmd struct {
	addressFlags     `embed:"" group:"Addresses:"`
	certificateFlags `embed:"" group:"Certificate:"`
	accessFlags      `embed:"" group:"Who may upload:"`
	limitFlags       `embed:"" group:"What may be uploaded:"`
	feedFlags        `embed:"" group:"What the public sees:"`
	pictureFlags     `embed:"" group:"What is done to pictures:"`
	privacyFlags     `embed:"" group:"Privacy:"`
	servingFlags     `embed:"" group:"Viewers:"`
	deltaFlags       `embed:"" group:"Viewers:"`
	privateFlags     `embed:"" group:"Private side:"`
	operationFlags   `embed:"" group:"Operation:"`
}

// accessFlags say who may upload.
type accessFlags struct {
	Tokens      string `placeholder:"FILE" help:"Token file (default: tokens in the state folder)."`
	ingestFlags `embed:""`
}

// feedFlags say what is shown while the camera is silent.
type feedFlags struct {
	Loop    string        `placeholder:"DIR" help:"Folder of JPEGs to play while the camera is silent (default: a built-in loop)."`
	Offline time.Duration `default:"10s" help:"Silence of the camera until the loop plays."`
	Period  time.Duration `default:"2s" help:"Time a picture of the loop is shown."`
}

// limitFlags raise or lower what a picture may be.
type limitFlags struct {
	MaxBytes    int  `default:"1000000" help:"Largest picture taken, in bytes."`
	MaxWidth    int  `default:"1600" help:"Widest picture taken."`
	MaxHeight   int  `default:"1200" help:"Highest picture taken."`
	Progressive bool `help:"Also take progressive JPEGs."`
}

func (l limitFlags) limits() (frame.Limits, error) {
	if l.MaxBytes < 1 || l.MaxWidth < 1 || l.MaxHeight < 1 {
		return frame.Limits{}, cli.Usage(fmt.Errorf("limits of %d bytes and %dx%d pixels: want at least 1 each", l.MaxBytes, l.MaxWidth, l.MaxHeight))
	}
	return frame.Limits{MaxBytes: l.MaxBytes, MaxWidth: l.MaxWidth, MaxHeight: l.MaxHeight, Progressive: l.Progressive}, nil
}

func (c *serveCmd) Run(ctx context.Context, std cli.IO) (err error) {
	if c.Offline <= 0 || c.Period <= 0 {
		return cli.Usage(fmt.Errorf("--offline %v and --period %v: want more than 0", c.Offline, c.Period))
	}
	limits, err := c.limits()
	if err != nil {
		return err
	}
	serving, err := c.serving()
	if err != nil {
		return err
	}
	if err := c.operationFlags.check(); err != nil {
		return err
	}
	notify, err := sd.NewNotifier()
	if err != nil {
		return err
	}
	var sockets listeners
	if sockets.inherited, err = sd.Inherit(); err != nil {
		return err
	}
	defer sockets.close() // those that are served are closed by their servers already
	adminHandedOver := sockets.has("admin")
	adminTokens, err := c.privateFlags.tokens(adminHandedOver)
	if err != nil {
		return err
	}
	tokens, err := c.loadTokens()
	if err != nil {
		return err
	}
	ingest, err := c.ingest(tokens)
	if err != nil {
		return err
	}
	waves, err := c.waves()
	if err != nil {
		return err
	}
	if c.privacyFlags.on() {
		// Brightness and noise would tell recordings apart.
		c.Normalize, c.Denoise = true, true
	}
	pipeline, masks, err := c.pipeline()
	if err != nil {
		return err
	}
	loop, closeLoop, err := openLoop(c.Loop, limits)
	if err != nil {
		return err
	}
	defer closeLoop()
	cert, err := c.certificateFlags.open(std)
	if err != nil {
		return err
	}
	if cert == nil && c.HTTP == "" && !sockets.has("http") {
		return cli.Usage(cli.Hint(errors.New("no certificate given"), "--cert FILE --key FILE, --acme DOMAIN, or --dev for this machine, or --http HOST:PORT behind a proxy"))
	}
	log, bus := c.logger(std.Err), new(event.Bus)
	privacy, closeClips, err := c.privacy(c.Period, log)
	if err != nil {
		return err
	}
	defer closeClips()
	srv, err := server.New(server.Config{Tokens: tokens, Loop: loop, Offline: c.Offline, Period: c.Period, Limits: limits, Serving: serving, Log: log,
		Ingest: ingest, Waves: waves, Pipeline: pipeline, Deltas: c.deltas(), Privacy: privacy,
		Events: bus, AdminToken: c.AdminToken, AdminTokens: adminTokens})
	if err != nil {
		return err
	}
	open, err := c.listen(&sockets, cert, log)
	if err != nil {
		return err
	}
	reload := c.reloader(srv, cert, masks, &reloader{log: log, notify: notify, bus: bus, status: "serving"}, adminHandedOver)

	// One side that fails ends the other.
	ctx, stop := c.drain(ctx, srv, notify, log)
	defer stop()
	var sides sync.WaitGroup
	var publicErr, redirectErr, adminErr error
	sides.Go(func() { defer stop(); publicErr = srv.Run(ctx, open.public...) })
	if open.redirect != nil {
		sides.Go(func() { defer stop(); redirectErr = server.Serve(ctx, open.redirected, log, open.redirect) })
	}
	if open.admin != nil {
		sides.Go(func() { defer stop(); adminErr = server.Serve(ctx, srv.Admin(), log, open.admin) })
	}
	if cert != nil {
		sides.Go(func() { cert.watch(ctx, log) })
	}
	sides.Go(func() { reload.serve(ctx) })
	alive := &pulse{srv: srv, patience: c.Offline + 5*c.Period + 10*time.Second}
	sides.Go(func() { notify.Watch(ctx, alive.check, func(err error) { log.Error("unwell", "error", err) }) })
	sides.Go(func() {
		if alive.begun(ctx) {
			tell(log, notify.Ready(reload.status))
		}
	})
	sides.Wait()
	return errors.Join(publicErr, redirectErr, adminErr)
}

// reloader returns what SIGHUP and the command server.reload read again.
func (c *serveCmd) reloader(srv *server.Server, cert *certificate, masks []image.Rectangle, r *reloader, adminHandedOver bool) *reloader {
	r.add("tokens", func() (func() string, error) {
		tokens, err := c.loadTokens()
		if err != nil {
			return nil, err
		}
		return func() string {
			return changed(srv.SetTokens(tokens), "tokens of %s", count(len(tokens.Cameras()), "camera"))
		}, srv.CheckTokens(tokens)
	})
	r.add("admin tokens", func() (func() string, error) {
		tokens, err := c.privateFlags.tokens(adminHandedOver)
		if err != nil {
			return nil, err
		}
		return func() string { srv.SetAdminTokens(tokens); return "" }, nil
	})
	if c.MaskFile != "" {
		r.add("masks", func() (func() string, error) {
			pipeline, now, err := c.pipeline()
			if err != nil || slices.Equal(now, masks) {
				return func() string { return "" }, err
			}
			return func() string {
				masks = now
				return changed(srv.SetPipeline(pipeline), "%d masks", len(masks))
			}, nil
		})
	}
	if cert != nil && cert.files != nil {
		r.add("certificate", func() (func() string, error) {
			pair, err := cert.files.Load()
			if err != nil {
				return nil, err
			}
			return func() string {
				if use(cert.files, pair, r.log) {
					return "certificate until " + pair.Expires().UTC().Format(time.DateOnly)
				}
				return ""
			}, nil
		})
	}
	return r
}

func (c *serveCmd) loadTokens() (*server.Tokens, error) {
	tokens, path, err := readTokens(false, c.Tokens)
	if err != nil {
		return nil, err
	}
	if tokens.Len() == 0 {
		return nil, cli.Hint(fmt.Errorf("token file %q is empty, so no camera could upload", path), "make a token first: porthole token new --tokens "+path)
	}
	return tokens, nil
}

// openLoop opens the folder, or the built-in loop where none is named. The
// folder stays open until the returned function is called.
func openLoop(dir string, limits frame.Limits) (*server.Loop, func(), error) {
	if dir == "" {
		loop, err := server.EmbeddedLoop()
		return loop, func() {}, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, cli.Hint(fmt.Errorf("open loop folder: %w", err), "--loop names a folder of .jpg files")
	}
	loop, err := server.OpenLoop(root.FS(), limits)
	if err != nil {
		root.Close()
		return nil, nil, cli.Hint(fmt.Errorf("folder %q: %w", dir, err), "remove or replace the file; a loop is a folder of complete baseline .jpg files")
	}
	return loop, func() { root.Close() }, nil
}
