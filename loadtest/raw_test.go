package loadtest

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// TestRawLikeVegeta: both engines tell the same of the same servers, in the
// cases that truth_test.go does not have.
func TestRawLikeVegeta(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name   string
		feed   func() http.Handler
		change func(*Config)
	}{
		{"long polls", func() http.Handler { return newPushing(2*s, 100*time.Millisecond) }, func(c *Config) { c.Think = LongPoll }},
		{"long polls of nothing", func() http.Handler { return newPushing(time.Hour, 0) }, func(c *Config) { c.Think, c.Wait = LongPoll, 3*s }},
		{"timeouts", func() http.Handler {
			return newFeed(func(time.Duration) (still, time.Duration) { return still{}, time.Hour })
		}, func(c *Config) { c.Timeout = 5 * s }},
		{"statuses", func() http.Handler {
			f := newFeed(steady(2*s, 0))
			f.status = func(at time.Duration) int { return []int{200, 503, 404, 302}[int(at/s)%4] }
			return f
		}, func(*Config) {}},
		{"a connection each", func() http.Handler { return newFeed(steady(2*s, 0)) }, func(c *Config) { c.Reconnect = true }},
		{"too large", func() http.Handler { return newFeed(steady(2*s, 0)) }, func(c *Config) { c.MaxPicture = 5 }},
		{"hangs up without an answer", func() http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}, func(*Config) {}},
		{"hangs up in the middle", func() http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				w.Write([]byte("1 1"))
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			})
		}, func(*Config) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var reports [2]*Report
			for i, engine := range []Engine{Vegeta, Raw} {
				synctest.Test(t, func(t *testing.T) {
					c := Config{TargetURL: "http://feed.example/latest", Duration: 20 * s, Conditional: true, Stamper: textStamp, Engine: engine}
					tt.change(&c)
					c = c.withDefaults()
					c.Viewers = 3
					r := playStays(t, tt.feed(), c, []stay{{}, {join: 300 * time.Millisecond}, {700 * time.Millisecond, 9 * s}}).report(c)
					balance(t, r)
					r.Scenario.Engine, r.Generator, r.Series = "", Generator{}, nil
					r.Traffic.WireIn, r.Traffic.WireOut = 0, 0 // the order of the header's fields
					r.Verdict, r.Reasons = "", nil
					if r.Failures["too-large"] > 0 { // by how much is chance, and what is left on the connection too
						r.Traffic, r.Connections = Traffic{}, Connections{}
					}
					reports[i] = r
				})
			}
			if v, raw := marshal(t, reports[0]), marshal(t, reports[1]); v != raw {
				t.Errorf("vegeta\n%s\nraw\n%s", v, raw)
			}
		})
	}
}
