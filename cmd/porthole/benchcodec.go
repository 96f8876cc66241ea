package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"porthole/internal/cli"
	"porthole/internal/frame"
	"porthole/internal/quality"
	"porthole/server/delta"
	"porthole/server/picture"
)

type benchCodecCmd struct {
	Dir    string `arg:"" help:"Folder of JPEGs in the order of their names; NAME.pgm beside NAME.jpg is the picture without noise that quality is measured against (default: the JPEG itself), NAME.steady.pgm the same in steady light."`
	Frames int    `default:"60" placeholder:"N" help:"Take so many of them at most (default: ${default})."`
	Others bool   `default:"true" negatable:"" help:"Compare with x264, VP9, WebP and AVIF, if ffmpeg is installed (default: yes)."`
}

// Run prints what a folder of pictures costs and looks like.
func (c *benchCodecCmd) Run(ctx context.Context, std cli.IO) error {
	reel, err := openReel(c.Dir, c.Frames)
	if err != nil {
		return err
	}
	truth := "against the pictures without noise"
	if !reel.truth {
		truth = "against the camera's own JPEGs, which have noise: the more a codec keeps of it, the better it seems"
	}
	fmt.Fprintf(std.Out, "%d pictures of %d x %d, %s\n\n", len(reel.shots), reel.w, reel.h, truth)
	t := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "what\tB/picture\tfirst B\tPSNR\tSSIM\tmoving\t"+reel.steadyColumns("steady PSNR\tSSIM\tmoving\t"))
	print := func(r result) {
		first := "-"
		if r.first > 0 {
			first = fmt.Sprint(r.first)
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s%s\n", r.name, r.bytes, first, r.clean, reel.steadyColumns(r.steady.String()))
	}
	print(reel.camera())
	for _, set := range []struct {
		name string
		delta.Settings
	}{{"changes, strict", delta.Strict}, {"changes, global", delta.Global}} {
		r, err := reel.changes(set.name, set.Settings)
		if err != nil {
			return err
		}
		print(r)
	}
	if c.Others {
		rows, err := reel.others(ctx)
		if err != nil {
			return err
		}
		for _, r := range rows {
			print(r)
		}
		if rows == nil {
			fmt.Fprintln(std.Err, "ffmpeg is not installed: no other codecs to compare with")
		}
	}
	return t.Flush()
}

// reel is a folder of pictures: as the camera sent them, as the server shows
// them, and the truth.
type reel struct {
	w, h  int
	truth bool
	lit   bool // there are pictures in steady light
	shots []benchShot
}

type benchShot struct {
	jpeg                  []byte
	camera, public, clean *image.Gray
	steady                *image.Gray // clean where there is none
	moving                []bool      // where the truth changed in steady light; nil for the first
}

// steadyColumns are columns that a table has only if the pictures' light changes.
func (r *reel) steadyColumns(text string) string {
	if !r.lit {
		return ""
	}
	return text
}

func openReel(dir string, limit int) (*reel, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.jpg"))
	if err != nil || len(names) < 2 || limit < 2 {
		return nil, cli.Hint(fmt.Errorf("read pictures: %d files *.jpg in %q", len(names), dir), "record a camera into a folder, or make one: rig testset DIR")
	}
	p, err := picture.New(picture.Config{Denoise: true})
	if err != nil {
		return nil, err
	}
	r := new(reel)
	for i, name := range names[:min(limit, len(names))] {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		s := benchShot{jpeg: data}
		info, err := frame.Inspect(data, frame.Limits{})
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", name, err)
		}
		a, err := p.Admit(data, info)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", name, err)
		}
		shown, err := p.Render(a)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", name, err)
		}
		s.public = shown.Picture
		if s.camera, err = grayOf(data); err != nil {
			return nil, fmt.Errorf("read %q: %w", name, err)
		}
		if i == 0 {
			r.w, r.h = info.Width, info.Height
		} else if r.w != info.Width || r.h != info.Height {
			return nil, fmt.Errorf("read %q: %d x %d pixels, the first is %d x %d", name, info.Width, info.Height, r.w, r.h)
		}
		s.clean = s.camera
		if clean, err := r.readTruth(name, ".pgm"); err != nil {
			return nil, err
		} else if clean != nil {
			s.clean, r.truth = clean, true
		}
		s.steady = s.clean
		if steady, err := r.readTruth(name, ".steady.pgm"); err != nil {
			return nil, err
		} else if steady != nil {
			s.steady, r.lit = steady, true
		}
		if i > 0 {
			s.moving = quality.Moving(r.shots[i-1].steady, s.steady, movingLevels, movingMargin)
		}
		r.shots = append(r.shots, s)
	}
	return r, nil
}

// readTruth reads the gray map beside a JPEG; nil if there is none.
func (r *reel) readTruth(name, suffix string) (*image.Gray, error) {
	pgm, err := os.ReadFile(strings.TrimSuffix(name, ".jpg") + suffix)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	g, err := readPGM(pgm, r.w, r.h)
	if err != nil {
		return nil, fmt.Errorf("read the truth of %q: %w", name, err)
	}
	return g, nil
}

// What counts as moving: more than two levels, and two pixels around.
const movingLevels, movingMargin = 2, 2

func grayOf(data []byte) (*image.Gray, error) {
	m, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	switch m := m.(type) {
	case *image.Gray:
		return m, nil
	case *image.YCbCr:
		return &image.Gray{Pix: m.Y, Stride: m.YStride, Rect: m.Rect}, nil
	}
	return nil, errors.New("neither gray nor YCbCr")
}

// readPGM reads a binary gray map of the given size.
func readPGM(b []byte, w, h int) (*image.Gray, error) {
	var pw, ph, most int
	in := bytes.NewReader(b)
	if _, err := fmt.Fscanf(in, "P5\n%d %d\n%d", &pw, &ph, &most); err != nil || pw != w || ph != h || most != 255 {
		return nil, fmt.Errorf("not a gray map P5 of %d x %d with 255 levels", w, h)
	}
	in.ReadByte() // the white space behind the head
	g := image.NewGray(image.Rect(0, 0, w, h))
	if _, err := io.ReadFull(in, g.Pix); err != nil {
		return nil, err
	}
	return g, nil
}

// result is a row of the table.
type result struct {
	name          string
	bytes, first  int // mean without the first picture where that is given
	clean, steady likeness
}

// likeness is how near pictures are to the truth.
type likeness struct {
	psnr, ssim, moving float64
	counted            int // pictures in moving
}

// add counts one picture of n.
func (l *likeness) add(g, truth *image.Gray, moving []bool, n int) {
	m := quality.SSIM(g, truth)
	l.psnr += min(quality.PSNR(g, truth), 100) / float64(n)
	l.ssim += m.Mean() / float64(n)
	if moving != nil {
		if sum, area := m.In(moving); area > 0 {
			l.moving += sum / float64(area)
			l.counted++
		}
	}
}

func (l likeness) String() string {
	moving := "-" // where nothing moves, nothing is as good as anything
	if l.counted > 0 {
		moving = fmt.Sprintf("%.4f", l.moving/float64(l.counted))
	}
	return fmt.Sprintf("%.2f\t%.4f\t%s\t", l.psnr, l.ssim, moving)
}

// add counts one picture.
func (r *result) add(g *image.Gray, s *benchShot, n int) {
	r.clean.add(g, s.clean, s.moving, n)
	if s.steady != s.clean {
		r.steady.add(g, s.steady, s.moving, n)
	}
}

func (r *reel) camera() result {
	row := result{name: "camera's JPEG"}
	for i := range r.shots {
		row.bytes += len(r.shots[i].jpeg)
		row.add(r.shots[i].camera, &r.shots[i], len(r.shots))
	}
	row.bytes /= len(r.shots)
	return row
}

// changes codes the pictures as the server does, headers included; a viewer who
// was there from the beginning looks on.
func (r *reel) changes(name string, set delta.Settings) (result, error) {
	row := result{name: name}
	feed := delta.NewFeed(set, 0)
	var dec delta.Decoder
	var line *delta.Line
	for i := range r.shots {
		if err := feed.Show(r.shots[i].public); err != nil {
			return row, err
		}
		data := []byte(nil)
		if i == 0 {
			var err error
			if line, err = feed.Join(); err != nil {
				return row, err
			}
			data = line.Key.Data
			row.first = len(data)
		} else {
			seq, _ := dec.Seq()
			frames, _, ok := line.Next(seq)
			if !ok || len(frames) != 1 {
				return row, errors.New("code changes: a frame was lost")
			}
			data = frames[0].Data
			row.bytes += len(data)
		}
		if err := dec.Decode(data); err != nil {
			return row, err
		}
		row.add(dec.Picture(), &r.shots[i], len(r.shots))
	}
	row.bytes /= len(r.shots) - 1
	return row, nil
}
