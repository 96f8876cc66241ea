package sim

import (
	"encoding/binary"
	"net"
)

// TLS record types (RFC 5246 6.2.1).
const (
	recordAlert     = 21
	recordHandshake = 22
)

// recordConn is the socket below a board's TLS: each record is written by itself,
// as Mbed TLS calls send() once for each (esp32-wire 1.2). Go's TLS joins the
// records of a handshake flight; here they part again.
type recordConn struct {
	net.Conn
	core    Core
	pace    *pace // nil: as fast as the network goes
	records int
	// unknownCA says that the certificate was signed by somebody else: the library
	// of a board has an alert of its own for that (esp32-wire 2.6).
	unknownCA bool
}

const recordHeader = 5

// Write implements net.Conn. p holds whole records.
func (c *recordConn) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n := len(p) - done
		if n > recordHeader {
			n = min(n, recordHeader+int(binary.BigEndian.Uint16(p[done+3:])))
		}
		record := p[done : done+n]
		c.adapt(record)
		if err := c.pace.record(n, c.records); err != nil {
			return done, err
		}
		c.records++
		written, err := c.Conn.Write(record)
		if done += written; err != nil {
			return done, err
		}
	}
	return done, nil
}

// adapt gives a record what the core puts into it and utls does not. The bytes are
// those of utls's buffer, which are not used again.
func (c *recordConn) adapt(record []byte) {
	if len(record) < recordHeader {
		return
	}
	if c.records == 0 && record[0] == recordHandshake {
		// Core 3.x has 1.2 in the record of its ClientHello too (esp32-wire 2.2).
		record[2] = 1
		if c.core == Core3 {
			record[2] = 3
		}
	}
	const badCertificate, unknownCA = 42, 48
	if c.unknownCA && record[0] == recordAlert && len(record) == recordHeader+2 && record[6] == badCertificate {
		record[6] = unknownCA
	}
}
