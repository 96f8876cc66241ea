package picture

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"porthole/internal/browsertest"
	"porthole/internal/scene"
	"porthole/server/webp"
)

// TestBrowser: the browser that viewers have reads the same pixels as Go's
// decoders, also of a size that is no multiple of a block.
func TestBrowser(t *testing.T) {
	g := newScene(t, scene.Config{Seed: 7}).Picture(1, 12*time.Hour)
	var data []byte
	var contentType string
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/picture" {
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Content-Type", contentType)
			w.Write(data)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><title>a page</title><link rel="icon" href="data:,">`)
	}))
	t.Cleanup(site.Close)
	tab := browsertest.New(t).Tab(t, 900, 700)
	tab.Open(site.URL)
	for _, r := range []image.Rectangle{image.Rect(0, 0, 800, 600), image.Rect(3, 5, 138, 106), image.Rect(0, 0, 1, 1), image.Rect(0, 0, 16, 16), image.Rect(400, 300, 417, 302)} {
		part := Crop(g, r)
		for _, format := range []string{"image/jpeg", "image/webp"} {
			data, contentType = encode(t, part, 12), format
			ours := decoded(t, data)
			if format == "image/webp" {
				var err error
				if data, err = webp.NewEncoder(webpIndex(12)).Encode(part); err != nil {
					t.Fatal(err)
				}
				ours = lumaOf(t, data)
			}
			text := browsertest.Eval[string](tab, `(async () => {
			const m = new Image()
			m.src = '/picture?' + Math.random()
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
			if p := psnr(got, ours); p < 48 {
				t.Errorf("%v: the browser and our decoder of %s are %.1f dB apart; first pixels %d and %d", r, format, p, got.Pix[0], ours.Pix[0])
			}
		}
	}
	if p := tab.Problems(); len(p) > 0 {
		t.Errorf("problems: %q", p)
	}
}

// TestBrowserSmall: the browser shows the smallest files too, whose data ends
// right behind the last bit: of every quantiser, of sizes from one pixel on.
func TestBrowserSmall(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><title>a page</title><link rel="icon" href="data:,">`)
	}))
	t.Cleanup(site.Close)
	tab := browsertest.New(t).Tab(t, 400, 300)
	tab.Open(site.URL)
	var files []string
	for index := range webp.MaxIndex + 1 {
		data, err := webp.NewEncoder(index).Encode(flat(1+index%40, 1+index*7%23, uint8(90+index%3*50)))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, base64.StdEncoding.EncodeToString(data))
	}
	list, err := json.Marshal(files)
	if err != nil {
		t.Fatal(err)
	}
	wrong := browsertest.Eval[[]int](tab, `(async () => {
		const wrong = []
		for (const [i, file] of `+string(list)+`.entries()) {
			const bytes = Uint8Array.from(atob(file), (c) => c.charCodeAt(0))
			try {
				const m = await createImageBitmap(new Blob([bytes], {type: 'image/webp'}))
				const c = Object.assign(document.createElement('canvas'), {width: m.width, height: m.height})
				const x = c.getContext('2d')
				x.drawImage(m, 0, 0)
				const [r, , , a] = x.getImageData(0, 0, 1, 1).data
				if (a !== 255 || Math.abs(r - (90 + i % 3 * 50)) > 8 || m.width !== 1 + i % 40) wrong.push(i)
			} catch { wrong.push(i) }
		}
		return wrong
	})()`)
	if len(wrong) > 0 {
		t.Errorf("not shown: %v", wrong)
	}
}
