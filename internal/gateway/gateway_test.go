package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guardtest"
	"github.com/gatehouse-auth/gatehouse/internal/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

// What was accepted is forwarded byte for byte (C35).
func TestC35TheBytesThatWereMatchedAreForwarded(t *testing.T) {
	h := newHouse(t, policyText, nil)
	for _, target := range []string{"/public/a", "/public/%61", "/public/a%20b", "/public/a%2Bb", "/public/a+b", "/public/a%2bb", "/public/a?", "/public/a?b", "/public/a?b=%2e%2e&c=%C3%A9", "/public/a?x=1;y=2",
		"/public/!$&'()*+,=:@-._~", "/public/%21%24%27%28%29", "/public/a?q=[]{}|\\^`", "/public/a/b/c/", "/public/%C3%A9"} {
		send(t, h.address, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		got := h.upstream.take()
		if len(got) != 1 || got[0].target != target {
			t.Errorf("%s: upstream saw %+v", target, got)
		}
	}
}

func TestAnswers(t *testing.T) {
	h := newHouse(t, policyText+"  - GET /fresh: { max_token_age: 1m }\n  - GET /clerks: { role: clerk }\n  - GET /chiefs: { role: chief }\n  - GET /tenants/{tenant}: { where: { token.tenant: path.tenant } }\n", nil)
	tenant := h.issuer.Token(guardtest.Token{Audience: audience, Claims: map[string]any{"tenant": "t1"}})
	old := h.issuer.Token(guardtest.Token{Audience: audience, Claims: map[string]any{"iat": time.Now().Add(-2 * time.Minute).Unix()}})
	expired := h.issuer.Token(guardtest.Token{Audience: audience, Expires: -time.Minute})
	const where = `resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"`
	for _, tc := range []struct {
		name, method, target, token string
		status                      int
		challenge                   string // all of these words
		code                        string
	}{
		{"no token", "GET", "/orders/1", "", 401, `Bearer realm="api"|` + where, "missing_token"},
		{"garbage", "GET", "/orders/1", "garbage", 401, `error="invalid_token"|scope="orders:read"|` + where, "invalid_token"},
		{"expired", "GET", "/orders/1", expired, 401, `error="invalid_token"|expired`, "invalid_token"},
		{"scope (C6)", "GET", "/orders/1", tenant, 403, `error="insufficient_scope"|scope="orders:read"|` + where, "insufficient_scope"},
		{"role", "GET", "/chiefs", h.token, 403, "", "access_denied"},
		{"role held", "GET", "/clerks", h.token, 200, "", ""},
		{"where", "GET", "/tenants/t2", tenant, 403, "", "access_denied"},
		{"where equal", "GET", "/tenants/t1", tenant, 200, "", ""},
		{"token age", "GET", "/fresh", old, 401, `error="invalid_token"|max_age="60"`, "invalid_token"},
		{"token age held", "GET", "/fresh", h.token, 200, "", ""},
		{"no route", "GET", "/nothing", h.token, 403, "", "access_denied"},
		{"method", "DELETE", "/orders/1", h.token, 403, "", "access_denied"},
		{"two readings (C35)", "GET", "/orders/%2e%2e", h.token, 400, "", "bad_path"},
		{"token in the query (T70)", "GET", "/orders/1?access_token=" + h.token, h.token, 400, `error="invalid_request"`, "invalid_request"},
		{"public", "GET", "/public/a", "", 200, "", ""},
		{"public with a bad token", "GET", "/public/a", "garbage", 200, "", ""},
	} {
		status, header, body := h.do(t, tc.method, tc.target, tc.token)
		if status != tc.status {
			t.Errorf("%s: %d, want %d: %s", tc.name, status, tc.status, body)
		}
		for want := range strings.SplitSeq(tc.challenge, "|") {
			if !strings.Contains(header.Get("WWW-Authenticate"), want) {
				t.Errorf("%s: WWW-Authenticate %q lacks %s", tc.name, header.Get("WWW-Authenticate"), want)
			}
		}
		var said struct {
			Error string `json:"error"`
			ID    string `json:"request_id"`
		}
		if json.Unmarshal([]byte(body), &said); said.Error != tc.code || tc.code != "" && said.ID != header.Get("X-Request-Id") {
			t.Errorf("%s: body %s, want error %q and the id %s", tc.name, body, tc.code, header.Get("X-Request-Id"))
		}
		if strings.Contains(body, "t1") {
			t.Errorf("%s: the answer tells a claim: %s", tc.name, body)
		}
	}
}

// About 380 forged tokens, none of which may reach the upstream.
func TestForgedTokens(t *testing.T) {
	h := newHouse(t, policyText, nil)
	h.issuer.Attack(t, h.gateway, httptest.NewRequest("GET", "/orders/7", nil), guardtest.Token{Audience: audience, Scopes: []string{"orders:read"}})
}

func TestC36AuthorizationAndCookieStayHere(t *testing.T) {
	h := newHouse(t, policyText+"  - GET /open: { forward: [authorization, cookie] }\n", nil)
	h.do(t, "GET", "/orders/7", h.token, "Cookie", "a=b")
	h.do(t, "GET", "/open", h.token, "Cookie", "a=b")
	got := h.upstream.take()
	if len(got) != 2 || got[0].header.Get("Authorization")+got[0].header.Get("Cookie") != "" {
		t.Errorf("upstream saw %+v, want neither Authorization nor Cookie", got)
	}
	if len(got) == 2 && (got[1].header.Get("Authorization") == "" || got[1].header.Get("Cookie") != "a=b") {
		t.Errorf("a route that forwards both: upstream saw %v", got[1].header)
	}
}

// The identity is never that of another token, however many race (T77).
func TestT77IdentitiesDoNotMix(t *testing.T) {
	issuer := guardtest.NewIssuer(t)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("X-User-Id")) }))
	defer upstream.Close()
	g, err := gateway.New(gateway.Config{Policy: []byte(strings.ReplaceAll(policyText, "ISSUER", issuer.URL())), Upstream: upstream.URL, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	var all sync.WaitGroup
	for i := range 32 {
		user := fmt.Sprintf("usr_%d", i)
		token := issuer.Token(guardtest.Token{Subject: user, Audience: audience, Scopes: []string{"orders:read"}})
		all.Go(func() {
			for range 20 {
				r := httptest.NewRequest("GET", "/orders/7", nil)
				r.Header.Set("Authorization", "Bearer "+token)
				w := httptest.NewRecorder()
				g.ServeHTTP(w, r)
				if w.Code != 200 || w.Body.String() != user {
					t.Errorf("%s: %d %s", user, w.Code, w.Body)
				}
			}
		})
	}
	all.Wait()
}

func TestClaimsThatCannotBeHeaders(t *testing.T) {
	h := newHouse(t, strings.Replace(policyText, "X-Roles: token.roles", "X-Roles: token.roles, X-Name: token.name", 1), nil)
	for _, tc := range []struct {
		name  string
		token guardtest.Token
		want  int
		head  string
	}{
		{"text", guardtest.Token{Claims: map[string]any{"name": "Zoë"}}, 200, "Zoë"},
		{"line break", guardtest.Token{Claims: map[string]any{"name": "a\r\nX-Roles: chief"}}, 403, ""},
		{"space at the end", guardtest.Token{Claims: map[string]any{"name": "a "}}, 403, ""},
		{"role with a comma", guardtest.Token{Roles: []string{"clerk,chief"}}, 403, ""},
		{"list", guardtest.Token{Claims: map[string]any{"name": []string{"a", "b"}}}, 200, "a,b"},
		{"object", guardtest.Token{Claims: map[string]any{"name": map[string]any{"a": 1}}}, 200, ""},
		{"absent", guardtest.Token{}, 200, ""},
	} {
		tc.token.Audience, tc.token.Scopes = audience, []string{"orders:read"}
		status, _, _ := h.do(t, "GET", "/orders/7", h.issuer.Token(tc.token), "X-Name", "evil")
		got := h.upstream.take()
		if status != tc.want || (status == 200) != (len(got) == 1) {
			t.Errorf("%s: %d, upstream saw %d requests, want %d", tc.name, status, len(got), tc.want)
		}
		if len(got) == 1 && got[0].header.Get("X-Name") != tc.head {
			t.Errorf("%s: X-Name %q, want %q", tc.name, got[0].header.Get("X-Name"), tc.head)
		}
	}
}

func TestLimits(t *testing.T) {
	h := newHouse(t, policyText+"limits: { per_subject: 3, body: 1KiB }\n", nil)
	other := h.issuer.Token(guardtest.Token{Subject: "usr_bob", Audience: audience, Scopes: []string{"orders:read"}})
	limited := 0
	for range 12 {
		status, header, _ := h.do(t, "GET", "/orders/7", h.token)
		if status == 429 {
			limited++
			if header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
		}
	}
	if limited < 3 || limited > 6 {
		t.Errorf("%d of 12 requests at once were refused, want 6 or, on a slow machine, fewer", limited)
	}
	if status, _, _ := h.do(t, "GET", "/orders/7", other); status != 200 {
		t.Errorf("another subject: %d", status)
	}
	for name, body := range map[string]io.Reader{"announced": bytes.NewReader(make([]byte, 2000)), "chunked": io.MultiReader(bytes.NewReader(make([]byte, 2000)))} {
		answer, err := http.Post(h.url+"/public/a", "text/plain", body)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != 413 {
			t.Errorf("body of 2000 bytes, %s: %d, want 413", name, answer.StatusCode)
		}
	}
	if answer, err := http.Post(h.url+"/public/a", "text/plain", strings.NewReader("short")); err != nil || answer.StatusCode != 200 {
		t.Errorf("a short body: %v %v", answer, err)
	}
}

func TestCORS(t *testing.T) {
	h := newHouse(t, policyText+"cors: { origins: [\"https://app.example.com\"], headers: [X-Trace], max_age: 5m }\n", nil)
	preflight := func(origin, target, method string) (int, http.Header) {
		status, header, _ := h.do(t, "OPTIONS", target, "", "Origin", origin, "Access-Control-Request-Method", method)
		return status, header
	}
	if status, got := preflight("https://app.example.com", "/orders/7", "GET"); status != 204 || got.Get("Access-Control-Allow-Origin") != "https://app.example.com" || got.Get("Access-Control-Max-Age") != "300" || !strings.Contains(got.Get("Access-Control-Allow-Headers"), "X-Trace") || got.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %d %v", status, got)
	}
	if _, got := preflight("https://evil.example", "/orders/7", "GET"); got.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight of a stranger: %v", got)
	}
	if status, got := preflight("https://app.example.com", "/orders/7", "DELETE"); status != 403 || got.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight for a method without a route: %d %v", status, got)
	}
	if status, got, _ := h.do(t, "GET", "/orders/7", "", "Origin", "https://app.example.com"); status != 401 || got.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("a refusal that a page may read: %d %v", status, got)
	}
	if len(h.upstream.take()) != 0 {
		t.Error("a preflight reached the upstream")
	}
}

func TestDecisionsAndShadow(t *testing.T) {
	var log lockedBuffer
	h := newHouse(t, policyText+"  - GET /new/{id}: { scope: new:read, mode: shadow }\n", func(c *gateway.Config) { c.Decisions = &log })
	if status, _, _ := h.do(t, "GET", "/new/1?secret=x", h.token); status != 200 {
		t.Errorf("a route that only watches: %d", status)
	}
	h.do(t, "GET", "/new/1", "garbage")
	h.do(t, "GET", "/orders/1", h.token)
	h.do(t, "GET", "/orders/1", "")
	h.do(t, "GET", "/orders/%2f", h.token)
	h.gateway.Reload()
	time.Sleep(1500 * time.Millisecond) // written at most a second late
	var got []string
	lines := bufio.NewScanner(strings.NewReader(log.String()))
	for lines.Scan() {
		var r policy.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil || r.RequestID == "" || r.Time.IsZero() {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s %s", r.Method, r.Path, r.Decision, r.Reason, r.Subject))
	}
	want := []string{"GET /new/1 shadow insufficient_scope usr_amy", "GET /new/1 shadow invalid_token ", "GET /orders/1 allow  usr_amy", "GET /orders/1 deny missing_token ", "GET /orders/%2f deny bad_path "}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("decisions:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A new policy is taken up without losing a connection; one with a fault is not.
func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	var log lockedBuffer
	h := newHouse(t, policyText, func(c *gateway.Config) {
		os.WriteFile(file, c.Policy, 0o600)
		c.Policy, c.PolicyFile = nil, file
		c.Logger = newLogger(&log)
	})
	ctx, end := context.WithCancel(context.Background())
	defer end()
	go h.gateway.Watch(ctx, nil)
	original, _ := os.ReadFile(file)
	conn, err := net.Dial("tcp", h.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	ask := func(target string) int {
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", target, h.token)
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("the connection was lost: %v", err)
		}
		io.Copy(io.Discard, answer.Body)
		return answer.StatusCode
	}
	if ask("/added") != 403 {
		t.Error("before: want 403")
	}
	write := func(text string) {
		time.Sleep(20 * time.Millisecond)
		os.WriteFile(file, []byte(text), 0o600)
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	write(string(original) + "  - GET /added: {}\n")
	until("a new policy is not taken up", func() bool { return ask("/added") == 200 })
	write(string(original) + "  - GET /added: { scoop: x }\n")
	until("the fault of the policy is not told", func() bool { return strings.Contains(log.String(), "scoop") })
	if ask("/added") != 200 {
		t.Error("a policy with a fault replaced the one that was fine")
	}
	os.Remove(file)
	until("a missing policy is not told", func() bool { return strings.Contains(log.String(), "no such file") })
	if ask("/added") != 200 {
		t.Error("a policy that is gone replaced the one that was fine")
	}
}

// The gateway starts while an issuer is down, says so, and recovers alone; with
// a data folder a restart needs no issuer at all (C18).
func TestC18AnIssuerThatIsDown(t *testing.T) {
	h := newHouse(t, policyText, nil)
	address := freeAddress(t)
	front := &http.Server{Addr: address, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := http.Get(h.issuer.URL() + r.URL.Path)
		if err != nil {
			w.WriteHeader(502)
			return
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		// What is signed cannot be passed on under another name: this issuer has no feed.
		body = bytes.ReplaceAll(body, []byte("revocation_feed_"), []byte("no_feed_"))
		w.Write(bytes.ReplaceAll(body, []byte(h.issuer.URL()), []byte("http://"+address)))
	})}
	text := []byte(strings.ReplaceAll(policyText, "ISSUER", "http://"+address))
	data := t.TempDir()
	start := func() *gateway.Gateway {
		g, err := gateway.New(gateway.Config{Policy: text, Upstream: h.upstream.url, Data: data, Logger: discard()})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	token := h.issuer.Token(guardtest.Token{Audience: audience, Scopes: []string{"orders:read"}, Claims: map[string]any{"iss": "http://" + address}})
	ask := func(g *gateway.Gateway, target string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", target, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		return w
	}
	g := start()
	if w := ask(g, "/orders/7"); w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("issuer down: %d %v, want 503 with Retry-After", w.Code, w.Header())
	}
	if w := ask(g, "/readyz"); w.Code != 503 || !strings.Contains(w.Body.String(), address) {
		t.Errorf("readyz: %d %s, want 503 and the reason", w.Code, w.Body)
	}
	if w := ask(g, "/healthz"); w.Code != 200 {
		t.Errorf("healthz: %d", w.Code)
	}
	if w := ask(g, "/public/a"); w.Code != 200 {
		t.Errorf("a public route: %d", w.Code)
	}
	go front.ListenAndServe()
	for end := time.Now().Add(20 * time.Second); ask(g, "/orders/7").Code != 200; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the gateway does not recover when the issuer is back")
		}
	}
	if w := ask(g, "/readyz"); w.Code != 200 {
		t.Errorf("readyz after recovery: %d %s", w.Code, w.Body)
	}
	g.Close()
	front.Close()
	g = start()
	defer g.Close()
	if w := ask(g, "/orders/7"); w.Code != 200 {
		t.Errorf("restart without the issuer: %d %s, want 200 by the copy of its keys", w.Code, w.Body)
	}
}

// The signed identity: a key of the gateway's own, for one upstream, one method
// and one path (C25).
func TestC25SignedIdentity(t *testing.T) {
	data := t.TempDir()
	h := newHouse(t, policyText+"identity_jwt: { audience: \"https://orders.internal\" }\n", func(c *gateway.Config) { c.Data, c.IdentityIssuer = data, "https://gateway.internal" })
	h.do(t, "GET", "/orders/7?q=1", h.token, "Gatehouse-Identity", "evil", "gatehouse_identity", "evil")
	h.do(t, "GET", "/public/a", "", "Gatehouse-Identity", "evil")
	got := h.upstream.take()
	if len(got) != 2 || len(got[0].header["Gatehouse-Identity"]) != 1 || len(got[1].header["Gatehouse-Identity"]) != 0 {
		t.Fatalf("upstream saw %+v", got)
	}
	_, _, document := h.do(t, "GET", gateway.IdentityKeysPath, "")
	set, _, err := jose.ParseKeySet([]byte(document))
	if err != nil || set.Len() != 1 {
		t.Fatalf("keys %s: %v", document, err)
	}
	token, err := jose.Parse(got[0].header.Get("Gatehouse-Identity"))
	if err != nil {
		t.Fatal(err)
	}
	key, _ := set.Key(token.KeyID())
	if err := token.Verify(key); err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Iss, Aud, Sub, Method, Path, Scope string
		Roles                              []string
		Iat, Exp                           int64
	}
	c, _ := token.Claims()
	payload := token.Payload()
	if json.Unmarshal(payload, &claims); claims.Iss != "https://gateway.internal" || claims.Aud != "https://orders.internal" || claims.Sub != "usr_amy" || claims.Method != "GET" || claims.Path != "/orders/7" || claims.Scope != "orders:read" || claims.Exp-claims.Iat != 30 || !c.Has("jti") || token.Type() == "at+jwt" {
		t.Errorf("identity %s, type %s", payload, token.Type())
	}
	file := filepath.Join(data, "gateway-identity.pem")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v %v", info, err)
	}
	os.Chmod(file, 0o644)
	if _, err := gateway.OpenIdentity(data, "https://gateway.internal", "x"); err == nil || !strings.Contains(err.Error(), "can be read by others") {
		t.Errorf("a key that others can read: %v", err)
	}
}

func TestRefusesToStart(t *testing.T) {
	text := strings.ReplaceAll(policyText, "ISSUER", "https://auth.example.com")
	nginx, _ := gateway.CarrierOf("nginx")
	for _, tc := range []struct {
		name   string
		config gateway.Config
		want   string
	}{
		{"nothing to do", gateway.Config{Policy: []byte(text)}, "neither an upstream"},
		{"forward-auth without proxies (T74)", gateway.Config{Policy: []byte(text), ForwardAuth: nginx}, "needs trusted proxies"},
		{"forward-auth trusts everybody (T74)", gateway.Config{Policy: []byte(text), ForwardAuth: nginx, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}, "is everybody"},
		{"plain listener without proxies", gateway.Config{Policy: []byte(text), Upstream: "http://127.0.0.1:1", ProxiesOnly: true}, "needs trusted proxies"},
		{"upstream with a path", gateway.Config{Policy: []byte(text), Upstream: "http://127.0.0.1:1/api"}, "without a path"},
		{"identity without a key", gateway.Config{Policy: []byte(text + "identity_jwt: true\n"), Upstream: "http://127.0.0.1:1"}, "--data"},
		{"identity in the authority's name (C25)", gateway.Config{Policy: []byte(text + "identity_jwt: true\n"), Upstream: "http://127.0.0.1:1", Data: t.TempDir(), IdentityIssuer: "https://auth.example.com"}, "of its own"},
		{"fault in the policy", gateway.Config{Policy: []byte(text + "  - /x: {}\n"), Upstream: "http://127.0.0.1:1"}, "no methods"},
	} {
		tc.config.Logger = discard()
		if _, err := gateway.New(tc.config); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

// Who is not a trusted proxy is not believed, neither at /forward-auth nor by
// X-Forwarded-For (T74).
func TestT74OnlyTrustedProxiesAreBelieved(t *testing.T) {
	h := newHouse(t, policyText, func(c *gateway.Config) {
		c.Upstream, c.TrustedProxies = "", []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}
		c.ForwardAuth, _ = gateway.CarrierOf("nginx")
	})
	if status, _, _ := h.do(t, "GET", "/forward-auth", h.token, "X-Original-Method", "GET", "X-Original-Uri", "/orders/7"); status != 403 {
		t.Errorf("a stranger asks at /forward-auth: %d, want 403", status)
	}
	trusted := newHouse(t, policyText, forwardAuth("nginx"))
	for name, headers := range map[string][]string{
		"no header":              {},
		"no method":              {"X-Original-Uri", "/orders/7"},
		"the other pair":         {"X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/orders/7"},
		"twice":                  {"X-Original-Method", "GET", "X-Original-Uri", "/orders/7", "X-Original-Uri", "/public/a"},
		"another spelling":       {"X-Original-Method", "GET", "X-Original-Uri", "/orders/7", "X_original_uri", "/public/a"},
		"identity in disguise":   {"X-Original-Method", "GET", "X-Original-Uri", "/orders/7", "X_user_id", "evil"},
		"a path of two readings": {"X-Original-Method", "GET", "X-Original-Uri", "/public/..%2forders/7"},
	} {
		if status, _, _ := trusted.do(t, "GET", "/forward-auth", trusted.token, headers...); status != 400 {
			t.Errorf("%s: %d, want 400", name, status)
		}
	}
	if status, header, _ := trusted.do(t, "GET", "/forward-auth", trusted.token, "X-Original-Method", "GET", "X-Original-Uri", "/orders/7"); status != 200 || header.Get("X-User-Id") != "usr_amy" {
		t.Errorf("a good question: %d %v", status, header)
	}
	proxy := newHouse(t, policyText, nil)
	proxy.do(t, "GET", "/orders/7", proxy.token, "X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https")
	if got := proxy.upstream.take(); len(got) != 1 || got[0].header.Get("X-Forwarded-For") != "127.0.0.1" || got[0].header.Get("X-Forwarded-Proto") != "http" {
		t.Errorf("a stranger's X-Forwarded-For: upstream saw %+v", got)
	}
	behind := newHouse(t, policyText, func(c *gateway.Config) { c.TrustedProxies = loopback() })
	behind.do(t, "GET", "/orders/7", behind.token, "X-Forwarded-For", "6.6.6.6, 203.0.113.9", "X-Forwarded-Proto", "https")
	if got := behind.upstream.take(); len(got) != 1 || got[0].header.Get("X-Forwarded-For") != "203.0.113.9" || got[0].header.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("behind a trusted proxy: upstream saw %+v", got)
	}
}
