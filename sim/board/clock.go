package board

import (
	"container/heap"
	"time"
)

// clock is the queue of things to come, served by one timer that runs only while
// something is queued.
type clock struct {
	queue  alarmQueue
	seq    uint64
	timer  *time.Timer
	armed  bool // the timer is set, for the moment due
	due    time.Duration
	flying int // timer calls that were too late to be stopped
}

type alarm struct {
	at   time.Duration
	seq  uint64 // order among equals
	life uint64 // valid in this life of the chip; 0 in any
	f    func()
}

// now is the board time: the time since New.
func (b *Board) now() time.Duration { return time.Since(b.epoch) }

// after calls f in d, unless the chip is reset before.
func (b *Board) after(d time.Duration, f func()) { b.schedule(d, b.life, f) }

// afterAlways calls f in d, whatever happens to the chip.
func (b *Board) afterAlways(d time.Duration, f func()) { b.schedule(d, 0, f) }

// schedule puts an event half a microsecond behind the next whole microsecond.
// Hosts under test act on whole ones: without this the order of a host's and the
// board's event at the same instant would be up to the scheduler, and a seed would
// not fix the course.
func (b *Board) schedule(d time.Duration, life uint64, f func()) {
	at := (b.at + d + time.Microsecond - 1).Truncate(time.Microsecond) + 500*time.Nanosecond
	b.clock.seq++
	heap.Push(&b.clock.queue, alarm{at, b.clock.seq, life, f})
}

// runDue handles every event whose time has come and leaves b.at at now.
func (b *Board) runDue() {
	now := b.now()
	for q := &b.clock.queue; len(*q) > 0 && (*q)[0].at <= now; {
		e := heap.Pop(q).(alarm)
		if e.life != 0 && e.life != b.life {
			continue
		}
		b.at = max(b.at, e.at)
		e.f()
	}
	b.at = max(b.at, now)
}

// arm sets the timer to the next event that is still valid.
func (b *Board) arm() {
	c := &b.clock
	for len(c.queue) > 0 && c.queue[0].life != 0 && c.queue[0].life != b.life {
		heap.Pop(&c.queue)
	}
	if c.armed && len(c.queue) > 0 && c.queue[0].at == c.due {
		return
	}
	b.disarm()
	if len(c.queue) == 0 {
		c.queue = nil
		return
	}
	c.due, c.armed = c.queue[0].at, true
	b.wg.Add(1)
	if d := c.due - b.now(); c.timer == nil {
		c.timer = time.AfterFunc(d, b.tick)
	} else {
		c.timer.Reset(d)
	}
}

func (b *Board) disarm() {
	c := &b.clock
	if !c.armed {
		return
	}
	c.armed = false
	if c.timer.Stop() {
		b.wg.Done()
	} else {
		c.flying++
	}
}

func (b *Board) tick() {
	defer b.wg.Done()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.clock.flying > 0 {
		b.clock.flying--
	} else {
		b.clock.armed = false
	}
	if b.closed {
		return
	}
	b.runDue()
	b.arm()
}

type alarmQueue []alarm

func (q alarmQueue) Len() int { return len(q) }
func (q alarmQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q alarmQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *alarmQueue) Push(x any)   { *q = append(*q, x.(alarm)) }
func (q *alarmQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = alarm{}
	*q = old[:len(old)-1]
	return e
}
