package shutoff_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"porthole/hil"
	"porthole/hil/hiltest"
	"porthole/hil/shutoff"
	"porthole/internal/rfc2217"
	"porthole/sim/board"
)

// circuit is the two transistors of a spare adapter: on for one combination of
// its lines (esp32-wire 5.3). It counts how often the camera came on.
type circuit struct {
	mu       sync.Mutex
	dtr, rts bool
	on       int
	rail     func(cut bool) // the camera's supply; may be nil
}

func (c *circuit) set(dtr, rts bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.powered()
	c.dtr, c.rts = dtr, rts
	if c.powered() && !was {
		c.on++
	}
	if c.rail != nil && c.powered() != was {
		c.rail(!c.powered())
	}
}

func (c *circuit) powered() bool { return c.rts && !c.dtr }

func (c *circuit) state() (on bool, count int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.powered(), c.on
}

// adapterPort is a port on a circuit. One by one means that its driver moves a
// line after the other.
type adapterPort struct {
	*hiltest.Port
	c        *circuit
	oneByOne bool
	hangUp   bool
	hangErr  error
}

func (p *adapterPort) SetLines(dtr, rts bool) error {
	if err := p.Port.SetLines(dtr, rts); err != nil {
		return err
	}
	if p.oneByOne {
		p.c.set(dtr, p.c.rts)
	}
	p.c.set(dtr, rts)
	return nil
}

func (p *adapterPort) SetHangUp(on bool) error {
	p.hangUp = on
	return p.hangErr
}

func newRTS(t testing.TB) (shutoff.Pin, *adapterPort, *hiltest.Far) {
	t.Helper()
	near, far := hiltest.Pipe()
	port := &adapterPort{Port: near, c: &circuit{dtr: true, rts: true}} // just opened
	pin, err := shutoff.RTS(port, "rts:fake")
	if err != nil {
		t.Fatal(err)
	}
	return pin, port, far
}

func TestRTS(t *testing.T) {
	for _, oneByOne := range []bool{false, true} {
		pin, port, far := newRTS(t)
		port.oneByOne = oneByOne
		if !port.hangUp {
			t.Error("the lines stay when the process dies")
		}
		sw, err := shutoff.New(shutoff.Config{Pin: pin, Safe: shutoff.SafeLow})
		if err != nil {
			t.Fatal(err)
		}
		if on, n := port.c.state(); on || n != 0 {
			t.Errorf("one by one %v: opening switched the camera on", oneByOne)
		}
		if err := sw.On(time.Minute); err != nil {
			t.Fatal(err)
		}
		if on, n := port.c.state(); !on || n != 1 {
			t.Errorf("one by one %v: on %v, %d times", oneByOne, on, n)
		}
		if err := errors.Join(sw.Off(), sw.On(time.Minute), sw.Close()); err != nil {
			t.Fatal(err)
		}
		if on, n := port.c.state(); on || n != 2 {
			t.Errorf("one by one %v: on %v, %d times", oneByOne, on, n)
		}
		// One call for each change, but for the first.
		var calls []string
		for _, c := range far.Changes() {
			calls = append(calls, c.String()[:11])
		}
		if len(calls) < 5 || calls[0] != "dtr=1 rts=0" || calls[1] != "dtr=0 rts=0" || calls[2] != "dtr=0 rts=1" {
			t.Errorf("calls %q", calls)
		}
		if err := pin.Out(true); !errors.Is(err, shutoff.ErrClosed) {
			t.Errorf("out after the end: %v", err)
		}
	}
}

func TestRTSFails(t *testing.T) {
	near, far := hiltest.Pipe()
	far.RefuseLines()
	pin, err := shutoff.RTS(near, "rts:pty")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shutoff.New(shutoff.Config{Pin: pin, Safe: shutoff.SafeLow}); !errors.Is(err, hil.ErrNoLines) {
		t.Errorf("a port without lines: %v", err)
	}
	near, _ = hiltest.Pipe()
	port := &adapterPort{Port: near, c: new(circuit), hangErr: errors.New("inappropriate")}
	if _, err := shutoff.RTS(port, "rts:x"); err == nil {
		t.Error("a port that stays on after its process was taken")
	}
	pin, port, far = newRTS(t)
	sw, err := shutoff.New(shutoff.Config{Pin: pin, Safe: shutoff.SafeLow})
	if err != nil {
		t.Fatal(err)
	}
	if err := sw.On(time.Minute); err != nil {
		t.Fatal(err)
	}
	far.FailLines(errors.New("no answer"))
	if err := sw.Off(); err == nil {
		t.Error("a failed cut was not told")
	}
	if state, _, _ := sw.Status(); state != shutoff.Unknown {
		t.Errorf("state %s", state)
	}
	_ = port
}

// device is the circuit behind a port on the network.
type device struct{ *circuit }

func (device) Write(p []byte) (int, error)                  { return len(p), nil }
func (device) SetLine(l rfc2217.Line) (rfc2217.Line, error) { return l, nil }
func (device) SetBreak(bool) error                          { return nil }
func (device) Purge(rfc2217.Purge) error                    { return nil }
func (d device) SetSignals(dtr, rts bool) error             { d.set(dtr, rts); return nil }
func (d device) serve(ctx context.Context, conn net.Conn) error {
	err := rfc2217.NewServer(conn, rfc2217.ServerConfig{Device: d}).Run(ctx)
	d.set(false, false) // the adapter's driver, when its last user is gone
	return err
}

// netPort makes an RFC 2217 client the port that the harness knows.
type netPort struct{ *rfc2217.Client }

func (p netPort) SetLines(dtr, rts bool) error { return p.SetDTRRTS(dtr, rts) }
func (p netPort) SetBaud(rate int) error       { return p.Client.SetBaud(uint32(rate)) }
func (p netPort) Discard() error               { return p.Purge(rfc2217.PurgeReceived) }

// Over the network the rail of a simulated board follows, and a connection that
// breaks cuts it.
func TestRTSOverNetwork(t *testing.T) {
	for _, end := range []string{"close", "broken"} {
		t.Run(end, func(t *testing.T) {
			b, err := board.New(board.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			b.SetShutoff(true)
			c := &circuit{rail: b.SetShutoff}
			near, far := net.Pipe()
			var wg sync.WaitGroup
			served := make(chan struct{})
			wg.Go(func() { defer close(served); _ = device{c}.serve(t.Context(), far) })
			client, err := rfc2217.NewClient(t.Context(), near, rfc2217.ClientConfig{})
			if err != nil {
				t.Fatal(err)
			}
			pin, err := shutoff.RTS(netPort{client}, "rts:net")
			if err != nil {
				t.Fatal(err)
			}
			sw, err := shutoff.New(shutoff.Config{Pin: pin, Safe: shutoff.SafeLow})
			if err != nil {
				t.Fatal(err)
			}
			if !b.Status().Shutoff {
				t.Error("camera on after opening")
			}
			if err := sw.On(time.Minute); err != nil {
				t.Fatal(err)
			}
			if b.Status().Shutoff {
				t.Error("camera off after on")
			}
			if end == "close" {
				if err := sw.Close(); err != nil {
					t.Error(err)
				}
			} else {
				near.Close()
			}
			<-served
			if !b.Status().Shutoff {
				t.Error("camera on after the end")
			}
			if end == "broken" {
				if err := sw.Off(); err == nil {
					t.Error("off over a broken connection was not told")
				}
			}
			if _, n := c.state(); n != 1 {
				t.Errorf("camera came on %d times", n)
			}
			wg.Wait()
		})
	}
}
