// Package rfc2217 carries a serial port over a Telnet connection: the COM port
// control option of RFC 2217, both ends, including DTR, RTS, break and the
// line speed. It is how an unmodified esptool resets a simulated board, and how
// a real board is shared between machines.
//
// The stream is Telnet (RFC 854): data bytes, with FF doubled, mixed with
// commands that start with IAC (FF).
//
//	IAC WILL|WONT|DO|DONT opt                 negotiate an option, 3 bytes
//	IAC SB COM-PORT cmd payload... IAC SE     one COM-PORT command
//	IAC other                                 two-byte command, ignored here
//
// An FF inside a payload is doubled as well. A COM-PORT command of the client
// is a number below 100; the server answers with the same number plus 100 and
// the value that is now in force. Both sides speak first:
//
//	client                                server
//	DO ECHO, WILL SGA, DO SGA,            WILL ECHO, DO SGA, WILL SGA,
//	DO COM-PORT, WILL COM-PORT      ──▶   WILL COM-PORT, DO COM-PORT
//	                                ◀──   SB COM-PORT 107 modem state
//	SB COM-PORT 1 00 01 C2 00       ──▶   (SET-BAUDRATE 115200)
//	                                ◀──   SB COM-PORT 101 00 01 C2 00
//	SB COM-PORT 5 0B                ──▶   (SET-CONTROL RTS on)
//	                                ◀──   SB COM-PORT 105 0B
//
// The order of the first line is pyserial's (esp32-serial 3.4). The network
// virtual terminal's rules for CR and LF are never applied, to either
// direction: every implementation in the field treats the data as binary,
// whether BINARY was negotiated or not.
//
// [Parser] and the Append functions are the codec. [Server] is one session of
// the side that owns the port, [Client] the side that uses it.
package rfc2217

import "fmt"

// Telnet commands (RFC 854). Each follows an IAC byte.
const (
	SE   byte = 0xF0 // end of a subnegotiation
	NOP  byte = 0xF1 // no operation; some clients send it to keep a link alive
	BRK  byte = 0xF3 // Telnet break; COM-PORT has its own, so this is ignored
	AYT  byte = 0xF6 // are you there
	SB   byte = 0xFA // begin of a subnegotiation, an option byte follows
	WILL byte = 0xFB // I want to use, or agree to use, the option
	WONT byte = 0xFC // I do not, or no longer, use the option
	DO   byte = 0xFD // please use, or agreed that you use, the option
	DONT byte = 0xFE // please stop using the option
	IAC  byte = 0xFF // interpret as command; doubled it is a data byte FF
)

// Option is a Telnet option. Any byte may arrive; those not named here are
// refused.
type Option byte

const (
	OptBinary  Option = 0x00 // 8-bit data (RFC 856)
	OptEcho    Option = 0x01 // the sender echoes (RFC 857); agreed, and without effect
	OptSGA     Option = 0x03 // suppress go-ahead (RFC 858)
	OptComPort Option = 0x2C // COM port control (RFC 2217)
)

// String names the option, or gives its number.
func (o Option) String() string {
	switch o {
	case OptBinary:
		return "BINARY"
	case OptEcho:
		return "ECHO"
	case OptSGA:
		return "SGA"
	case OptComPort:
		return "COM-PORT"
	}
	return fmt.Sprintf("option %d", byte(o))
}

// Command is the first byte of a COM-PORT subnegotiation (RFC 2217, "COM Port
// Configuration Commands"). The values here are those of the client.
type Command byte

const (
	// CmdSignature carries a text that names the sender. Empty asks the other
	// side for its own.
	CmdSignature Command = 0

	// CmdBaud carries the line speed as a u32, big-endian; 0 asks.
	CmdBaud Command = 1

	// CmdDataSize carries 5 to 8 data bits; 0 asks.
	CmdDataSize Command = 2

	// CmdParity carries a [Parity]; 0 asks.
	CmdParity Command = 3

	// CmdStopSize carries a [StopBits]; 0 asks.
	CmdStopSize Command = 4

	// CmdControl carries a [Control]: flow control, break, DTR, RTS.
	CmdControl Command = 5

	// CmdNotifyLine reports a [LineState]. Only the server has one to report;
	// pyserial-like clients send the command empty to ask.
	CmdNotifyLine Command = 6

	// CmdNotifyModem reports a [ModemState], as above.
	CmdNotifyModem Command = 7

	// CmdSuspend asks the other side to stop sending data (commands go on).
	// It has no answer.
	CmdSuspend Command = 8

	// CmdResume ends a suspension. It has no answer.
	CmdResume Command = 9

	// CmdLineMask selects the [LineState] bits to be notified of; 0 at start.
	CmdLineMask Command = 10

	// CmdModemMask selects the [ModemState] bits to be notified of; 255 at start.
	CmdModemMask Command = 11

	// CmdPurge carries a [Purge]: which buffer of the server is emptied.
	CmdPurge Command = 12
)

// FromServer is added to a command's number in everything the server sends.
const FromServer Command = 100

// String gives the command's name in the words of the RFC, for both sides.
func (c Command) String() string {
	names := [...]string{
		"SIGNATURE", "SET-BAUDRATE", "SET-DATASIZE", "SET-PARITY", "SET-STOPSIZE", "SET-CONTROL",
		"NOTIFY-LINESTATE", "NOTIFY-MODEMSTATE", "FLOWCONTROL-SUSPEND", "FLOWCONTROL-RESUME",
		"SET-LINESTATE-MASK", "SET-MODEMSTATE-MASK", "PURGE-DATA",
	}
	n := c
	if n >= FromServer {
		n -= FromServer
	}
	if int(n) < len(names) {
		return names[n]
	}
	return fmt.Sprintf("command %d", byte(c))
}

// MaxSub is the longest subnegotiation payload that [Parser] accepts, in bytes
// after the option byte and with IAC IAC counted as one. The longest command of
// the protocol is 5 bytes, apart from the signature, which is free text.
const MaxSub = 256
