package monitor

import (
	"strings"
	"testing"
	"time"
)

const (
	powerOn  = "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)"
	software = "rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)"
	watchdog = "rst:0x10 (RTCWDT_RTC_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)"
	brownout = "rst:0xf (RTCWDT_BROWN_OUT_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)"
	guru     = "Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled."
)

// feed gives lines to a watcher of resets, each a second after the one before,
// and returns the reports.
func feed(every time.Duration, lines ...string) []Loop {
	r := resets{size: 3, window: 10 * time.Second}
	var loops []Loop
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, l := range lines {
		if loop, ok := r.see(at, l); ok {
			loops = append(loops, loop)
		}
		at = at.Add(every)
	}
	return loops
}

func times(n int, lines ...string) []string {
	var all []string
	for range n {
		all = append(all, lines...)
	}
	return all
}

func TestLoops(t *testing.T) {
	for _, c := range []struct {
		name     string
		every    time.Duration
		lines    []string
		reports  int
		cause    Cause
		evidence string
	}{
		{"one start", time.Second, times(1, powerOn, "hello"), 0, "", ""},
		{"two starts", time.Second, times(2, powerOn), 0, "", ""},
		{"power comes and goes", time.Second, times(3, powerOn), 1, PowerOn, ""},
		{"brownout line, as after which the reset is a software one", time.Second, times(3, software, "E BOD: Brownout detector was triggered"), 1, Brownout, "Brownout detector"},
		{"brownout in hardware", time.Second, times(3, brownout), 1, Brownout, ""},
		{"panic", time.Second, times(3, software, guru), 1, Panic, "Guru"},
		{"panic under a sagging supply", time.Second, times(3, software, guru, "E BOD: Brownout detector was triggered"), 1, Brownout, "Brownout"},
		{"abort", time.Second, times(3, software, "abort() was called at PC 0x400d0045 on core 0"), 1, Panic, "abort"},
		{"task watchdog, which aborts", time.Second, times(3, software, "E (5000) task_wdt: Task watchdog got triggered. The following", "abort() was called at PC 0x400d0045 on core 1"), 1, Watchdog, "Task watchdog"},
		{"watchdog of the ROM", time.Second, times(3, watchdog), 1, Watchdog, ""},
		{"erased flash: the watchdog only ends it", time.Second, times(3, watchdog, "invalid header: 0xffffffff", "invalid header: 0xffffffff"), 1, BadFlash, "invalid header"},
		{"erased flash, old ROM", time.Second, times(3, watchdog, "flash read err, 1000", "ets_main.c 371"), 1, BadFlash, "flash read err"},
		{"application missing", time.Second, times(3, software, "E (80) boot: No bootable app partitions in the partition table"), 1, BadFlash, "No bootable"},
		{"restart on purpose", time.Second, times(3, software, `W (4000) porthole: restart why="console"`), 1, Restart, ""},
		{"too slow for a loop", 4 * time.Second, times(9, powerOn, "a", "b", "c"), 0, "", ""},
		{"reported at 3, 6, 12", time.Second, times(20, software), 3, Restart, ""},
		{"what came before the first start may have been missed", time.Second, append(times(2, powerOn), guru, software), 1, Panic, "Guru"},
		{"the first start's cause is not the loop's", time.Second, append(times(1, powerOn), times(3, guru, software)...), 1, Panic, "Guru"},
	} {
		loops := feed(c.every, c.lines...)
		if len(loops) != c.reports {
			t.Errorf("%s: %d reports, want %d: %v", c.name, len(loops), c.reports, loops)
			continue
		}
		for _, l := range loops {
			if l.Cause != c.cause || !strings.Contains(l.Evidence, c.evidence) || l.Advice() == "" {
				t.Errorf("%s: %v", c.name, l)
			}
		}
	}
}

// TestLoopAfterQuiet: a loop that ended is counted anew.
func TestLoopAfterQuiet(t *testing.T) {
	r := resets{size: 3, window: 10 * time.Second}
	at := time.Now()
	reports := 0
	for _, pause := range []time.Duration{0, 1, 1, 11, 1, 1, 10, 10} {
		at = at.Add(pause * time.Second)
		if l, ok := r.see(at, powerOn); ok {
			reports++
			if l.Resets != 3 || l.Within != 2*time.Second {
				t.Errorf("report %v", l)
			}
		}
	}
	if reports != 2 {
		t.Errorf("%d reports, want 2", reports)
	}
	for range 100_000 {
		r.see(at, powerOn)
	}
	if cap(r.starts) > 1000 {
		t.Errorf("%d starts are kept", cap(r.starts))
	}
}
