package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/gatehouse-auth/gatehouse/internal/page"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
)

// gallery serves every page with sample values, under a name of its own, and
// keeps the forms that are posted.
type gallery struct {
	pages  *page.Pages
	mux    *http.ServeMux
	origin string

	mu     sync.Mutex
	posted []string // path and form, in order
}

// site serves h under a name that browsers take for a site of its own.
func site(t *testing.T, name string, h http.Handler) (origin string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", name+".localhost", 1)
}

func openGallery(t *testing.T) *gallery {
	t.Helper()
	p, err := page.New(page.Config{Host: "auth.example.com", Pseudo: true})
	if err != nil {
		t.Fatal(err)
	}
	g := &gallery{pages: p, mux: http.NewServeMux()}
	g.mux.Handle("GET /", p.Gallery())
	g.mux.HandleFunc("GET /see/setup", func(w http.ResponseWriter, _ *http.Request) { page.ShowSetup(w, 200, page.Setup{}) })
	g.mux.HandleFunc("GET /see/setup-fault", func(w http.ResponseWriter, _ *http.Request) {
		page.ShowSetup(w, 400, page.Setup{Username: "ada", Fault: "The setup code is wrong or was used."})
	})
	g.mux.HandleFunc("GET /see/setup-done", func(w http.ResponseWriter, _ *http.Request) {
		page.ShowSetup(w, 200, page.Setup{Username: "ada", Done: true})
	})
	g.mux.HandleFunc("GET /see/dev", func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/"
		page.DevHome(page.Dev{Issuer: "http://localhost:8080", API: "http://localhost:8081", Service: "http://localhost:8082", Data: "./data",
			Users: []page.DevUser{{Name: "ada", Password: "seven green doors", Roles: "admin"}},
			Tries: []page.Try{{Command: "curl -H @$D/ada $A/orders", Answer: "200 and a list"}}}).ServeHTTP(w, r)
	})
	g.mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		time.Sleep(100 * time.Millisecond) // time for a second press
		g.mu.Lock()
		defer g.mu.Unlock()
		g.posted = append(g.posted, r.URL.Path+" "+r.PostForm.Encode())
		p.DeviceDone(w, r, 200, page.DeviceDone{App: "Posted", Allowed: true})
	})
	g.origin = site(t, "auth", respond.Identify(respond.Secure(g.mux)))
	return g
}

// forms are those posted since the last call, without the sealed flow.
func (g *gallery) forms(t *testing.T) []string {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []string
	for _, posted := range g.posted {
		path, query, _ := strings.Cut(posted, " ")
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if path != "/csp-report" && len(values["flow"]) != 1 {
			t.Errorf("%s: the flow was posted %d times", path, len(values["flow"]))
		}
		values.Del("flow")
		all = append(all, strings.TrimSpace(path+" "+values.Encode()))
	}
	g.posted = nil
	return all
}

func (g *gallery) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := g.forms(t); !slices.Equal(got, want) {
		t.Errorf("posted %q, want %q", got, want)
	}
}

// look is one way to look at a page.
type look struct {
	language, theme string
	width           int64
}

// looks of every page: what axe checks in English, and what is only measured
// and kept as a picture.
var looks = []look{
	{"en", "light", 320}, {"en", "dark", 320}, {"en", "light", 1280}, {"en", "dark", 1280},
	{"de", "light", 1280}, {"de", "dark", 320}, {"en-XA", "light", 320},
}

func TestEveryPageInABrowser(t *testing.T) {
	g := openGallery(t)
	b := openTab(t, "orders.example.com")
	var addresses []string
	for _, s := range page.Samples(time.Now()) {
		addresses = append(addresses, s.Name())
	}
	for _, name := range append(addresses, "setup", "setup-fault", "setup-done", "dev") {
		t.Run(name, func(t *testing.T) {
			b.t = t
			language := ""
			for _, l := range looks {
				if l.language != "en" && !slices.Contains(addresses, name) {
					continue // pages for those who set a server up are in English
				}
				b.size(l.width, 800)
				b.theme(l.theme)
				if l.language != language {
					language = l.language
					b.languages(language)
					b.visit(g.origin + "/see/" + name)
				}
				where := fmt.Sprintf("%s-%s-%s-%d", name, l.language, l.theme, l.width)
				if over := value[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
					t.Errorf("%s: %d px stick out", where, over)
				}
				if small := value[[]string](b, smallTargets); len(small) > 0 {
					t.Errorf("%s: lower than 44 px: %q", where, small)
				}
				if language == "en" {
					b.axe(where)
				}
				b.shoot(where)
			}
			b.clean(name)
			g.expect(t)
		})
	}
}

// smallTargets are buttons and fields that are not 44 px high.
const smallTargets = `[...document.querySelectorAll('button, .button, input:not([type=hidden], [type=checkbox]), label.check, summary')].filter((e) => e.offsetParent && e.offsetHeight < 44).map((e) => e.outerHTML)`

// Pictures for the documentation: make pictures copies them to docs/images.
func TestPicturesForTheDocumentation(t *testing.T) {
	g := openGallery(t)
	b := openTab(t)
	b.languages("en")
	for _, p := range []struct {
		name, theme string
		height      int64
	}{{"login", "light", 640}, {"login", "dark", 640}, {"consent", "light", 840}, {"account", "light", 900}, {"device-confirm", "dark", 760}} {
		b.size(760, p.height)
		b.theme(p.theme)
		b.visit(g.origin + "/see/" + p.name)
		if p.name == "login" {
			b.focused()
		}
		b.shoot("docs-" + p.name + "-" + p.theme)
	}
	b.clean("pictures")
}

// The list of pages that `gatehouse theme preview` begins with.
func TestTheGalleryInABrowser(t *testing.T) {
	g := openGallery(t)
	b := openTab(t)
	b.visit(g.origin + "/")
	b.axe("gallery")
	b.clean("gallery")
}

func TestFormsByKeyboardAlone(t *testing.T) {
	g := openGallery(t)
	b := openTab(t)
	b.languages("en")
	see := func(name string) { b.visit(g.origin + "/see/" + name) }
	tab := func(want string) {
		t.Helper()
		b.do(chromedp.KeyEvent(kb.Tab))
		if got := b.focused(); got != want {
			t.Fatalf("Tab went to %q, want %q", got, want)
		}
	}

	see("login")
	b.do(chromedp.KeyEvent("ada"))
	tab("password")
	b.submit(chromedp.KeyEvent("a b"), chromedp.KeyEvent(kb.Enter))
	g.expect(t, "/login password=a+b&username=ada")

	// After a fault the summary has the focus, and the fields follow it.
	see("login-denied")
	if got := b.focused(); got != "fault" {
		t.Errorf("the focus is on %q, want the fault", got)
	}
	tab("username")
	tab("password")
	tab("Show")
	tab("Sign in")
	tab("cancel=1")
	b.submit(chromedp.KeyEvent(kb.Enter))
	g.expect(t, "/login cancel=1&password=&username=ada")

	// Enter on the page, and Enter on a checkbox, must not allow anything.
	see("consent")
	b.do(chromedp.KeyEvent(kb.Enter), chromedp.Sleep(300*time.Millisecond))
	tab("scope=phone")
	b.do(chromedp.KeyEvent(kb.Enter), chromedp.Sleep(300*time.Millisecond))
	g.expect(t)
	b.do(chromedp.KeyEvent(" "))
	tab("scope=invoices:read")
	tab("decision=allow")
	b.submit(chromedp.KeyEvent(kb.Enter))
	g.expect(t, "/consent decision=allow&scope=phone")
	see("consent")
	for range 4 {
		b.do(chromedp.KeyEvent(kb.Tab))
	}
	if got := b.focused(); got != "decision=deny" {
		t.Fatalf("the focus is on %q", got)
	}
	b.submit(chromedp.KeyEvent(kb.Enter))
	g.expect(t, "/consent decision=deny")

	see("device-code")
	b.submit(chromedp.KeyEvent("wdjbmjht"), chromedp.KeyEvent(kb.Enter))
	g.expect(t, "/device user_code=wdjbmjht")
	see("device-confirm")
	b.do(chromedp.KeyEvent(kb.Enter), chromedp.Sleep(300*time.Millisecond))
	g.expect(t)
	tab("decision=allow")
	tab("decision=deny")
	b.submit(chromedp.KeyEvent(kb.Enter))
	g.expect(t, "/device/confirm decision=deny")

	see("logout")
	tab("decision=logout")
	b.submit(chromedp.KeyEvent(kb.Enter))
	g.expect(t, "/oauth/logout/confirm decision=logout")
	see("logout")
	tab("decision=logout")
	tab("decision=stay")
	tab("language=de")
	b.submit(chromedp.KeyEvent(kb.Enter))
	g.expect(t, "/language language=de&page=logout")
	b.clean("keyboard")
}

func TestFormsWithoutScript(t *testing.T) {
	g := openGallery(t)
	b := openTab(t)
	b.languages("en")
	b.withoutScript()
	for _, tc := range []struct {
		page string
		do   []chromedp.Action
		want string
	}{
		{"login", []chromedp.Action{chromedp.SendKeys("#username", "ada"), chromedp.SendKeys("#password", "secret"), chromedp.Click("button.primary")}, "/login password=secret&username=ada"},
		{"login", []chromedp.Action{chromedp.Click("button[name=cancel]")}, "/login cancel=1&password=&username="},
		{"consent", []chromedp.Action{chromedp.Click("input[value=phone]"), chromedp.Click("button[value=allow]")}, "/consent decision=allow&scope=phone"},
		{"consent-native", []chromedp.Action{chromedp.Click("button[value=deny]")}, "/consent decision=deny"},
		{"device-code", []chromedp.Action{chromedp.SendKeys("#user_code", "WDJB-MJHT"), chromedp.Click("button.primary")}, "/device user_code=WDJB-MJHT"},
		{"device-confirm", []chromedp.Action{chromedp.Click("button[value=allow]")}, "/device/confirm decision=allow"},
		{"logout", []chromedp.Action{chromedp.Click("button[value=logout]")}, "/oauth/logout/confirm decision=logout"},
		{"account", []chromedp.Action{chromedp.Click(`form[action="/account/apps/revoke"] button`)}, "/account/apps/revoke client_id=acme-orders"},
		{"account", []chromedp.Action{chromedp.Click(`form[action="/account/sessions/end"] button`)}, "/account/sessions/end id=ses_2"},
		{"account", []chromedp.Action{chromedp.Click(`form[action="/account/sessions/end-others"] button`)}, "/account/sessions/end-others"},
		{"login", []chromedp.Action{chromedp.Click("button[name=language]")}, "/language language=de&page=login"},
	} {
		b.visit(g.origin + "/see/" + tc.page)
		b.submit(tc.do...)
		g.expect(t, tc.want)
	}
	// What only the script can do is not offered.
	b.visit(g.origin + "/see/login")
	b.do(chromedp.WaitNotVisible("button[data-reveal]"))
	b.clean("without script")
}

func TestTheScriptOfForms(t *testing.T) {
	g := openGallery(t)
	b := openTab(t)
	b.languages("en")
	b.visit(g.origin + "/see/login")
	kind := func(want string) {
		t.Helper()
		if got := value[string](b, `document.getElementById('password').type`); got != want {
			t.Errorf("the password is shown as %q, want %q", got, want)
		}
	}
	b.do(chromedp.SendKeys("#username", "ada"), chromedp.SendKeys("#password", "secret"))
	kind("password")
	b.do(chromedp.Click("button[data-reveal]"))
	kind("text")
	if got := b.focused(); got != "password" {
		t.Errorf("the focus is on %q after the password is shown", got)
	}
	b.do(chromedp.Click("button[data-reveal]"))
	kind("password")

	// Two presses send one form.
	b.submit(chromedp.Evaluate(`(() => { const s = document.querySelector('button.primary'); s.click(); s.click() })()`, nil))
	g.expect(t, "/login password=secret&username=ada")

	// After going back it can be sent again, also when the browser kept the page
	// as it was. chromedp loses its place there, so the page presses its button.
	b.do(chromedp.Evaluate(`history.back()`, nil))
	b.until(`document.getElementById('password') !== null && document.readyState === 'complete'`)
	b.do(chromedp.Evaluate(`document.getElementById('username').value = 'ada'; document.getElementById('password').value = 'other'; document.querySelector('button.primary').click()`, nil))
	b.until(`document.querySelector('.sign') !== null`)
	g.expect(t, "/login password=other&username=ada")
	b.clean("script of forms")
}

// arrivals are requests to an app's redirect address.
func openApp(t *testing.T) (origin string, arrivals func() []string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	origin = site(t, "app", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path == "/cb" {
			all = append(all, r.Method+" "+r.Form.Encode()+" "+r.Header.Get("Referer"))
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><html lang="en"><title>app</title><link rel="icon" href="data:,"><h1 id="app">app</h1>`)
	}))
	return origin, func() []string {
		mu.Lock()
		defer mu.Unlock()
		arrived := all
		all = nil
		return arrived
	}
}

// A flow in which a form was posted ends on a page that goes on by itself,
// because the browser blocks a post that is redirected to another site.
func TestC30APostedFormReachesTheApp(t *testing.T) {
	g := openGallery(t)
	app, arrivals := openApp(t)
	target := app + "/cb?code=c1&state=s1"
	g.mux.HandleFunc("POST /consent", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/continue", http.StatusSeeOther) })
	g.mux.HandleFunc("POST /device/confirm", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, http.StatusSeeOther) })
	g.mux.HandleFunc("GET /continue", func(w http.ResponseWriter, r *http.Request) {
		g.pages.Continue(w, r, 200, page.Continue{App: "App", Target: target})
	})
	for _, script := range []bool{true, false} {
		b := openTab(t)
		b.do(emulation.SetScriptExecutionDisabled(!script))
		b.visit(g.origin + "/see/consent")
		b.do(chromedp.Click("button[value=allow]"), chromedp.WaitVisible("#app"))
		if got := arrivals(); !slices.Equal(got, []string{"GET code=c1&state=s1 "}) {
			t.Errorf("script %v: arrived %q", script, got)
		}
		b.clean("continue")
	}
	// The way that others take, to know that this test can fail.
	b := openTab(t)
	b.visit(g.origin + "/see/device-confirm")
	b.do(chromedp.Click("button[value=allow]"), chromedp.Sleep(time.Second))
	if got := arrivals(); len(got) > 0 || len(b.drain()) == 0 {
		t.Errorf("a redirected post arrived (%q): the page between is not needed any more", got)
	}
}

func TestC30FormPostGoesToOneOrigin(t *testing.T) {
	g := openGallery(t)
	app, arrivals := openApp(t)
	g.mux.HandleFunc("GET /answer", func(w http.ResponseWriter, r *http.Request) {
		// A field named submit hides the form's own method.
		g.pages.FormPost(w, r, 200, page.FormPost{App: "App", Action: app + "/cb", Fields: [][2]string{{"code", "c1"}, {"state", `"><b>&amp;`}, {"submit", "x"}}})
	})
	want := []string{"POST " + url.Values{"code": {"c1"}, "state": {`"><b>&amp;`}, "submit": {"x"}}.Encode() + " "}
	b := openTab(t)
	b.visit(g.origin + "/answer")
	b.do(chromedp.WaitVisible("#app"))
	if got := arrivals(); !slices.Equal(got, want) {
		t.Errorf("by itself: arrived %q, want %q", got, want)
	}
	b.clean("form post")

	b = openTab(t)
	b.withoutScript()
	b.visit(g.origin + "/answer")
	b.do(chromedp.Click("button.primary"), chromedp.WaitVisible("#app"))
	if got := arrivals(); !slices.Equal(got, want) {
		t.Errorf("by its button: arrived %q, want %q", got, want)
	}
	b.clean("form post without script")
}

// The policy must stop what it is there to stop, or the checks above see
// nothing.
func TestTheBrowserTestsSeeViolations(t *testing.T) {
	g := openGallery(t)
	b := openTab(t)
	b.visit(g.origin + "/see/login")
	for _, tc := range []struct{ do, want string }{
		{`document.body.setAttribute('style', 'color: red')`, "style-src"},
		{`document.body.append(Object.assign(new Image(), {src: 'https://tracker.example/x.png'}))`, "img-src"},
		{`try { document.body.innerHTML = '<b>x</b>' } catch {}`, "require-trusted-types-for"},
		{`console.error('from the page')`, "from the page"},
		{`setTimeout(() => { throw new Error('boom') })`, "boom"},
		{`location.href = 'https://elsewhere.example/'`, "request to https://elsewhere.example/"},
		{`fetch('/x').catch(() => 0)`, "connect-src"},
	} {
		b.do(chromedp.Evaluate(tc.do+"; 0", nil), chromedp.Sleep(200*time.Millisecond))
		if got := b.drain(); !strings.Contains(strings.Join(got, "\n"), tc.want) {
			t.Errorf("%s: seen %q, want %q", tc.do, got, tc.want)
		}
	}
}
