package esprom

import "time"

// A Wait says how long a host waits for the answer to a command: the larger of
// Least and PerMB for every megabyte the command covers.
type Wait struct {
	Least time.Duration
	PerMB time.Duration
}

// DefaultWait serves every command that has no row of its own.
const DefaultWait = 3 * time.Second

// Waits are the patient values of the flashers in use (esp32-serial 1.7): shorter
// ones are known to fail on slow flash chips.
var Waits = map[Op]Wait{
	SyncOp:        {Least: 100 * time.Millisecond}, // per reply, five tries per reset
	MemEnd:        {Least: 200 * time.Millisecond}, // the ROM may not answer at all
	FlashBegin:    {Least: 10 * time.Second, PerMB: 40 * time.Second},
	FlashData:     {Least: DefaultWait, PerMB: 40 * time.Second},
	DeflBegin:     {Least: 10 * time.Second, PerMB: 40 * time.Second},
	DeflData:      {Least: DefaultWait, PerMB: 40 * time.Second},
	DeflEnd:       {Least: 10 * time.Second},
	FlashMD5:      {Least: 10 * time.Second, PerMB: 8 * time.Second},
	EraseFlashOp:  {Least: 120 * time.Second},
	EraseRegionOp: {Least: 10 * time.Second, PerMB: 30 * time.Second},
}

// HelloWait is how long a stub may take to say Hello after its MEM_END reply.
const HelloWait = 3 * time.Second

// WaitFor returns the timeout of a command that covers size bytes of flash.
func WaitFor(op Op, size int64) time.Duration {
	w, ok := Waits[op]
	if !ok {
		return DefaultWait
	}
	return max(w.Least, time.Duration(float64(w.PerMB)*float64(max(size, 0))/(1<<20)))
}
