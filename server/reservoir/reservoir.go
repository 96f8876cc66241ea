// Package reservoir keeps clips of a camera that were never shown, in a folder
// of its own, until each of them is shown once.
//
// A clip is what a camera sent during one stretch of time, one frame for each
// period of the feed, masked already. It is a file that is written beside the
// others, made durable and renamed into place, so that a clip is either there
// as a whole or not at all; and it is gone from the folder for good before its
// first frame is handed out, so that no crash shows a frame twice.
//
// The package knows files, sizes, ages and times of the day. What is recorded
// and what is shown when is the business of its caller.
package reservoir

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Defaults of Config.
const (
	DefaultMaxBytes = 2 << 30
	DefaultMaxAge   = 14 * 24 * time.Hour
)

// Names in the folder.
const (
	clipSuffix = ".clip"
	partSuffix = ".part"
	lockName   = ".lock"
)

// maxClips bounds what is kept in memory about the folder.
const maxClips = 1 << 16

// Config limits what is kept. The zero value of a field means its default.
type Config struct {
	// MaxBytes of all clips together; the oldest make room.
	MaxBytes int64
	// MaxAge of a clip, from its first frame.
	MaxAge time.Duration
	// Log receives what is removed and why; nil discards.
	Log *slog.Logger
}

// Info describes a clip that is in the folder.
type Info struct {
	Name string
	Index
	Bytes int64 // of the file
}

// ErrInUse means that another process uses the folder.
var ErrInUse = errors.New("another process uses this folder")

// Reservoir is a folder of clips. Its methods may be called by any number of
// goroutines; one process at a time may use a folder.
type Reservoir struct {
	root *os.Root
	cfg  Config
	lock *os.File

	mu    sync.Mutex
	clips []Info // oldest first
	bytes int64
}

// Open returns the reservoir in the folder. Recordings that were cut by a crash
// and files that are no clip of this version are removed. The caller keeps root
// open until the reservoir is closed.
func Open(root *os.Root, cfg Config) (*Reservoir, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = DefaultMaxAge
	}
	if cfg.MaxBytes < 0 || cfg.MaxAge < 0 {
		return nil, fmt.Errorf("open reservoir: negative limit of %d bytes or age %v", cfg.MaxBytes, cfg.MaxAge)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Reservoir{root: root, cfg: cfg}
	var err error
	if r.lock, err = root.OpenFile(lockName, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("open reservoir: %w", err)
	}
	if err := lock(r.lock); err != nil {
		r.lock.Close()
		return nil, fmt.Errorf("open reservoir: %w", err)
	}
	if err := r.load(); err != nil {
		r.lock.Close()
		return nil, fmt.Errorf("open reservoir: %w", err)
	}
	r.Prune(time.Now())
	return r, nil
}

// Close lets go of the folder.
func (r *Reservoir) Close() error { return r.lock.Close() }

// load reads the index of every clip.
func (r *Reservoir) load() error {
	entries, err := fs.ReadDir(r.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case !e.Type().IsRegular():
		case strings.HasSuffix(name, partSuffix):
			r.remove(name, "a recording that was cut")
		case strings.HasSuffix(name, clipSuffix):
			info, err := r.inspect(name)
			if err != nil {
				r.remove(name, err.Error())
				continue
			}
			if len(r.clips) == maxClips {
				return fmt.Errorf("more than %d clips", maxClips)
			}
			r.clips = append(r.clips, info)
			r.bytes += info.Bytes
		}
	}
	slices.SortFunc(r.clips, older)
	return nil
}

func older(a, b Info) int { return cmp.Or(a.Begun.Compare(b.Begun), cmp.Compare(a.Name, b.Name)) }

func (r *Reservoir) inspect(name string) (Info, error) {
	f, err := r.root.Open(name)
	if err != nil {
		return Info{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Info{}, err
	}
	x, err := readIndex(f, st.Size())
	if err != nil {
		return Info{}, err
	}
	return Info{Name: name, Index: x.Index, Bytes: st.Size()}, nil
}

// remove takes a file out of the folder. That it stays there is worth a line,
// for it is private.
func (r *Reservoir) remove(name, why string) {
	if err := r.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.cfg.Log.Error("clip not removed", "name", name, "error", err)
		return
	}
	r.cfg.Log.Info("clip removed", "name", name, "why", why)
}

// Clips returns what there is, oldest first.
func (r *Reservoir) Clips() []Info {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.clips)
}

// Prune removes what is too old, and the oldest of what is too much.
func (r *Reservoir) Prune(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for n < len(r.clips) && (r.bytes > r.cfg.MaxBytes || now.Sub(r.clips[n].Begun) > r.cfg.MaxAge) {
		why := "too old"
		if r.bytes > r.cfg.MaxBytes {
			why = "makes room"
		}
		r.remove(r.clips[n].Name, why)
		r.bytes -= r.clips[n].Bytes
		n++
	}
	if n > 0 {
		r.clips = slices.Delete(r.clips, 0, n)
	}
}

// Take removes a clip from the folder and returns it. When it returns without
// an error the removal is durable. With an error the clip may or may not be
// there, and is not offered again.
func (r *Reservoir) Take(name string) (*Clip, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.clips, func(c Info) bool { return c.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("take clip %q: %w", name, fs.ErrNotExist)
	}
	size := r.clips[i].Bytes
	r.clips = slices.Delete(r.clips, i, i+1)
	r.bytes -= size
	c, err := r.read(name, size)
	// Also what cannot be read is taken away.
	err = errors.Join(err, r.root.Remove(name))
	if err == nil {
		err = r.sync()
	}
	if err != nil {
		return nil, fmt.Errorf("take clip %q: %w", name, err)
	}
	return c, nil
}

func (r *Reservoir) read(name string, size int64) (*Clip, error) {
	f, err := r.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadClip(f, size)
}

// Peek returns the index of a clip with the looks of its frames, without taking
// it.
func (r *Reservoir) Peek(name string) ([]Look, error) {
	f, err := r.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("look into clip: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("look into clip: %w", err)
	}
	x, err := readIndex(f, st.Size())
	if err != nil {
		return nil, fmt.Errorf("look into clip %q: %w", name, err)
	}
	looks := make([]Look, len(x.entries))
	for i, e := range x.entries {
		looks[i] = e.look
	}
	return looks, nil
}

// sync makes what happened in the folder durable.
func (r *Reservoir) sync() error {
	d, err := r.root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return syncFolder(d)
}

// newName returns a name that no other file has, for a clip that began at t.
func newName(t time.Time) string {
	var b [6]byte
	rand.Read(b[:])
	return t.UTC().Format("20060102T150405Z-") + hex.EncodeToString(b[:])
}
