package e2e_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// hand is how a person works a page. All flows are done by each of them.
type hand interface {
	fill(field, text string) // the input with that name
	press(label string)      // the button or link with that text
}

// arrives waits until a page is there whose title or heading has the text.
func (b *tab) arrives(text string) {
	b.t.Helper()
	b.wait(`heading `+text, fmt.Sprintf(`document.readyState === 'complete' && (document.querySelector('h1')?.textContent ?? '').includes(%q)`, text))
}

// shows waits until the page has the text anywhere.
func (b *tab) shows(text string) {
	b.t.Helper()
	b.wait(`text `+text, fmt.Sprintf(`document.readyState === 'complete' && document.body.innerText.includes(%q)`, text))
}

// wait asks again until the expression holds; a page that is being replaced
// answers nothing.
func (b *tab) wait(what, expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var holds bool
		ctx, cancel := context.WithTimeout(b.ctx, 2*time.Second)
		err := chromedp.Run(ctx, chromedp.Evaluate(expression, &holds))
		cancel()
		if err == nil && holds {
			return
		}
	}
	b.clean("waiting for " + what)
	b.t.Fatalf("no %s at %s:\n%s", what, value[string](b, `location.href`), value[string](b, `document.body.innerText`))
}

// looked is what is checked on a page of a flow: that it did nothing wrong, and
// with axe and a picture also how it looks.
func (b *tab) looked(name string) {
	b.t.Helper()
	for _, width := range []int64{320, 1280} {
		b.size(width, 900)
		if over := value[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
			b.t.Errorf("%s at %d px: %d px stick out", name, width, over)
		}
		for _, theme := range []string{"light", "dark"} {
			b.theme(theme)
			b.axe(fmt.Sprintf("%s %s %d", name, theme, width))
			b.shoot(fmt.Sprintf("flow-%s-%s-%d", name, theme, width))
		}
	}
	b.theme("light")
	b.clean(name)
}

// mouse clicks and types.
type mouse struct{ *tab }

// target of a press is found by its text, as a person finds it.
const byText = `[...document.querySelectorAll('button, a, summary')].find((e) => e.checkVisibility() && (e.ariaLabel ?? e.textContent).trim().startsWith(%q))`

func (m mouse) fill(field, text string) {
	m.t.Helper()
	m.click(fmt.Sprintf(`document.querySelector('input[name=%q]')`, field))
	m.do(chromedp.Evaluate(`document.activeElement.select()`, nil), chromedp.KeyEvent(text))
}

func (m mouse) press(label string) {
	m.t.Helper()
	m.click(fmt.Sprintf(byText, label))
}

// click moves the pointer to the middle of an element and presses it.
func (m mouse) click(element string) {
	m.t.Helper()
	at := value[[]float64](m.tab, fmt.Sprintf(`(() => { const e = %s; if (!e) return []; e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()`, element))
	if len(at) != 2 {
		m.t.Fatalf("nothing to press: %s at %s:\n%s", element, value[string](m.tab, `location.href`), value[string](m.tab, `document.body.innerText`))
	}
	m.do(chromedp.MouseEvent(input.MousePressed, at[0], at[1], chromedp.Button("left"), chromedp.ClickCount(1)), chromedp.MouseEvent(input.MouseReleased, at[0], at[1], chromedp.Button("left"), chromedp.ClickCount(1)))
}

// keyboard moves with Tab and never touches the pointer.
type keyboard struct{ *tab }

// reach presses Tab until the focus is on the element, once around the page.
func (k keyboard) reach(what, isIt string) {
	k.t.Helper()
	for range 40 {
		if value[bool](k.tab, `(() => { const e = document.activeElement ?? document.body ?? document.documentElement; return `+isIt+` })()`) {
			if !value[bool](k.tab, `document.activeElement.matches(':focus-visible')`) {
				k.t.Errorf("the focus on %s cannot be seen", what)
			}
			return
		}
		k.do(chromedp.KeyEvent(kb.Tab))
	}
	k.t.Fatalf("%s cannot be reached by keyboard at %s", what, value[string](k.tab, `location.href`))
}

func (k keyboard) fill(field, text string) {
	k.t.Helper()
	k.reach(field, fmt.Sprintf(`e.name === %q`, field))
	k.do(chromedp.KeyEvent("a", chromedp.KeyModifiers(input.ModifierCtrl)), chromedp.KeyEvent(text))
}

func (k keyboard) press(label string) {
	k.t.Helper()
	k.reach(label, fmt.Sprintf(`['BUTTON', 'A', 'SUMMARY'].includes(e.tagName) && (e.ariaLabel ?? e.textContent).trim().startsWith(%q)`, label))
	k.do(chromedp.KeyEvent(kb.Enter))
}

// devForBrowsers is a running dev with two web apps, and its ada.
type devForBrowsers struct {
	*dev
	shop, parcels string
	password      string
}

func startApps(t *testing.T, args ...string) devForBrowsers {
	t.Helper()
	d := startDev(t, args...)
	if len(d.Apps) != 2 || d.Apps[0].ID != "demo-shop" || d.Apps[1].ID != "demo-parcels" {
		t.Fatalf("got %+v", d.Apps)
	}
	return devForBrowsers{d, d.Apps[0].URL, d.Apps[1].URL, d.Users[0].Password}
}

// inEachWay runs a flow with scripts and pointer, without scripts, and by
// keyboard only.
func inEachWay(t *testing.T, flow func(t *testing.T, b *tab, h hand, looks bool)) {
	for _, way := range []struct {
		name string
		hand func(*tab) hand
	}{
		{"pointer", func(b *tab) hand { return mouse{b} }},
		{"without scripts", func(b *tab) hand { b.withoutScript(); return mouse{b} }},
		{"keyboard", func(b *tab) hand { return keyboard{b} }},
	} {
		t.Run(way.name, func(t *testing.T) {
			b := openTab(t)
			flow(t, b, way.hand(b), way.name == "pointer")
			b.clean(way.name)
		})
	}
}

// From nothing to two apps, and out of both.
func TestSignOnInABrowser(t *testing.T) {
	d := startApps(t)
	inEachWay(t, func(t *testing.T, b *tab, h hand, looks bool) {
		look := func(name string) {
			t.Helper()
			if looks {
				b.looked(name)
			}
		}
		b.visit(d.Issuer)
		b.arrives("Gatehouse")
		look("dev")
		// Nobody is signed in anywhere: the app asks in silence, and says so.
		b.visit(d.shop)
		b.arrives("Lanterns")
		look("shop-signed-out")
		h.press("Sign in")
		b.arrives("Sign in to Shop")
		look("login")
		h.fill("username", "ada")
		h.fill("password", "not her password at all")
		h.press("Sign in")
		b.shows("don't match")
		look("login-wrong")
		h.fill("password", d.password)
		h.press("Sign in")
		b.arrives("Signed in as Ada Lovelace")
		b.shows("ada@example.com")
		b.shows("lantern")
		look("shop-signed-in")
		token := value[string](b, `document.getElementById('token').textContent`)
		h.press("Renew the token now")
		b.wait("renewed token", fmt.Sprintf(`document.readyState === 'complete' && (document.getElementById('token')?.textContent ?? %q) !== %q`, token, token))
		item := "portcullis"
		if !looks {
			item += t.Name()[len("TestSignOnInABrowser"):]
		}
		h.fill("item", item)
		h.press("Order")
		b.shows(item)

		// The other app is of somebody else: no password, but a question first.
		h.press("Parcels")
		b.arrives("Where is my drawbridge?")
		look("parcels-signed-out")
		h.press("Sign in")
		b.shows("127.0.0.1")
		b.shows("Read orders")
		look("consent")
		h.press("Deny")
		b.arrives("Nothing was shared")
		look("parcels-denied")
		h.press("Sign in")
		b.shows("Read orders")
		h.press("Allow")
		b.arrives("Signed in as Ada Lovelace")
		b.shows(item)
		look("parcels-signed-in")
		if value[string](b, `location.origin`) != d.parcels {
			t.Fatalf("at %s", value[string](b, `location.href`))
		}

		// Out of one is out of both: parcels hears of it from the issuer.
		b.visit(d.shop)
		h.press("Sign out")
		b.arrives("Lanterns")
		b.shows("You are not signed in.")
		b.signedOutOf(t, d.parcels)
		b.visit(d.Issuer + "/account")
		b.arrives("Sign in")
		revokeConsent(t, b, h, d)
	})
	d.stop(syscall.SIGINT)
}

// The other way round: in by the app of somebody else, silently in at the
// operator's own, and out by the first.
func TestSignOutOfTheOtherAppInABrowser(t *testing.T) {
	d := startApps(t)
	defer d.stop(syscall.SIGINT)
	b := openTab(t)
	h := mouse{b}
	b.visit(d.parcels)
	b.arrives("Where is my drawbridge?")
	h.press("Sign in")
	b.arrives("Sign in to Parcels")
	h.fill("username", "bob")
	h.fill("password", d.Users[1].Password)
	h.press("Sign in")
	b.shows("Read orders")
	h.press("Allow")
	b.arrives("Signed in as Bob Mason")
	b.visit(d.shop)
	b.arrives("Signed in as Bob Mason") // nothing was pressed
	h.fill("item", "catapult")
	h.press("Order")
	b.shows("Your role may read orders, not place them")
	b.looked("shop-forbidden")
	b.visit(d.parcels)
	h.press("Sign out")
	b.arrives("Where is my drawbridge?")
	b.signedOutOf(t, d.shop)
	b.clean("the other way round")
}

// signedOutOf waits until an app has heard of the logout. The issuer tells it
// within a second; the page is asked anew until then.
func (b *tab) signedOutOf(t *testing.T, app string) {
	t.Helper()
	eventually(t, "signed out of "+app, func() bool {
		b.visit(app)
		b.wait("page of the app", `document.readyState === 'complete' && document.querySelector('h1') !== null`)
		return value[bool](b, `document.body.innerText.includes('You are not signed in.')`)
	})
}

// revokeConsent takes the consent back on the account page, and signs out there.
func revokeConsent(t *testing.T, b *tab, h hand, d devForBrowsers) {
	t.Helper()
	h.fill("username", "ada")
	h.fill("password", d.password)
	h.press("Sign in")
	b.arrives("Ada Lovelace")
	b.shows("Parcels")
	h.press("Remove access of Parcels")
	b.shows("The app has no access any more.")
	if value[bool](b, `document.body.innerText.includes('Parcels')`) {
		t.Errorf("the app is still listed:\n%s", value[string](b, `document.body.innerText`))
	}
	h.press("Sign out")
	b.arrives("Sign out?")
	h.press("Sign out")
	b.arrives("You are signed out")
}
