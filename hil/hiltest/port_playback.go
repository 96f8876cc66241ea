package hiltest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"porthole/hil"
	"porthole/internal/bytequeue"
)

// Playback is a port that knows its whole conversation beforehand: it takes
// what the script says the host writes, and answers what the script says the
// board answers. Anything else is a [Fault], from then on for every call. How
// the bytes are cut into calls does not matter; the order of writes, answers
// and changes does. An answer is there to be read as soon as the steps before
// it are done.
type Playback struct {
	rx *bytequeue.Queue // answers that are due

	mu    sync.Mutex
	steps []Step // what is left
	at    int    // of the first of them, from 1
	fault error
	shut  bool
}

var _ hil.Port = (*Playback)(nil)

// NewPlayback returns a port that plays steps.
func NewPlayback(steps []Step) *Playback {
	p := &Playback{rx: bytequeue.New(pipeQueue), at: 1}
	for _, s := range steps {
		s.Data = bytes.Clone(s.Data)
		p.steps = append(p.steps, s)
	}
	p.due()
	return p
}

// due hands out answers until the host has to do something.
func (p *Playback) due() {
	for len(p.steps) > 0 {
		s := p.steps[0]
		if (s.Op == OpWrite || s.Op == OpRead) && len(s.Data) == 0 {
			p.next()
			continue
		}
		if s.Op != OpRead {
			return
		}
		p.rx.Offer(s.Data)
		p.next()
	}
}

func (p *Playback) next() {
	p.steps = p.steps[1:]
	p.at++
}

// Read implements [hil.Port]. A read that could only end by the host's doing,
// with no deadline, waits for just that.
func (p *Playback) Read(b []byte) (int, error) { return p.rx.Read(b) }

// SetReadDeadline implements [hil.Port].
func (p *Playback) SetReadDeadline(t time.Time) error { return p.rx.SetReadDeadline(t) }

// Write implements [hil.Port].
func (p *Playback) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for done := 0; ; {
		switch {
		case p.shut:
			return done, os.ErrClosed
		case p.fault != nil:
			return done, p.fault
		case done == len(b):
			p.due()
			return done, nil
		case len(p.steps) == 0 || p.steps[0].Op != OpWrite:
			return done, p.fail("write %+q", b[done:])
		}
		s := &p.steps[0]
		n := min(len(s.Data), len(b)-done)
		if !bytes.Equal(s.Data[:n], b[done:done+n]) {
			return done, p.fail("write %+q", b[done:])
		}
		done += n
		if s.Data = s.Data[n:]; len(s.Data) == 0 {
			p.next()
			p.due()
		}
	}
}

// SetLines implements [hil.Port].
func (p *Playback) SetLines(dtr, rts bool) error {
	return p.step(Step{Op: OpLines, DTR: dtr, RTS: rts})
}

// SetBaud implements [hil.Port].
func (p *Playback) SetBaud(rate int) error { return p.step(Step{Op: OpBaud, Baud: rate}) }

// Discard implements [hil.Port]. Answers that are due and not read are gone.
func (p *Playback) Discard() error {
	p.rx.Discard()
	return p.step(Step{Op: OpDiscard})
}

func (p *Playback) step(s Step) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.shut:
		return os.ErrClosed
	case p.fault != nil:
		return p.fault
	case len(p.steps) == 0 || p.steps[0].String() != s.String():
		return p.fail("%v", s)
	}
	p.next()
	p.due()
	return nil
}

// fail records the first deviation. p.mu is held.
func (p *Playback) fail(format string, args ...any) error {
	want := "nothing more"
	if len(p.steps) > 0 {
		want = p.steps[0].String()
	}
	p.fault = Fault{fmt.Errorf("step %d: got %s, want %s", p.at, fmt.Sprintf(format, args...), want)}
	p.rx.Close(p.fault)
	return p.fault
}

// Close implements [hil.Port]. It fails when the script was not followed, when
// steps of it are left and when answers were not read.
func (p *Playback) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		return nil
	}
	p.shut = true
	left := p.rx.Discard()
	p.rx.Close(os.ErrClosed)
	switch {
	case p.fault != nil:
		return p.fault
	case len(p.steps) > 0:
		return Fault{fmt.Errorf("closed at step %d with %d left: %v", p.at, len(p.steps), p.steps[0])}
	case left > 0:
		return Fault{fmt.Errorf("closed with %d bytes of answers unread", left)}
	}
	return nil
}

// Record is a port that notes what passes through it, to be played again by
// [NewPlayback].
type Record struct {
	hil.Port

	mu    sync.Mutex
	steps []Step
}

// NewRecord returns a port that passes everything on to p.
func NewRecord(p hil.Port) *Record { return &Record{Port: p} }

// Steps is what has passed until now.
func (r *Record) Steps() []Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	steps := make([]Step, len(r.steps))
	for i, s := range r.steps {
		s.Data = bytes.Clone(s.Data)
		steps[i] = s
	}
	return steps
}

func (r *Record) note(s Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := len(r.steps) - 1; last >= 0 && len(s.Data) > 0 && r.steps[last].Op == s.Op {
		r.steps[last].Data = append(r.steps[last].Data, s.Data...)
		return
	}
	s.Data = bytes.Clone(s.Data)
	r.steps = append(r.steps, s)
}

// Read implements [hil.Port].
func (r *Record) Read(b []byte) (int, error) {
	n, err := r.Port.Read(b)
	if n > 0 {
		r.note(Step{Op: OpRead, Data: b[:n]})
	}
	return n, err
}

// Write implements [hil.Port]. The write is noted before its answer can be.
func (r *Record) Write(b []byte) (int, error) {
	if len(b) > 0 {
		r.note(Step{Op: OpWrite, Data: b})
	}
	n, err := r.Port.Write(b)
	if err == nil && n < len(b) {
		err = errors.New("record port: short write")
	}
	return n, err
}

// SetLines implements [hil.Port].
func (r *Record) SetLines(dtr, rts bool) error {
	r.note(Step{Op: OpLines, DTR: dtr, RTS: rts})
	return r.Port.SetLines(dtr, rts)
}

// SetBaud implements [hil.Port].
func (r *Record) SetBaud(rate int) error {
	r.note(Step{Op: OpBaud, Baud: rate})
	return r.Port.SetBaud(rate)
}

// Discard implements [hil.Port].
func (r *Record) Discard() error {
	r.note(Step{Op: OpDiscard})
	return r.Port.Discard()
}
