package server

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"image/jpeg"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"porthole/internal/browsertest"
	"porthole/internal/scene"
	"porthole/server/delta"
	"porthole/server/picture"
	"porthole/server/web"
)

// sees opens a page of a server in a browser; the page has one feed and keeps
// the picture of each frame event, and what it cost.
func sees(t *testing.T, handler http.Handler, script string) *browsertest.Tab {
	t.Helper()
	return embeds(t, listens(t), handler, "", script)
}

// listens returns a listener for embeds, whose address is that of the page's site.
func listens(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// embeds is like sees for a page whose feed is that of another origin; "" is its own.
func embeds(t *testing.T, ln net.Listener, handler http.Handler, origin, script string) *browsertest.Tab {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, r *http.Request) {
		// The strictest policy that a site can have.
		w.Header().Set("Content-Security-Policy", fmt.Sprintf("default-src 'none'; script-src %[1]s; connect-src %[1]s; require-trusted-types-for 'script'", cmp.Or(origin, "'self'")))
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><title>a site</title><script type="module" src="%s/feed.js"></script><porthole-feed></porthole-feed>`, origin)
	})
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	srv := &http.Server{Handler: mux}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	tab := browsertest.New(t).Tab(t, 900, 700)
	tab.Script(`addEventListener('DOMContentLoaded', () => document.documentElement.style.setProperty('--porthole-fade', '1ms'));
		globalThis.seen = []; globalThis.broken = 0;
		addEventListener('unreachable', () => broken++, true);
		addEventListener('frame', (e) => {
			const canvas = e.target.shadowRoot.querySelector('canvas.front');
			const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
			copy.drawImage(canvas, 0, 0);
			const rgba = copy.getImageData(0, 0, canvas.width, canvas.height).data;
			let s = '';
			for (let i = 0; i < rgba.length; i += 4) s += String.fromCharCode(rgba[i]);
			seen.push([btoa(s), e.detail.bytes]);
		}, true);` + script)
	tab.Open("http://" + ln.Addr().String() + "/page")
	return tab
}

// compareCanvas shows n pictures one by one, each after the one before was seen, and
// compares what the canvas has with what a decoder here makes of the stream.
func compareCanvas(t *testing.T, s *Server, open func() *browsertest.Tab, n int) {
	t.Helper()
	room := smallScene(t)
	var dec delta.Decoder
	var line *delta.Line
	var tab *browsertest.Tab
	for i := range n {
		s.showScene(room, i)
		if line == nil {
			var err error
			if line, err = s.deltas.feed.Join(); err != nil {
				t.Fatal(err)
			}
			if err := dec.Decode(line.Key.Data); err != nil {
				t.Fatal(err)
			}
			tab = open()
		} else {
			seq, _ := dec.Seq()
			frames, _, _ := line.Next(seq)
			for _, f := range frames {
				if err := dec.Decode(f.Data); err != nil {
					t.Fatal(err)
				}
			}
		}
		tab.Wait(fmt.Sprintf(`seen.length > %d`, i))
		pix, err := base64.StdEncoding.DecodeString(browsertest.Eval[string](tab, fmt.Sprintf(`seen[%d][0]`, i)))
		if err != nil {
			t.Fatal(err)
		}
		want := dec.Picture()
		if !bytes.Equal(pix, want.Pix) {
			different := 0
			for k, v := range want.Pix {
				if k >= len(pix) || pix[k] != v {
					different++
				}
			}
			t.Fatalf("frame %d: %d of %d pixels on the canvas differ", i, different, len(want.Pix))
		}
	}
	if p := tab.Problems(); len(p) > 0 {
		t.Errorf("problems: %q", p)
	}
}

func smallScene(t *testing.T) *scene.Scene {
	t.Helper()
	room, err := scene.New(scene.Config{Seed: 3, Width: 160, Height: 120})
	if err != nil {
		t.Fatal(err)
	}
	return room
}

// showScene shows the i-th picture of a room.
func (s *Server) showScene(room *scene.Scene, i int) {
	g := room.Picture(uint64(i+1), time.Duration(i)*2*time.Second)
	var b bytes.Buffer
	jpeg.Encode(&b, g, nil)
	s.showRendition(&picture.Result{JPEG: b.Bytes(), Picture: g, Width: g.Rect.Dx(), Height: g.Rect.Dy()})
}

// showRendition is what the director does with a picture.
func (s *Server) showRendition(r *picture.Result) {
	old := s.current.Swap(s.publisher.publish(r, time.Now()))
	if old != nil {
		close(old.replaced)
	}
	s.showDeltas(r.Picture)
}

// heldBack is a page's view of a proxy that holds streams back: nothing comes of them.
// The watch over the first request, which is for a stream, ends sooner than others.
const heldBack = `const real = fetch; globalThis.fetch = (url, o) => String(url).includes('/stream')
	? new Promise((_, no) => { o.signal.onabort = () => no(o.signal.reason); }) : real(url, o);
	const timer = setTimeout; let watches = 0;
	globalThis.setTimeout = (f, ms) => timer(f, ms < 10000 || !watches++ ? Math.min(ms, 500) : ms);`

// TestCanvas: what a visitor sees is, pixel for pixel, what the decoder here
// makes of the same frames, over the stream and over names.
func TestCanvas(t *testing.T) {
	for _, test := range []struct {
		name, script string
		frames       int
	}{
		{"stream", "", 60},
		{"names", heldBack, 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := testServer(t, func(c *Config) { c.Deltas, c.Period = DeltasStrict, time.Second })
			compareCanvas(t, s, func() *browsertest.Tab { return sees(t, s, test.script) }, test.frames)
		})
	}
}

// TestEmbedded: a page of another origin sees the same, if it is one of those that
// may; any other sees nothing and is told that there is nothing.
func TestEmbedded(t *testing.T) {
	for _, test := range []struct {
		name, script string
		listed       bool
		frames       int
	}{
		{"stream", "", true, 10},
		{"names", heldBack, true, 4},
		{"stranger", "", false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			ours, page := listens(t), listens(t)
			s := testServer(t, func(c *Config) {
				c.Deltas, c.Period = DeltasStrict, time.Second
				c.Serving.Origins = []string{"https://www.example.org"}
				if test.listed {
					c.Serving.Origins = append(c.Serving.Origins, "http://"+page.Addr().String())
				}
			})
			srv := &http.Server{Handler: s}
			go srv.Serve(ours)
			t.Cleanup(func() { srv.Close() })
			open := func() *browsertest.Tab {
				return embeds(t, page, http.NotFoundHandler(), "http://"+ours.Addr().String(), test.script)
			}
			if test.listed {
				compareCanvas(t, s, open, test.frames)
				return
			}
			s.showScene(smallScene(t), 0)
			tab := open()
			tab.Wait(`broken === 1`)
			if n := browsertest.Eval[int](tab, `seen.length`); n > 0 {
				t.Errorf("%d pictures on a site that is not on the list", n)
			}
		})
	}
}

// TestLostName: a frame that is no longer there under its name costs a key at once,
// and no word; nor is a proxy that holds streams back an outage.
func TestLostName(t *testing.T) {
	s := testServer(t, func(c *Config) { c.Deltas, c.Period = DeltasStrict, time.Second })
	room := smallScene(t)
	s.showScene(room, 0)
	tab := sees(t, s, heldBack+`
		globalThis.asked = []; globalThis.lose = false;
		const through = fetch; globalThis.fetch = (url, o) => {
			const [, kind] = /\/([dk])\//.exec(url) ?? [];
			if (kind) asked.push(kind);
			if (kind === 'd' && lose) {
				lose = false;
				url += 'A'; // a name of nothing
			}
			return through(url, o);
		};`)
	tab.Wait(`seen.length === 1`)
	s.showScene(room, 1)
	tab.Wait(`seen.length === 2`)
	tab.Run(`lose = true`)
	s.showScene(room, 2)
	tab.Wait(`seen.length === 3`)
	s.showScene(room, 3)
	tab.Wait(`seen.length === 4`)
	if got := browsertest.Eval[string](tab, `asked.join('')`); got != "kddkddd" {
		t.Errorf("asked for %s, want kddkddd: a key, a change, the lost one, the key again and what came since, a change", got)
	}
	if n := browsertest.Eval[int](tab, `broken`); n > 0 {
		t.Errorf("%d unreachable events", n)
	}
}

// TestOutage: where names fail as well as the stream, it was no proxy, and a stream
// is what comes next.
func TestOutage(t *testing.T) {
	s := testServer(t, func(c *Config) { c.Deltas, c.Period = DeltasStrict, time.Second })
	room := smallScene(t)
	s.showScene(room, 0)
	tab := sees(t, s, heldBack+`
		globalThis.asked = [];
		const held = fetch; globalThis.fetch = (url, o) => {
			asked.push(/[^/?]*(?=\?|$)/.exec(url)[0]);
			if (asked.length < 2) return held(url, o);
			return asked.length < 3 ? Promise.reject(new TypeError('no network')) : real(url, o);
		};`)
	tab.Wait(`seen.length === 1`)
	s.showScene(room, 1)
	tab.Wait(`seen.length === 2`)
	if got := browsertest.Eval[string](tab, `asked.join()`); got != "stream,head,stream" {
		t.Errorf("asked for %s, want stream, head, stream", got)
	}
	if n := browsertest.Eval[int](tab, `broken`); n != 1 {
		t.Errorf("%d unreachable events, want 1", n)
	}
}

// TestNoUse: with the third broken frame in a row changes have no use, and whole
// pictures are shown.
func TestNoUse(t *testing.T) {
	var streams atomic.Int32
	mux := http.NewServeMux()
	web.Register(mux)
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		streams.Add(1)
		w.Write([]byte{0, 0, 0, 1, 0x20})
	})
	mux.HandleFunc("GET /latest", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/jpeg")
		jpeg.Encode(w, smallScene(t).Picture(1, 0), nil)
	})
	tab := sees(t, mux, `const timer = setTimeout; globalThis.setTimeout = (f, ms) => timer(f, ms > 5000 ? ms : ms / 50);`)
	tab.Wait(`seen.length > 1`)
	if n := streams.Load(); n != 3 {
		t.Errorf("%d streams, want 3", n)
	}
	if n := browsertest.Eval[int](tab, `broken`); n != 1 {
		t.Errorf("%d unreachable events, want 1", n)
	}
}

// TestBrokenFrame: a frame that makes another picture than it says, or builds on
// another one, costs the visitor a key at once, and no word; the second in a row is
// an outage.
func TestBrokenFrame(t *testing.T) {
	feed, room := delta.NewFeed(delta.Strict, 1), smallScene(t)
	feed.Show(room.Picture(1, 0))
	line, err := feed.Join()
	if err != nil {
		t.Fatal(err)
	}
	key := line.Key.Data
	feed.Show(room.Picture(2, 2*time.Second))
	var dec delta.Decoder
	if err := dec.Decode(key); err != nil {
		t.Fatal(err)
	}
	seq, _ := dec.Seq()
	frames, _, _ := line.Next(seq)
	change := frames[0].Data
	damaged := func(at int, bits byte) []byte {
		b := bytes.Clone(change)
		b[at] ^= bits
		return b
	}
	for _, test := range []struct {
		name    string
		broken  []byte
		times   int // streams that have it
		outages int
	}{
		{"checksum", damaged(6, 1), 1, 0},
		{"gap", damaged(5, 1), 1, 0},
		{"version", damaged(0, 0x30), 1, 0},
		{"twice", damaged(6, 1), 2, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var mu sync.Mutex
			var asked []string
			mux := http.NewServeMux()
			web.Register(mux)
			mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				asked = append(asked, r.URL.RawQuery)
				n := len(asked)
				mu.Unlock()
				list := [][]byte{key, change}
				switch {
				case n == 1:
					list = [][]byte{key, test.broken}
				case n <= test.times:
					list = [][]byte{test.broken}
				}
				for _, b := range list {
					w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
					w.Write(b)
				}
				http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})
			// A wait of a second or more is one for a failure here: none may come before the key does.
			tab := sees(t, mux, `globalThis.waits = 0; const timer = setTimeout;
				globalThis.setTimeout = (f, ms) => {
					if (ms >= 500 && ms <= 2000) waits++;
					return timer(f, ms >= 500 && ms <= 2000 ? 1 : ms);
				};`)
			tab.Wait(`seen.length > 0`)
			tab.Wait(`'` + base64.StdEncoding.EncodeToString(pixels(t, key, change)) + `' === seen.at(-1)[0]`)
			if got := browsertest.Eval[int](tab, `broken`); got != test.outages {
				t.Errorf("%d unreachable events, want %d", got, test.outages)
			}
			if got := browsertest.Eval[int](tab, `waits`); got != test.outages {
				t.Errorf("%d back-offs, want %d", got, test.outages)
			}
			mu.Lock()
			defer mu.Unlock()
			if want := make([]string, test.times+1); !slices.Equal(asked, want) {
				t.Errorf("streams asked for with %q, want %q: from the start each time", asked, want)
			}
		})
	}
}

// pixels is the picture that the frames make.
func pixels(t *testing.T, frames ...[]byte) []byte {
	t.Helper()
	var dec delta.Decoder
	for _, b := range frames {
		if err := dec.Decode(b); err != nil {
			t.Fatal(err)
		}
	}
	return dec.Picture().Pix
}
