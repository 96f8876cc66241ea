package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"sync/atomic"
	"time"

	"porthole/internal/frame"
	"porthole/server"
	"porthole/server/picture"
)

// fixture is one of our own processes that serves the picture of a folder.
type fixture struct {
	kind   string
	dir    string
	secure bool
	http2  bool
	period time.Duration
	admin  bool
	// profile is a file for a CPU profile of a server that is interrupted.
	profile string
}

// Kinds of fixtures.
const (
	ours    = "ours"
	netHTTP = "nethttp" // net/http at its best: preset headers, one write, an atomic pointer
	first   = "first"   // the design that the project started from
	nginx   = "nginx"
)

func (f *fixture) flags(fs *flag.FlagSet) {
	fs.StringVar(&f.kind, "kind", ours, "ours, nethttp or first")
	fs.StringVar(&f.dir, "dir", "", "folder with latest, cert.pem and key.pem")
	fs.BoolVar(&f.secure, "tls", false, "serve TLS")
	fs.BoolVar(&f.http2, "h2", false, "offer HTTP/2")
	fs.DurationVar(&f.period, "period", time.Hour, "between two publications of the picture")
	fs.StringVar(&f.profile, "profile", "", "write a CPU profile here")
	fs.BoolVar(&f.admin, "admin", false, "answer each line of standard input with the state of the process, as JSON")
}

func (f *fixture) serve(ctx context.Context, out io.Writer) error {
	if f.profile != "" {
		file, err := os.Create(f.profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	shot, err := os.ReadFile(filepath.Join(f.dir, "latest"))
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var config *tls.Config
	if f.secure {
		pair, err := tls.LoadX509KeyPair(filepath.Join(f.dir, "cert.pem"), filepath.Join(f.dir, "key.pem"))
		if err != nil {
			return err
		}
		config = server.TLS(pair)
		if f.http2 {
			config.NextProtos = []string{"h2", "http/1.1"}
		}
	}
	ready := func() { fmt.Fprintf(out, "ready %d\n", ln.Addr().(*net.TCPAddr).Port) }
	if f.kind == ours {
		return f.ours(ctx, ln, config, ready, out)
	}
	mux := http.NewServeMux()
	switch f.kind {
	case netHTTP:
		mux.Handle("GET /latest", newPreset(ctx, shot, f.period))
	case first:
		mux.Handle("/latest", newBuffered(ctx, shot, f.period))
	default:
		return fmt.Errorf("no fixture %q", f.kind)
	}
	srv := &http.Server{Handler: mux}
	if f.kind == netHTTP {
		srv.ReadHeaderTimeout, srv.ReadTimeout, srv.WriteTimeout, srv.IdleTimeout = 5*time.Second, 10*time.Second, 30*time.Second, 75*time.Second
	}
	context.AfterFunc(ctx, func() { srv.Close() })
	ready()
	if config == nil {
		err = srv.Serve(ln)
	} else {
		srv.TLSConfig = config
		err = srv.ServeTLS(ln, "", "")
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// ours runs the server of this project, which publishes the picture anew each
// period. Nothing is encoded, so that the picture is the same for all servers.
func (f *fixture) ours(ctx context.Context, ln net.Listener, config *tls.Config, ready func(), out io.Writer) error {
	tokens, err := server.TokensOf("bench", server.NewToken())
	if err != nil {
		return err
	}
	loop, err := server.OpenLoop(os.DirFS(filepath.Join(f.dir, "loop")), frame.Limits{})
	if err != nil {
		return err
	}
	s, err := server.New(server.Config{Tokens: tokens, Loop: loop, Period: f.period, Pipeline: picture.PassThrough(),
		// Every viewer of a bench comes from one address.
		Serving: server.Serving{MaxConnsPerAddr: -1}})
	if err != nil {
		return err
	}
	if config != nil {
		ln = server.NewTLSListener(ln, config)
	}
	go func() {
		// Not ready before there is a picture.
		for s.Truth().Published == 0 {
			time.Sleep(time.Millisecond)
		}
		ready()
	}()
	if f.admin {
		go inspect(s, out)
	}
	return s.Run(ctx, ln)
}

// newPreset returns the best handler that net/http allows for: a response of
// preset header values behind an atomic pointer, in one write.
func newPreset(ctx context.Context, shot []byte, period time.Duration) http.Handler {
	type response struct {
		body         []byte
		etag, length []string
	}
	var current atomic.Pointer[response]
	publish := func(n int) {
		current.Store(&response{shot, []string{strconv.Quote(fmt.Sprintf("%016d", n))}, []string{strconv.Itoa(len(shot))}})
	}
	publish(0)
	every(ctx, period, publish)
	kind, store := []string{"image/jpeg"}, []string{"no-store"}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := current.Load()
		h := w.Header()
		h["Etag"], h["Cache-Control"] = p.etag, store
		if v := r.Header["If-None-Match"]; len(v) == 1 && v[0] == p.etag[0] {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h["Content-Type"], h["Content-Length"] = kind, p.length
		w.Write(p.body)
	})
}

// newBuffered returns the handler of the design that the project started from:
// one buffer, headers set by name, and a body of unannounced length.
func newBuffered(ctx context.Context, shot []byte, period time.Duration) http.Handler {
	var buffer atomic.Pointer[bytes.Buffer]
	publish := func(int) { buffer.Store(bytes.NewBuffer(bytes.Clone(shot))) }
	publish(0)
	every(ctx, period, publish)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Content-Type", "image/jpeg")
		w.Header().Set("Cache-Control", "no-cache, no-store, must-revalidate")
		w.Write(buffer.Load().Bytes())
	})
}

func every(ctx context.Context, period time.Duration, do func(int)) {
	go func() {
		tick := time.NewTicker(period)
		defer tick.Stop()
		for n := 1; ; n++ {
			select {
			case <-tick.C:
				do(n)
			case <-ctx.Done():
				return
			}
		}
	}()
}
