package loadtest

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"porthole/internal/netmem"
)

// textStamp reads the pictures of a scripted feed: "seq capturedUnixMilli".
func textStamp(b []byte) (Stamp, error) {
	var seq uint64
	var ms int64
	if n, _ := fmt.Sscanf(string(b), "%d %d", &seq, &ms); n != 2 {
		return Stamp{}, fmt.Errorf("read picture %.20q: not a text stamp", b)
	}
	return Stamp{Seq: seq, Captured: time.UnixMilli(ms)}, nil
}

// still is a picture of a scripted feed.
type still struct {
	seq      uint64
	captured time.Duration // since the start
}

// script says what the feed shows at an instant and how long the answer takes.
type script func(at time.Duration) (pic still, delay time.Duration)

// steady is a camera with a frame per period, each visible after delay.
func steady(period, delay time.Duration) script {
	return func(at time.Duration) (still, time.Duration) {
		n := max(at-delay, 0) / period
		return still{uint64(n), n * period}, 0
	}
}

// answered is one answer of the feed, as the server saw it.
type answered struct {
	asked, done time.Duration
	pic         still
	code        int
}

// feed is a scripted server that logs what it did, by connection.
type feed struct {
	script script
	start  time.Time
	status func(at time.Duration) int // nil = 200

	mu    sync.Mutex
	log   map[int64][]answered
	ended []time.Duration // connections
	conns atomic.Int64
}

// connState is told of connections.
func (f *feed) connState(_ net.Conn, state http.ConnState) {
	if state == http.StateClosed {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ended = append(f.ended, time.Since(f.start))
	}
}

// hungUp returns when connections ended before an instant, in order.
func (f *feed) hungUp(before time.Duration) (list []time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, at := range f.ended {
		if at < before {
			list = append(list, at)
		}
	}
	slices.Sort(list)
	return list
}

type connKey struct{}

func newFeed(s script) *feed {
	return &feed{script: s, start: time.Now(), log: make(map[int64][]answered)}
}

func (f *feed) connContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, f.conns.Add(1))
}

func (f *feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := time.Since(f.start)
	pic, delay := f.script(at)
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
	}
	etag := fmt.Sprintf(`"%d.%d"`, pic.seq, pic.captured)
	w.Header().Set("ETag", etag)
	code := http.StatusOK
	if f.status != nil {
		code = f.status(at)
	}
	if code == http.StatusOK && r.Header.Get("If-None-Match") == etag {
		code = http.StatusNotModified
	}
	id := r.Context().Value(connKey{}).(int64)
	f.mu.Lock()
	f.log[id] = append(f.log[id], answered{at, time.Since(f.start), pic, code})
	f.mu.Unlock()
	w.WriteHeader(code)
	if code == http.StatusOK {
		fmt.Fprintf(w, "%d %d", pic.seq, f.start.Add(pic.captured).UnixMilli())
	}
}

// play runs c against f in memory. It is called in a synctest bubble, so a
// goroutine that outlives the run fails the test.
func play(t *testing.T, f *feed, c Config) *Report {
	t.Helper()
	ln := netmem.Listen()
	srv := &http.Server{Handler: f, ConnContext: f.connContext}
	var serving sync.WaitGroup
	serving.Go(func() { srv.Serve(ln) })
	defer serving.Wait()
	defer srv.Close()
	c.TargetURL, c.Dial = "http://feed.example/latest", ln.DialContext
	if c.Stamper == nil {
		c.Stamper = textStamp
	}
	rep, err := Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	balance(t, rep)
	return rep
}

// playStays runs viewers with known stays against f in memory, in a bubble.
func playStays(t *testing.T, f http.Handler, c Config, stays []stay) *outcome {
	t.Helper()
	ln := netmem.Listen()
	srv := &http.Server{Handler: f}
	if feed, ok := f.(*feed); ok {
		srv.ConnContext, srv.ConnState = feed.connContext, feed.connState
	}
	var serving sync.WaitGroup
	serving.Go(func() { srv.Serve(ln) })
	defer serving.Wait()
	defer srv.Close()
	c.Dial = ln.DialContext
	target, err := c.check()
	if err != nil {
		t.Fatal(err)
	}
	out, err := runOn(t.Context(), c, target, stays, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// throughJSON is what a coordinator gets of an agent's outcome.
func throughJSON(t *testing.T, o *outcome) *outcome {
	t.Helper()
	var back outcome
	if err := json.Unmarshal([]byte(marshal(t, o)), &back); err != nil {
		t.Fatal(err)
	}
	return &back
}

// balance checks the sums that every report keeps.
func balance(t *testing.T, r *Report) {
	t.Helper()
	p := r.Polls
	if p.Due != p.Sent+p.Skipped {
		t.Errorf("due %d != sent %d + skipped %d", p.Due, p.Sent, p.Skipped)
	}
	if sum := p.New + p.Unchanged + p.Errors + p.Unfinished; p.Sent != sum {
		t.Errorf("sent %d != new %d + unchanged %d + errors %d + unfinished %d", p.Sent, p.New, p.Unchanged, p.Errors, p.Unfinished)
	}
	if p.New != r.Pictures.Shown+r.Pictures.Duplicates {
		t.Errorf("new %d != shown %d + duplicates %d", p.New, r.Pictures.Shown, r.Pictures.Duplicates)
	}
	w := r.Watch
	if w.Total != w.Blank+w.Live+w.Loop+w.Unknown {
		t.Errorf("watch time %v is not the sum of its parts %v %v %v %v", w.Total, w.Blank, w.Live, w.Loop, w.Unknown)
	}
	var failed uint64
	for _, n := range r.Failures {
		failed += n
	}
	if failed != p.Errors {
		t.Errorf("classes of errors add up to %d, want %d", failed, p.Errors)
	}
	if r.Latency.Count != p.Sent || r.Service.Count != p.Sent {
		t.Errorf("latency of %d, service of %d, want both of %d polls", r.Latency.Count, r.Service.Count, p.Sent)
	}
}

// oracle is what a run against f must have measured, computed from the server's
// log by brute force: every millisecond of every viewer's time is looked at.
type oracle struct {
	ages     []time.Duration // per millisecond of watching with a picture
	frozen   time.Duration
	blank    time.Duration
	missed   uint64
	backward uint64
	shown    uint64
	polls    uint64
	fresh    uint64
	service  time.Duration // longest
}

func (f *feed) oracle(end, freezeAfter time.Duration) (o oracle) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, log := range f.log {
		join := log[0].asked
		var shows []answered
		for _, a := range log {
			o.polls++
			o.service = max(o.service, a.done-a.asked)
			if a.code != http.StatusOK {
				continue
			}
			o.fresh++
			if n := len(shows); n == 0 {
				o.shown++
			} else if last := shows[n-1].pic.seq; a.pic.seq != last {
				o.shown++
				switch {
				case a.pic.seq < last:
					o.backward++
				default:
					o.missed += a.pic.seq - last - 1
				}
			}
			shows = append(shows, a)
		}
		next := 0
		for at := join; at < end; at += time.Millisecond {
			for next < len(shows) && shows[next].done <= at {
				next++
			}
			if next == 0 {
				o.blank += time.Millisecond
				continue
			}
			age := at - shows[next-1].pic.captured
			o.ages = append(o.ages, age)
			if age >= freezeAfter {
				o.frozen += time.Millisecond
			}
		}
	}
	slices.Sort(o.ages)
	return o
}

func (o oracle) quantile(q float64) time.Duration {
	return o.ages[min(int(q*float64(len(o.ages))), len(o.ages)-1)]
}

func (o oracle) mean() time.Duration {
	var sum time.Duration
	for _, a := range o.ages {
		sum += a
	}
	return sum / time.Duration(len(o.ages))
}

// near fails unless got is within tolerance of want.
func near(t *testing.T, what string, got Seconds, want, tolerance time.Duration) {
	t.Helper()
	if d := (time.Duration(got) - want).Abs(); d > tolerance {
		t.Errorf("%s is %v, want %v within %v", what, time.Duration(got), want, tolerance)
	}
}

func nearShare(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s is %v, want %v within %v", what, got, want, tolerance)
	}
}

// restarting is a feed in memory that can be stopped and started again.
type restarting struct {
	feed *feed
	down error // what a dial gets meanwhile

	mu      sync.Mutex
	ln      *netmem.Listener
	srv     *http.Server
	serving sync.WaitGroup
}

func (r *restarting) up() {
	r.mu.Lock()
	defer r.mu.Unlock()
	ln := netmem.Listen()
	srv := &http.Server{Handler: r.feed, ConnContext: r.feed.connContext}
	r.ln, r.srv = ln, srv
	r.serving.Go(func() { srv.Serve(ln) })
}

func (r *restarting) stop() {
	r.mu.Lock()
	srv := r.srv
	r.ln = nil
	r.mu.Unlock()
	srv.Close()
	r.serving.Wait()
}

func (r *restarting) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	r.mu.Lock()
	ln := r.ln
	r.mu.Unlock()
	if ln == nil {
		return nil, r.down
	}
	return ln.DialContext(ctx, network, addr)
}
