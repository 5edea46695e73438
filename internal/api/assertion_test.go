package api_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	gojwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-auth/gatehouse/internal/dial"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// keyHouse is a house that answers on a real port, whose clients have keys.
type keyHouse struct {
	*house
	ec, otherEC *ecdsa.PrivateKey
	rsa         *rsa.PrivateKey
	ed          ed25519.PrivateKey
}

func newKeyHouse(t *testing.T) *keyHouse {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	kek, _ := keys.GenerateKEK()
	h := &keyHouse{house: &house{dir: t.TempDir(), kek: kek, issuer: fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port), outgoing: dial.Config{InsecureLoopback: true}}}
	newHouseAt(t, h.house)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.parts.Handler.ServeHTTP(w, r) })}
	go s.Serve(listener)
	t.Cleanup(func() { s.Close() })
	h.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.otherEC, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if h.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	_, h.ed, _ = ed25519.GenerateKey(rand.Reader)
	h.client("by-ec", jwk("ec", "ES256", h.ec.Public()))
	h.client("by-rsa", jwk("rsa", "PS256", h.rsa.Public()))
	h.client("by-rs256", jwk("", "", h.rsa.Public()))
	h.client("by-ed", jwk("ed", "EdDSA", h.ed.Public()))
	h.client("by-two", jwk("one", "ES256", h.ec.Public()), jwk("two", "ES256", h.otherEC.Public()))
	h.client("by-other", jwk("ec", "ES256", h.otherEC.Public()))
	return h
}

func jwk(kid, algorithm string, public crypto.PublicKey) jose.JSONWebKey {
	return jose.JSONWebKey{Key: public, KeyID: kid, Algorithm: algorithm}
}

func document(t *testing.T, list ...jose.JSONWebKey) []byte {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: list})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// client registers a service account by its keys.
func (h *keyHouse) client(id iam.ClientID, list ...jose.JSONWebKey) {
	h.t.Helper()
	set, err := iam.ParseClientKeys(document(h.t, list...))
	if err != nil {
		h.t.Fatal(err)
	}
	_, secret, err := h.parts.Directory.CreateClient(context.Background(), "test", iam.Client{ID: id, Type: iam.Service, Roles: []string{"viewer"}, ReaderOf: []string{"orders"}, Auth: iam.AuthKey, Keys: set})
	if err != nil || secret != "" {
		h.t.Fatalf("secret %q, %v", secret, err)
	}
}

// claims of a good assertion, with changes; a nil value takes a claim away.
func (h *keyHouse) claims(id string, changes ...any) jwt.MapClaims {
	c := jwt.MapClaims{"iss": id, "sub": id, "aud": h.issuer, "jti": rand.Text(), "exp": h.clock.Now().Add(time.Minute).Unix(), "iat": h.clock.Now().Unix()}
	for i := 0; i < len(changes); i += 2 {
		if c[changes[i].(string)] = changes[i+1]; changes[i+1] == nil {
			delete(c, changes[i].(string))
		}
	}
	return c
}

// signed makes an assertion with golang-jwt; a nil value takes a header away.
func signed(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims, header ...any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	for i := 0; i < len(header); i += 2 {
		if token.Header[header[i].(string)] = header[i+1]; header[i+1] == nil {
			delete(token.Header, header[i].(string))
		}
	}
	raw, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// byGoJose makes an assertion with go-jose.
func byGoJose(t *testing.T, algorithm jose.SignatureAlgorithm, key any, claims jwt.MapClaims) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithType("client-authentication+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := gojwt.Signed(signer).Claims(map[string]any(claims)).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// send posts a form over the network.
func (h *keyHouse) send(path string, form url.Values, header ...string) answer {
	h.t.Helper()
	r, err := http.NewRequest(http.MethodPost, h.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: string(raw)}
	json.Unmarshal(raw, &a.json)
	return a
}

// asserted is a form of client_credentials with an assertion.
func asserted(assertion string) url.Values {
	return values("grant_type", "client_credentials", "client_assertion_type", oauth.AssertionType, "client_assertion", assertion)
}

func TestC20PrivateKeyJWT(t *testing.T) {
	h := newKeyHouse(t)
	for _, tc := range []struct{ name, id, assertion string }{
		{"golang-jwt, ES256", "by-ec", signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec"), "kid", "ec")},
		{"golang-jwt, PS256", "by-rsa", signed(t, jwt.SigningMethodPS256, h.rsa, h.claims("by-rsa"), "kid", "rsa")},
		{"golang-jwt, RS256", "by-rs256", signed(t, jwt.SigningMethodRS256, h.rsa, h.claims("by-rs256"))},
		{"golang-jwt, EdDSA", "by-ed", signed(t, jwt.SigningMethodEdDSA, h.ed, h.claims("by-ed"))},
		{"EdDSA by its name of RFC 9864", "by-ed", signed(t, fullySpecified{jwt.SigningMethodEdDSA}, h.ed, h.claims("by-ed"))},
		{"go-jose, ES256", "by-ec", byGoJose(t, jose.ES256, h.ec, h.claims("by-ec"))},
		{"go-jose, PS256", "by-rsa", byGoJose(t, jose.PS256, h.rsa, h.claims("by-rsa"))},
		{"no kid and one key", "by-ec", signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec"))},
		{"the second of two keys", "by-two", signed(t, jwt.SigningMethodES256, h.otherEC, h.claims("by-two"), "kid", "two")},
		{"no typ", "by-ec", signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec"), "typ", nil)},
		{"no iat", "by-ec", signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec", "iat", nil))},
		{"with nbf", "by-ec", signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec", "nbf", h.clock.Now().Unix()))},
		{"a clock ten seconds ahead", "by-ec", signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec", "iat", h.clock.Now().Add(10*time.Second).Unix(), "nbf", h.clock.Now().Add(10*time.Second).Unix()))},
		{"exp five minutes ahead", "by-ec", signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec", "exp", h.clock.Now().Add(5*time.Minute).Unix()))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := h.send("/oauth/token", asserted(tc.assertion))
			if a.status != 200 || claimsOf(t, a.str("access_token"))["sub"] != tc.id {
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
	t.Run("client_id beside it", func(t *testing.T) {
		if a := h.send("/oauth/token", with(asserted(signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec"))), "client_id", "by-ec")); a.status != 200 {
			t.Errorf("got %d %s", a.status, a.body)
		}
	})
	t.Run("introspection and revocation", func(t *testing.T) {
		fresh := func() url.Values { return asserted(signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec"))) }
		token := h.send("/oauth/token", fresh()).str("access_token")
		if a := h.send("/oauth/introspect", with(fresh(), "token", token)); a.json["active"] != true {
			t.Errorf("introspect: %d %s", a.status, a.body)
		}
		if a := h.send("/oauth/revoke", with(fresh(), "token", token)); a.status != 200 {
			t.Errorf("revoke: %d %s", a.status, a.body)
		}
		if a := h.send("/oauth/introspect", with(fresh(), "token", token)); a.json["active"] != false {
			t.Errorf("after the revocation: %d %s", a.status, a.body)
		}
	})
}

// fullySpecified signs EdDSA under the name Ed25519.
type fullySpecified struct{ jwt.SigningMethod }

func (fullySpecified) Alg() string { return "Ed25519" }

func TestC20Refusals(t *testing.T) {
	h := newKeyHouse(t)
	now := h.clock.Now()
	es := func(claims jwt.MapClaims, header ...any) url.Values {
		return asserted(signed(t, jwt.SigningMethodES256, h.ec, claims, header...))
	}
	good := func() url.Values { return es(h.claims("by-ec")) }
	publicPEM := func() []byte {
		der, _ := x509.MarshalPKIXPublicKey(h.ec.Public())
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	unsigned := func(algorithm string) string {
		raw := strings.Split(signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, h.claims("by-ec")), ".")
		header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + algorithm + `"}`))
		return header + "." + raw[1] + "."
	}
	tampered := func() string {
		parts := strings.Split(signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-other")), ".")
		other := strings.Split(signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec")), ".")
		return other[0] + "." + parts[1] + "." + other[2]
	}
	attackers, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	small := h.send("/oauth/token", good()).str("access_token")
	for _, tc := range []struct {
		name   string
		form   url.Values
		header []string
		status int
		code   string
	}{
		{"aud as an array", es(h.claims("by-ec", "aud", []string{h.issuer})), nil, 401, "invalid_client"},
		{"aud as an array of two", es(h.claims("by-ec", "aud", []string{h.issuer, "https://other.example"})), nil, 401, "invalid_client"},
		{"aud is the endpoint", es(h.claims("by-ec", "aud", h.issuer+"/oauth/token")), nil, 401, "invalid_client"},
		{"aud is the issuer with a slash", es(h.claims("by-ec", "aud", h.issuer+"/")), nil, 401, "invalid_client"},
		{"aud is another server", es(h.claims("by-ec", "aud", "https://other.example")), nil, 401, "invalid_client"},
		{"no aud", es(h.claims("by-ec", "aud", nil)), nil, 401, "invalid_client"},
		{"expired", es(h.claims("by-ec", "exp", now.Add(-time.Second).Unix())), nil, 401, "invalid_client"},
		{"expires now", es(h.claims("by-ec", "exp", now.Unix())), nil, 401, "invalid_client"},
		{"exp six minutes ahead", es(h.claims("by-ec", "exp", now.Add(6*time.Minute).Unix())), nil, 401, "invalid_client"},
		{"exp a second too far", es(h.claims("by-ec", "exp", now.Add(5*time.Minute+time.Second).Unix())), nil, 401, "invalid_client"},
		{"exp in the year 9999", es(h.claims("by-ec", "exp", 253402300799)), nil, 401, "invalid_client"},
		{"no exp", es(h.claims("by-ec", "exp", nil)), nil, 401, "invalid_client"},
		{"exp as text", es(h.claims("by-ec", "exp", fmt.Sprint(now.Add(time.Minute).Unix()))), nil, 401, "invalid_client"},
		{"no jti", es(h.claims("by-ec", "jti", nil)), nil, 401, "invalid_client"},
		{"an empty jti", es(h.claims("by-ec", "jti", "")), nil, 401, "invalid_client"},
		{"jti as a number", es(h.claims("by-ec", "jti", 1)), nil, 401, "invalid_client"},
		{"an endless jti", es(h.claims("by-ec", "jti", strings.Repeat("x", 257))), nil, 401, "invalid_client"},
		{"nbf in the future", es(h.claims("by-ec", "nbf", now.Add(50*time.Second).Unix())), nil, 401, "invalid_client"},
		{"iat in the future", es(h.claims("by-ec", "iat", now.Add(50*time.Second).Unix())), nil, 401, "invalid_client"},
		{"iat long ago", es(h.claims("by-ec", "iat", now.Add(-time.Hour).Unix())), nil, 401, "invalid_client"},
		{"sub is not iss", es(h.claims("by-ec", "iss", "by-other")), nil, 401, "invalid_client"},
		{"iss is not sub", es(h.claims("by-ec", "sub", "by-other")), nil, 401, "invalid_client"},
		{"no iss", es(h.claims("by-ec", "iss", nil)), nil, 401, "invalid_client"},
		{"no sub", es(h.claims("by-ec", "sub", nil)), nil, 401, "invalid_client"},
		{"neither", es(h.claims("by-ec", "iss", nil, "sub", nil)), nil, 401, "invalid_client"},
		{"another client's key", es(h.claims("by-other"), "kid", "ec"), nil, 401, "invalid_client"},
		{"another client's signature", asserted(tampered()), nil, 401, "invalid_client"},
		{"an attacker's key under the kid", asserted(signed(t, jwt.SigningMethodES256, attackers, h.claims("by-ec"), "kid", "ec")), nil, 401, "invalid_client"},
		{"an attacker's key in the header", asserted(signed(t, jwt.SigningMethodES256, attackers, h.claims("by-ec"), "jwk", jwk("ec", "ES256", attackers.Public()))), nil, 401, "invalid_client"},
		{"an unknown kid", es(h.claims("by-ec"), "kid", "x"), nil, 401, "invalid_client"},
		{"no kid and two keys", es(h.claims("by-two")), nil, 401, "invalid_client"},
		{"the other key's kid", es(h.claims("by-two"), "kid", "two"), nil, 401, "invalid_client"},
		{"an algorithm that is not registered", asserted(signed(t, jwt.SigningMethodRS256, h.rsa, h.claims("by-rsa"), "kid", "rsa")), nil, 401, "invalid_client"},
		{"a hash that is not registered", asserted(signed(t, jwt.SigningMethodPS512, h.rsa, h.claims("by-rsa"), "kid", "rsa")), nil, 401, "invalid_client"},
		{"none", asserted(signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, h.claims("by-ec"))), nil, 401, "invalid_client"},
		{"None", asserted(unsigned("None")), nil, 401, "invalid_client"},
		{"ES256 without a signature", asserted(unsigned("ES256")), nil, 401, "invalid_client"},
		{"HS256 with the public key", asserted(signed(t, jwt.SigningMethodHS256, publicPEM(), h.claims("by-ec"), "kid", "ec")), nil, 401, "invalid_client"},
		{"HS256 with a client's secret", asserted(signed(t, jwt.SigningMethodHS256, []byte(h.serviceSecret), h.claims("robot"))), nil, 401, "invalid_client"},
		{"typ at+jwt", es(h.claims("by-ec"), "typ", "at+jwt"), nil, 401, "invalid_client"},
		{"typ application/at+jwt", es(h.claims("by-ec"), "typ", "application/at+jwt"), nil, 401, "invalid_client"},
		{"typ logout+jwt", es(h.claims("by-ec"), "typ", "logout+jwt"), nil, 401, "invalid_client"},
		{"typ dpop+jwt", es(h.claims("by-ec"), "typ", "dpop+jwt"), nil, 401, "invalid_client"},
		{"crit", es(h.claims("by-ec"), "crit", []string{"exp"}), nil, 401, "invalid_client"},
		{"an access token", asserted(small), nil, 401, "invalid_client"},
		{"nobody's", es(h.claims("nobody")), nil, 401, "invalid_client"},
		{"no token at all", asserted("x"), nil, 401, "invalid_client"},
		{"a public client", es(h.claims("app")), nil, 401, "invalid_client"},
		{"a client registered for a secret", es(h.claims("robot")), nil, 401, "invalid_client"},
		{"a secret for a client with keys", values("grant_type", "client_credentials", "client_id", "by-ec", "client_secret", "x"), nil, 401, "invalid_client"},
		{"basic for a client with keys", values("grant_type", "client_credentials"), basicHeader("by-ec", "x"), 401, "invalid_client"},
		{"nothing for a client with keys", values("grant_type", "client_credentials", "client_id", "by-ec"), nil, 401, "invalid_client"},
		{"with a secret in the form", with(good(), "client_secret", "x"), nil, 400, "invalid_request"},
		{"with a secret in the header", good(), basicHeader("by-ec", "x"), 400, "invalid_request"},
		{"with a bearer token", good(), []string{"Authorization", "Bearer " + small}, 400, "invalid_request"},
		{"twice", nil, nil, 400, "invalid_request"}, // made below
		{"another client_id", with(good(), "client_id", "by-other"), nil, 400, "invalid_request"},
		{"no type", with(good(), "client_assertion_type", ""), nil, 400, "invalid_request"},
		{"the SAML type", with(good(), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), nil, 400, "invalid_request"},
		{"a type only", with(good(), "client_assertion", ""), nil, 400, "invalid_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			form := tc.form
			if tc.name == "twice" {
				form = good()
				form["client_assertion"] = append(form["client_assertion"], good().Get("client_assertion"))
			}
			for _, path := range []string{"/oauth/token", "/oauth/revoke", "/oauth/introspect"} {
				wantError(t, h.send(path, with(form, "token", small), tc.header...), tc.status, tc.code)
			}
		})
	}
	if a := h.send("/oauth/token", good()); a.status != 200 {
		t.Errorf("the baseline: %d %s", a.status, a.body)
	}
	wantError(t, h.send("/oauth/authorize-challenge", with(challengeForm("ada"), "client_assertion_type", oauth.AssertionType)), 400, "invalid_request")
}

func basicHeader(id, secret string) []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}
}

// What failed for another reason has spent nothing; what succeeded once never
// does again, also elsewhere and after a restart.
func TestC20Replay(t *testing.T) {
	h := newKeyHouse(t)
	form := asserted(signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec", "jti", "one", "exp", h.clock.Now().Add(5*time.Minute).Unix())))
	attackers, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	wantError(t, h.send("/oauth/token", asserted(signed(t, jwt.SigningMethodES256, attackers, h.claims("by-ec", "jti", "one")))), 401, "invalid_client")
	if a := h.send("/oauth/token", asserted(signed(t, jwt.SigningMethodES256, h.otherEC, h.claims("by-other", "jti", "one")))); a.status != 200 {
		t.Fatalf("another client with the same jti: %d %s", a.status, a.body)
	}
	if a := h.send("/oauth/token", form); a.status != 200 {
		t.Fatalf("the first use: %d %s", a.status, a.body)
	}
	for _, path := range []string{"/oauth/token", "/oauth/introspect", "/oauth/revoke"} {
		wantError(t, h.send(path, with(form, "token", "x")), 401, "invalid_client")
	}
	wantError(t, h.send("/oauth/token", asserted(signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec", "jti", "one")))), 401, "invalid_client")
	h.restart()
	wantError(t, h.send("/oauth/token", form), 401, "invalid_client")
	h.clock.Advance(5*time.Minute - time.Second)
	if _, err := h.parts.Store.Clean(context.Background(), 100); err != nil {
		t.Fatal(err)
	}
	wantError(t, h.send("/oauth/token", form), 401, "invalid_client")
	if !strings.Contains(h.log.String(), "was used before") {
		t.Error("the log does not say that it was a replay")
	}
	if assertion := form.Get("client_assertion"); strings.Contains(h.log.String(), assertion) || strings.Contains(h.log.String(), assertion[strings.LastIndex(assertion, "."):]) {
		t.Error("the log holds an assertion")
	}
}

func TestC20ParallelReplay(t *testing.T) {
	h := newKeyHouse(t)
	form := asserted(signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec")))
	var won, lost atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			switch a := h.send("/oauth/token", form); {
			case a.status == 200:
				won.Add(1)
			case a.status == 401 && a.str("error") == "invalid_client":
				lost.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || lost.Load() != 49 {
		t.Errorf("%d succeeded and %d were refused, want 1 and 49", won.Load(), lost.Load())
	}
}

func TestC20ADisabledClientWithKeys(t *testing.T) {
	h := newKeyHouse(t)
	if err := h.parts.Directory.SetClient(context.Background(), "test", "by-ec", directory.Disabled); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/oauth/token", "/oauth/introspect", "/oauth/revoke"} {
		wantError(t, h.send(path, with(asserted(signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec"))), "token", "x")), 401, "invalid_client")
	}
}

// Even a row with both, which no administrator can make, has one method.
func TestC20OneMethodEvenWithBoth(t *testing.T) {
	h := newKeyHouse(t)
	set, err := iam.ParseClientKeys(document(t, jwk("ec", "ES256", h.ec.Public())))
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte("secret"))
	for id, method := range map[iam.ClientID]iam.AuthMethod{"by-secret": iam.AuthSecret, "only-key": iam.AuthKey} {
		err := h.parts.Store.CreateClient(context.Background(), iam.Client{ID: id, Type: iam.Service, GrantTypes: []string{iam.ClientCredentials}, Roles: []string{"viewer"}, Auth: method, SecretHash: hash[:], Keys: set})
		if err != nil {
			t.Fatal(err)
		}
	}
	secret := func(id string) answer {
		return h.send("/oauth/token", values("grant_type", "client_credentials", "client_id", id, "client_secret", "secret"))
	}
	key := func(id string) answer {
		return h.send("/oauth/token", asserted(signed(t, jwt.SigningMethodES256, h.ec, h.claims(id))))
	}
	if a, b := secret("by-secret"), key("only-key"); a.status != 200 || b.status != 200 {
		t.Errorf("by their own methods: %s %s", a.body, b.body)
	}
	wantError(t, secret("only-key"), 401, "invalid_client")
	wantError(t, key("by-secret"), 401, "invalid_client")
}

// publisher is a client's own server of its keys.
type publisher struct {
	*httptest.Server
	set    atomic.Pointer[[]byte]
	visits atomic.Int64
	down   atomic.Bool
}

func (p *publisher) publish(b []byte) { p.set.Store(&b) }

func newPublisher(t *testing.T, b []byte) *publisher {
	t.Helper()
	p := &publisher{}
	p.publish(b)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.visits.Add(1)
		if p.down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Write(*p.set.Load())
	}))
	t.Cleanup(p.Close)
	return p
}

func (h *keyHouse) clientAt(id iam.ClientID, uri string) {
	h.t.Helper()
	_, _, err := h.parts.Directory.CreateClient(context.Background(), "test", iam.Client{ID: id, Type: iam.Service, Roles: []string{"viewer"}, Auth: iam.AuthKey, KeysURI: uri})
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestC20KeysOfAnAddress(t *testing.T) {
	h := newKeyHouse(t)
	p := newPublisher(t, document(t, jwk("one", "ES256", h.ec.Public())))
	h.clientAt("far", p.URL)
	use := func(key *ecdsa.PrivateKey, kid string) answer {
		return h.send("/oauth/token", asserted(signed(t, jwt.SigningMethodES256, key, h.claims("far"), "kid", kid)))
	}
	wantError(t, h.send("/oauth/token", asserted(signed(t, jwt.SigningMethodES256, h.ec, h.claims("nobody"), "kid", "one"))), 401, "invalid_client")
	wantError(t, h.send("/oauth/token", asserted(signed(t, jwt.SigningMethodES256, h.ec, h.claims("far", "aud", "x"), "kid", "one"))), 401, "invalid_client")
	if p.visits.Load() != 0 {
		t.Error("fetched for a request that could not succeed")
	}
	for range 3 {
		if a := use(h.ec, "one"); a.status != 200 {
			t.Fatalf("got %d %s", a.status, a.body)
		}
	}
	if p.visits.Load() != 1 {
		t.Errorf("%d fetches, want 1", p.visits.Load())
	}
	wantError(t, use(h.otherEC, "one"), 401, "invalid_client")
	// The client rotates: the unknown kid is looked for once.
	p.publish(document(t, jwk("two", "ES256", h.otherEC.Public())))
	if a := use(h.otherEC, "two"); a.status != 200 || p.visits.Load() != 2 {
		t.Errorf("after the rotation: %d %s, %d fetches", a.status, a.body, p.visits.Load())
	}
	wantError(t, use(h.ec, "one"), 401, "invalid_client")
	before := p.visits.Load()
	for i := range 20 {
		wantError(t, use(h.ec, fmt.Sprint("random", i)), 401, "invalid_client")
	}
	if n := p.visits.Load() - before; n > 2 {
		t.Errorf("20 random ids caused %d fetches", n)
	}
}

func TestC20KeysThatCannotBeFetched(t *testing.T) {
	h := newKeyHouse(t)
	p := newPublisher(t, []byte("{}"))
	p.down.Store(true)
	h.clientAt("far", p.URL)
	far := func() answer {
		return h.send("/oauth/token", asserted(signed(t, jwt.SigningMethodES256, h.ec, h.claims("far"), "kid", "one")))
	}
	a := far()
	wantError(t, a, 503, "temporarily_unavailable")
	if strings.Contains(a.body, p.URL) {
		t.Errorf("the answer tells what was fetched: %s", a.body)
	}
	p.down.Store(false)
	secret, _ := json.Marshal(map[string]any{"keys": []any{map[string]string{"kty": "oct", "kid": "one", "alg": "HS256", "k": base64.RawURLEncoding.EncodeToString(make([]byte, 32))}}})
	for name, set := range map[string][]byte{"no key set": []byte("<html>"), "a private key": document(t, jose.JSONWebKey{Key: h.ec, KeyID: "one", Algorithm: "ES256"}), "a secret": secret} {
		h.clock.Advance(2 * time.Second)
		p.publish(set)
		if a := far(); a.status != 503 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// A server that is not `dev` fetches nothing from this machine, whatever name
// a client gives it (C34).
func TestC34KeysAreFetchedWithCare(t *testing.T) {
	h := newHouse(t)
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p := newPublisher(t, document(t, jwk("one", "ES256", key.Public())))
	k := &keyHouse{house: h}
	port := p.Listener.Addr().(*net.TCPAddr).Port
	for i, uri := range []string{p.URL, fmt.Sprintf("https://127.0.0.1:%d", port), "https://localhost/jwks", fmt.Sprintf("https://[::1]:%d", port), "https://169.254.169.254/jwks", "https://10.0.0.1/jwks"} {
		id := fmt.Sprint("far", i)
		k.clientAt(iam.ClientID(id), uri)
		a := h.post("/oauth/token", asserted(signed(t, jwt.SigningMethodES256, key, k.claims(id), "kid", "one")))
		wantError(t, a, 503, "temporarily_unavailable")
	}
	if p.visits.Load() != 0 || !strings.Contains(h.log.String(), "is not fetched") {
		t.Errorf("%d visits; the log does not say why", p.visits.Load())
	}
}

func TestC20ReplacedKeys(t *testing.T) {
	h := newKeyHouse(t)
	ctx := context.Background()
	old := h.send("/oauth/token", asserted(signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec")))).str("access_token")
	set, err := iam.ParseClientKeys(document(t, jwk("next", "ES256", h.otherEC.Public())))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.parts.Directory.SetKeys(ctx, "test", "by-ec", directory.ClientKeys{Set: set}); err != nil {
		t.Fatal(err)
	}
	wantError(t, h.send("/oauth/token", asserted(signed(t, jwt.SigningMethodES256, h.ec, h.claims("by-ec")))), 401, "invalid_client")
	if a := h.send("/oauth/token", asserted(signed(t, jwt.SigningMethodES256, h.otherEC, h.claims("by-ec")))); a.status != 200 || !h.active(old) {
		t.Errorf("the new key: %d %s; what was obtained lives: %v", a.status, a.body, h.active(old))
	}
	if _, err := h.parts.Directory.SetKeys(ctx, "test", "by-ec", directory.ClientKeys{Set: set, Ending: iam.EndEverything}); err != nil || h.active(old) {
		t.Errorf("--now ends what was obtained: %v", err)
	}
	if _, err := h.parts.Directory.SetKeys(ctx, "test", "robot", directory.ClientKeys{Set: set}); err == nil {
		t.Error("a client with a secret got keys without being asked")
	}
	if _, err := h.parts.Directory.SetKeys(ctx, "test", "robot", directory.ClientKeys{Set: set, Switch: true}); err != nil {
		t.Fatal(err)
	}
	wantError(t, h.send("/oauth/token", values("grant_type", "client_credentials", "client_id", "robot", "client_secret", h.serviceSecret)), 401, "invalid_client")
	if a := h.send("/oauth/token", asserted(signed(t, jwt.SigningMethodES256, h.otherEC, h.claims("robot")))); a.status != 200 {
		t.Errorf("after the change to keys: %d %s", a.status, a.body)
	}
	// An edit cannot change how a client proves who it is.
	edited, err := h.parts.Directory.EditClient(ctx, "test", "robot", func(c *iam.Client) error {
		c.Name, c.Auth, c.Keys, c.KeysURI, c.SecretHash = "Robot", iam.AuthSecret, set, "https://evil.example", []byte{1}
		return nil
	})
	if err != nil || edited.Name != "Robot" || edited.Auth != iam.AuthKey || edited.KeysURI != "" || edited.SecretHash != nil || edited.Keys.Len() != 1 {
		t.Errorf("after an edit: %+v %v", edited, err)
	}
	events, err := h.parts.Store.Events(ctx, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	recorded := 0
	for _, e := range events {
		if e.Kind == "service_account.keys_changed" && e.Detail["keys"] == "next" {
			recorded++
		}
	}
	if recorded != 3 {
		t.Errorf("%d changes of keys are in the journal, want 3", recorded)
	}
	if _, err := h.parts.Directory.NewSecret(ctx, "test", "robot"); err == nil {
		t.Error("a client with keys got a secret beside them")
	}
	if _, err := h.parts.Directory.RotateSecret(ctx, "test", "robot", time.Hour); err == nil {
		t.Error("a client with keys rotated a secret")
	}
}

// Every algorithm that discovery names works, and no other.
func TestDiscoveryTellsTheTruthAboutAssertions(t *testing.T) {
	h := newKeyHouse(t)
	a := h.do(http.MethodGet, "/.well-known/oauth-authorization-server", "", "", nil)
	for _, endpoint := range []string{"token", "revocation", "introspection"} {
		methods := fmt.Sprint(a.json[endpoint+"_endpoint_auth_methods_supported"])
		if !strings.Contains(methods, "private_key_jwt") {
			t.Errorf("%s: %s", endpoint, methods)
		}
	}
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	listed, _ := a.json["token_endpoint_auth_signing_alg_values_supported"].([]any)
	methods := map[string]struct {
		method jwt.SigningMethod
		key    crypto.Signer
		of     string
	}{
		"ES256": {jwt.SigningMethodES256, h.ec, "ES256"}, "ES384": {jwt.SigningMethodES384, p384, "ES384"}, "ES512": {jwt.SigningMethodES512, p521, "ES512"},
		"EdDSA": {jwt.SigningMethodEdDSA, h.ed, "EdDSA"}, "Ed25519": {fullySpecified{jwt.SigningMethodEdDSA}, h.ed, "EdDSA"},
		"RS256": {jwt.SigningMethodRS256, h.rsa, "RS256"}, "RS384": {jwt.SigningMethodRS384, h.rsa, "RS384"}, "RS512": {jwt.SigningMethodRS512, h.rsa, "RS512"},
		"PS256": {jwt.SigningMethodPS256, h.rsa, "PS256"}, "PS384": {jwt.SigningMethodPS384, h.rsa, "PS384"}, "PS512": {jwt.SigningMethodPS512, h.rsa, "PS512"},
	}
	if len(listed) != len(methods) {
		t.Errorf("%d algorithms are listed, this test knows %d", len(listed), len(methods))
	}
	for _, name := range listed {
		m, ok := methods[name.(string)]
		if !ok {
			t.Errorf("%s is listed", name)
			continue
		}
		id := "alg-" + strings.ToLower(name.(string))
		h.client(iam.ClientID(id), jwk("k", m.of, m.key.Public()))
		if a := h.send("/oauth/token", asserted(signed(t, m.method, m.key, h.claims(id)))); a.status != 200 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}
