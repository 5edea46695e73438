package guard_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/forge"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

func anyOf(t *testing.T, guards ...*guard.Guard) *guard.Guard {
	t.Helper()
	g, err := guard.Any(guards...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestC40AnyTakesTokensOfEachIssuer(t *testing.T) {
	a, b := newIssuer(t), newIssuer(t)
	other := products["Keycloak"]
	c, keycloak := other.at(t)
	g := anyOf(t, a.guard(), b.guard(), keycloak)
	if err := g.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // from the issuer, and from the cache
		for name, tc := range map[string]struct{ token, issuer string }{
			"a": {a.token(), a.url()}, "b": {b.token(), b.url()}, "another profile": {sign(t, c.signer, "JWT", other.user(c.url())), c.url()},
		} {
			caller, err := g.Verify(context.Background(), tc.token)
			if err != nil || caller.Issuer() != tc.issuer {
				t.Errorf("%s: %q %v", name, caller.Issuer(), err)
			}
		}
	}
	// The same middlewares, and an inner one reuses the caller.
	mux := http.NewServeMux()
	mux.Handle("GET /orders", g.Require("orders:read")(hello))
	for name, token := range map[string]string{"a": a.token(), "b": b.token()} {
		if w := get(g.Protect(mux), token); w.Code != 200 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	want(t, get(g.Require("orders:write")(hello), a.token()), 403, "insufficient_scope", "orders:write")
}

// BCP-6, T09, T55: the iss of an unverified token chooses a guard, and that
// guard's keys, audience and profile alone decide.
func TestBCP6AnyNeverMixesIssuers(t *testing.T) {
	a, b, stranger := newIssuer(t), newIssuer(t), newIssuer(t)
	ga, gb := a.guard(), b.guard(func(c *guard.Config) { c.Audience = "https://b.example.com" })
	g := anyOf(t, ga, gb)
	key := newECDSA(t)
	for name, raw := range map[string]string{
		"b's key under a's name":         sign(t, b.signer, "at+jwt", a.claims()),
		"a's key under b's name":         sign(t, a.signer, "at+jwt", b.claims("aud", "https://b.example.com")),
		"a's audience from b":            b.token(),
		"b's audience from a":            a.token("aud", "https://b.example.com"),
		"a stranger":                     stranger.token(),
		"no issuer":                      a.token("iss", nil),
		"both issuers":                   a.token("iss", []string{a.url(), b.url()}),
		"a slash at the end":             a.token("iss", a.url()+"/"),
		"upper case":                     a.token("iss", strings.ToUpper(a.url())),
		"an unknown key, a's name":       signAs(t, key, "unknown", a.claims()),
		"b's kid, another key, a's name": signAs(t, key, b.signer.Key().ID(), a.claims()),
		"nothing":                        "x",
	} {
		if _, err := g.Verify(context.Background(), raw); !errors.Is(err, guard.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if stranger.fetches.Load() != 0 {
		t.Error("T30: the claim of a token made guard call its issuer")
	}
	// A token that one guard verified and cached is not another's.
	good := a.token()
	if _, err := g.Verify(context.Background(), good); err != nil {
		t.Fatal(err)
	}
	if _, err := gb.Verify(context.Background(), good); !errors.Is(err, guard.ErrInvalid) {
		t.Errorf("a's token at b: %v", err)
	}
}

// One issuer that is down is its own tokens' trouble.
func TestA32AnyOneIssuerDown(t *testing.T) {
	a, b := newIssuer(t), newIssuer(t)
	a.down.Store(true)
	h := anyOf(t, a.guard(), b.guard()).Authenticated()(hello)
	want(t, get(h, a.token()), 503, "temporarily_unavailable", "")
	if w := get(h, b.token()); w.Code != 200 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if err := anyOf(t, a.guard(), b.guard()).Ready(context.Background()); !errors.Is(err, guard.ErrUnavailable) {
		t.Errorf("ready without the keys of one: %v", err)
	}
}

func TestBCP8AnyRefusesEveryForgedToken(t *testing.T) {
	a, b := newIssuer(t), newIssuer(t)
	g := anyOf(t, a.guard(), b.guard())
	valid := a.token()
	// Forged with the other issuer's key at hand, too.
	forged, err := forge.All(forge.Source{Valid: valid, Keys: jose.NewKeySet(a.signer.Key(), b.signer.Key()), Lab: a.signer, Issuer: a.url(), Audience: audience, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range forged {
		if _, err := g.Verify(context.Background(), f.Raw); !errors.Is(err, guard.ErrInvalid) {
			t.Errorf("%s %s: %v", f.ID, f.Name, err)
		}
	}
}

func TestC40AnyFaults(t *testing.T) {
	a, b := newIssuer(t), newIssuer(t)
	for name, guards := range map[string][]*guard.Guard{
		"none": {}, "nil": {nil}, "zero": {a.guard(), {}}, "nested": {a.guard(), anyOf(t, b.guard())},
		"one issuer twice":                      {a.guard(), a.guard()},
		"one issuer, two audiences":             {a.guard(), a.guard(func(c *guard.Config) { c.Audience = "https://b.example.com" })},
		"pages may call the one, not the other": {a.guard(withCORS), b.guard()},
	} {
		if g, err := guard.Any(guards...); err == nil || g != nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestPRMOfSeveralIssuers(t *testing.T) {
	a, b := newIssuer(t), newIssuer(t)
	_, h := anyOf(t, a.guard(), b.guard()).ResourceMetadata(guard.Resource{})
	var d struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
	}
	if err := json.Unmarshal(ask(h, "GET", "/", "").Body.Bytes(), &d); err != nil || d.Resource != audience || len(d.Servers) != 2 || d.Servers[0] != a.url() || d.Servers[1] != b.url() {
		t.Errorf("got %+v %v", d, err)
	}
	differ := anyOf(t, a.guard(), b.guard(func(c *guard.Config) { c.Audience = "https://b.example.com" }))
	if challenge := get(differ.Authenticated()(hello), "").Header().Get("WWW-Authenticate"); strings.Contains(challenge, "resource_metadata") {
		t.Errorf("two audiences, one link: %s", challenge)
	}
	defer func() {
		if recover() == nil {
			t.Error("two audiences have no document in common")
		}
	}()
	differ.ResourceMetadata(guard.Resource{})
}
