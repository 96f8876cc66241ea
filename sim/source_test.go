package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"porthole/internal/frame"
)

// shot returns a JPEG that looks like a real camera's: metadata in front and
// garbage behind, both of which belong to the upload.
func shot(n byte) []byte {
	img := image.NewGray(image.Rect(0, 0, 16, 16))
	for i := range img.Pix {
		img.Pix[i] = n
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		panic(err)
	}
	out := []byte{0xFF, 0xD8, 0xFF, 0xE0, 0, 5, 'x', 'y', n}
	return append(out, b.Bytes()[2:]...)
}

func take(t *testing.T, src Source, n int) (got [][]byte, err error) {
	t.Helper()
	for i := range n {
		data, err := src.Next(t.Context(), uint64(i+1), 0)
		if err != nil {
			return got, err
		}
		got = append(got, data)
	}
	return got, nil
}

func TestOrder(t *testing.T) {
	for _, tt := range []struct {
		order Order
		n     int
		want  []int
		ends  bool
	}{
		{LoopOrder, 3, []int{0, 1, 2, 0, 1, 2, 0}, false},
		{LoopOrder, 1, []int{0, 0, 0}, false},
		{PingPong, 3, []int{0, 1, 2, 1, 0, 1, 2, 1, 0}, false},
		{PingPong, 2, []int{0, 1, 0, 1}, false},
		{PingPong, 1, []int{0, 0}, false},
		{Once, 3, []int{0, 1, 2}, true},
		{Once, 1, []int{0}, true},
	} {
		var got []int
		for i := range tt.want {
			n, ok := tt.order.index(uint64(i), tt.n)
			if !ok {
				t.Fatalf("%s of %d ends at step %d", tt.order, tt.n, i)
			}
			got = append(got, n)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s of %d: %v, want %v", tt.order, tt.n, got, tt.want)
		}
		if _, ok := tt.order.index(uint64(len(tt.want)), tt.n); ok == tt.ends {
			t.Errorf("%s of %d: goes on %v after %d steps", tt.order, tt.n, ok, len(tt.want))
		}
	}
	if _, err := ParseOrder("random"); err == nil {
		t.Error("an unknown order was taken")
	}
}

func TestFolder(t *testing.T) {
	files := fstest.MapFS{
		"10.jpg":       {Data: shot(10)},
		"2.jpeg":       {Data: append(shot(2), 1, 2, 3)},
		"1.JPG":        {Data: shot(1)},
		"notes.txt":    {Data: []byte("not a frame")},
		".hidden.jpg":  {Data: []byte("broken")},
		"sub/0.jpg":    {Data: shot(0)},
		"deeper/x.jpg": {Data: []byte("broken")},
	}
	src, err := OpenFolder(files, Once, frame.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := take(t, src, 4)
	if err != io.EOF {
		t.Errorf("after the last: %v", err)
	}
	want := [][]byte{files["1.JPG"].Data, files["2.jpeg"].Data, files["10.jpg"].Data}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Error("frames are not the files byte for byte, in natural order")
	}
	if src.Len() != 3 {
		t.Errorf("length %d", src.Len())
	}
}

func TestFolderRefuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files fstest.MapFS
		says  string
	}{
		{"empty", fstest.MapFS{}, "no .jpg file"},
		{"no pictures", fstest.MapFS{"a.txt": {}}, "no .jpg file"},
		{"empty file", fstest.MapFS{"a.jpg": {Data: shot(1)}, "b.jpg": {}}, `"b.jpg"`},
		{"text", fstest.MapFS{"b.jpg": {Data: []byte("text")}}, `"b.jpg"`},
		{"cut", fstest.MapFS{"cut.jpg": {Data: shot(1)[:200]}}, `"cut.jpg"`},
		{"too large", fstest.MapFS{"large.jpg": {Data: make([]byte, 2_000_000)}}, `"large.jpg"`},
	} {
		if _, err := OpenFolder(tt.files, LoopOrder, frame.Limits{}); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.says)
		}
	}
}

// withThumbnail returns a frame that carries another one in an APP1 segment.
func withThumbnail() []byte {
	thumb := shot(9)
	out := []byte{0xFF, 0xD8, 0xFF, 0xE1, byte((len(thumb) + 2) >> 8), byte(len(thumb) + 2)}
	return append(append(out, thumb...), shot(8)[2:]...)
}

func TestRecordingAndStream(t *testing.T) {
	want := [][]byte{shot(1), withThumbnail(), shot(3)}
	var file bytes.Buffer
	for _, f := range want {
		file.WriteString("\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n")
		file.Write(f)
	}
	rec, err := OpenRecording(bytes.NewReader(file.Bytes()), int64(file.Len()), "walk.mjpeg", LoopOrder, frame.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := take(t, rec, 6)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(got, append(want, want...), bytes.Equal) {
		t.Error("recording: frames differ from the file")
	}

	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(file.Bytes()), "byte by byte": iotest.OneByteReader(bytes.NewReader(file.Bytes())),
	} {
		src := NewStream(t.Context(), r, "stdin", frame.Limits{})
		got, err := take(t, src, 4)
		if err != io.EOF || !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("stream %s: %d frames, %v", name, len(got), err)
		}
		if _, err := src.Next(t.Context(), 5, 0); err != io.EOF {
			t.Errorf("stream %s: the end does not last: %v", name, err)
		}
	}
}

func TestStreamRefuses(t *testing.T) {
	boom := errors.New("pipe broke")
	for _, tt := range []struct {
		name string
		r    io.Reader
		says string
	}{
		{"empty", strings.NewReader(""), `no JPEG in "stdin"`},
		{"text", strings.NewReader("hello"), `no JPEG in "stdin"`},
		{"cut first", bytes.NewReader(shot(1)[:100]), "frame 1 at byte 0"},
		{"cut second", bytes.NewReader(append(shot(1), shot(2)[:100]...)), fmt.Sprintf("frame 2 at byte %d", len(shot(1)))},
		{"too large", io.MultiReader(bytes.NewReader([]byte{0xFF, 0xD8}), bytes.NewReader(make([]byte, 2_000_000))), "larger than"},
		{"progressive", bytes.NewReader(bytes.Replace(shot(1), []byte{0xFF, 0xC0}, []byte{0xFF, 0xC2}, 1)), "progressive"},
		{"reader fails", iotest.ErrReader(boom), "pipe broke"},
	} {
		_, err := take(t, NewStream(t.Context(), tt.r, "stdin", frame.Limits{}), 5)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.says)
		}
	}
}

func TestStreamEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	defer w.Close()
	src := NewStream(ctx, r, "stdin", frame.Limits{})
	cancel()
	if _, err := src.Next(ctx, 1, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// FuzzSplitter: whatever comes in, every frame that comes out is one that the
// marker walk accepts whole, and the file's bytes at the offset that is told.
func FuzzSplitter(f *testing.F) {
	f.Add(shot(1))
	f.Add(append(shot(1), shot(2)...))
	f.Add(append([]byte("--x\r\n\r\n"), withThumbnail()...))
	f.Add([]byte{0xFF, 0xD8, 0xFF, 0xD9})
	f.Add(shot(1)[:150])
	f.Fuzz(func(t *testing.T, data []byte) {
		split := newSplitter(bytes.NewReader(data), "fuzz", frame.Limits{MaxBytes: 10_000})
		for {
			jpeg, off, err := split.next()
			if err != nil {
				return
			}
			if !bytes.Equal(data[off:off+int64(len(jpeg))], jpeg) {
				t.Fatalf("frame at %d is not what the stream holds there", off)
			}
			if info, err := frame.Inspect(jpeg, frame.Limits{MaxBytes: 10_000}); err != nil || info.Trailing != 0 {
				t.Fatalf("frame at %d: %+v, %v", off, info, err)
			}
		}
	})
}
