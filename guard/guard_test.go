package guard_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/forge"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

func TestC38NewReportsAllFaultsAndDoesNoIO(t *testing.T) {
	_, err := guard.New(guard.Config{KeysURL: "ftp://x", Leeway: 2 * time.Minute, CacheSize: -1})
	for _, fault := range []string{"Issuer", "Audience", "KeysURL", "Leeway", "CacheSize"} {
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s is not reported: %v", fault, err)
		}
	}
	for _, bad := range []string{"http://auth.example.com", "auth.example.com", "https://u@auth.example.com", "https://auth.example.com?x=1", "https://auth.example.com#f", "ftp://auth.example.com", "http://localhost.evil.example"} {
		if _, err := guard.New(guard.Config{Issuer: bad, Audience: audience}); err == nil {
			t.Errorf("issuer %s is taken", bad)
		}
	}
	for _, good := range []guard.Config{{Issuer: "https://auth.example.com"}, {Issuer: "http://localhost:1"}, {Issuer: "http://127.0.0.1:1"}, {Issuer: "http://auth.internal", InsecureHTTPIssuer: true}} {
		good.Audience = audience
		g, err := guard.New(good) // nobody listens there: New does no I/O
		if err != nil {
			t.Errorf("%s: %v", good.Issuer, err)
			continue
		}
		g.Close()
	}
}

func TestC38NilAndZeroGuardAnswer503(t *testing.T) {
	var none *guard.Guard
	for name, g := range map[string]*guard.Guard{"nil": none, "zero": {}} {
		for _, token := range []string{"", "x"} {
			if w := get(g.Require("orders:read")(hello), token); w.Code != 503 || w.Header().Get("Retry-After") == "" {
				t.Errorf("%s guard, token %q: %d", name, token, w.Code)
			}
		}
		if _, err := g.Verify(context.Background(), "x"); !errors.Is(err, guard.ErrUnavailable) {
			t.Errorf("%s guard: %v", name, err)
		}
		if err := g.Ready(context.Background()); !errors.Is(err, guard.ErrUnavailable) {
			t.Errorf("%s guard: %v", name, err)
		}
		if err := g.Close(); err != nil {
			t.Errorf("%s guard: %v", name, err)
		}
	}
}

func TestC39Require(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	read := g.Require("orders:read")(hello)
	if w := get(read, i.token()); w.Code != 200 || w.Body.String() != "usr_ada" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	w := get(g.Require("orders:read", "orders:write")(hello), i.token())
	want(t, w, 403, "insufficient_scope", "orders:write")
	if c := w.Header().Get("WWW-Authenticate"); !strings.Contains(c, `scope="orders:read orders:write"`) || !strings.Contains(c, `error="insufficient_scope"`) {
		t.Errorf("challenge %s", c)
	}
	for _, scope := range []string{"ORDERS:READ orders", "orders", "orders:rea", "orders:readx", ""} {
		if w := get(read, i.token("scope", scope)); w.Code != 403 {
			t.Errorf("scope %q: %d", scope, w.Code)
		}
	}
	if w := get(read, i.token("scope", "a orders:read b")); w.Code != 200 {
		t.Errorf("one of several scopes: %d", w.Code)
	}
	if w := get(read, i.token("scope", nil)); w.Code != 403 {
		t.Errorf("no scope: %d", w.Code)
	}
	if w := get(g.Authenticated()(hello), i.token("scope", nil)); w.Code != 200 {
		t.Errorf("any valid token: %d", w.Code)
	}
	for _, bad := range []string{"", "a b", "a\tb", `a"b`} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Require(%q) must panic when the route is registered", bad)
				}
			}()
			g.Require(bad)
		}()
	}
}

func TestC39Enforce(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	now := time.Now().Unix()
	for _, tc := range []struct {
		name   string
		rule   guard.Rule
		token  string
		status int
		code   string
	}{
		{"one of the roles", guard.Rule{Roles: []string{"editor", "viewer"}}, i.token(), 200, ""},
		{"none of the roles", guard.Rule{Roles: []string{"editor"}}, i.token(), 403, "insufficient_scope"},
		{"a role is no scope", guard.Rule{Scopes: []string{"viewer"}}, i.token(), 403, "insufficient_scope"},
		{"a scope is no role", guard.Rule{Roles: []string{"orders:read"}}, i.token(), 403, "insufficient_scope"},
		{"scope and role", guard.Rule{Scopes: []string{"orders:read"}, Roles: []string{"viewer"}}, i.token(), 200, ""},
		{"strong enough", guard.Rule{ACR: "mfa"}, i.token("acr", "phr"), 200, ""},
		{"too weak", guard.Rule{ACR: "mfa"}, i.token(), 401, "insufficient_user_authentication"},
		{"an unknown strength", guard.Rule{ACR: "pwd"}, i.token("acr", "gold"), 401, "insufficient_user_authentication"},
		{"no strength", guard.Rule{ACR: "pwd"}, i.token("acr", nil), 401, "insufficient_user_authentication"},
		{"recent", guard.Rule{MaxAge: time.Minute}, i.token(), 200, ""},
		{"too long ago", guard.Rule{MaxAge: time.Minute}, i.token("auth_time", now-120), 401, "insufficient_user_authentication"},
		{"a service account never logged in", guard.Rule{MaxAge: time.Hour}, i.token("auth_time", nil), 401, "insufficient_user_authentication"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := get(g.Enforce(tc.rule)(hello), tc.token)
			if tc.code == "" && w.Code == 200 {
				return
			}
			want(t, w, tc.status, tc.code, "")
			challenge := w.Header().Get("WWW-Authenticate")
			if tc.rule.MaxAge > 0 && !strings.Contains(challenge, "max_age=") || tc.rule.ACR != "" && !strings.Contains(challenge, "acr_values=") {
				t.Errorf("RFC 9470: %s", challenge)
			}
		})
	}
}

func TestC39ProtectIsDefaultDeny(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	mux := http.NewServeMux()
	plain := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok")) })
	mux.Handle("GET /healthz", plain)
	mux.Handle("/public/", plain)
	mux.Handle("GET /orders", g.Require("orders:read")(hello))
	mux.Handle("/admin", plain)
	h := g.Protect(mux, "GET /healthz", "/public/", "GET /adnim")
	for target, status := range map[string]int{"/healthz": 200, "/public/x": 200, "/orders": 401, "/admin": 401, "/nothing": 401, "/adnim": 401, "/publicx": 401} {
		if w := getWith(h, target, nil); w.Code != status {
			t.Errorf("%s without a token: %d, want %d", target, w.Code, status)
		}
	}
	if w := get(h, i.token()); w.Code != 200 {
		t.Errorf("a valid token: %d", w.Code)
	}
	// The inner Require reuses the caller that this guard verified, and only this one.
	other := newIssuer(t)
	foreign := http.NewServeMux()
	foreign.Handle("GET /orders", other.guard().Require("orders:read")(hello))
	if w := get(g.Protect(foreign), i.token()); w.Code != 401 {
		t.Errorf("the caller of another guard was taken: %d", w.Code)
	}
}

func TestC40Caller(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	c, err := g.Verify(context.Background(), i.token("tenant", "t1", "sid", "ses_1"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Issuer() != i.url() || c.Subject() != "usr_ada" || c.ClientID() != "app" || c.IsService() || !c.HasScope("orders:read") || !c.HasRole("viewer") ||
		c.ACR() != "pwd" || c.SessionID() != "ses_1" || c.TokenID() == "" || c.Expires().Before(time.Now()) {
		t.Errorf("got %+v", c)
	}
	c.Scopes()[0], c.Roles()[0] = "changed", "changed"
	if !c.HasScope("orders:read") || !c.HasRole("viewer") {
		t.Error("a caller is shared by requests: its lists must be copies")
	}
	type mine struct {
		Tenant string `json:"tenant"`
	}
	if m, err := guard.Claims[mine](c); err != nil || m.Tenant != "t1" {
		t.Errorf("got %+v %v", m, err)
	}
	other, err := g.Verify(context.Background(), i.token("Tenant", "t2"))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := guard.Claims[mine](other); err != nil || m.Tenant != "" {
		t.Errorf("names match exactly: got %+v %v", m, err)
	}
	if _, err := g.Verify(context.Background(), i.token("tenant", "t1", "Tenant", "t2")); !errors.Is(err, guard.ErrInvalid) {
		t.Errorf("two spellings of a name: %v", err)
	}
	var zero guard.Caller
	if zero.HasScope("") || zero.HasRole("") || zero.Subject() != "" || len(zero.Scopes()) != 0 || zero.IsService() {
		t.Error("the zero caller holds something")
	}
	service, err := g.Verify(context.Background(), i.token("sub", "app"))
	if err != nil || !service.IsService() {
		t.Errorf("T57: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("MustFromContext must panic on a route that is not guarded")
		}
	}()
	guard.MustFromContext(context.Background())
}

func TestC41ErrorsAndLogLine(t *testing.T) {
	i := newIssuer(t)
	var log bytes.Buffer
	g := i.guard(func(c *guard.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	expired := i.token("exp", time.Now().Unix()-3600)
	if _, err := g.Verify(context.Background(), expired); !errors.Is(err, guard.ErrExpired) || !errors.Is(err, guard.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if _, err := g.Verify(context.Background(), ""); !errors.Is(err, guard.ErrNoToken) {
		t.Errorf("got %v", err)
	}
	wrong := i.token("aud", "https://other.example.com")
	get(g.Authenticated()(hello), wrong)
	line := log.String()
	for _, part := range []string{"token refused", "reason=audience", "request_id=", "token=" + jose.Fingerprint(wrong), "other.example.com"} {
		if !strings.Contains(line, part) {
			t.Errorf("%q is not in %s", part, line)
		}
	}
	if strings.Contains(line, wrong[20:60]) {
		t.Error("the token is in the log")
	}
}

func TestAT2WhereTheTokenIs(t *testing.T) {
	i := newIssuer(t)
	h := i.guard().Authenticated()(hello)
	token := i.token()
	for _, tc := range []struct {
		name   string
		target string
		header []string
		status int
		code   string
	}{
		{"none", "/orders", nil, 401, "missing_token"},
		{"in the query", "/orders?access_token=" + token, nil, 401, "missing_token"},
		{"in the query beside the header", "/orders?access_token=x", []string{"Bearer " + token}, 200, ""},
		{"lower case", "/orders", []string{"bearer " + token}, 200, ""},
		{"upper case", "/orders", []string{"BEARER " + token}, 200, ""},
		{"two headers", "/orders", []string{"Bearer " + token, "Bearer " + token}, 400, "invalid_request"},
		{"bad header and good header", "/orders", []string{"Basic eDp5", "Bearer " + token}, 400, "invalid_request"},
		{"a list", "/orders", []string{"Bearer " + token + ", Bearer " + token}, 400, "invalid_request"},
		{"a tab", "/orders", []string{"Bearer\t" + token}, 400, "invalid_request"},
		{"two spaces", "/orders", []string{"Bearer  " + token}, 400, "invalid_request"},
		{"a no-break space", "/orders", []string{"Bearer\u00a0" + token}, 400, "invalid_request"},
		{"a space behind", "/orders", []string{"Bearer " + token + " "}, 400, "invalid_request"},
		{"no token", "/orders", []string{"Bearer "}, 400, "invalid_request"},
		{"the scheme alone", "/orders", []string{"Bearer"}, 400, "invalid_request"},
		{"Basic", "/orders", []string{"Basic " + token}, 401, "missing_token"},
		{"empty", "/orders", []string{""}, 401, "missing_token"},
		{"quoted", "/orders", []string{`Bearer "` + token + `"`}, 400, "invalid_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := getWith(h, tc.target, http.Header{"Authorization": tc.header})
			if tc.status == 200 && w.Code == 200 {
				return
			}
			want(t, w, tc.status, tc.code, "")
			challenge := w.Header().Get("WWW-Authenticate")
			if tc.code == "missing_token" && strings.Contains(challenge, "error") || !strings.HasPrefix(challenge, "Bearer") {
				t.Errorf("RFC 6750 §3.1: no error code without a token, got %s", challenge)
			}
			if w.Header().Get("Cache-Control") != "no-store" {
				t.Error("a refusal must not be cached")
			}
		})
	}
}

// Every forged token is refused, and none makes guard call anybody but the
// issuer (BCP-8).
func TestBCP8EveryForgedTokenIsRefused(t *testing.T) {
	for _, algorithm := range []jose.Algorithm{jose.ES256, jose.RS256, jose.EdDSA} {
		t.Run(string(algorithm), func(t *testing.T) {
			i := newIssuer(t)
			i.signer = newSigner(t, algorithm)
			i.set(i.signer.Key())
			counting := &countingTransport{host: strings.TrimPrefix(i.url(), "http://")}
			g := i.guard(func(c *guard.Config) { c.HTTPClient = &http.Client{Transport: counting} })
			h := g.Authenticated()(hello)
			valid := i.token()
			forged, err := forge.All(forge.Source{Valid: valid, Keys: jose.NewKeySet(i.signer.Key()), Lab: i.signer, Issuer: i.url(), Audience: audience, Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range forged {
				w := get(h, f.Raw)
				if w.Code != 401 && w.Code != 400 {
					t.Errorf("%s %s: %d: %s", f.ID, f.Name, w.Code, f.Title)
				}
			}
			if w := get(h, valid); w.Code != 200 {
				t.Errorf("the valid token afterwards: %d %s", w.Code, w.Body)
			}
			if len(counting.others) > 0 {
				t.Errorf("guard called %v", counting.others)
			}
			if n := i.fetches.Load(); n > 3 {
				t.Errorf("%d fetches of the key set", n)
			}
			t.Logf("%d forged tokens, %d fetches", len(forged), i.fetches.Load())
		})
	}
}

type countingTransport struct {
	host   string
	others []string
}

func (c *countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != c.host {
		c.others = append(c.others, r.URL.String())
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestBCP6KeysOfTwoIssuersNeverMix(t *testing.T) {
	a, b := newIssuer(t), newIssuer(t)
	keyA, keyB := newECDSA(t), newECDSA(t)
	// Both publish a key under the same kid.
	publish := func(key *ecdsa.PrivateKey) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			k, err := jose.NewKey(jose.ES256, key.Public())
			if err != nil {
				t.Error(err)
			}
			raw, _ := k.MarshalJSON()
			w.Write([]byte(`{"keys":[` + strings.Replace(string(raw), k.ID(), "shared", 1) + `]}`))
			return true
		}
	}
	a.jwks, b.jwks = publish(keyA), publish(keyB)
	ga, gb := a.guard(), b.guard()
	ofA, ofB := signAs(t, keyA, "shared", a.claims()), signAs(t, keyB, "shared", b.claims())
	lie := signAs(t, keyB, "shared", a.claims()) // B's key, A's name
	ctx := context.Background()
	for name, tc := range map[string]struct {
		g     *guard.Guard
		token string
		ok    bool
	}{"A at A": {ga, ofA, true}, "B at B": {gb, ofB, true}, "A at B": {gb, ofA, false}, "B at A": {ga, ofB, false}, "B's key under A's name": {ga, lie, false}} {
		if _, err := tc.g.Verify(ctx, tc.token); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBCP9OtherTokensOfTheSameKey(t *testing.T) {
	i := newIssuer(t)
	h := i.guard().Authenticated()(hello)
	for _, kind := range []string{"JWT", "", "logout+jwt", "dpop+jwt", "handoff+jwt", "secevent+jwt", "at+jwt+x", "x/at+jwt"} {
		want(t, get(h, sign(t, i.signer, kind, i.claims())), 401, "invalid_token", "not an access token")
	}
	for _, kind := range []string{"at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"} {
		if w := get(h, sign(t, i.signer, kind, i.claims())); w.Code != 200 {
			t.Errorf("typ %s: %d", kind, w.Code)
		}
	}
}

func TestT17ABadSignatureIsSaidBeforeExpiry(t *testing.T) {
	i := newIssuer(t)
	h := i.guard().Authenticated()(hello)
	expired := i.token("exp", time.Now().Unix()-3600)
	want(t, get(h, expired), 401, "invalid_token", "has expired")
	want(t, get(h, expired[:len(expired)-8]+"AAAAAAAA"), 401, "invalid_token", "signature")
}

func TestLeeway(t *testing.T) {
	i := newIssuer(t)
	now := time.Now().Unix()
	for name, tc := range map[string]struct {
		token  string
		status int
	}{
		"expired 20 s ago": {i.token("exp", now-20), 200}, "expired 40 s ago": {i.token("exp", now-40), 401},
		"from in 20 s": {i.token("nbf", now+20), 200}, "from in 40 s": {i.token("nbf", now+40), 401},
		"issued in 20 s": {i.token("iat", now+20), 200}, "issued in 40 s": {i.token("iat", now+40), 401},
	} {
		if w := get(i.guard().Authenticated()(hello), tc.token); w.Code != tc.status {
			t.Errorf("%s: %d, want %d", name, w.Code, tc.status)
		}
	}
}

func TestExpiredTokenIsNotServedFromTheCache(t *testing.T) {
	i := newIssuer(t)
	g := i.guard(func(c *guard.Config) { c.Leeway = time.Millisecond })
	if err := g.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	exp := time.Unix(time.Now().Unix()+2, 0)
	token := i.token("exp", exp.Unix())
	if _, err := g.Verify(context.Background(), token); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(exp.Add(50 * time.Millisecond)))
	if _, err := g.Verify(context.Background(), token); !errors.Is(err, guard.ErrExpired) {
		t.Errorf("C17: got %v", err)
	}
}

func newECDSA(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signAs signs under any key id, as an issuer that chooses its own would.
func signAs(t *testing.T, key *ecdsa.PrivateKey, kid string, claims map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims(claims))
	token.Header["kid"], token.Header["typ"] = kid, "at+jwt"
	raw, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
