// Package guardtest is an issuer that lives for one test: real keys, real
// discovery, real tokens. A caller is only ever made by the real Verify.
//
//	iss := guardtest.NewIssuer(t)
//	g := iss.Guard(t, "https://api.example.com")
//	request.Header.Set("Authorization", "Bearer "+iss.Token(guardtest.Token{Subject: "ada", Scopes: []string{"orders:read"}}))
package guardtest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Issuer is an authorization server on loopback for one test.
type Issuer struct {
	t        testing.TB
	server   *httptest.Server
	patience time.Duration // with each answer of an attacked handler
	feed     *revocationFeed

	mu       sync.Mutex
	signer   jose.Signer
	keys     []jose.Key
	audience string // of the last Guard, for tokens that name none
	guards   []*guard.Guard
}

// NewIssuer starts an issuer with an ES256 key. It ends with the test.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	revocations, err := newRevocationFeed()
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{t: t, patience: 10 * time.Second, feed: revocations}
	i.Rotate()
	i.server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(func() {
		close(i.feed.ended) // also the feed of guards that nobody closes
		i.server.Close()
	})
	return i
}

// URL is the issuer's identifier, the `iss` of its tokens.
func (i *Issuer) URL() string { return i.server.URL }

// Rotate makes a new ES256 signing key; tokens of the older ones stay good.
func (i *Issuer) Rotate() {
	i.t.Helper()
	i.RotateTo(string(jose.ES256))
}

// RotateTo makes a new signing key of an algorithm: ES256, ES384, ES512, RS256,
// RS384, RS512, PS256, PS384, PS512 or EdDSA.
func (i *Issuer) RotateTo(algorithm string) {
	i.t.Helper()
	signer, err := jose.GenerateSigner(jose.Algorithm(algorithm))
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.signer = signer
	i.keys = append(i.keys, signer.Key())
}

// Forget makes a new ES256 signing key and takes all older ones back, as an
// issuer does whose keys were stolen.
func (i *Issuer) Forget() {
	i.t.Helper()
	i.mu.Lock()
	i.keys = nil
	i.mu.Unlock()
	i.Rotate()
	i.publish(feed.NewEntry(i.feed.salt, feed.All, rand.Text(), 0, time.Now().Add(time.Hour)))
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	set := jose.NewKeySet(i.keys...)
	i.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server":
		json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL(), "jwks_uri": i.URL() + "/jwks.json",
			"revocation_feed_endpoint": i.URL() + "/revocations", "revocation_feed_jwks_uri": i.URL() + "/feed-jwks.json",
			"introspection_endpoint": i.URL() + "/introspect"})
	case "/jwks.json":
		json.NewEncoder(w).Encode(set)
	case "/feed-jwks.json":
		i.serveFeedKeys(w)
	case "/introspect":
		i.introspect(w, r)
	case "/revocations":
		i.serveFeed(w, r)
	default:
		http.NotFound(w, r)
	}
}

// Guard returns a guard for an audience, closed with the test.
func (i *Issuer) Guard(t testing.TB, audience string) *guard.Guard {
	t.Helper()
	g, err := guard.New(guard.Config{Issuer: i.URL(), Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		i.mu.Lock()
		i.guards = slices.DeleteFunc(i.guards, func(other *guard.Guard) bool { return other == g })
		i.mu.Unlock()
		g.Close()
	})
	i.mu.Lock()
	defer i.mu.Unlock()
	i.audience = audience
	i.guards = append(i.guards, g)
	return g
}

// Token says what a token shall carry. The zero Token is a valid one of the
// user "usr_test" without scopes, for the audience of the last Guard.
type Token struct {
	Subject  string        // default "usr_test"; equal to ClientID: a service account
	ClientID string        // default "app"
	Audience string        // default: the last Guard's
	Scopes   []string      // of the `scope` claim
	Roles    []string      // of the `roles` claim
	ACR      string        // default "pwd" for a user
	AuthTime time.Time     // default now
	Expires  time.Duration // from now, default 10 minutes; negative: expired
	// Claims are added to the token and win over everything above. A nil value
	// takes the claim away.
	Claims map[string]any
}

// Token signs a token as the issuer would.
func (i *Issuer) Token(token Token) string {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	raw, err := i.signer.Sign("at+jwt", token.claims(i.URL(), i.audience))
	if err != nil {
		i.t.Fatal(err)
	}
	return raw
}

func (token Token) claims(issuer, audience string) map[string]any {
	now := time.Now()
	claims := map[string]any{
		"iss": issuer, "sub": or(token.Subject, "usr_test"), "client_id": or(token.ClientID, "app"), "aud": or(token.Audience, audience),
		"iat": now.Unix(), "exp": now.Add(orLife(token.Expires)).Unix(), "jti": strings.ToLower(rand.Text()),
		"scope": strings.Join(token.Scopes, " "),
	}
	if len(token.Roles) > 0 {
		claims["roles"] = token.Roles
	}
	if claims["sub"] != claims["client_id"] {
		at := token.AuthTime
		if at.IsZero() {
			at = now
		}
		claims["acr"], claims["auth_time"] = or(token.ACR, "pwd"), at.Unix()
	}
	for name, value := range token.Claims {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func orLife(d time.Duration) time.Duration {
	if d == 0 {
		return 10 * time.Minute
	}
	return d
}

// Context returns a context that carries the caller of a token, for handlers
// that are tested without HTTP. The token goes through the real Verify.
func (i *Issuer) Context(ctx context.Context, token Token) context.Context {
	i.t.Helper()
	i.mu.Lock()
	audience := or(token.Audience, or(i.audience, "https://api.example.com"))
	i.mu.Unlock()
	token.Audience = audience
	var carried context.Context
	g := i.Guard(i.t, audience)
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	request.Header.Set("Authorization", "Bearer "+i.Token(token))
	recorder := httptest.NewRecorder()
	g.Authenticated()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { carried = r.Context() })).ServeHTTP(recorder, request)
	if carried == nil {
		i.t.Fatalf("guardtest: the token was refused: %s", recorder.Body)
	}
	return carried
}
