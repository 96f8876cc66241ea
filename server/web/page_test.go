package web

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"

	"porthole/internal/browsertest"
	"porthole/internal/scene"
)

// widths of the windows the page is made for: a phone, a tablet, a laptop.
var widths = []int64{400, 800, 1280}

// TestPage opens the demo page over the simulated room. Run it with -artifacts to keep the
// screenshots.
func TestPage(t *testing.T) {
	room, err := scene.New(scene.Config{Seed: 1, Epoch: time.Date(2026, 3, 12, 10, 30, 0, 0, time.UTC), Interval: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	browser := browsertest.New(t)
	for _, width := range widths {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			t.Parallel()
			c := newCamera(t, nil, "")
			c.set(other, func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "image/jpeg")
				_, _ = w.Write(room.JPEG(uint64(c.count()), room.At(uint64(c.count()))))
			})
			tab := browser.Tab(t, width, 800)
			tab.Script(watch)
			tab.Open(c.URL)
			tab.Wait(`seen.frame >= 2 && inside('div').getAnimations({ subtree: true }).length === 0`)
			save(t, fmt.Sprintf("page-%d.png", width), tab.Screenshot())

			if wide := browsertest.Eval[float64](tab, `document.documentElement.scrollWidth`); wide > float64(width) {
				t.Errorf("page is %v px wide in a window of %d", wide, width)
			}
			if title := browsertest.Eval[float64](tab, `document.querySelector('.caption').getBoundingClientRect().bottom`); title > 800 {
				t.Errorf("the first screen ends at %v px, below the window", title)
			}
			for i, id := range []string{"desk", "notes", "camera"} {
				tab.Run(fmt.Sprintf(`document.getElementById('%s').scrollIntoView({ behavior: 'instant' })`, id))
				tab.Wait(`new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => go(true))))`)
				save(t, fmt.Sprintf("page-%d-%d-%s.png", width, i+1, id), tab.Screenshot())
			}
			if problems := tab.Problems(); len(problems) > 0 {
				t.Errorf("problems in the page: %q", problems)
			}
		})
	}
}

// TestPageContrast measures every text of the page against the pixels behind it, with the worst
// pictures a camera can send (WCAG 2.2, 1.4.3, level AA).
func TestPageContrast(t *testing.T) {
	browser := browsertest.New(t)
	for _, width := range widths {
		for _, level := range []int{255, 0} {
			t.Run(fmt.Sprintf("%d on %d", width, level), func(t *testing.T) {
				t.Parallel()
				c := newCamera(t, nil, "")
				c.set(other, func(w http.ResponseWriter) {
					w.Header().Set("Content-Type", "image/png")
					_, _ = w.Write(picture(level))
				})
				tab := browser.Tab(t, width, 800)
				tab.Script(watch)
				tab.Open(c.URL)
				tab.Run(`(() => {
					const bare = new CSSStyleSheet();
					bare.replaceSync('* { color: transparent !important; text-decoration-color: transparent !important }' +
						' porthole-feed { --porthole-fade: 0s } porthole-feed::part(button) { display: none }');
					globalThis.strip = (on) => { document.adoptedStyleSheets = on ? [bare] : [] };
				})()`)
				tab.Wait(`seen.frame >= 1 && inside('div').getAnimations({ subtree: true }).length === 0`)
				height := browsertest.Eval[int](tab, `document.documentElement.scrollHeight`)
				texts, closest := 0, math.Inf(1)
				// Below the first screen the picture is gone, and what is measured does not move against it.
				for y, step := 0, 150; y < height; y += step {
					if y >= 800 {
						step = 600
					}
					tab.Run(fmt.Sprintf(`strip(false); scrollTo({ top: %d, behavior: 'instant' })`, y))
					tab.Wait(`new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => go(true))))`)
					lines := browsertest.Eval[[]line](tab, findLines)
					tab.Run(`strip(true)`)
					shot, err := png.Decode(bytes.NewReader(tab.Screenshot()))
					if err != nil {
						t.Fatal(err)
					}
					texts += len(lines)
					for _, l := range lines {
						got := l.contrast(t, shot)
						closest = min(closest, got/l.needs())
						if got < l.needs() {
							t.Errorf("%q at %v of %d: contrast %.2f, want %.1f", l.Text, l.Box, y, got, l.needs())
						}
					}
				}
				t.Logf("%d lines; the closest has %.2f of what it needs", texts, closest)
				if texts < 40 {
					t.Errorf("measured %d lines of text only", texts)
				}
			})
		}
	}
}

// line is one line of text as it stands in the window.
type line struct {
	Text, Color string
	Box         [4]float64 // left, top, right, bottom
	Size        float64    // px
	Bold        bool
}

// findLines is the script that finds the lines in the window.
const findLines = `(() => {
	const lines = [];
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let node; node = walker.nextNode();) {
		if (!node.data.trim() || node.parentElement.closest('noscript, porthole-feed, script')) continue;
		const style = getComputedStyle(node.parentElement), range = new Range();
		range.selectNodeContents(node);
		const clip = node.parentElement.closest('pre')?.getBoundingClientRect() ?? { left: 0, right: innerWidth };
		for (const r of range.getClientRects()) {
			const box = [Math.max(r.left, clip.left + 2), r.top, Math.min(r.right, clip.right - 2), r.bottom];
			if (box[2] - box[0] < 1 || r.height < 1 || r.top < 0 || r.bottom > innerHeight) continue;
			lines.push({ Text: node.data.trim().slice(0, 30), Color: style.color, Box: box,
				Size: parseFloat(style.fontSize), Bold: Number(style.fontWeight) >= 700 });
		}
	}
	return lines;
})()`

// needs is the ratio of level AA: large text may have less.
func (l line) needs() float64 {
	if l.Size >= 24 || l.Bold && l.Size >= 18.66 {
		return 3
	}
	return 4.5
}

// contrast is the lowest ratio of the text to a pixel behind it.
func (l line) contrast(t *testing.T, shot image.Image) float64 {
	t.Helper()
	var ink [3]float64
	fields := strings.Split(strings.TrimSuffix(strings.TrimPrefix(l.Color, "rgb("), ")"), ", ")
	if len(fields) != 3 {
		t.Fatalf("color %q is not opaque", l.Color)
	}
	for i, field := range fields {
		v, err := strconv.ParseFloat(field, 64)
		if err != nil {
			t.Fatalf("parse color %q: %v", l.Color, err)
		}
		ink[i] = v
	}
	text, lowest := luminance(ink[0], ink[1], ink[2]), math.Inf(1)
	for y := int(l.Box[1]); y < int(l.Box[3]); y += 2 {
		for x := int(l.Box[0]); x < int(l.Box[2]); x += 3 {
			p := color.NRGBAModel.Convert(shot.At(x, y)).(color.NRGBA)
			back := luminance(float64(p.R), float64(p.G), float64(p.B))
			lowest = min(lowest, (max(text, back)+0.05)/(min(text, back)+0.05))
		}
	}
	return lowest
}

// luminance is the relative luminance of an sRGB color (WCAG 2.2, definitions).
func luminance(r, g, b float64) float64 {
	linear := func(v float64) float64 {
		v /= 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(r) + 0.7152*linear(g) + 0.0722*linear(b)
}

// TestPageWithoutScript shows one picture all the same.
func TestPageWithoutScript(t *testing.T) {
	c := newCamera(t, nil, "")
	tab := browsertest.New(t).Tab(t, 800, 600)
	browsertest.Call(tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	tab.Open(c.URL)
	c.wait(t, "the picture", func() bool { return c.asked == 1 && c.flight == 0 })
	// The page's own script is off, ours is not.
	tab.Wait(`document.querySelector('img.still')?.naturalWidth === 32`)
	if width := browsertest.Eval[float64](tab, `document.querySelector('img.still').getBoundingClientRect().width`); width != 800 {
		t.Errorf("picture is %v px wide, want the window's 800", width)
	}
	if problems := tab.Problems(); len(problems) > 0 {
		t.Errorf("problems in the page: %q", problems)
	}
}

func save(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name), data, 0o644); err != nil {
		t.Fatalf("keep screenshot: %v", err)
	}
}
