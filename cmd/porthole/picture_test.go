package main

import (
	"bytes"
	"image"
	"image/jpeg"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/server"
)

func TestParseMasks(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		want       []image.Rectangle
		err        string
	}{
		{"empty", "", nil, ""},
		{"comments", "# desk\n\n  # window\n", nil, ""},
		{"two", "10x20+30+40\n1x1+0+0 # a dot\n", []image.Rectangle{image.Rect(30, 40, 40, 60), image.Rect(0, 0, 1, 1)}, ""},
		{"windows line ends", "10x20+30+40\r\n", []image.Rectangle{image.Rect(30, 40, 40, 60)}, ""},
		{"no place", "10x20", nil, "line 1"},
		{"empty mask", "1x1+0+0\n0x5+0+0", nil, `line 2: "0x5+0+0": it is empty`},
		{"sign", "10x20++3+4", nil, "line 1"},
		{"two on a line", "1x1+0+0 1x1+0+0", nil, "line 1"},
		{"large", strings.Repeat("#", maxMaskFile+1), nil, "more than"},
	} {
		got, err := parseMasks(tt.file)
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, %v; want %v, …%s…", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func FuzzMasks(f *testing.F) {
	f.Add("10x20+30+40\n# note\n")
	f.Fuzz(func(t *testing.T, file string) {
		masks, err := parseMasks(file)
		if err != nil {
			return
		}
		for _, m := range masks {
			if m.Empty() || m.Min.X < 0 || m.Min.Y < 0 {
				t.Errorf("mask %v", m)
			}
		}
	})
}

// TestMaskFileReloads: a mask that is added to the file is on the next picture
// after a reload; a file that is wrong changes nothing.
func TestMaskFileReloads(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	tokens, masks := filepath.Join(dir, "tokens"), filepath.Join(dir, "masks")
	token, err := server.AddToken(tokens, "porch")
	if err != nil {
		t.Fatal(err)
	}
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(masks, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# none yet\n")
	out := serve(t, "--dev", "--tokens", tokens, "--camera-size", "64x48", "--mask-file", masks)
	plain := out.find(t, `url=(http://127\.0\.0\.1:\d+)/`)
	admin := out.find(t, `url=(http://127\.0\.0\.1:\d+)/admin`)
	masked := func(bright uint8) bool {
		t.Helper()
		resp := post(t, plain+"/upload", token, gray(t, 64, 48, bright))
		if resp.StatusCode != 200 {
			t.Fatalf("upload: %s", resp.Status)
		}
		seen := ""
		for began := time.Now(); time.Since(began) < 30*time.Second; {
			var m *image.Gray
			m, seen = latest(t, plain, seen)
			if m == nil {
				continue // the first picture is not there yet
			}
			if at := m.GrayAt(60, 40).Y; at > bright-10 && at < bright+10 {
				return m.GrayAt(2, 2).Y < 40
			}
		}
		t.Fatal("the upload was not shown")
		return false
	}
	reload := func() string {
		t.Helper()
		var text bytes.Buffer
		runQuietly(t, &text, []string{"reload", "--admin", strings.TrimPrefix(admin, "http://")})
		return text.String()
	}
	if masked(200) {
		t.Error("masked without a mask")
	}
	write("16x8+0+0\n")
	reload()
	if !masked(150) {
		t.Error("the mask is not on the next picture")
	}
	write("window\n")
	if text := reload(); !strings.Contains(text, `line 1: "window"`) {
		t.Errorf("a wrong file is answered %q", text)
	}
	if !masked(220) {
		t.Error("a wrong file took the mask away")
	}
}

// post sends a picture.
func post(t *testing.T, address, token string, data []byte) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", address, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "image/jpeg")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// gray returns a flat picture.
func gray(t *testing.T, w, h int, level uint8) []byte {
	t.Helper()
	g := image.NewGray(image.Rect(0, 0, w, h))
	for i := range g.Pix {
		g.Pix[i] = level
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, g, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// latest waits for a picture that was not seen yet.
func latest(t *testing.T, site, seen string) (m *image.Gray, etag string) {
	t.Helper()
	resp, err := http.Get(site + "/latest?wait=10&after=" + url.QueryEscape(seen))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusServiceUnavailable {
		return nil, ""
	}
	decoded, err := jpeg.Decode(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return decoded.(*image.Gray), resp.Header.Get("ETag")
}
