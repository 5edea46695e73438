package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Of the connections to the upstream.
const (
	dialTimeout     = 5 * time.Second
	idleConnections = 512 // of one upstream: opening a connection costs more than keeping it
	idleTimeout     = 90 * time.Second
	copyBuffer      = 32 << 10
)

// Upstream schemes. H2C is HTTP/2 in the clear, as gRPC servers speak it.
const (
	schemeHTTP  = "http"
	schemeHTTPS = "https"
	schemeH2C   = "h2c"
)

// newProxy forwards what was admitted, and nothing else: the admission lies in
// the context of the request.
func (g *Gateway) newProxy(upstream *url.URL, timeout time.Duration) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        g.rewrite(upstream),
		Transport:      newTransport(upstream.Scheme, timeout),
		BufferPool:     &buffers{},
		ModifyResponse: g.respond,
		ErrorHandler:   g.upstreamFault,
		ErrorLog:       slog.NewLogLogger(g.logger.Handler(), slog.LevelDebug),
	}
}

func newTransport(scheme string, timeout time.Duration) *http.Transport {
	t := &http.Transport{
		Proxy:                 nil, // the environment must not send identities elsewhere
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   dialTimeout,
		MaxIdleConnsPerHost:   idleConnections,
		IdleConnTimeout:       idleTimeout,
		ResponseHeaderTimeout: timeout,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
		Protocols:             &http.Protocols{},
	}
	switch scheme {
	case schemeH2C:
		t.Protocols.SetUnencryptedHTTP2(true)
	default:
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(true)
	}
	return t
}

// rewrite makes the request for the upstream. Hop-by-hop headers, those that
// Connection names among them, are gone before: what is set here stays.
func (g *Gateway) rewrite(upstream *url.URL) func(*httputil.ProxyRequest) {
	scheme, host := upstream.Scheme, upstream.Host
	if scheme == schemeH2C {
		scheme = schemeHTTP
	}
	return func(p *httputil.ProxyRequest) {
		a := admissionOf(p.In.Context())
		// Opaque is written to the wire as it is. An accepted path begins with
		// exactly one slash, so it cannot be taken for an authority.
		p.Out.URL = &url.URL{Scheme: scheme, Host: host, Opaque: a.path, RawQuery: a.query, ForceQuery: a.mark && a.query == ""}
		p.Out.Host = ""
		p.Out.Trailer = nil // some servers take trailers for headers
		h := p.Out.Header
		strip(h, a.rules.identityNames)
		if !a.forward.authorization {
			delete(h, "Authorization")
		}
		if !a.forward.cookie {
			delete(h, "Cookie")
		} else if g.bff != nil {
			g.bff.cookies.withhold(h)
		}
		if !websocket(p.In) {
			delete(h, "Upgrade")
			delete(h, "Connection")
			delete(h, "Http2-Settings")
		}
		for _, i := range a.identity {
			h[i.name] = i.value
		}
		h["X-Request-Id"] = []string{a.id}
		h["X-Forwarded-For"] = []string{a.client}
		h["X-Forwarded-Proto"] = []string{a.proto}
		h["X-Forwarded-Host"] = []string{p.In.Host}
	}
}

// websocket tells whether a request is the one upgrade that is forwarded. Any
// other, h2c above all, would open a tunnel through which requests reach the
// upstream that nobody decided about.
func websocket(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.Method == http.MethodGet && r.ContentLength == 0 && len(r.TransferEncoding) == 0 &&
		len(r.Header["Upgrade"]) == 1 && strings.EqualFold(r.Header["Upgrade"][0], "websocket") &&
		httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") &&
		len(r.Header["Sec-Websocket-Key"]) == 1 && len(r.Header["Sec-Websocket-Version"]) == 1 && r.Header["Sec-Websocket-Version"][0] == "13"
}

// respond takes from the upstream's answer what is the gateway's to say.
func (g *Gateway) respond(r *http.Response) error {
	if g.bff != nil {
		g.bff.cookies.keepOut(r.Header)
	}
	delete(r.Header, IdentityHeader)
	delete(r.Header, "X-Request-Id")
	a := admissionOf(r.Request.Context())
	if a.end != nil {
		soften(r)
	}
	if a.cors {
		for name := range r.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				delete(r.Header, name)
			}
		}
	}
	return nil
}

// upstreamFault answers when the upstream did not.
func (g *Gateway) upstreamFault(w http.ResponseWriter, r *http.Request, err error) {
	a := admissionOf(r.Context())
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &tooLarge):
		g.refuse(w, a.id, refusal{status: http.StatusRequestEntityTooLarge, code: "invalid_request", sentence: "The request's body is too large."})
		return
	case endedBy(r.Context()) != nil:
		g.refuse(w, a.id, refusal{status: http.StatusUnauthorized, code: "invalid_token", sentence: sentence(endedBy(r.Context())), challenge: true, metadata: a.metadata})
		return
	case errors.Is(r.Context().Err(), context.Canceled): // the client is gone
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	g.logger.Warn("upstream did not answer", "cause", err, "method", r.Method, "request_id", a.id)
	if errors.As(err, &network) && network.Timeout() {
		g.refuse(w, a.id, refusal{status: http.StatusGatewayTimeout, code: "temporarily_unavailable", sentence: "The API did not answer in time."})
		return
	}
	g.refuse(w, a.id, refusal{status: http.StatusBadGateway, code: "temporarily_unavailable", sentence: "The API cannot be reached."})
}

// buffers lends the buffers that answers are copied with.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[copyBuffer]byte); ok {
		return p[:]
	}
	return make([]byte, copyBuffer)
}

func (b *buffers) Put(p []byte) {
	if len(p) == copyBuffer {
		b.pool.Put((*[copyBuffer]byte)(p))
	}
}
