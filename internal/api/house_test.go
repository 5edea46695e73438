package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/dial"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://orders.example.com"
	password = "nolub-hatiz-gefum-sibod"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // of RFC 7636 appendix B
)

// house is a whole authority on a real database, with a clock of its own.
type house struct {
	t     *testing.T
	dir   string
	kek   keys.KEK
	clock *storetest.Clock
	parts *server.Parts
	log   *logBuffer

	issuer   string
	outgoing dial.Config

	ada, bob      iam.User
	serviceSecret string
	readerSecret  string
	portalSecret  string
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newHouse(t *testing.T) *house {
	t.Helper()
	kek, _ := keys.GenerateKEK()
	return newHouseAt(t, &house{dir: t.TempDir(), kek: kek, issuer: issuer})
}

// newHouseAt opens and furnishes a house whose place is set.
func newHouseAt(t *testing.T, h *house) *house {
	t.Helper()
	h.t, h.clock, h.log = t, storetest.NewClock(), &logBuffer{}
	h.open()
	t.Cleanup(func() { h.parts.Close() })
	h.furnish()
	return h
}

func (h *house) open() {
	h.t.Helper()
	parts, err := server.Assemble(context.Background(), server.Config{Issuer: h.issuer, Dir: h.dir, Database: storetest.Database(h.t, h.dir), KEKs: []keys.KEK{h.kek}, Outgoing: h.outgoing, Now: h.clock.Now,
		Logger: slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		h.t.Fatal(err)
	}
	h.parts = parts
}

// restart closes the authority and opens it again on the same folder.
func (h *house) restart() {
	h.t.Helper()
	if err := h.parts.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.open()
}

func (h *house) furnish() {
	d, ctx := h.parts.Directory, context.Background()
	must := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	_, err := d.CreateAPI(ctx, "test", iam.API{Name: "orders", Audience: audience, Scopes: []iam.Scope{{Name: "orders:read"}, {Name: "orders:write"}}, Claims: []string{"tenant"}})
	must(err)
	_, err = d.CreateAPI(ctx, "test", iam.API{Name: "stock", Audience: "https://stock.example.com", Scopes: []iam.Scope{{Name: "stock:read"}}})
	must(err)
	_, err = d.CreateRole(ctx, "test", iam.Role{Name: "viewer", Scopes: []iam.RoleScope{{API: "orders", Scope: "orders:read"}}})
	must(err)
	_, err = d.CreateRole(ctx, "test", iam.Role{Name: "editor", Scopes: []iam.RoleScope{{API: "orders", Scope: "orders:read"}, {API: "orders", Scope: "orders:write"}, {API: "stock", Scope: "stock:read"}}})
	must(err)
	h.ada, err = d.CreateUser(ctx, "test", iam.User{Username: "ada", Roles: []string{"editor"}, Attributes: map[string]string{"tenant": "t1"}}, password)
	must(err)
	h.bob, err = d.CreateUser(ctx, "test", iam.User{Username: "bob", Roles: []string{"viewer"}}, password)
	must(err)
	scopes := []string{"orders:read", "orders:write", "stock:read", "offline_access"}
	for _, id := range []iam.ClientID{"app", "other-app"} {
		_, _, err = d.CreateClient(ctx, "test", iam.Client{ID: id, Type: iam.Public, FirstParty: true, Challenge: true, Scopes: scopes, DefaultScopes: []string{"orders:read", "orders:write"}})
		must(err)
	}
	_, _, err = d.CreateClient(ctx, "test", iam.Client{ID: "plain-app", Type: iam.Public, FirstParty: true, Scopes: scopes})
	must(err)
	_, h.portalSecret, err = d.CreateClient(ctx, "test", iam.Client{ID: "portal", Type: iam.Confidential, Scopes: scopes, RedirectURIs: []string{"https://portal.example.com/cb"}})
	must(err)
	_, h.serviceSecret, err = d.CreateClient(ctx, "test", iam.Client{ID: "robot", Type: iam.Service, Roles: []string{"viewer"}})
	must(err)
	_, h.readerSecret, err = d.CreateClient(ctx, "test", iam.Client{ID: "orders-api", Type: iam.Service, ReaderOf: []string{"orders"}})
	must(err)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (a answer) str(name string) string {
	s, _ := a.json[name].(string)
	return s
}

func (h *house) do(method, path, contentType, body string, header http.Header) answer {
	r := httptest.NewRequest(method, h.issuer+path, strings.NewReader(body))
	for name, values := range header {
		r.Header[name] = values
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	h.parts.Handler.ServeHTTP(w, r)
	raw, _ := io.ReadAll(w.Result().Body)
	a := answer{status: w.Code, header: w.Result().Header, body: string(raw)}
	json.Unmarshal(raw, &a.json)
	return a
}

func (h *house) post(path string, form url.Values) answer {
	return h.do(http.MethodPost, path, "application/x-www-form-urlencoded", form.Encode(), nil)
}

func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// with copies a form and changes some parameters; "" takes one away.
func with(form url.Values, pairs ...string) url.Values {
	v := url.Values{}
	for name, list := range form {
		v[name] = list
	}
	for i := 0; i < len(pairs); i += 2 {
		if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return v
}

func challengeOf(verifier string) string {
	digest := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

func challengeForm(username string) url.Values {
	return values("client_id", "app", "username", username, "password", password, "code_challenge", challengeOf(verifier), "code_challenge_method", "S256")
}

// code logs a user in at the challenge endpoint.
func (h *house) code(username, scope string) string {
	h.t.Helper()
	form := challengeForm(username)
	if scope != "" {
		form.Set("scope", scope)
	}
	a := h.post("/oauth/authorize-challenge", form)
	if a.status != http.StatusOK {
		h.t.Fatalf("challenge of %s: %d %s", username, a.status, a.body)
	}
	return a.str("authorization_code")
}

func redeemForm(code string) url.Values {
	return values("grant_type", "authorization_code", "client_id", "app", "code", code, "code_verifier", verifier)
}

func refreshForm(token string) url.Values {
	return values("grant_type", "refresh_token", "client_id", "app", "refresh_token", token)
}

// login is a whole login; the answer holds both tokens.
func (h *house) login(username, scope string) answer {
	h.t.Helper()
	a := h.post("/oauth/token", redeemForm(h.code(username, scope)))
	if a.status != http.StatusOK {
		h.t.Fatalf("login of %s: %d %s", username, a.status, a.body)
	}
	return a
}

func (h *house) service() answer {
	h.t.Helper()
	a := h.post("/oauth/token", values("grant_type", "client_credentials", "client_id", "robot", "client_secret", h.serviceSecret))
	if a.status != http.StatusOK {
		h.t.Fatalf("client_credentials: %d %s", a.status, a.body)
	}
	return a
}

// active asks the introspection endpoint as the reader of the orders API.
func (h *house) active(token string) bool {
	h.t.Helper()
	a := h.post("/oauth/introspect", values("client_id", "orders-api", "client_secret", h.readerSecret, "token", token))
	if a.status != http.StatusOK {
		h.t.Fatalf("introspect: %d %s", a.status, a.body)
	}
	active, ok := a.json["active"].(bool)
	if !ok {
		h.t.Fatalf("introspect: %s", a.body)
	}
	return active
}

func claimsOf(t *testing.T, raw string) map[string]any {
	t.Helper()
	token, err := jose.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(token.Payload(), &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// wantError checks status and code of a refusal.
func wantError(t *testing.T, a answer, status int, code string) {
	t.Helper()
	if a.status != status || a.str("error") != code || a.str("error_description") == "" {
		t.Errorf("got %d %s; want %d %s and a sentence", a.status, strings.TrimSpace(a.body), status, code)
	}
}
