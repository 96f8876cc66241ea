package rfc2217

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
)

// ErrNoAck says that the server did not acknowledge a command in time. Whether
// it was carried out is not known.
var ErrNoAck = errors.New("no acknowledgement")

// RejectedError says that the server acknowledged a command with another value
// than the one asked for, which is what is in force then.
type RejectedError struct {
	Command   Command
	Want, Got []byte
}

// Error implements error.
func (e *RejectedError) Error() string {
	return fmt.Sprintf("server rejected %v: asked for % x, has % x", e.Command, e.Want, e.Got)
}

// pending is a command that waits for its acknowledgement.
type pending struct {
	cmd   Command
	group Control // of a SET-CONTROL
	send  []byte  // payload
	want  []byte  // nil accepts any value
	got   []byte
	done  bool
}

// SetBaud sets the speed of the line.
func (c *Client) SetBaud(baud uint32) error {
	_, err := c.do(command(CmdBaud, binary.BigEndian.AppendUint32(nil, baud)...))
	return wrap("set baud", err)
}

// SetLine sets the speed and framing. Fields that are zero stay as they are.
func (c *Client) SetLine(l Line) error {
	var cmds []pending
	if l.Baud != 0 {
		cmds = append(cmds, command(CmdBaud, binary.BigEndian.AppendUint32(nil, l.Baud)...))
	}
	if l.DataBits != 0 {
		cmds = append(cmds, command(CmdDataSize, l.DataBits))
	}
	if l.Parity != 0 {
		cmds = append(cmds, command(CmdParity, byte(l.Parity)))
	}
	if l.StopBits != 0 {
		cmds = append(cmds, command(CmdStopSize, byte(l.StopBits)))
	}
	_, err := c.do(cmds...)
	return wrap("set line", err)
}

// Line asks for the speed and framing that are in force.
func (c *Client) Line() (Line, error) {
	cmds, err := c.do(command(CmdBaud, 0, 0, 0, 0), command(CmdDataSize, 0), command(CmdParity, 0), command(CmdStopSize, 0))
	if err != nil {
		return Line{}, wrap("ask for line", err)
	}
	return Line{
		Baud:     binary.BigEndian.Uint32(cmds[0].got),
		DataBits: cmds[1].got[0],
		Parity:   Parity(cmds[2].got[0]),
		StopBits: StopBits(cmds[3].got[0]),
	}, nil
}

// SetDTR asserts or releases DTR.
func (c *Client) SetDTR(on bool) error {
	return wrap("set DTR", c.control(onOff(on, DTROn, DTROff)))
}

// SetRTS asserts or releases RTS.
func (c *Client) SetRTS(on bool) error {
	return wrap("set RTS", c.control(onOff(on, RTSOn, RTSOff)))
}

// SetDTRRTS sets both lines with one write to the connection, DTR first. The
// server of this package applies them in one call; others one after the other.
func (c *Client) SetDTRRTS(dtr, rts bool) error {
	return wrap("set DTR and RTS", c.control(onOff(dtr, DTROn, DTROff), onOff(rts, RTSOn, RTSOff)))
}

// SetBreak starts or ends a break condition.
func (c *Client) SetBreak(on bool) error {
	return wrap("set break", c.control(onOff(on, BreakOn, BreakOff)))
}

// Break holds a break condition for d. The line is released also when d was
// cut short by an error of the first half.
func (c *Client) Break(d time.Duration) error {
	err := c.SetBreak(true)
	if err == nil {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.done:
		}
	}
	return errors.Join(err, c.SetBreak(false))
}

// SetFlow sets the flow control, one of the Flow and FlowIn values.
func (c *Client) SetFlow(flow Control) error {
	if g := flow.group(); g != AskFlow && g != AskFlowIn {
		return fmt.Errorf("set flow control: %v is none", flow)
	}
	return wrap("set flow control", c.control(flow))
}

// Ask asks for a state, one of the Ask values of [Control]. pyserial's server does
// not answer these, nor SetMasks: the error is then [ErrNoAck].
func (c *Client) Ask(what Control) (Control, error) {
	if what != what.group() {
		return 0, fmt.Errorf("ask for state: %v is no question", what)
	}
	cmds, err := c.do(command(CmdControl, byte(what)))
	if err != nil {
		return 0, wrap("ask for state", err)
	}
	return Control(cmds[0].got[0]), nil
}

// Purge empties buffers of the server and, for received data, the client's.
// What arrives after the acknowledgement is kept.
func (c *Client) Purge(which Purge) error {
	_, err := c.do(command(CmdPurge, byte(which)))
	return wrap("purge", err)
}

// SetMasks selects the notifications to be sent.
func (c *Client) SetMasks(line LineState, modem ModemState) error {
	_, err := c.do(command(CmdLineMask, byte(line)), command(CmdModemMask, byte(modem)))
	return wrap("set masks", err)
}

// AskSignature asks who the server is. The text is the server's: untrusted.
func (c *Client) AskSignature() (string, error) {
	if _, err := c.do(command(CmdSignature)); err != nil {
		return "", wrap("ask for signature", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.signature, nil
}

// Suspend asks the server to send no data until [Client.Resume]. There is no
// acknowledgement; what is on its way still arrives.
func (c *Client) Suspend() error { return c.writeRaw(AppendCommand(nil, CmdSuspend)) }

// Resume ends a Suspend.
func (c *Client) Resume() error { return c.writeRaw(AppendCommand(nil, CmdResume)) }

// Modem is the last reported state of the inputs.
func (c *Client) Modem() ModemState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.modem
}

// command is a command that wants to hear its own value again or, if it is a
// question, any.
func command(cmd Command, payload ...byte) pending {
	p := pending{cmd: cmd, group: noGroup, send: payload}
	question := cmd <= CmdStopSize && len(bytes.Trim(payload, "\x00")) == 0
	if cmd == CmdControl && len(payload) > 0 {
		p.group = Control(payload[0]).group()
		question = p.group == Control(payload[0])
	}
	if !question {
		p.want = payload
	}
	return p
}

const noGroup Control = 0xFE

func (c *Client) control(values ...Control) error {
	var cmds []pending
	var raw []byte
	for _, v := range values {
		cmds = append(cmds, command(CmdControl, byte(v)))
		raw = AppendCommand(raw, CmdControl, byte(v))
	}
	if !c.cfg.NoControlAck {
		_, err := c.do(cmds...)
		return err
	}
	c.turn.Lock()
	defer c.turn.Unlock()
	if err := c.writeRaw(raw); err != nil {
		return err
	}
	timer := time.NewTimer(c.cfg.ControlPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-c.done:
		return c.Err()
	}
}

// do sends commands in one write and waits for their acknowledgements.
func (c *Client) do(cmds ...pending) ([]pending, error) {
	if len(cmds) == 0 {
		return nil, c.Err()
	}
	c.turn.Lock()
	defer c.turn.Unlock()

	var raw []byte
	for _, p := range cmds {
		raw = AppendCommand(raw, p.cmd, p.send...)
	}
	settled := make(chan struct{})
	c.mu.Lock()
	c.pending, c.settled = cmds, settled
	c.mu.Unlock()

	err := c.writeRaw(raw)
	if err == nil {
		timer := time.NewTimer(c.cfg.Timeout)
		defer timer.Stop()
		select {
		case <-settled:
		case <-c.done:
		case <-timer.C:
		}
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending, c.settled = nil, nil
	if err != nil {
		return nil, err
	}
	for _, p := range cmds {
		switch {
		case p.done && p.want != nil && !bytes.Equal(p.want, p.got):
			err = errors.Join(err, &RejectedError{Command: p.cmd, Want: p.want, Got: p.got})
		case p.done:
		case c.err != nil:
			return nil, c.err
		default:
			c.late[p.key()]++
			err = errors.Join(err, fmt.Errorf("%w of %v within %v: %w", ErrNoAck, p.cmd, c.cfg.Timeout, os.ErrDeadlineExceeded))
		}
	}
	return cmds, err
}

// key tells apart what can be taken for the acknowledgement of what.
func (p *pending) key() Control {
	if p.cmd == CmdControl {
		return p.group
	}
	return 0x80 | Control(p.cmd)
}

// answered takes a command of the server; it runs in the reading goroutine.
func (c *Client) answered(cmd Command, payload []byte) error {
	c.mu.Lock()
	var state byte
	if len(payload) == 1 {
		state = payload[0]
	}
	switch cmd {
	case CmdNotifyModem:
		c.modem = ModemState(state)
	case CmdSuspend:
		if c.suspended == nil {
			c.suspended = make(chan struct{})
		}
	case CmdResume:
		if c.suspended != nil {
			close(c.suspended)
			c.suspended = nil
		}
	}
	settled := c.acknowledge(cmd, payload)
	if settled && cmd == CmdSignature {
		c.signature = string(payload)
	}
	c.mu.Unlock()

	switch {
	case cmd == CmdNotifyModem && c.cfg.OnModem != nil:
		c.cfg.OnModem(ModemState(state))
	case cmd == CmdNotifyLine && c.cfg.OnLine != nil:
		c.cfg.OnLine(LineState(state))
	case cmd == CmdSignature && len(payload) == 0 && !settled: // the server asks for ours
		return c.writeRaw(AppendCommand(nil, CmdSignature, []byte(c.cfg.Signature)...))
	}
	return nil
}

// acknowledge settles the oldest pending command that the answer fits, and
// reports whether there was one. c.mu is held.
func (c *Client) acknowledge(cmd Command, payload []byte) bool {
	answer := command(cmd, payload...)
	if !answer.fits(payload) {
		return false
	}
	late := c.late[answer.key()] > 0
	for i := range c.pending {
		p := &c.pending[i]
		if p.done || p.key() != answer.key() {
			continue
		}
		if late && p.want != nil && !bytes.Equal(p.want, payload) {
			break // the answer to a command that was given up on
		}
		p.got, p.done = bytes.Clone(payload), true
		if cmd == CmdPurge && Purge(payload[0])&PurgeReceived != 0 {
			c.rx.Discard()
		}
		c.settle()
		return true
	}
	if late {
		c.late[answer.key()]--
	}
	return false
}

// settle wakes the setter once everything it waits for is answered.
func (c *Client) settle() {
	for _, p := range c.pending {
		if !p.done {
			return
		}
	}
	if c.settled != nil {
		close(c.settled)
		c.settled = nil
	}
}

// fits reports that an answer has the size that the command asks for, so that
// what the accessors index exists.
func (p *pending) fits(payload []byte) bool {
	switch p.cmd {
	case CmdSignature, CmdSuspend, CmdResume:
		return true
	case CmdBaud:
		return len(payload) == 4
	}
	return len(payload) == 1
}

func onOff(on bool, yes, no Control) Control {
	if on {
		return yes
	}
	return no
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
