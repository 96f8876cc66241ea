package loadtest

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"image"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/scene"
	"porthole/server/delta"
)

// deed is what a scripted feed does with a picture on one stream, or with one
// question for a frame.
type deed int

const (
	send  deed = iota
	lose       // it is not sent
	spoil      // its checksum is wrong
	end        // it is sent, and the stream ends
	rekey      // a key is sent in its place; of a frame: it is gone
)

// changing is a scripted feed of changes: picture n is taken at n periods and
// public lag later, the first one at once. It speaks the protocol by itself, from
// docs/delta-format.md, and codes with the server's encoder.
type changing struct {
	start       time.Time
	period, lag time.Duration
	// do says what becomes of picture n on a stream: the how manyth of the feed it
	// is, from 0. Of frames by their names: of the how manyth question.
	do      func(asked, n int) deed
	restart int // picture before which the server starts anew; 0 is never
	resize  int // picture from which pictures have another size; 0 is never
	still   bool
	crowd   bool // somebody else comes with every picture

	mu    sync.Mutex
	feed  *delta.Feed
	base  uint32        // number of picture 0
	anew  chan struct{} // closed at the restart
	asked int
	bytes int // of bodies
}

// quick are settings for pictures that are quickly coded, however well.
var quick = delta.Settings{Coarse: 16, Fine: 23, CoarseWeight: 30, FineWeight: 30, Search: 1}

const firstNumber = 1<<32 - 4 // numbers wrap within every test

func newChanging(period time.Duration) *changing {
	c := &changing{start: time.Now(), period: period, lag: 100 * time.Millisecond, base: firstNumber, anew: make(chan struct{})}
	c.do = func(int, int) deed { return send }
	c.feed = delta.NewFeed(quick, c.base-1)
	c.show(0)
	return c
}

// show makes picture n public.
func (c *changing) show(n int) {
	size := image.Pt(128, 64)
	if c.resize > 0 && n >= c.resize {
		size = image.Pt(144, 64)
	}
	g := image.NewGray(image.Rectangle{Max: size})
	for i := range g.Pix {
		g.Pix[i] = byte(100 + i%7)
		if !c.still {
			g.Pix[i] += byte(n % 5 * i / 1000)
		}
	}
	scene.DrawStamp(g, scene.Stamp{Seq: uint64(n), Captured: c.start.Add(time.Duration(n) * c.period)})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.restart > 0 && n == c.restart {
		close(c.anew)
		c.base += 1 << 30
		c.feed = delta.NewFeed(quick, c.base+uint32(n)-1)
	}
	if err := c.feed.Show(g); err != nil {
		panic(err)
	}
	if c.crowd {
		if _, err := c.feed.Join(); err != nil {
			panic(err)
		}
	}
}

// run shows pictures until ctx ends.
func (c *changing) run(ctx context.Context) {
	for n := 1; sleepUntil(ctx, c.start.Add(time.Duration(n)*c.period+c.lag)) == nil; n++ {
		c.show(n)
	}
}

func (c *changing) state() (feed *delta.Feed, base uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.feed, c.base
}

func (c *changing) write(w http.ResponseWriter, b []byte) {
	c.mu.Lock()
	c.bytes += len(b)
	c.mu.Unlock()
	w.Write(b)
}

// name of a frame: its line and number, in the clear.
func name(base uint32, line uint64, seq uint32) (b [16]byte) {
	binary.BigEndian.PutUint32(b[:], base)
	binary.BigEndian.PutUint64(b[4:], line)
	binary.BigEndian.PutUint32(b[12:], seq)
	return b
}

func (c *changing) open(text string) (line *delta.Line, seq uint32) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	feed, base := c.state()
	if err != nil || len(b) != 16 || binary.BigEndian.Uint32(b) != base {
		return nil, 0
	}
	line, _ = feed.Line(binary.BigEndian.Uint64(b[4:]))
	return line, binary.BigEndian.Uint32(b[12:])
}

func (c *changing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/stream":
		c.stream(w, r)
	case "/head":
		c.head(w, r)
	default:
		c.frame(w, r)
	}
}

func record(data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
}

func spoiled(frame []byte) []byte {
	b := append([]byte(nil), frame...)
	at := 12 - 6
	if b[0]&1 == 1 {
		at = 15 - 6
	}
	b[at] ^= 1
	return b
}

func (c *changing) stream(w http.ResponseWriter, r *http.Request) {
	feed, base := c.state()
	c.mu.Lock()
	asked := c.asked
	c.asked++
	c.mu.Unlock()
	line, _ := c.open(r.URL.Query().Get("from"))
	number, _ := strconv.ParseUint(r.URL.Query().Get("seq"), 10, 32)
	seq := uint32(number)
	var out []byte
	join := func() {
		line, _ = feed.Join()
		n := name(base, line.Number, 0)
		out = append(append(out, record(append([]byte{'L'}, n[:]...))...), record(line.Key.Data)...)
		seq = line.Key.Seq
	}
	if line == nil {
		join()
	} else {
		out = record(nil)
	}
	for {
		frames, wait, ok := line.Next(seq)
		if !ok {
			join()
			frames, wait, _ = line.Next(seq)
		}
		last := false
		for _, f := range frames {
			switch c.do(asked, int(f.Seq-base)) {
			case send:
				out = append(out, f.Record...)
			case spoil:
				out = append(out, record(spoiled(f.Data))...)
			case end:
				out, last = append(out, f.Record...), true
			case rekey:
				join()
			}
			seq = f.Seq
		}
		c.write(w, out)
		out = nil
		w.(http.Flusher).Flush()
		if last {
			return
		}
		anew := c.anew
		if _, now := c.state(); now != firstNumber {
			anew = nil
		}
		select {
		case <-wait:
		case <-anew:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (c *changing) head(w http.ResponseWriter, r *http.Request) {
	feed, base := c.state()
	seq, changed := feed.Seq()
	if after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 32); err == nil && uint32(after) == seq {
		wait, _ := strconv.Atoi(r.URL.Query().Get("wait"))
		select {
		case <-changed:
		case <-time.After(time.Duration(wait) * time.Second):
		case <-r.Context().Done():
			return
		}
		seq, _ = feed.Seq()
	}
	line, _ := feed.Join()
	n := name(base, line.Number, line.Key.Seq)
	etag := fmt.Sprintf(`W/"%d-%d"`, seq, line.Number)
	w.Header().Set("Etag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	c.write(w, fmt.Appendf(nil, "%d 1000 %s\n", seq, base64.RawURLEncoding.EncodeToString(n[:])))
}

func (c *changing) frame(w http.ResponseWriter, r *http.Request) {
	_, base := c.state()
	line, seq := c.open(r.URL.Path[3:])
	c.mu.Lock()
	asked := c.asked
	c.asked++
	c.mu.Unlock()
	if line == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	f, ok := line.Frame(seq)
	do := c.do(asked, int(seq-base))
	if !ok || do == rekey {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	n := name(base, line.Number, seq+1)
	data := f.Data
	if do == spoil {
		data = spoiled(data)
	}
	c.write(w, append(n[:], data...))
}

// only makes a deed of one picture, on the first stream, or of the first
// question for it.
func only(d deed, picture int) func(*changing) {
	return func(c *changing) {
		done := false
		c.do = func(asked, n int) deed {
			if n != picture || done {
				return send
			}
			done = true
			return d
		}
	}
}

// TestChanges: viewers of scripted feeds for 20 s. Picture n is taken at 2n s and
// public at 2n + 0.1 s; expectations are computed by hand.
func TestChanges(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	alone := []stay{{}}
	for _, tt := range []struct {
		name     string
		script   func(*changing)
		config   Config
		stays    []stay
		polls    Polls
		failures map[string]uint64
		changes  Changes // without bytes
		streams  *Streams
		missed   uint64
		age      time.Duration // the highest
		first    time.Duration // picture, the longest
	}{
		{name: "a stream", config: Config{Protocol: Stream}, stays: []stay{{}, {join: 500 * ms}},
			// Pictures 0 to 9 each.
			polls:   Polls{New: 20},
			changes: Changes{Keys: 2, Deltas: 18}, streams: &Streams{Opened: 2}, age: 2100 * ms},
		{name: "a stream, joined in the middle of a line", config: Config{Protocol: Stream}, stays: []stay{{}, {join: 6500 * ms}},
			// The second viewer gets key 0 and changes 1 to 3 at once, and shows 3.
			polls:   Polls{New: 10 + 7},
			changes: Changes{Keys: 2, Deltas: 18}, streams: &Streams{Opened: 2}, age: 2100 * ms},
		{name: "a stream, left early", config: Config{Protocol: Stream}, stays: []stay{{}, {500 * ms, 9 * s}},
			polls:   Polls{New: 10 + 5},
			changes: Changes{Keys: 2, Deltas: 13}, streams: &Streams{Opened: 2}, age: 2100 * ms},
		{name: "a lost change", script: only(lose, 5), config: Config{Protocol: Stream}, stays: alone,
			// 5 is missing when 6 comes, at 12.1 s: 4 is on the screen until then.
			polls: Polls{New: 9, Errors: 1}, failures: map[string]uint64{"gap": 1},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 4 + 3, Gaps: 1, Lost: 1},
			streams: &Streams{Opened: 2, Ended: 1}, missed: 1, age: 4100 * ms},
		{name: "a wrong checksum", script: only(spoil, 5), config: Config{Protocol: Stream}, stays: alone,
			// Mended at once.
			polls: Polls{New: 10, Errors: 1}, failures: map[string]uint64{"checksum": 1},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 4 + 4, Mismatches: 1},
			streams: &Streams{Opened: 2, Ended: 1}, age: 2100 * ms},
		{name: "a stream that ends", script: only(end, 5), config: Config{Protocol: Stream}, stays: alone,
			// At 10.1 s; taken up at 12.1 s, with the change that comes just then.
			polls: Polls{New: 10, Errors: 1}, failures: map[string]uint64{"closed": 1},
			changes: Changes{Keys: 1, Deltas: 9},
			streams: &Streams{Opened: 2, Ended: 1, Resumed: 1}, age: 2100 * ms},
		{name: "a stream that ends and is taken up late", script: only(end, 5), config: Config{Protocol: Stream, Period: 3 * s}, stays: alone,
			// Taken up at 13.1 s, with picture 6, which is 1.1 s old; 5 was there until
			// then.
			polls: Polls{New: 10, Errors: 1}, failures: map[string]uint64{"closed": 1},
			changes: Changes{Keys: 1, Deltas: 9},
			streams: &Streams{Opened: 2, Ended: 1, Resumed: 1}, age: 3100 * ms},
		{name: "a server that starts anew", script: func(c *changing) { c.restart = 6 }, config: Config{Protocol: Stream, Period: time.Second}, stays: alone,
			// The stream ends at 12.1 s; at 13.1 s comes key 6 of the new numbers.
			polls: Polls{New: 10, Errors: 1}, failures: map[string]uint64{"closed": 1},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 5 + 3},
			streams: &Streams{Opened: 2, Ended: 1}, age: 3100 * ms},
		{name: "a key for nothing", script: only(rekey, 5), config: Config{Protocol: Stream}, stays: alone,
			polls:   Polls{New: 10},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 4 + 4}, streams: &Streams{Opened: 1}, age: 2100 * ms},
		{name: "a server that drops to a key", script: func(c *changing) {
			c.do = func(_, n int) deed { return map[int]deed{3: lose, 4: lose, 5: lose, 6: rekey}[n] }
		}, config: Config{Protocol: Stream}, stays: alone,
			// 2 is on the screen until key 6 at 12.1 s.
			polls:   Polls{New: 3 + 4},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 2 + 3, Gaps: 1, Lost: 3}, streams: &Streams{Opened: 1}, missed: 3, age: 8100 * ms},
		{name: "pictures of another size", script: func(c *changing) { c.resize = 5 }, config: Config{Protocol: Stream}, stays: alone,
			polls:   Polls{New: 10},
			changes: Changes{Keys: 2, Planned: 1, Deltas: 4 + 4}, streams: &Streams{Opened: 1}, age: 2100 * ms},

		{name: "fetched", config: Config{Protocol: Delta, Conditional: true}, stays: []stay{{}, {join: 500 * ms}},
			// The first polls at 0, 2, …: 0, nothing, 1, … 8. The second at 0.5, 2.5, …:
			// 0 to 9.
			polls:   Polls{New: 9 + 10, Unchanged: 1},
			changes: Changes{Keys: 2, Deltas: 8 + 9}, age: 4 * s},
		{name: "fetched without ETags", config: Config{Protocol: Delta}, stays: alone,
			polls:   Polls{New: 9, Unchanged: 1},
			changes: Changes{Keys: 1, Deltas: 8}, age: 4 * s},
		{name: "fetched in long polls", config: Config{Protocol: Delta, Think: LongPoll}, stays: alone,
			polls:   Polls{New: 10, Unfinished: 1},
			changes: Changes{Keys: 1, Deltas: 9}, age: 2100 * ms},
		{name: "fetched a period after the answer", config: Config{Protocol: Delta, Think: After}, stays: alone,
			polls:   Polls{New: 9, Unchanged: 1},
			changes: Changes{Keys: 1, Deltas: 8}, age: 4 * s},
		{name: "a frame that is gone", script: only(rekey, 5), config: Config{Protocol: Delta}, stays: alone,
			// The poll at 12 s: key 4 of a younger line, and 5.
			polls:   Polls{New: 9, Unchanged: 1},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 8}, age: 4 * s},
		{name: "a frame with a wrong checksum", script: only(spoil, 5), config: Config{Protocol: Delta}, stays: alone,
			// The poll at 12 s fails; that at 14 s takes key 4, 5 and 6.
			polls: Polls{New: 8, Unchanged: 1, Errors: 1}, failures: map[string]uint64{"checksum": 1},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 4 + 4, Mismatches: 1}, missed: 1, age: 6 * s},
		{name: "polls far apart", config: Config{Protocol: Delta, Period: 6 * s, FreezeAfter: 4 * s}, stays: alone,
			// At 0, 6, 12 and 18 s: pictures 0, 2, 5, 8; what is between is decoded and
			// not shown.
			polls:   Polls{New: 4},
			changes: Changes{Keys: 1, Deltas: 8}, missed: 1 + 2 + 2, age: 8 * s},
		{name: "pictures of another size, fetched", script: func(c *changing) { c.resize = 5 }, config: Config{Protocol: Delta}, stays: alone,
			polls:   Polls{New: 9, Unchanged: 1},
			changes: Changes{Keys: 2, Planned: 1, Deltas: 4 + 3}, age: 4 * s},
		{name: "a server that starts anew, fetched", script: func(c *changing) { c.restart = 6 }, config: Config{Protocol: Delta}, stays: alone,
			polls:   Polls{New: 9, Unchanged: 1},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 5 + 2}, age: 4 * s},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newChanging(2 * s)
				if tt.script != nil {
					tt.script(f)
				}
				r := playChanges(t, f, tt.config, tt.stays)
				want := tt.polls
				want.Sent = want.New + want.Unchanged + want.Errors + want.Unfinished
				want.Due = want.Sent
				if r.Polls != want {
					t.Errorf("polls %+v, want %+v", r.Polls, want)
				}
				if fmt.Sprint(r.Failures) != fmt.Sprint(tt.failures) {
					t.Errorf("failures %v, want %v", r.Failures, tt.failures)
				}
				got := *r.Changes
				got.KeyBytes, got.DeltaBytes = 0, 0
				if got != tt.changes {
					t.Errorf("changes %+v, want %+v", got, tt.changes)
				}
				if (r.Streams == nil) != (tt.streams == nil) || r.Streams != nil && *r.Streams != *tt.streams {
					t.Errorf("streams %+v, want %+v", r.Streams, tt.streams)
				}
				if r.Pictures.Missed != tt.missed || r.Pictures.Duplicates+r.Pictures.Backward+r.Pictures.Restarts != 0 {
					t.Errorf("pictures %+v, want %d missed", r.Pictures, tt.missed)
				}
				near(t, "age max", r.Age.Max, tt.age, 0)
				near(t, "first frame", r.FirstFrame.Max, tt.first, 0)
				if r.Traffic.Body != uint64(f.bytes) {
					t.Errorf("%d bytes of bodies, the server sent %d", r.Traffic.Body, f.bytes)
				}
			})
		})
	}
}

// playChanges runs viewers with known stays against f for 20 s, in a bubble.
func playChanges(t *testing.T, f *changing, c Config, stays []stay) *Report {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.run(ctx) })
	defer running.Wait()
	defer cancel()
	setDefault(&c.Duration, 20*time.Second)
	c.TargetURL = "http://feed.example/latest"
	c = c.withDefaults()
	c.Viewers = len(stays)
	r := playStays(t, f, c, stays).report(c)
	balance(t, r)
	return r
}

// TestBrokenChanges: a server whose changes are all wrong shows its keys and
// nothing else, and gets a question a period, not a storm.
func TestBrokenChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newChanging(2 * time.Second)
		f.do = func(int, int) deed { return spoil }
		r := playChanges(t, f, Config{Protocol: Stream, Period: 1300 * time.Millisecond}, []stay{{}})
		c := r.Changes
		if n := r.Streams.Opened; n < 12 || n > 14 || c.Keys != n || c.Refetches != n-1 || c.Mismatches != r.Polls.Errors || r.Streams.Ended != c.Mismatches || c.Deltas != 0 {
			t.Errorf("%+v, changes %+v, polls %+v", r.Streams, c, r.Polls)
		}
		if r.Failures["checksum"] != r.Polls.Errors {
			t.Errorf("failures %v", r.Failures)
		}
	})
}

// TestPlannedKeys: a line lives for 128 pictures. A key in place of picture 128
// is nobody's fault, one a picture sooner repairs something.
func TestPlannedKeys(t *testing.T) {
	for at, want := range map[int]Changes{127: {Keys: 2, Refetches: 1, Deltas: 138}, 128: {Keys: 2, Planned: 1, Deltas: 138}} {
		synctest.Test(t, func(t *testing.T) {
			const ms = time.Millisecond
			f := newChanging(100 * ms)
			f.lag, f.still = 30*ms, true
			only(rekey, at)(f)
			r := playChanges(t, f, Config{Protocol: Stream, Period: 100 * ms, Duration: 14 * time.Second}, []stay{{join: 50 * ms}})
			c := *r.Changes
			c.KeyBytes, c.DeltaBytes = 0, 0
			if c != want || r.Polls.Errors != 0 || r.Pictures.Missed != 0 || r.Polls.New != 140 {
				t.Errorf("at %d: changes %+v, want %+v; polls %+v, pictures %+v", at, c, want, r.Polls, r.Pictures)
			}
		})
	}
}

// TestNoChanges: servers that have none, and servers that speak otherwise.
func TestNoChanges(t *testing.T) {
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, s) }
	}
	code := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(n) }
	}
	silent := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	newest := "7 100 AAAAAAAAAAAAAAAAAAAAAA\n"
	frames := func(answer http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/head" {
				fmt.Fprint(w, newest)
				return
			}
			answer(w, r)
		}
	}
	for _, tt := range []struct {
		name     string
		protocol Protocol
		server   http.HandlerFunc
		class    string
	}{
		{"no changes", Stream, code(http.StatusNoContent), "status"},
		{"not found", Stream, code(http.StatusNotFound), "status-4xx"},
		{"too many", Stream, code(http.StatusServiceUnavailable), "status-5xx"},
		{"nothing at all", Stream, code(http.StatusOK), "closed"},
		{"half a record", Stream, text("\x00\x00\x00\x08half"), "closed"},
		{"a huge record", Stream, text("\xff\xff\xff\xff"), "too-large"},
		{"a page", Stream, text("\x00\x00\x00\x06<html>"), "not-a-picture"},
		{"half a name", Stream, text("\x00\x00\x00\x02Lx"), "not-a-picture"},
		{"a change without a key", Stream, text("\x00\x00\x00\x0c\x10\x00\x00\x00\x07\x01\x00\x00\x00\x00\x10\x17"), "gap"},
		{"no head", Delta, code(http.StatusNotFound), "status-4xx"},
		{"a page as head", Delta, text("<!doctype html><p>Hello</p>"), "protocol"},
		{"a long head", Delta, text(string(make([]byte, 300))), "too-large"},
		{"a key that is gone", Delta, frames(code(http.StatusNotFound)), "status-4xx"},
		{"a key that is a page", Delta, frames(text("<!doctype html><p>Hello</p>")), "not-a-picture"},
		{"half a key", Delta, frames(text("short")), "not-a-picture"},
		{"silence", Stream, silent, "timeout"},
		{"silence for a head", Delta, silent, "timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := Config{TargetURL: "http://feed.example/latest", Protocol: tt.protocol, Duration: 20 * time.Second, Timeout: 3 * time.Second}.withDefaults()
				c.Viewers = 1
				r := playStays(t, tt.server, c, []stay{{}}).report(c)
				balance(t, r)
				if r.Polls.Errors < 4 || r.Polls.Errors > 11 || r.Failures[tt.class] != r.Polls.Errors || r.Polls.New != 0 || r.Unseen != 1 {
					t.Errorf("polls %+v, failures %v, want %s", r.Polls, r.Failures, tt.class)
				}
				if *r.Changes != (Changes{DeltaBytes: r.Changes.DeltaBytes}) {
					t.Errorf("changes %+v", r.Changes)
				}
			})
		})
	}
}

// TestStreamThatFallsSilent: a stream that says nothing for 40 s is given up; one
// that says every 15 s that it lives is not.
func TestStreamThatFallsSilent(t *testing.T) {
	for _, lives := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := Config{TargetURL: "http://feed.example/latest", Protocol: Stream, Duration: 100 * time.Second}.withDefaults()
			c.Viewers = 1
			r := playStays(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for {
					w.Write(record(nil))
					w.(http.Flusher).Flush()
					if !lives {
						<-r.Context().Done()
						return
					}
					select {
					case <-time.After(15 * time.Second):
					case <-r.Context().Done():
						return
					}
				}
			}), c, []stay{{}}).report(c)
			balance(t, r)
			// Opened at 0, 42 and 84 s, each answered by a record at once.
			want := Polls{Due: 5, Sent: 5, Unchanged: 3, Errors: 2}
			if lives {
				want = Polls{Due: 1, Sent: 1, Unchanged: 1}
			}
			if r.Polls != want || r.Failures["timeout"] != want.Errors {
				t.Errorf("lives %v: polls %+v, failures %v", lives, r.Polls, r.Failures)
			}
		})
	}
}

// TestMergeChanges: the parts of a run add up to the run.
func TestMergeChanges(t *testing.T) {
	const s = time.Second
	// No two things happen at one instant.
	stays := []stay{{}, {join: 300 * time.Millisecond}, {700 * time.Millisecond, 11 * s}, {join: 6500 * time.Millisecond}}
	for _, protocol := range []Protocol{Stream, Delta} {
		config := Config{TargetURL: "http://feed.example/latest", Protocol: protocol, Duration: 14 * s, Period: 1530 * time.Millisecond, Conditional: true,
			Steps: []Step{{At: 7 * s, Name: "trouble"}}}.withDefaults()
		part := func(i, of int) (out *outcome) {
			synctest.Test(t, func(t *testing.T) {
				f := newChanging(2 * s)
				f.crowd = true               // whoever else comes changes nothing
				f.do = func(_, n int) deed { // for a moment
					if time.Since(f.start) > time.Duration(n)*f.period+f.lag+1700*time.Millisecond {
						return send
					}
					return map[int]deed{2: spoil, 4: lose}[n]
				}
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { f.run(ctx) })
				defer running.Wait()
				defer cancel()
				c := config
				c.Part = Part{i, of}
				out = playStays(t, f, c, c.part(stays))
			})
			return out
		}
		whole, sum := part(0, 0), throughJSON(t, part(0, 2))
		if err := sum.merge(throughJSON(t, part(1, 2))); err != nil {
			t.Fatal(err)
		}
		config.Viewers = len(stays)
		want, got := whole.report(config), sum.report(config)
		for _, r := range []*Report{want, got} {
			r.Generator, r.Agents, r.Series, r.Verdict, r.Reasons = Generator{}, nil, nil, "", nil
			r.hiccups = new(timing)
			balance(t, r)
			// The mean is of a sum of fractions, whose last digit depends on their order.
			round := func(s Seconds) Seconds { return Seconds(time.Duration(s).Round(time.Microsecond)) }
			r.Age.Mean = round(r.Age.Mean)
			for i := range r.Phases {
				r.Phases[i].Age.Mean = round(r.Phases[i].Age.Mean)
			}
		}
		if w, g := marshal(t, want), marshal(t, got); w != g {
			t.Errorf("%s: the whole\n%s\nthe sum of its parts\n%s", protocol, w, g)
		}
		if want.Changes.Refetches == 0 || want.Changes.Mismatches == 0 || want.Phases[1].Changes.Deltas == 0 {
			t.Errorf("%s: %+v", protocol, want.Changes)
		}
	}
}
