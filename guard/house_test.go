package guard_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

const audience = "https://orders.example.com"

// issuer is an authorization server whose every byte a test can change.
type issuer struct {
	t      *testing.T
	server *httptest.Server
	signer jose.Signer

	mu       sync.Mutex
	keys     []jose.Key
	document func() any                                        // nil: the usual one
	jwks     func(w http.ResponseWriter, r *http.Request) bool // true: answered
	fetches  atomic.Int64                                      // of the key set
	down     atomic.Bool
	other    map[string]http.HandlerFunc // by path
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t, signer: newSigner(t, jose.ES256)}
	i.keys = []jose.Key{i.signer.Key()}
	i.server = httptest.NewServer(i)
	t.Cleanup(i.server.Close)
	return i
}

func newSigner(t *testing.T, algorithm jose.Algorithm) jose.Signer {
	t.Helper()
	s, err := jose.GenerateSigner(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (i *issuer) url() string { return i.server.URL }

func (i *issuer) set(keys ...jose.Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	if handle := i.other[r.URL.Path]; handle != nil {
		i.mu.Unlock()
		handle(w, r)
		return
	}
	defer i.mu.Unlock()
	if i.down.Load() {
		http.Error(w, "down", http.StatusBadGateway)
		return
	}
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server":
		var document any = map[string]string{"issuer": i.url(), "jwks_uri": i.url() + "/jwks.json"}
		if i.document != nil {
			document = i.document()
		}
		json.NewEncoder(w).Encode(document)
	case "/jwks.json":
		i.fetches.Add(1)
		if i.jwks == nil || !i.jwks(w, r) {
			json.NewEncoder(w).Encode(jose.NewKeySet(i.keys...))
		}
	default:
		http.NotFound(w, r)
	}
}

func (i *issuer) guard(change ...func(*guard.Config)) *guard.Guard {
	i.t.Helper()
	config := guard.Config{Issuer: i.url(), Audience: audience, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for _, c := range change {
		c(&config)
	}
	g, err := guard.New(config)
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { g.Close() })
	return g
}

// claims of a valid token; pairs change some, a nil value takes one away.
func (i *issuer) claims(pairs ...any) map[string]any {
	now := time.Now().Unix()
	c := map[string]any{
		"iss": i.url(), "aud": audience, "sub": "usr_ada", "client_id": "app", "jti": fmt.Sprint(time.Now().UnixNano()), "iat": now, "exp": now + 600,
		"scope": "orders:read", "roles": []string{"viewer"}, "acr": "pwd", "auth_time": now,
	}
	for n := 0; n < len(pairs); n += 2 {
		if c[pairs[n].(string)] = pairs[n+1]; pairs[n+1] == nil {
			delete(c, pairs[n].(string))
		}
	}
	return c
}

func (i *issuer) token(pairs ...any) string { return sign(i.t, i.signer, "at+jwt", i.claims(pairs...)) }

func sign(t *testing.T, s jose.Signer, kind string, claims any) string {
	t.Helper()
	raw, err := s.Sign(kind, claims)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// hello answers with who calls.
var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, guard.MustFromContext(r.Context()).Subject())
})

func get(h http.Handler, token string) *httptest.ResponseRecorder {
	header := http.Header{}
	if token != "" {
		header["Authorization"] = []string{"Bearer " + token}
	}
	return getWith(h, "/orders", header)
}

func getWith(h http.Handler, target string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

type refusal struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	RequestID   string `json:"request_id"`
}

func want(t *testing.T, w *httptest.ResponseRecorder, status int, code, sentence string) {
	t.Helper()
	var body refusal
	json.Unmarshal(w.Body.Bytes(), &body)
	if w.Code != status || body.Code != code || !strings.Contains(body.Description, sentence) || status >= 400 && body.RequestID == "" {
		t.Errorf("got %d %s; want %d %s …%s…", w.Code, w.Body, status, code, sentence)
	}
}
