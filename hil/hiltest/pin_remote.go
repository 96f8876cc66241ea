package hiltest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// ServePin serves a Pin to other processes until the listener is closed. A
// connection is what an open descriptor is to the kernel: when it ends, however
// the process did, the line is released.
//
// One line each way per call: a word and an argument, "ok" with a value or "no"
// with a reason. Beside the calls of a [Handle] there are unplug and report.
func ServePin(ln net.Listener, p *Pin) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("serve pin: %w", err)
		}
		conns.Go(func() {
			defer conn.Close()
			h := p.Handle()
			defer h.Close()
			lines := bufio.NewScanner(conn)
			for lines.Scan() {
				value, err := h.command(lines.Text())
				answer := "ok " + value + "\n"
				if err != nil {
					answer = "no " + err.Error() + "\n"
				}
				if _, err := conn.Write([]byte(answer)); err != nil {
					return
				}
			}
		})
	}
}

func (h *Handle) command(line string) (string, error) {
	word, arg, _ := strings.Cut(line, " ")
	switch word {
	case "request":
		return "", h.Request(arg == "1")
	case "output":
		return "", h.Output()
	case "set":
		return "", h.Set(arg == "1")
	case "value":
		v, err := h.Value()
		return strconv.Itoa(bit(bool(v))), err
	case "close":
		return "", h.Close()
	case "allow":
		return "", h.Allow()
	case "hold":
		ns, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return "", err
		}
		return "", h.Hold(time.Duration(ns))
	case "deny":
		return "", h.Deny()
	case "unplug":
		h.p.Unplug(arg == "1")
		return "", nil
	case "report":
		b, err := json.Marshal(h.p.Report())
		return string(b), err
	}
	return "", fmt.Errorf("unknown command %q", word)
}

// RemotePin is a use of a Pin that another process plays. The calls may come
// from any goroutine.
type RemotePin struct {
	// Clumsy makes Request set the direction before the level.
	Clumsy bool

	mu   sync.Mutex
	conn net.Conn
	in   *bufio.Reader
}

// DialPin connects to the address that ServePin listens on.
func DialPin(network, address string) (*RemotePin, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, fmt.Errorf("dial pin: %w", err)
	}
	return &RemotePin{conn: conn, in: bufio.NewReader(conn)}, nil
}

func (r *RemotePin) call(format string, args ...any) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := fmt.Fprintf(r.conn, format+"\n", args...); err != nil {
		return "", err
	}
	answer, err := r.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	verdict, rest, _ := strings.Cut(strings.TrimSuffix(answer, "\n"), " ")
	if verdict != "ok" {
		return "", errors.New(rest)
	}
	return rest, nil
}

func (r *RemotePin) do(format string, args ...any) error {
	_, err := r.call(format, args...)
	return err
}

// Request, Set, Value and Close are those of a [Handle].
func (r *RemotePin) Request(level gpio.Level) error {
	if r.Clumsy {
		if err := r.do("output"); err != nil {
			return err
		}
		return r.Set(level)
	}
	return r.do("request %d", bit(bool(level)))
}

// Set changes the level of a requested line.
func (r *RemotePin) Set(level gpio.Level) error { return r.do("set %d", bit(bool(level))) }

// Value reads a requested line.
func (r *RemotePin) Value() (gpio.Level, error) {
	v, err := r.call("value")
	return v == "1", err
}

// Close gives the line back, and keeps the connection.
func (r *RemotePin) Close() error { return r.do("close") }

// Allow, Hold and Deny are those of a [Handle].
func (r *RemotePin) Allow() error { return r.do("allow") }

// Hold says until when the camera may stay on.
func (r *RemotePin) Hold(d time.Duration) error { return r.do("hold %d", d) }

// Deny says that the camera is off.
func (r *RemotePin) Deny() error { return r.do("deny") }

// Unplug takes the adapter of the line away, or puts it back.
func (r *RemotePin) Unplug(gone bool) error { return r.do("unplug %d", bit(gone)) }

// Report asks what has happened.
func (r *RemotePin) Report() (PinReport, error) {
	var rep PinReport
	text, err := r.call("report")
	if err == nil {
		err = json.Unmarshal([]byte(text), &rep)
	}
	return rep, err
}

// Hang ends the connection, as the end of the process does.
func (r *RemotePin) Hang() error { return r.conn.Close() }
