package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

// warmUp is after how many requests a proxy's heap has its size: until then each
// touches memory that is new to the process, which costs more than a check.
const warmUp = 30_000

const gatewayAudience = "https://api.example.com"

// gateways measures the gateway beside bare proxies, all before the same
// upstream: what a check costs on top of a hop.
func gateways(requests int) {
	if err := measureGateways(requests); err != nil {
		fmt.Fprintln(os.Stderr, "bench: gateway:", err)
		os.Exit(1)
	}
}

func measureGateways(requests int) error {
	issuer, tokens, err := benchIssuer()
	if err != nil {
		return err
	}
	upstream, pid, stop, err := self("bare")
	if err != nil {
		return err
	}
	defer stop()
	rows := []*row{{name: "floor: bare upstream", pid: pid, call: withTokens(upstream, tokens[:1])}}
	for _, s := range []struct {
		kind, name string
		tokens     []string
	}{
		{"proxy-plain", "ReverseProxy as it comes", tokens[:1]},
		{"proxy-pooled", "… with buffers and idle connections", tokens[:1]},
		{"proxy-tuned", "… and GOGC 400: the bare tuned hop", tokens[:1]},
		{"gateway", "gateway, one token", tokens[:1]},
		{"gateway", fmt.Sprintf("gateway, %d tokens, warm", len(tokens)), tokens},
		{"forward-auth", "forward-auth alone, one token", tokens[:1]},
		{"forward-auth", fmt.Sprintf("forward-auth alone, %d tokens", len(tokens)), tokens},
	} {
		address, pid, stop, err := self(s.kind, upstream, issuer)
		if err != nil {
			return err
		}
		defer stop()
		if s.kind == "forward-auth" {
			address += "forward-auth"
		}
		r := &row{name: s.name, pid: pid, call: withTokens(address, s.tokens)}
		if len(s.tokens) > 1 {
			first, err := load(r, len(s.tokens)) // each token once: its signature is verified
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			rows = append(rows, &row{name: s.kind + ", first sight of each token", best: first})
		}
		if _, err := load(r, warmUp); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		rows = append(rows, r)
	}
	beside, stopNginx, err := nginxRows(upstream, issuer, tokens)
	if err != nil {
		return fmt.Errorf("nginx: %w", err)
	}
	defer stopNginx()
	rows = append(rows, beside...)
	peers, stopPeers, err := oauth2ProxyRows(upstream, issuer, tokens)
	if err != nil {
		return fmt.Errorf("oauth2-proxy: %w", err)
	}
	defer stopPeers()
	rows = append(rows, peers...)
	fmt.Println("NOT RUN: Caddy with a JWT plugin: the module proxy has neither github.com/ggicci/caddy-jwt nor github.com/greenpau/caddy-security")
	if err := measure(rows, requests); err != nil {
		return err
	}
	fmt.Printf("\nA hop with a check, %d connections; the best of %d rounds; CPU of the proxy alone; ratio to the bare tuned hop\n", connections, rounds)
	printRows(rows, rows[3].best.cpu)
	return nil
}

// benchIssuer publishes a key on loopback and signs tokens with it.
func benchIssuer() (address string, tokens []string, err error) {
	signer, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address = "http://" + l.Addr().String()
	mux := http.NewServeMux()
	metadata := func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"issuer": address, "jwks_uri": address + "/jwks.json", "authorization_endpoint": address + "/authorize", "token_endpoint": address + "/token", "id_token_signing_alg_values_supported": []string{"ES256"}})
	}
	mux.HandleFunc("/.well-known/oauth-authorization-server", metadata)
	mux.HandleFunc("/.well-known/openid-configuration", metadata)
	mux.HandleFunc("/jwks.json", func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(jose.NewKeySet(signer.Key())) })
	go http.Serve(l, mux)
	now := time.Now()
	for i := range distinctTokens {
		token, err := signer.Sign("at+jwt", map[string]any{"iss": address, "aud": gatewayAudience, "sub": fmt.Sprintf("usr_%d", i), "client_id": "bench", "jti": fmt.Sprint(i),
			"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "scope": "orders:read", "roles": []string{"clerk"}})
		if err != nil {
			return "", nil, err
		}
		tokens = append(tokens, token)
	}
	return address, tokens, nil
}

// serveHop is a proxy of some kind before an upstream; nil for other kinds.
func serveHop(kind string, args []string) http.Handler {
	switch kind {
	case "proxy-plain", "proxy-pooled", "proxy-tuned":
		to, err := url.Parse(args[0])
		check(err)
		p := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
		if kind != "proxy-plain" {
			p.BufferPool = &pool{}
			p.Transport = &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true}
		}
		if kind == "proxy-tuned" {
			debug.SetMemoryLimit(512 << 20)
			debug.SetGCPercent(400)
		}
		return p
	case "gateway", "forward-auth":
		config := gateway.Config{Logger: slog.New(slog.DiscardHandler), Policy: fmt.Appendf(nil, "version: 1\ntokens:\n  - issuer: %s\n    audience: %s\nidentity_headers: { X-User-Id: token.sub, X-Roles: token.roles }\nroutes:\n  - GET /health: { public: true }\n  - GET,POST /orders/**: { scope: orders:write }\n  - GET /**: { scope: orders:read }\n", args[1], gatewayAudience)}
		config.Upstream = args[0][:len(args[0])-1]
		var asks http.Handler
		if kind == "forward-auth" {
			config.Upstream, config.TrustedProxies = "", []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
			config.ForwardAuth, _ = gateway.CarrierOf("nginx")
		}
		g, err := gateway.New(config)
		check(err)
		asks = g
		if kind == "forward-auth" {
			asks = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header["X-Original-Method"], r.Header["X-Original-Uri"] = []string{"GET"}, []string{"/tenants/t1/things/7?page=2"}
				g.ServeHTTP(w, r)
			})
		}
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		check(err)
		fmt.Println(l.Addr())
		time.AfterFunc(5*time.Minute, func() { os.Exit(0) })
		check(server.ServeGateway(context.Background(), asks, config.Logger, l))
		os.Exit(0)
	}
	return nil
}

type pool struct{ p sync.Pool }

func (b *pool) Get() []byte {
	if p, ok := b.p.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

func (b *pool) Put(p []byte) { b.p.Put(&p) }
