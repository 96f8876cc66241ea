package server

import (
	"cmp"
	"io"
	"net/http"
	"time"
)

// BodyRate bounds how slowly an upload may arrive: its first Grace is free,
// then every second costs BytesPerSecond that must have arrived, and after Max
// it is over in any case. Zero fields mean the defaults.
type BodyRate struct {
	Grace          time.Duration // default 5 s
	BytesPerSecond int           // default 4,000: a poor Wi-Fi link still does 19,000 (esp32-wire 3.2)
	Max            time.Duration // default 60 s
}

func (b BodyRate) withDefaults() BodyRate {
	return BodyRate{
		cmp.Or(b.Grace, 5*time.Second),
		cmp.Or(b.BytesPerSecond, 4000),
		cmp.Or(b.Max, time.Minute),
	}
}

// due returns how long after the start the next byte must have arrived when n
// bytes have.
func (b BodyRate) due(n int64) time.Duration {
	earned := time.Duration(float64(n) / float64(b.BytesPerSecond) * float64(time.Second))
	return min(b.Grace+earned, b.Max)
}

// replyGrace is how long the answer to an upload may take to leave.
const replyGrace = 10 * time.Second

// body reads an upload's body under a BodyRate and counts it.
type body struct {
	r     io.Reader
	ctl   *http.ResponseController
	rate  BodyRate
	start time.Time
	n     int64 // bytes received
}

func newBody(w http.ResponseWriter, r *http.Request, rate BodyRate) *body {
	b := &body{r: r.Body, ctl: http.NewResponseController(w), rate: rate, start: time.Now()}
	// The body has its own bound; the listener's bound on a whole exchange
	// would cut a slow but honest camera.
	b.ctl.SetWriteDeadline(b.start.Add(rate.Max + replyGrace))
	return b
}

func (b *body) Read(p []byte) (int, error) {
	// A connection without deadlines (a test's recorder) is read without.
	b.ctl.SetReadDeadline(b.start.Add(b.rate.due(b.n)))
	n, err := b.r.Read(p)
	b.n += int64(n)
	return n, err
}

// tailGrace is how long the rest of a body is waited for that nobody needs any
// more: a final line break, or what a client still sends while it is refused.
const tailGrace = 2 * time.Second

// dropTail bounds the wait for what is left of a request's body. The next
// request on the connection is under the listener's own timeouts again.
func dropTail(w http.ResponseWriter) {
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(tailGrace))
}
