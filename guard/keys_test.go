package guard_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/guardtest"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

func TestANewKeyIsVerifiedOnTheRequestThatDiscoversIt(t *testing.T) {
	i := newIssuer(t)
	h := i.guard().Authenticated()(hello)
	old := i.token()
	if w := get(h, old); w.Code != 200 {
		t.Fatal(w.Body)
	}
	oldKey := i.signer.Key()
	i.signer = newSigner(t, jose.ES256)
	i.set(oldKey, i.signer.Key())
	if w := get(h, i.token()); w.Code != 200 {
		t.Errorf("the first token of a new key: %d %s", w.Code, w.Body)
	}
	if w := get(h, old); w.Code != 200 {
		t.Errorf("a token of the retiring key: %d", w.Code)
	}
	// The old key is taken out; the next fetch ends its tokens, cached ones too (C17).
	i.set(i.signer.Key())
	third := newSigner(t, jose.ES256)
	get(h, sign(t, third, "at+jwt", i.claims())) // an unknown kid makes guard look
	want(t, get(h, old), 401, "invalid_token", "not signed with a key of this issuer")
}

func TestC17CacheIsOfTheWholeToken(t *testing.T) {
	i := newIssuer(t)
	h := i.guard().Authenticated()(hello)
	token := i.token()
	if w := get(h, token); w.Code != 200 {
		t.Fatal(w.Body)
	}
	for name, changed := range map[string]string{
		"another signature": token[:len(token)-4] + "AAAA", "cut": token[:len(token)-1], "padded": token + "=", "longer": token + "A",
	} {
		if w := get(h, changed); w.Code == 200 {
			t.Errorf("%s was served from the cache", name)
		}
	}
}

// Two tokens that race never swap identities (T77).
func TestT77RacingTokensKeepTheirIdentity(t *testing.T) {
	i := newIssuer(t)
	h := i.guard(func(c *guard.Config) { c.CacheSize = 8 }).Authenticated()(hello)
	var all sync.WaitGroup
	for n := range 40 {
		sub := fmt.Sprintf("usr_%d", n)
		token := i.token("sub", sub)
		all.Go(func() {
			for range 20 {
				if w := get(h, token); w.Code != 200 || w.Body.String() != sub {
					t.Errorf("the token of %s answers %d %s", sub, w.Code, w.Body)
				}
			}
		})
	}
	all.Wait()
}

func TestT79AStormOfUnknownKeysIsBounded(t *testing.T) {
	i := newIssuer(t)
	h := i.guard().Authenticated()(hello)
	if w := get(h, i.token()); w.Code != 200 {
		t.Fatal(w.Body)
	}
	before := i.fetches.Load()
	key := newECDSA(t)
	start := time.Now()
	for n := range 1000 {
		want(t, get(h, signAs(t, key, fmt.Sprint("kid", n), i.claims())), 401, "invalid_token", "not signed with a key of this issuer")
	}
	// Two at once, and one for each ten seconds that the loop took.
	if n := i.fetches.Load() - before; n > 2+int64(time.Since(start)/(10*time.Second)) {
		t.Errorf("%d fetches for 1000 unknown kids", n)
	}
	// Garbage that could never be accepted costs the issuer nothing.
	before = i.fetches.Load()
	for _, claims := range []map[string]any{i.claims("iss", "https://evil.example"), i.claims("aud", "x"), i.claims("exp", 1)} {
		get(h, signAs(t, key, "other", claims))
	}
	symmetric := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims(i.claims()))
	symmetric.Header["kid"], symmetric.Header["typ"] = "another", "at+jwt"
	raw, err := symmetric.SignedString([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, get(h, raw), 401, "invalid_token", "another algorithm")
	if n := i.fetches.Load() - before; n != 0 {
		t.Errorf("%d fetches for tokens that can be refused without keys", n)
	}
	if w := get(h, i.token()); w.Code != 200 {
		t.Errorf("a good token during a storm: %d", w.Code)
	}
}

func TestT80KeySetContent(t *testing.T) {
	for name, tc := range map[string]struct {
		jwks   func(i *issuer, w http.ResponseWriter, r *http.Request)
		status int
	}{
		"odd keys beside a good one": {func(i *issuer, w http.ResponseWriter, _ *http.Request) {
			good, _ := i.signer.Key().MarshalJSON()
			fmt.Fprintf(w, `{"keys":[{"kty":"AKP","alg":"ML-DSA-44","pub":"x","kid":"pq"},{"kty":"oct","k":"c2VjcmV0","kid":"s"},{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA","kid":"k"},7,null,%s]}`, good)
		}, 200},
		"an error page":   {func(_ *issuer, w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, 503},
		"an error object": {func(_ *issuer, w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"error":"x"}`)) }, 503},
		"no key":          {func(_ *issuer, w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[]}`)) }, 503},
		"status 500":      {func(_ *issuer, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, 503},
		"ten megabytes": {func(_ *issuer, w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"keys":[],"x":"` + strings.Repeat("x", 10<<20) + `"}`))
		}, 503},
		"a redirect abroad": {func(_ *issuer, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/jwks", http.StatusFound)
		}, 503},
		"one kid, two keys": {func(i *issuer, w http.ResponseWriter, _ *http.Request) {
			good, _ := i.signer.Key().MarshalJSON()
			other, err := jose.GenerateSigner(jose.ES256)
			if err != nil {
				i.t.Error(err)
			}
			twin, _ := other.Key().MarshalJSON()
			fmt.Fprintf(w, `{"keys":[%s,%s]}`, good, strings.Replace(string(twin), other.Key().ID(), i.signer.Key().ID(), 1))
		}, 503},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.jwks = func(w http.ResponseWriter, r *http.Request) bool { tc.jwks(i, w, r); return true }
			if w := get(i.guard().Authenticated()(hello), i.token()); w.Code != tc.status {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, tc.status)
			}
		})
	}
}

// The keys are right and their place is not: a redirect to another origin is
// not followed, whatever is there.
func TestT80ARedirectToAnotherOriginIsNotFollowed(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	other.set(i.signer.Key())
	i.jwks = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.url()+"/jwks.json", http.StatusFound)
		return true
	}
	if w := get(i.guard().Authenticated()(hello), i.token()); w.Code != 503 || other.fetches.Load() != 0 {
		t.Errorf("got %d after %d fetches elsewhere", w.Code, other.fetches.Load())
	}
}

func TestDiscoveryIsBoundToTheIssuer(t *testing.T) {
	other := newIssuer(t)
	for name, document := range map[string]func(i *issuer) any{
		"another issuer's name": func(i *issuer) any {
			return map[string]string{"issuer": other.url(), "jwks_uri": i.url() + "/jwks.json"}
		},
		"a slash at its end": func(i *issuer) any {
			return map[string]string{"issuer": i.url() + "/", "jwks_uri": i.url() + "/jwks.json"}
		},
		"keys of another host": func(i *issuer) any {
			return map[string]string{"issuer": i.url(), "jwks_uri": other.url() + "/jwks.json"}
		},
		"no keys": func(i *issuer) any { return map[string]string{"issuer": i.url()} },
		"a list":  func(*issuer) any { return []string{"x"} },
	} {
		i := newIssuer(t)
		i.document = func() any { return document(i) }
		if err := i.guard().Ready(context.Background()); !errors.Is(err, guard.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if other.fetches.Load() != 0 {
		t.Error("keys of another host were fetched")
	}
}

func TestAnIssuerThatIsDownIs503AndRecoversAlone(t *testing.T) {
	i := newIssuer(t)
	i.down.Store(true)
	h := i.guard().Authenticated()(hello)
	token := i.token()
	w := get(h, token)
	want(t, w, 503, "temporarily_unavailable", "cannot be checked")
	if w.Header().Get("Retry-After") == "" || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("headers %v: never 401, which would log people out", w.Header())
	}
	if w := get(h, ""); w.Code != 401 {
		t.Errorf("no token needs no keys: %d", w.Code)
	}
	i.down.Store(false)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if w = get(h, token); w.Code == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it did not recover: %d %s", w.Code, w.Body)
		}
	}
	i.down.Store(true)
	if w := get(h, i.token()); w.Code != 200 {
		t.Errorf("keys at hand keep verifying while the issuer is down: %d", w.Code)
	}
}

func TestFirstRequestsShareOneFetch(t *testing.T) {
	i := newIssuer(t)
	h := i.guard().Authenticated()(hello)
	var all sync.WaitGroup
	for range 50 {
		token := i.token()
		all.Go(func() {
			if w := get(h, token); w.Code != 200 {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
	all.Wait()
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

func TestCloseEndsTheBackgroundWork(t *testing.T) {
	i := newIssuer(t)
	before := runtime.NumGoroutine()
	for range 20 {
		g, err := guard.New(guard.Config{Issuer: i.url(), Audience: audience, HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Ready(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+5; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestC42Guardtest(t *testing.T) {
	iss := guardtest.NewIssuer(t)
	g := iss.Guard(t, audience)
	h := g.Require("orders:read")(hello)
	if w := get(h, iss.Token(guardtest.Token{Subject: "usr_x", Scopes: []string{"orders:read"}})); w.Code != 200 || w.Body.String() != "usr_x" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := get(h, iss.Token(guardtest.Token{})); w.Code != 403 {
		t.Errorf("without the scope: %d", w.Code)
	}
	for name, token := range map[string]guardtest.Token{"expired": {Expires: -time.Hour}, "another audience": {Audience: "x"}, "no subject": {Claims: map[string]any{"sub": nil}}} {
		if w := get(h, iss.Token(token)); w.Code != 401 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	iss.Rotate()
	if w := get(h, iss.Token(guardtest.Token{Scopes: []string{"orders:read"}})); w.Code != 200 {
		t.Errorf("after a rotation: %d %s", w.Code, w.Body)
	}
	ctx := iss.Context(context.Background(), guardtest.Token{Subject: "robot", ClientID: "robot", Roles: []string{"viewer"}})
	c, ok := guard.FromContext(ctx)
	if !ok || !c.IsService() || !c.HasRole("viewer") {
		t.Errorf("got %v %v", c, ok)
	}
}

func ExampleGuard_Require() {
	g, err := guard.New(guard.Config{Issuer: "https://auth.example.com", Audience: "https://orders.example.com"})
	if err != nil {
		panic(err)
	}
	defer g.Close()
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello,", guard.MustFromContext(r.Context()).Subject())
	})
	mux := http.NewServeMux()
	mux.Handle("GET /orders", g.Require("orders:read")(orders))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/orders", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer realm="api", scope="orders:read", resource_metadata="https://orders.example.com/.well-known/oauth-protected-resource"
}

func BenchmarkVerifyCached(b *testing.B) {
	iss := guardtest.NewIssuer(b)
	g := iss.Guard(b, audience)
	token := iss.Token(guardtest.Token{Scopes: []string{"orders:read"}})
	for b.Loop() {
		if _, err := g.Verify(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyDistinct(b *testing.B) {
	iss := guardtest.NewIssuer(b)
	g := iss.Guard(b, audience)
	tokens := make([]string, 4096*2)
	for n := range tokens {
		tokens[n] = iss.Token(guardtest.Token{Scopes: []string{"orders:read"}})
	}
	b.ResetTimer()
	for n := range b.N {
		if _, err := g.Verify(context.Background(), tokens[n%len(tokens)]); err != nil {
			b.Fatal(err)
		}
	}
}
