package rfc2217

import (
	"encoding/binary"
	"fmt"
)

// lines is a set of the two output lines.
type lines uint8

const (
	lineDTR lines = 1 << iota
	lineRTS
)

// command carries out and answers one COM-PORT command. A value that makes no
// sense is answered like a question: with what is in force.
func (s *Server) command(cmd Command, payload []byte) error {
	value := byte(0)
	if len(payload) == 1 {
		value = payload[0]
	}
	if cmd != CmdControl {
		if err := s.applySignals(); err != nil {
			return err
		}
	}
	switch cmd {
	case CmdSignature:
		if len(payload) == 0 {
			s.answer(cmd, []byte(s.cfg.Signature)...)
		} else {
			s.log.Info("client signature", "text", string(payload))
		}
	case CmdBaud:
		var change Line
		if len(payload) == 4 {
			change.Baud = binary.BigEndian.Uint32(payload)
		}
		if err := s.setLine(change); err != nil {
			return err
		}
		s.answer(cmd, binary.BigEndian.AppendUint32(nil, s.line.Baud)...)
	case CmdDataSize:
		if err := s.setLine(Line{DataBits: value}); err != nil {
			return err
		}
		s.answer(cmd, s.line.DataBits)
	case CmdParity:
		if err := s.setLine(Line{Parity: Parity(value)}); err != nil {
			return err
		}
		s.answer(cmd, byte(s.line.Parity))
	case CmdStopSize:
		if err := s.setLine(Line{StopBits: StopBits(value)}); err != nil {
			return err
		}
		s.answer(cmd, byte(s.line.StopBits))
	case CmdControl:
		state, err := s.control(Control(value))
		if err != nil {
			return err
		}
		s.answer(cmd, byte(state))
	case CmdNotifyLine:
		s.mu.Lock()
		state := s.lineState
		s.mu.Unlock()
		s.answer(cmd, byte(state))
	case CmdNotifyModem:
		s.mu.Lock()
		state := s.modem
		s.mu.Unlock()
		s.answer(cmd, byte(state))
	case CmdSuspend:
		s.out.suspend(true)
	case CmdResume:
		s.out.suspend(false)
	case CmdLineMask:
		s.mu.Lock()
		s.lineMask = LineState(value)
		s.mu.Unlock()
		s.answer(cmd, value)
	case CmdModemMask:
		s.mu.Lock()
		s.modemMask = ModemState(value)
		s.mu.Unlock()
		s.answer(cmd, value)
	case CmdPurge:
		return s.purge(Purge(value))
	default:
		s.log.Debug("unknown command ignored", "command", byte(cmd))
	}
	return nil
}

func (s *Server) answer(cmd Command, payload ...byte) {
	s.out.addCommand(AppendCommand(nil, FromServer+cmd, payload...), true)
}

func (s *Server) setLine(change Line) error {
	want := s.line.merge(change)
	if want == s.line {
		return nil
	}
	got, err := s.cfg.Device.SetLine(want)
	if err != nil {
		return fmt.Errorf("set line to %v: %w", want, err)
	}
	s.line = s.line.merge(got)
	return nil
}

// control carries out a SET-CONTROL and returns the state to answer with.
func (s *Server) control(c Control) (Control, error) {
	switch g := c.group(); g {
	case AskDTR, AskRTS:
		// A pair that arrives in one piece is applied in one call; two changes
		// of the same line are two pulses.
		if c != g {
			which := lineDTR
			if g == AskRTS {
				which = lineRTS
			}
			if s.dirty&which != 0 {
				if err := s.applySignals(); err != nil {
					return 0, err
				}
			}
			s.dirty |= which
			if g == AskDTR {
				s.dtr = c == DTROn
			} else {
				s.rts = c == RTSOn
			}
		}
		switch {
		case g == AskDTR && s.dtr:
			return DTROn, nil
		case g == AskDTR:
			return DTROff, nil
		case s.rts:
			return RTSOn, nil
		}
		return RTSOff, nil
	case AskBreak:
		if err := s.applySignals(); err != nil {
			return 0, err
		}
		if c != AskBreak {
			s.brk = c == BreakOn
			if err := s.cfg.Device.SetBreak(s.brk); err != nil {
				return 0, fmt.Errorf("set break: %w", err)
			}
		}
		if s.brk {
			return BreakOn, nil
		}
		return BreakOff, nil
	case AskFlowIn:
		if c != AskFlowIn {
			s.flowIn = c // remembered only: no flow control crosses the network
		}
		return s.flowIn, nil
	case AskFlow:
		if c != AskFlow {
			s.flow = c
		}
		return s.flow, nil
	}
	return c, nil // unknown: an echo keeps the client from waiting
}

func (s *Server) applySignals() error {
	if s.dirty == 0 {
		return nil
	}
	s.dirty = 0
	if err := s.cfg.Device.SetSignals(s.dtr, s.rts); err != nil {
		return fmt.Errorf("set DTR and RTS: %w", err)
	}
	return nil
}

func (s *Server) purge(which Purge) error {
	if which < PurgeReceived || which > PurgeBoth {
		s.answer(CmdPurge, byte(which))
		return nil
	}
	if which&PurgeReceived != 0 {
		s.out.purge()
	}
	if err := s.cfg.Device.Purge(which); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	s.answer(CmdPurge, byte(which))
	return nil
}
