package monitor

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"porthole/hil/backtrace"
	"porthole/internal/console"
)

// Cause is why a board keeps starting anew.
type Cause string

// The causes, the most telling first.
const (
	Brownout Cause = "brownout"   // the supply sags
	BadFlash Cause = "flash"      // there is nothing in the flash that starts
	Watchdog Cause = "watchdog"   // the program hangs
	Panic    Cause = "panic"      // the program crashes
	PowerOn  Cause = "power"      // power or the reset line comes and goes
	Restart  Cause = "restart"    // the program restarts on purpose
	Other    Cause = "other"      // none of the above
	External Cause = "reset line" // somebody resets it
)

// Loop is a board that starts again and again.
type Loop struct {
	Cause    Cause
	Resets   int           // so far
	Within   time.Duration // from the first to the last of them
	Reset    string        // the ROM's word for the last one, "SW_CPU_RESET"
	Evidence string        // the line that gave the cause away, if one did
}

// Advice is what to do about a loop.
func (l Loop) Advice() string {
	switch l.Cause {
	case Brownout:
		return "the supply sags: try another cable or port, or feed 5 V directly; flashing again will not help"
	case BadFlash:
		return "nothing in the flash starts: flash bootloader, partition table and application again"
	case Watchdog:
		return "the program hangs: the lines before the reset say which task"
	case Panic:
		return "the program crashes: see the backtrace, and give --elf for names"
	case PowerOn:
		return "power or the reset line comes and goes: check supply, cable and what else uses the port"
	case External:
		return "the reset line is pulled: another program uses the port, or the circuit is missing"
	}
	return "the program restarts: the lines before the reset say why"
}

func (l Loop) String() string {
	text := fmt.Sprintf("reset loop: %d starts in %v, cause %s (%s)", l.Resets, l.Within.Round(100*time.Millisecond), l.Cause, l.Reset)
	if l.Evidence != "" {
		text += fmt.Sprintf(", after %q", l.Evidence)
	}
	return text
}

var banner = regexp.MustCompile(`rst:0x([0-9a-f]{1,2}) \(([A-Z0-9_]{1,32})\),boot:0x[0-9a-f]{1,2} \(`)

func isBanner(text string) bool { return bannerIn(text) != nil }

// bannerIn returns the parts of a banner, nil if there is none. Nearly all lines
// are none, which is cheap to see.
func bannerIn(text string) []string {
	if !strings.Contains(text, "rst:0x") {
		return nil
	}
	return banner.FindStringSubmatch(text)
}

// resets watches for loops.
type resets struct {
	size   int
	window time.Duration

	starts []start   // the newest, within the window
	total  int       // of this loop
	first  time.Time // of them
	next   int       // total at which the loop is reported again
	cause  Cause     // from the lines since the last start
	line   string    // that gave it
}

// maxStarts bounds how many starts a cause is taken from.
const maxStarts = 64

// start is one banner of the ROM.
type start struct {
	at    time.Time
	cause Cause
	line  string
}

// rank orders the causes that lines give away: a crash under a low supply is a
// matter of the supply.
var rank = map[Cause]int{Brownout: 4, BadFlash: 3, Watchdog: 2, Panic: 1}

// signs are the words by which a line gives a cause away (esp32-serial 4, 8).
var signs = []struct {
	words string
	cause Cause
}{
	{"Brownout detector was triggered", Brownout},
	{"flash read err", BadFlash},
	{"invalid header: 0x", BadFlash},
	{"csum err:", BadFlash},
	{"has invalid magic byte", BadFlash},
	{"Image hash failed", BadFlash},
	{"No bootable app partitions", BadFlash},
	{"Task watchdog got triggered", Watchdog},
	{"Interrupt wdt timeout", Watchdog},
}

// see takes a line. It is true when that makes, or prolongs, a loop worth a report.
func (r *resets) see(at time.Time, text string) (Loop, bool) {
	m := bannerIn(text)
	if m == nil {
		r.clue(text)
		return Loop{}, false
	}
	code, _ := strconv.ParseUint(m[1], 16, 8)
	s := start{at: at, cause: cmp.Or(r.cause, causeOf(uint8(code))), line: r.line}
	r.cause, r.line = "", ""
	if n := len(r.starts); n == 0 || at.Sub(r.starts[n-1].at) > r.window {
		r.starts, r.total, r.next, r.first = r.starts[:0], 0, r.size, at // it has calmed down
	}
	r.total++
	r.starts = append(r.starts, s)
	old := 0
	for at.Sub(r.starts[old].at) > r.window || len(r.starts)-old > max(maxStarts, r.size) {
		old++
	}
	r.starts = append(r.starts[:0], r.starts[old:]...)
	if r.total < r.next || len(r.starts) < r.size {
		return Loop{}, false
	}
	r.next = 2 * r.total // again when it has gone on for as long once more
	l := Loop{Resets: r.total, Within: at.Sub(r.first), Reset: m[2]}
	l.Cause, l.Evidence = commonCause(r.starts)
	return l, true
}

func (r *resets) clue(text string) {
	found := Cause("")
	for _, s := range signs {
		if strings.Contains(text, s.words) {
			found = s.cause
			break
		}
	}
	if found == "" && backtrace.IsCrash(text) {
		found = Panic
	}
	if rank[found] > rank[r.cause] {
		r.cause, r.line = found, text[:min(len(text), 200)]
	}
}

// causeOf is what the ROM's reset reason says by itself.
func causeOf(rst uint8) Cause {
	switch console.ResetName(rst) {
	case "poweron":
		return PowerOn
	case "brownout":
		return Brownout
	case "watchdog":
		return Watchdog
	case "software":
		return Restart
	case "external":
		return External
	}
	return Other
}

// commonCause is the most frequent cause, the newest of equals, with its line.
// The first start is left out where there are others: what came before it may
// have been missed.
func commonCause(starts []start) (Cause, string) {
	count := map[Cause]int{}
	var best start
	for _, s := range starts[min(1, len(starts)-1):] {
		count[s.cause]++
		if count[s.cause] >= count[best.cause] {
			best = s
		}
	}
	return best.cause, best.line
}
