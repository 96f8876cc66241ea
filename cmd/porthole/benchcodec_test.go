package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porthole/internal/cli"
	"porthole/internal/testset"
)

// TestBenchCodec: the table has a row for the camera and for each setting, and
// says whether it knew the truth.
func TestBenchCodec(t *testing.T) {
	dir := t.TempDir()
	for i, f := range testset.Scenes[0].Frames(3) {
		name := filepath.Join(dir, fmt.Sprint(i))
		write(t, name+".jpg", f.JPEG)
		write(t, name+".pgm", append(fmt.Appendf(nil, "P5\n%d %d\n255\n", testset.Width, testset.Height), f.Clean.Pix...))
	}
	var out, problems bytes.Buffer
	cmd := benchCodecCmd{Dir: dir, Frames: 60}
	if err := cmd.Run(t.Context(), cli.IO{Out: &out, Err: &problems}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 6 || !strings.Contains(lines[0], "3 pictures of 800 x 600, against the pictures without noise") {
		t.Fatalf("printed\n%s", out.String())
	}
	for i, want := range []string{"camera's JPEG      25", "changes, strict", "changes, global"} {
		if !strings.Contains(lines[3+i], want) {
			t.Errorf("row %d is %q, want %q in it", i, lines[3+i], want)
		}
	}

	r, err := openReel(dir, 3)
	if err != nil {
		t.Fatal(err)
	}
	row, err := r.other(t.Context(), other{"x264", true, x264("medium", "30", "44"), "o.h264", 0, 0})
	if err != nil {
		t.Fatal(err)
	}
	if row.bytes < 100 || row.bytes > 20_000 || row.clean.ssim < 0.9 || row.clean.psnr < 30 || row.clean.moving == 0 {
		t.Errorf("x264: %+v", row)
	}
	if _, err := r.other(t.Context(), other{"none", true, []string{"-c:v", "no-such-codec"}, "o.ivf", 0, 0}); err == nil {
		t.Error("a codec that does not exist was measured")
	}

	// The same in steady light, darker: what moves is what moves there, and the
	// table says how far from it the pictures are.
	for i := range 3 {
		name := filepath.Join(dir, fmt.Sprint(i))
		write(t, name+".steady.pgm", append(fmt.Appendf(nil, "P5\n%d %d\n255\n", testset.Width, testset.Height), make([]byte, testset.Width*testset.Height)...))
	}
	out.Reset()
	cmd.Others = false
	if err := cmd.Run(t.Context(), cli.IO{Out: &out, Err: &problems}); err != nil {
		t.Fatal(err)
	}
	lines = strings.Split(strings.TrimSpace(out.String()), "\n")
	if want := "moving  steady PSNR    SSIM  moving"; len(lines) != 6 || !strings.HasSuffix(strings.TrimSpace(lines[2]), want) {
		t.Errorf("printed\n%s", out.String())
	}
	if row := strings.Fields(lines[4]); len(row) != 10 || row[6] != "-" || row[9] != "-" || row[7] == row[4] {
		t.Errorf("printed %q, want no movement and another likeness", lines[4])
	}

	for _, test := range []struct {
		name string
		harm func()
	}{
		{"a cut map in steady light", func() { write(t, filepath.Join(dir, "1.steady.pgm"), []byte("P5\n800 600\n255\n...")) }},
		{"a cut map", func() {
			os.Remove(filepath.Join(dir, "1.steady.pgm"))
			write(t, filepath.Join(dir, "1.pgm"), []byte("P5\n800 600\n255\n..."))
		}},
		{"a map of another size", func() { write(t, filepath.Join(dir, "1.pgm"), []byte("P5\n8 6\n255\n"+strings.Repeat(".", 48))) }},
		{"no picture", func() { write(t, filepath.Join(dir, "1.jpg"), []byte("JPEG")) }},
		{"one picture", func() { os.Remove(filepath.Join(dir, "1.jpg")); os.Remove(filepath.Join(dir, "2.jpg")) }},
	} {
		test.harm()
		if err := cmd.Run(t.Context(), cli.IO{Out: &out, Err: &problems}); err == nil {
			t.Errorf("%s: no error", test.name)
		}
	}
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
