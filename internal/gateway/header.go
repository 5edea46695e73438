package gateway

import (
	"net/http"
	"net/textproto"
	"strings"
)

// fold is how careless servers read the name of a header: CGI, WSGI and PHP
// make one variable of X-User, X_User and x.user. Names that fold alike are the
// same header here.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, name)
}

// plain tells whether every server reads a header's name the same way: letters,
// digits and hyphens. What is not plain is not forwarded.
func plain(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return name != ""
}

// neverFromClients are headers by which a client would tell the upstream who it
// is, where it is, or which other request it means. What an upstream
// shall know of these, the gateway sets.
var neverFromClients = map[string]bool{
	"gatehouse-identity": true, "forwarded": true, "via": true, "proxy": true, "x-request-id": true,
	// another address
	"x-real-ip": true, "true-client-ip": true, "client-ip": true, "x-client-ip": true, "x-cluster-client-ip": true, "cf-connecting-ip": true, "fastly-client-ip": true,
	// another request: method and path overrides, known to many frameworks
	"x-method-override": true, "x-rewrite-url": true, "x-host": true, "x-envoy-original-path": true,
	// another user, by the names that other gateways use
	"remote-user": true, "x-remote-user": true, "x-webauth-user": true, "x-authenticated-userid": true, "x-credential-identifier": true,
}

// neverBegin are beginnings of such headers.
var neverBegin = []string{"x-forwarded-", "x-original-", "x-http-method", "x-auth-request-", "x-remote-", "x-envoy-", "x-ssl-client-", "ssl-client-"}

// strip removes from the headers of a request whatever the upstream might take
// for the gateway's word. identity are folded names of headers that the gateway
// may set.
func strip(h http.Header, identity map[string]bool) {
	for name := range h {
		if !plain(name) || forged(fold(name), identity) {
			delete(h, name)
		}
	}
}

func forged(folded string, identity map[string]bool) bool {
	if neverFromClients[folded] || identity[folded] {
		return true
	}
	for _, begin := range neverBegin {
		if strings.HasPrefix(folded, begin) {
			return true
		}
	}
	return false
}

// settable tells whether a header's name may be configured to carry identity.
func settable(name string) bool {
	if !plain(name) {
		return false
	}
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer", "Keep-Alive", "Proxy-Connection", "Content-Type", "Cookie", "Expect", "Gatehouse-Identity":
		return false
	}
	return true
}
