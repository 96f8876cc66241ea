package loadtest

import "time"

// counts are plain sums over polls and pictures.
//
//	due = sent + skipped
//	sent = new + unchanged + failed + unfinished
//	new = shown + duplicates
type counts struct {
	due        uint64
	sent       uint64
	skipped    uint64 // the poll before was still in flight: the server's doing
	late       uint64 // sent more than lateAfter behind the plan: our doing
	fresh      uint64 // 200 with a picture
	unchanged  uint64 // 304
	failed     uint64
	unfinished uint64
	bytes      uint64 // of bodies

	shown      uint64 // pictures that replaced another one on a screen, or came first
	duplicates uint64 // 200 with the picture that is on the screen already
	missed     uint64 // numbers between two pictures on a screen
	backward   uint64 // pictures older than the one they replaced
	restarts   uint64 // a lower number but captured later: the camera began anew
	freezes    uint64

	unrecovered uint64 // viewers who saw no picture newer than the phase

	changes changes
}

// changes are counts of viewers who decode changes.
type changes struct {
	keys       uint64 // that were decoded: joins + planned + refetches
	planned    uint64 // because the line of the one before had lived its life
	refetches  uint64 // because something went wrong
	deltas     uint64 // that were decoded
	keyBytes   uint64 // of all keys and deltas that came, whatever became of them
	deltaBytes uint64
	gaps       uint64 // places where pictures are lacking between two that came
	lost       uint64 // pictures that are lacking there
	mismatches uint64 // frames that made another picture than their checksum says
}

func (c *changes) add(o *changes) {
	c.keys += o.keys
	c.planned += o.planned
	c.refetches += o.refetches
	c.deltas += o.deltas
	c.keyBytes += o.keyBytes
	c.deltaBytes += o.deltaBytes
	c.gaps += o.gaps
	c.lost += o.lost
	c.mismatches += o.mismatches
}

// frames is how many frames made pictures.
func (c *changes) frames() uint64 { return c.keys + c.deltas }

func (c *counts) add(o *counts) {
	c.due += o.due
	c.sent += o.sent
	c.skipped += o.skipped
	c.late += o.late
	c.fresh += o.fresh
	c.unchanged += o.unchanged
	c.failed += o.failed
	c.unfinished += o.unfinished
	c.bytes += o.bytes
	c.shown += o.shown
	c.duplicates += o.duplicates
	c.missed += o.missed
	c.backward += o.backward
	c.restarts += o.restarts
	c.freezes += o.freezes
	c.unrecovered += o.unrecovered
	c.changes.add(&o.changes)
}

// tally is everything that adds up: over the viewers of a shard, over shards,
// over seconds.
type tally struct {
	counts  counts
	failed  [failures]uint64
	planned timing // from the planned instant to the last byte
	sent    timing // from the sending to the last byte
	first   timing // from the join to the first picture

	recovery timing // from the beginning of a phase to a picture taken since

	ages    ages // of pictures that are not known to be from the loop
	blank   time.Duration
	watched [sources]time.Duration // with a picture, by where it came from
	frozen  time.Duration          // part of the watch time in ages
	longest time.Duration          // freeze
}

func newTally() *tally { return new(tally) }

func (t *tally) add(o *tally) {
	t.counts.add(&o.counts)
	for i, n := range o.failed {
		t.failed[i] += n
	}
	t.planned.add(&o.planned)
	t.sent.add(&o.sent)
	t.first.add(&o.first)
	t.recovery.add(&o.recovery)
	t.ages.add(&o.ages)
	t.blank += o.blank
	for i, d := range o.watched {
		t.watched[i] += d
	}
	t.frozen += o.frozen
	t.longest = max(t.longest, o.longest)
}

func (t *tally) reset() {
	t.counts = counts{}
	clear(t.failed[:])
	t.planned.reset()
	t.sent.reset()
	t.first.reset()
	t.recovery.reset()
	t.ages.reset()
	t.blank, t.frozen, t.longest = 0, 0, 0
	clear(t.watched[:])
}

// watch returns the watch time, blank screens included.
func (t *tally) watch() time.Duration {
	sum := t.blank
	for _, d := range t.watched {
		sum += d
	}
	return sum
}
