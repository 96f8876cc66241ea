package loadtest

import (
	"io"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// attackName is the name of the attack in Vegeta's results.
const attackName = "porthole"

// poll is what is known about one hit, from its plan to its result. It is
// written by the pacer, then by the worker that makes the hit, then read by the
// consumer of results; channels in between order these.
type poll struct {
	viewer  int32
	planned time.Time
	sent    time.Time
	seq     uint64 // among the polls that were sent
	bytes   int    // of the body
	failure failure
	skipped bool
}

// ledger connects the three places where Vegeta shows a hit: the pacer knows the
// hit's number before it is made, the transport finds it in the X-Vegeta-Seq
// header, the result carries it. Hits and numbers are equal sets, although two
// workers may swap neighbours, which is harmless. It holds the polls in flight
// and no others.
type ledger struct {
	mu    sync.Mutex
	polls map[uint64]*poll
	sent  uint64
}

func newLedger() *ledger { return &ledger{polls: make(map[uint64]*poll)} }

func (l *ledger) plan(hit uint64, viewer int32, due time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.polls[hit] = &poll{viewer: viewer, planned: due}
}

// get returns the poll of a hit, nil if there is none.
func (l *ledger) get(hit uint64) *poll {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.polls[hit]
}

// send numbers a poll that goes out.
func (l *ledger) send(p *poll, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.sent, p.seq = at, l.sent
	l.sent++
}

func (l *ledger) take(hit uint64) *poll {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.polls[hit]
	delete(l.polls, hit)
	return p
}

// resultLog is what became of the results.
type resultLog struct {
	written uint64
	err     error // the first one; nothing is written after it
}

// logResults consumes the hits of an attack until it ends and writes those that
// were sent to w, if any. Bodies and headers are left out (they were never
// kept), the byte count is filled in, error texts are failure classes, and
// sequence numbers are without gaps, which `vegeta plot` needs.
func logResults(hits <-chan *vegeta.Result, l *ledger, w io.Writer) (log resultLog) {
	var enc vegeta.Encoder
	if w != nil {
		enc = vegeta.NewEncoder(w)
	}
	for res := range hits {
		p := l.take(res.Seq)
		if enc == nil || log.err != nil || p == nil || p.skipped {
			continue
		}
		res.Seq = p.seq
		res.BytesIn = uint64(p.bytes)
		res.Body, res.Headers = nil, nil
		res.Error = ""
		if p.failure != none {
			res.Error = p.failure.String()
		}
		if log.err = enc.Encode(res); log.err == nil {
			log.written++
		}
	}
	return log
}
