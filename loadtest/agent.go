package loadtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"porthole/internal/cli"
)

// task is what a coordinator asks of an agent. It has no objectives: agents
// count, the coordinator judges.
type task struct {
	TargetURL, Host, EventsURL     string
	Roots                          []byte // PEM; empty for the system's
	Viewers                        int
	Duration, Period, Ramp         time.Duration
	Think                          Think
	Engine                         Engine
	Crowd                          Crowd
	Steps                          []Step
	Protocol                       Protocol
	Conditional, Reconnect, Resume bool
	Wait, Timeout, FreezeAfter     time.Duration
	MaxPicture                     int
	Seed                           uint64
	Part                           Part
	StartIn                        time.Duration
}

// limits of what an agent takes, in bytes.
const (
	maxTask    = 4 << 20
	maxStartIn = time.Minute
)

// message is a line of an agent's answer: samples, then one of the others.
type message struct {
	Sample  *Sample  `json:"sample,omitempty"`
	Outcome *outcome `json:"outcome,omitempty"`
	Error   string   `json:"error,omitempty"`
	Hint    string   `json:"hint,omitempty"`
}

// agentStatus is what an agent says before a run.
type agentStatus struct {
	Schema string `json:"schema"`
	CPUs   int    `json:"cpus"`
	Busy   bool   `json:"busy"`
}

// AgentServer plays parts of crowds for coordinators that know its token, one run at a
// time. It is an http.Handler.
type AgentServer struct {
	key   agentKey
	allow []string
	truth Truth
	log   func(format string, a ...any)
	busy  atomic.Bool
	mux   *http.ServeMux
}

// AgentConfig is what an agent needs.
type AgentConfig struct {
	Token string
	// Allow lists the hosts that it may load. Empty is this machine only: an
	// agent that loads whatever it is told is a weapon for who finds its token.
	Allow []string
	Truth Truth // nil where nobody says what is live
	Log   func(format string, a ...any)
}

// NewAgentServer returns an agent and the TLS settings that it must be served with.
func NewAgentServer(c AgentConfig) (*AgentServer, *tls.Config, error) {
	key, err := newAgentKey(c.Token)
	if err != nil {
		return nil, nil, err
	}
	settings, err := key.server()
	if err != nil {
		return nil, nil, err
	}
	a := &AgentServer{key: key, allow: c.Allow, truth: c.Truth, log: c.Log, mux: http.NewServeMux()}
	if a.log == nil {
		a.log = func(string, ...any) {}
	}
	a.mux.HandleFunc("GET /status", a.status)
	a.mux.HandleFunc("POST /run", a.run)
	return a, settings, nil
}

// ServeHTTP implements http.Handler.
func (a *AgentServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	word, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !a.key.knows(word) {
		http.Error(w, "another token", http.StatusUnauthorized)
		return
	}
	a.mux.ServeHTTP(w, r)
}

func (a *AgentServer) status(w http.ResponseWriter, _ *http.Request) {
	_ = json.NewEncoder(w).Encode(agentStatus{Schema: Schema, CPUs: runtime.GOMAXPROCS(0), Busy: a.busy.Load()})
}

// run plays a task and answers with lines until it is done. A coordinator that
// goes away ends it.
func (a *AgentServer) run(w http.ResponseWriter, r *http.Request) {
	var t task
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxTask))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&t); err != nil {
		http.Error(w, "not a task: "+err.Error(), http.StatusBadRequest)
		return
	}
	if !a.busy.CompareAndSwap(false, true) {
		http.Error(w, "busy with another run", http.StatusConflict)
		return
	}
	defer a.busy.Store(false)
	out := json.NewEncoder(w)
	send := func(m message) {
		_ = out.Encode(m) // a coordinator that is gone ends the context
		_ = http.NewResponseController(w).Flush()
	}
	a.log("part %d of %d: %d viewers for %v against %s", t.Part.Index+1, t.Part.Of, t.Viewers, t.Duration, t.TargetURL)
	o, err := a.play(r.Context(), t, send)
	switch {
	case o == nil:
		a.log("refused: %v", err)
		send(message{Error: err.Error(), Hint: cli.HintOf(err)})
	default:
		a.log("done: %d polls", o.Total.counts.sent)
		send(message{Outcome: o})
	}
}

func (a *AgentServer) play(ctx context.Context, t task, send func(message)) (*outcome, error) {
	c := Config{
		TargetURL: t.TargetURL, Host: t.Host, EventsURL: t.EventsURL, Viewers: t.Viewers, Duration: t.Duration, Period: t.Period,
		Ramp: t.Ramp, Think: t.Think, Engine: t.Engine, Crowd: t.Crowd, Steps: t.Steps, Protocol: t.Protocol, Conditional: t.Conditional,
		Reconnect: t.Reconnect, Resume: t.Resume, Wait: t.Wait, Timeout: t.Timeout, FreezeAfter: t.FreezeAfter,
		MaxPicture: t.MaxPicture, Seed: t.Seed, Part: t.Part, Truth: a.truth,
	}
	if len(t.Roots) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(t.Roots) {
			return nil, errors.New("the roots are no certificates")
		}
		c.TLS = &tls.Config{RootCAs: pool}
	}
	c = c.withDefaults()
	if t.Ramp == 0 {
		c.Ramp = 0 // the coordinator has decided
	}
	target, err := c.check()
	if err != nil {
		return nil, err
	}
	if err := a.allows(target); err != nil {
		return nil, err
	}
	all, err := c.stays()
	if err != nil {
		return nil, err
	}
	own := c.part(all)
	c.Viewers = peak(own)
	if err := c.preflight(target); err != nil {
		return nil, err
	}
	if err := sleepUntil(ctx, time.Now().Add(min(max(t.StartIn, 0), maxStartIn))); err != nil {
		return nil, err
	}
	return runOn(ctx, c, target, own, func(s Sample) { send(message{Sample: &s}) })
}

// allows refuses a target that this agent was not started for.
func (a *AgentServer) allows(target *url.URL) error {
	host := target.Hostname()
	if slices.Contains(a.allow, host) || len(a.allow) == 0 && isLoopback(host) {
		return nil
	}
	return cli.Hint(fmt.Errorf("this agent may not load %q", host), "start it with --allow "+host)
}

// Serve serves the agent until ctx ends.
func (a *AgentServer) Serve(ctx context.Context, ln net.Listener, settings *tls.Config) error {
	srv := &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	srv.ErrorLog = log.New(io.Discard, "", 0) // strangers fail at the handshake
	srv.BaseContext = func(net.Listener) context.Context { return ctx }
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	err := srv.Serve(tls.NewListener(ln, settings))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
