package guard_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
)

const page = "https://app.example.com"

func withCORS(c *guard.Config) {
	c.CORS = guard.CORS{Origins: []string{page, "http://localhost:5173"}, Headers: []string{"Idempotency-Key"}}
}

// ask sends a request of a page, or of none when origin is empty.
func ask(h http.Handler, method, target, origin string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	for n := 0; n < len(header); n += 2 {
		r.Header.Add(header[n], header[n+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// allowed checks what every answer of a guard with CORS must be like.
func allowed(t *testing.T, w *httptest.ResponseRecorder, origin string) {
	t.Helper()
	h := w.Header()
	if h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Credentials") != "" || !slices.Contains(h.Values("Vary"), "Origin") {
		t.Errorf("%d: headers %v, want the origin %q and Vary: Origin", w.Code, h, origin)
	}
	if origin == "" {
		for name := range h {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s for an origin that is not listed", name)
			}
		}
	}
}

// corsAPI is an API whose mux knows methods, behind Protect.
func corsAPI(g *guard.Guard) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /orders", g.Require("orders:read")(hello))
	mux.Handle("DELETE /orders", g.Require("orders:delete")(hello))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok")) })
	return g.Protect(mux, "GET /healthz")
}

// A preflight has no token, and is answered before anybody asks for one.
func TestT83Preflights(t *testing.T) {
	i := newIssuer(t)
	i.down.Store(true) // nor does it need keys
	h := corsAPI(i.guard(withCORS))
	for _, path := range []string{"/orders", "/healthz", "/nothing"} {
		w := ask(h, "OPTIONS", path, page, "Access-Control-Request-Method", "DELETE", "Access-Control-Request-Headers", "authorization,idempotency-key")
		allowed(t, w, page)
		if w.Code != 204 || !strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), "DELETE") || w.Header().Get("Access-Control-Max-Age") != "600" || w.Body.Len() != 0 {
			t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
		}
		for _, name := range []string{"authorization", "content-type", "idempotency-key"} {
			if !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), name) {
				t.Errorf("%s: %s is not allowed", path, name)
			}
		}
	}
	// A middleware of one route answers too, where the mux lets OPTIONS through.
	single := i.guard(withCORS).Require("orders:read")(hello)
	if w := ask(single, "OPTIONS", "/orders", page, "Access-Control-Request-Method", "GET"); w.Code != 204 {
		t.Errorf("Require: %d", w.Code)
	}
}

func TestT83OriginsAreExact(t *testing.T) {
	i := newIssuer(t)
	h := corsAPI(i.guard(withCORS))
	token := "Bearer " + i.token()
	for _, origin := range []string{"https://app.example.com.evil.example", "https://evil.example", "http://app.example.com", "https://app.example.com:8443", "https://APP.example.com", "https://app.example.com/", "null", "*", "https://xapp.example.com", " https://app.example.com"} {
		allowed(t, ask(h, "OPTIONS", "/orders", origin, "Access-Control-Request-Method", "GET"), "")
		allowed(t, ask(h, "GET", "/orders", origin, "Authorization", token), "")
		allowed(t, ask(h, "GET", "/orders", origin), "")
	}
	allowed(t, ask(h, "GET", "/orders", "", "Authorization", token), "")
	allowed(t, ask(h, "GET", "/orders", page, "Authorization", token, "Origin", "https://evil.example"), "")
	allowed(t, ask(h, "GET", "/orders", "http://localhost:5173", "Authorization", token), "http://localhost:5173")
}

// A page can read why it was refused, and what it needs.
func TestT83RefusalsCanBeRead(t *testing.T) {
	i := newIssuer(t)
	g := i.guard(withCORS)
	h := corsAPI(g)
	for name, tc := range map[string]struct {
		method, target string
		token          string
		status         int
	}{
		"allowed":         {"GET", "/orders", i.token(), 200},
		"no token":        {"GET", "/orders", "", 401},
		"expired":         {"GET", "/orders", i.token("exp", 1), 401},
		"no scope":        {"DELETE", "/orders", i.token(), 403},
		"public":          {"GET", "/healthz", "", 200},
		"two tokens":      {"GET", "/orders", "a, Bearer b", 400},
		"no route":        {"GET", "/nothing", i.token(), 404},
		"OPTIONS, plain":  {"OPTIONS", "/orders", "", 401},
		"another method":  {"PUT", "/orders", i.token(), 405},
		"a probe of keys": {"GET", "/orders", "x", 401},
	} {
		var header []string
		if tc.token != "" {
			header = []string{"Authorization", "Bearer " + tc.token}
		}
		w := ask(h, tc.method, tc.target, page, header...)
		if w.Code != tc.status {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, tc.status)
		}
		allowed(t, w, page)
		if exposed := w.Header().Get("Access-Control-Expose-Headers"); !strings.Contains(exposed, "WWW-Authenticate") {
			t.Errorf("%s: exposed %q", name, exposed)
		}
		if n := len(w.Header().Values("Vary")); n != 1 {
			t.Errorf("%s: Vary %d times", name, n)
		}
	}
	down := newIssuer(t)
	down.down.Store(true)
	w := ask(down.guard(withCORS).Authenticated()(hello), "GET", "/", page, "Authorization", "Bearer "+down.token())
	if allowed(t, w, page); w.Code != 503 {
		t.Errorf("got %d", w.Code)
	}
}

func TestT83WithoutCORSNothingChanges(t *testing.T) {
	i := newIssuer(t)
	h := i.guard().Authenticated()(hello)
	w := ask(h, "OPTIONS", "/orders", page, "Access-Control-Request-Method", "GET")
	if w.Code != 401 || len(w.Header().Values("Vary")) != 0 || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestC38CORSFaults(t *testing.T) {
	for name, bad := range map[string]guard.CORS{
		"any origin":              {Origins: []string{"*"}},
		"null":                    {Origins: []string{"null"}},
		"a pattern":               {Origins: []string{"https://*.example.com"}},
		"a path":                  {Origins: []string{"https://app.example.com/"}},
		"no scheme":               {Origins: []string{"app.example.com"}},
		"upper case":              {Origins: []string{"https://App.example.com"}},
		"the default port":        {Origins: []string{"https://app.example.com:443"}},
		"an empty port":           {Origins: []string{"https://app.example.com:"}},
		"a user":                  {Origins: []string{"https://a@app.example.com"}},
		"another scheme":          {Origins: []string{"file://x"}},
		"any method":              {Origins: []string{page}, Methods: []string{"*"}},
		"two methods in one":      {Origins: []string{page}, Methods: []string{"GET, POST"}},
		"any header":              {Origins: []string{page}, Headers: []string{"*"}},
		"a header with a newline": {Origins: []string{page}, Headers: []string{"X\r\nY"}},
		"a week":                  {Origins: []string{page}, MaxAge: 7 * 24 * time.Hour},
		"less than nothing":       {Origins: []string{page}, MaxAge: -1},
		"methods for nobody":      {Methods: []string{"GET"}},
	} {
		if _, err := guard.New(guard.Config{Issuer: "https://auth.example.com", Audience: audience, CORS: bad}); err == nil || !strings.Contains(err.Error(), "CORS") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
