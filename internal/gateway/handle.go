package gateway

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

// bodyPatience is how long a client of HTTP/1.1 may pause while it sends a body.
const bodyPatience = 30 * time.Second

// proxy decides about a request and forwards it.
func (g *Gateway) proxy(w http.ResponseWriter, r *http.Request, rules *rules, id string, trusted bool) {
	cors, answered := g.cors(w, r, rules)
	if answered {
		return
	}
	a, refused := g.admit(r.Context(), rules, asked{id: id, method: r.Method, target: r.RequestURI, authorization: r.Header["Authorization"]})
	if refused == nil && r.ContentLength > rules.body {
		refused = &refusal{status: http.StatusRequestEntityTooLarge, code: "invalid_request", sentence: "The request's body is too large."}
	}
	if refused != nil {
		g.refuse(w, id, *refused)
		return
	}
	a.cors = cors
	a.client, a.proto = origin(r, rules, trusted)
	ctx := context.WithValue(r.Context(), admissionKey{}, a)
	if !a.expires.IsZero() { // whatever still runs then, ends
		ctx = g.running.add(ctx, a)
		defer g.running.remove(a)
	}
	if r.Body != nil && r.Body != http.NoBody {
		if a.end != nil {
			defer unblock(ctx, w, r)()
		}
		r.Body = http.MaxBytesReader(w, patient(w, r), rules.body)
	}
	rules.proxy.ServeHTTP(w, r.WithContext(ctx))
}

// cors answers a preflight by the policy, and lets pages that the policy lists
// read the answers to others. It says nothing about a token.
func (g *Gateway) cors(w http.ResponseWriter, r *http.Request, rules *rules) (managed, answered bool) {
	origins := r.Header["Origin"]
	if len(origins) != 1 {
		return false, false
	}
	method, preflight := r.Method, false
	if asked := r.Header["Access-Control-Request-Method"]; r.Method == http.MethodOptions && len(asked) == 1 {
		method, preflight = asked[0], true
	}
	req, err := policy.Canonicalize(method, r.RequestURI)
	if err != nil {
		return false, false
	}
	c := rules.policy.CORSFor(req)
	if c == nil {
		return false, false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	listed := slices.Contains(c.Origins, origins[0])
	if listed {
		h.Set("Access-Control-Allow-Origin", origins[0])
		h.Set("Access-Control-Expose-Headers", strings.Join(append([]string{"WWW-Authenticate", "Retry-After", "X-Request-Id"}, c.Expose...), ", "))
	}
	if !preflight {
		return true, false
	}
	if listed {
		h.Set("Access-Control-Allow-Methods", method)
		h.Set("Access-Control-Allow-Headers", strings.Join(append([]string{"authorization", "content-type"}, c.Headers...), ", "))
		age := c.MaxAge
		if age == 0 {
			age = 10 * time.Minute
		}
		h.Set("Access-Control-Max-Age", strconv.Itoa(int(age/time.Second)))
	}
	w.WriteHeader(http.StatusNoContent)
	return true, true
}

// origin is where a request comes from: the peer, or what a proxy that is
// trusted saw.
func origin(r *http.Request, rules *rules, trusted bool) (client, proto string) {
	address, proto := peer(r), schemeHTTP
	if r.TLS != nil {
		proto = schemeHTTPS
	}
	if !trusted {
		return address.String(), proto
	}
	if said := r.Header["X-Forwarded-Proto"]; len(said) == 1 && said[0] == schemeHTTPS {
		proto = schemeHTTPS
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		if address = hop.Unmap().WithZone(""); !rules.trusts(address) {
			break // everything before it is what the client wrote
		}
	}
	return address.String(), proto
}

// unblock lets the end of a request reach whoever reads its body. While a client
// neither sends nor ends, as in a stream of both directions, net/http's HTTP/2
// client notices nothing else.
func unblock(ctx context.Context, w http.ResponseWriter, r *http.Request) (stop func() bool) {
	body := r.Body
	return context.AfterFunc(ctx, func() {
		if r.ProtoMajor > 1 {
			body.Close()
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // closing would wait for the reader
	})
}

// patient gives a client that sends a body slowly so much time for each part,
// and no more. HTTP/2 has one connection for many requests: there its own
// limits hold.
func patient(w http.ResponseWriter, r *http.Request) io.ReadCloser {
	if r.ProtoMajor != 1 || websocket(r) {
		return r.Body
	}
	return &patientBody{ReadCloser: r.Body, control: http.NewResponseController(w)}
}

type patientBody struct {
	io.ReadCloser
	control *http.ResponseController
}

// Read waits for bodyPatience at most. At the end the deadline goes: the answer
// may take longer.
func (b *patientBody) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(bodyPatience)) // a connection without deadlines has none
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
