// Package server is the production frame server: it takes frames from a camera
// and shows the newest one to any number of viewers; when the camera is
// silent it plays a recorded loop instead.
//
//	POST /upload ─▶ ingest ─▶ director ─▶ picture ─▶ publication ─▶ GET /latest
//	   token,        decoded,   live or loop,  encoded   immutable     GET /status
//	   limits        masked     one for all    anew      response
//
// The steps are separate on purpose: what may be shown (ingest), when and
// whether it is shown (director), how it looks (picture) and how it is sent
// (publication) change for different reasons. No uploaded byte gets past the
// picture step, and none of a recorded file.
//
// A public answer never tells live from loop: both go through the same
// publication with fresh ETags and the same headers. The truth is on the admin
// handler only, which is meant for a listener of its own on loopback.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"porthole/internal/event"
	"porthole/internal/frame"
	"porthole/server/picture"
	"porthole/server/web"
)

// Defaults of [Config].
const (
	DefaultPeriod  = 2 * time.Second  // between two frames of the camera and of the loop
	DefaultOffline = 10 * time.Second // of silence until the loop plays
)

// Config is what a Server needs. The zero value of every field but Tokens and
// Loop means its default.
type Config struct {
	// Tokens knows who may upload. Required.
	Tokens *Tokens
	// Loop is played while no camera sends. Required; see [EmbeddedLoop] and [OpenLoop].
	Loop *Loop
	// Period is the time one frame of the loop is shown.
	Period time.Duration
	// Offline is how long the newest frame of the camera is shown before the loop plays.
	Offline time.Duration
	// Limits apply to every uploaded frame.
	Limits frame.Limits
	// Ingest says which uploads are taken.
	Ingest IngestConfig
	// Waves is about visitors who wave at the camera.
	Waves WaveConfig
	// Pipeline makes the public picture of every frame, live or recorded; nil
	// for one without masks, crop or scaling. The server takes it over. Only
	// [picture.PassThrough] lets uploaded bytes through.
	Pipeline *picture.Pipeline
	// Body bounds how slowly an upload may arrive.
	Body BodyRate
	// Serving says how viewers are answered.
	Serving Serving
	// Privacy says what viewers may learn about the camera.
	Privacy Privacy
	// Deltas says whether viewers may get changes instead of whole pictures.
	Deltas Deltas
	// MaxUploads is how many uploads may be read at the same time (default 8).
	MaxUploads int
	// Events receives what happens and offers commands; nil for nobody.
	Events *event.Bus
	// AdminTokens, and AdminToken beside them, guard the admin handler. Both may
	// be empty where only this machine reaches it.
	AdminTokens *Tokens
	AdminToken  string
	// Log receives what an operator should know; nil discards.
	Log *slog.Logger
}

// Server is the frame server. It is an http.Handler for the public side;
// [Server.Admin] is the handler of the private side. A Server publishes only
// while [Server.Run] or [Server.Direct] runs.
type Server struct {
	cfg       Config
	public    *http.ServeMux
	uploads   chan struct{} // one token per upload being read
	accepted  mailbox
	control   control
	publisher *publisher
	pipeline  atomic.Pointer[picture.Pipeline]
	current   atomic.Pointer[publication]
	truth     atomic.Pointer[Truth]
	clipCover atomic.Pointer[event.Cover]

	tokens   atomic.Pointer[Tokens]
	guard    *guard
	waves    *waves
	decoders chan struct{}     // one token per picture being decoded
	other    *picture.Pipeline // of cameras that the public does not see

	camerasMu sync.Mutex
	cameras   map[string]*camera

	policy  *policy
	stats   counters
	streams gate    // of event streams and waiting polls
	deltas  *deltas // nil if they are off

	draining atomic.Bool
	admins   admins
	uploaded uploadFigures
	history  history
}

// New returns a server for cfg, or an error that says which field is wrong.
func New(cfg Config) (*Server, error) {
	switch {
	case cfg.Tokens == nil:
		return nil, errors.New("create server: no tokens given")
	case cfg.Loop == nil:
		return nil, errors.New("create server: no recorded loop given")
	case cfg.Period < 0 || cfg.Offline < 0 || cfg.MaxUploads < 0:
		return nil, fmt.Errorf("create server: negative period %v, offline time %v or upload limit %d", cfg.Period, cfg.Offline, cfg.MaxUploads)
	}
	if cfg.Period == 0 {
		cfg.Period = DefaultPeriod
	}
	if cfg.Offline == 0 {
		cfg.Offline = DefaultOffline
	}
	if cfg.MaxUploads == 0 {
		cfg.MaxUploads = 8
	}
	cfg.Body = cfg.Body.withDefaults()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Privacy.On {
		if err := cfg.Privacy.Check(cfg.Period); err != nil {
			return nil, fmt.Errorf("create server: %w", err)
		}
	}
	if err := cfg.Ingest.check(cfg.Tokens); err != nil {
		return nil, fmt.Errorf("create server: %w", err)
	}
	waves, err := newWaves(cfg.Waves, time.Now())
	if err != nil {
		return nil, fmt.Errorf("create server: %w", err)
	}
	other, err := picture.New(picture.Config{})
	if err != nil {
		return nil, fmt.Errorf("create server: %w", err)
	}
	serving, err := cfg.Serving.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("create server: %w", err)
	}
	cfg.Serving = serving
	policy := newPolicy(serving)
	deltas, err := newDeltas(cfg.Deltas, cfg.Period)
	if err != nil {
		return nil, fmt.Errorf("create server: %w", err)
	}
	publisher, err := newPublisher(policy)
	if err != nil {
		return nil, fmt.Errorf("create server: %w", err)
	}
	s := &Server{
		cfg:       cfg,
		public:    http.NewServeMux(),
		uploads:   make(chan struct{}, cfg.MaxUploads),
		accepted:  mailbox{wake: make(chan struct{}, 1)},
		control:   control{wake: make(chan struct{}, 1), order: Auto},
		publisher: publisher,
		guard:     newGuard(),
		waves:     waves,
		decoders:  make(chan struct{}, cfg.Ingest.Decoders),
		other:     other,
		cameras:   make(map[string]*camera),
		policy:    policy,
		streams:   gate{max: int64(serving.MaxStreams)},
		deltas:    deltas,
	}
	s.tokens.Store(cfg.Tokens)
	if cfg.Pipeline == nil {
		if cfg.Pipeline, err = picture.New(picture.Config{}); err != nil {
			return nil, fmt.Errorf("create server: %w", err)
		}
	}
	s.pipeline.Store(cfg.Pipeline)
	s.admins.set(cfg.AdminToken, cfg.AdminTokens)
	s.truth.Store(&Truth{Mode: event.Waiting, Since: time.Now(), Order: Auto})
	s.public.HandleFunc("POST /upload", s.handleUpload)
	s.public.HandleFunc("POST /camera", s.handleCamera)
	s.public.HandleFunc("POST /wave", s.handleWave)
	for _, path := range []string{pathLatest, pathJPEG, pathWebP} {
		s.public.HandleFunc("GET "+path, s.handleLatest)
		s.public.HandleFunc("OPTIONS "+path, s.preflight)
	}
	for path, handle := range map[string]http.HandlerFunc{
		pathStream: s.handlePush, pathHead: s.handleHead, pathKey + "{name}": s.handleFrame, pathDelta + "{name}": s.handleFrame,
	} {
		s.public.HandleFunc("GET "+path, s.withDeltas(handle))
	}
	s.public.HandleFunc("GET "+pathEvents, s.handleStream)
	s.public.HandleFunc("GET /status", s.handleStatus)
	s.public.HandleFunc("GET /healthz", s.handleHealth)
	s.public.HandleFunc("GET /readyz", s.handleReady)
	web.Register(s.public)
	return s, nil
}

// ServeHTTP answers the public side.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["X-Content-Type-Options"] = noSniff
	class, start := s.count(r)
	if h, pattern := s.public.Handler(r); pattern == "" {
		h.ServeHTTP(&nowhere{ResponseWriter: w}, r)
		return
	}
	s.public.ServeHTTP(w, r)
	if class == ClassFeed && r.URL.RawQuery == "" { // a poll that waits is not slow
		s.stats.took(time.Since(start))
	}
}

// Run serves the public side on the given listeners and publishes, until ctx
// ends; then it finishes what is under way, for at most half a second, and
// returns nil. The listeners are closed in any case.
func (s *Server) Run(ctx context.Context, listeners ...net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	directed := make(chan struct{})
	go func() {
		defer close(directed)
		s.Direct(ctx)
	}()
	reported := make(chan struct{})
	go func() {
		defer close(reported)
		s.report(ctx)
	}()
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		s.history.run(ctx, s.sample)
	}()
	err := newFront(s, publicTimes).serve(ctx, shutdownGrace, listeners...)
	stop()
	<-directed
	<-reported
	<-sampled
	return err
}

// shutdownGrace is how long a stopping server waits for requests under way.
// Ctrl-C is promised to end everything within a second.
const shutdownGrace = 500 * time.Millisecond

// Serve runs h on the listeners with the deadlines of a server that faces the
// internet, until ctx ends. It owns the listeners. A nil log discards.
func Serve(ctx context.Context, h http.Handler, log *slog.Logger, listeners ...net.Listener) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	srv := newHTTPServer(h, log)
	failed := make(chan error, len(listeners))
	for _, ln := range listeners {
		go func() { failed <- srv.Serve(ln) }()
	}
	var err error
	waiting := len(listeners)
	select {
	case <-ctx.Done():
	case err = <-failed:
		waiting--
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if srv.Shutdown(grace) != nil {
		srv.Close()
	}
	for range waiting {
		<-failed
	}
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// newHTTPServer returns a server with the deadlines of one that faces the
// internet.
func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		// Of a whole request: also the body that nobody reads is waited for no
		// longer. Uploads and event streams move it.
		ReadTimeout: 10 * time.Second,
		// Above the upload period, so that a camera keeps its connection.
		IdleTimeout: 75 * time.Second,
		// A viewer that takes longer than this for one frame is gone. Uploads
		// move their own deadlines (body.go).
		WriteTimeout:   30 * time.Second,
		MaxHeaderBytes: 8 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
