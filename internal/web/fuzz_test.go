package web_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/server"
)

// Whatever a stranger sends as a flow is refused: it opens nothing, sends the
// browser nowhere, and is nobody's fault but the sender's.
func FuzzFlow(f *testing.F) {
	kek, _ := keys.GenerateKEK()
	ctx := context.Background()
	parts, err := server.Assemble(ctx, server.Config{Issuer: "http://127.0.0.1:1", Dir: f.TempDir(), KEKs: []keys.KEK{kek}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { parts.Close() })
	if _, _, err := parts.Directory.CreateClient(ctx, "test", iam.Client{ID: "wiki", Type: iam.Public, RedirectURIs: []string{callback}, Scopes: []string{"openid"}}); err != nil {
		f.Fatal(err)
	}
	get := func(target, cookie string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "http://127.0.0.1:1"+target, nil)
		r.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		parts.Handler.ServeHTTP(w, r)
		return w
	}
	first := get("/oauth/authorize?"+request().Encode(), "")
	cookie := first.Result().Cookies()[0].Name + "=" + first.Result().Cookies()[0].Value
	good := page{first.Result(), first.Body.String()}.field("flow")
	if again := get("/continue?flow="+good, cookie); again.Code != 200 || !strings.Contains(again.Body.String(), `action="/login"`) {
		f.Fatalf("the flow itself: %d", again.Code)
	}
	for _, seed := range []string{good, good[:len(good)-1], good + "A", good + "=", "v1.." + good, strings.Replace(good, "v1.", "v2.", 1), "", "v1.x.y", strings.ToLower(good), good + "\n", strings.Replace(good, ".", "..", 1)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, flow string) {
		w := get("/continue?flow="+url.QueryEscape(flow), cookie)
		if flow == good {
			return
		}
		if w.Code != 400 || w.Header().Get("Location") != "" || len(w.Header()["Set-Cookie"]) > 0 || strings.Contains(w.Body.String(), "<form") {
			t.Fatalf("%q: %d %s", flow, w.Code, w.Header())
		}
	})
}

// Whatever a stranger asks of the authorization endpoint, the browser is sent
// nowhere but to the registered address, and never with more than an error.
func FuzzAuthorize(f *testing.F) {
	kek, _ := keys.GenerateKEK()
	ctx := context.Background()
	parts, err := server.Assemble(ctx, server.Config{Issuer: "http://127.0.0.1:1", Dir: f.TempDir(), KEKs: []keys.KEK{kek}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { parts.Close() })
	if _, _, err := parts.Directory.CreateClient(ctx, "test", iam.Client{ID: "wiki", Type: iam.Public, RedirectURIs: []string{callback}, Scopes: []string{"openid"}}); err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{request().Encode(), request("prompt", "none").Encode(), request("response_mode", "form_post", "prompt", "none").Encode(), request("redirect_uri", "https://evil.example").Encode(), "client_id=wiki", request("request_uri", "urn:ietf:params:oauth:request_uri:x").Encode(),
		request("state", "\r\nx").Encode(), request("claims", `{"userinfo":{}}`).Encode() + "&client_id=evil", request("id_token_hint", "a.b.c").Encode(), request("ui_locales", "de", "login_hint", "<b>").Encode()} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "http://127.0.0.1:1/oauth/authorize", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		parts.Handler.ServeHTTP(w, r)
		to := w.Header().Get("Location")
		switch {
		case w.Code >= 500:
			t.Fatalf("%q: %d", query, w.Code)
		case to == "":
			if strings.Contains(w.Body.String(), `name="code"`) {
				t.Fatalf("%q: a code for nobody", query)
			}
			return
		}
		u, err := url.Parse(to)
		if err != nil || !strings.HasPrefix(to, callback+"?error=") || len(u.Query()["iss"]) != 1 || u.Query().Has("code") || strings.ContainsAny(to, "\r\n") || u.Fragment != "" {
			t.Fatalf("%q: sent to %s", query, to)
		}
	})
}
