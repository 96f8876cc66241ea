package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// other is another codec, as ffmpeg has it.
type other struct {
	name     string
	denoised bool // fed with the server's pictures instead of the camera's
	args     []string
	file     string // with a %d: one file a picture
	overhead int    // bytes a picture that are the container's
	head     int    // and of the file
}

// Settings after which the first measurements were made (server 4): one pass, no
// picture looked ahead to.
var others = []other{
	{"x264 medium crf 28 of the camera", false, x264("medium", "30", "28"), "o.h264", 0, 0},
	{"x264 medium crf 44 of the camera", false, x264("medium", "30", "44"), "o.h264", 0, 0},
	{"x264 medium crf 44", true, x264("medium", "30", "44"), "o.h264", 0, 0},
	{"x264 veryslow crf 43", true, x264("veryslow", "300", "43"), "o.h264", 0, 0},
	{"VP9 crf 62 of the camera", false, vp9("62"), "o.ivf", 12, 32},
	{"VP9 crf 62", true, vp9("62"), "o.ivf", 12, 32},
	{"VP9 crf 44", true, vp9("44"), "o.ivf", 12, 32},
	{"WebP 20", true, []string{"-c:v", "libwebp", "-quality", "20"}, "o%03d.webp", 0, 0},
	{"WebP 30", true, []string{"-c:v", "libwebp", "-quality", "30"}, "o%03d.webp", 0, 0},
	{"AVIF crf 50", true, []string{"-c:v", "libaom-av1", "-still-picture", "1", "-cpu-used", "6", "-crf", "50"}, "o%03d.avif", 0, 0},
}

func x264(preset, group, crf string) []string {
	return []string{"-c:v", "libx264", "-preset", preset, "-tune", "zerolatency", "-g", group, "-crf", crf, "-pix_fmt", "yuv420p"}
}

func vp9(crf string) []string {
	return []string{"-c:v", "libvpx-vp9", "-deadline", "good", "-cpu-used", "1", "-lag-in-frames", "0", "-g", "9999", "-b:v", "0", "-crf", crf, "-pix_fmt", "yuv420p"}
}

// others measures all of them, or nothing without ffmpeg.
func (r *reel) others(ctx context.Context) (rows []result, err error) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		return nil, nil
	}
	for _, o := range others {
		row, err := r.other(ctx, o)
		if err != nil {
			return rows, fmt.Errorf("measure %s: %w", o.name, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (r *reel) other(ctx context.Context, o other) (result, error) {
	row := result{name: o.name}
	dir, err := os.MkdirTemp("", "porthole-codec-")
	if err != nil {
		return row, err
	}
	defer os.RemoveAll(dir)
	// Video codecs get the levels as they are, with colourless planes; ffmpeg
	// would squeeze gray pictures into the levels of television otherwise.
	still := strings.Contains(o.file, "%")
	format, colour := "yuv420p", bytes.Repeat([]byte{128}, 2*((r.w+1)/2)*((r.h+1)/2))
	if still {
		format, colour = "gray", nil
	}
	var raw bytes.Buffer
	for i := range r.shots {
		g := r.shots[i].camera
		if o.denoised {
			g = r.shots[i].public
		}
		for y := range r.h {
			raw.Write(g.Pix[y*g.Stride:][:r.w])
		}
		raw.Write(colour)
	}
	file, size := filepath.Join(dir, o.file), fmt.Sprintf("%dx%d", r.w, r.h)
	args := append([]string{"-f", "rawvideo", "-pix_fmt", format, "-s", size, "-r", "1", "-i", "-", "-threads", "1"}, o.args...)
	if _, err := ffmpeg(ctx, &raw, append(args, file)...); err != nil {
		return row, err
	}
	sizes := 0
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sizes += int(info.Size())
		}
		return err
	})
	if err != nil {
		return row, err
	}
	n := len(r.shots)
	row.bytes = (sizes - o.head - n*o.overhead) / n
	if !still {
		if row.first, err = firstPacket(ctx, file); err != nil {
			return row, err
		}
		if row.first > 0 {
			row.bytes = (sizes - o.head - n*o.overhead - row.first) / (n - 1)
		}
	}
	back, err := ffmpeg(ctx, nil, "-r", "1", "-i", file, "-f", "rawvideo", "-pix_fmt", format, "-")
	if err != nil {
		return row, err
	}
	each := r.w*r.h + len(colour)
	if len(back) != n*each {
		return row, fmt.Errorf("%d bytes of pictures came back, want %d", len(back), n*each)
	}
	for i := range r.shots {
		g := &image.Gray{Pix: back[i*each:][:r.w*r.h], Stride: r.w, Rect: image.Rect(0, 0, r.w, r.h)}
		row.add(g, &r.shots[i], n)
	}
	return row, nil
}

// ffmpeg runs the tool and returns what it wrote to its standard output.
func ffmpeg(ctx context.Context, in *bytes.Buffer, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "ffmpeg", append([]string{"-hide_banner", "-loglevel", "error", "-y"}, args...)...)
	if in != nil {
		cmd.Stdin = in
	}
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %.300s", err, problems.String())
	}
	return out, nil
}

// firstPacket is the size of a file's first picture; 0 without ffprobe.
func firstPacket(ctx context.Context, file string) (int, error) {
	if _, err := exec.LookPath("ffprobe"); err != nil {
		return 0, nil
	}
	out, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-show_entries", "packet=size", "-of", "csv=p=0", "-read_intervals", "%+#1", file).Output()
	if err != nil {
		return 0, err
	}
	text, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return strconv.Atoi(strings.Trim(text, ", \r"))
}
