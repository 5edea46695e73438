package guard

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// HandoffMode is how the token comes, as registered with --handoff-mode. A token
// that comes in another way is not looked at.
type HandoffMode string

const (
	HandoffForm   HandoffMode = "form_post" // a form that the browser posts: the default
	HandoffQuery  HandoffMode = "query"     // in the address
	HandoffCookie HandoffMode = "cookie"    // for a parent domain that issuer and app share
)

// HandoffConfig of a Handoff. Issuer, ClientID, URL and SignedIn are required.
type HandoffConfig struct {
	// Issuer is the authorization server, exactly as in the `iss` claim.
	Issuer string
	// ClientID is this app, as registered with the issuer.
	ClientID string
	// URL is where the handler is mounted, as registered with --handoff-url.
	URL string
	// SignedIn begins the app's own session: it sets its cookie and writes no
	// answer, because the browser is then sent on. Its request has neither the
	// token nor the nonce any more. An error is answered with 500 and logged.
	SignedIn func(w http.ResponseWriter, r *http.Request, c Caller) error

	// Mode is how the token comes. Empty: HandoffForm.
	Mode HandoffMode
	// Domain of the cookie, with HandoffCookie.
	Domain string
	// Home is the path where the browser goes if it asked for none: "" means "/".
	Home string
	// Spent remembers which hand-offs were used. Nil: this process does, in memory
	// and until it ends. Apps of several processes need a store that they share,
	// or ClientSecret.
	Spent Spent
	// ClientSecret makes the issuer remember instead: each hand-off is redeemed
	// there, with a call of its own.
	ClientSecret string

	// KeysURL, HTTPClient, Logger and InsecureHTTPIssuer are as in Config.
	KeysURL            string
	HTTPClient         *http.Client
	Logger             *slog.Logger
	InsecureHTTPIssuer bool
}

// Spent remembers which hand-offs were used.
type Spent interface {
	// Spend marks id as used and reports whether it was not before, in one step:
	// of two calls at the same time one is told false. It may forget id after
	// until. With an error nobody is let in.
	Spend(ctx context.Context, id string, until time.Time) (bool, error)
}

// HandoffHandler signs people in to an app that cannot speak OpenID Connect.
// Mount it at the registered URL. Without a token it sends the browser to the
// issuer; with one it verifies and spends it, calls SignedIn and sends the
// browser to the path that was asked for with ?return=/path. Safe for concurrent
// use.
type HandoffHandler struct {
	config HandoffConfig
	guard  *Guard // has the issuer's keys; its own Verify is not used
	path   string
	prefix string // of the nonce cookies
	secure bool
	redeem func(ctx context.Context, h handoff) (bool, error)
}

// Handoff checks the whole config and reports all its faults at once. It does no
// I/O. Close ends its background work.
func Handoff(c HandoffConfig) (*HandoffHandler, error) {
	u, err := c.check()
	if err != nil {
		return nil, err
	}
	g, err := New(Config{Issuer: c.Issuer, Audience: c.ClientID, KeysURL: c.KeysURL, HTTPClient: c.HTTPClient, Logger: c.Logger, InsecureHTTPIssuer: c.InsecureHTTPIssuer})
	if err != nil {
		return nil, err
	}
	h := &HandoffHandler{config: c, guard: g, path: u.EscapedPath(), secure: u.Scheme == "https"}
	if h.path == "" {
		h.path = "/"
	}
	if h.config.Mode == "" {
		h.config.Mode = HandoffForm
	}
	if h.config.Home == "" {
		h.config.Home = "/"
	}
	if h.config.Logger == nil {
		h.config.Logger = slog.Default()
	}
	// With __Host- no neighbouring host can plant a nonce. Loopback has no https,
	// and its cookies are shared by all ports, so the port is in the name.
	h.prefix = "__Host-handoff-" + c.ClientID + "-"
	if !h.secure {
		h.prefix = "handoff-" + c.ClientID + "-" + u.Port() + "-"
	}
	h.redeem = h.spendHere
	if h.config.Spent == nil {
		h.config.Spent = &spentInMemory{now: time.Now}
	}
	if c.ClientSecret != "" {
		h.redeem = h.spendAtIssuer
	}
	return h, nil
}

func (c HandoffConfig) check() (*url.URL, error) {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("guard: Handoff: "+format, args...))
	}
	if c.Issuer == "" {
		fault("Issuer is required: the authorization server's URL, such as https://auth.example.com")
	}
	if c.ClientID == "" || strings.ContainsFunc(c.ClientID, notInCookieName) {
		fault("ClientID is required: the id that this app is registered under")
	}
	if c.SignedIn == nil {
		fault("SignedIn is required: the function that begins the app's own session")
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		fault("URL %q is not this handler's address, such as https://app.example.com/handoff; plain http is for loopback only", c.URL)
	}
	switch c.Mode {
	case "", HandoffForm, HandoffQuery:
	case HandoffCookie:
		if c.Domain == "" || err == nil && (u.Scheme != "https" || !strings.HasSuffix("."+u.Hostname(), "."+c.Domain)) {
			fault("HandoffCookie needs https and Domain, the parent domain that was registered with --handoff-domain")
		}
	default:
		fault("Mode %q is not one of HandoffForm, HandoffQuery and HandoffCookie", c.Mode)
	}
	if c.Mode != HandoffCookie && c.Domain != "" {
		fault("Domain belongs to HandoffCookie")
	}
	if c.Home != "" && cleanReturn(c.Home, "") != c.Home {
		fault("Home %q is not a path of this app, such as /start", c.Home)
	}
	if c.Spent != nil && c.ClientSecret != "" {
		fault("set Spent or ClientSecret, not both: a hand-off is spent in one place")
	}
	return u, errors.Join(faults...)
}

func notInCookieName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r))
}

// Ready fetches the issuer's keys, for a readiness check.
func (h *HandoffHandler) Ready(ctx context.Context) error { return h.guard.Ready(ctx) }

// Close ends the background work.
func (h *HandoffHandler) Close() error { return h.guard.Close() }

// maxHandoffForm bounds a posted hand-off.
const maxHandoffForm = 64 << 10

// ServeHTTP begins a login or, when a token came, ends it.
func (h *HandoffHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer") // the address may hold the token
	header.Set("X-Content-Type-Options", "nosniff")
	r.Body = http.MaxBytesReader(w, r.Body, maxHandoffForm)
	tokens, err := h.tokens(r)
	switch {
	case err != nil:
		h.refuse(w, r, "", err)
	case len(tokens) > 1:
		h.refuse(w, r, "", handoffFault("more_than_one", "The browser brought more than one login.", nil))
	case len(tokens) == 0 && r.Method == http.MethodPost:
		h.refuse(w, r, "", handoffFault("no_token", "The form holds no login.", nil))
	case len(tokens) == 0:
		h.start(w, r)
	default:
		if err := h.finish(w, r, tokens[0]); err != nil {
			h.refuse(w, r, tokens[0], err)
		}
	}
}

var errHandoffMethod = errors.New("method")

// tokens are those that came in the way of the mode, and in no other.
func (h *HandoffHandler) tokens(r *http.Request) ([]string, error) {
	if r.Method != http.MethodGet && !(r.Method == http.MethodPost && h.config.Mode == HandoffForm) {
		return nil, errHandoffMethod
	}
	switch h.config.Mode {
	case HandoffQuery:
		return r.URL.Query()[oauth.HandoffParameter], nil
	case HandoffCookie:
		var values []string
		for _, c := range r.CookiesNamed(oauth.HandoffCookie(h.config.ClientID)) {
			values = append(values, c.Value)
		}
		return values, nil
	}
	if r.Method == http.MethodGet {
		return nil, nil
	}
	if err := r.ParseForm(); err != nil {
		return nil, handoffFault("form", "The form cannot be read.", err)
	}
	return r.PostForm[oauth.HandoffParameter], nil
}

// nonceLife is how long a login may take: as long as the issuer's login page
// may stay open.
const nonceLife = time.Hour

// maxNonces bounds the logins that one browser may have begun, in several tabs,
// so that nobody fills its cookies.
const maxNonces = 5

// start gives the browser a nonce and sends it to the issuer with the hash
// (C33). Whoever sees the token later does not know the nonce.
func (h *HandoffHandler) start(w http.ResponseWriter, r *http.Request) {
	if begun := h.begun(r); len(begun) >= maxNonces {
		for _, c := range begun {
			h.setNonce(w, c.Name, "", -1)
		}
	}
	nonce := rand.Text() + rand.Text()
	hash := oauth.NonceHash(nonce)
	back := cleanReturn(r.URL.Query().Get("return"), h.config.Home)
	h.setNonce(w, h.nonceName(hash), nonce+"."+base64.RawURLEncoding.EncodeToString([]byte(back)), int(nonceLife/time.Second))
	w.Header().Set("Location", h.config.Issuer+oauth.HandoffPath+"?"+url.Values{"client_id": {h.config.ClientID}, "nonce_hash": {hash}}.Encode())
	w.WriteHeader(http.StatusSeeOther)
}

// nonceName is a cookie for each login, so that two tabs do not meet.
func (h *HandoffHandler) nonceName(hash string) string { return h.prefix + hash[:16] }

// setNonce: a form comes from the issuer's site, and browsers bring a cookie
// along with that only when it is SameSite=None. The nonce itself is what keeps
// forgeries out.
func (h *HandoffHandler) setNonce(w http.ResponseWriter, name, value string, maxAge int) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: maxAge, Secure: h.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if h.secure && h.config.Mode == HandoffForm {
		c.SameSite = http.SameSiteNoneMode
	}
	http.SetCookie(w, c)
}

// begun are the nonces that the browser holds.
func (h *HandoffHandler) begun(r *http.Request) []*http.Cookie {
	var found []*http.Cookie
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, h.prefix) {
			found = append(found, c)
		}
	}
	return found
}

const maxReturn = 1024

// cleanReturn is a path of this app, or home: nothing that a browser could read
// as another host, and nothing that would split a header.
func cleanReturn(raw, home string) string {
	if raw == "" || len(raw) > maxReturn || raw[0] != '/' || strings.HasPrefix(raw, "//") || strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }) {
		return home
	}
	u, err := url.Parse(raw)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil {
		return home
	}
	return raw
}

// splitNonce reads what start wrote.
func splitNonce(value string) (nonce, back string) {
	nonce, encoded, _ := strings.Cut(value, ".")
	path, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nonce, ""
	}
	return nonce, string(path)
}
