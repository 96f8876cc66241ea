package loadtest

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"net/http"
	"porthole/internal/netmem"
)

// stallEnv makes TestStalledGenerator the generator instead of the one who
// stalls it.
const stallEnv = "PORTHOLE_TEST_GENERATOR"

// TestStalledGenerator runs a load test in another process and stops that
// process again and again. The server, which is stopped with it, looks perfect
// to a generator that trusts itself.
func TestStalledGenerator(t *testing.T) {
	if os.Getenv(stallEnv) != "" {
		generate(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStalledGenerator$", "-test.v")
	cmd.Env = append(os.Environ(), stallEnv+"=1")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop := time.NewTicker(100 * time.Millisecond)
	defer stop.Stop()
	for stopped := false; ; stopped = !stopped {
		select {
		case err := <-ended:
			if err != nil || !strings.Contains(out.String(), "verdict=inconclusive") || !strings.Contains(out.String(), "generator") {
				t.Errorf("%v\n%s", err, out.String())
			}
			return
		case <-stop.C:
			signal := syscall.SIGSTOP
			if stopped {
				signal = syscall.SIGCONT
			}
			// An error means that it has ended, which is seen above.
			_ = cmd.Process.Signal(signal)
		}
	}
}

func generate(t *testing.T) {
	ln := netmem.Listen()
	f := newFeed(steady(100*time.Millisecond, 0))
	srv := &http.Server{Handler: f, ConnContext: f.connContext}
	go srv.Serve(ln)
	defer srv.Close()
	objectives, err := ParseObjectives("errors == 0")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), Config{TargetURL: "http://feed.example/", Dial: ln.DialContext, Stamper: textStamp,
		Viewers: 5, Duration: 1500 * time.Millisecond, Period: 100 * time.Millisecond, Objectives: objectives}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("verdict=%s reasons=%q errors=%d", r.Verdict, r.Reasons, r.Polls.Errors)
}

func TestHiccupMeter(t *testing.T) {
	m := newHiccupMeter()
	for range 995 {
		m.record(hiccupInterval + 100*time.Microsecond)
	}
	for range 5 {
		m.record(hiccupInterval + hiccupLimit) // not a stall yet
	}
	q, stalled := m.summary()
	near(t, "p99", q.P99, 100*time.Microsecond, 0)
	near(t, "max", q.Max, hiccupLimit, 0)
	if stalled != 0 {
		t.Errorf("stalled for %v of the time", stalled)
	}
	for range 11 {
		m.record(time.Second)
	}
	q, stalled = m.summary()
	near(t, "p99 with stalls", q.P99, 999*time.Millisecond, 0)
	// 11 x 999 ms of 995 x 1.1 + 5 x 21 + 11 x 1000 ms.
	nearShare(t, "stalled", stalled, 10.989/12.1995, 0.0001)
}

// summary is what a report says of the meter.
func (m *hiccupMeter) summary() (Quantiles, float64) {
	slept, stalled, measured := m.state()
	return quantilesOf(&slept), ratio(time.Duration(stalled), time.Duration(measured))
}
