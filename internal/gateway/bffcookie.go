package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// bffCookies are the two of a BFF: the session, and a login under way.
type bffCookies struct {
	session, login string
	secure         bool
}

// nameCookies names them. With https the prefix __Host- makes the browser refuse
// one that was set by a neighbouring host or without https. Loopback has neither,
// and its cookies are shared by all ports, so the port is in the name.
func nameCookies(external *url.URL) bffCookies {
	if external.Scheme == schemeHTTPS {
		return bffCookies{session: "__Host-gatehouse-app", login: "__Host-gatehouse-app-login", secure: true}
	}
	return bffCookies{session: "gatehouse-app-" + external.Port(), login: "gatehouse-app-login-" + external.Port()}
}

// setSession gives a cookie that no script reads and no other site's page makes
// the browser send. It lives as long as the browser; its session ends earlier.
func (c bffCookies) setSession(w http.ResponseWriter, value string) {
	http.SetCookie(w, &http.Cookie{Name: c.session, Value: value, Path: "/", Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}

func (c bffCookies) clearSession(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: c.session, Path: "/", Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: -1})
}

// setLogin gives a cookie that comes along when the issuer sends the browser
// back, which a Strict one does not.
func (c bffCookies) setLogin(w http.ResponseWriter, value string) {
	http.SetCookie(w, &http.Cookie{Name: c.login, Value: value, Path: "/", Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(loginLife.Seconds())})
}

func (c bffCookies) clearLogin(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: c.login, Path: "/", Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1})
}

// cookieValue of a cookie that is there exactly once; of two, one was planted.
func cookieValue(r *http.Request, name string) string {
	found := r.CookiesNamed(name)
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// withhold takes our cookies out of what goes upstream (C36). It reads as the
// most careless server does: every piece between semicolons or commas, in any
// case.
func (c bffCookies) withhold(h http.Header) {
	var kept []string
	for _, line := range h["Cookie"] {
		var pieces []string
		for piece := range strings.SplitSeq(line, ";") {
			if !slices.ContainsFunc(strings.Split(piece, ","), c.ours) {
				pieces = append(pieces, strings.TrimSpace(piece))
			}
		}
		if rest := strings.Join(pieces, "; "); strings.Trim(rest, "; ") != "" {
			kept = append(kept, rest)
		}
	}
	if delete(h, "Cookie"); len(kept) > 0 {
		h["Cookie"] = kept
	}
}

func (c bffCookies) ours(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	name = strings.Trim(name, "\" \t")
	return strings.EqualFold(name, c.session) || strings.EqualFold(name, c.login)
}

// keepOut drops what the upstream sets under our names: it would sign the
// browser out, or in as somebody else.
func (c bffCookies) keepOut(h http.Header) {
	set := h["Set-Cookie"]
	if len(set) == 0 {
		return
	}
	if h["Set-Cookie"] = slices.DeleteFunc(set, func(line string) bool { first, _, _ := strings.Cut(line, ";"); return c.ours(first) }); len(h["Set-Cookie"]) == 0 {
		delete(h, "Set-Cookie")
	}
}
