package conformance

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	stdimage "image"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"porthole/internal/boardcfg"
	"porthole/internal/frame"
	"porthole/internal/scene"
	"porthole/sim"
)

// sized is a real picture of exactly n bytes: a small one and a comment.
func sized(t testing.TB, n int) []byte {
	t.Helper()
	gray := stdimage.NewGray(stdimage.Rect(0, 0, 64, 48))
	for i := range gray.Pix {
		gray.Pix[i] = byte(i/64*3 + i%64 + n)
	}
	j := scene.EncodeOV2640(gray, 12)
	out := bytes.Clone(j[:2])
	for rest := n - len(j); rest > 0; {
		if rest < 4 {
			t.Fatalf("cannot make a picture of %d bytes: the scene has %d", n, len(j))
		}
		seg := min(rest, 60_000)
		if left := rest - seg; left > 0 && left < 4 {
			seg -= 4
		}
		out = append(out, 0xFF, 0xFE, byte((seg-2)>>8), byte(seg-2))
		out = append(out, bytes.Repeat([]byte{'c'}, seg-4)...)
		rest -= seg
	}
	out = append(out, j[2:]...)
	if _, err := frame.Inspect(out, frame.Limits{}); err != nil || len(out) != n {
		t.Fatalf("picture of %d bytes has %d: %v", n, len(out), err)
	}
	return out
}

// simulate uploads a folder of pictures once with the simulator.
func simulate(t *testing.T, b *fwBench, dir string, frames int, profile sim.Profile, core sim.Core) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	source, err := sim.OpenFolder(root.FS(), sim.LoopOrder, frame.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", b.port)
	camera, err := sim.New(sim.Config{
		Target: sim.Target{TLS: true, Host: "localhost", Port: b.port, Path: "/upload", Token: b.token},
		Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		},
		TLS: &tls.Config{RootCAs: b.ca.Pool()}, Source: source, Profile: profile, Core: core,
		Interval: boardcfg.MinInterval, Frames: frames,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := camera.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestDifferential: porthole-fw and the simulator upload the same pictures to the
// same server. On the wire they are the same: types, versions, lengths and order
// of all records, what is in them, and the hello but for its random bytes.
func TestDifferential(t *testing.T) {
	fw := hostFirmware(t)
	sizes := []int{2048, 3000, 4096, 4097, 8192, 25000, 1500}
	var frames [][]byte
	for _, n := range sizes {
		frames = append(frames, sized(t, n))
	}
	dir := pictures(t, frames...)
	for _, profile := range []sim.Profile{sim.Sketch, sim.Firmware} {
		t.Run(string(profile), func(t *testing.T) {
			b := newFWBench(t, nil)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			args := []string{"--nvs", settings(t, b, nil), "--camera", dir, "--profile", string(profile), "--frames", fmt.Sprint(len(frames))}
			if profile == sim.Firmware {
				// The firmware throws the first frames after a start away; the
				// folder goes on where that leaves it.
				args[3] = pictures(t, rotated(frames, 4)...)
			}
			if out, err := exec.CommandContext(ctx, fw, args...).CombinedOutput(); err != nil {
				t.Fatalf("porthole-fw: %v\n%s", err, out)
			}
			host := b.take()
			simulate(t, b, dir, len(frames), profile, sim.Core2)
			simulated := b.take()
			conns := 1
			if profile == sim.Sketch {
				conns = len(frames)
			}
			if len(host) != conns {
				t.Errorf("porthole-fw made %d connections, want %d", len(host), conns)
			}
			// Head, image and tail of each frame at the least.
			if n := strings.Count(table(host), "\n23 0303 "); n < 3*len(frames) {
				t.Errorf("%d records of application data:\n%s", n, table(host))
			}
			if left, right := table(host), table(simulated); left != right {
				t.Errorf("not the same on the wire:\n%s", beside("porthole-fw", left, "simulator", right))
			}
			for _, side := range [][]*capture{host, simulated} {
				for _, c := range side {
					if text, hash := ja3(t, c.hello); hash != ja3Core2 {
						t.Errorf("JA3 %s of %s", hash, text)
					}
				}
			}
		})
	}
	t.Run("core3", func(t *testing.T) {
		b := newFWBench(t, nil)
		simulate(t, b, dir, 2, sim.Firmware, sim.Core3)
		for _, c := range b.take() {
			if text, hash := ja3(t, c.hello); hash != ja3Core3 || c.hello[2] != 3 {
				t.Errorf("JA3 %s of %s, record version %02x", hash, text, c.hello[1:3])
			}
		}
	})
}

// rotated is frames such that the n-th comes first after n were taken.
func rotated(frames [][]byte, n int) [][]byte {
	k := len(frames) - n%len(frames)
	return append(append([][]byte{}, frames[k:]...), frames[:k]...)
}

// table is all that must be the same, one record a line.
func table(captures []*capture) string {
	var b strings.Builder
	for i, c := range captures {
		hello := bytes.Clone(c.hello)
		if len(hello) > 43 {
			copy(hello[11:43], make([]byte, 32)) // the random bytes
		}
		fmt.Fprintf(&b, "connection %d\nhello %x\n", i+1, hello)
		for _, r := range c.records {
			fmt.Fprintln(&b, r)
		}
	}
	return b.String()
}

// beside prints two tables side by side, different lines marked.
func beside(leftName, left, rightName, right string) string {
	const width = 64
	l, r := strings.Split(left, "\n"), strings.Split(right, "\n")
	var b strings.Builder
	fmt.Fprintf(&b, "    %-*s   %s\n", width, leftName, rightName)
	for i := range max(len(l), len(r)) {
		var a, c string
		if i < len(l) {
			a = l[i]
		}
		if i < len(r) {
			c = r[i]
		}
		mark := "   "
		if a != c {
			mark = "<->"
		}
		fmt.Fprintf(&b, "%s %-*.*s   %.*s\n", mark, width, width, a, width, c)
	}
	return b.String()
}

// The tables on a failure show where two runs part.
func TestBeside(t *testing.T) {
	got := beside("a", "same\nleft\n", "b", "same\nright\nmore\n")
	for _, want := range []string{"    same", "<-> left", "right\n", "<->  "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
