package board

import (
	"encoding/binary"
	"fmt"
	"time"
)

// A TraceKind is a kind of event on a board.
type TraceKind uint8

// What is traced, with the meaning of A and B.
const (
	TraceLines    TraceKind = iota + 1 // A: 1 DTR, 2 RTS asserted
	TraceState                         // A: the new State
	TraceStart                         // A: ResetReason, B: straps
	TraceBaud                          // A: rate of the host, B: of the chip
	TraceCommand                       // A: opcode, B: length of the data
	TraceReply                         // A: opcode, B: status bytes
	TraceErase                         // A: address, B: bytes
	TraceProgram                       // A: address, B: bytes
	TraceSend                          // A: bytes sent, B: their hash
	TraceFault                         // A: index in the schedule
	TraceOverrun                       // A: bytes lost
	TraceRegister                      // A: unknown register that was read
	TracePower                         // A: 1 on, B: 1 camera shut off
)

var traceNames = [...]string{
	TraceLines: "lines", TraceState: "state", TraceStart: "start", TraceBaud: "baud",
	TraceCommand: "command", TraceReply: "reply", TraceErase: "erase",
	TraceProgram: "program", TraceSend: "send", TraceFault: "fault",
	TraceOverrun: "overrun", TraceRegister: "register", TracePower: "power",
}

func (k TraceKind) String() string {
	if int(k) < len(traceNames) && traceNames[k] != "" {
		return traceNames[k]
	}
	return fmt.Sprintf("trace %d", uint8(k))
}

// A TraceEvent is something that happened on a board.
type TraceEvent struct {
	At   time.Duration // since New
	Kind TraceKind
	A, B uint64
}

func (e TraceEvent) String() string {
	return fmt.Sprintf("%v %v %#x %#x", e.At, e.Kind, e.A, e.B)
}

// tracer hashes the events (FNV-1a) and hands them on.
type tracer struct {
	hash uint64
	to   func(TraceEvent)
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func newTracer(to func(TraceEvent)) tracer { return tracer{hash: fnvOffset, to: to} }

func (t *tracer) add(at time.Duration, kind TraceKind, a, b uint64) {
	var buf [25]byte
	buf[0] = byte(kind)
	binary.LittleEndian.PutUint64(buf[1:], uint64(at))
	binary.LittleEndian.PutUint64(buf[9:], a)
	binary.LittleEndian.PutUint64(buf[17:], b)
	t.hash = fnv(t.hash, buf[:])
	if t.to != nil {
		t.to(TraceEvent{at, kind, a, b})
	}
}

func fnv(h uint64, p []byte) uint64 {
	for _, c := range p {
		h = (h ^ uint64(c)) * fnvPrime
	}
	return h
}
