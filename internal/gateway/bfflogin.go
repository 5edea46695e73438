package gateway

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/policy"
	"github.com/gatehouse-auth/gatehouse/internal/relying"
	"github.com/gatehouse-auth/gatehouse/internal/visit"
)

// loginLife is how long a login may take.
const loginLife = 10 * time.Minute

// maxReturn bounds the address to come back to, which travels in a cookie.
const maxReturn = 2 << 10

// loginState is a login under way. It lies sealed in a cookie of the browser that
// began it, so that nobody can fill a memory with beginnings.
type loginState struct {
	relying.Attempt
	Return string    `json:"r"`
	Began  time.Time `json:"b"`
}

const sealedLogin = "login"

// login sends the browser to the issuer.
func (b *bff) login(w http.ResponseWriter, r *http.Request, id string) {
	form, wrong := oauth.ParseQuery(r.URL.RawQuery)
	back, ok := returnPath(form.Get("return"))
	if wrong != nil || !ok {
		b.page(w, http.StatusBadRequest, bffPage{Title: "This link does not work", Text: "It leads somewhere else than to a page of this app.", Link: "/", Label: "Back to the app"})
		return
	}
	s := loginState{Attempt: relying.NewAttempt(), Return: back, Began: b.gateway.now()}
	more := url.Values{}
	if audience := b.gateway.rules.Load().audienceOf(b.Issuer); audience != "" {
		more.Set("resource", audience) // RFC 8707: the token is for the API behind this gateway
	}
	to, err := b.party.AuthorizeURL(r.Context(), s.Attempt, more)
	if err != nil {
		b.trouble(w, r, id, err)
		return
	}
	sealed, err := b.visits.Seal(sealedLogin, s)
	if err != nil {
		b.trouble(w, r, id, err)
		return
	}
	b.cookies.setLogin(w, sealed)
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// returnPath is where to go after a login: a path of this app that has one
// reading, and nothing of the BFF's own, which could be a loop.
func returnPath(text string) (string, bool) {
	if text == "" {
		return "/", true
	}
	c, err := policy.Canonicalize(http.MethodGet, text)
	return text, err == nil && len(text) <= maxReturn && !reserved(c.RawPath)
}

// callback takes the answer of the issuer: for the browser that asked, once, and
// from this issuer only (RFC 9700 §4.4, §4.7, RFC 9207).
func (b *bff) callback(w http.ResponseWriter, r *http.Request, id string) {
	q, wrong := oauth.ParseQuery(r.URL.RawQuery)
	var s loginState
	err := b.visits.Unseal(sealedLogin, cookieValue(r, b.cookies.login), &s)
	now := b.gateway.now()
	switch {
	case wrong != nil, err != nil, now.Sub(s.Began) >= loginLife, subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(s.State)) != 1:
		b.again(w, http.StatusBadRequest, "This sign-in was not begun in this browser, or too long ago.", "/")
		return
	}
	b.cookies.clearLogin(w)
	// Spent before anything else: the same answer a second time is a copy.
	first, err := b.visits.Spend(r.Context(), "login", s.State, loginLife)
	switch {
	case err != nil:
		b.trouble(w, r, id, err)
	case !first:
		b.again(w, http.StatusBadRequest, "This sign-in has been used already.", s.Return)
	case q.Get("iss") != b.Issuer:
		b.again(w, http.StatusBadRequest, "The answer came from another issuer than the one that was asked.", s.Return)
	case q.Get("error") == "access_denied":
		b.again(w, http.StatusForbidden, "You did not let this app sign you in.", s.Return)
	case q.Get("error") != "":
		b.logger.Warn("login refused by the issuer", "error", iam.Printable(q.Get("error"), 64), "description", iam.Printable(q.Get("error_description"), 200), "request_id", id)
		b.again(w, http.StatusBadGateway, "The issuer answered "+iam.Printable(q.Get("error"), 64)+".", s.Return)
	default:
		b.enter(w, r, id, q.Get("code"), s)
	}
}

// enter begins a session. The answer is a page of ours that goes on by itself:
// coming from another site, a redirect would leave the Strict cookie behind.
func (b *bff) enter(w http.ResponseWriter, r *http.Request, id, code string, s loginState) {
	l, err := b.party.Redeem(r.Context(), code, s.Attempt)
	if err != nil {
		b.trouble(w, r, id, err)
		return
	}
	name := l.Profile.Name
	if name == "" {
		name = l.Profile.Username
	}
	cookie, err := b.visits.Begin(r.Context(), visit.Session{Subject: l.Identity.Subject, SID: l.Identity.Session, Name: name,
		Access: l.Tokens.AccessToken, Refresh: l.Tokens.RefreshToken, Expires: expiry(l.Tokens.Expiry, b.gateway.now()), Got: b.gateway.now()})
	switch {
	case errors.Is(err, visit.ErrNone):
		b.again(w, http.StatusBadRequest, "You signed out while this sign-in was under way.", s.Return)
		return
	case err != nil:
		b.trouble(w, r, id, err)
		return
	}
	// A session that this browser had before is over: a new login, a new cookie.
	if old := cookieValue(r, b.cookies.session); old != "" {
		b.finish(r.Context(), b.visits.KeyOf(old))
	}
	b.cookies.setSession(w, cookie)
	b.page(w, http.StatusOK, bffPage{Title: "You are signed in", Link: s.Return, Label: "Go on", Go: true})
}

// expiry of an access token; one that the issuer does not name is short.
func expiry(said, now time.Time) time.Time {
	if said.IsZero() {
		return now.Add(time.Minute)
	}
	return said
}

// bffPage is a page of a few words.
type bffPage struct {
	Title, Text string
	Link, Label string
	Go          bool // by itself
}

var bffTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{{if .Go}}<meta http-equiv="refresh" content="0;url={{.Link}}">
{{end}}<title>{{.Title}}</title>
</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{with .Text}}<p>{{.}}</p>
{{end}}<p><a href="{{.Link}}">{{.Label}}</a></p>
</main>
</body>
</html>
`))

func (b *bff) page(w http.ResponseWriter, status int, p bffPage) {
	var body bytes.Buffer
	if err := bffTemplate.Execute(&body, p); err != nil {
		panic("gateway: a template of ours does not fit its view: " + err.Error())
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// again says what went wrong and offers another try.
func (b *bff) again(w http.ResponseWriter, status int, text, back string) {
	b.page(w, status, bffPage{Title: "You are not signed in", Text: text, Link: bffLoginPath + "?return=" + url.QueryEscape(back), Label: "Sign in again"})
}

// trouble says that something is wrong between us and the issuer; the log says what.
func (b *bff) trouble(w http.ResponseWriter, r *http.Request, id string, err error) {
	b.logger.Warn("sign-in failed", "cause", err, "path", path(r.RequestURI), "request_id", id)
	b.page(w, http.StatusBadGateway, bffPage{Title: "You are not signed in", Text: "The sign-in could not be finished. The app's operator finds the cause in the gateway's log under " + id + ".", Link: "/", Label: "Back to the app"})
}

// loginFor is where a page that needs a sign-in sends the browser.
func loginFor(target string) string {
	if _, ok := returnPath(target); !ok {
		target = "/"
	}
	return bffLoginPath + "?return=" + url.QueryEscape(target)
}
