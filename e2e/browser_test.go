package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// The one Chromium that all browser tests share; each tab has cookies of its
// own.
var chromium struct {
	once sync.Once
	ctx  context.Context
	stop func()
	lack string // why there is none
}

// startChromium is called once. TestMain calls chromium.stop.
func startChromium() {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		chromium.lack = "no Chromium (make browser installs it)"
		return
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path),
		// Every name is this machine, so that apps can have sites of their own.
		chromedp.Flag("host-resolver-rules", "MAP * 127.0.0.1, EXCLUDE localhost"),
		chromedp.Flag("force-color-profile", "srgb"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stopBrowser := chromedp.NewContext(allocator)
	chromium.stop = func() { stopBrowser(); stopAllocator() }
	if err := chromedp.Run(ctx); err != nil {
		chromium.lack = "Chromium does not start: " + err.Error()
		return
	}
	chromium.ctx = ctx
}

// tab is a browser window with cookies of its own. It collects what a page must
// not do: errors on the console, violations of the policy, requests to others.
type tab struct {
	t     *testing.T
	ctx   context.Context
	hosts []string // besides loopback, that pages of this test may lead to

	mu     sync.Mutex
	faults []string
}

// patience is how long a step in the browser may take on a busy machine.
const patience = 30 * time.Second

// openTab opens one that is closed at the end of the test. Requests to hosts
// other than loopback never leave: they are answered 204, which leaves the page
// where it is, and are faults unless hosts names them.
func openTab(t *testing.T, hosts ...string) *tab {
	t.Helper()
	chromium.once.Do(startChromium)
	if chromium.lack != "" {
		line := "browser tests: " + chromium.lack
		if !slices.Contains(notRun, line) {
			notRun = append(notRun, line)
		}
		t.Skip(chromium.lack)
	}
	ctx, cancel := chromedp.NewContext(chromium.ctx, chromedp.WithTargetID(newWindow(t)))
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, hosts: hosts}
	chromedp.ListenTarget(ctx, b.listen)
	if err := chromedp.Run(ctx); err != nil { // the first run binds the window to its context
		t.Fatal(err)
	}
	b.do(fetch.Enable(), network.Enable(), log.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(`addEventListener('securitypolicyviolation', (e) => console.error('CSP: ' + e.effectiveDirective + ' blocked ' + e.blockedURI))`).Do(ctx)
		return err
	}))
	b.size(1280, 900)
	return b
}

// newWindow opens a window with cookies of its own. The headless Chromium of
// today has no window by itself, which chromedp's own way needs.
func newWindow(t *testing.T) target.ID {
	t.Helper()
	browser := cdp.WithExecutor(chromium.ctx, chromedp.FromContext(chromium.ctx).Browser)
	jar, err := target.CreateBrowserContext().Do(browser)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { target.DisposeBrowserContext(jar).Do(browser) })
	window, err := target.CreateTarget("about:blank").WithBrowserContextID(jar).WithNewWindow(true).Do(browser)
	if err != nil {
		t.Fatal(err)
	}
	return window
}

func (b *tab) listen(event any) {
	switch e := event.(type) {
	case *fetch.EventRequestPaused:
		go b.pass(e)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			var words []string
			for _, argument := range e.Args {
				words = append(words, string(argument.Value)+argument.Description)
			}
			b.fault("console: " + strings.Join(words, " "))
		}
	case *runtime.EventExceptionThrown:
		b.fault("exception: " + e.ExceptionDetails.Error())
	case *log.EventEntryAdded:
		// The status of the page itself is not an error of the page.
		if e.Entry.Level == log.LevelError && e.Entry.Source != log.SourceNetwork {
			b.fault(fmt.Sprintf("log: %s: %s", e.Entry.Source, e.Entry.Text))
		}
	case *network.EventResponseReceived:
		if e.Type != network.ResourceTypeDocument && e.Response.Status >= 400 {
			b.fault(fmt.Sprintf("%d from %s", e.Response.Status, e.Response.URL))
		}
	}
}

// pass lets a request go on when it stays on this machine.
func (b *tab) pass(e *fetch.EventRequestPaused) {
	target, err := url.Parse(e.Request.URL)
	if err != nil {
		return
	}
	host := target.Hostname()
	ip := net.ParseIP(host)
	ctx := b.ctx
	if host == "localhost" || ip != nil && ip.IsLoopback() || strings.HasSuffix(host, ".localhost") || target.Scheme == "data" {
		chromedp.Run(ctx, fetch.ContinueRequest(e.RequestID))
		return
	}
	if !slices.Contains(b.hosts, host) {
		b.fault("request to " + e.Request.URL)
	}
	chromedp.Run(ctx, fetch.FulfillRequest(e.RequestID, 204))
}

func (b *tab) fault(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, text)
}

// drain is everything that the pages did wrong since the last call.
func (b *tab) drain() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	faults := b.faults
	b.faults = nil
	return faults
}

// clean fails the test for everything that the pages did since the last call.
func (b *tab) clean(where string) {
	b.t.Helper()
	for _, fault := range b.drain() {
		b.t.Errorf("%s: %s", where, fault)
	}
}

func (b *tab) do(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// visit opens an address and waits until the page is there.
func (b *tab) visit(address string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Navigate(address)); err != nil {
		b.t.Fatalf("%s: %v", address, err)
	}
}

// submit does what leaves the page and waits for the next one.
func (b *tab) submit(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) size(width, height int64) {
	b.t.Helper()
	b.do(emulation.SetDeviceMetricsOverride(width, height, 1, false))
}

// theme is light or dark.
func (b *tab) theme(theme string) {
	b.t.Helper()
	b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
}

// languages sets Accept-Language.
func (b *tab) languages(tags string) {
	b.t.Helper()
	b.do(network.SetExtraHTTPHeaders(network.Headers{"Accept-Language": tags}))
}

// withoutScript switches the scripts of pages off.
func (b *tab) withoutScript() {
	b.t.Helper()
	b.do(emulation.SetScriptExecutionDisabled(true))
}

// value of an expression in the page.
func value[V any](b *tab, expression string) V {
	b.t.Helper()
	var v V
	b.do(chromedp.Evaluate(expression, &v))
	return v
}

// until waits for an expression of the page to become true.
func (b *tab) until(expression string) {
	b.t.Helper()
	for range int(patience / (50 * time.Millisecond)) {
		var holds bool
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		err := chromedp.Run(ctx, chromedp.Evaluate(expression, &holds))
		cancel()
		if err == nil && holds {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("never: %s", expression)
}

// focused tells which element has the focus: its id, name or text. Browsers
// give the first focus with the first picture, so it is waited for.
func (b *tab) focused() string {
	b.t.Helper()
	for range 20 {
		if value[bool](b, `document.activeElement !== document.body`) {
			break
		}
		b.do(chromedp.Sleep(50 * time.Millisecond))
	}
	return value[string](b, `(() => { const e = document.activeElement; return e.id || (e.name && e.name + '=' + e.value) || e.textContent.trim() })()`)
}

// artefacts is where screenshots go; nothing in it is committed.
const artefacts = "artefacts"

// shoot keeps a picture of the whole page.
func (b *tab) shoot(name string) {
	b.t.Helper()
	var picture []byte
	b.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		picture, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).Do(ctx)
		return err
	}))
	if err := os.MkdirAll(artefacts, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(artefacts, name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// axeSource is axe-core, read once; package.json pins it.
var axeSource = sync.OnceValues(func() (string, error) {
	content, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	return string(content), err
})

// axe is what axe-core finds on the page by the rules of WCAG 2.2 AA and its
// own best practices.
func (b *tab) axe(where string) {
	b.t.Helper()
	source, err := axeSource()
	if err != nil {
		line := "accessibility by axe-core: not installed (make browser installs it)"
		if !slices.Contains(notRun, line) {
			notRun = append(notRun, line)
		}
		return
	}
	var text string
	b.do(chromedp.Evaluate(source+`; 0`, nil), chromedp.Evaluate(`axe.run(document, {resultTypes: ['violations', 'incomplete'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then((r) => JSON.stringify({passes: r.passes.length, findings: r.violations.flatMap((v) => v.nodes.map((n) => v.id + ' ' + n.html + ' ' + n.failureSummary))}))`,
		&text, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	var result struct {
		Passes   int
		Findings []string
	}
	if err := json.Unmarshal([]byte(text), &result); err != nil || result.Passes == 0 {
		b.t.Fatalf("%s: axe gave %q, %v", where, text, err)
	}
	for _, finding := range result.Findings {
		b.t.Errorf("%s: axe: %s", where, finding)
	}
}
