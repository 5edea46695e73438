package guard_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/guard"
)

// The document is where the challenge says, by RFC 9728 §3.1, its resource is
// the audience byte for byte (§3.3), and no header of a request changes it.
func TestPRMTheDocumentIsWhereTheChallengeSays(t *testing.T) {
	for audience, path := range map[string]string{
		"https://orders.example.com":             "/.well-known/oauth-protected-resource",
		"https://orders.example.com/":            "/.well-known/oauth-protected-resource",
		"https://orders.example.com/v1":          "/.well-known/oauth-protected-resource/v1",
		"https://orders.example.com/v1/mcp/":     "/.well-known/oauth-protected-resource/v1/mcp",
		"https://orders.example.com:8443/a%2Fb":  "/.well-known/oauth-protected-resource/a%2Fb",
		"https://ORDERS.example.com/V1":          "/.well-known/oauth-protected-resource/V1",
		"http://localhost:8081":                  "/.well-known/oauth-protected-resource",
		"http://127.0.0.1:8081/api?":             "",
		"https://orders.example.com?tenant=1":    "",
		"https://orders.example.com#x":           "",
		"https://orders.example.com#":            "",
		"https://u:p@orders.example.com":         "",
		"http://orders.example.com":              "",
		"urn:orders":                             "",
		"orders":                                 "",
		"api://6731de76-14a6-49ae-97bc-6eba6914": "",
		"https://orders.example.com/{id}":        "",
		"https://orders.example.com/a//b":        "",
		"https://orders.example.com/a/../b":      "",
	} {
		t.Run(audience, func(t *testing.T) {
			i := newIssuer(t)
			g := i.guard(func(c *guard.Config) { c.Audience = audience })
			challenge := get(g.Require("orders:read")(hello), "").Header().Get("WWW-Authenticate")
			if path == "" {
				if strings.Contains(challenge, "resource_metadata") {
					t.Errorf("challenge %s", challenge)
				}
				defer func() {
					if recover() == nil {
						t.Error("ResourceMetadata must panic when the route is registered")
					}
				}()
				g.ResourceMetadata(guard.Resource{})
				return
			}
			_, rest, _ := strings.Cut(audience, "://")
			host, _, _ := strings.Cut(rest, "/")
			scheme, _, _ := strings.Cut(audience, ":")
			address := scheme + "://" + host + path
			if !strings.Contains(challenge, `resource_metadata="`+address+`"`) {
				t.Errorf("challenge %s, want %s", challenge, address)
			}
			mux := http.NewServeMux()
			pattern, document := g.ResourceMetadata(guard.Resource{Name: "Orders", Documentation: "https://docs.example.com", Scopes: []string{"orders:read"}})
			mux.Handle(pattern, document)
			for _, spoofed := range []string{"", "evil.example"} {
				r := httptest.NewRequest("GET", address, nil)
				if spoofed != "" {
					r.Host = spoofed
					for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Original-Url", "Forwarded"} {
						r.Header.Set(name, spoofed)
					}
				}
				w := httptest.NewRecorder()
				g.Protect(mux, pattern).ServeHTTP(w, r)
				var d struct {
					Resource string   `json:"resource"`
					Servers  []string `json:"authorization_servers"`
					Methods  []string `json:"bearer_methods_supported"`
					Scopes   []string `json:"scopes_supported"`
					Name     string   `json:"resource_name"`
				}
				if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
					t.Fatalf("%d %s %v", w.Code, w.Body, err)
				}
				if d.Resource != audience || !slices.Equal(d.Servers, []string{i.url()}) || !slices.Equal(d.Methods, []string{"header"}) || !slices.Equal(d.Scopes, []string{"orders:read"}) || d.Name != "Orders" || strings.Contains(w.Body.String(), "evil") {
					t.Errorf("got %s", w.Body)
				}
			}
		})
	}
}

// Every refusal that a login could help points to the document.
func TestPRMChallenges(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	const link = `resource_metadata="https://orders.example.com/.well-known/oauth-protected-resource"`
	for name, tc := range map[string]struct {
		rule   guard.Rule
		token  string
		status int
		linked bool
	}{
		"no token":     {guard.Rule{}, "", 401, true},
		"expired":      {guard.Rule{}, i.token("exp", 1), 401, true},
		"no scope":     {guard.Rule{Scopes: []string{"orders:write"}}, i.token(), 403, true},
		"a weak login": {guard.Rule{ACR: "phr"}, i.token(), 401, true},
		"two tokens":   {guard.Rule{}, "a, Bearer b", 400, false},
	} {
		w := get(g.Enforce(tc.rule)(hello), tc.token)
		challenge := w.Header().Get("WWW-Authenticate")
		if w.Code != tc.status || strings.Contains(challenge, link) != tc.linked {
			t.Errorf("%s: %d %s", name, w.Code, challenge)
		}
	}
}

func TestPRMEmptyMembersAreLeftOut(t *testing.T) {
	i := newIssuer(t)
	_, h := i.guard().ResourceMetadata(guard.Resource{})
	w := ask(h, "GET", "/", "")
	if strings.Contains(w.Body.String(), "scopes_supported") || strings.Contains(w.Body.String(), "resource_name") || w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("RFC 9728 §3.2: %s %v", w.Body, w.Header())
	}
	for name, bad := range map[string]func(){
		"nil guard":         func() { (*guard.Guard)(nil).ResourceMetadata(guard.Resource{}) },
		"two scopes in one": func() { i.guard().ResourceMetadata(guard.Resource{Scopes: []string{"a b"}}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			bad()
		}()
	}
}
