package rfc2217

import (
	"bytes"
	"encoding/binary"
)

// AppendData appends bytes of the serial line, with IAC doubled.
func AppendData(dst, data []byte) []byte {
	for {
		i := bytes.IndexByte(data, IAC)
		if i < 0 {
			return append(dst, data...)
		}
		dst = append(dst, data[:i+1]...)
		dst = append(dst, IAC)
		data = data[i+1:]
	}
}

// AppendVerb appends a negotiation: verb is WILL, WONT, DO or DONT.
func AppendVerb(dst []byte, verb byte, opt Option) []byte {
	return append(dst, IAC, verb, byte(opt))
}

// AppendCommand appends one COM-PORT subnegotiation. A payload of more than
// MaxSub-1 bytes is cut: no receiver built on [Parser] would take it.
func AppendCommand(dst []byte, cmd Command, payload ...byte) []byte {
	payload = payload[:min(len(payload), MaxSub-1)]
	dst = append(dst, IAC, SB, byte(OptComPort))
	dst = AppendData(dst, []byte{byte(cmd)})
	dst = AppendData(dst, payload)
	return append(dst, IAC, SE)
}

// AppendBaud appends SET-BAUDRATE or, with FromServer added, its answer.
func AppendBaud(dst []byte, cmd Command, baud uint32) []byte {
	return AppendCommand(dst, cmd, binary.BigEndian.AppendUint32(nil, baud)...)
}
