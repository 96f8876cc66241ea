package board_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/esprom"
	"porthole/sim/board"
)

// TestResetCircuit walks the truth table of the two transistors.
func TestResetCircuit(t *testing.T) {
	atBoard(t, board.Config{}, func(t *testing.T, b *board.Board, h *host) {
		w := h.line.(*board.Wire)
		settle := func() board.State { time.Sleep(time.Second); return b.Status().State }
		if s := settle(); s != board.StateBoot || b.Status().Strap != 0x13 {
			t.Errorf("after power-on: %v, strap %#x", s, b.Status().Strap)
		}
		for i, tt := range []struct {
			dtr, rts bool
			want     board.State
			strap    uint8
		}{
			{true, true, board.StateBoot, 0x13}, // interlock
			{false, false, board.StateBoot, 0x13},
			{true, false, board.StateBoot, 0x13}, // IO0 low is nothing without a reset
			{false, true, board.StateReset, 0x13},
			{true, false, board.StateROM, 0x03},
			{false, false, board.StateROM, 0x03},
			{false, true, board.StateReset, 0x03},
			{true, true, board.StateBoot, 0x13},
		} {
			w.SetLines(tt.dtr, tt.rts)
			if s := settle(); s != tt.want || b.Status().Strap != tt.strap {
				t.Errorf("step %d: %v, strap %#x; want %v, %#x", i, s, b.Status().Strap, tt.want, tt.strap)
			}
		}
		b.PressBoot(true)
		b.PressEN(true)
		if s := settle(); s != board.StateReset {
			t.Errorf("EN held: %v", s)
		}
		b.PressEN(false)
		if s := settle(); s != board.StateROM {
			t.Errorf("buttons: %v", s)
		}
		b.PressBoot(false)
		b.SetPower(false)
		if s := settle(); s != board.StateOff {
			t.Errorf("power off: %v", s)
		}
		b.SetPower(true)
		if s := settle(); s != board.StateBoot {
			t.Errorf("power on: %v", s)
		}
	})
}

// TestENDelay: a reset shorter than the rise of EN still restarts, straps are taken
// at the end of the rise, and a pull during the rise starts it over.
func TestENDelay(t *testing.T) {
	atBoard(t, board.Config{EN: 75 * time.Millisecond}, func(t *testing.T, b *board.Board, h *host) {
		w := h.line.(*board.Wire)
		time.Sleep(time.Second)
		w.SetLines(false, true)
		time.Sleep(5 * time.Millisecond)
		w.SetLines(false, false)
		time.Sleep(70 * time.Millisecond)
		w.SetLines(false, true)
		time.Sleep(time.Millisecond)
		w.SetLines(false, false)
		time.Sleep(74 * time.Millisecond)
		w.SetLines(true, false) // IO0 goes low 1 ms before the straps are taken
		if s := b.Status(); s.State != board.StateReset || s.Resets != 1 {
			t.Errorf("before the rise: %+v", s)
		}
		time.Sleep(2 * time.Millisecond)
		if s := b.Status(); s.State != board.StateROM || s.Resets != 2 {
			t.Errorf("after the rise: %+v", s)
		}
	})
}

// TestResetRelatches: a watchdog reset samples the straps, a software reset keeps
// them.
func TestResetRelatches(t *testing.T) {
	for _, tt := range []struct {
		reason board.ResetReason
		want   board.State
	}{
		{board.SoftwareReset, board.StateROM}, {board.TG0WatchdogReset, board.StateROM},
		{board.RTCWatchdogRTC, board.StateBoot}, {board.BrownoutReset, board.StateBoot},
	} {
		f := board.Fault{Name: "reset", On: board.OnTime, At: 10 * time.Second, Value: uint64(tt.reason)}
		inROM(t, board.Config{Faults: board.Schedule{f}}, func(t *testing.T, b *board.Board, h *host) {
			time.Sleep(11 * time.Second)
			if s := b.Status(); s.State != tt.want || s.Reason != tt.reason {
				t.Errorf("%v: %+v", tt.reason, s)
			}
		})
	}
}

func TestBanner(t *testing.T) {
	for want, got := range map[string]string{
		"ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n":                                board.Banner(3, board.PowerOnReset, 0x13),
		"ets Jun  8 2016 00:22:57\r\n\r\nrst:0x10 (RTCWDT_RTC_RESET),boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))\r\n":      board.Banner(1, board.RTCWatchdogRTC, 0x03),
		"ets Jul 29 2019 12:21:46\r\n\r\nrst:0xf (RTCWDT_BROWN_OUT_RESET),boot:0x6 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_FEO_V2))\r\n": board.Banner(3, board.BrownoutReset, 0x06),
		"ets Jul 29 2019 12:21:46\r\n\r\nrst:0xc (SW_CPU_RESET),boot:0x33 (SPI_FAST_FLASH_BOOT)\r\n":                                 board.Banner(3, board.SoftwareCPUReset, 0x33),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	// GPIO15 low silences the ROM.
	atBoard(t, board.Config{Strap: 0x11}, func(t *testing.T, b *board.Board, h *host) {
		h.listen(time.Second)
		if h.log.Len() > 0 {
			t.Errorf("log %q", h.log.String())
		}
	})
}

// TestAutoDownload: a SYNC at a running program enters the ROM loader, which answers.
func TestAutoDownload(t *testing.T) {
	atBoard(t, board.Config{AutoDownload: true, Program: echo}, func(t *testing.T, b *board.Board, h *host) {
		time.Sleep(time.Second)
		if s := b.Status().State; s != board.StateApp {
			t.Fatal(s)
		}
		if err := h.sync(); err != nil {
			t.Fatal(err)
		}
		if v, err := h.reg(esprom.RegMagic); err != nil || v != esprom.ChipMagic {
			t.Errorf("%#x, %v", v, err)
		}
	})
	atBoard(t, board.Config{Program: echo}, func(t *testing.T, b *board.Board, h *host) {
		time.Sleep(time.Second)
		if err := h.sync(); err == nil {
			t.Error("answered without being asked to")
		}
		if !strings.Contains(h.log.String(), "hello") {
			t.Errorf("log %q", h.log.String())
		}
	})
}

// A raced is the outcome of one reset sequence.
type raced struct {
	en, jitter time.Duration
	right      bool // the ROM loader was entered
}

// race runs one sequence against a board. Every step of the host takes up to jitter
// longer than meant. It checks the outcome against the circuit's own arithmetic.
func race(t *testing.T, r *rand.Rand, tight bool, hold time.Duration) (res raced) {
	res.en = board.MinEN + time.Duration(r.Int64N(int64(150*time.Millisecond-board.MinEN)))
	res.jitter = time.Duration(r.Int64N(int64(50 * time.Millisecond)))
	b, err := board.New(board.Config{EN: res.en})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	w, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	var released, low, high time.Time
	set := func(dtr, rts bool) {
		w.SetLines(dtr, rts)
		now := time.Now()
		switch {
		case rts && !dtr:
			released, low, high = time.Time{}, time.Time{}, time.Time{}
			return
		case released.IsZero():
			released = now
		}
		if dtr && !rts {
			low = now
		} else if !low.IsZero() && high.IsZero() {
			high = now
		}
	}
	nap := func(d time.Duration) { time.Sleep(d + time.Duration(r.Int64N(int64(res.jitter)+1))) }
	if tight { // one call per pair of lines
		set(false, false)
		set(true, true)
		set(false, true)
		nap(100 * time.Millisecond)
		set(true, false)
		nap(hold)
		set(false, false)
	} else { // one call per line, each waiting for its answer
		const answer = 50 * time.Millisecond
		set(false, false)
		nap(answer)
		set(false, true)
		nap(100*time.Millisecond + answer)
		set(true, true)
		nap(answer)
		set(true, false)
		nap(hold + answer)
		set(false, false)
	}
	time.Sleep(time.Second)
	res.right = b.Status().State == board.StateROM
	sampled := released.Add(res.en)
	want := !sampled.Before(low) && sampled.Before(high)
	edge := min(sampled.Sub(low).Abs(), sampled.Sub(high).Abs())
	if want != res.right && edge > 2*time.Microsecond {
		t.Fatalf("EN %v, jitter %v: right %v; IO0 was low from %v to %v after the release",
			res.en, res.jitter, res.right, low.Sub(released), high.Sub(released))
	}
	return res
}

// envelope is the widest range of EN in which at most one outcome in a thousand is
// wrong, among those with a jitter up to most.
func envelope(all []raced, most time.Duration) (from, to time.Duration, n int) {
	all = slices.DeleteFunc(slices.Clone(all), func(r raced) bool { return r.jitter > most })
	slices.SortFunc(all, func(a, b raced) int { return cmp.Compare(a.en, b.en) })
	wrong := make([]int, len(all)+1)
	for i, r := range all {
		wrong[i+1] = wrong[i]
		if !r.right {
			wrong[i+1]++
		}
	}
	for i, j := 0, 0; i < len(all); i++ {
		for j = max(j, i); j < len(all) && (wrong[j+1]-wrong[i])*1000 <= j+1-i; j++ {
		}
		if j-i > n && wrong[i+1] == wrong[i] {
			from, to, n = all[i].en, all[j-1].en, j-i
		}
	}
	return from, to, n
}

// TestMeasureResetRace runs 10,000 seeded reset sequences of each strategy and prints for which EN
// constants the strap is right, by how late the host may be.
func TestMeasureResetRace(t *testing.T) {
	const sequences = 10_000
	strategies := []struct {
		name  string
		tight bool
		hold  time.Duration
		// What esptool's own reasoning needs: these EN constants always work when
		// the host is never late.
		from, to time.Duration
	}{
		{"classic, 50 ms per line, hold 50 ms", false, 50 * time.Millisecond, 51 * time.Millisecond, 149 * time.Millisecond},
		{"classic, 50 ms per line, hold 550 ms", false, 550 * time.Millisecond, 51 * time.Millisecond, 149 * time.Millisecond},
		{"tight, hold 50 ms", true, 50 * time.Millisecond, 1 * time.Millisecond, 49 * time.Millisecond},
		{"tight, hold 550 ms", true, 550 * time.Millisecond, 1 * time.Millisecond, 149 * time.Millisecond},
	}
	const seed = 1
	results := make([][]raced, len(strategies))
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 0))
		for i := range sequences * len(strategies) {
			s := i % len(strategies)
			results[s] = append(results[s], race(t, r, strategies[s].tight, strategies[s].hold))
		}
	})
	t.Logf("%d reset sequences each, seed %d; EN constants with the right strap in >= 99.9 %%:", sequences, seed)
	for i, s := range strategies {
		for _, most := range []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond} {
			from, to, n := envelope(results[i], most)
			t.Logf("%-37s jitter <= %4v: EN %3d..%3d ms (%d sequences)", s.name, most, from.Milliseconds(), to.Milliseconds(), n)
			if most == 5*time.Millisecond && (from > s.from+8*time.Millisecond || to < s.to-8*time.Millisecond) {
				t.Errorf("%s: envelope %v..%v, want about %v..%v", s.name, from, to, s.from, s.to)
			}
		}
	}
	if from, to, _ := envelope(results[0], 20*time.Millisecond); board.DefaultEN < from || board.DefaultEN > to {
		t.Errorf("the default %v is outside the envelope %v..%v of pyserial over RFC 2217", board.DefaultEN, from, to)
	}
}
