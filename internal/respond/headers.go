package respond

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Secure sets the headers that every answer of the authority carries. A page
// widens the policy for its own stylesheet, never for inline code.
func Secure(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		if r.TLS != nil {
			header.Set("Strict-Transport-Security", strictTransport)
		}
		h.ServeHTTP(w, r)
	})
}

// strictTransport is two years of https only (RFC 6797).
const strictTransport = "max-age=63072000; includeSubDomains"

// Host answers 421 unless the Host header is the issuer's (C22): a page that
// rebinds its name to our address must not read anything. On a loopback
// issuer, GET and HEAD by address are sent to the issuer's name.
func Host(issuer string, h http.Handler) http.Handler {
	u, err := url.Parse(issuer)
	if err != nil {
		panic("respond: issuer was checked before: " + err.Error())
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case exempt(r) || sameHost(u, r.Host):
			h.ServeHTTP(w, r)
		case byAddress(u, r) && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			http.Redirect(w, r, issuer+r.URL.RequestURI(), http.StatusPermanentRedirect)
		default:
			JSON(w, http.StatusMisdirectedRequest, refusal{Code: "invalid_request", Description: "This server answers as " + u.Host + " only.", RequestID: RequestID(r.Context())})
		}
	})
}

// exempt are the health checks, which balancers send by address.
func exempt(r *http.Request) bool { return r.URL.Path == "/healthz" || r.URL.Path == "/readyz" }

// sameHost compares host and port; the scheme's default port may be left out.
func sameHost(issuer *url.URL, host string) bool {
	port := map[string]string{"https": ":443", "http": ":80"}[issuer.Scheme]
	return strings.EqualFold(strings.TrimSuffix(host, port), strings.TrimSuffix(issuer.Host, port))
}

// byAddress tells whether a request names a loopback issuer by its address.
func byAddress(issuer *url.URL, r *http.Request) bool {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil || issuer.Hostname() != "localhost" || port != issuer.Port() || !strings.HasPrefix(r.URL.Path, "/") {
		return false
	}
	return host == "127.0.0.1" || host == "::1"
}
