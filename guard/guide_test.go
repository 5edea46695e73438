package guard_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/guardtest"
)

// The code of the guides stands in this file line by line, so that it compiles,
// and the test below compares. The functions run in TestGuidesRun.

var orders = hello

func guideRoutes() (http.Handler, error) {
	g, err := guard.New(guard.Config{Issuer: "https://auth.example.com", Audience: "https://orders.example.com"})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders", g.Require("orders:read")(orders))
	return mux, nil
}

func guideSnapshot() (http.Handler, error) {
	g, err := guard.New(guard.Config{
		Issuer:       "https://auth.example.com",
		Audience:     "https://orders.example.com",
		SnapshotFile: "/var/lib/orders/issuer-keys.json",
	})
	if err != nil {
		return nil, err
	}
	return g.Authenticated()(orders), nil
}

func guideCORS() (http.Handler, error) {
	g, err := guard.New(guard.Config{
		Issuer:   "https://auth.example.com",
		Audience: "https://orders.example.com",
		CORS:     guard.CORS{Origins: []string{"https://app.example.com"}, Headers: []string{"Idempotency-Key"}},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders", g.Require("orders:read")(orders))
	return g.Protect(mux, "GET /healthz"), nil
}

func guideMetadata(g *guard.Guard, mux *http.ServeMux) (http.Handler, error) {
	pattern, metadata := g.ResourceMetadata(guard.Resource{Name: "Orders", Scopes: []string{"orders:read"}})
	mux.Handle(pattern, metadata)
	return g.Protect(mux, pattern), nil
}

func guideAny(ours, partners *guard.Guard, mux *http.ServeMux) (http.Handler, error) {
	both, err := guard.Any(ours, partners)
	if err != nil {
		return nil, err
	}
	mux.Handle("GET /orders", both.Require("orders:read")(orders))
	return mux, nil
}

func guideTesting(t *testing.T, request *http.Request) *guard.Guard {
	iss := guardtest.NewIssuer(t)
	g := iss.Guard(t, "https://orders.example.com")
	request.Header.Set("Authorization", "Bearer "+iss.Token(guardtest.Token{Scopes: []string{"orders:read"}}))
	return g
}

func guideRevoke(t *testing.T, iss *guardtest.Issuer, token string) {
	iss.Revoke(t, token)
}

func guideReader(secret string) (http.Handler, error) {
	g, err := guard.New(guard.Config{
		Issuer:   "https://auth.example.com",
		Audience: "https://orders.example.com",
		Reader:   guard.Reader{ClientID: "orders-api", ClientSecret: secret},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders", g.Require("orders:read")(orders))
	mux.Handle("DELETE /orders/{id}", g.Enforce(guard.Rule{Scopes: []string{"orders:write"}, OnStale: guard.StaleDeny})(orders))
	return mux, nil
}

func ticks(g *guard.Guard) http.Handler {
	return g.Require("orders:read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, stop := g.Watch(r.Context(), guard.MustFromContext(r.Context()))
		defer stop()
		w.Header().Set("Content-Type", "text/event-stream")
		for n := 0; ; n++ {
			fmt.Fprintf(w, "data: %d\n\n", n)
			http.NewResponseController(w).Flush()
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return // context.Cause(ctx) is guard.ErrExpired or guard.ErrRevoked
			}
		}
	}))
}

// The stream of the guide goes on, and ends with its token.
func TestGuideStreamEndsWithItsToken(t *testing.T) {
	iss := guardtest.NewIssuer(t)
	server := httptest.NewServer(ticks(iss.Guard(t, audience)))
	defer server.Close()
	token := iss.Token(guardtest.Token{Scopes: []string{"orders:read"}})
	request, err := http.NewRequest("GET", server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	ended := make(chan string, 1)
	go func() { body, _ := io.ReadAll(response.Body); ended <- string(body) }()
	select {
	case body := <-ended:
		t.Fatalf("it ended by itself: %d %s", response.StatusCode, body)
	case <-time.After(1500 * time.Millisecond):
	}
	guideRevoke(t, iss, token)
	select {
	case body := <-ended:
		if !strings.HasPrefix(body, "data: 0\n\ndata: 1\n\n") {
			t.Errorf("it said %q", body)
		}
	case <-time.After(5 * time.Second):
		t.Error("it goes on after its token was revoked")
	}
}

func guideProfile() (http.Handler, error) {
	g, err := guard.New(guard.Config{
		Issuer:   "https://example.eu.auth0.com/",
		Audience: "https://orders.example.com",
		Profile:  guard.Auth0,
	})
	if err != nil {
		return nil, err
	}
	return g.Authenticated()(orders), nil
}

func TestGuidesRun(t *testing.T) {
	request := httptest.NewRequest("GET", "/orders", nil)
	g := guideTesting(t, request)
	w := httptest.NewRecorder()
	g.Require("orders:read")(orders).ServeHTTP(w, request)
	if w.Code != 200 {
		t.Errorf("testing: %d %s", w.Code, w.Body)
	}
	other := newIssuer(t)
	for name, build := range map[string]func() (http.Handler, error){
		"routes": guideRoutes, "snapshot": guideSnapshot, "reader": func() (http.Handler, error) { return guideReader("secret") }, "CORS": guideCORS, "profile": guideProfile,
		"metadata": func() (http.Handler, error) { return guideMetadata(g, http.NewServeMux()) },
		"any":      func() (http.Handler, error) { return guideAny(g, other.guard(), http.NewServeMux()) },
	} {
		h, err := build()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if w := get(h, ""); w.Code != 401 {
			t.Errorf("%s: without a token %d", name, w.Code)
		}
	}
}

func TestGuidesCompile(t *testing.T) {
	source, err := os.ReadFile("guide_test.go")
	if err != nil {
		t.Fatal(err)
	}
	compiled := trimmed(string(source))
	for name, want := range map[string]int{"protect-a-go-api.md": 9, "other-providers.md": 1} {
		guide, err := os.ReadFile("../docs/guides/" + name)
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(guide), "```go\n")[1:]
		if len(blocks) != want {
			t.Errorf("%s has %d blocks of code, this test knows %d", name, len(blocks), want)
		}
		for _, block := range blocks {
			code, _, _ := strings.Cut(block, "```")
			if !strings.Contains(compiled, trimmed(code)) {
				t.Errorf("%s: this code is not in guide_test.go, so nobody knows whether it compiles:\n%s", name, code)
			}
		}
	}
}

// trimmed takes away how far lines are indented.
func trimmed(code string) string {
	var lines []string
	for line := range strings.Lines(code) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return "\n" + strings.Join(lines, "\n") + "\n"
}
