package reservoir

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// crashFolder names the folder in which a copy of the test program records
// until it is killed.
const crashFolder = "RESERVOIR_CRASH_FOLDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashFolder); dir != "" {
		if err := recordForEver(dir); err != nil {
			fmt.Println("failed", err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// recordForEver says what it has done, line by line, right after it is done.
func recordForEver(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	r, err := Open(root, Config{MaxAge: 100 * 365 * 24 * time.Hour})
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		n := 1 + i%7
		rec, err := r.Record(morning.Add(time.Duration(i)*time.Hour), 2*time.Second, 800, 600)
		if err != nil {
			return err
		}
		for j := range n {
			jpeg, look := frameOf(j)
			if err := rec.Add(bytes.Repeat(jpeg, 50), look); err != nil {
				return err
			}
		}
		if i%5 == 4 {
			rec.Discard()
			continue
		}
		info, err := rec.Finish()
		if err != nil {
			return err
		}
		fmt.Println("finished", info.Name, n)
		if clips := r.Clips(); i%3 == 2 {
			name := clips[i%len(clips)].Name
			fmt.Println("taking", name)
			if _, err := r.Take(name); err != nil {
				return err
			}
			fmt.Println("taken", name)
		}
	}
}

// TestKilled kills a recorder at random instants: every clip that it finished
// is whole, and no clip that it took comes back. PORTHOLE_LONG=1 kills 1,000
// times.
func TestKilled(t *testing.T) {
	kills := 20
	if os.Getenv("PORTHOLE_LONG") != "" {
		kills = 1000
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	want := make(map[string]int) // frames of each clip that must be there
	gone := make(map[string]bool)
	cut := 0
	for i := range kills {
		if i%50 == 49 { // a folder that does not grow for ever
			dir, want, gone = t.TempDir(), make(map[string]int), make(map[string]bool)
		}
		maybe := crash(t, dir, rnd, want, gone)
		if parts, _ := filepath.Glob(filepath.Join(dir, "*"+partSuffix)); len(parts) > 0 {
			cut++
		}
		r := open(t, dir, Config{})
		checkClips(t, r, want, gone, maybe)
		r.Close()
		if left, _ := filepath.Glob(filepath.Join(dir, "*"+partSuffix)); len(left) != 0 {
			t.Errorf("left after opening: %v", left)
		}
		if t.Failed() {
			t.Fatalf("kill %d, seed %d", i+1, seed)
		}
	}
	if cut == 0 {
		t.Errorf("no kill cut a recording, so nothing was tested (seed %d)", seed)
	}
	t.Logf("%d kills, %d of them within a recording", kills, cut)
}

// crash runs a recorder, kills it and adds up what it said. The result is the
// clip that it was about to take, if any.
func crash(t *testing.T, dir string, rnd *rand.Rand, want map[string]int, gone map[string]bool) (maybe string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashFolder+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	after := 1 + rnd.IntN(12) // lines, then a moment more
	kill := func() {
		time.AfterFunc(time.Duration(rnd.IntN(3_000_000)), func() { cmd.Process.Kill() })
	}
	for n := 1; lines.Scan(); n++ {
		if n == after {
			kill()
		}
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "finished":
			name, frames, _ := strings.Cut(rest, " ")
			if want[name], err = strconv.Atoi(frames); err != nil {
				t.Fatal(err)
			}
		case "taking":
			maybe = rest
			delete(want, rest)
		case "taken":
			maybe = ""
			gone[rest] = true
		default:
			t.Errorf("recorder: %s", lines.Text())
		}
	}
	cmd.Wait()
	return maybe
}

func checkClips(t *testing.T, r *Reservoir, want map[string]int, gone map[string]bool, maybe string) {
	t.Helper()
	there := make(map[string]bool)
	for _, clip := range r.Clips() {
		there[clip.Name] = true
		if gone[clip.Name] {
			t.Errorf("%s was taken and is there again", clip.Name)
		}
		c, err := r.read(clip.Name, clip.Bytes)
		if err != nil {
			t.Errorf("%s: %v", clip.Name, err)
			continue
		}
		for i := range c.Frames {
			wantJPEG, wantLook := frameOf(i)
			if jpeg, look, _ := c.Frame(i); look != wantLook || !bytes.Equal(jpeg, bytes.Repeat(wantJPEG, 50)) {
				t.Errorf("%s: frame %d is not what was recorded", clip.Name, i)
			}
		}
		if n, ok := want[clip.Name]; ok && n != c.Frames {
			t.Errorf("%s: %d frames, want %d", clip.Name, c.Frames, n)
		}
	}
	for name := range want {
		if !there[name] && name != maybe {
			t.Errorf("%s was finished and is lost: %v", name, fs.ErrNotExist)
		}
	}
	if maybe != "" && !there[maybe] {
		gone[maybe] = true
	}
}
