package api_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/url"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

const (
	appOrigin   = "https://app.example.com"
	otherOrigin = "https://other.example.com"
	evilOrigin  = "https://evil.example"
)

// withOrigins lets pages of one origin read for each of two clients.
func withOrigins(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	for id, origin := range map[iam.ClientID]string{"app": appOrigin, "other-app": otherOrigin, "portal": otherOrigin} {
		_, err := h.parts.Directory.EditClient(context.Background(), "test", id, func(c *iam.Client) error { c.Origins = []string{origin}; return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *house) preflight(path, origin, method string) answer {
	return h.do(http.MethodOptions, path, "", "", http.Header{"Origin": {origin}, "Access-Control-Request-Method": {method}, "Access-Control-Request-Headers": {"authorization"}})
}

func (h *house) postFrom(path, origin string, form url.Values) answer {
	return h.do(http.MethodPost, path, "application/x-www-form-urlencoded", form.Encode(), http.Header{"Origin": {origin}})
}

func TestC21Preflights(t *testing.T) {
	h := withOrigins(t)
	for _, path := range []string{"/oauth/token", "/oauth/revoke"} {
		for _, origin := range []string{appOrigin, otherOrigin} {
			a := h.preflight(path, origin, "POST")
			if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != origin || a.header.Get("Access-Control-Allow-Methods") != "POST" || a.header.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type" {
				t.Errorf("%s from %s: %d %v", path, origin, a.status, a.header)
			}
			if a.header.Get("Vary") != "Origin" || a.header.Get("Access-Control-Allow-Credentials") != "" || a.header.Get("Access-Control-Max-Age") != "600" {
				t.Errorf("%s from %s: %v", path, origin, a.header)
			}
		}
		for _, origin := range []string{evilOrigin, "null", "*", "", appOrigin + "/", "https://APP.example.com", appOrigin + ".evil.example", "http://app.example.com", "%"} {
			a := h.preflight(path, origin, "POST")
			if a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Access-Control-Allow-Methods") != "" || a.header.Get("Vary") != "Origin" {
				t.Errorf("%s from %q: %d %v", path, origin, a.status, a.header)
			}
		}
		if a := h.do(http.MethodOptions, path, "", "", http.Header{"Origin": {appOrigin}}); a.status != 405 {
			t.Errorf("OPTIONS that is no preflight: %d", a.status)
		}
	}
	for _, path := range []string{"/oauth/authorize-challenge", "/oauth/introspect", "/healthz"} {
		a := h.preflight(path, appOrigin, "POST")
		if a.status != 405 || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s has CORS: %d %v", path, a.status, a.header)
		}
	}
	for _, path := range []string{"/.well-known/jwks.json", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		if a := h.preflight(path, evilOrigin, "GET"); a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Methods") != "GET" {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		a := h.do(http.MethodGet, path, "", "", http.Header{"Origin": {evilOrigin}})
		if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
	if err := h.parts.Directory.SetClient(context.Background(), "test", "app", directory.Disabled); err != nil {
		t.Fatal(err)
	}
	if a := h.preflight("/oauth/token", appOrigin, "POST"); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a disabled client's origin passes a preflight")
	}
}

// An answer is for pages of the client that asked, and for no other client's.
func TestC21Answers(t *testing.T) {
	h := withOrigins(t)
	refresh := h.login("ada", "").str("refresh_token")
	for _, tc := range []struct {
		name, path, origin string
		form               url.Values
		status             int
		readable           bool
	}{
		{"the client's own page", "/oauth/token", appOrigin, redeemForm(h.code("ada", "")), 200, true},
		{"its refusals too", "/oauth/token", appOrigin, redeemForm("v1.x.y"), 400, true},
		{"also of a malformed request", "/oauth/token", appOrigin, values("client_id", "app"), 400, true},
		{"another client's page", "/oauth/token", otherOrigin, redeemForm(h.code("ada", "")), 200, false},
		{"a stranger's page", "/oauth/token", evilOrigin, redeemForm(h.code("ada", "")), 200, false},
		{"no origin", "/oauth/token", "", redeemForm(h.code("ada", "")), 200, false},
		{"null", "/oauth/token", "null", redeemForm(h.code("ada", "")), 200, false},
		{"an unknown client", "/oauth/token", appOrigin, with(redeemForm("x"), "client_id", "nobody"), 401, false},
		{"no client", "/oauth/token", appOrigin, values("grant_type", "refresh_token"), 401, false},
		{"a confidential client that proves itself", "/oauth/revoke", otherOrigin, values("client_id", "portal", "client_secret", h.portalSecret, "token", "x"), 200, true},
		{"and one that does not", "/oauth/revoke", otherOrigin, values("client_id", "portal", "client_secret", "x", "token", "x"), 401, false},
		{"a client without origins", "/oauth/revoke", appOrigin, values("client_id", "robot", "client_secret", h.serviceSecret, "token", "x"), 200, false},
		{"introspection", "/oauth/introspect", otherOrigin, values("client_id", "portal", "client_secret", h.portalSecret, "token", "x"), 200, false},
		{"the challenge", "/oauth/authorize-challenge", appOrigin, challengeForm("ada"), 400, false},
		{"revocation", "/oauth/revoke", appOrigin, values("client_id", "app", "token", refresh), 200, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := h.postFrom(tc.path, tc.origin, tc.form)
			allowed := a.header.Get("Access-Control-Allow-Origin")
			if a.status != tc.status || tc.readable != (allowed != "") || tc.readable && allowed != tc.origin {
				t.Errorf("%d, allowed %q; want %d, readable %v", a.status, allowed, tc.status, tc.readable)
			}
			if a.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("credentials of the browser are allowed")
			}
			if tc.path != "/oauth/introspect" && tc.path != "/oauth/authorize-challenge" && a.header.Get("Vary") != "Origin" {
				t.Error("a cache could give one origin's answer to another: no Vary")
			}
		})
	}
	two := h.do(http.MethodPost, "/oauth/token", "application/x-www-form-urlencoded", redeemForm("x").Encode(), http.Header{"Origin": {appOrigin, evilOrigin}})
	if two.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("two origins")
	}
}

// A client with keys is identified by its assertion.
func TestC21AnswersToAssertions(t *testing.T) {
	h := &keyHouse{house: newHouse(t)}
	h.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	set, err := iam.ParseClientKeys(document(t, jwk("ec", "ES256", h.ec.Public())))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = h.parts.Directory.CreateClient(context.Background(), "test", iam.Client{ID: "bank", Type: iam.Confidential, Scopes: []string{"orders:read"}, Auth: iam.AuthKey, Keys: set, Origins: []string{appOrigin}})
	if err != nil {
		t.Fatal(err)
	}
	form := with(asserted(signed(t, jwt.SigningMethodES256, h.ec, h.claims("bank"))), "token", "x")
	if a := h.postFrom("/oauth/revoke", appOrigin, form); a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != appOrigin {
		t.Errorf("got %d %v", a.status, a.header)
	}
	if a := h.postFrom("/oauth/revoke", appOrigin, form); a.status != 401 || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a replay: %d %v", a.status, a.header)
	}
}
