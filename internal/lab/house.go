package lab

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// fetcher gets what tokens lead to.
var fetcher = &http.Client{Timeout: 2 * time.Second}

// House serves an issuer and every API of the lab.
type House struct {
	issuer *Issuer
	strong string
	apis   map[string]*api
}

// NewHouse makes the APIs of the given flaws.
func NewHouse(issuer *Issuer, flaws []Flaw, strongSecret string) (*House, error) {
	h := &House{issuer: issuer, strong: strongSecret, apis: map[string]*api{}}
	for _, f := range flaws {
		v := &Verifier{Issuer: issuer.URL(), Audience: issuer.Audience(), Flaw: f.Name, Fetch: get}
		if f.Name == "errors come with status 200 and none is good" {
			v.Flaw = "algorithm none"
		}
		if f.Tokens() == "HS256" {
			v.Secret = []byte(h.Secret(f))
		} else {
			signer, err := issuer.Signer(f.Tokens())
			if err != nil {
				return nil, err
			}
			v.Key = signer.Key()
		}
		h.apis[f.Slug()] = &api{flaw: f, verifier: v, issuer: issuer, remembered: map[string]string{}}
	}
	return h, nil
}

// Secret is the one of an API with HS256.
func (h *House) Secret(f Flaw) string {
	if f.Name == "a weak secret" {
		return WeakSecret
	}
	return h.strong
}

// Token is a good token for an API.
func (h *House) Token(f Flaw) (string, error) {
	if f.Tokens() == "HS256" {
		return h.issuer.SecretToken(h.Secret(f))
	}
	return h.issuer.Token(f.Tokens())
}

func (h *House) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	slug, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if a, ok := h.apis[slug]; ok {
		a.ServeHTTP(w, r)
		return
	}
	h.issuer.ServeHTTP(w, r)
}

// api is one API: a route, and a verifier before it.
type api struct {
	flaw     Flaw
	verifier *Verifier
	issuer   *Issuer

	mu         sync.Mutex
	remembered map[string]string // jti → subject
	calls      []time.Time
	failures   int
}

// soft are flaws whose refusals have status 200.
func (a *api) soft() bool { return strings.HasPrefix(a.flaw.Name, "errors come with status 200") }

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.before(w, r) {
		return
	}
	if !a.guarded(r) {
		a.orders(w, r, "nobody")
		return
	}
	if r.URL.Path != a.flaw.Path() {
		http.NotFound(w, r)
		return
	}
	subject, ok := a.caller(r)
	if !ok {
		a.refuse(w)
		return
	}
	a.orders(w, r, subject)
}

// before is what some flaws do before anybody is identified.
func (a *api) before(w http.ResponseWriter, r *http.Request) bool {
	switch a.flaw.Name {
	case "open to all":
		a.orders(w, r, "everybody")
		return true
	case "refuses everybody":
		w.WriteHeader(http.StatusForbidden)
		return true
	case "limited":
		if a.tooMany() {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
	case "locks out":
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.failures > 40 {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
	case "five empty segments end the process":
		if bearer(r) == "...." {
			panic(http.ErrAbortHandler) // the connection breaks, as when a process ends
		}
	case "stack traces are shown":
		if raw := bearer(r); raw != "" && strings.Count(raw, ".") != 2 {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, "panic: runtime error: index out of range [2] with length 1\n\ngoroutine 19 [running]:\nmain.verify(0xc0000)\n")
			return true
		}
	case "any origin with credentials":
		if origin := r.Header.Get("Origin"); origin != "" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Allow-Credentials", "true")
		}
	case "a cookie without attributes":
		w.Header().Set("Set-Cookie", "session="+bearer(r)+"; Path=/")
	case "a shared cache may keep it":
		w.Header().Set("Cache-Control", "public, max-age=60")
	}
	return false
}

// tooMany lets 20 requests a minute through.
func (a *api) tooMany() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = slices.DeleteFunc(a.calls, func(at time.Time) bool { return time.Since(at) > time.Minute })
	if len(a.calls) >= 20 {
		return true
	}
	a.calls = append(a.calls, time.Now())
	return false
}

// guarded tells whether a token is asked for at all.
func (a *api) guarded(r *http.Request) bool {
	switch a.flaw.Name {
	case "the proxy's address is checked":
		return r.Header.Get("X-Forwarded-Uri") != "/public"
	case "a pattern that the query satisfies":
		return !strings.Contains(r.URL.RawQuery, "/public")
	case "one spelling of the path is checked":
		return r.URL.Path == a.flaw.Path() || strings.TrimSuffix(path.Clean(r.URL.Path), "/") != a.flaw.Path()
	case "only GET is checked":
		return r.Method == http.MethodGet
	}
	return true
}

func (a *api) caller(r *http.Request) (string, bool) {
	raw := bearer(r)
	switch a.flaw.Name {
	case "any text is a token":
		return "somebody", raw != ""
	case "token in the query":
		if r.Header.Get("Authorization") == "" {
			raw = r.URL.Query().Get("access_token")
		}
	case "any Authorization header will do":
		for _, value := range r.Header.Values("Authorization") {
			if raw, bearer := strings.CutPrefix(value, "Bearer "); bearer {
				if subject, ok := a.verifier.Caller(r.Context(), raw); ok {
					return subject, true
				}
			}
		}
		return "", false
	case "any scheme will do":
		if fields := strings.Fields(r.Header.Get("Authorization")); len(fields) > 1 {
			raw = fields[1]
		}
	case "a proxy's header is believed":
		if user := r.Header.Get("X-Forwarded-User"); user != "" {
			return user, true
		}
	case "kid is a command":
		if kid := kidOf(raw); strings.Contains(kid, "$(curl -s ") {
			address, _, _ := strings.Cut(strings.TrimPrefix(kid, "$(curl -s "), ")")
			get(address)
		}
	case "kid is fetched":
		if kid := kidOf(raw); strings.HasPrefix(kid, "http") {
			get(kid)
		}
	case "keys are fetched for each unknown kid":
		if kid := kidOf(raw); kid != "" && kid != a.verifier.Key.ID() {
			get(a.issuer.URL() + "/jwks.json")
		}
	}
	if a.flaw.Cookie {
		cookie, err := r.Cookie("session")
		if err != nil {
			return "", false
		}
		raw = cookie.Value
	}
	subject, ok := a.verifier.Caller(r.Context(), raw)
	if !ok {
		a.mu.Lock()
		a.failures++
		a.mu.Unlock()
	}
	if ok && a.flaw.Name == "a cache that mixes callers" {
		subject = a.remember(raw, subject)
	}
	return subject, ok
}

// remember is a cache with a careless key.
func (a *api) remember(raw, subject string) string {
	var claims struct {
		ID string `json:"jti"`
	}
	decode(raw, 1, &claims)
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, ok := a.remembered[claims.ID]; ok {
		return known
	}
	a.remembered[claims.ID] = subject
	return subject
}

func (a *api) refuse(w http.ResponseWriter) {
	if a.soft() {
		answer(w, http.StatusOK, map[string]any{"ok": false, "error": "unauthorized"})
		return
	}
	if a.flaw.Name != "no challenge" {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
}

func (a *api) orders(w http.ResponseWriter, r *http.Request, subject string) {
	answer(w, http.StatusOK, map[string]any{"ok": true, "subject": subject, "time": time.Now().UnixNano(), "orders": []map[string]any{{"id": 1, "item": "lantern"}, {"id": 2, "item": "drawbridge"}}})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// bearer is the token of a request; the scheme is taken as RFC 6750 writes it.
func bearer(r *http.Request) string {
	raw, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return raw
}

func kidOf(raw string) string {
	var header struct {
		Kid string `json:"kid"`
	}
	decode(raw, 0, &header)
	return header.Kid
}

// decode reads a segment of a token that nobody verified.
func decode(raw string, segment int, into any) {
	segments := strings.Split(raw, ".")
	if len(segments) <= segment {
		return
	}
	text, _ := base64.RawURLEncoding.DecodeString(segments[segment])
	_ = json.Unmarshal(text, into)
}

// get fetches what a token leads to: the mistake itself.
func get(address string) ([]byte, error) {
	response, err := fetcher.Get(address)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", response.StatusCode)
	}
	return io.ReadAll(io.LimitReader(response.Body, 64<<10))
}
