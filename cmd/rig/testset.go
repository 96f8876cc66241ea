package main

import (
	"context"
	"fmt"
	"image"
	"os"
	"path/filepath"

	"porthole/internal/cli"
	"porthole/internal/testset"
)

type testsetCmd struct {
	Dir    string `arg:"" help:"Folder to write NNN.jpg and NNN.pgm into, and NNN.steady.pgm where the light is not steady; made if it is not there."`
	Scene  string `default:"desk" help:"What happens before the camera: desk, exposure, banding, person, screen, hand, static or night (default: ${default})."`
	Frames int    `default:"60" placeholder:"N" help:"So many pictures (default: ${default})."`
	Seed   uint32 `help:"Other movements and other noise."`
}

// Run writes a test set: pictures as a camera sends them, and the same without
// the camera.
func (c *testsetCmd) Run(_ context.Context, std cli.IO) error {
	s, ok := testset.Find(c.Scene)
	switch {
	case !ok:
		return cli.Usage(cli.Hint(fmt.Errorf("--scene %q: there is none", c.Scene), "choose one of "+testset.Names()))
	case c.Frames < 1 || c.Frames > 100_000:
		return cli.Usage(fmt.Errorf("--frames %d: want 1 to 100000", c.Frames))
	}
	s.Seed = c.Seed
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	total := 0
	for i, f := range s.Frames(c.Frames) {
		name := filepath.Join(c.Dir, fmt.Sprintf("%03d", i))
		if err := os.WriteFile(name+".jpg", f.JPEG, 0o644); err != nil {
			return err
		}
		if err := writePGM(name+".pgm", f.Clean); err != nil {
			return err
		}
		if f.Steady != f.Clean {
			if err := writePGM(name+".steady.pgm", f.Steady); err != nil {
				return err
			}
		}
		total += len(f.JPEG)
	}
	fmt.Fprintf(std.Out, "%d pictures of %q, %d bytes each\n", c.Frames, s.Text, total/c.Frames)
	return nil
}

// writePGM writes a picture as a binary gray map.
func writePGM(name string, g *image.Gray) error {
	head := fmt.Appendf(nil, "P5\n%d %d\n255\n", g.Rect.Dx(), g.Rect.Dy())
	return os.WriteFile(name, append(head, g.Pix...), 0o644)
}
