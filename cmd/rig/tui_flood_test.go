//go:build linux

package main

import (
	"bytes"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestFloodOnTheLine: a board that floods its serial line with 1 MB/s leaves the
// dashboard usable: each key is seen, soon, and what was let go is said. The
// times are logged; they say something on a machine with nothing else to do.
func TestFloodOnTheLine(t *testing.T) {
	line, name := openPTY(t, 80, 24)
	defer line.Close()
	p := onTerminal(t, 120, 40, "tui", "--seed", "2", "--port", name)
	p.sees(20*time.Second, "public: LIVE", "listening")

	chunk := bytes.Repeat([]byte("I (1234) flood: "+strings.Repeat("x", 82)+"\r\n"), 100) // 10 kB
	stop, flooded := make(chan struct{}), make(chan struct{})
	var written atomic.Int64
	go func() {
		defer close(flooded)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			line.SetWriteDeadline(time.Now().Add(time.Second))
			n, err := line.Write(chunk)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	begin := time.Now()
	p.sees(10*time.Second, "flood: xxx")
	var took []time.Duration
	for range 20 {
		for _, zoomed := range []bool{true, false} {
			pressed := time.Now()
			p.types("z")
			for strings.Contains(p.screen(), "2 Server") == zoomed {
				if time.Since(pressed) > 10*time.Second {
					t.Fatalf("the key is not seen:\n%s", p.screen())
				}
				<-time.After(time.Millisecond)
			}
			took = append(took, time.Since(pressed))
		}
	}
	p.sees(10*time.Second, "older lines gone")
	close(stop)
	<-flooded
	slices.Sort(took)
	t.Logf("%.2f MB/s for %v; key to screen: p50 %v, p90 %v, slowest %v", float64(written.Load())/1e6/time.Since(begin).Seconds(), time.Since(begin).Round(time.Millisecond),
		took[len(took)/2], took[len(took)*9/10], took[len(took)-1])
	if summary := p.summaryAfter("q"); !strings.Contains(summary, "console lines") {
		t.Errorf("scrollback:\n%s", summary)
	}
}
