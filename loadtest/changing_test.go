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
	"sync/atomic"
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
		var done atomic.Bool
		c.do = func(asked, n int) deed {
			if n != picture || done.Swap(true) {
				return send
			}
			return d
		}
	}
}
