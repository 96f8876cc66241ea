package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"porthole/internal/browsertest"
)

// attributes of a feed that asks often enough for a test.
var attributes = fmt.Sprintf(`interval="%d"`, beat.Milliseconds())

// pages of the camera; each case opens one.
var pages = map[string]string{
	"/figure":     `<porthole-feed id="small" alt="A desk" ` + attributes + `></porthole-feed><div class="tall"></div>`,
	"/plain":      `<porthole-feed id="small" alt="" ` + attributes + `></porthole-feed>`,
	"/paused":     `<porthole-feed id="small" paused ` + attributes + `><b slot="label">Anhalten</b></porthole-feed>`,
	"/background": `<porthole-feed background ` + attributes + `></porthole-feed><a href="#there">link over the picture</a><div class="tall"></div>`,
	"/slow":       `<porthole-feed id="small" timeout="60000" ` + attributes + `></porthole-feed>`,
	"/wave":       `<porthole-feed id="small" wave ` + attributes + `></porthole-feed>`,
	"/default":    `<porthole-feed id="small"></porthole-feed>`,
}

func TestFeed(t *testing.T) {
	browser := browsertest.New(t)
	tests := []struct {
		name, page string
		failures   bool // the case makes requests fail
		run        func(t *testing.T, c *camera, tab *browsertest.Tab)
		script     string
	}{
		{"shows each picture", "/figure", false, showsPictures, ""},
		{"keeps the picture on 304", "/figure", false, keepsPicture, ""},
		{"button", "/figure", false, pausesByButton, ""},
		{"keyboard", "/figure", false, pausesByKeyboard, ""},
		{"accessible tree", "/figure", false, describesItself, ""},
		{"decoration", "/plain", false, decorates, ""},
		{"starts paused", "/paused", false, startsPaused, ""},
		{"hidden page", "/figure", false, restsHidden, ""},
		{"scrolled away", "/figure", false, restsOffScreen, ""},
		{"removal", "/figure", false, leavesNothing, ""},
		{"memory", "/plain", false, leavesNoTrace, ""},
		{"one request at a time", "/slow", false, asksOneByOne, ""},
		{"timeout", "/figure", true, givesUp, ""},
		{"broken picture", "/figure", true, refusesBroken, ""},
		{"backoff", "/slow", true, backsOff, fastTimers},
		{"cadence", "/default", false, spreadsOut, fastTimers + `chance = 0.999`},
		{"cross-fade", "/figure", false, fades, ""},
		{"reduced motion", "/figure", false, cutsWithoutMotion, ""},
		{"data saving", "/figure", false, savesData, `Object.defineProperty(navigator.connection, 'saveData', { value: true })`},
		{"background", "/background", false, fillsBackground, ""},
		{"scroll fades background", "/background", false, fadesOnScroll, ""},
		{"another source", "/figure", true, changesSource, ""},
		{"waves by button", "/wave", true, wavesByButton, ""},
		{"no wave", "/figure", false, hasNoHand, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // a tab has its own window; most of a case is waiting
			c := newCamera(t, pages, "")
			test.run(t, c, c.visit(t, browser, test.page, test.failures, test.script))
		})
	}
}

func showsPictures(t *testing.T, c *camera, tab *browsertest.Tab) {
	tab.Wait(`seen.frame >= 5`)
	shown, served := browsertest.Eval[[]int](tab, `seen.shades`), c.shades()
	if len(shown) > len(served) || !slices.Equal(shown, served[:len(shown)]) {
		t.Errorf("shown %v, served %v: want each in its order", shown, served)
	}
	size := browsertest.Eval[[]float64](tab, `(() => { const r = inside('canvas.front').getBoundingClientRect(); return [r.width, r.height] })()`)
	if !slices.Equal(size, []float64{160, 120}) {
		t.Errorf("size on the page = %v, want 160x120 by the ratio of the element", size)
	}
}

func keepsPicture(t *testing.T, c *camera, tab *browsertest.Tab) {
	tab.Wait(`seen.frame >= 1`)
	c.set(still, nil)
	c.wait(t, "answers 304", func() bool { return c.kept >= 3 })
	frames := browsertest.Eval[int](tab, `seen.frame`)
	c.wait(t, "more answers 304", func() bool { return c.kept >= 6 })
	if got := browsertest.Eval[int](tab, `seen.frame`); got != frames {
		t.Errorf("%d frame events for answers 304", got-frames)
	}
	if got, want := browsertest.Eval[int](tab, `shade()`), c.shades(); got != want[len(want)-1] {
		t.Errorf("shade = %d, want the last served, %d", got, want[len(want)-1])
	}
	if got := browsertest.Eval[int](tab, `seen.unreachable`); got != 0 {
		t.Errorf("%d unreachable events for answers 304", got)
	}
	c.set(fresh, nil)
	tab.Wait(fmt.Sprintf(`seen.frame > %d`, frames))
}

// click presses the mouse where the element is, as a visitor does, whatever lies above it there.
func click(tab *browsertest.Tab, element string) {
	at := browsertest.Eval[[]float64](tab, fmt.Sprintf(`(() => { const r = %s.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()`, element))
	tab.Do(chromedp.MouseClickXY(at[0], at[1]))
}

func pausesByButton(t *testing.T, c *camera, tab *browsertest.Tab) {
	c.active(t, 2)
	click(tab, `inside('button')`)
	tab.Wait(`feed().paused && inside('button').ariaPressed === 'true'`)
	c.quiet(t)
	frames := browsertest.Eval[int](tab, `seen.frame`)
	click(tab, `inside('button')`)
	tab.Wait(fmt.Sprintf(`!feed().paused && inside('button').ariaPressed === 'false' && seen.frame > %d`, frames))
	c.active(t, 3)
}

func wavesByButton(t *testing.T, c *camera, tab *browsertest.Tab) {
	tab.Run(`seen.waves = []; feed().addEventListener('wave', (e) => seen.waves.push(e.detail.waves))`)
	click(tab, `inside('.wave')`)
	tab.Wait(`seen.waves.join() === '1' && inside('.wave').title === '1'`)
	if browsertest.Eval[bool](tab, `feed().paused`) {
		t.Error("a wave paused the camera")
	}
	tab.Run(`inside('.wave').focus()`)
	tab.Do(chromedp.KeyEvent("\r"))
	tab.Wait(`seen.waves.join() === '1,2'`)
	c.note(func() { c.tired = true })
	if got := browsertest.Eval[int](tab, `feed().wave().catch((answer) => answer.status)`); got != 429 {
		t.Errorf("a refused wave rejects with %d", got)
	}
	click(tab, `inside('.wave')`) // and the button swallows it
	c.active(t, 2)
	if got := browsertest.Eval[string](tab, `seen.waves.join()`); got != "1,2" {
		t.Errorf("wave events %s", got)
	}
	at := browsertest.Eval[[]float64](tab, `[...feed().shadowRoot.querySelectorAll('button')].flatMap((b) => { const r = b.getBoundingClientRect(); return [r.x, r.y, r.width] })`)
	if len(at) != 6 || at[3]+at[5] > at[0] || at[1] != at[4] {
		t.Errorf("the buttons are at %v: want wave left of pause", at)
	}
}

func hasNoHand(t *testing.T, c *camera, tab *browsertest.Tab) {
	tab.Wait(`seen.frame >= 1`)
	if got := browsertest.Eval[string](tab, `getComputedStyle(inside('.wave')).display`); got != "none" {
		t.Errorf("the button is there without being asked for: display %s", got)
	}
}

func pausesByKeyboard(t *testing.T, c *camera, tab *browsertest.Tab) {
	c.active(t, 2)
	tab.Do(chromedp.KeyEvent(kb.Tab))
	tab.Wait(`feed().shadowRoot.activeElement === inside('button') && inside('button').matches(':focus-visible')`)
	if style := browsertest.Eval[string](tab, `getComputedStyle(inside('button')).outlineStyle`); style != "solid" {
		t.Errorf("outline of the focused button is %q", style)
	}
	tab.Do(chromedp.KeyEvent(" "))
	tab.Wait(`feed().paused`)
	c.quiet(t)
	tab.Do(chromedp.KeyEvent(kb.Enter))
	tab.Wait(`!feed().paused`)
	c.active(t, 2)
}

// tree is what assistive technology sees: "role name state" of each node that counts.
func tree(tab *browsertest.Tab) []string {
	var lines []string
	result := browsertest.Call(tab, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	for _, node := range result.Nodes {
		if node.Ignored || node.Role == nil || node.Name == nil {
			continue
		}
		role := strings.Trim(string(node.Role.Value), `"`)
		if role != "image" && role != "button" {
			continue
		}
		var line strings.Builder
		line.WriteString(role + " " + string(node.Name.Value))
		for _, p := range node.Properties {
			if p.Name == "pressed" {
				line.WriteString(" pressed=" + string(p.Value.Value))
			}
		}
		lines = append(lines, line.String())
	}
	return lines
}

func describesItself(t *testing.T, c *camera, tab *browsertest.Tab) {
	c.active(t, 1)
	if got, want := tree(tab), []string{`image "A desk"`, `button "Pause camera" pressed="false"`}; !slices.Equal(got, want) {
		t.Errorf("tree = %q, want %q", got, want)
	}
	tab.Run(`feed().paused = true; feed().setAttribute('alt', 'A workbench')`)
	if got, want := tree(tab), []string{`image "A workbench"`, `button "Pause camera" pressed="true"`}; !slices.Equal(got, want) {
		t.Errorf("tree = %q, want %q", got, want)
	}
	side := browsertest.Eval[float64](tab, `Math.min(inside('button').offsetWidth, inside('button').offsetHeight)`)
	if side < 44 {
		t.Errorf("button is %v px small, want 44", side)
	}
}

func decorates(t *testing.T, c *camera, tab *browsertest.Tab) {
	c.active(t, 1)
	if got, want := tree(tab), []string{`button "Pause camera" pressed="false"`}; !slices.Equal(got, want) {
		t.Errorf("tree = %q, want %q", got, want)
	}
}

func startsPaused(t *testing.T, c *camera, tab *browsertest.Tab) {
	tab.Wait(`inside('button').ariaPressed === 'true'`)
	c.quiet(t)
	if got := c.count(); got != 0 {
		t.Errorf("%d requests before anybody pressed play", got)
	}
	if got, want := tree(tab), []string{`image "Camera picture"`, `button "Anhalten" pressed="true"`}; !slices.Equal(got, want) {
		t.Errorf("tree = %q, want %q", got, want)
	}
	click(tab, `inside('button')`)
	c.active(t, 3)
}

// restsHidden overrides what the page is told: a headless window is never covered.
func restsHidden(t *testing.T, c *camera, tab *browsertest.Tab) {
	c.active(t, 2)
	hide := `Object.defineProperty(document, 'hidden', { configurable: true, value: %t }); document.dispatchEvent(new Event('visibilitychange'))`
	tab.Run(fmt.Sprintf(hide, true))
	c.quiet(t)
	tab.Run(fmt.Sprintf(hide, false))
	c.active(t, 3)
}

func restsOffScreen(t *testing.T, c *camera, tab *browsertest.Tab) {
	c.active(t, 2)
	tab.Run(`scrollTo(0, 2000)`)
	tab.Wait(`new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => go(true))))`)
	c.quiet(t)
	tab.Run(`scrollTo(0, 0)`)
	c.active(t, 3)
	tab.Run(`feed().hidden = true`)
	tab.Wait(`new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => go(true))))`)
	c.quiet(t)
}

func leavesNothing(t *testing.T, c *camera, tab *browsertest.Tab) {
	c.active(t, 2)
	tab.Run(`globalThis.gone = feed(); gone.remove()`)
	c.quiet(t)
	// None of what wakes a living element wakes this one.
	tab.Run(`document.dispatchEvent(new Event('visibilitychange')); dispatchEvent(new Event('online'));
		dispatchEvent(new Event('scroll')); gone.paused = true; gone.paused = false; gone.setAttribute('src', '/latest')`)
	c.quiet(t)
	tab.Run(`document.body.append(gone); scrollTo(0, 1e6)`)
	c.active(t, 3)
}

// leavesNoTrace: no listener, observer or timer holds an element that was removed. Nor may the
// inspector: it keeps elements whose style changed until it has looked at them again.
func leavesNoTrace(t *testing.T, c *camera, tab *browsertest.Tab) {
	browsertest.Call(tab, dom.Disable, cdp.Empty{})
	tab.Run(`(async () => {
		const feeds = Array.from({ length: 5 }, () => document.createElement('porthole-feed'));
		for (const of of feeds) of.style.width = '40px'; // all in sight
		document.body.prepend(...feeds);
		await Promise.all(feeds.map((of) => new Promise((go) => of.addEventListener('frame', go))));
		globalThis.traces = feeds.map((of) => { of.remove(); return new WeakRef(of); });
	})()`)
	left := 5
	for range 20 {
		browsertest.Call(tab, heapprofiler.CollectGarbage, cdp.Empty{})
		if left = browsertest.Eval[int](tab, `traces.filter((trace) => trace.deref()).length`); left == 0 {
			return
		}
		c.pass(t, 1)
	}
	t.Errorf("%d of 5 removed elements are still in memory", left)
}

func asksOneByOne(t *testing.T, c *camera, tab *browsertest.Tab) {
	tab.Wait(`seen.frame >= 1`)
	gate, held := make(chan struct{}), 0
	t.Cleanup(func() { close(gate) })
	c.set(other, func(w http.ResponseWriter) {
		c.note(func() { held++ })
		<-gate
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(picture(77))
	})
	// Not any request under way: one that came before the gate was shut is answered, and the next is due.
	c.wait(t, "a request at the gate", func() bool { return held == 1 })
	for n := range 3 {
		asked := c.count()
		tab.Run(`dispatchEvent(new Event('scroll')); dispatchEvent(new Event('online')); document.dispatchEvent(new Event('visibilitychange'))`)
		c.pass(t, 4) // four periods without an answer
		if got := c.count(); got != asked {
			t.Errorf("%d requests beside the one under way", got-asked)
		}
		gate <- struct{}{}
		c.wait(t, "the next request at the gate", func() bool { return held >= n+2 })
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.most != 1 {
		t.Errorf("%d requests at a time, want 1", c.most)
	}
}

func givesUp(t *testing.T, c *camera, tab *browsertest.Tab) {
	tab.Wait(`seen.frame >= 1`)
	tab.Run(`feed().setAttribute('timeout', '200')`)
	c.set(hanging, nil)
	tab.Wait(`seen.unreachable === 1`)
	c.wait(t, "the end of the hanging request", func() bool { return c.flight == 0 })
	frames := browsertest.Eval[int](tab, `seen.frame`)
	c.set(fresh, nil)
	tab.Wait(fmt.Sprintf(`seen.frame > %d`, frames))
}

func refusesBroken(t *testing.T, c *camera, tab *browsertest.Tab) {
	tab.Wait(`seen.frame >= 1`)
	good := picture(200)
	for name, body := range map[string][]byte{"text": []byte("no picture"), "cut": good[:len(good)/2], "empty": nil} {
		outages := browsertest.Eval[int](tab, `seen.unreachable`)
		c.set(other, func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write(body)
		})
		tab.Wait(fmt.Sprintf(`seen.unreachable === %d`, outages+1))
		served := c.shades()
		if got := browsertest.Eval[int](tab, `shade()`); got != served[len(served)-1] {
			t.Errorf("%s: shade = %d, want the last good one, %d", name, got, served[len(served)-1])
		}
		frames := browsertest.Eval[int](tab, `seen.frame`)
		c.set(fresh, nil)
		tab.Wait(fmt.Sprintf(`seen.frame > %d`, frames))
	}
}

func changesSource(t *testing.T, c *camera, tab *browsertest.Tab) {
	tab.Wait(`seen.frame >= 1`)
	tab.Run(`feed().setAttribute('src', '/nowhere')`)
	tab.Wait(`seen.unreachable === 1`)
	c.quiet(t)
	frames := browsertest.Eval[int](tab, `seen.frame`)
	tab.Run(`feed().removeAttribute('src')`)
	tab.Wait(fmt.Sprintf(`seen.frame > %d`, frames+1))
	if got := browsertest.Eval[string](tab, `feed().setAttribute('src', 'http://['), String(seen.unreachable)`); got != "1" {
		t.Errorf("unreachable = %s before the address was tried", got)
	}
	tab.Wait(`seen.unreachable === 2`)
}

func savesData(t *testing.T, c *camera, tab *browsertest.Tab) {
	tab.Wait(`feed().paused && seen.frame === 1`)
	c.quiet(t)
	click(tab, `inside('button')`)
	c.active(t, 3)
}

func cutsWithoutMotion(t *testing.T, c *camera, tab *browsertest.Tab) {
	tab.Wait(`seen.frame >= 2`)
	browsertest.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}},
	})
	tab.Wait(`matchMedia('(prefers-reduced-motion)').matches`)
	tab.Run(`globalThis.fading = 0; feed().addEventListener('frame', () => fading += inside('div').getAnimations({ subtree: true }).length); seen.frame = 0`)
	tab.Wait(`seen.frame >= 3`)
	if got := browsertest.Eval[string](tab, `[...feed().shadowRoot.querySelectorAll('canvas')].map((layer) => getComputedStyle(layer).transitionProperty).join()`); got != "none,none" {
		t.Errorf("transition-property = %s, want none", got)
	}
	if got := browsertest.Eval[int](tab, `fading`); got != 0 {
		t.Errorf("%d animations with reduced motion", got)
	}
}
