package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/relying"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
)

// WebApp is a demo web app that signs users in with OpenID Connect, as a
// server-side app does it: code and PKCE, tokens in its own memory, and for the
// browser nothing but a cookie.
type WebApp struct {
	ID     string // of the client
	Secret string
	Name   string
	Line   string // what it is, in a few words
	Look   string // shop or parcels
	URL    string // its origin, the only name it answers to
	Issuer string
	API    string
	Scopes []string
	Orders bool // has a form that places orders
	Other  OtherApp
	Logger *slog.Logger
	Now    func() time.Time // nil: time.Now
}

// OtherApp is where a page leads to the app beside it.
type OtherApp struct{ Name, URL string }

// Paths of a web app that are registered at the issuer.
const (
	callbackPath    = "/callback"
	signedOutPath   = "/signed-out"
	backchannelPath = "/backchannel-logout"
)

// webApp is a running WebApp.
type webApp struct {
	WebApp
	party   *relying.Party
	visits  *visits
	browser string // names of the two cookies
	session string
}

// NewWebApp returns the handler of a web app. It asks the issuer nothing before
// its first request. Its background work ends with ctx.
func NewWebApp(ctx context.Context, c WebApp) (http.Handler, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	origin, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	party, err := relying.New(relying.Config{Issuer: c.Issuer, ClientID: c.ID, Secret: c.Secret, RedirectURL: c.URL + callbackPath, Scopes: c.Scopes, Logger: c.Logger, Now: c.Now})
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { party.Close() })
	a := &webApp{WebApp: c, party: party, visits: newVisits(c.Now),
		// Cookies of one host are shared by all its ports, so the port is in the name.
		browser: c.Look + "-browser-" + origin.Port(), session: c.Look + "-session-" + origin.Port(),
	}
	return a.routes(), nil
}

func (a *webApp) routes() http.Handler {
	forms, sheets := http.NewServeMux(), http.NewServeMux()
	forms.HandleFunc("GET /{$}", a.home)
	forms.HandleFunc("GET "+signedOutPath, a.signedOut)
	forms.HandleFunc("GET /sign-in", a.signIn)
	forms.HandleFunc("GET "+callbackPath, a.callback)
	forms.HandleFunc("POST /sign-out", a.signOut)
	forms.HandleFunc("POST /renew", a.renew)
	if a.Orders {
		forms.HandleFunc("POST /orders", a.order)
	}
	forms.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.problem(w, http.StatusNotFound, "There is nothing at this address.")
	})
	sheets.HandleFunc("GET /app.css", appAsset("app.css", "text/css; charset=utf-8"))
	sheets.HandleFunc("GET /icon.svg", appAsset(a.Look+".svg", "image/svg+xml"))
	// The issuer has no cookie of ours and posts from nowhere in particular.
	sheets.HandleFunc("POST "+backchannelPath, a.backchannel)
	sheets.Handle("/", http.NewCrossOriginProtection().Handler(forms))
	return respond.Identify(respond.Secure(respond.Host(a.URL, sheets)))
}

// home shows who is signed in. Otherwise it asks the issuer, without asking
// the person anything: whoever is signed in there is let in here.
func (a *webApp) home(w http.ResponseWriter, r *http.Request) {
	if v := a.visit(r); v != nil {
		a.show(w, r, v, "")
		return
	}
	a.begin(w, r, true)
}

func (a *webApp) signIn(w http.ResponseWriter, r *http.Request) { a.begin(w, r, false) }

// begin sends the browser to the issuer (OpenID Connect Core §3.1.2.1).
func (a *webApp) begin(w http.ResponseWriter, r *http.Request, silent bool) {
	browser := cookieOf(r, a.browser)
	if len(browser) != len(rand.Text()) {
		browser = rand.Text()
	}
	at, more := attempt{Attempt: relying.NewAttempt(), browser: keyOf(browser), silent: silent}, url.Values{}
	if silent {
		more.Set("prompt", "none")
	}
	to, err := a.party.AuthorizeURL(r.Context(), at.Attempt, more)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if browser != cookieOf(r, a.browser) {
		a.setCookie(w, a.browser, browser)
	}
	a.visits.begin(at)
	a.redirect(w, to)
}

// callback takes the answer of the issuer: for the browser that asked, once,
// and from this issuer only (RFC 9700 §4.4, §4.7).
func (a *webApp) callback(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	at, ok := a.visits.take(q.Get("state"), cookieOf(r, a.browser))
	if !ok {
		a.problem(w, http.StatusBadRequest, "This sign-in was not begun in this browser, or too long ago.")
		return
	}
	if q.Get("iss") != a.Issuer {
		a.problem(w, http.StatusBadRequest, "The answer came from another issuer than the one that was asked.")
		return
	}
	if code := q.Get("error"); code != "" {
		a.refused(w, at, code)
		return
	}
	l, err := a.party.Redeem(r.Context(), q.Get("code"), at.Attempt)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	v := &visit{tokens: l.Tokens, who: l.Identity, profile: l.Profile}
	cookie, ok := a.visits.enter(v)
	if !ok {
		a.problem(w, http.StatusBadRequest, "You signed out while this sign-in was under way.")
		return
	}
	a.setCookie(w, a.session, cookie)
	a.redirect(w, "/")
}

// refused goes on without a sign-in. That nobody could be asked is no fault.
func (a *webApp) refused(w http.ResponseWriter, at attempt, code string) {
	switch {
	case at.silent:
		a.redirect(w, signedOutPath)
	case code == "access_denied":
		a.page(w, http.StatusForbidden, appPage{Denied: true})
	default:
		a.problem(w, http.StatusBadGateway, "The issuer answered "+iam.Printable(code, 64)+".")
	}
}

// signOut ends the visit here, and sends the browser to end the session at the
// issuer, which tells the other apps (OpenID Connect RP-Initiated Logout).
func (a *webApp) signOut(w http.ResponseWriter, r *http.Request) {
	v := a.visit(r)
	if v == nil {
		a.redirect(w, signedOutPath)
		return
	}
	to, err := a.party.EndSessionURL(r.Context(), a.URL+signedOutPath, v.who.Raw)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.visits.leave(cookieOf(r, a.session))
	a.clearCookie(w)
	a.redirect(w, to)
}

// backchannel hears that a session ended (OpenID Connect Back-Channel Logout §2.5).
func (a *webApp) backchannel(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	ended, err := a.party.ReadLogoutToken(r.Context(), r.PostFormValue("logout_token"))
	if err != nil {
		a.Logger.Info("logout token refused", "app", a.ID, "cause", err)
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": "The logout token is not valid here."})
		return
	}
	a.visits.end(ended.Session, ended.Subject)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// renew uses the refresh token, as happens by itself every ten minutes.
func (a *webApp) renew(w http.ResponseWriter, r *http.Request) {
	v := a.visit(r)
	if v == nil {
		a.redirect(w, signedOutPath)
		return
	}
	if _, err := a.access(r.Context(), v, true); err != nil {
		a.lost(w, r, err)
		return
	}
	a.redirect(w, "/")
}

// order places an order at the API.
func (a *webApp) order(w http.ResponseWriter, r *http.Request) {
	v := a.visit(r)
	if v == nil {
		a.redirect(w, signedOutPath)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	err := a.place(r.Context(), v, strings.TrimSpace(r.PostFormValue("item")))
	var refused *relying.StatusError
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusForbidden:
		a.show(w, r, v, "Your role may read orders, not place them: the API answered 403.")
	case errors.As(err, &refused) && refused.Status == http.StatusBadRequest:
		a.show(w, r, v, "The API did not take this order: at most 100 characters.")
	case err != nil:
		a.lost(w, r, err)
	default:
		a.redirect(w, "/")
	}
}

func (a *webApp) visit(r *http.Request) *visit { return a.visits.find(cookieOf(r, a.session)) }

// lost deals with a token that cannot be had: when the login ended at the
// issuer, the visit ends too.
func (a *webApp) lost(w http.ResponseWriter, r *http.Request, err error) {
	if !relying.HasEnded(err) {
		a.fail(w, r, err)
		return
	}
	a.visits.leave(cookieOf(r, a.session))
	a.clearCookie(w)
	a.redirect(w, signedOutPath)
}

// fail says that something is wrong between us and the issuer; the log says what.
func (a *webApp) fail(w http.ResponseWriter, r *http.Request, err error) {
	a.Logger.Warn("web app failed", "app", a.ID, "path", r.URL.Path, "request_id", respond.RequestID(r.Context()), "cause", err)
	a.problem(w, http.StatusBadGateway, a.Name+" could not finish this with the issuer. The log of gatehouse dev says why, under "+respond.RequestID(r.Context())+".")
}

// redirect answers 303, so that the browser never sends a form on.
func (a *webApp) redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	a.headers(w)
	w.WriteHeader(http.StatusSeeOther)
}

// cookieOf is a cookie that is there exactly once; of two, one was planted.
func cookieOf(r *http.Request, name string) string {
	found := r.CookiesNamed(name)
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

func (a *webApp) setCookie(w http.ResponseWriter, name, value string) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func (a *webApp) clearCookie(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: a.session, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1})
}
