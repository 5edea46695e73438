package gateway

import (
	"fmt"
	"net/http"
)

// ForwardAuthPath is where other proxies ask.
const ForwardAuthPath = "/forward-auth"

// Carrier names the two headers in which a proxy says which request it asks
// about. Only these two are read: a client can send the others through the proxy.
type Carrier struct{ Method, Target string }

// carriers by the names of proxies.
var carriers = map[string]Carrier{
	"nginx":   {"X-Original-Method", "X-Original-Uri"},
	"haproxy": {"X-Original-Method", "X-Original-Uri"},
	"caddy":   {"X-Forwarded-Method", "X-Forwarded-Uri"},
	"traefik": {"X-Forwarded-Method", "X-Forwarded-Uri"},
}

// CarrierOf is the Carrier of a kind of proxy: nginx, haproxy, caddy or traefik.
func CarrierOf(kind string) (Carrier, error) {
	c, ok := carriers[kind]
	if !ok {
		return c, fmt.Errorf("%q is not a kind of proxy: nginx, haproxy, caddy or traefik", kind)
	}
	return c, nil
}

// read takes the request's method and target. Each header must be there once:
// of two, proxies and servers believe different ones.
func (c Carrier) read(h http.Header) (method, target string, err error) {
	for _, p := range []struct {
		name string
		into *string
	}{{c.Method, &method}, {c.Target, &target}} {
		values := h[p.name]
		if len(values) != 1 || values[0] == "" {
			return "", "", fmt.Errorf("the proxy must send the header %s exactly once, and sent it %d times", p.name, len(values))
		}
		*p.into = values[0]
	}
	// Another spelling of the same names is a client's, passed on by a proxy that
	// does not know them for the same.
	for name := range h {
		if plain(name) {
			continue // net/http gives a plain name one spelling
		}
		if f := fold(name); f == fold(c.Method) || f == fold(c.Target) {
			return "", "", fmt.Errorf("the header %.40q passes for one that only the proxy may send", name)
		}
	}
	return method, target, nil
}

// forwardAuth tells another proxy whether it may forward a request. 200 carries
// every identity header, empty where there is no value, so that a proxy that
// copies them replaces what the client sent.
func (g *Gateway) forwardAuth(w http.ResponseWriter, r *http.Request, rules *rules, id string, trusted bool) {
	if !trusted {
		g.logger.Warn("forward-auth asked by a peer that is no trusted proxy", "address", peer(r).String(), "request_id", id)
		g.refuse(w, id, refusal{status: http.StatusForbidden, code: "access_denied", sentence: "Only the proxies that are named in the configuration may ask here."})
		return
	}
	method, target, err := g.config.ForwardAuth.read(r.Header)
	if err != nil {
		g.logger.Warn("forward-auth asked without a request", "cause", err, "request_id", id)
		g.refuse(w, id, refusal{status: http.StatusBadRequest, code: "invalid_request", sentence: "The proxy did not say which request it asks about."})
		return
	}
	if name := rules.disguised(r.Header); name != "" {
		g.logger.Info("request refused", "reason", reasonInvalidRequest, "cause", "a header in a spelling that passes for an identity header", "header", clip(name), "request_id", id)
		g.refuse(w, id, refusal{status: http.StatusBadRequest, code: "invalid_request", sentence: "A header of the request passes for one that only the gateway may set."})
		return
	}
	a, refused := g.admit(r.Context(), rules, asked{id: id, method: method, target: target, authorization: r.Header["Authorization"]})
	if refused != nil {
		g.refuse(w, id, *refused)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	for _, name := range rules.identityHeaders {
		h[name] = []string{""}
	}
	for _, i := range a.identity {
		h[i.name] = i.value
	}
	w.WriteHeader(http.StatusOK)
}

// disguised finds a header that careless servers take for an identity header
// and that the proxy, which replaces those by their proper names, would forward.
func (r *rules) disguised(h http.Header) string {
	for name := range h {
		if !plain(name) && r.identityFolded[fold(name)] {
			return name
		}
	}
	return ""
}
