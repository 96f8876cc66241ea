package picture

import (
	"encoding/base64"
	"fmt"
	"image"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"porthole/internal/browsertest"
	"porthole/internal/scene"
)

// TestBrowser: the browser that viewers have reads the same pixels as
// image/jpeg, also of a size that is no multiple of a block.
func TestBrowser(t *testing.T) {
	g := newScene(t, scene.Config{Seed: 7}).Picture(1, 12*time.Hour)
	var data []byte
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/picture.jpg" {
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Content-Type", "image/jpeg")
			w.Write(data)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><title>a page</title><link rel="icon" href="data:,">`)
	}))
	t.Cleanup(site.Close)
	tab := browsertest.New(t).Tab(t, 900, 700)
	tab.Open(site.URL)
	for _, r := range []image.Rectangle{image.Rect(0, 0, 800, 600), image.Rect(3, 5, 138, 106), image.Rect(0, 0, 1, 1)} {
		part := Crop(g, r)
		data = encode(t, part, 12)
		text := browsertest.Eval[string](tab, `(async () => {
			const m = new Image()
			m.src = '/picture.jpg?' + Math.random()
			await m.decode()
			const c = Object.assign(document.createElement('canvas'), {width: m.naturalWidth, height: m.naturalHeight})
			const x = c.getContext('2d')
			x.drawImage(m, 0, 0)
			const rgba = x.getImageData(0, 0, c.width, c.height).data
			let s = ''
			for (let i = 0; i < rgba.length; i += 4) s += String.fromCharCode(rgba[i])
			return btoa(s)
		})()`)
		pix, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if len(pix) != r.Dx()*r.Dy() {
			t.Fatalf("the browser read %d pixels of %v", len(pix), r)
		}
		got := &image.Gray{Pix: pix, Stride: r.Dx(), Rect: part.Rect}
		if p := psnr(got, decoded(t, data)); p < 50 {
			t.Errorf("%v: browser and image/jpeg are %.1f dB apart", r, p)
		}
	}
	if p := tab.Problems(); len(p) > 0 {
		t.Errorf("problems: %q", p)
	}
}
