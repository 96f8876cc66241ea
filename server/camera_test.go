package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/event"
	"porthole/internal/wire"
	"porthole/server/picture"
)

// tokensOf returns tokens for "name token" pairs.
func tokensOf(t *testing.T, pairs ...string) *Tokens {
	t.Helper()
	var file strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&file, "%s sha256:%x\n", pairs[i], sha256.Sum256([]byte(pairs[i+1])))
	}
	tokens, err := ReadTokens(strings.NewReader(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// send posts to a path with a token and returns the answer.
func (s *site) send(path, token, contentType string, body []byte, header ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "POST", "http://feed.example"+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, answer := s.do(req)
	synctest.Wait()
	return resp, string(answer)
}

// sequence uploads as the firmware does and returns the sequence number.
func (s *site) sequence(token string, data []byte) uint64 {
	s.t.Helper()
	resp, answer := s.send("/upload", token, "image/jpeg", data, "Accept", wire.ReplyType)
	var r wire.Reply
	if err := json.Unmarshal([]byte(answer), &r); err != nil || resp.StatusCode != 200 {
		s.t.Fatalf("answered %s %q: %v", resp.Status, answer, err)
	}
	return r.Sequence
}

// TestOneCameraIsPublic: frames of others are kept for the private side, and
// reach nobody.
func TestOneCameraIsPublic(t *testing.T) {
	for _, tt := range []struct{ name, camera, public, other string }{
		{"the first", "", "porch-token", "desk-token"},
		{"the one named", "desk", "desk-token", "porch-token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := testServer(t, func(c *Config) {
					c.Tokens = tokensOf(t, "porch", "porch-token", "desk", "desk-token")
					c.Ingest.Camera = tt.camera
				})
				s := start(t, srv)
				synctest.Wait()
				if n := s.sequence(tt.other, shot(50)); n != 1 {
					t.Errorf("first frame of a camera is number %d", n)
				}
				if s.Truth().Mode != event.Loop || s.shown() != 1 {
					t.Error("a frame of a camera that is not public was shown")
				}
				for want := range uint64(3) {
					if n := s.sequence(tt.public, shot(60+byte(want))); n != want+1 {
						t.Errorf("frame %d of the public camera is number %d", want+1, n)
					}
				}
				s.sequence(tt.other, shot(51))
				if got := s.shown(); got != 62 {
					t.Errorf("shown %d", got)
				}
				infos := srv.Cameras()
				for i, want := range []CameraInfo{{Name: "porch", Public: tt.camera == "", Tokens: 1}, {Name: "desk", Public: tt.camera == "desk", Tokens: 1}} {
					got := infos[i]
					want.Sequence = map[bool]uint64{true: 3, false: 2}[want.Public]
					want.Bytes, want.Width, want.Height, want.FrameAt = got.Bytes, 32, 16, got.FrameAt
					if got != want || got.Bytes == 0 || !got.FrameAt.Equal(epoch) {
						t.Errorf("camera %+v, want %+v", got, want)
					}
				}
				for name, want := range map[string]byte{"": 62, "?camera=porch": 62, "?camera=desk": 51, "?camera=garden": 0} {
					if tt.camera == "desk" && name == "?camera=porch" {
						want = 51
					} else if tt.camera == "desk" && name == "?camera=desk" {
						want = 62
					}
					req, err := http.NewRequest("GET", "http://127.0.0.1:9100/admin/upload.jpg"+name, nil)
					if err != nil {
						t.Fatal(err)
					}
					rec := newRecorder()
					srv.Admin().ServeHTTP(rec, req)
					if want == 0 {
						if rec.status != 404 {
							t.Errorf("%s: %d", name, rec.status)
						}
					} else if !bytes.Equal(rec.body.Bytes(), shot(want)) {
						t.Errorf("%s is not frame %d", name, want)
					}
				}
			})
		})
	}
}

// TestRepeatedAndLate: a frame that is sent again, and one that was overtaken on
// its way, are answered like any other, and not shown.
func TestRepeatedAndLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := testServer(t, nil)
		s := start(t, srv)
		published := func() uint64 { return s.Truth().Published }
		if n := s.sequence(testToken, shot(10)); n != 1 {
			t.Fatalf("number %d", n)
		}
		before := published()
		time.Sleep(time.Second)
		if n := s.sequence(testToken, shot(10)); n != 1 || published() != before {
			t.Errorf("a frame sent again is number %d, %d published", n, published()-before)
		}
		if resp, answer := s.send("/upload", testToken, "image/jpeg", shot(10)); resp.StatusCode != 200 || answer != "Success\n" {
			t.Errorf("a sketch that sends it again is told %s %q", resp.Status, answer)
		}
		time.Sleep(2 * time.Second) // a resting source may send the same bytes at its cadence
		if n := s.sequence(testToken, shot(10)); n != 2 || published() != before+1 {
			t.Errorf("the same frame after a period is number %d, %d published", n, published()-before)
		}

		// One that starts first and ends last.
		r, w := io.Pipe()
		answered := make(chan string)
		go func() {
			req, err := http.NewRequest("POST", "http://feed.example/upload", r)
			if err != nil {
				t.Error(err)
			}
			req.Header.Set("Authorization", "Bearer "+testToken)
			req.Header.Set("Content-Type", "image/jpeg")
			resp, answer := s.do(req)
			answered <- fmt.Sprintf("%d %s", resp.StatusCode, answer)
		}()
		w.Write(shot(11)[:100])
		synctest.Wait()
		s.upload(shot(12))
		w.Write(shot(11)[100:])
		w.Close()
		if got := <-answered; got != "200 Success\n" {
			t.Errorf("the late one is told %q", got)
		}
		synctest.Wait()
		if got := s.shown(); got != 12 {
			t.Errorf("shown %d", got)
		}
		if snap := srv.cfg.Events.Snapshot(); snap.Accepted != 3 || snap.Ignored != 3 || snap.Rejected != 0 {
			t.Errorf("%d accepted, %d ignored, %d rejected", snap.Accepted, snap.Ignored, snap.Rejected)
		}
	})
}

func TestReply(t *testing.T) {
	for _, tt := range []struct {
		name, accept, want, contentType string
	}{
		{"sketch", "", "Success\n", "text/plain"},
		{"curl", "*/*", "Success\n", "text/plain"},
		{"firmware", "application/json", `{"sequence":1,"waves":0,"interval_ms":2500}` + "\n", "application/json"},
		{"in a list", "text/html, Application/JSON;q=0.5", `{"sequence":1,"waves":0,"interval_ms":2500}` + "\n", "application/json"},
		{"refused", "application/json;q=0, */*", "Success\n", "text/plain"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, testServer(t, func(c *Config) { c.Ingest.Interval = 2500 * time.Millisecond }))
				resp, answer := s.send("/upload", testToken, "image/jpeg", shot(9), "Accept", tt.accept)
				if answer != tt.want || resp.Header.Get("Content-Type") != tt.contentType || resp.ContentLength != int64(len(answer)) {
					t.Errorf("answered %q, %v", answer, resp.Header)
				}
				if resp.Close {
					t.Error("a good upload costs the board its connection")
				}
			})
		})
	}
}

// TestBoardKeepsItsConnection: two frames a minute apart, and a notice, travel
// on one connection, though each upload moved the connection's deadlines.
func TestBoardKeepsItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, answer := rawConn(t, testServer(t, nil))
		board := wire.Request{Host: "feed.example", Path: "/upload", Token: testToken}
		for i := range byte(3) {
			board.JPEG = shot(20 + i)
			go board.Firmware(conn)
			if resp, body := answer(); resp.StatusCode != 200 || !strings.HasPrefix(body, fmt.Sprintf(`{"sequence":%d,`, i+1)) || resp.Close {
				t.Fatalf("answered %s %s", resp.Status, body)
			}
			time.Sleep(70 * time.Second)
		}
		go board.Notice(conn, wire.CameraOff)
		if resp, _ := answer(); resp.StatusCode != 204 || resp.Close {
			t.Errorf("notice: %s", resp.Status)
		}
	})
}

// TestNotice: what a camera says of itself, and everything that is not that.
func TestNotice(t *testing.T) {
	for _, tt := range []struct {
		name, token, contentType, body string
		status                         int
		off                            bool
	}{
		{"off", testToken, "application/json", `{"state":"off"}`, 204, true},
		{"on", testToken, "application/json", `{"state":"on"}`, 204, false},
		{"with blanks", testToken, "application/json; charset=utf-8", " { \"state\" : \"off\" }\n", 204, true},
		{"no token", "", "application/json", `{"state":"off"}`, 401, false},
		{"wrong token", "nonsense", "application/json", `{"state":"off"}`, 401, false},
		{"form", testToken, "application/x-www-form-urlencoded", `state=off`, 415, false},
		{"text", testToken, "text/plain", `{"state":"off"}`, 415, false},
		{"other word", testToken, "application/json", `{"state":"dim"}`, 400, false},
		{"no word", testToken, "application/json", `{}`, 400, false},
		{"null", testToken, "application/json", `{"state":null}`, 400, false},
		{"number", testToken, "application/json", `{"state":0}`, 400, false},
		{"upper case", testToken, "application/json", `{"STATE":"off"}`, 400, false},
		{"twice", testToken, "application/json", `{"state":"off","state":"on"}`, 400, false},
		{"twice, in other cases", testToken, "application/json", `{"State":"","state":"on"}`, 400, false},
		{"cut", testToken, "application/json", `{"state":"off"`, 400, false},
		{"more fields", testToken, "application/json", `{"state":"off","x":1}`, 400, false},
		{"two values", testToken, "application/json", `{"state":"off"}{"state":"on"}`, 400, false},
		{"rubbish behind", testToken, "application/json", `{"state":"off"}x`, 400, false},
		{"empty", testToken, "application/json", ``, 400, false},
		{"too long", testToken, "application/json", `{"state":"off"` + strings.Repeat(" ", 300) + `}`, 413, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := testServer(t, nil)
				s := start(t, srv)
				resp, answer := s.send("/camera", tt.token, tt.contentType, []byte(tt.body))
				if resp.StatusCode != tt.status {
					t.Errorf("answered %s %s, want %d", resp.Status, answer, tt.status)
				}
				var p problem
				if tt.status != 204 && (json.Unmarshal([]byte(answer), &p) != nil || p.Error == "" || p.Hint == "") {
					t.Errorf("answered %q", answer)
				}
				if got := srv.Cameras()[0].Off; got != tt.off {
					t.Errorf("the camera counts as off: %v", got)
				}
			})
		})
	}
}

// TestNoticeOvertakesFrame: what was on its way when the camera was switched off
// is not shown; what the camera sends later says that it is on.
func TestNoticeOvertakesFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := testServer(t, nil)
		s := start(t, srv)
		s.upload(shot(30))
		r, w := io.Pipe()
		answered := make(chan int)
		go func() {
			req, err := http.NewRequest("POST", "http://feed.example/upload", r)
			if err != nil {
				t.Error(err)
			}
			req.Header.Set("Authorization", "Bearer "+testToken)
			req.Header.Set("Content-Type", "image/jpeg")
			resp, _ := s.do(req)
			answered <- resp.StatusCode
		}()
		w.Write(shot(31)[:100])
		synctest.Wait()
		if resp, _ := s.send("/camera", testToken, "application/json", []byte(`{"state":"off"}`)); resp.StatusCode != 204 {
			t.Fatalf("notice: %s", resp.Status)
		}
		w.Write(shot(31)[100:])
		w.Close()
		if status := <-answered; status != 200 {
			t.Errorf("the frame is answered %d", status)
		}
		synctest.Wait()
		if got := s.shown(); got == 31 {
			t.Error("a frame was shown after its camera was switched off")
		}
		if !srv.Cameras()[0].Off {
			t.Error("the frame on its way switched the camera on")
		}
		s.upload(shot(32))
		if got := s.shown(); got != 32 || srv.Cameras()[0].Off {
			t.Errorf("shown %d, off %v", got, srv.Cameras()[0].Off)
		}
	})
}

// TestReload: tokens and pipeline change while the server runs, or are refused.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := testServer(t, func(c *Config) { c.Ingest.Camera = "cam" })
		s := start(t, srv)
		s.upload(shot(1))
		for name, bad := range map[string]*Tokens{"nil": nil, "none": new(Tokens), "not the public camera's": tokensOf(t, "desk", "d")} {
			if srv.SetTokens(bad) == nil {
				t.Errorf("%s: taken", name)
			}
		}
		s.upload(shot(2))
		if err := srv.SetTokens(tokensOf(t, "cam", "new-token")); err != nil {
			t.Fatal(err)
		}
		if resp, _ := s.send("/upload", testToken, "image/jpeg", shot(3)); resp.StatusCode != 401 {
			t.Errorf("the old token: %s", resp.Status)
		}
		if n := s.sequence("new-token", shot(255)); n != 3 {
			t.Errorf("number %d under the new token", n)
		}
		if srv.SetPipeline(nil) == nil {
			t.Error("no pipeline: taken")
		}
		p, err := picture.New(picture.Config{Width: 16})
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.SetPipeline(p); err != nil {
			t.Fatal(err)
		}
		if srv.Cameras()[0].Bytes != 0 {
			t.Error("a frame from before the change is kept")
		}
		s.sequence("new-token", shot(254))
		resp, body := s.get("/latest")
		if size := bytes.Index(body, []byte{0xFF, 0xC0, 0, 11, 8, 0, 8, 0, 16, 1}); size < 0 {
			t.Errorf("%s: the next picture is not 16x8", resp.Status)
		}
	})
}
