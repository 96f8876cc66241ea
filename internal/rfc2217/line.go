package rfc2217

import "fmt"

// Line is how bytes travel on the wire. The zero value of a field asks for no
// change; a server never reports one.
type Line struct {
	Baud     uint32 // bits per second; any value, custom speeds included
	DataBits uint8  // 5 to 8
	Parity   Parity
	StopBits StopBits
}

// Line8N1 is the given speed with 8 data bits, no parity and one stop bit: the
// only framing a boot ROM knows.
func Line8N1(baud uint32) Line {
	return Line{Baud: baud, DataBits: 8, Parity: ParityNone, StopBits: Stop1}
}

// String gives the usual short form, such as "115200 8N1".
func (l Line) String() string {
	return fmt.Sprintf("%d %d%v%v", l.Baud, l.DataBits, l.Parity, l.StopBits)
}

// merge returns l with the fields of change that are valid and not zero.
func (l Line) merge(change Line) Line {
	if change.Baud != 0 {
		l.Baud = change.Baud
	}
	if change.DataBits >= 5 && change.DataBits <= 8 {
		l.DataBits = change.DataBits
	}
	if change.Parity >= ParityNone && change.Parity <= ParitySpace {
		l.Parity = change.Parity
	}
	if change.StopBits >= Stop1 && change.StopBits <= Stop1Half {
		l.StopBits = change.StopBits
	}
	return l
}

// Parity is the value of SET-PARITY.
type Parity byte

const (
	ParityNone  Parity = 1
	ParityOdd   Parity = 2
	ParityEven  Parity = 3
	ParityMark  Parity = 4
	ParitySpace Parity = 5
)

// String gives the letter of the usual short form.
func (p Parity) String() string {
	if p >= ParityNone && p <= ParitySpace {
		return "NOEMS"[p-1 : p]
	}
	return "?"
}

// StopBits is the value of SET-STOPSIZE. Beware: 3 means one and a half.
type StopBits byte

const (
	Stop1     StopBits = 1
	Stop2     StopBits = 2
	Stop1Half StopBits = 3
)

// String gives the number of stop bits.
func (s StopBits) String() string {
	switch s {
	case Stop1:
		return "1"
	case Stop2:
		return "2"
	case Stop1Half:
		return "1.5"
	}
	return "?"
}

// Control is the value of SET-CONTROL. The Ask values are answered with the
// value that is in force.
type Control byte

const (
	AskFlow      Control = 0 // flow control, outbound or both
	FlowNone     Control = 1
	FlowXonXoff  Control = 2
	FlowHardware Control = 3 // RTS/CTS

	AskBreak Control = 4
	BreakOn  Control = 5
	BreakOff Control = 6

	AskDTR Control = 7
	DTROn  Control = 8
	DTROff Control = 9

	AskRTS Control = 10
	RTSOn  Control = 11
	RTSOff Control = 12

	AskFlowIn      Control = 13 // flow control, inbound
	FlowInNone     Control = 14
	FlowInXonXoff  Control = 15
	FlowInHardware Control = 16

	FlowDCD   Control = 17 // outbound or both, by carrier detect
	FlowInDTR Control = 18 // inbound, by DTR
	FlowDSR   Control = 19 // outbound or both, by DSR
)

// group tells which values answer each other: a late answer about DTR must not
// be taken for one about RTS.
func (c Control) group() Control {
	switch {
	case c <= FlowHardware, c == FlowDCD, c == FlowDSR:
		return AskFlow
	case c <= BreakOff:
		return AskBreak
	case c <= DTROff:
		return AskDTR
	case c <= RTSOff:
		return AskRTS
	case c <= FlowInHardware, c == FlowInDTR:
		return AskFlowIn
	}
	return 0xFF
}

// String describes the value as an operator would.
func (c Control) String() string {
	names := [...]string{
		"flow?", "flow none", "flow xon/xoff", "flow rts/cts",
		"break?", "break on", "break off",
		"dtr?", "dtr on", "dtr off",
		"rts?", "rts on", "rts off",
		"flow-in?", "flow-in none", "flow-in xon/xoff", "flow-in rts",
		"flow dcd", "flow-in dtr", "flow dsr",
	}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("control %d", byte(c))
}

// Purge is the value of PURGE-DATA. The directions are the server's: received
// means from the line towards the client.
type Purge byte

const (
	PurgeReceived Purge = 1
	PurgeSend     Purge = 2
	PurgeBoth     Purge = 3
)

// LineState is the value of NOTIFY-LINESTATE: the bits of a 16550's line status
// register.
type LineState byte

const (
	LineDataReady LineState = 1 << iota
	LineOverrun             // received bytes were lost
	LineParityError
	LineFramingError
	LineBreak
	LineHoldingEmpty // transmit holding register
	LineShiftEmpty   // transmit shift register
	LineTimeout
)

// ModemState is the value of NOTIFY-MODEMSTATE: the bits of a 16550's modem
// status register. The low half says what changed since the last report.
type ModemState byte

const (
	ModemCTSChanged ModemState = 1 << iota
	ModemDSRChanged
	ModemRIChanged
	ModemCDChanged
	ModemCTS
	ModemDSR
	ModemRI
	ModemCD
)

// changed returns the state with its low half set from the difference to old.
func (m ModemState) changed(old ModemState) ModemState {
	levels := m & 0xF0
	return levels | (levels^old)>>4&0x0F
}
