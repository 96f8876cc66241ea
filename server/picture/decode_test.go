package picture

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/internal/frame"
	"porthole/internal/scene"
	"porthole/server/hostile"
)

func TestDecode(t *testing.T) {
	g := grain(45, 29, 1)
	ycc := image.NewYCbCr(g.Rect, image.YCbCrSubsampleRatio420)
	for y := range 29 {
		copy(ycc.Y[y*ycc.YStride:], g.Pix[y*g.Stride:][:45])
	}
	for i := range ycc.Cb {
		ycc.Cb[i], ycc.Cr[i] = uint8(i), uint8(i*7) // colour that must not show
	}
	std := func(m image.Image) []byte {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 98}); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	rgba := image.NewRGBA(g.Rect)
	for i := range rgba.Pix {
		rgba.Pix[i] = 255
	}
	rgba.Set(1, 0, color.RGBA{255, 0, 0, 255})
	for _, tt := range []struct {
		name string
		data []byte
		want *image.Gray
	}{
		{"gray", std(g), g},
		{"4:2:0 in colour", std(ycc), g},
		{"camera", scene.EncodeOV2640(g, 1), g},
		{"bytes after the end", append(std(g), "<html>"...), g},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, rgb, err := Decode(tt.data, inspect(t, tt.data))
			if err != nil || rgb {
				t.Fatalf("rgb %v, %v", rgb, err)
			}
			if got.Rect != tt.want.Rect || psnr(tt.want, got) < 40 {
				t.Errorf("%v, %.1f dB", got.Rect, psnr(tt.want, got))
			}
		})
	}
	if got := grayOf(rgba); got.Pix[0] != 255 || got.Pix[1] != 76 {
		t.Errorf("white and red are %d and %d", got.Pix[0], got.Pix[1])
	}
}

// rgbFrame marks a camera's frame as RGB by an Adobe segment, without JFIF.
func rgbFrame(t *testing.T) []byte {
	data := scene.EncodeOV2640(grain(48, 32, 1), 12)
	adobe := []byte("\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00")
	return append(append([]byte{0xff, 0xd8}, adobe...), data[20:]...)
}

// TestMasksRefuseRGB: in RGB every plane tells brightness, and planes of half
// the size spread it over twice the distance that masks are grown by.
func TestMasksRefuseRGB(t *testing.T) {
	data := rgbFrame(t)
	info := inspect(t, data)
	if _, err := newPipeline(t, Config{}).Process(data, info); err != nil {
		t.Errorf("without masks: %v", err)
	}
	masked := Config{Camera: image.Pt(48, 32), Masks: []image.Rectangle{image.Rect(0, 0, 9, 9)}}
	_, err := newPipeline(t, masked).Process(data, info)
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Unsupported {
		t.Errorf("with masks: %v", err)
	}
}

func TestCheckTail(t *testing.T) {
	lower := func(from int, v uint8) *image.Gray { // rows from on are flat
		g := grain(64, 60, 3)
		for i := from * g.Stride; i < len(g.Pix); i++ {
			g.Pix[i] = v
		}
		return g
	}
	size := image.Pt(64, 60)
	masks := func(r ...image.Rectangle) Masks { return NewMasks(size, r) }
	spot := lower(32, 128)
	spot.Pix[59*64+63] = 129
	for _, tt := range []struct {
		name  string
		g     *image.Gray
		masks Masks
		want  string
	}{
		{"whole", lower(60, 0), Masks{}, ""},
		{"half", lower(32, 128), Masks{}, "the last 28 of 60 rows"},
		{"last row of blocks", lower(56, 128), Masks{}, "the last 4 of 60 rows"},
		{"three rows of four", lower(57, 128), Masks{}, ""},
		{"nothing came", lower(0, 128), Masks{}, "the last 60 of 60 rows"},
		{"dark", lower(32, 0), Masks{}, ""},
		{"bright", lower(32, 255), Masks{}, ""},
		{"almost grey", lower(32, 127), Masks{}, ""},
		{"one pixel lives", spot, Masks{}, ""},
		{"that pixel is masked", spot, masks(image.Rect(63, 59, 64, 60)), "the last 28 of 60 rows"},
		{"lower half masked", lower(32, 128), masks(image.Rect(0, 32, 64, 60)), ""},
		{"cut above a mask", lower(32, 128), masks(image.Rect(0, 48, 64, 60)), "the last 28 of 60 rows"},
		{"all masked", lower(0, 128), masks(image.Rect(0, 0, 64, 60)), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := CheckTail(tt.g, tt.masks)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Truncated || !strings.Contains(e.Detail, tt.want) {
				t.Errorf("%v, want …%s…", err, tt.want)
			}
		})
	}
}

// TestProcessRefuses: a refused picture has a kind and leaves no trace in the
// state of the stages.
func TestProcessRefuses(t *testing.T) {
	good := scene.EncodeOV2640(grain(96, 64, 1), 12)
	info := inspect(t, good)
	cut := append(bytes.Clone(good[:len(good)/2]), 0xff, 0xd9)
	tail := grain(96, 64, 1)
	for i := 40 * 96; i < len(tail.Pix); i++ {
		tail.Pix[i] = missing
	}
	grey := scene.EncodeOV2640(tail, 12)
	size := func(change func(*frame.Info)) frame.Info { i := info; change(&i); return i }
	cfg := Config{Camera: image.Pt(96, 64), Denoise: true, Normalize: true}
	p, untouched := newPipeline(t, cfg), newPipeline(t, cfg)
	for _, tt := range []struct {
		name string
		data []byte
		info frame.Info
		kind Kind
	}{
		{"cut", cut, frame.Info{Width: 96, Height: 64, Len: len(cut)}, Truncated},
		{"grey tail", grey, inspect(t, grey), Truncated},
		{"not a picture", []byte("hello"), frame.Info{Width: 96, Height: 64, Len: 5}, Corrupt},
		{"nothing", nil, frame.Info{Width: 96, Height: 64}, Truncated},
		{"another size", good, size(func(i *frame.Info) { i.Width++ }), Size},
		{"no info", good, frame.Info{}, Size},
		{"info of another picture", scene.EncodeOV2640(grain(97, 64, 1), 12), info, Size},
		{"more than there is", good, size(func(i *frame.Info) { i.Len = len(good) + 1 }), Size},
		{"less than nothing", good, size(func(i *frame.Info) { i.Len = -1 }), Size},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := p.Process(tt.data, tt.info)
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind != tt.kind {
				t.Errorf("%v, want %v", err, tt.kind)
			}
			if r.JPEG != nil || r.Picture != nil {
				t.Error("a result beside an error")
			}
		})
	}
	a, errA := p.Process(good, info)
	b, errB := untouched.Process(good, info)
	if outcome(a, errA) != outcome(b, errB) || errA != nil {
		t.Errorf("refused pictures changed the next one: %v, %v", errA, errB)
	}
}

// TestHostile runs the corpus through inspection and pipeline: every file is
// refused where the corpus says, and costs little memory.
func TestHostile(t *testing.T) {
	p := newPipeline(t, Config{})
	for _, f := range hostile.Corpus() {
		t.Run(f.Name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			info, err := frame.Inspect(f.Data, frame.Limits{})
			if err == nil {
				_, err = p.Process(f.Data, info)
			}
			runtime.ReadMemStats(&after)
			got := "ok"
			if e, ok := errors.AsType[*frame.Error](err); ok {
				got = e.Kind.String()
			} else if e, ok := errors.AsType[*Error](err); ok {
				got = "decode " + e.Kind.String()
			}
			if got != f.Want {
				t.Errorf("%s (%v), want %s", got, err, f.Want)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
				t.Errorf("%d bytes allocated", n)
			}
		})
	}
}

// TestTurns: pipelines that share a turn may be used at the same time, and so
// may one of them from many goroutines.
func TestTurns(t *testing.T) {
	var turn sync.Mutex
	data := scene.EncodeOV2640(grain(96, 64, 1), 12)
	info := inspect(t, data)
	one, other := newPipeline(t, Config{Turn: &turn, Denoise: true}), newPipeline(t, Config{Turn: &turn})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			p := one
			if i%2 == 0 {
				p = other
			}
			for range 10 {
				if _, err := p.Process(data, info); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestReadSteps(t *testing.T) {
	g := grain(32, 16, 1)
	camera := scene.EncodeOV2640(g, 30)
	var std bytes.Buffer
	if err := jpeg.Encode(&std, g, &jpeg.Options{Quality: 50}); err != nil { // Annex K as it is
		t.Fatal(err)
	}
	wide := append([]byte{0xff, 0xdb, 0, 131, 0x10}, bytes.Repeat([]byte{1, 2}, 64)...)
	fill := append([]byte{0xff, 0xd8, 0xff, 0xff, 0xff}, camera[2:]...)
	of := func(quality int) (s Steps) {
		for i, q := range quantTable(quality) {
			s[i] = uint16(q)
		}
		return s
	}
	sos := bytes.Index(camera, []byte{0xff, 0xda})
	for _, tt := range []struct {
		name string
		data []byte
		want Steps // 0 is none
	}{
		{"camera", camera, of(30)},
		{"image/jpeg", std.Bytes(), of(16)},
		{"ours", encode(t, g, 7), of(7)},
		{"fill bytes", fill, of(30)},
		{"redefined in 16 bits", append(append(bytes.Clone(camera[:158]), wide...), camera[158:]...), Steps(slices.Repeat([]uint16{0x102}, 64))},
		{"no table", append([]byte{0xff, 0xd8}, camera[158:]...), Steps{}},
		{"no frame header", append(bytes.Clone(camera[:590]), camera[sos:]...), Steps{}},
		{"cut", camera[:sos], Steps{}},
		{"cut in a table", camera[:60], Steps{}},
		{"SOI", camera[:2], Steps{}},
		{"nothing", nil, Steps{}},
	} {
		got, ok := ReadSteps(tt.data)
		if got != tt.want || ok != (tt.want != Steps{}) {
			t.Errorf("%s: %v, %v, want %v", tt.name, got, ok, tt.want)
		}
	}
}

// TestDenoiseCoarse: a camera with coarser steps than ours flips coarser; the
// room at rest must still be at rest.
func TestDenoiseCoarse(t *testing.T) {
	s := newScene(t, scene.Config{Seed: 7, Width: 320, Height: 240, Quality: 40})
	p := newPipeline(t, Config{Denoise: true})
	for n := range uint64(6) {
		data := s.JPEG(n, 12*time.Hour) // the same moment with other noise
		r, err := p.Process(data, inspect(t, data))
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 && r.Moving > 20 {
			t.Errorf("picture %d: %d of 1000 blocks move", n, r.Moving)
		}
	}
}

// FuzzProcess: whatever arrives, the pipeline returns a picture that our own
// inspection accepts, or an error, and does not panic. The raw bytes go in too,
// with an inspection made up, as if a caller had forgotten it.
func FuzzProcess(f *testing.F) {
	for _, file := range hostile.Corpus() {
		if len(file.Data) < 4<<10 {
			f.Add(file.Data)
		}
	}
	small := frame.Limits{MaxBytes: 64 << 10, MaxWidth: 256, MaxHeight: 256, Progressive: true}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := New(Config{Denoise: true, Normalize: true, Width: 20})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := p.Process(data, frame.Info{Width: 32, Height: 16, Len: len(data)}); err == nil && (r.Width != 20 || r.Height != 10) {
			t.Fatalf("32x16 became %dx%d", r.Width, r.Height)
		}
		info, err := frame.Inspect(data, small)
		if err != nil {
			return
		}
		for range 2 {
			r, err := p.Process(data, info)
			if err != nil {
				if _, ok := errors.AsType[*Error](err); !ok {
					t.Fatalf("not an *Error: %v", err)
				}
				return
			}
			got, err := frame.Inspect(r.JPEG, frame.Limits{})
			if err != nil || got.Width != r.Width || got.Height != r.Height || got.Len != len(r.JPEG) {
				t.Fatalf("made %+v, %v from %+v", got, err, info)
			}
		}
	})
}

// FuzzReadSteps: only the header is read, whatever it is; and where the decoder
// takes the frame, there are steps, and re-encoding on them is possible.
func FuzzReadSteps(f *testing.F) {
	for _, file := range hostile.Corpus() {
		if len(file.Data) < 1<<10 {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		steps, ok := ReadSteps(data)
		if !ok && steps != (Steps{}) {
			t.Fatal("steps of a picture that has none")
		}
		small := frame.Limits{MaxBytes: 16 << 10, MaxWidth: 64, MaxHeight: 64}
		info, err := frame.Inspect(data, small)
		if err != nil {
			return
		}
		if !ok {
			t.Fatalf("no steps in a frame that is %+v", info)
		}
		if again, _ := ReadSteps(data[:info.Len]); again != steps {
			t.Fatal("bytes behind the frame change its steps")
		}
		a, err := newPipeline(t, Config{}).Admit(data, info)
		if err != nil {
			return
		}
		kept, err := a.JPEG()
		if err != nil {
			t.Fatal(err)
		}
		if info, err := frame.Inspect(kept, small); err != nil || a.Size().X != info.Width || a.Size().Y != info.Height {
			t.Fatalf("kept as %+v, %v", info, err)
		}
	})
}
