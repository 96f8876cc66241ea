// Package loadtest puts a crowd of viewers in front of a feed and tells what
// they saw. A viewer is a browser tab in miniature: it joins, keeps one
// connection of its own, asks for the newest picture every period with the ETag
// of the one it shows, and shows what it gets.
//
//	schedule ─ gate ─▶ vegeta.Attacker ─▶ transport ─▶ one connection per viewer
//	 who, when          workers, results     │  ▲         ─▶ server
//	                                         │  └ busy guard: one poll in flight
//	                 bytes and ETag ▼        ▼ both latency clocks
//	                 gallery (stamps) ─▶ recorder: shards of tallies and screens
//	                                         │ once a second
//	                              Sample ◀───┴───▶ Report ─▶ objectives, verdict
//
// What is measured and how (load-tui 1.2, 3):
//
//   - The headline is the age of the picture on the screen, weighted by time: a
//     picture that arrives with age a and stays for d contributes every age from
//     a to a+d. It cannot be flattered by a stalled server or generator, because
//     it is integrated over the viewer's wall clock and not over answers.
//   - Each poll has two clocks: from when it was planned and from when it was
//     sent. A poll that falls due while the previous one is in flight is skipped
//     and counted.
//   - Ages come from the stamp inside the picture. An ETag is an opaque name: it
//     says "the same" or "another" and nothing else. Each is decoded once.
//   - Whether a picture was live or from the recorded loop is told by the admin
//     side ([Truth]), never guessed from public answers.
//   - A generator that stalled has measured itself. Its own hiccups and late
//     polls make the verdict inconclusive.
package loadtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"porthole/internal/cli"
)

// drainPeriods is how many periods polls in flight get to finish after the
// watch time is over. What is cut off then is counted as unfinished.
const drainPeriods = 2

// spareWorkers is how many workers there are beside one per viewer: skipped
// polls need one for a moment, and every other viewer may be busy.
const spareWorkers = 64

// Run lets the crowd of c watch for c.Duration and returns the report. Once a
// second it calls emit (which may be nil) with the figures of that second, from
// the goroutine that called Run; emit must be quick.
//
// A target that cannot be tested is an error. A server that fails under test is
// not: it is in the report. When ctx ends early the report covers the time until
// then and is returned together with the cause. Nothing runs on after Run
// returned.
func Run(ctx context.Context, c Config, emit func(Sample)) (*Report, error) {
	c = c.withDefaults()
	target, err := c.check()
	if err != nil {
		return nil, err
	}
	stays, err := c.stays()
	if err != nil {
		return nil, cli.Usage(err)
	}
	if len(stays) == 0 {
		return nil, cli.Usage(errors.New("nobody would come: more viewers, or a longer run"))
	}
	c.Viewers = peak(stays)
	if err := c.preflight(target); err != nil {
		return nil, err
	}
	out, err := runOn(ctx, c, target, c.part(stays), emit)
	if out == nil {
		return nil, err
	}
	return out.report(c), err
}

// runOn lets viewers watch a target. What was found is returned together with
// the error that ended the run early, if one did.
func runOn(ctx context.Context, c Config, target *url.URL, stays []stay, emit func(Sample)) (*outcome, error) {
	r := newRun(ctx, c, target, stays)
	defer r.close()
	return r.watch(ctx, emit)
}

// run is one load test under way.
type run struct {
	cfg        Config
	target     *url.URL
	start      time.Time
	ctx        context.Context // of everything in flight
	cancel     context.CancelCauseFunc
	schedule   *schedule
	ledger     *ledger
	recorder   *recorder
	gallery    *gallery
	darkroom   *darkroom // of viewers who decode changes
	dialer     *dialer
	transport  *transport
	hiccups    *hiccupMeter
	background sync.WaitGroup
	troubles   troubles // steps that could not be carried out
	phases     []Step
	past       []phase // that are over
	streams    streams
	events     *url.URL // of the streams
}

func newRun(ctx context.Context, c Config, target *url.URL, stays []stay) *run {
	r := &run{
		cfg:     c,
		target:  target,
		start:   time.Now(),
		ledger:  newLedger(),
		gallery: newGallery(c.Stamper, c.Truth),
		hiccups: newHiccupMeter(),
	}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.schedule = newSchedule(c.Think, c.Period, c.Duration)
	r.phases = c.phases()
	viewers := make([]viewer, len(stays))
	leaves := make([]time.Duration, len(stays))
	for i, s := range stays {
		var leave time.Time
		leaves[i] = math.MaxInt64
		if s.leave > 0 {
			leave, leaves[i] = r.start.Add(s.leave), s.leave
		}
		viewers[i].init(i, target, r.start.Add(s.join), leave)
		viewers[i].screen.end = r.start.Add(c.Duration)
		r.schedule.add(int32(i), s.join)
	}
	r.schedule.setLeaves(leaves)
	r.events = target.ResolveReference(&url.URL{Path: "/events"})
	if u, err := url.Parse(c.EventsURL); err == nil && c.EventsURL != "" {
		r.events = u
	}
	if c.Think == Events {
		for i := range viewers {
			viewers[i].wanted.Store(planned) // the first picture needs no announcement
			if c.Protocol == H2 {
				viewers[i].first = make(chan struct{})
			}
		}
	}
	r.darkroom = newDarkroom(r.gallery)
	r.recorder = newRecorder(viewers, c.FreezeAfter)
	r.dialer = newDialer(r.ctx, viewers, target, c.Dial)
	r.transport = newTransport(r)
	return r
}

// joins spreads the arrivals over the ramp: one per equal slice of it, at a
// random point inside, so that phases are random and never all alike.
func joins(c Config) []time.Duration {
	rng := rand.New(rand.NewPCG(c.Seed, 0x6a6f696e))
	at := make([]time.Duration, c.Viewers)
	for i := range at {
		at[i] = time.Duration((float64(i) + rng.Float64()) / float64(c.Viewers) * float64(c.Ramp))
	}
	return at
}

// watch runs the test to its end.
func (r *run) watch(ctx context.Context, emit func(Sample)) (*outcome, error) {
	cpu := processCPU()
	if len(r.phases) > 0 { // the first one begins before the first poll
		r.turn(r.start)
	}
	r.background.Go(func() { r.hiccups.run(r.ctx) })
	if len(r.cfg.Steps) > 0 {
		r.background.Go(func() { r.disturb(r.ctx) })
		if r.cfg.Part.Of < 2 {
			r.background.Go(func() { r.cfg.act(r.ctx, r.start, &r.troubles) })
		}
	}
	if r.cfg.Think == Events {
		for i := range r.dialer.viewers {
			r.background.Go(func() { r.listen(&r.dialer.viewers[i]) })
		}
	}
	series := new(series)
	emit = series.emitting(emit)

	attack, results := r.attack, new(resultLog)
	switch r.cfg.Engine {
	case Raw:
		attack = r.attackRaw
	case Decoder:
		attack = r.attackDecoding
	}
	ended := attack(results)
	interrupted := r.sampleUntilEnd(ctx, emit)
	watched := time.Since(r.start)
	if !interrupted {
		watched = r.cfg.Duration
	}
	r.recorder.closeScreens(r.start.Add(watched))
	if !interrupted {
		r.drain(ctx, ended)
	}
	r.cancel(errRunOver)
	r.background.Wait()

	last := r.recorder.roll(time.Now(), watched)
	last.Final = true
	emit(last)
	out := r.outcome(watched, processCPU()-cpu)
	out.Series = series.samples
	if interrupted {
		out.Interrupted = true
		return out, fmt.Errorf("run load: %w", context.Cause(ctx))
	}
	if results.err != nil {
		return out, fmt.Errorf("write results: %w", results.err)
	}
	return out, nil
}

// attack lets Vegeta make the polls. The channel is closed when all are done and
// their results are logged.
func (r *run) attack(results *resultLog) (ended <-chan struct{}) {
	// Client first: it replaces transport and timeout, and the options for a
	// transport panic on one that is not http.Transport. MaxBody(0) keeps vegeta
	// from collecting bodies; the transport counts them (load-tui 1.1).
	workers := uint64(min(len(r.dialer.viewers), 2*r.cfg.Viewers) + spareWorkers)
	attacker := vegeta.NewAttacker(
		vegeta.Client(&http.Client{Transport: r.transport, CheckRedirect: refuseRedirect}),
		vegeta.MaxBody(0),
		vegeta.Workers(min(workers, vegeta.DefaultWorkers)),
		vegeta.MaxWorkers(workers),
	)
	context.AfterFunc(r.ctx, func() { attacker.Stop() })
	hits := attacker.Attack(
		vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodGet, URL: r.target.String()}),
		&gate{ctx: r.ctx, start: r.start, schedule: r.schedule, ledger: r.ledger, leave: r.leave}, 0, attackName)
	done := make(chan struct{})
	r.background.Go(func() {
		defer close(done)
		*results = logResults(hits, r.ledger, r.cfg.Results)
	})
	return done
}

// attackRaw lets every viewer make its polls by itself.
func (r *run) attackRaw(*resultLog) (ended <-chan struct{}) {
	done := make(chan struct{})
	var polling sync.WaitGroup
	for i := range r.dialer.viewers {
		polling.Go(func() { r.pollRaw(&r.dialer.viewers[i], r.schedule.leaves[i]) })
	}
	r.background.Go(func() {
		defer close(done)
		polling.Wait()
	})
	return done
}

// leave is a viewer's going.
func (r *run) leave(id int32) {
	v := &r.dialer.viewers[id]
	v.left.Store(true)
	if !v.busy.Load() { // else the end of the poll sees that it was the last
		r.dialer.hangUp(v)
	}
}

// sampleUntilEnd emits a sample per second until the watch time is over and
// says whether ctx ended it before.
func (r *run) sampleUntilEnd(ctx context.Context, emit func(Sample)) (interrupted bool) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	end := time.NewTimer(time.Until(r.start.Add(r.cfg.Duration)))
	defer end.Stop()
	next := time.NewTimer(r.untilPhase())
	defer next.Stop()
	for {
		select {
		case <-next.C:
			r.turn(time.Now())
			next.Reset(r.untilPhase())
		case <-ctx.Done():
			return true
		case <-end.C:
			return false
		case now := <-tick.C:
			if at := now.Sub(r.start); at < r.cfg.Duration {
				emit(r.recorder.roll(now, at))
			}
		}
	}
}

// untilPhase is how long it is until the next phase begins.
func (r *run) untilPhase() time.Duration {
	if n := len(r.past); n < len(r.phases) {
		return time.Until(r.start.Add(r.phases[n].At))
	}
	return math.MaxInt64
}

// turn begins the next phase.
func (r *run) turn(now time.Time) {
	before := r.recorder.begin(now)
	at := now.Sub(r.start)
	if n := len(r.past); n > 0 {
		r.past[n-1].Tally, r.past[n-1].To = before, Seconds(at)
	}
	step := r.phases[len(r.past)]
	r.past = append(r.past, phase{Name: step.Name, From: Seconds(at), expect: step.Expect})
}

// drain waits for the polls in flight, but not for ever.
func (r *run) drain(ctx context.Context, ended <-chan struct{}) {
	limit := time.NewTimer(min(drainPeriods*r.cfg.Period, r.cfg.Timeout))
	if r.cfg.Think == LongPoll || r.cfg.Think == Events || r.cfg.Protocol == Stream {
		// They wait for what comes next, which is of no interest any more.
		limit.Reset(0)
	}
	defer limit.Stop()
	select {
	case <-ended:
	case <-limit.C:
	case <-ctx.Done():
	}
}

// close ends whatever is left of the run.
func (r *run) close() {
	r.cancel(errRunOver)
	r.background.Wait()
	r.transport.base.CloseIdleConnections()
	r.dialer.close()
}

// refuseRedirect makes the client hand out a redirect as the answer it is: a
// viewer of a picture URL does not follow one, and each hit stays one request.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// hostHeader is what the viewers ask for, whatever name their connection has.
func (r *run) hostHeader() string { return cmp.Or(r.cfg.Host, r.target.Host) }
