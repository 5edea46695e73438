package web

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"

	"github.com/gatehouse-auth/gatehouse/internal/login"
)

// cookies are the two that sign-on needs: the session, and a random value that
// binds a form to the browser it was shown in (C31).
type cookies struct {
	session, browser string
	secure           bool
}

// newCookies names them. With https the prefix __Host- makes the browser refuse
// one that was set by a neighbouring host or without https. Loopback has
// neither, and its cookies are shared by all ports, so the port is in the name.
func newCookies(issuer string) (cookies, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return cookies{}, errors.New("web: the issuer is not a URL")
	}
	if u.Scheme == "https" {
		return cookies{session: "__Host-gatehouse-session", browser: "__Host-gatehouse-browser", secure: true}, nil
	}
	return cookies{session: "gatehouse-session-" + u.Port(), browser: "gatehouse-browser-" + u.Port()}, nil
}

// set gives a cookie that no script can read and that another site's forms do
// not send. It lives as long as the browser; its session ends earlier.
func (c cookies) set(w http.ResponseWriter, name, value string) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func (c cookies) clear(w http.ResponseWriter, name string) {
	http.SetCookie(w, &http.Cookie{Name: name, Path: "/", Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1})
}

// value of a cookie that is there exactly once; of two, one was planted.
func value(r *http.Request, name string) string {
	found := r.CookiesNamed(name)
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// bind returns the hash of the browser's own value, giving it one if it has none.
func (c cookies) bind(w http.ResponseWriter, r *http.Request) string {
	own := value(r, c.browser)
	if len(own) < 26 || len(own) > 64 {
		own = rand.Text()
		c.set(w, c.browser, own)
	}
	return hashOf(own)
}

// bound is the hash of the value that the browser sent, "" for none.
func (c cookies) bound(r *http.Request) string {
	own := value(r, c.browser)
	if own == "" {
		return ""
	}
	return hashOf(own)
}

func hashOf(s string) string {
	d := sha256.Sum256([]byte(s))
	return hex.EncodeToString(d[:16])
}

// visit is the session that the browser is in, if any.
func (h *handler) visit(r *http.Request) (login.Visit, error) {
	return h.Sessions.Find(r.Context(), value(r, h.cookies.session))
}
