// Package browsertest runs tests in a real headless Chromium.
//
// One Browser per test function and one Tab per case: a tab has its own window, cookie jar and cache,
// so cases do not see each other and each tab is in the foreground of its window. A machine without
// a browser fails the test with the command to install one; it never skips.
package browsertest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds one step of a test. It is generous because the machine may be busy with the rest
// of the tests; a condition that holds is seen within milliseconds.
const patience = 30 * time.Second

// names are the programs tried, in this order, after $PORTHOLE_CHROMIUM.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// Find returns the path of a Chromium. The error names the command that installs one.
func Find() (string, error) {
	if name := os.Getenv("PORTHOLE_CHROMIUM"); name != "" {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("find browser of PORTHOLE_CHROMIUM: %w", err)
		}
		return path, nil
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find browser: none of %s is installed; run `apt-get install chromium` or set PORTHOLE_CHROMIUM", strings.Join(names, ", "))
}

// Browser is a running Chromium with a profile of its own.
type Browser struct {
	ctx context.Context
}

// New starts a browser and ends it, with its profile, when the test ends.
func New(t testing.TB) *Browser {
	t.Helper()
	path, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	// The list of chromedp holds --headless, --no-first-run, --disable-background-networking and
	// --disable-sync; it makes the profile below the temporary folder and removes it at the end.
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-domain-reliability", true),
		chromedp.Flag("no-pings", true),
		// Tests serve plain HTTP on loopback; nothing else may be reached, whatever a page says.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
		chromedp.WindowSize(1280, 800),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to run as root with one
	}
	// t.Context ends before the cleanups run; the browser has to end in order, after its tabs.
	alloc, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc, chromedp.WithErrorf(t.Logf))
	t.Cleanup(func() {
		// Asked to close, it removes its own files from the temporary folder; past the deadline it
		// is killed.
		goodbye, done := context.WithTimeout(ctx, 5*time.Second)
		defer done()
		if err := chromedp.Cancel(goodbye); err != nil {
			t.Logf("close browser: %v", err)
		}
		cancel()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start browser %q: %v", path, err)
	}
	return &Browser{ctx: ctx}
}

// Tab is one page in a window of its own.
type Tab struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	problems []string
}

// Tab opens an empty tab of the given size and closes it when the test ends.
func (b *Browser) Tab(t testing.TB, width, height int64) *Tab {
	t.Helper()
	tab := &Tab{t: t}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(tab.listen))
	t.Cleanup(cancel)
	tab.ctx = ctx
	// The first use opens the tab, and its context is the life of it: no deadline here.
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height)); err != nil {
		t.Fatalf("open tab: %v", err)
	}
	return tab
}

// listen collects what a developer would see in red in the console.
func (tab *Tab) listen(event any) {
	var problem string
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			problem = fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var text []string
			for _, arg := range e.Args {
				text = append(text, cmp.Or(arg.Description, string(arg.Value)))
			}
			problem = "console: " + strings.Join(text, " ")
		}
	case *runtime.EventExceptionThrown:
		problem = "exception: " + e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			problem += " " + e.ExceptionDetails.Exception.Description
		}
	}
	if problem != "" {
		tab.mu.Lock()
		tab.problems = append(tab.problems, problem)
		tab.mu.Unlock()
	}
}

// Problems returns the errors of the console, exceptions nobody caught and policy violations so far,
// each as "source: text". Failed requests have the source "network".
func (tab *Tab) Problems() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return slices.Clone(tab.problems)
}

// Do runs the steps, with a deadline, and fails the test at the first error.
func (tab *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		tab.t.Fatalf("run browser steps: %v", err)
	}
}

// Open navigates to an address and returns when the page has loaded.
func (tab *Tab) Open(url string) {
	tab.t.Helper()
	tab.Do(chromedp.Navigate(url))
}

// Script runs source at the start of every page opened from now on, before the page's own.
func (tab *Tab) Script(source string) {
	tab.t.Helper()
	Call(tab, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source})
}

// Header adds a header to every request of the tab.
func (tab *Tab) Header(name, value string) {
	tab.t.Helper()
	Call(tab, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{name: value}})
}

// Run evaluates an expression for its effect; a promise is awaited.
func (tab *Tab) Run(expression string) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[chromedp.Void](expression, chromedp.EvalAwaitPromise)); err != nil {
		tab.t.Fatalf("evaluate %s: %v", expression, err)
	}
}

// Wait returns once the expression is true in the page. It looks again every 10 ms inside the page,
// and works under a policy without unsafe-eval, which chromedp.Poll does not.
func (tab *Tab) Wait(expression string) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	loop := fmt.Sprintf(`(async () => { while (!(await (%s))) await new Promise((go) => setTimeout(go, 10)); })()`, expression)
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[chromedp.Void](loop, chromedp.EvalAwaitPromise)); err != nil {
		tab.t.Fatalf("wait for %s: %v; problems of the page: %q", expression, err, tab.Problems())
	}
}

// Eval returns the value of an expression; a promise is awaited.
func Eval[T any](tab *Tab, expression string) T {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		tab.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return v
}

// Call sends one command of the DevTools protocol.
func Call[P, R any](tab *Tab, command cdp.Command[P, R], params P) R {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	r, err := chromedp.Run(ctx, func(ctx context.Context, target *chromedp.Target) (R, error) {
		return cdp.Call(ctx, target, command, params)
	})
	if err != nil {
		tab.t.Fatalf("call %s: %v", command.Method, err)
	}
	return r
}

// Screenshot returns the visible part of the page as PNG.
func (tab *Tab) Screenshot() []byte {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		tab.t.Fatalf("take screenshot: %v", err)
	}
	return png
}
