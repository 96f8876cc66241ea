package rfc2217

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// connect opens a client on a session with dev, over a pipe.
func connect(t *testing.T, dev Device, scfg ServerConfig, ccfg ClientConfig) (*Client, *Server) {
	t.Helper()
	scfg.Device = dev
	s, conn, _ := serve(t, scfg)
	c, err := NewClient(t.Context(), conn, ccfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, s
}

func TestClientSetsEverything(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(*Client) error
		want []string
	}{
		{"baud", func(c *Client) error { return c.SetBaud(460800) }, []string{"line 460800 8N1"}},
		{"baud of FF bytes", func(c *Client) error { return c.SetBaud(0x00FFFFFF) }, []string{"line 16777215 8N1"}},
		{"line", func(c *Client) error {
			return c.SetLine(Line{Baud: 9600, DataBits: 7, Parity: ParityEven, StopBits: Stop2})
		}, []string{"line 9600 8N1", "line 9600 7N1", "line 9600 7E1", "line 9600 7E2"}},
		{"nothing", func(c *Client) error { return c.SetLine(Line{}) }, nil},
		{"DTR", func(c *Client) error { return errors.Join(c.SetDTR(true), c.SetDTR(false)) }, []string{"dtr=1 rts=0", "dtr=0 rts=0"}},
		{"RTS", func(c *Client) error { return errors.Join(c.SetRTS(true), c.SetRTS(false)) }, []string{"dtr=0 rts=1", "dtr=0 rts=0"}},
		{"both at once", func(c *Client) error { return errors.Join(c.SetDTRRTS(true, true), c.SetDTRRTS(false, true)) }, []string{"dtr=1 rts=1", "dtr=0 rts=1"}},
		{"break", func(c *Client) error { return c.Break(250 * time.Millisecond) }, []string{"break=1", "break=0"}},
		{"purge", func(c *Client) error { return c.Purge(PurgeBoth) }, []string{"purge 3"}},
		{"flow", func(c *Client) error { return errors.Join(c.SetFlow(FlowHardware), c.SetFlow(FlowInNone)) }, nil},
		{"masks", func(c *Client) error { return c.SetMasks(LineBreak, 0xFF) }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dev := &device{}
				c, _ := connect(t, dev, ServerConfig{}, ClientConfig{})
				if err := tt.do(c); err != nil {
					t.Fatal(err)
				}
				dev.expect(t, tt.want...)
			})
		})
	}
}

func TestClientAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connect(t, &device{}, ServerConfig{Signature: "porthole board \xff"}, ClientConfig{})
		if err := errors.Join(c.SetDTR(true), c.SetLine(Line{Baud: 921600, Parity: ParityOdd})); err != nil {
			t.Fatal(err)
		}
		line, err := c.Line()
		if want := (Line{921600, 8, ParityOdd, Stop1}); err != nil || line != want {
			t.Errorf("line %v, %v; want %v", line, err, want)
		}
		for ask, want := range map[Control]Control{AskDTR: DTROn, AskRTS: RTSOff, AskBreak: BreakOff, AskFlow: FlowNone, AskFlowIn: FlowInNone} {
			if got, err := c.Ask(ask); err != nil || got != want {
				t.Errorf("%v answered %v, %v; want %v", ask, got, err, want)
			}
		}
		if _, err := c.Ask(RTSOn); err == nil {
			t.Error("a command was sent as a question")
		}
		if sig, err := c.AskSignature(); err != nil || sig != "porthole board \xff" {
			t.Errorf("signature %q, %v", sig, err)
		}
	})
}

func TestDataCrossesUnchangedBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 1))
		down, up := make([]byte, 50_000), make([]byte, 40_000)
		for _, b := range [][]byte{down, up} {
			for i := range b {
				b[i] = byte(rng.Uint32())
				if rng.IntN(4) == 0 {
					b[i] = 0xFF
				}
			}
		}
		dev := &device{}
		c, s := connect(t, dev, ServerConfig{}, ClientConfig{})
		go s.Write(up)
		if n, err := c.Write(down); n != len(down) || err != nil {
			t.Fatalf("wrote %d bytes, %v", n, err)
		}
		got := make([]byte, len(up))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, up) {
			t.Errorf("seed %d: towards the client: %v, equal %v", seed, err, bytes.Equal(got, up))
		}
		synctest.Wait()
		if dev.received() != string(down) {
			t.Errorf("seed %d: the line received something else than what was written", seed)
		}
	})
}

func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := connect(t, &device{}, ServerConfig{}, ClientConfig{})
		start := time.Now()
		c.SetReadDeadline(start.Add(300 * time.Millisecond))
		buf := make([]byte, 8)
		if _, err := c.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 300*time.Millisecond {
			t.Errorf("read ended after %v with %v", time.Since(start), err)
		}
		c.SetReadDeadline(time.Time{})
		s.Write([]byte("later"))
		if n, err := c.Read(buf); string(buf[:n]) != "later" || err != nil {
			t.Errorf("read %q, %v", buf[:n], err)
		}
	})
}

func TestPurgeKeepsWhatComesAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := connect(t, &device{}, ServerConfig{}, ClientConfig{})
		s.Write([]byte("boot log"))
		synctest.Wait() // it is in the client's buffer now
		if err := c.Purge(PurgeReceived); err != nil {
			t.Fatal(err)
		}
		s.Write([]byte("new"))
		buf := make([]byte, 16)
		if n, err := c.Read(buf); string(buf[:n]) != "new" || err != nil {
			t.Errorf("read %q, %v; want what came after the purge", buf[:n], err)
		}
	})
}

func TestNotificationsReachTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var modem []ModemState
		var line []LineState
		c, s := connect(t, &device{}, ServerConfig{Modem: ModemCD}, ClientConfig{
			OnModem: func(m ModemState) { modem = append(modem, m) },
			OnLine:  func(l LineState) { line = append(line, l) },
		})
		if err := c.SetMasks(LineBreak|LineOverrun, 0xFF); err != nil {
			t.Fatal(err)
		}
		s.NotifyModem(ModemCTS)
		s.NotifyLine(LineBreak)
		s.NotifyLine(LineFramingError) // not in the mask
		synctest.Wait()
		if want := []ModemState{ModemCD, ModemCTS | ModemCTSChanged | ModemCDChanged}; !slices.Equal(modem, want) {
			t.Errorf("modem states %x, want %x", modem, want)
		}
		if got := c.Modem(); got&ModemCTS == 0 {
			t.Errorf("last modem state %x", got)
		}
		if want := []LineState{LineBreak}; !slices.Equal(line, want) {
			t.Errorf("line states %x, want %x", line, want)
		}
	})
}

func TestClientSuspendsTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := connect(t, &device{}, ServerConfig{}, ClientConfig{})
		if err := c.Suspend(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.Write([]byte("held"))
		c.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := c.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %d bytes, %v while suspended", n, err)
		}
		if err := c.Resume(); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Time{})
		buf := make([]byte, 8)
		if n, err := c.Read(buf); string(buf[:n]) != "held" || err != nil {
			t.Errorf("read %q, %v", buf[:n], err)
		}
	})
}

func TestDialOverTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dev := &device{}
	ended := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			ended <- err
			return
		}
		ended <- NewServer(conn, ServerConfig{Device: dev}).Run(t.Context())
	}()
	c, err := Dial(t.Context(), ln.Addr().String(), ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDTRRTS(true, false); err != nil {
		t.Error(err)
	}
	c.Close()
	if err := <-ended; err != nil {
		t.Errorf("session ended with %v", err)
	}
	dev.expect(t, "dtr=1 rts=0")
}

// FuzzClient answers a client with arbitrary bytes: it must fail or go on, and
// end when it is closed.
func FuzzClient(f *testing.F) {
	f.Add([]byte("\xff\xfd\x2c"), []byte("\xff\xfa\x2c\x65\x00\x01\xc2\x00\xff\xf0data"))
	f.Fuzz(func(t *testing.T, hello, more []byte) {
		synctest.Test(t, func(t *testing.T) {
			local, remote := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				io.Copy(io.Discard, remote)
			}()
			go func() {
				remote.Write(hello)
				remote.Write(more)
			}()
			c, err := NewClient(t.Context(), local, ClientConfig{Queue: 64, Timeout: time.Second, WriteTimeout: time.Second})
			if err == nil {
				if err := c.SetBaud(115200); err == nil && !bytes.Contains(append(hello, more...), []byte{0x65}) {
					t.Error("the speed was acknowledged by nobody")
				}
				c.Ask(AskRTS)
				c.AskSignature()
				c.Line()
				c.Purge(PurgeBoth)
				c.SetReadDeadline(time.Now().Add(time.Second))
				io.Copy(io.Discard, c)
				if n := c.rx.Len(); n > 64 {
					t.Errorf("%d received bytes wait", n)
				}
				c.Close()
			}
			remote.Close()
			<-done
		})
	})
}
