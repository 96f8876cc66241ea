package rfc2217

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// talk sends one side of a dialogue and compares the other, byte for byte.
func talk(t *testing.T, conn net.Conn, send, want string) {
	t.Helper()
	if _, err := conn.Write(unhex(t, send)); err != nil {
		t.Fatalf("send %s: %v", send, err)
	}
	expect(t, conn, send, want)
}

func expect(t *testing.T, conn net.Conn, after, want string) {
	t.Helper()
	w := unhex(t, want)
	got := make([]byte, len(w))
	conn.SetReadDeadline(time.Now().Add(time.Second))
	n, err := io.ReadFull(conn, got)
	if (err != nil && len(w) > 0) || !bytes.Equal(got, w) {
		t.Fatalf("after %s: got % x (%v), want % x", after, got[:n], err, w)
	}
	quiet(t, conn, after)
}

// quiet fails when the server says anything more.
func quiet(t *testing.T, conn net.Conn, after string) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(time.Second))
	var buf [64]byte
	if n, err := conn.Read(buf[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("after %s: unexpected % x (%v)", after, buf[:n], err)
	}
}

// TestPyserialConnects replays what pyserial 3.5 sends when it opens a port and
// resets a board, in its order (esp32-serial 3.4), and compares every answer.
func TestPyserialConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev := &device{}
		_, conn, _ := serve(t, ServerConfig{Device: dev})
		for _, step := range []struct {
			name, send, want string
			device           []string
		}{
			{"open", "FFFD01 FFFB03 FFFD03 FFFD2C FFFB2C",
				"FFFB01 FFFD03 FFFB03 FFFB2C FFFA2C6B00FFF0 FFFD2C", nil},
			{"9600 8N1", "FFFA2C0100002580FFF0 FFFA2C0208FFF0 FFFA2C0301FFF0 FFFA2C0401FFF0",
				"FFFA2C6500002580FFF0 FFFA2C6608FFF0 FFFA2C6701FFF0 FFFA2C6801FFF0", []string{"line 9600 8N1"}},
			{"no flow control", "FFFA2C0501FFF0", "FFFA2C6901FFF0", nil},
			{"DTR on", "FFFA2C0508FFF0", "FFFA2C6908FFF0", []string{"dtr=1 rts=0"}},
			{"RTS on", "FFFA2C050BFFF0", "FFFA2C690BFFF0", []string{"dtr=1 rts=1"}},
			{"purge received", "FFFA2C0C01FFF0", "FFFA2C7001FFF0", []string{"purge 1"}},
			{"purge send", "FFFA2C0C02FFF0", "FFFA2C7002FFF0", []string{"purge 2"}},
			{"115200", "FFFA2C010001C200FFF0 FFFA2C0208FFF0 FFFA2C0301FFF0 FFFA2C0401FFF0",
				"FFFA2C650001C200FFF0 FFFA2C6608FFF0 FFFA2C6701FFF0 FFFA2C6801FFF0", []string{"line 115200 8N1"}},
			{"no flow control again", "FFFA2C0501FFF0", "FFFA2C6901FFF0", nil},
			{"reset: D0", "FFFA2C0509FFF0", "FFFA2C6909FFF0", []string{"dtr=0 rts=1"}},
			{"reset: R1", "FFFA2C050BFFF0", "FFFA2C690BFFF0", []string{"dtr=0 rts=1"}},
			{"reset: D1", "FFFA2C0508FFF0", "FFFA2C6908FFF0", []string{"dtr=1 rts=1"}},
			{"reset: R0", "FFFA2C050CFFF0", "FFFA2C690CFFF0", []string{"dtr=1 rts=0"}},
			{"reset: D0 last", "FFFA2C0509FFF0", "FFFA2C6909FFF0", []string{"dtr=0 rts=0"}},
		} {
			talk(t, conn, step.send, step.want)
			dev.expect(t, step.device...)
			if t.Failed() {
				t.Fatalf("at %q", step.name)
			}
		}
		conn.Write([]byte("a\xff\xffb"))
		synctest.Wait()
		if got := dev.received(); got != "a\xffb" {
			t.Errorf("line received %q", got)
		}
	})
}

// agreed opens a session up to the agreement on COM-PORT.
func agreed(t *testing.T, conn net.Conn) {
	t.Helper()
	talk(t, conn, "FFFB2C", "FFFD2C FFFA2C6B00FFF0")
}

func TestServerAnswersEveryCommand(t *testing.T) {
	for _, tt := range []struct {
		name, send, want string
		device           []string
	}{
		{"signature asked", "FFFA2C00FFF0", "FFFA2C64 626F617264 FFF0", nil},
		{"signature told", "FFFA2C00 6D65 FFF0", "", nil},
		{"baud asked", "FFFA2C0100000000FFF0", "FFFA2C650001C200FFF0", nil},
		{"baud cut short is a question", "FFFA2C0101FFF0", "FFFA2C650001C200FFF0", nil},
		{"baud with FF in it", "FFFA2C010000FFFF00FFF0", "FFFA2C650000FFFF00FFF0", []string{"line 65280 8N1"}},
		{"same baud does not touch the line", "FFFA2C010001C200FFF0", "FFFA2C650001C200FFF0", nil},
		{"data size asked", "FFFA2C0200FFF0", "FFFA2C6608FFF0", nil},
		{"data size 7", "FFFA2C0207FFF0", "FFFA2C6607FFF0", []string{"line 115200 7N1"}},
		{"data size 9 is refused", "FFFA2C0209FFF0", "FFFA2C6608FFF0", nil},
		{"parity asked", "FFFA2C0300FFF0", "FFFA2C6701FFF0", nil},
		{"parity even", "FFFA2C0303FFF0", "FFFA2C6703FFF0", []string{"line 115200 8E1"}},
		{"parity 6 is refused", "FFFA2C0306FFF0", "FFFA2C6701FFF0", nil},
		{"stop bits asked", "FFFA2C0400FFF0", "FFFA2C6801FFF0", nil},
		{"stop bits 1.5", "FFFA2C0403FFF0", "FFFA2C6803FFF0", []string{"line 115200 8N1.5"}},
		{"stop bits without a value", "FFFA2C04FFF0", "FFFA2C6801FFF0", nil},
		{"flow asked", "FFFA2C0500FFF0", "FFFA2C6901FFF0", nil},
		{"flow hardware, then asked", "FFFA2C0503FFF0 FFFA2C0500FFF0", "FFFA2C6903FFF0 FFFA2C6903FFF0", nil},
		{"flow by DSR, then asked", "FFFA2C0513FFF0 FFFA2C0500FFF0", "FFFA2C6913FFF0 FFFA2C6913FFF0", nil},
		{"inbound flow asked", "FFFA2C050DFFF0", "FFFA2C690EFFF0", nil},
		{"inbound flow by DTR, then asked", "FFFA2C0512FFF0 FFFA2C050DFFF0", "FFFA2C6912FFF0 FFFA2C6912FFF0", nil},
		{"break asked", "FFFA2C0504FFF0", "FFFA2C6906FFF0", nil},
		{"break on, asked, off", "FFFA2C0505FFF0 FFFA2C0504FFF0 FFFA2C0506FFF0", "FFFA2C6905FFF0 FFFA2C6905FFF0 FFFA2C6906FFF0", []string{"break=1", "break=0"}},
		{"DTR asked", "FFFA2C0507FFF0", "FFFA2C6909FFF0", nil},
		{"RTS asked", "FFFA2C050AFFF0", "FFFA2C690CFFF0", nil},
		{"pair in one piece is one change", "FFFA2C0508FFF0 FFFA2C050BFFF0", "FFFA2C6908FFF0 FFFA2C690BFFF0", []string{"dtr=1 rts=1"}},
		{"asked in the middle of a pair", "FFFA2C0508FFF0 FFFA2C0507FFF0 FFFA2C050BFFF0", "FFFA2C6908FFF0 FFFA2C6908FFF0 FFFA2C690BFFF0", []string{"dtr=1 rts=1"}},
		{"same line twice is two changes", "FFFA2C050BFFF0 FFFA2C050CFFF0", "FFFA2C690BFFF0 FFFA2C690CFFF0", []string{"dtr=0 rts=1", "dtr=0 rts=0"}},
		{"a pair and back in one piece", "FFFA2C0508FFF0 FFFA2C050BFFF0 FFFA2C0509FFF0 FFFA2C050CFFF0",
			"FFFA2C6908FFF0 FFFA2C690BFFF0 FFFA2C6909FFF0 FFFA2C690CFFF0", []string{"dtr=1 rts=1", "dtr=0 rts=0"}},
		{"lines change before a purge", "FFFA2C0508FFF0 FFFA2C0C03FFF0", "FFFA2C6908FFF0 FFFA2C7003FFF0", []string{"dtr=1 rts=0", "purge 3"}},
		{"unknown control is echoed", "FFFA2C0540FFF0", "FFFA2C6940FFF0", nil},
		{"line state asked", "FFFA2C06FFF0", "FFFA2C6A00FFF0", nil},
		{"modem state asked", "FFFA2C07FFF0", "FFFA2C6B00FFF0", nil},
		{"line mask", "FFFA2C0A10FFF0", "FFFA2C6E10FFF0", nil},
		{"modem mask FF", "FFFA2C0BFFFFFFF0", "FFFA2C6FFFFFFFF0", nil},
		{"purge of nothing", "FFFA2C0C07FFF0", "FFFA2C7007FFF0", nil},
		{"unknown command", "FFFA2C3001FFF0", "", nil},
		{"empty command", "FFFA2CFFF0", "", nil},
		{"other option's subnegotiation", "FFFA1801FFF0", "", nil},
		{"unknown option is refused once", "FFFD18 FFFD18 FFFB18 FFFB18", "FFFC18 FFFE18", nil},
		{"client may not echo", "FFFB01", "FFFE01", nil},
		{"keep-alive", "FFF1", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dev := &device{}
				_, conn, _ := serve(t, ServerConfig{Device: dev, Signature: "board"})
				agreed(t, conn)
				talk(t, conn, tt.send, tt.want)
				dev.expect(t, tt.device...)
			})
		})
	}
}

func TestServerIgnoresCommandsBeforeTheAgreement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev := &device{}
		s, conn, _ := serve(t, ServerConfig{Device: dev})
		s.NotifyModem(ModemCTS)
		talk(t, conn, "FFFA2C050BFFF0", "")
		dev.expect(t)
		talk(t, conn, "FFFD2C", "FFFB2C FFFA2C6B10FFF0") // the state is reported once it is agreed
	})
}

// A flasher pads blocks with thousands of FF, each of them an escape sequence. A
// paced line spends a pause per call, so they must come in few.
func TestPaddingIsWrittenInOnePiece(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev := &device{}
		_, conn, _ := serve(t, ServerConfig{Device: dev})
		agreed(t, conn)
		pad := bytes.Repeat([]byte{0xFF}, 1000)
		conn.Write(AppendCommand(AppendData(nil, pad), CmdControl, byte(RTSOn)))
		expect(t, conn, "padding", "FFFA2C690BFFF0")
		if got := dev.received(); got != string(pad) || dev.writes != 1 {
			t.Errorf("the line got %d bytes in %d calls, want 1000 in 1", len(got), dev.writes)
		}
	})
}

func TestServerAnswersWithTheSpeedInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, conn, _ := serve(t, ServerConfig{Device: &device{baudLock: 115107}})
		agreed(t, conn)
		talk(t, conn, "FFFA2C0100070800FFF0", "FFFA2C650001C1A3FFF0")
	})
}

func TestNotifications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn, _ := serve(t, ServerConfig{Device: &device{}, Modem: ModemDSR})
		talk(t, conn, "FFFB2C", "FFFD2C FFFA2C6B20FFF0")
		s.NotifyModem(ModemDSR)
		expect(t, conn, "no change", "")
		s.NotifyModem(ModemDSR | ModemCTS)
		expect(t, conn, "CTS rises", "FFFA2C6B31FFF0")
		s.NotifyModem(ModemCTS)
		expect(t, conn, "DSR falls", "FFFA2C6B12FFF0")
		s.NotifyLine(LineBreak)
		expect(t, conn, "break, masked", "")
		talk(t, conn, "FFFA2C0A10FFF0 FFFA2C0B00FFF0", "FFFA2C6E10FFF0 FFFA2C6F00FFF0")
		s.NotifyLine(LineBreak)
		expect(t, conn, "break", "FFFA2C6A10FFF0")
		s.NotifyModem(0)
		expect(t, conn, "CTS falls, masked", "")
	})
}

func TestSuspendedFlowHoldsDataNotAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn, _ := serve(t, ServerConfig{Device: &device{}})
		agreed(t, conn)
		talk(t, conn, "FFFA2C08FFF0", "")
		s.Write([]byte("log"))
		talk(t, conn, "FFFA2C0507FFF0", "FFFA2C6909FFF0")
		talk(t, conn, "FFFA2C09FFF0", "6C6F67")
	})
}

func TestPurgeRemovesWhatWasNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn, _ := serve(t, ServerConfig{Device: &device{}})
		agreed(t, conn)
		talk(t, conn, "FFFA2C08FFF0", "")
		s.Write([]byte("old"))
		talk(t, conn, "FFFA2C0C02FFF0", "FFFA2C7002FFF0") // the other direction
		talk(t, conn, "FFFA2C0C01FFF0", "FFFA2C7001FFF0")
		s.Write([]byte("new"))
		talk(t, conn, "FFFA2C09FFF0", "6E6577")
	})
}

func TestSlowClientLosesDataAndIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const queue = 100
		s, conn, _ := serve(t, ServerConfig{Device: &device{}, Queue: queue, WriteTimeout: time.Hour})
		agreed(t, conn)
		talk(t, conn, "FFFA2C0A02FFF0", "FFFA2C6E02FFF0") // overrun, please
		talk(t, conn, "FFFA2C08FFF0", "")
		s.Write(bytes.Repeat([]byte{'a'}, queue))
		if n := s.Dropped(); n != 0 {
			t.Fatalf("%d bytes dropped from a queue that was just filled", n)
		}
		s.Write([]byte("xyz"))
		if n := s.Dropped(); n != 3 {
			t.Errorf("%d bytes dropped, want 3", n)
		}
		expect(t, conn, "the overrun", "FFFA2C6A02FFF0")
		talk(t, conn, "FFFA2C09FFF0", strings.Repeat("61", queue))
	})
}

func TestSessionEnds(t *testing.T) {
	broken := errors.New("unplugged")
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, s *Server, dev *device, conn net.Conn, cancel context.CancelCauseFunc)
		want error
	}{
		{"client leaves", func(t *testing.T, _ *Server, _ *device, conn net.Conn, _ context.CancelCauseFunc) {
			conn.Close()
		}, nil},
		{"context ends", func(t *testing.T, _ *Server, _ *device, _ net.Conn, cancel context.CancelCauseFunc) {
			cancel(broken)
		}, broken},
		{"device fails on a line", func(t *testing.T, _ *Server, dev *device, conn net.Conn, _ context.CancelCauseFunc) {
			agreed(t, conn)
			dev.fail = broken
			conn.Write(unhex(t, "FFFA2C050BFFF0"))
		}, broken},
		{"device fails on data", func(t *testing.T, _ *Server, dev *device, conn net.Conn, _ context.CancelCauseFunc) {
			dev.fail = broken
			conn.Write([]byte("x"))
		}, broken},
		{"stream is broken", func(t *testing.T, _ *Server, _ *device, conn net.Conn, _ context.CancelCauseFunc) {
			conn.Write(unhex(t, "FFFA2C05FFFB"))
		}, ErrBadSub},
		{"client reads nothing", func(t *testing.T, s *Server, _ *device, _ net.Conn, _ context.CancelCauseFunc) {
			s.Write([]byte("log"))
			time.Sleep(11 * time.Second)
		}, os.ErrDeadlineExceeded},
		{"client asks and never reads", func(t *testing.T, s *Server, _ *device, conn net.Conn, _ context.CancelCauseFunc) {
			conn.Write(unhex(t, "FFFB2C"))
			question := unhex(t, strings.Repeat("FFFA2C07FFF0", 100))
			conn.SetWriteDeadline(time.Now().Add(time.Minute))
			for range 1000 { // 600 kB of questions
				if _, err := conn.Write(question); err != nil {
					return
				}
			}
			t.Error("the server took every question of a client that reads no answer")
		}, os.ErrDeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				local, remote := net.Pipe()
				defer local.Close()
				dev := &device{}
				s := NewServer(remote, ServerConfig{Device: dev})
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				ended := make(chan error, 1)
				go func() { ended <- s.Run(ctx) }()
				tt.do(t, s, dev, local, cancel)
				synctest.Wait()
				select {
				case err := <-ended:
					if !errors.Is(err, tt.want) {
						t.Errorf("session ended with %v, want %v", err, tt.want)
					}
				default:
					t.Error("the session goes on")
				}
				if n, _ := s.Write([]byte("late")); n != 4 { // harmless
					t.Errorf("write after the end took %d bytes", n)
				}
			})
		})
	}
}

// FuzzServerSession sends arbitrary bytes. The session must end when the client
// leaves, and hold no more memory than its bounds.
func FuzzServerSession(f *testing.F) {
	f.Add([]byte("\xff\xfb\x2c\xff\xfa\x2c\x05\x0b\xff\xf0data"), []byte("log\xff"))
	f.Fuzz(func(t *testing.T, in, line []byte) {
		local, remote := net.Pipe()
		s := NewServer(remote, ServerConfig{Device: &device{}, Queue: 64, Signature: "s"})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.Run(context.Background())
		}()
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			io.Copy(io.Discard, local)
		}()
		half := len(in) / 2
		local.Write(in[:half])
		s.Write(line)
		s.NotifyModem(ModemState(len(in)))
		local.Write(in[half:])
		s.out.mu.Lock()
		if s.out.data > 64 || s.out.control > maxAnswers {
			t.Errorf("%d bytes of data and %d of answers wait", s.out.data, s.out.control)
		}
		s.out.mu.Unlock()
		local.Close()
		<-ended
		<-drained
	})
}
