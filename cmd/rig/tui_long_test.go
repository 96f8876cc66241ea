//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMeasureDashboard is the dashboard's long run: attached to a simulator by
// its private side and its pseudo-terminal, under 200 viewers of another process,
// with a fault every 40 s, for ten minutes. It asks for the processor time of the
// dashboard alone, for memory that does not grow, and for a terminal that is
// never cleared. PORTHOLE_LONG=1 runs it.
func TestMeasureDashboard(t *testing.T) {
	if os.Getenv("PORTHOLE_LONG") == "" {
		t.Skip("ten minutes; PORTHOLE_LONG=1 runs it")
	}
	const length = 10 * time.Minute
	dir := t.TempDir()
	page, admin, link := simOnPTY(t, dir, "2s")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	samples := filepath.Join(dir, "samples")
	load := exec.Command(self)
	load.Args = []string{"rig", "load", "--url", page + "/latest", "--admin", admin, "--viewers", "200", "--duration", (length + time.Minute).String(), "--samples", samples, "--quiet"}
	load.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}

	// A terminal with 256 colours, which has the picture in half blocks.
	p := onTerminalWith(t, 120, 40, []string{"TERM=xterm-256color", "NO_COLOR="}, "tui", "--server", admin, "--public", page, "--port", link)
	p.sees(30*time.Second, "public: LIVE", "state      running", "▀▀▀▀")
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { load.Process.Signal(syscall.SIGTERM); load.Wait() })
	waitForFile(t, samples)
	p.summaryAfter("q")

	p = onTerminalWith(t, 120, 40, []string{"TERM=xterm-256color", "NO_COLOR="}, "tui", "--server", admin, "--public", page, "--port", link, "--load", samples)
	p.sees(30*time.Second, "public: LIVE", "viewers    200")
	begin, cpu, wire := time.Now(), cpuTime(t, p.cmd.Process.Pid), len(p.output())
	var memory []int
	step, before := begin, cpu
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; time.Since(begin) < length; n++ {
		<-tick.C
		if n%5 == 0 {
			memory = append(memory, resident(t, p.cmd.Process.Pid))
		}
		if n%40 != 0 {
			continue
		}
		// Everything that a person presses in such a time: the next fault of the
		// menu, and between faults panels, zoom, help, the past and the search.
		faults := []string{"b\r", "b\x1b[B\r", "b\x1b[B\x1b[B\r", "b\x1b[B\x1b[B\x1b[B\r", "b\x1b[B\x1b[B\x1b[B\x1b[B\r", "b\x1b[B\x1b[B\x1b[B\x1b[B\x1b[B\r"}
		p.types(faults[n/40%len(faults)])
		for _, key := range []string{"1", "z", "z", "5", "?", "?", "[", "[", "0", "w"} {
			<-tick.C
			p.types(key)
		}
		now, used := time.Now(), cpuTime(t, p.cmd.Process.Pid)
		title := strings.Join(strings.Fields(strings.SplitN(p.screen(), "\n", 2)[0])[3:], " ")
		t.Logf("%4.0f s: %.2f %% of a core, %.1f MB; %s", now.Sub(begin).Seconds(), 100*(used-before).Seconds()/now.Sub(step).Seconds(), float64(memory[len(memory)-1])/1e6, title)
		step, before = now, used
	}
	took := time.Since(begin)
	share := (cpuTime(t, p.cmd.Process.Pid) - cpu).Seconds() / took.Seconds()
	out := p.output()[wire:]
	half := slices.Max(memory[:len(memory)/2])
	last := slices.Max(memory[len(memory)*9/10:])
	t.Logf("over %v: %.2f %% of a core, %.0f bytes/s to the terminal, memory at most %.1f MB in the first half and %.1f MB at the end",
		took.Round(time.Second), 100*share, float64(len(out))/took.Seconds(), float64(half)/1e6, float64(last)/1e6)
	if share > 0.02 {
		t.Errorf("the dashboard took %.2f %% of a core, want at most 2 %%", 100*share)
	}
	// What is remembered fills up for ten minutes, pictures above all, and stays
	// below 12 MB of each kind.
	if last-half > 16<<20 || last > 96<<20 {
		t.Errorf("memory grew from %d to %d bytes in the second half", half, last)
	}
	if n := strings.Count(out, "\x1b[2J") + strings.Count(out, "\x1b[J"); n > 0 {
		t.Errorf("the terminal was cleared %d times: it flickers", n)
	}
	if summary := p.summaryAfter("q"); !strings.Contains(summary, "0 lost") || !strings.Contains(summary, "200 viewers") {
		t.Errorf("scrollback:\n%s", summary)
	}
}

func waitForFile(t *testing.T, path string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 200 {
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			return
		}
		<-tick.C
	}
	t.Fatalf("%s stayed empty", path)
}

// cpuTime is the processor time that a process has taken so far.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The name, in brackets, may hold anything; user and system time are the 12th
	// and 13th field behind it, in hundredths of a second.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// resident is the memory of a process, in bytes.
func resident(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
