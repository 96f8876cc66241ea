package web

import (
	"bytes"
	"fmt"
	"image/png"
	"math"
	"net/http"
	"slices"
	"testing"

	"porthole/internal/browsertest"
)

// fastTimers makes long timers fifty times faster and writes down what was asked for, and takes the
// chance out of chance.
const fastTimers = `
globalThis.delays = [];
const slow = setTimeout;
globalThis.setTimeout = (f, ms, ...rest) => {
  if (ms < 800 || ms === 60000 || ms === 10000) return slow(f, ms, ...rest);
  delays.push(Math.round(ms / 10) * 10);
  return slow(f, ms / 50, ...rest);
};
globalThis.chance = 0;
Math.random = () => chance;`

func backsOff(t *testing.T, c *camera, tab *browsertest.Tab) {
	tab.Wait(`seen.frame >= 2`)
	fail := func(retryAfter string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			if retryAfter != "" {
				w.Header().Set("Retry-After", retryAfter)
			}
			http.Error(w, "nothing yet", http.StatusServiceUnavailable)
		}
	}
	// A timer asks for what is left of a pause, so for a little less.
	near := func(got, want int) bool { return got <= want && got > want-150 }
	outage := func(reply func(http.ResponseWriter), n int) []int {
		t.Helper()
		tab.Run(`delays.length = 0`)
		c.set(other, reply)
		tab.Wait(fmt.Sprintf(`delays.length >= %d`, n))
		got := browsertest.Eval[[]int](tab, `delays`)[:n]
		frames := browsertest.Eval[int](tab, `seen.frame`)
		c.set(fresh, nil)
		tab.Wait(fmt.Sprintf(`seen.frame > %d`, frames+1))
		return got
	}

	if got, want := outage(fail(""), 7), []int{1000, 2000, 4000, 8000, 16000, 30000, 30000}; !slices.EqualFunc(got, want, near) {
		t.Errorf("lowest draw: pauses of %v ms, want %v", got, want)
	}
	if got := browsertest.Eval[int](tab, `seen.unreachable`); got != 1 {
		t.Errorf("%d unreachable events in one outage", got)
	}
	tab.Run(`chance = 0.999`)
	if got, want := outage(fail(""), 6), []int{2000, 4000, 8000, 16000, 31990, 59970}; !slices.EqualFunc(got, want, near) {
		t.Errorf("highest draw, after a success: pauses of %v ms, want %v", got, want)
	}
	tab.Run(`chance = 0`)
	for _, test := range []struct {
		retryAfter string
		want       int
	}{{"20", 20000}, {"0", 1000}, {"-5", 1000}, {"Fri, 31 Dec 1999 23:59:59 GMT", 1000}, {"50.5", 50500}} {
		if got := outage(fail(test.retryAfter), 1)[0]; !near(got, test.want) {
			t.Errorf("Retry-After %q: pause of %d ms, want %d", test.retryAfter, got, test.want)
		}
	}
	if got := browsertest.Eval[int](tab, `seen.unreachable`); got != 7 {
		t.Errorf("%d unreachable events in 7 outages", got)
	}

	// Play after pause does not wait for the end of a long pause.
	c.set(other, fail("55"))
	tab.Wait(`delays.at(-1) > 54000`)
	c.set(fresh, nil)
	frames := browsertest.Eval[int](tab, `seen.frame`)
	tab.Run(`globalThis.setTimeout = slow; feed().paused = true; feed().paused = false`)
	tab.Wait(fmt.Sprintf(`seen.frame > %d`, frames))
}

// spreadsOut: the second request comes up to one and a half periods after the first, the others keep
// the period of two seconds from start to start.
func spreadsOut(t *testing.T, c *camera, tab *browsertest.Tab) {
	tab.Wait(`delays.length >= 4`)
	got := browsertest.Eval[[]float64](tab, `delays`)
	// Timers ask for what is left of the period after the answer, so for less.
	if got[0] > 3000 || got[0] <= 2000 {
		t.Errorf("first pause is %v ms, want 2000 to 3000", got[0])
	}
	for i, pause := range got[1:] {
		if pause > 2000 {
			t.Errorf("pause %d is %v ms, want at most 2000", i+1, pause)
		}
	}
}

// fades looks at the two layers in the middle of a cross-fade.
func fades(t *testing.T, c *camera, tab *browsertest.Tab) {
	tab.Wait(`seen.frame >= 2`)
	tab.Run(`feed().style.setProperty('--porthole-fade', '900ms')`)
	frames := browsertest.Eval[int](tab, `seen.frame`)
	// The new layer is on its way while the old one is whole beneath it, so the page never shines
	// through.
	tab.Wait(fmt.Sprintf(`seen.frame > %d && (() => {
		const front = inside('canvas.front'), back = inside('canvas:not(.front)');
		const [f, b] = [front, back].map((layer) => Number(getComputedStyle(layer).opacity));
		return f > 0.05 && f < 0.95 && b === 1 && getComputedStyle(front).zIndex === '1';
	})()`, frames))
	// The next picture waits for the end of the fade.
	tab.Run(`globalThis.cut = 0; feed().addEventListener('frame', () => {
		const old = inside('canvas:not(.front)');
		if (Number(getComputedStyle(old).opacity) < 1) cut++;
	})`)
	tab.Wait(fmt.Sprintf(`seen.frame > %d`, frames+3))
	if got := browsertest.Eval[int](tab, `cut`); got != 0 {
		t.Errorf("%d fades were cut short by the next picture", got)
	}
}

func fillsBackground(t *testing.T, c *camera, tab *browsertest.Tab) {
	tab.Wait(`seen.frame >= 1`)
	box := browsertest.Eval[[]float64](tab, `(() => { const r = inside('canvas.front').getBoundingClientRect(); return [r.x, r.y, r.width, r.height] })()`)
	if !slices.Equal(box, []float64{0, 0, 800, 600}) {
		t.Errorf("picture covers %v, want the window", box)
	}

	// The picture is what a visitor sees where there is nothing else.
	c.set(still, nil)
	c.wait(t, "answers 304", func() bool { return c.kept >= 4 })
	shot, err := png.Decode(bytes.NewReader(tab.Screenshot()))
	if err != nil {
		t.Fatal(err)
	}
	r, _, _, _ := shot.At(400, 500).RGBA()
	served := c.shades()
	if want := served[len(served)-1]; math.Abs(float64(r>>8)-float64(want)) > 2 {
		t.Errorf("pixel in the screenshot is %d, want %d", r>>8, want)
	}
	if r, g, _, _ := shot.At(400, 150).RGBA(); r>>8 != 200 || g != 0 {
		t.Errorf("pixel of the link is %d %d, want its own red: the picture covers the content", r>>8, g>>8)
	}

	// Clicks go through the picture to the link, wherever the page puts the layer, and to the
	// button where the button is.
	tab.Run(`feed().style.setProperty('--porthole-layer', '5')`)
	if got := browsertest.Eval[string](tab, `document.elementFromPoint(400, 150).localName`); got != "a" {
		t.Errorf("element over the picture is %q, want the link", got)
	}
	click(tab, `document.querySelector('a')`)
	tab.Wait(`location.hash === '#there'`)
	tab.Run(`feed().style.removeProperty('--porthole-layer')`)
	tab.Run(`scrollTo(0, 0)`)
	click(tab, `inside('button')`)
	tab.Wait(`feed().paused`)
	c.quiet(t)
}

func fadesOnScroll(t *testing.T, c *camera, tab *browsertest.Tab) {
	opacity := func(want string) {
		t.Helper()
		tab.Wait(fmt.Sprintf(`[inside('div'), inside('button')].every((part) => getComputedStyle(part).opacity === '%s')`, want))
	}
	c.active(t, 2)
	opacity("1")
	tab.Run(`scrollTo(0, 150)`)
	opacity("0.75")
	c.active(t, 2)
	tab.Run(`feed().style.setProperty('--porthole-opacity', '0.5')`)
	tab.Wait(`getComputedStyle(inside('div')).opacity === '0.375'`)
	tab.Run(`scrollTo(0, 650)`)
	opacity("0")
	c.quiet(t)
	if got := browsertest.Eval[string](tab, `getComputedStyle(inside('button')).visibility`); got != "hidden" {
		t.Errorf("button of a background scrolled away is %s: it would catch clicks and focus", got)
	}
	tab.Run(`feed().style.removeProperty('--porthole-opacity'); scrollTo(0, 0)`)
	opacity("1")
	c.active(t, 3)
}

// TestCrossOrigin embeds the feed of another host with nothing but the two lines.
func TestCrossOrigin(t *testing.T) {
	c := newCamera(t, nil, "")
	site := newCamera(t, map[string]string{
		"/page": `<porthole-feed background ` + attributes + `></porthole-feed>`,
	}, c.URL)
	tab := site.visit(t, browsertest.New(t), "/page", false)
	tab.Wait(`seen.frame >= 3`)
	shown, served := browsertest.Eval[[]int](tab, `seen.shades`), c.shades()
	if len(shown) > len(served) || !slices.Equal(shown, served[:len(shown)]) {
		t.Errorf("shown %v, served %v", shown, served)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.others) > 0 {
		t.Errorf("%q of the feed: a simple GET needs no preflight", c.others)
	}
	if i := slices.IndexFunc(c.cond, func(tag string) bool { return tag != "" }); i >= 0 {
		t.Errorf("If-None-Match %q went to another origin", c.cond[i])
	}
	if site.asked > 0 {
		t.Errorf("%d requests to the embedding site, want the module's own", site.asked)
	}
}
