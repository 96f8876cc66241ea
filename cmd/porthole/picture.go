package main

import (
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"strconv"
	"strings"

	"porthole/internal/cli"
	"porthole/server/picture"
)

// pictureFlags say what is done to every picture, live or recorded, before the
// public sees it.
type pictureFlags struct {
	CameraSize string   `placeholder:"WxH" help:"Size of the camera's pictures, such as 800x600; others are refused. Masks and crop need it."`
	Mask       []string `placeholder:"WxH+X+Y" help:"Paint over this part of every picture before anything is kept or shown. Can be given several times."`
	MaskFile   string   `placeholder:"FILE" help:"More masks, one a line; read again when the server is told to reload."`
	Crop       string   `placeholder:"WxH+X+Y" help:"Show this part only."`
	Width      int      `placeholder:"PIXELS" help:"Scale wider pictures down to this width."`
	Normalize  bool     `help:"Pull the brightness slowly towards a usual one."`
	Denoise    bool     `default:"true" negatable:"" help:"Average over time what does not move, in steady light: pictures get smaller and quieter (default: yes; changes cost far more without)."`
	WebP       bool     `name:"webp" help:"Also make WebP pictures, less than half of the size, for browsers that take them; costs about a twentieth of a second of one core a picture."`
	Quality    int      `default:"12" placeholder:"N" help:"Of the public JPEG, in the camera's numbers: 1 (finest) to 63 (default: ${default})."`
}

// pipeline reads the mask file, if there is one, and returns what makes the
// pictures, and which masks it has.
func (f *pictureFlags) pipeline() (*picture.Pipeline, []image.Rectangle, error) {
	cfg := picture.Config{Width: f.Width, Normalize: f.Normalize, Denoise: f.Denoise, Quality: f.Quality, WebP: f.WebP}
	if f.Quality == 0 {
		return nil, nil, cli.Usage(errors.New("--quality 0: want 1 to 63"))
	}
	var err error
	if f.CameraSize != "" {
		if cfg.Camera, err = parseSize(f.CameraSize); err != nil {
			return nil, nil, cli.Usage(cli.Hint(fmt.Errorf("--camera-size %q: %w", f.CameraSize, err), "write it as 800x600"))
		}
	}
	for _, text := range f.Mask {
		r, err := parseRect(text)
		if err != nil {
			return nil, nil, cli.Usage(cli.Hint(fmt.Errorf("--mask %q: %w", text, err), rectHint))
		}
		cfg.Masks = append(cfg.Masks, r)
	}
	if f.MaskFile != "" {
		more, err := readMasks(f.MaskFile)
		if err != nil {
			return nil, nil, err
		}
		cfg.Masks = append(cfg.Masks, more...)
	}
	if f.Crop != "" {
		if cfg.Crop, err = parseRect(f.Crop); err != nil {
			return nil, nil, cli.Usage(cli.Hint(fmt.Errorf("--crop %q: %w", f.Crop, err), rectHint))
		}
	}
	if (len(cfg.Masks) > 0 || f.Crop != "") && f.CameraSize == "" {
		return nil, nil, cli.Usage(cli.Hint(errors.New("masks and crop need --camera-size"), "on a picture of another size they would cover something else; say --camera-size 800x600"))
	}
	p, err := picture.New(cfg)
	if err != nil {
		return nil, nil, cli.Usage(cli.Hint(err, "see porthole serve --help: what is done to pictures"))
	}
	return p, cfg.Masks, nil
}

const rectHint = "write it as WxH+X+Y: width, height, and the corner's distance from the left and the top, 200x100+50+0"

var errNumbers = errors.New("not whole numbers from 0 to 65535")

func parseSize(text string) (image.Point, error) {
	w, h, ok := strings.Cut(text, "x")
	x, errX := strconv.ParseUint(w, 10, 16)
	y, errY := strconv.ParseUint(h, 10, 16)
	switch {
	case !ok || errX != nil || errY != nil:
		return image.Point{}, errNumbers
	case x == 0 || y == 0:
		return image.Point{}, errors.New("it is empty")
	}
	return image.Pt(int(x), int(y)), nil
}

// parseRect reads WxH+X+Y.
func parseRect(text string) (image.Rectangle, error) {
	size, at, _ := strings.Cut(text, "+")
	s, err := parseSize(size)
	if err != nil {
		return image.Rectangle{}, err
	}
	left, top, _ := strings.Cut(at, "+")
	x, errX := strconv.ParseUint(left, 10, 16)
	y, errY := strconv.ParseUint(top, 10, 16)
	if errX != nil || errY != nil {
		return image.Rectangle{}, errNumbers
	}
	return image.Rectangle{Max: s}.Add(image.Pt(int(x), int(y))), nil
}

// maxMaskFile bounds a mask file: no pipeline takes a hundred masks.
const maxMaskFile = 16 << 10

// readMasks reads a file of masks. Empty lines and what follows a # are ignored.
func readMasks(path string) ([]image.Rectangle, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("read masks: %w", err), "--mask-file names a file with one WxH+X+Y a line; it may be empty")
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxMaskFile+1))
	if err != nil {
		return nil, fmt.Errorf("read masks: %w", err)
	}
	masks, err := parseMasks(string(content))
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("read masks from %q: %w", path, err), rectHint)
	}
	return masks, nil
}

func parseMasks(content string) (masks []image.Rectangle, err error) {
	if len(content) > maxMaskFile {
		return nil, fmt.Errorf("more than %d bytes", maxMaskFile)
	}
	n := 0
	for line := range strings.Lines(content) {
		n++
		text, _, _ := strings.Cut(line, "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		r, err := parseRect(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %.40q: %w", n, text, err)
		}
		masks = append(masks, r)
	}
	return masks, nil
}
