package reservoir

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// ErrFull means that a recording has reached the limits of a clip.
var ErrFull = errors.New("clip is full")

// Recording is a clip that is being written. One goroutine uses it; it ends
// with Finish or Discard.
type Recording struct {
	r     *Reservoir
	name  string // without suffix
	file  *os.File
	out   *bufio.Writer
	size  int64
	index index
	err   error
}

// Record begins a clip of pictures of one size, whose first frame is from
// begun.
func (r *Reservoir) Record(begun time.Time, period time.Duration, width, height int) (*Recording, error) {
	if period < time.Millisecond || width < 1 || height < 1 || width > 1<<16-1 || height > 1<<16-1 {
		return nil, fmt.Errorf("record clip: period %v, %d x %d pixels", period, width, height)
	}
	name := newName(begun)
	f, err := r.root.OpenFile(name+partSuffix, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("record clip: %w", err)
	}
	rec := &Recording{r: r, name: name, file: f, out: bufio.NewWriterSize(f, 64<<10), size: int64(len(magic) + endSize)}
	rec.index.Index = Index{Begun: begun.UTC().Truncate(time.Second), Period: period, Width: width, Height: height}
	_, rec.err = rec.out.WriteString(magic)
	return rec, nil
}

// Add appends a frame; an empty jpeg repeats the one before. ErrFull leaves the
// recording as it is: finish it and begin another.
func (rec *Recording) Add(jpeg []byte, look Look) error {
	switch {
	case rec.err != nil:
		return rec.err
	case len(rec.index.entries) == MaxFrames || rec.size+int64(len(jpeg))+entrySize > MaxClipBytes:
		return ErrFull
	case len(jpeg) == 0 && len(rec.index.entries) == 0:
		return errors.New("record clip: nothing to repeat")
	}
	if _, err := rec.out.Write(jpeg); err != nil {
		rec.err = fmt.Errorf("record clip: %w", err)
		return rec.err
	}
	rec.index.entries = append(rec.index.entries, entry{uint32(len(jpeg)), look})
	rec.size += int64(len(jpeg)) + entrySize
	return nil
}

// Len returns the number of frames so far.
func (rec *Recording) Len() int { return len(rec.index.entries) }

// Finish puts the clip in place; when it returns without an error the clip is
// durable. A recording without frames leaves nothing. It may make older clips
// give way.
func (rec *Recording) Finish() (Info, error) {
	if rec.Len() == 0 && rec.err == nil {
		rec.Discard()
		return Info{}, nil
	}
	err := rec.err
	if err == nil {
		_, err = rec.out.Write(rec.index.appendIndex(nil))
	}
	if err == nil {
		err = rec.out.Flush()
	}
	if err == nil {
		err = rec.file.Sync()
	}
	if err != nil {
		rec.Discard()
		return Info{}, fmt.Errorf("finish clip: %w", err)
	}
	if err := rec.file.Close(); err != nil {
		rec.Discard()
		return Info{}, fmt.Errorf("finish clip: %w", err)
	}
	r := rec.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.root.Rename(rec.name+partSuffix, rec.name+clipSuffix); err != nil {
		r.remove(rec.name+partSuffix, "not finished")
		return Info{}, fmt.Errorf("finish clip: %w", err)
	}
	rec.index.Frames = rec.Len()
	info := Info{Name: rec.name + clipSuffix, Index: rec.index.Index, Bytes: rec.size}
	i, _ := slices.BinarySearchFunc(r.clips, info, older)
	r.clips = slices.Insert(r.clips, i, info)
	r.bytes += info.Bytes
	if err := r.sync(); err != nil {
		return info, fmt.Errorf("finish clip: %w", err)
	}
	return info, nil
}

// Discard ends the recording and leaves nothing of it.
func (rec *Recording) Discard() {
	rec.file.Close()
	rec.r.remove(rec.name+partSuffix, "discarded")
}

// Keep makes a clip of a part of another that was taken but not shown: the
// frames from from up to to, which is not included.
func (r *Reservoir) Keep(c *Clip, from, to int) error {
	rec, err := r.Record(c.Begun.Add(time.Duration(from)*c.Period), c.Period, c.Width, c.Height)
	if err != nil {
		return err
	}
	for i := from; i < to; i++ {
		jpeg, look, repeat := c.Frame(i)
		if repeat && i > from {
			jpeg = nil
		}
		if err := rec.Add(jpeg, look); err != nil {
			rec.Discard()
			return err
		}
	}
	_, err = rec.Finish()
	return err
}
