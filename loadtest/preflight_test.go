package loadtest

import (
	"context"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"porthole/internal/cli"
)

func TestRefuse(t *testing.T) {
	for _, tt := range []struct {
		name    string
		viewers int
		share   bool
		have    supply
		want    string // part of the error
	}{
		{"nothing known", 100_000, false, supply{}, ""},
		{"just enough descriptors", 936, false, supply{descriptors: 1000}, ""},
		{"one descriptor short", 937, false, supply{descriptors: 1000}, "937 viewers need 1001 file descriptors, 1000 are available"},
		{"both ends in one process", 500, true, supply{descriptors: 1000}, "500 viewers need 1064 file descriptors"},
		{"fewer than none left", 1, false, supply{descriptors: -5}, "0 are available"},
		{"just enough ports", 28232, false, supply{ports: 28232}, ""},
		{"one port short", 28233, false, supply{ports: 28232}, "28233 viewers need 28233 local ports, 28232 are available"},
		{"just enough bandwidth", 9803, false, supply{mbit: 999}, ""}, // 0.102 Mbit/s each
		{"a fast crowd", 9900, false, supply{mbit: 1000}, "9900 viewers need 1009 Mbit/s, 1000 are available"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Config{Viewers: tt.viewers, Period: 2 * time.Second, InProcess: tt.share}
			err := c.refuse(c.needs(), tt.have)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want %q", err, tt.want)
			case err != nil && (cli.HintOf(err) == "" || cli.Code(err) != cli.ExitBench):
				t.Errorf("hint %q, exit code %d", cli.HintOf(err), cli.Code(err))
			}
		})
	}
}

func TestSupply(t *testing.T) {
	far, near := &url.URL{Host: "192.0.2.1:443"}, &url.URL{Host: "127.0.0.1:443"}
	if h := (Config{}).has(far); h.descriptors < spareDescriptors || h.ports < 1 || h.mbit != defaultMbit {
		t.Errorf("far target: %+v", h)
	}
	if h := (Config{}).has(near); h.mbit != 0 {
		t.Errorf("loopback has a limit of %d Mbit/s", h.mbit)
	}
	if h := (Config{MaxMbit: 5}).has(near); h.mbit != 5 {
		t.Errorf("limit is %d Mbit/s, want 5", h.mbit)
	}
	for s, want := range map[string]int{"32768\t60999\n": 28232, "1 1": 1, "": 0, "x y": 0, "9 8": 0, "0 5": 0, "1 65536": 0} {
		if n, err := parsePortRange(s); n != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v, want %d", s, n, err, want)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	const ok = "https://127.0.0.1:8443/latest"
	for _, tt := range []struct {
		config Config
		want   string
	}{
		{Config{}, `target "" is neither http nor https`},
		{Config{TargetURL: "ftp://a/"}, "neither http nor https"},
		{Config{TargetURL: "https:///latest"}, "has no host"},
		{Config{TargetURL: "https://a:b:c/"}, "parse target"},
		{Config{TargetURL: "https://me:secret@a/"}, "carries a password"},
		{Config{TargetURL: ok, Viewers: -1}, "viewers -1"},
		{Config{TargetURL: ok, Viewers: maxViewers + 1}, "viewers 100001"},
		{Config{TargetURL: ok, Period: time.Millisecond}, "period 1ms"},
		{Config{TargetURL: ok, Duration: time.Second}, "duration 1s: want one period (2s)"},
		{Config{TargetURL: ok, Ramp: 20 * time.Second}, "ramp 20s"},
		{Config{TargetURL: ok, Think: "hard"}, `think "hard"`},
		{Config{TargetURL: ok, Timeout: -1}, "negative"},
	} {
		_, err := Run(t.Context(), tt.config, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) || cli.Code(err) != cli.ExitUsage {
			t.Errorf("error %v (exit %d), want %q", err, cli.Code(err), tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("error shows the password: %v", err)
		}
	}
	// The refusal comes before anything is dialled.
	dialled := func(context.Context, string, string) (net.Conn, error) { panic("dialled") }
	_, err := Run(t.Context(), Config{TargetURL: "https://192.0.2.1/", Viewers: 50_000, MaxMbit: 100, Dial: dialled}, nil)
	if err == nil || !strings.Contains(err.Error(), "50000 viewers need 5100 Mbit/s") {
		t.Errorf("error %v", err)
	}
}
