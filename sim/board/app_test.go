package board_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/boardcfg"
	"porthole/internal/console"
	"porthole/internal/devca"
	"porthole/internal/espimage"
	"porthole/internal/event"
	"porthole/internal/netmem"
	"porthole/internal/nvs"
	"porthole/internal/wire"
	"porthole/sim/board"
)

// provisioned is a flash that boots and uploads.
func provisioned(t testing.TB, change func(*boardcfg.Config)) []byte {
	t.Helper()
	cfg := bootConfig
	if change != nil {
		change(&cfg)
	}
	i := newBootImage(t).bootloader().table(espimage.ArduinoTable()).app(0x10000, "1.0.0").put(0xE000, espimage.BootSlot(0).Bytes(), nil)
	s := new(nvs.Store)
	if err := cfg.Write(s); err != nil {
		t.Fatal(err)
	}
	b, err := s.Bytes(0x5000)
	return i.put(espimage.NVSOffset, b, err).flash
}

// stamped is a source whose frames say when they were captured.
type stamped struct{ begun time.Time }

func (s stamped) Next(_ context.Context, seq uint64, _ time.Duration) ([]byte, error) {
	text := time.Since(s.begun).String()
	return append(append([]byte{0xFF, 0xD8}, text...), 0xFF, 0xD9), nil
}

func (s stamped) captured(t testing.TB, frame []byte) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(string(bytes.TrimSuffix(bytes.TrimPrefix(frame, []byte{0xFF, 0xD8}), []byte{0xFF, 0xD9})))
	if err != nil {
		t.Fatalf("frame %q: %v", frame, err)
	}
	return d
}

// frameSink is a server in memory that keeps frames with the time they arrived.
type frameSink struct {
	l      *netmem.Listener
	srv    *http.Server
	wg     sync.WaitGroup
	mu     sync.Mutex
	frames [][]byte
	tokens map[string]bool
	status int
}

func newFrameSink(t testing.TB, tlsConfig *tls.Config) *frameSink {
	s := &frameSink{l: netmem.Listen(), tokens: map[string]bool{}, status: 200}
	s.srv = &http.Server{Handler: s, TLSConfig: tlsConfig, ErrorLog: log.New(io.Discard, "", 0)}
	s.wg.Go(func() {
		if tlsConfig != nil {
			_ = s.srv.ServeTLS(s.l, "", "")
		} else {
			_ = s.srv.Serve(s.l)
		}
	})
	return s
}

func (s *frameSink) close() {
	s.srv.Close()
	s.wg.Wait()
}

func (s *frameSink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	frame, err := wire.ReadUpload(r.Body, r.Header.Get("Content-Type"), wire.FieldName, wire.ReadLimits{})
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status == 200 {
		s.frames = append(s.frames, frame)
	}
	s.tokens[r.Header.Get("Authorization")] = true
	w.WriteHeader(s.status)
}

func (s *frameSink) take() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.frames
	s.frames = nil
	return f
}

func (s *frameSink) setStatus(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = n
}

// world is the usual network, leading to the sink.
func (s *frameSink) world() *board.World {
	w := harbour()
	w.Dial = s.l.DialContext
	return w
}

// From flash to frame: the provisioned board finds its network and its server,
// trusts what it was told to trust, and its frames arrive.
func TestFlashToFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, err := devca.New()
		if err != nil {
			t.Fatal(err)
		}
		cert, err := ca.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		srv := newFrameSink(t, &tls.Config{Certificates: []tls.Certificate{cert}})
		defer srv.close()
		bus := new(event.Bus)
		src := stamped{time.Now()}
		r := bootBoard(t, provisioned(t, func(c *boardcfg.Config) { c.CA, c.Host = string(ca.RootPEM), "localhost" }),
			board.FirmwareConfig{Network: srv.world(), Uploads: board.CameraUploads(src, bus, "door")}, board.Chip{})
		defer r.close()
		r.run(20 * time.Second)
		frames := srv.take()
		if len(frames) < 8 {
			t.Fatalf("%d frames in 20 s; console:\n%s", len(frames), r.run(0))
		}
		last := time.Duration(0)
		for _, f := range frames {
			if c := src.captured(t, f); c <= last {
				t.Errorf("captured at %v after %v", c, last)
			} else {
				last = c
			}
		}
		ok := r.lines(console.UploadOK)
		if len(ok) != len(frames) || ok[len(ok)-1].Seq != uint64(len(frames)) || ok[0].HTTP != 200 {
			t.Errorf("%d frames, console says %+v", len(frames), ok)
		}
		if !srv.tokens["Bearer tok-1"] && !srv.tokens["tok-1"] {
			t.Errorf("authorization %v", srv.tokens)
		}
		if snap := bus.Snapshot(); snap == (event.Snapshot{}) {
			t.Error("the bus heard nothing")
		}
		if strings.Contains(r.run(0), "correct horse") || strings.Contains(r.run(0), "tok-1") {
			t.Error("the console shows a secret")
		}
	})
}

// No frame captured after the cut is accepted before the release; afterwards
// frames come within five seconds and are newer.
func TestShutoff(t *testing.T) {
	const seed = 5
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		at := time.Duration(rng.Int64N(int64(8 * time.Second)))
		synctest.Test(t, func(t *testing.T) {
			srv := newFrameSink(t, nil)
			defer srv.close()
			src := stamped{time.Now()}
			r := bootBoard(t, provisioned(t, nil), board.FirmwareConfig{
				Network: srv.world(), Uploads: board.CameraUploads(src, nil, ""),
			}, board.Chip{})
			defer r.close()
			r.run(at)
			r.b.SetShutoff(true)
			cut := time.Since(src.begun)
			r.run(9 * time.Second)
			for _, f := range srv.take() {
				if c := src.captured(t, f); c > cut {
					t.Errorf("cut at %v: frame captured at %v was accepted", cut, c)
				}
			}
			if n := len(r.lines(console.CameraOff)); n != 1 {
				t.Errorf("cut at %v: %d camera off lines", cut, n)
			}
			r.b.SetShutoff(false)
			release := time.Since(src.begun)
			r.run(5 * time.Second)
			frames := srv.take()
			if len(frames) == 0 {
				t.Fatalf("cut at %v: no frame within 5 s of the release\n%s", cut, r.run(0))
			}
			if c := src.captured(t, frames[0]); c < release {
				t.Errorf("cut at %v: first frame is from %v, release was at %v", cut, c, release)
			}
			if len(r.lines(console.CameraOn)) != 1 || len(r.lines(console.CameraReady)) == 0 {
				t.Errorf("cut at %v: console\n%s", cut, r.run(0))
			}
		})
	}
}

// A flicker shorter than the camera's start leaves it off, then on once.
func TestShutoffFlicker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := bootBoard(t, provisioned(t, nil), board.FirmwareConfig{Uploads: twoFrames}, board.Chip{})
		defer r.close()
		r.run(5 * time.Second)
		for range 20 {
			r.b.SetShutoff(true)
			r.b.SetShutoff(false)
			time.Sleep(50 * time.Millisecond)
		}
		before := len(r.lines(console.UploadOK))
		ready := len(r.lines(console.CameraReady))
		r.run(3 * time.Second)
		if len(r.lines(console.CameraReady)) != ready+1 || len(r.lines(console.UploadOK)) <= before {
			t.Errorf("console\n%s", r.run(0))
		}
	})
}

func TestWiFi(t *testing.T) {
	for _, c := range []struct {
		name   string
		points []board.AccessPoint
		reason int
	}{
		{"not there", nil, console.WiFiNoAP},
		{"wrong password", []board.AccessPoint{{SSID: "Harbour", Password: "battery staple"}}, console.WiFiHandshake},
		{"open", []board.AccessPoint{{SSID: "Harbour"}}, console.WiFiAuthFail},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := bootBoard(t, provisioned(t, nil), board.FirmwareConfig{Network: &board.World{Points: c.points}}, board.Chip{})
				defer r.close()
				r.run(10 * time.Minute)
				failed, retries := r.lines(console.WiFiFailed), r.lines(console.Retry)
				if len(failed) < 10 || len(failed) > 60 {
					t.Fatalf("%d failures in 10 minutes", len(failed))
				}
				for _, l := range failed {
					if l.Reason != c.reason || l.SSID != "Harbour" {
						t.Errorf("line %+v", l)
					}
				}
				for i, l := range retries {
					if l.Wait > time.Minute || l.Wait > time.Second<<i || l.What != "wifi" || l.Attempt != i+1 {
						t.Errorf("retry %d: %+v", i, l)
					}
				}
			})
		})
	}
	t.Run("lost and found", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := harbour()
			r := bootBoard(t, provisioned(t, nil), board.FirmwareConfig{Network: w, Uploads: twoFrames}, board.Chip{})
			defer r.close()
			r.run(5 * time.Second)
			w.SetDown("Harbour", true)
			r.run(30 * time.Second)
			n := len(r.lines(console.UploadOK))
			if l := r.lines(console.WiFiLost); len(l) != 1 || l[0].Reason != console.WiFiBeaconTimeout || l[0].SSID != "Harbour" {
				t.Errorf("lost: %+v", l)
			}
			r.run(time.Minute)
			if len(r.lines(console.UploadOK)) != n {
				t.Error("uploads went on without a network")
			}
			w.SetDown("Harbour", false)
			r.run(2 * time.Minute)
			attempts := r.lines(console.WiFiJoining)
			if len(attempts) < 3 || attempts[0].Attempt != 1 || attempts[1].Attempt != 1 || attempts[2].Attempt != 2 {
				t.Errorf("attempts %+v", attempts)
			}
			if len(r.lines(console.WiFiJoined)) != 2 || len(r.lines(console.UploadOK)) <= n {
				t.Errorf("console\n%s", r.run(0))
			}
		})
	})
}

// What goes wrong on the way to the server is told as a board tells it.
func TestUploadErrors(t *testing.T) {
	ca, err := devca.New()
	if err != nil {
		t.Fatal(err)
	}
	other, err := devca.New()
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) { return nil, err }
	}
	for _, c := range []struct {
		name   string
		secure bool
		dial   func(context.Context, string, string) (net.Conn, error)
		status int
		line   console.Line
		core   string
	}{
		{name: "name", dial: refuse(&net.DNSError{Err: "no such host", Name: "camera.test"}), status: 200,
			line: console.Line{Why: "DNS Failed for camera.test"}, core: "hostByName(): DNS Failed for camera.test"},
		{name: "refused", dial: refuse(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), status: 200,
			line: console.Line{Code: 111}, core: `socket error on fd 48, errno: 111, "Connection refused"`},
		{name: "unreachable", dial: refuse(&net.OpError{Op: "dial", Err: syscall.ENETUNREACH}), status: 200,
			line: console.Line{Code: 118}, core: `errno: 118, "Host is unreachable"`},
		{name: "certificate", secure: true, status: 200,
			line: console.Line{Code: -9984, Why: console.TLSText(-9984)}, core: "(-9984) X509 - Certificate verification failed"},
		{name: "token", status: 401, line: console.Line{HTTP: 401}},
		{name: "server", status: 503, line: console.Line{HTTP: 503}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tlsConfig *tls.Config
				if c.secure {
					cert, err := other.Certificate()
					if err != nil {
						t.Fatal(err)
					}
					tlsConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
				}
				srv := newFrameSink(t, tlsConfig)
				defer srv.close()
				srv.setStatus(c.status)
				w := srv.world()
				if c.dial != nil {
					w.Dial = c.dial
				}
				flash := provisioned(t, func(cfg *boardcfg.Config) {
					if c.secure {
						cfg.CA, cfg.Host = string(ca.RootPEM), "localhost"
					}
				})
				r := bootBoard(t, flash, board.FirmwareConfig{Network: w, Uploads: board.CameraUploads(stamped{time.Now()}, nil, "")}, board.Chip{})
				defer r.close()
				text := r.run(8 * time.Second)
				failed := r.lines(console.UploadFailed)
				if len(failed) < 2 {
					t.Fatalf("%d failures; console\n%s", len(failed), text)
				}
				l := failed[0]
				if l.Code != c.line.Code || l.HTTP != c.line.HTTP || c.line.Why != "" && l.Why != c.line.Why || l.Seq != 1 {
					t.Errorf("line %+v, want %+v", l, c.line)
				}
				if !strings.Contains(text, c.core) {
					t.Errorf("console lacks %q:\n%s", c.core, text)
				}
				if len(r.lines(console.UploadOK)) != 0 || len(srv.take()) != 0 {
					t.Error("a frame was accepted")
				}
			})
		})
	}
}

// A camera that fails is tried again, one that has no more frames is not.
func TestCameraEnds(t *testing.T) {
	for _, c := range []struct {
		err  error
		runs int // at least
	}{{errors.New("ribbon cable"), 3}, {nil, 1}} {
		synctest.Test(t, func(t *testing.T) {
			var runs int
			r := bootBoard(t, provisioned(t, nil), board.FirmwareConfig{
				Uploads: func(context.Context, board.Upload) error { runs++; return c.err },
			}, board.Chip{})
			defer r.close()
			r.run(time.Minute)
			if c.err == nil && runs != 1 || runs < c.runs {
				t.Errorf("error %v: %d runs", c.err, runs)
			}
			if l := r.lines(console.CameraError); len(l) != 0 && (c.err == nil || l[0].Why != "ribbon cable") || (c.err != nil) != (len(l) > 0) {
				t.Errorf("error %v: lines %+v", c.err, l)
			}
		})
	}
}

// A camera that does not answer is tried again until it does.
func TestCameraFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := bootBoard(t, provisioned(t, nil), board.FirmwareConfig{Uploads: twoFrames, Plain: true}, board.Chip{})
		defer r.close()
		r.fw.SetCameraFault(console.CameraNotFound)
		text := r.run(time.Minute)
		if !strings.Contains(text, "camera: Camera probe failed with error 0x105(ESP_ERR_NOT_FOUND)\r\n") ||
			len(r.lines(console.CameraError)) < 3 || len(r.lines(console.UploadOK)) != 0 {
			t.Errorf("console\n%s", text)
		}
		r.fw.SetCameraFault(0)
		r.run(2 * time.Minute)
		if len(r.lines(console.UploadOK)) == 0 {
			t.Errorf("console\n%s", r.run(0))
		}
	})
}

// A configuration written while the board runs is taken up without a reset.
func TestConfigWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newBootImage(t).bootloader().table(espimage.ArduinoTable()).app(0x10000, "1.0.0")
		cfg := board.FirmwareConfig{Network: harbour(), Uploads: twoFrames}
		fw, err := board.NewFirmware(cfg)
		if err != nil {
			t.Fatal(err)
		}
		nvsImage := newBootImage(t).config(nil).flash[espimage.NVSOffset:][:0x5000]
		r := bootProgram(t, i.flash, fw, board.ProgramFunc(func(ctx context.Context, m *board.Machine) {
			writer := time.AfterFunc(10*time.Second, func() {
				if err := m.Program(espimage.NVSOffset, nvsImage); err != nil {
					t.Error(err)
				}
			})
			defer writer.Stop()
			fw.Boot(ctx, m)
		}))
		defer r.close()
		r.run(2 * time.Minute)
		if len(r.lines(console.Boot)) != 1 || len(r.lines(console.ConfigRead)) != 1 || len(r.lines(console.UploadOK)) == 0 {
			t.Errorf("console\n%s", r.run(0))
		}
	})
}
