package rfc2217

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// script is a server that does what a test tells it.
type script struct {
	t    *testing.T
	conn net.Conn
}

// open returns a client whose server has agreed on COM-PORT and then says what
// reply returns for every command, or nothing for nil.
func open(t *testing.T, cfg ClientConfig, reply func(cmd Command, payload []byte) []byte) (*Client, *script) {
	t.Helper()
	local, remote := net.Pipe()
	sc := &script{t, remote}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var p Parser
		buf := make([]byte, 1024)
		for {
			n, err := remote.Read(buf)
			if err != nil {
				return
			}
			for tok, rest, ok := p.Next(buf[:n]); ok; tok, rest, ok = p.Next(rest) {
				switch {
				case tok.Kind == TokenVerb && tok.Verb == WILL && tok.Option == OptComPort:
					remote.Write(AppendVerb(nil, DO, OptComPort))
				case tok.Kind == TokenSub && reply != nil:
					if out := reply(Command(tok.Data[0]), bytes.Clone(tok.Data[1:])); out != nil {
						remote.Write(out)
					}
				}
			}
		}
	}()
	c, err := NewClient(t.Context(), local, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		remote.Close()
		<-done
	})
	return c, sc
}

func TestNegotiationFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		server func(net.Conn)
		want   error
		text   string
		after  time.Duration
	}{
		{"refused", func(c net.Conn) { c.Write([]byte{IAC, DONT, byte(OptComPort)}) }, ErrNotComPort, "refuses", 0},
		{"silent", func(net.Conn) {}, ErrNotComPort, "no answer within 3s", 3 * time.Second},
		{"not Telnet", func(c net.Conn) { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); c.Close() }, io.EOF, "closed the connection", 0},
		{"hangs up", func(c net.Conn) { c.Close() }, io.EOF, "", 0},
		{"garbage", func(c net.Conn) { c.Write([]byte{IAC, SB, byte(OptComPort), IAC, WILL}) }, ErrBadSub, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				local, remote := net.Pipe()
				defer remote.Close()
				go func() {
					io.CopyN(io.Discard, remote, 15) // the five proposals
					tt.server(remote)
					io.Copy(io.Discard, remote)
				}()
				start := time.Now()
				c, err := NewClient(t.Context(), local, ClientConfig{})
				if c != nil || !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("client %v, error %v; want %v with %q", c, err, tt.want, tt.text)
				}
				if d := time.Since(start); d != tt.after {
					t.Errorf("it took %v, want %v", d, tt.after)
				}
			})
		})
	}
}

func TestDialHonoursItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		local, remote := net.Pipe()
		defer remote.Close()
		go io.Copy(io.Discard, remote)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := NewClient(ctx, local, ClientConfig{}); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the context's", err)
		}
	})
}

func TestRejectedValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connect(t, &device{baudLock: 115200}, ServerConfig{}, ClientConfig{})
		start := time.Now()
		err := c.SetBaud(3_000_000)
		rejected, ok := errors.AsType[*RejectedError](err)
		if !ok || !bytes.Equal(rejected.Got, []byte{0, 1, 0xC2, 0}) {
			t.Errorf("error %v, want a rejection with 115200", err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("the rejection was noticed after %v, want at once", d)
		}
	})
}

func TestLateAcknowledgementIsNotTakenForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mute atomic.Bool
		mute.Store(true)
		c, _ := open(t, ClientConfig{}, func(cmd Command, payload []byte) []byte {
			if mute.Load() {
				return nil
			}
			var late []byte
			if Control(payload[0]) == RTSOff { // only now comes what the first command waited for
				late = AppendCommand(nil, FromServer+cmd, byte(RTSOn))
			}
			return AppendCommand(late, FromServer+cmd, payload...)
		})
		start := time.Now()
		err := c.SetRTS(true)
		if !errors.Is(err, ErrNoAck) || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Fatalf("error %v after %v, want no acknowledgement after 3s", err, time.Since(start))
		}
		mute.Store(false)
		if err := c.SetRTS(false); err != nil {
			t.Errorf("after a late acknowledgement: %v", err)
		}
		if err := c.SetDTR(true); err != nil {
			t.Errorf("the other line: %v", err)
		}
	})
}

func TestServerThatNeverAcknowledgesControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan Control, 2)
		c, _ := open(t, ClientConfig{NoControlAck: true}, func(cmd Command, payload []byte) []byte {
			if cmd == CmdControl {
				seen <- Control(payload[0])
			}
			return nil
		})
		start := time.Now()
		if err := c.SetDTRRTS(false, true); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 100*time.Millisecond {
			t.Errorf("the change took %v, want the pause of 100ms", d)
		}
		if first, second := <-seen, <-seen; first != DTROff || second != RTSOn {
			t.Errorf("server saw %v, %v; want DTR first", first, second)
		}
	})
}

func TestServerSuspendsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sc := open(t, ClientConfig{}, nil)
		sc.conn.Write(AppendCommand(nil, FromServer+CmdSuspend))
		synctest.Wait()
		time.AfterFunc(2*time.Second, func() { sc.conn.Write(AppendCommand(nil, FromServer+CmdResume)) })
		start := time.Now()
		if _, err := c.Write([]byte("x")); err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("write ended after %v with %v, want 2s and no error", time.Since(start), err)
		}
		sc.conn.Write(AppendCommand(nil, FromServer+CmdSuspend))
		synctest.Wait()
		start = time.Now()
		if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("write ended after %v with %v, want the deadline after 10s", time.Since(start), err)
		}
		if err := c.Err(); err != nil {
			t.Errorf("nothing was sent, yet the session ended: %v", err)
		}
	})
}

func TestServerAsksForTheSignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan string, 1)
		_, sc := open(t, ClientConfig{Signature: "rig"}, func(cmd Command, payload []byte) []byte {
			if cmd == CmdSignature {
				got <- string(payload)
			}
			return nil
		})
		sc.conn.Write(AppendCommand(nil, FromServer+CmdSignature))
		if s := <-got; s != "rig" {
			t.Errorf("signature %q", s)
		}
	})
}

func TestLostServerEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sc := open(t, ClientConfig{}, nil)
		result := make(chan error, 2)
		go func() { result <- c.SetDTR(true) }()
		go func() { _, err := c.Read(make([]byte, 1)); result <- err }()
		synctest.Wait()
		sc.conn.Close()
		for range 2 {
			if err := <-result; !errors.Is(err, io.EOF) {
				t.Errorf("error %v, want the end of the connection", err)
			}
		}
		if err := c.SetBaud(9600); err == nil {
			t.Error("a command succeeded on a dead session")
		}
		if _, err := c.Write([]byte("x")); err == nil {
			t.Error("a write succeeded on a dead session")
		}
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func TestCloseWakesReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connect(t, &device{}, ServerConfig{}, ClientConfig{})
		result := make(chan error)
		go func() { _, err := c.Read(make([]byte, 1)); result <- err }()
		synctest.Wait()
		c.Close()
		if err := <-result; !errors.Is(err, net.ErrClosed) {
			t.Errorf("read ended with %v, want %v", err, net.ErrClosed)
		}
	})
}
