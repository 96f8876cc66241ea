package server

import (
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"porthole/internal/event"
	"porthole/server/delta"
	"porthole/server/picture"
)

// ways are how viewers leave.
var ways = []struct {
	name  string
	leave func(w *watcher)
}{
	{"closes", func(w *watcher) { w.Close() }},
	{"resets", func(w *watcher) {
		w.socket().SetLinger(0)
		w.socket().Close()
	}},
	{"says no more, and reads on", func(w *watcher) {
		w.Conn.(interface{ CloseWrite() error }).CloseWrite()
		io.Copy(io.Discard, w)
		w.Close()
	}},
	{"asks again, and closes", func(w *watcher) {
		io.WriteString(w, getStream)
		w.Close()
	}},
	{"closes below TLS", func(w *watcher) { w.socket().Close() }},
}

func (w *watcher) socket() *net.TCPConn {
	if c, ok := w.Conn.(*tls.Conn); ok {
		return c.NetConn().(*net.TCPConn)
	}
	return w.Conn.(*net.TCPConn)
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestStreamLeaks: viewers cost no goroutine, and nothing is left of them
// however they leave.
func TestStreamLeaks(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS ", secure), func(t *testing.T) {
			c := gather(t, secure, publicTimes, nil)
			c.show()
			gone := func() bool { st := c.Stats(); return st.Connections == 0 && st.Streams == 0 }
			c.Server.show(&picture.Result{JPEG: []byte("jpeg")}, event.FrameInfo{})
			came := 0
			come := func() *watcher {
				if came++; came%2 == 1 {
					w := c.watch(c.ours(), getEvents)
					w.head()
					w.chunk()
					return w
				}
				w := c.watch(c.ours(), getStream)
				w.head()
				w.catchUp(c.deltas.feed)
				return w
			}
			come().Close() // opens what stays open
			eventually(t, "the first viewer has left", gone)
			goroutines, open := runtime.NumGoroutine(), descriptors(t)
			const each = 10
			var there []*watcher
			for range each * len(ways) {
				there = append(there, come())
			}
			eventually(t, "no goroutine for a viewer", func() bool { return runtime.NumGoroutine() <= goroutines+each/2 })
			if st := c.Stats(); st.Streams != int64(len(there)) || st.Connections != st.Streams || st.Viewers != st.Streams || c.byHTTP.Load() != 0 {
				t.Errorf("%d streams, %d viewers, %d connections of %d; %d by net/http", st.Streams, st.Viewers, st.Connections, len(there), c.byHTTP.Load())
			}
			if n := c.Stats().Requests[ClassStream]; n != uint64(len(there))+1 {
				t.Errorf("%d requests for a stream are counted", n)
			}
			for i, w := range there {
				ways[i%len(ways)].leave(w)
			}
			eventually(t, "all have left", gone)
			eventually(t, "no descriptor is left", func() bool { return descriptors(t) <= open })
			eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
		})
	}
}

// dialNarrow opens a connection to a listener that takes next to nothing before
// it is read from.
func dialNarrow(t *testing.T, to net.Addr) net.Conn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1) })
	}}
	conn, err := d.DialContext(t.Context(), "tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// narrow is a viewer whose socket takes next to nothing before it is read from.
func (c *crowd) narrow() *watcher {
	conn := c.ours()
	to := conn.RemoteAddr()
	conn.Close()
	narrow := dialNarrow(c.t, to)
	if _, ok := conn.(*tls.Conn); ok {
		narrow = tls.Client(narrow, &tls.Config{InsecureSkipVerify: true})
	}
	w := c.watch(narrow, getStream)
	w.head()
	w.catchUp(c.deltas.feed)
	return w
}

// TestStreamSlow: whoever does not read holds up nobody, and gets a key instead
// of everything missed when he does.
func TestStreamSlow(t *testing.T) {
	// One loop, so that the one who does not read is served before the other.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS ", secure), func(t *testing.T) {
			c := gather(t, secure, publicTimes, nil)
			c.show()
			late, quick := c.narrow(), c.watch(c.ours(), getStream)
			defer late.Close()
			defer quick.Close()
			quick.head()
			quick.catchUp(c.deltas.feed)
			// The other one is served before this one, until it takes no more.
			stuck := 0
			for shown := 0; stuck <= farBehind; shown++ {
				if shown == 1000 {
					t.Fatal("one who did not read was sent everything")
				}
				sent, got := c.Stats().Bytes, quick.bytes
				c.show()
				quick.catchUp(c.deltas.feed)
				if c.Stats().Bytes-sent == uint64(quick.bytes-got) {
					stuck++
				} else {
					stuck = 0
				}
			}
			if quick.keys != 1 {
				t.Errorf("one who read everything got %d keys", quick.keys)
			}
			late.catchUp(c.deltas.feed)
			if late.keys != 2 {
				t.Errorf("one who did not read got %d keys, want the first and one more", late.keys)
			}
			for range 3 {
				c.show()
				late.catchUp(c.deltas.feed)
			}
			if late.keys != 2 {
				t.Errorf("one who reads again got %d keys", late.keys)
			}
		})
	}
}

// TestStreamStuck: whoever never reads is ended.
func TestStreamStuck(t *testing.T) {
	ts := publicTimes
	ts.write = 10 * time.Millisecond
	c := gather(t, true, ts, nil)
	c.show()
	w := c.narrow()
	defer w.Close()
	eventually(t, "who never reads is ended", func() bool {
		c.show()
		return c.Stats().Slow == 1 && c.Stats().Streams == 0
	})
}

// TestStreamViewers: any interleaving of joins, pauses, losses, words out of
// place and restarts shows right pictures only, each checked by its checksum.
func TestStreamViewers(t *testing.T) {
	seeds := uint64(2)
	if os.Getenv("PORTHOLE_LONG") != "" {
		seeds = 200
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 9))
		secure := seed%2 == 1
		c := gather(t, secure, publicTimes, nil)
		c.show()
		viewers := make([]*watcher, 8)
		come := func(i int, again bool) {
			request, before := getStream, viewers[i]
			var known delta.Decoder
			var name string
			if before != nil {
				ways[r.IntN(len(ways))].leave(before)
				if seq, ok := before.dec.Seq(); again && ok {
					request = fmt.Sprintf("GET /stream?from=%s&seq=%d HTTP/1.1\r\nHost: a\r\n\r\n", before.name, seq)
					known, name = before.dec, before.name
				}
			}
			viewers[i] = c.watch(c.ours(), request)
			viewers[i].dec, viewers[i].name = known, name
			viewers[i].head()
		}
		deaf := make(map[*watcher]bool)
		for range 30 {
			if r.IntN(25) == 0 {
				c.stop() // and all who were there come again
				c = gather(t, secure, publicTimes, nil)
				c.show()
				for i := range viewers {
					come(i, true)
				}
			}
			for range 1 + r.IntN(3)*r.IntN(6) {
				c.show()
			}
			for i := range viewers {
				switch r.IntN(10) {
				case 0:
					come(i, false)
				case 1:
					come(i, true)
				case 2, 3: // does not read
				case 4:
					if w := viewers[i]; w != nil {
						io.WriteString(w, getStream[:r.IntN(len(getStream))])
						deaf[w] = true
					}
				default:
					if viewers[i] == nil {
						come(i, false)
					}
					viewers[i].catchUp(c.deltas.feed)
				}
			}
		}
		viewers = slices.DeleteFunc(viewers, func(w *watcher) bool { return w == nil })
		for _, w := range viewers {
			w.catchUp(c.deltas.feed)
		}
		if n := c.byHTTP.Load(); n != 0 {
			t.Errorf("seed %d: %d streams by net/http", seed, n)
		}
		c.stop()
		for _, w := range viewers {
			b, err := io.ReadAll(w.r)
			if !deaf[w] && (string(b) != string(lastChunk) || err != nil) {
				t.Errorf("seed %d: ended with %q, %v", seed, b, err)
			}
			w.Close()
		}
		if st := c.deltas.feed.Stats(); st.Mismatches != 0 {
			t.Errorf("seed %d: %+v", seed, st)
		}
	}
}

// TestStreamNoKey: a viewer for whom no key can be made is left to net/http with
// what it asked; one that had pictures before, or said something else meanwhile,
// ends.
func TestStreamNoKey(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(lp *loop, l *link)
		handed bool
	}{
		{"new", func(*loop, *link) {}, true},
		{"spoke", func(lp *loop, l *link) { lp.answer(l, []byte("x"), time.Now()) }, false},
		{"left", func(lp *loop, l *link) { lp.finish(l) }, false},
		{"fell behind", func(_ *loop, l *link) { l.viewer.ask = nil }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := testServer(t, withDeltas)
			c := &crowd{t: t, Server: s}
			c.show()
			f := newFront(s, publicTimes)
			lp, err := newLoop(f)
			if err != nil {
				t.Fatal(err)
			}
			ln := listen(t)
			defer ln.Close()
			peer := dialTCP(t, ln)
			defer peer.Close()
			conn, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			l := &link{front: f, conn: conn}
			if !f.limit.enter(l.addr) || !lp.add(l, time.Minute) {
				t.Fatal("not parked")
			}
			request := []byte(getStream)
			if ok, err := lp.answer(l, request, time.Now()); !ok || err != nil {
				t.Fatalf("%v, %v", ok, err)
			}
			clear(request) // it was the loop's
			if len(f.keys) != 1 {
				t.Fatal("no key was asked for")
			}
			tt.change(lp, l)
			f.failedKeys.Add(1)
			lp.ring(frameStream)
			lp.heed()
			lp.pushAll(time.Now())
			if n := s.Stats().Streams; n != 0 || len(lp.viewers[frameStream]) != 0 {
				t.Errorf("%d streams, %d viewers", n, len(lp.viewers[frameStream]))
			}
			if tt.handed {
				got := make([]byte, 100)
				h := <-f.toHTTP
				if n, err := h.Read(got); string(got[:n]) != getStream {
					t.Errorf("net/http reads %q, %v", got[:n], err)
				}
				h.Close()
			}
			f.work.Wait()
			if !l.ended.Load() {
				t.Error("the connection is open")
			}
			lp.close()
			lp.ring(frameStream) // of a loop that ended: nothing
		})
	}
}
