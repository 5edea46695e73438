package guardtest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/demo"
)

const audience = "https://api.example.com"

func TestOurOwnDemoAPIResists(t *testing.T) {
	for _, algorithm := range []string{"ES256", "ES384", "RS256", "PS256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			iss := NewIssuer(t)
			iss.RotateTo(algorithm)
			api := demo.NewAPI(iss.Guard(t, audience))
			iss.Attack(t, api, httptest.NewRequest("GET", "/orders", nil), Token{Scopes: []string{"orders:read"}, Roles: []string{"viewer"}})
			iss.Attack(t, api, httptest.NewRequest("GET", "/whoami", nil), Token{Subject: "robot", ClientID: "robot"})
		})
	}
}

func TestTheBodyIsSentEachTime(t *testing.T) {
	iss := NewIssuer(t)
	api := demo.NewAPI(iss.Guard(t, audience))
	iss.Attack(t, api, httptest.NewRequest("POST", "/orders", strings.NewReader(`{"item":"lantern"}`)), Token{Scopes: []string{"orders:write"}})
}

func TestWhatAttackCannotJudgeItSays(t *testing.T) {
	iss := NewIssuer(t)
	g := iss.Guard(t, audience)
	request := httptest.NewRequest("GET", "/", nil)
	reader := Token{Scopes: []string{"orders:read"}}
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	lockout := func() http.Handler {
		calls := 0
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls > 100 {
				http.Error(w, "too many", http.StatusTooManyRequests)
				return
			}
			g.Authenticated()(ok).ServeHTTP(w, r)
		})
	}
	for name, tc := range map[string]struct {
		handler http.Handler
		token   Token
		want    string
	}{
		"a public route":        {ok, reader, "public route"},
		"a missing scope":       {g.Require("orders:write")(ok), reader, "the valid token was not accepted (status 403)"},
		"another audience":      {g.Authenticated()(ok), Token{Audience: "https://other.example.com"}, "the valid token was not accepted (status 401)"},
		"a handler that panics": {http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("out of cheese") }), reader, "out of cheese"},
		"a handler that locks":  {lockout(), reader, "not accepted any more (status 429)"},
		"a presence check": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "" {
				w.WriteHeader(401)
			}
		}), reader, "public route"},
	} {
		t.Run(name, func(t *testing.T) {
			if r := iss.attack(tc.handler, request, tc.token, nil); !strings.Contains(r.broken, tc.want) {
				t.Errorf("got %q, want %q", r.broken, tc.want)
			}
		})
	}
}

func TestACrashIsNoRefusal(t *testing.T) {
	iss := NewIssuer(t)
	g := iss.Guard(t, audience)
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	for name, crash := range map[string]func(w http.ResponseWriter){
		"a panic":        func(http.ResponseWriter) { panic("index out of range") },
		"a server error": func(w http.ResponseWriter) { w.WriteHeader(500) },
	} {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Count(r.Header.Get("Authorization"), ".") == 4 {
				crash(w)
				return
			}
			g.Authenticated()(ok).ServeHTTP(w, r)
		})
		r := iss.attack(h, httptest.NewRequest("GET", "/", nil), Token{}, nil)
		if r.broken != "" || len(r.findings) == 0 {
			t.Errorf("%s: %q, %d findings", name, r.broken, len(r.findings))
		}
		for _, f := range r.findings {
			if text := f.String(); !strings.Contains(text, "crashed") && !strings.Contains(text, "status 500") || !strings.Contains(text, "fix:") {
				t.Errorf("%s: %s", name, text)
			}
		}
	}
}

func TestExcept(t *testing.T) {
	iss := NewIssuer(t)
	api := demo.NewAPI(iss.Guard(t, audience))
	request, token := httptest.NewRequest("GET", "/whoami", nil), Token{}
	all := iss.attack(api, request, token, nil)
	without := iss.attack(api, request, token, []Except{"T05", "alg-none"})
	if all.sent < 350 || all.sent-without.sent < 30 {
		t.Errorf("%d sent, %d with exceptions", all.sent, without.sent)
	}
}
