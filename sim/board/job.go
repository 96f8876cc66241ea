package board

import (
	"time"
)

// Typical times of the datasheets of 4 MB parts, used with Config.Latency
// (esp32-serial 2.7). The whole chip is given per 4 MB.
const (
	pageTime   = 500 * time.Microsecond
	sectorTime = 45 * time.Millisecond
	blockTime  = 150 * time.Millisecond
	chipTime   = 10 * time.Second
)

// A flashOp is one operation of the flash chip: at most a sector programmed, or a
// sector, a 64 KB block or the whole chip erased.
type flashOp struct {
	addr uint32
	size int    // bytes to erase
	data []byte // bytes to program; nil: erase
}

func (op flashOp) duration(f *Flash) time.Duration {
	switch {
	case op.data != nil:
		return time.Duration((len(op.data)+PageSize-1)/PageSize) * pageTime
	case op.size > BlockSize:
		return chipTime * time.Duration(f.size) / (4 << 20)
	case op.size == BlockSize:
		return blockTime
	}
	return sectorTime
}

// A job is a sequence of flash operations during which the chip takes no bytes.
type job struct {
	next func() (flashOp, bool)
	done func()

	op      flashOp // under way, if running
	running bool
	effect  opEffect // what a fault does to it
	began   time.Duration
	takes   time.Duration
}

// startJob runs the operations that next gives, then done. A reset drops the rest.
func (b *Board) startJob(next func() (flashOp, bool), done func()) {
	b.job, b.busy = &job{next: next, done: done}, true
	b.stepJob(b.job)
}

func (b *Board) stepJob(j *job) {
	for {
		op, ok := j.next()
		if !ok {
			b.job, b.busy = nil, false
			j.done()
			b.pump()
			return
		}
		effect := b.faults.flashOp(op)
		takes := effect.delay
		if b.cfg.Latency {
			takes += op.duration(b.flash)
		}
		j.op, j.effect, j.began, j.takes, j.running = op, effect, b.at, takes, true
		if effect.cut != nil {
			effect.cut(b)
			return
		}
		if takes > 0 {
			b.after(takes, func() {
				b.finishOp(j)
				b.stepJob(j)
			})
			return
		}
		b.finishOp(j)
	}
}

// finishOp lets the operation under way take effect.
func (b *Board) finishOp(j *job) {
	op := j.op
	j.running = false
	if j.effect.ignore || b.soc.writeProtected() {
		return
	}
	if op.data == nil {
		b.note(TraceErase, uint64(op.addr), uint64(op.size))
		b.flash.Erase(op.addr, op.size)
		return
	}
	b.note(TraceProgram, uint64(op.addr), uint64(len(op.data)))
	data := op.data
	if j.effect.stuck != 0 {
		data = append([]byte(nil), data...)
		for i := range data {
			data[i] |= j.effect.stuck
		}
	}
	b.flash.Program(op.addr, data)
}

// abortJob ends a job at a reset. The flash finishes the operation it is in; when
// the power goes it stays half done.
func (b *Board) abortJob(powerCut bool) {
	j := b.job
	b.job, b.busy = nil, false
	if j == nil || !j.running {
		return
	}
	if !powerCut {
		b.finishOp(j)
		return
	}
	j.running = false
	frac := b.rng.Float64() // an operation without duration is cut anywhere
	if j.takes > 0 {
		frac = min(float64(b.at-j.began)/float64(j.takes), 1)
	}
	if j.effect.ignore || b.soc.writeProtected() {
		return
	}
	op := j.op
	if op.data != nil {
		n := int(frac * float64(len(op.data)))
		b.note(TraceProgram, uint64(op.addr), uint64(n))
		b.flash.Program(op.addr, op.data[:n])
		return
	}
	// Of a larger erase, the sectors before the current one are done.
	sectors := float64((op.size + SectorSize - 1) / SectorSize)
	whole := int(frac * sectors)
	b.note(TraceErase, uint64(op.addr), uint64(whole*SectorSize))
	b.flash.Erase(op.addr, whole*SectorSize)
	if rest := frac*sectors - float64(whole); rest > 0 && whole < int(sectors) {
		b.flash.scramble(op.addr/SectorSize+uint32(whole), rest, b.rng.Float64)
	}
}

// programOps cuts data into operations of at most a sector.
func programOps(addr uint32, data []byte) func() (flashOp, bool) {
	return func() (flashOp, bool) {
		if len(data) == 0 {
			return flashOp{}, false
		}
		n := min(len(data), SectorSize-int(addr%SectorSize))
		op := flashOp{addr: addr, data: data[:n]}
		data, addr = data[n:], addr+uint32(n)
		return op, true
	}
}

// eraseOps covers [addr, addr+size) with erases, by 64 KB blocks where they fit
// and by the whole chip where that is meant.
func eraseOps(f *Flash, addr uint32, size int) func() (flashOp, bool) {
	at := int(addr) / SectorSize * SectorSize
	end := (int(addr) + size + SectorSize - 1) / SectorSize * SectorSize
	end = min(end, f.size)
	return func() (flashOp, bool) {
		if size <= 0 || at >= end {
			return flashOp{}, false
		}
		n := SectorSize
		switch {
		case at == 0 && end == f.size:
			n = f.size
		case at%BlockSize == 0 && end-at >= BlockSize:
			n = BlockSize
		}
		op := flashOp{addr: uint32(at), size: n}
		at += n
		return op, true
	}
}

// wait keeps the chip busy for d, then calls done.
func (b *Board) wait(d time.Duration, done func()) {
	if d <= 0 {
		done()
		return
	}
	b.busy = true
	b.after(d, func() {
		b.busy = false
		done()
		b.pump()
	})
}

// covered reports whether [addr, addr+size) lies inside limit bytes.
func covered(addr, size, limit uint32) bool {
	return uint64(addr)+uint64(size) <= uint64(limit)
}
