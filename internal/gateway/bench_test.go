package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/guardtest"
	"github.com/gatehouse-auth/gatehouse/internal/gateway"
)

// A whole decision of forward-auth, without the network.
func BenchmarkForwardAuth(b *testing.B) {
	issuer := guardtest.NewIssuer(b)
	config := gateway.Config{Policy: []byte(strings.ReplaceAll(policyText, "ISSUER", issuer.URL())), TrustedProxies: loopback(), Logger: discard()}
	config.ForwardAuth, _ = gateway.CarrierOf("nginx")
	g, err := gateway.New(config)
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	r := httptest.NewRequest("GET", "/forward-auth", nil)
	r.RemoteAddr = "127.0.0.1:1"
	r.Header = http.Header{"X-Original-Method": {"GET"}, "X-Original-Uri": {"/orders/7"}, "Authorization": {"Bearer " + issuer.Token(guardtest.Token{Audience: audience, Scopes: []string{"orders:read"}})}}
	w := httptest.NewRecorder()
	if g.ServeHTTP(w, r); w.Code != http.StatusOK {
		b.Fatal(w.Code, w.Body)
	}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.Header())
		g.ServeHTTP(w, r)
	}
}
