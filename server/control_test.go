package server

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/event"
)

// TestOrders walks through the operator's switch and the camera's notices while
// the camera goes on sending.
func TestOrders(t *testing.T) {
	for _, tt := range []struct {
		name      string
		begin     func(*Server)
		end       func(*Server)
		keepsLast bool // the admin side still sees the newest upload
	}{
		{"camera switched off", func(s *Server) { s.cut(false) }, func(s *Server) { s.cut(true) }, false},
		{"operator's dark", order(Dark), order(Auto), false},
		{"operator's replay", order(OnlyReplay), order(Auto), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, testServer(t, nil))
				synctest.Wait()
				s.upload(shot(100))
				if got := s.shown(); got != 100 {
					t.Fatalf("shown %d before", got)
				}
				tt.begin(s.Server)
				synctest.Wait()
				if got := s.shown(); got > 3 || s.Truth().Mode != event.Loop {
					t.Errorf("at once: picture %d, mode %s", got, s.Truth().Mode)
				}
				for range 20 {
					s.upload(shot(100)) // it is taken, as ever
					if got := s.shown(); got > 3 {
						t.Fatalf("a frame of the camera is shown: %d", got)
					}
					time.Sleep(time.Second)
				}
				if kept := s.camera("cam").kept() != nil; kept != tt.keepsLast {
					t.Errorf("newest upload kept: %v", kept)
				}
				tt.end(s.Server)
				synctest.Wait()
				s.upload(shot(101))
				if got := s.shown(); got != 101 || s.Truth().Mode != event.Live {
					t.Errorf("afterwards: picture %d, mode %s", got, s.Truth().Mode)
				}
			})
		})
	}
}

func order(o Order) func(*Server) { return func(s *Server) { s.SetOrder(o) } }

// TestCutDropsWhatArrives: a frame whose upload began before the camera was
// switched off is dropped even if the camera is on again when it is complete.
func TestCutDropsWhatArrives(t *testing.T) {
	s := testServer(t, nil)
	u := &upload{seq: 1, era: s.control.now()}
	s.cut(false)
	s.cut(true)
	if s.take(u) || s.accepted.take() != nil {
		t.Error("a frame from before the cut was kept")
	}
	if !s.take(&upload{seq: 2, era: s.control.now()}) || s.accepted.take() == nil {
		t.Error("a frame from after the cut was not kept")
	}
}

func TestModeCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := testServer(t, nil)
		start(t, srv)
		synctest.Wait()
		do := func(args map[string]string) (string, error) {
			r, err := srv.cfg.Events.Do(t.Context(), event.Command{Name: "server.mode", Args: args})
			synctest.Wait()
			return r.Text, err
		}
		for _, tt := range []struct {
			args      map[string]string
			want, err string
		}{
			{nil, "public mode: auto", ""},
			{map[string]string{"mode": "dark"}, "public mode: dark", ""},
			{nil, "public mode: dark", ""},
			{map[string]string{"mode": "bright"}, "", `"bright" is none of auto, live, replay, record, dark`},
			{map[string]string{"moed": "live"}, "", `argument "moed": want mode=auto, live, replay, record, dark`},
			{nil, "public mode: dark", ""},
			{map[string]string{"mode": "auto"}, "public mode: auto", ""},
		} {
			got, err := do(tt.args)
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v: %q, %v", tt.args, got, err)
			}
		}
		do(map[string]string{"mode": "dark"})
		truth, err := json.Marshal(srv.Truth())
		if err != nil || !strings.Contains(string(truth), `"order":"dark"`) {
			t.Errorf("truth %s %v", truth, err)
		}
	})
}
