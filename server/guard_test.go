package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestLockOut: however much somebody fails, from the owner's address and in his
// name, his token works at once.
func TestLockOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := testServer(t, nil)
		s := start(t, srv)
		statuses := make(map[int]int)
		for i := range 40 {
			began := time.Now()
			resp, _ := s.send("/upload", fmt.Sprint("guess", i), "image/jpeg", shot(1))
			statuses[resp.StatusCode]++
			took := time.Since(began)
			if resp.StatusCode == 401 && (took < failureDelay || took > 2*failureDelay) {
				t.Errorf("a wrong token was answered after %v", took)
			}
			if resp.StatusCode == 429 && (took != 0 || resp.Header.Get("Retry-After") == "") {
				t.Errorf("over the budget: after %v, %v", took, resp.Header)
			}
			if resp.Header.Get("Connection") != "close" && !resp.Close {
				t.Error("the guesser keeps his connection")
			}
		}
		if statuses[401] < failureBurst || statuses[401] > failureBurst+1 || statuses[401]+statuses[429] != 40 {
			t.Errorf("answers %v", statuses)
		}
		if snap := srv.cfg.Events.Snapshot(); snap.Rejected != uint64(statuses[401]) {
			t.Errorf("%d events for %d failures", snap.Rejected, 40)
		}
		began := time.Now()
		s.upload(shot(5))
		if took := time.Since(began); took != 0 || s.shown() != 5 {
			t.Errorf("the owner waited %v", took)
		}
		time.Sleep(failureEvery)
		if resp, _ := s.send("/upload", "again", "image/jpeg", shot(1)); resp.StatusCode != 401 {
			t.Errorf("after a while: %s", resp.Status)
		}
	})
}

// TestDelayedFailuresAreBounded: failures that wait for their answer hold a
// bounded number of connections, and no upload's place.
func TestDelayedFailuresAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		g.failures = newLimiter(1000, time.Second, 1000)
		done := make(chan time.Duration, 200)
		for range cap(done) {
			go func() {
				began := time.Now()
				g.refuse(t.Context(), netip.Addr{}, &problem{status: http.StatusUnauthorized})
				done <- time.Since(began)
			}()
		}
		held := 0
		for range cap(done) {
			if <-done > 0 {
				held++
			}
		}
		if held != maxDelayed {
			t.Errorf("%d of %d were held, want %d", held, cap(done), maxDelayed)
		}
	})
}

func TestLimiter(t *testing.T) {
	now := epoch
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	burst := func(l *limiter, a netip.Addr) (n int) {
		for l.allow(a, now) == 0 {
			n++
		}
		return n
	}
	l := newLimiter(5, time.Second, 3)
	if n := burst(l, one); n != 5 {
		t.Errorf("burst of %d", n)
	}
	if n := burst(l, two); n != 5 {
		t.Errorf("burst of %d from a second address", n)
	}
	if wait := l.allow(one, now); wait != time.Second {
		t.Errorf("wait %v", wait)
	}
	now = now.Add(1500 * time.Millisecond)
	if n := burst(l, one); n != 1 {
		t.Errorf("%d after one and a half intervals", n)
	}
	if wait := l.allow(one, now); wait != 500*time.Millisecond {
		t.Errorf("wait %v", wait)
	}
	now = now.Add(time.Hour)
	all := 0
	for i := range 100 {
		all += burst(l, netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}))
	}
	if all != 15 {
		t.Errorf("%d from all addresses together, want 3 bursts", all)
	}
	now = now.Add(-time.Minute) // a clock that is set back brings nothing and breaks nothing
	if n := burst(l, netip.MustParseAddr("203.0.113.1")); n != 0 {
		t.Errorf("%d after the clock was set back", n)
	}
}

// TestLimiterMemory: millions of addresses are not remembered.
func TestLimiterMemory(t *testing.T) {
	l := newLimiter(1, time.Second, 1<<20)
	for i := range 3 * maxSources {
		l.allow(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), epoch)
	}
	if len(l.sources) != maxSources || l.order.Len() != maxSources {
		t.Errorf("%d sources, %d in order", len(l.sources), l.order.Len())
	}
}

func TestPrefixOf(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::1%eth1", true},
	} {
		if got := prefixOf(netip.MustParseAddr(tt.a)) == prefixOf(netip.MustParseAddr(tt.b)); got != tt.same {
			t.Errorf("%s and %s are the same source: %v", tt.a, tt.b, got)
		}
	}
	if prefixOf(netip.Addr{}) != prefixOf(netip.Addr{}) {
		t.Error("no address is not one source")
	}
}
