package reservoir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var morning = time.Date(2026, 3, 1, 8, 30, 0, 0, time.UTC)

func open(t *testing.T, dir string, cfg Config) *Reservoir {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = 100 * 365 * 24 * time.Hour
	}
	r, err := Open(root, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); root.Close() })
	return r
}

// frameOf returns bytes that stand for a frame, and its look.
func frameOf(i int) ([]byte, Look) {
	look := Look{Mean: uint8(i)}
	for j := range look.Thumb {
		look.Thumb[j] = uint8(i + j)
	}
	return bytes.Repeat([]byte{byte(i)}, 100+i), look
}

// record makes a clip of n frames, of which every fourth repeats the one before.
func record(t *testing.T, r *Reservoir, begun time.Time, n int) Info {
	t.Helper()
	rec, err := r.Record(begun, 2*time.Second, 800, 600)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		jpeg, look := frameOf(i)
		if i%4 == 3 {
			jpeg, look = nil, Look{}
		}
		if err := rec.Add(jpeg, look); err != nil {
			t.Fatal(err)
		}
	}
	info, err := rec.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if name := filepath.Base(f); name != lockName {
			names = append(names, name)
		}
	}
	return names
}

func TestRecordAndTake(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, Config{})
	want := record(t, r, morning, 10)
	if st, err := os.Stat(filepath.Join(dir, want.Name)); err != nil || st.Size() != want.Bytes || st.Mode().Perm() != 0o600 {
		t.Errorf("file: %v %v, said to have %d bytes", st, err, want.Bytes)
	}
	if want.Length() != 20*time.Second || !want.Begun.Equal(morning) || want.Width != 800 || want.Height != 600 {
		t.Errorf("info %+v", want)
	}
	r.Close()
	r = open(t, dir, Config{}) // as after a restart
	if clips := r.Clips(); len(clips) != 1 || clips[0] != want {
		t.Fatalf("after reopening: %+v, want %+v", clips, want)
	}
	looks, err := r.Peek(want.Name)
	if err != nil || len(looks) != 10 {
		t.Fatalf("peek: %d looks, %v", len(looks), err)
	}
	clip, err := r.Take(want.Name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range clip.Frames {
		jpeg, look, repeat := clip.Frame(i)
		wantJPEG, wantLook := frameOf(i - i%4/3)
		if i%4 == 3 {
			wantLook = Look{}
		}
		if !bytes.Equal(jpeg, wantJPEG) || look != wantLook || look != looks[i] || repeat != (i%4 == 3) {
			t.Errorf("frame %d: %d bytes, repeat %v", i, len(jpeg), repeat)
		}
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("a clip that was taken is still there: %v", left)
	}
	if _, err := r.Take(want.Name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("taken twice: %v", err)
	}
}

func TestDiscardLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, Config{})
	for name, end := range map[string]func(*Recording){
		"discarded": func(rec *Recording) {
			jpeg, look := frameOf(1)
			rec.Add(jpeg, look)
			rec.Discard()
		},
		"finished without a frame": func(rec *Recording) {
			if _, err := rec.Finish(); err != nil {
				t.Error(err)
			}
		},
	} {
		rec, err := r.Record(morning, time.Second, 8, 8)
		if err != nil {
			t.Fatal(err)
		}
		end(rec)
		if left := files(t, dir); len(left) != 0 || len(r.Clips()) != 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

// TestOpenCleansUp: what a crash or somebody else left is no clip.
func TestOpenCleansUp(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, Config{})
	good := record(t, r, morning, 5)
	r.Close()
	whole, err := os.ReadFile(filepath.Join(dir, good.Name))
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string][]byte{
		"cut.part":       whole[:100],
		"cut.clip":       whole[:len(whole)-1],
		"beginning.clip": whole[1:],
		"empty.clip":     nil,
		"longer.clip":    append(bytes.Clone(whole), 0),
	}
	for i := range 40 { // a flipped bit anywhere in the index
		flipped := bytes.Clone(whole)
		flipped[len(flipped)-1-i*20] ^= 1
		bad[fmt.Sprintf("flipped%d.clip", i)] = flipped
	}
	for name, data := range bad {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("mine"), 0o600)
	os.Symlink("/etc/passwd", filepath.Join(dir, "link.clip"))
	r = open(t, dir, Config{})
	if clips := r.Clips(); len(clips) != 1 || clips[0] != good {
		t.Errorf("clips %+v", clips)
	}
	if left := strings.Join(files(t, dir), " "); left != good.Name+" link.clip notes.txt" {
		t.Errorf("left: %s", left)
	}
}

func TestLimits(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, Config{})
	size := record(t, r, morning, 10).Bytes
	r.Close()
	now := morning.Add(90 * time.Minute)
	r = open(t, dir, Config{MaxBytes: 3 * size, MaxAge: 200 * 365 * 24 * time.Hour})
	for i := range 4 {
		record(t, r, morning.Add(time.Duration(i+1)*10*time.Minute), 10)
	}
	r.Prune(now)
	if clips := r.Clips(); len(clips) != 3 || !clips[0].Begun.Equal(morning.Add(20*time.Minute)) {
		t.Errorf("by size: %d clips, oldest %v", len(clips), clips[0].Begun)
	}
	r.cfg.MaxAge = time.Hour
	r.Prune(now)
	if clips := r.Clips(); len(clips) != 2 || len(files(t, dir)) != 2 {
		t.Errorf("by age: %d clips, files %v", len(clips), files(t, dir))
	}
}

func TestFull(t *testing.T) {
	r := open(t, t.TempDir(), Config{})
	rec, err := r.Record(morning, time.Second, 8, 8)
	if err != nil {
		t.Fatal(err)
	}
	jpeg, look := frameOf(1)
	for range MaxFrames {
		if err := rec.Add(jpeg, look); err != nil {
			t.Fatal(err)
		}
	}
	if err := rec.Add(nil, look); !errors.Is(err, ErrFull) {
		t.Errorf("frame %d: %v", MaxFrames+1, err)
	}
	if info, err := rec.Finish(); err != nil || info.Frames != MaxFrames {
		t.Errorf("%+v %v", info, err)
	}
	rec, err = r.Record(morning, time.Second, 8, 8)
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Discard()
	if err := rec.Add(make([]byte, MaxClipBytes), look); !errors.Is(err, ErrFull) {
		t.Errorf("too large: %v", err)
	}
	if err := rec.Add(nil, look); err == nil {
		t.Error("a repetition of nothing was taken")
	}
}

func TestInUse(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, Config{})
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := Open(root, Config{}); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
}

func TestRecordRefuses(t *testing.T) {
	r := open(t, t.TempDir(), Config{})
	for _, tt := range []struct {
		period time.Duration
		w, h   int
	}{{0, 8, 8}, {time.Second, 0, 8}, {time.Second, 8, 1 << 16}} {
		if _, err := r.Record(morning, tt.period, tt.w, tt.h); err == nil {
			t.Errorf("%+v: accepted", tt)
		}
	}
}

func TestCover(t *testing.T) {
	clip := func(hour int, length time.Duration) Info {
		return Info{Index: Index{Begun: morning.Truncate(24 * time.Hour).Add(time.Duration(hour) * time.Hour), Period: time.Second, Frames: int(length / time.Second), Width: 8, Height: 8}}
	}
	var all []Info
	for h := range 24 {
		all = append(all, clip(h, 2*time.Hour))
	}
	for _, tt := range []struct {
		name  string
		clips []Info
		want  Cover
	}{
		{"nothing", nil, Cover{Bare: 24}},
		{"one hour", []Info{clip(23, time.Hour)}, Cover{Clips: 1, Length: time.Hour, Bare: 19}},
		{"two days", all, Cover{Clips: 24, Length: 48 * time.Hour, Days: 2}},
	} {
		if got := coverOf(tt.clips); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	if d := Apart(morning, morning.Add(-11*time.Hour)); d != 11*time.Hour {
		t.Errorf("over midnight: %v", d)
	}
	if d := Apart(morning, morning.Add(13*24*time.Hour+23*time.Hour)); d != time.Hour {
		t.Errorf("other day: %v", d)
	}
}

// TestDistance: brightness does not count, contents do.
func TestDistance(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var a, brighter, other Look
	for i := range a.Thumb {
		a.Thumb[i] = uint8(50 + rnd.IntN(100))
		brighter.Thumb[i] = a.Thumb[i] + 20
		other.Thumb[i] = uint8(50 + rnd.IntN(100))
	}
	if d := a.Distance(&brighter); d != 0 {
		t.Errorf("brighter: %d", d)
	}
	if d := a.Distance(&other); d < 20*len(a.Thumb) {
		t.Errorf("other: %d", d)
	}
}

func FuzzReadClip(f *testing.F) {
	x := &index{Index: Index{Begun: morning, Period: 2 * time.Second, Width: 8, Height: 8}}
	b := []byte(magic)
	for i := range 3 {
		jpeg, look := frameOf(i)
		b = append(b, jpeg...)
		x.entries = append(x.entries, entry{uint32(len(jpeg)), look})
	}
	x.entries = append(x.entries, entry{})
	whole := x.appendIndex(b)
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(append([]byte(magic), x.appendIndex(nil)...))
	f.Add((&index{Index: x.Index}).appendIndex([]byte(magic)))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ReadClip(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		again := []byte(magic)
		y := &index{Index: c.Index}
		for i := range c.Frames {
			jpeg, look, repeat := c.Frame(i)
			n := len(jpeg)
			if repeat {
				jpeg, n = nil, 0
			}
			again = append(again, jpeg...)
			y.entries = append(y.entries, entry{uint32(n), look})
		}
		if again = y.appendIndex(again); !bytes.Equal(again, data) {
			t.Fatalf("reads as something else: %d bytes, %d written again", len(data), len(again))
		}
	})
}
