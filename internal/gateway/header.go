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
// shall know of these, the gateway sets. The names are canonical, as net/http
// makes them, so that looking one up costs nothing.
var neverFromClients = map[string]bool{
	"Gatehouse-Identity": true, "Forwarded": true, "Via": true, "Proxy": true, "X-Request-Id": true,
	// another address
	"X-Real-Ip": true, "True-Client-Ip": true, "Client-Ip": true, "X-Client-Ip": true, "X-Cluster-Client-Ip": true, "Cf-Connecting-Ip": true, "Fastly-Client-Ip": true,
	// another request: method and path overrides, known to many frameworks
	"X-Method-Override": true, "X-Rewrite-Url": true, "X-Host": true,
	// another user, by the names that other gateways use
	"Remote-User": true, "X-Webauth-User": true, "X-Authenticated-Userid": true, "X-Credential-Identifier": true,
}

// neverBegin are beginnings of such headers.
var neverBegin = []string{"X-Forwarded-", "X-Original-", "X-Http-Method", "X-Auth-Request-", "X-Remote-", "X-Envoy-", "X-Ssl-Client-", "Ssl-Client-"}

// strip removes from the headers of a request whatever the upstream might take
// for the gateway's word. identity are canonical names of headers that the
// gateway may set.
func strip(h http.Header, identity map[string]bool) {
	for name := range h {
		if !plain(name) || textproto.CanonicalMIMEHeaderKey(name) != name || identity[name] || forged(name) {
			delete(h, name)
		}
	}
}

func forged(name string) bool {
	if neverFromClients[name] {
		return true
	}
	for _, begin := range neverBegin {
		if strings.HasPrefix(name, begin) {
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
