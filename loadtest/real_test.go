package loadtest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"porthole/internal/scene"
)

// pictureFeed serves stamped JPEGs over real sockets: a new one per period.
type pictureFeed struct {
	start   time.Time
	period  time.Duration
	frames  [][]byte
	hellos  atomic.Int64
	strange atomic.Value // the first request that no browser would send
}

func newPictureFeed(tb testing.TB, period time.Duration, frames, pad int) *pictureFeed {
	tb.Helper()
	f := &pictureFeed{start: time.Now(), period: period}
	for n := range frames {
		g := image.NewGray(image.Rect(0, 0, 320, 240))
		for i := range g.Pix {
			g.Pix[i] = byte(128 + n)
		}
		scene.DrawStamp(g, scene.Stamp{Seq: uint64(n), Captured: f.start.Add(time.Duration(n) * period)})
		var b bytes.Buffer
		if err := jpeg.Encode(&b, g, &jpeg.Options{Quality: 80}); err != nil {
			tb.Fatal(err)
		}
		// Bytes after EOI: ignored by the decoder, they make up the usual size.
		f.frames = append(f.frames, append(b.Bytes(), make([]byte, max(0, pad-b.Len()))...))
	}
	return f
}

func (f *pictureFeed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Vegeta") {
			f.strange.CompareAndSwap(nil, name+" header")
		}
	}
	if strings.Contains(r.Host, "invalid") {
		f.strange.CompareAndSwap(nil, "host "+r.Host)
	}
	n := min(int(time.Since(f.start)/f.period), len(f.frames)-1)
	etag := fmt.Sprintf(`"%x"`, n*7919)
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Write(f.frames[n])
}

// serveTLS starts the feed and returns its address and the client's side.
func (f *pictureFeed) serveTLS(tb testing.TB) (address string, client *tls.Config) {
	tb.Helper()
	srv := httptest.NewUnstartedServer(f)
	srv.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if h.ServerName != "example.com" {
			f.strange.CompareAndSwap(nil, "server name "+h.ServerName)
		}
		f.hellos.Add(1)
		return nil, nil
	}}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // some tests break handshakes
	srv.StartTLS()
	tb.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return srv.Listener.Addr().String(), &tls.Config{RootCAs: roots}
}

// TestRealSockets runs a crowd over TLS against pictures that are really
// decoded. Times are only bounded from below: a loaded machine may be slow.
func TestRealSockets(t *testing.T) {
	f := newPictureFeed(t, 200*time.Millisecond, 60, 0)
	address, client := f.serveTLS(t)
	before := openDescriptors()
	r, err := Run(t.Context(), Config{
		TargetURL: "https://" + address + "/latest", Host: "example.com", TLS: client,
		Viewers: 40, Duration: 2 * time.Second, Period: 200 * time.Millisecond, Conditional: true, InProcess: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	balance(t, r)
	if s := f.strange.Load(); s != nil {
		t.Errorf("the server saw the %s", s)
	}
	if n := f.hellos.Load(); n != 40 || r.Connections.Opened != 40 {
		t.Errorf("%d handshakes, %d connections, want 40 of each", n, r.Connections.Opened)
	}
	if r.Polls.Errors+r.Polls.Unfinished > 0 || r.Polls.New == 0 || r.Pictures.Distinct < 3 || r.Pictures.Unstamped > 0 {
		t.Errorf("polls %+v, pictures %+v, failures %v", r.Polls, r.Pictures, r.Failures)
	}
	if r.Pictures.Backward > 0 || r.Age.Mean < Seconds(100*time.Millisecond) {
		t.Errorf("mean age %v, %d backward", r.Age.Mean, r.Pictures.Backward)
	}
	if r.Traffic.WireIn < r.Traffic.Body || r.Generator.CPU <= 0 || r.Generator.Hiccup.Count == 0 {
		t.Errorf("traffic %+v, generator %+v", r.Traffic, r.Generator)
	}
	// Our ends are closed; the server's go a moment later.
	if now := openDescriptors(); now > before+40 {
		t.Errorf("%d descriptors are open, %d were before", now, before)
	}
}

func TestRefusedConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	r, err := Run(t.Context(), Config{TargetURL: "http://" + ln.Addr().String() + "/", Viewers: 5,
		Duration: 100 * time.Millisecond, Period: 50 * time.Millisecond}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failures["refused"] == 0 || r.Polls.New > 0 || r.Unseen != 5 {
		t.Errorf("failures %v, polls %+v, unseen %d", r.Failures, r.Polls, r.Unseen)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	f := newPictureFeed(t, time.Second, 1, 0)
	address, _ := f.serveTLS(t)
	r, err := Run(t.Context(), Config{TargetURL: "https://" + address + "/", Host: "example.com", Viewers: 2,
		Duration: 200 * time.Millisecond, Period: 100 * time.Millisecond, TLS: &tls.Config{RootCAs: x509.NewCertPool()}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failures["tls"] == 0 || r.Polls.Errors != r.Failures["tls"] {
		t.Errorf("failures %v", r.Failures)
	}
}

func TestReadPicture(t *testing.T) {
	f := newPictureFeed(t, time.Second, 2, 30_000)
	s, err := ReadPicture(f.frames[1])
	if err != nil || s.Seq != 1 || !s.Captured.Equal(f.start.Add(time.Second).Truncate(time.Millisecond)) {
		t.Errorf("stamp %+v, error %v; started %v", s, err, f.start)
	}
	plain := new(bytes.Buffer)
	if err := jpeg.Encode(plain, image.NewGray(image.Rect(0, 0, 320, 240)), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPicture(plain.Bytes()); err != ErrNoStamp {
		t.Errorf("picture without a stamp: %v", err)
	}
	huge := bytes.Replace(plain.Bytes(), []byte{0xff, 0xc0, 0, 11, 8, 0, 240, 1, 64}, []byte{0xff, 0xc0, 0, 11, 8, 0xff, 0xdc, 0xff, 0xdc}, 1)
	if _, err := ReadPicture(huge); err == nil || !strings.Contains(err.Error(), "65500x65500 pixels are too many") {
		t.Errorf("65500x65500: %v", err)
	}
	for _, b := range [][]byte{nil, []byte("hello"), f.frames[0][:500]} {
		if _, err := ReadPicture(b); err == nil || err == ErrNoStamp {
			t.Errorf("%d bytes that are no picture: %v", len(b), err)
		}
	}
}

// TestMeasureCrowd is the run that make loadtest does, against a trivial
// server in the same process. It measures, and judges nothing but errors:
// PORTHOLE_MEASURE=1 go test -run MeasureCrowd -v ./loadtest
func TestMeasureCrowd(t *testing.T) {
	if os.Getenv("PORTHOLE_MEASURE") == "" {
		t.Skip("set PORTHOLE_MEASURE=1 to measure for 10 s")
	}
	f := newPictureFeed(t, 2*time.Second, 10, 25_000)
	address, client := f.serveTLS(t)
	objectives, err := ParseObjectives(DefaultObjectives + ", missed < 1%, first_frame.p95 < 500ms")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), Config{
		TargetURL: "https://" + address + "/latest", Host: "example.com", TLS: client, Viewers: 150,
		Duration: 10 * time.Second, Conditional: true, InProcess: true, Objectives: objectives,
	}, func(s Sample) {
		t.Logf("%v: %d viewers, %d polls, %d new, %d unchanged, %d errors, age p50 %v p99 %v, latency p99 %v",
			s.At, s.Viewers, s.Polls, s.New, s.Unchanged, s.Errors, s.AgeP50, s.AgeP99, s.LatencyP99)
	})
	if err != nil {
		t.Fatal(err)
	}
	r.WriteText(t.Output())
	if r.Polls.Errors > 0 {
		t.Errorf("failures %v", r.Failures)
	}
}
