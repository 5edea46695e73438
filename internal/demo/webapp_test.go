package demo_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/demo"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/relying"
)

// rogue is an issuer that says whatever a test wants: what our own never does.
type rogue struct {
	*httptest.Server
	t      *testing.T
	signer jose.Signer

	mu      sync.Mutex
	idToken string // the next answer's
	subject string // of userinfo
	refresh string // "": refused
}

const accessToken = "an access token"

func newRogue(t *testing.T) *rogue {
	t.Helper()
	signer, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	i := &rogue{t: t, signer: signer, subject: "usr_1", refresh: "rt"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		i.json(w, map[string]any{"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
			"userinfo_endpoint": i.URL + "/userinfo", "end_session_endpoint": i.URL + "/logout", "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		i.json(w, jose.NewKeySet(signer.Key()))
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if r.PostFormValue("grant_type") == "refresh_token" && i.refresh == "" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"error":"invalid_grant"}`)
			return
		}
		i.json(w, map[string]any{"access_token": accessToken, "token_type": "Bearer", "expires_in": 600, "refresh_token": "rt", "id_token": i.idToken, "scope": "openid"})
	})
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.json(w, map[string]any{"sub": i.subject, "name": "Ada <b>Lovelace</b>"})
	})
	mux.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		i.json(w, map[string]any{"orders": []any{}})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *rogue) json(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// sign makes a token from what is right for kind, changed by change.
func (i *rogue) sign(kind string, claims, change map[string]any) string {
	i.t.Helper()
	for name, value := range change {
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
	}
	raw, err := i.signer.Sign(kind, claims)
	if err != nil {
		i.t.Fatal(err)
	}
	return raw
}

func (i *rogue) id(nonce string, change map[string]any) string {
	now := time.Now()
	return i.sign("JWT", map[string]any{"iss": i.URL, "sub": "usr_1", "aud": "demo-shop", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		"nonce": nonce, "sid": "ses_1", "at_hash": relying.LeftHalf(accessToken)}, change)
}

func (i *rogue) logout(change map[string]any) string {
	now := time.Now()
	return i.sign("logout+jwt", map[string]any{"iss": i.URL, "sub": "usr_1", "sid": "ses_1", "aud": "demo-shop", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		"jti": "j1", "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}, change)
}

// guest is a browser at a shop of a rogue.
type guest struct {
	t      *testing.T
	issuer *rogue
	app    *httptest.Server
	client *http.Client
}

func newGuest(t *testing.T) *guest {
	t.Helper()
	issuer := newRogue(t)
	app := httptest.NewUnstartedServer(nil)
	handler, err := demo.NewWebApp(t.Context(), demo.WebApp{ID: "demo-shop", Secret: "s", Name: "Shop", Look: "shop", URL: "http://" + app.Listener.Addr().String(),
		Issuer: issuer.URL, API: issuer.URL, Scopes: []string{"openid"}, Orders: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	app.Config.Handler = handler
	app.Start()
	t.Cleanup(app.Close)
	g := &guest{t: t, issuer: issuer, app: app}
	g.anew()
	return g
}

// anew is another browser.
func (g *guest) anew() {
	jar, _ := cookiejar.New(nil)
	g.client = &http.Client{Jar: jar, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type reply struct {
	status   int
	location string
	body     string
	header   http.Header
}

func (g *guest) do(method, path string, form url.Values, headers ...string) reply {
	g.t.Helper()
	r, err := http.NewRequest(method, g.app.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		g.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	response, err := g.client.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header.Get("Location"), string(body), response.Header}
}

// begin starts a sign-in and returns what the issuer is asked.
func (g *guest) begin(path string) url.Values {
	g.t.Helper()
	r := g.do("GET", path, nil)
	u, err := url.Parse(r.location)
	if err != nil || r.status != http.StatusSeeOther || !strings.HasPrefix(r.location, g.issuer.URL+"/authorize?") {
		g.t.Fatalf("got %+v", r)
	}
	return u.Query()
}

// answer comes back from the issuer with an ID token.
func (g *guest) answer(asked url.Values, idToken string) reply {
	g.t.Helper()
	g.issuer.mu.Lock()
	g.issuer.idToken = idToken
	g.issuer.mu.Unlock()
	return g.do("GET", "/callback?"+url.Values{"code": {"c"}, "state": {asked.Get("state")}, "iss": {g.issuer.URL}}.Encode(), nil)
}

func (g *guest) signIn() {
	g.t.Helper()
	asked := g.begin("/sign-in")
	if r := g.answer(asked, g.issuer.id(asked.Get("nonce"), nil)); r.status != http.StatusSeeOther || r.location != "/" {
		g.t.Fatalf("got %+v", r)
	}
	if !g.signedIn() {
		g.t.Fatal("not signed in")
	}
}

// signedIn tells whether the app knows the browser.
func (g *guest) signedIn() bool {
	g.t.Helper()
	return g.do("GET", "/", nil).status == http.StatusOK
}

func TestWebAppAsksByTheBook(t *testing.T) {
	g := newGuest(t)
	silent, asked := g.begin("/"), g.begin("/sign-in")
	for name, want := range map[string]string{"response_type": "code", "client_id": "demo-shop", "redirect_uri": g.app.URL + "/callback", "scope": "openid", "code_challenge_method": "S256"} {
		if asked.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, asked.Get(name), want)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(asked.Get(name)) < 22 || asked.Get(name) == silent.Get(name) {
			t.Errorf("%s is %q and %q", name, asked.Get(name), silent.Get(name))
		}
	}
	if silent.Get("prompt") != "none" || asked.Has("prompt") {
		t.Errorf("prompt is %q and %q", silent.Get("prompt"), asked.Get("prompt"))
	}
	g.signIn()
	r := g.do("GET", "/", nil)
	if !strings.Contains(r.body, "Ada &lt;b&gt;Lovelace") || !strings.Contains(r.header.Get("Content-Security-Policy"), "default-src 'none'") || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %+v", r)
	}
}

func TestWebAppRefusesIDTokens(t *testing.T) {
	g := newGuest(t)
	now := time.Now()
	for name, change := range map[string]map[string]any{
		"another issuer":          {"iss": "https://other.example.com"},
		"another client":          {"aud": "demo-parcels"},
		"for others too":          {"aud": []string{"demo-shop", "demo-parcels"}},
		"asked by another client": {"azp": "demo-parcels"},
		"without nonce":           {"nonce": nil},
		"another nonce":           {"nonce": "n"},
		"no string for a nonce":   {"nonce": 7},
		"expired":                 {"exp": now.Add(-time.Minute).Unix()},
		"without exp":             {"exp": nil},
		"of the future":           {"iat": now.Add(time.Hour).Unix()},
		"without iat":             {"iat": nil},
		"without sub":             {"sub": nil},
		"of another access token": {"at_hash": relying.LeftHalf("another")},
		"without at_hash":         {"at_hash": nil},
		"of another user":         {"sub": "usr_2"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := g.begin("/sign-in")
			if r := g.answer(asked, g.issuer.id(asked.Get("nonce"), change)); r.status != http.StatusBadGateway || g.signedIn() {
				t.Errorf("got %+v", r)
			}
		})
	}
	other, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func(nonce string) string{
		"no token":       func(string) string { return "" },
		"a logout token": func(nonce string) string { return g.issuer.logout(map[string]any{"nonce": nonce}) },
		"an access token": func(nonce string) string {
			return g.issuer.sign("at+jwt", map[string]any{"iss": g.issuer.URL, "sub": "usr_1", "aud": "demo-shop", "exp": now.Add(time.Minute).Unix(), "iat": now.Unix(), "nonce": nonce, "at_hash": relying.LeftHalf(accessToken)}, nil)
		},
		"signed by a stranger": func(nonce string) string {
			raw := g.issuer.id(nonce, nil)
			forged, _ := other.Sign("JWT", map[string]any{"iss": g.issuer.URL})
			return strings.Join(append(strings.Split(raw, ".")[:2], strings.Split(forged, ".")[2]), ".")
		},
		"of a key that is not published": func(nonce string) string {
			mine := g.issuer.signer
			defer func() { g.issuer.signer = mine }()
			g.issuer.signer = other
			return g.issuer.id(nonce, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked := g.begin("/sign-in")
			if r := g.answer(asked, make(asked.Get("nonce"))); r.status != http.StatusBadGateway || g.signedIn() {
				t.Errorf("got %+v", r)
			}
		})
	}
	g.signIn()
}

// An answer belongs to the browser that asked, to this issuer, and is taken once.
func TestWebAppRefusesAnswers(t *testing.T) {
	g := newGuest(t)
	callback := func(values ...string) reply {
		q := url.Values{}
		for i := 0; i < len(values); i += 2 {
			q.Set(values[i], values[i+1])
		}
		return g.do("GET", "/callback?"+q.Encode(), nil)
	}
	if r := callback("code", "c", "iss", g.issuer.URL); r.status != http.StatusBadRequest {
		t.Errorf("without state: %+v", r)
	}
	asked := g.begin("/sign-in")
	mine := g.client
	g.anew()
	if r := g.answer(asked, g.issuer.id(asked.Get("nonce"), nil)); r.status != http.StatusBadRequest {
		t.Errorf("in another browser: %+v", r)
	}
	g.begin("/sign-in") // gives the other browser a cookie of its own
	if r := g.answer(asked, g.issuer.id(asked.Get("nonce"), nil)); r.status != http.StatusBadRequest {
		t.Errorf("in another browser with a cookie: %+v", r)
	}
	g.client = mine
	if r := g.answer(asked, g.issuer.id(asked.Get("nonce"), nil)); r.status != http.StatusSeeOther {
		t.Errorf("what strangers tried must not spend it: %+v", r)
	}
	if r := g.answer(asked, g.issuer.id(asked.Get("nonce"), nil)); r.status != http.StatusBadRequest {
		t.Errorf("a second time: %+v", r)
	}
	for _, iss := range []string{"", "https://other.example.com"} {
		asked = g.begin("/sign-in")
		if r := callback("code", "c", "state", asked.Get("state"), "iss", iss); r.status != http.StatusBadRequest {
			t.Errorf("from issuer %q: %+v", iss, r)
		}
	}
	g.anew()
	asked = g.begin("/sign-in")
	if r := callback("error", "access_denied", "state", asked.Get("state"), "iss", g.issuer.URL); r.status != http.StatusForbidden {
		t.Errorf("denied: %+v", r)
	}
	asked = g.begin("/")
	if r := callback("error", "login_required", "state", asked.Get("state"), "iss", g.issuer.URL); r.location != "/signed-out" {
		t.Errorf("nobody is signed in: %+v", r)
	}
	asked = g.begin("/sign-in")
	if r := callback("error", "<script>", "state", asked.Get("state"), "iss", g.issuer.URL); r.status != http.StatusBadGateway || strings.Contains(r.body, "<script>") {
		t.Errorf("a hostile error: %+v", r)
	}
	if g.signedIn() {
		t.Error("signed in")
	}
}

func TestWebAppBackchannelLogout(t *testing.T) {
	g := newGuest(t)
	tell := func(raw string) int {
		return g.do("POST", "/backchannel-logout", url.Values{"logout_token": {raw}}, "Origin", "https://other.example.com").status
	}
	g.signIn()
	now := time.Now()
	for name, change := range map[string]map[string]any{
		"another issuer":         {"iss": "https://other.example.com"},
		"another client":         {"aud": "demo-parcels"},
		"expired":                {"exp": now.Add(-time.Minute).Unix()},
		"without exp":            {"exp": nil},
		"without iat":            {"iat": nil},
		"without jti":            {"jti": nil},
		"with a nonce":           {"nonce": "n"},
		"without events":         {"events": nil},
		"with another event":     {"events": map[string]any{"x": map[string]any{}}},
		"the event is no object": {"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": true}},
		"of nobody":              {"sid": nil, "sub": nil},
	} {
		if status := tell(g.issuer.logout(change)); status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status := tell(g.issuer.id("n", map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})); status != http.StatusBadRequest {
		t.Errorf("an ID token: %d", status)
	}
	if status := tell(g.issuer.logout(map[string]any{"sid": "ses_2"})); status != http.StatusOK || !g.signedIn() {
		t.Errorf("of another session: %d", status)
	}
	if status := tell(g.issuer.logout(nil)); status != http.StatusOK || g.signedIn() {
		t.Errorf("of this session: %d", status)
	}
	// A sign-in that was under way when its session ended does not begin.
	asked := g.begin("/sign-in")
	if r := g.answer(asked, g.issuer.id(asked.Get("nonce"), nil)); r.status != http.StatusBadRequest || g.signedIn() {
		t.Errorf("after the logout of its session: %+v", r)
	}
	// Without a session all of the user end.
	asked = g.begin("/sign-in")
	g.answer(asked, g.issuer.id(asked.Get("nonce"), map[string]any{"sid": "ses_3"}))
	if !g.signedIn() {
		t.Fatal("not signed in")
	}
	if status := tell(g.issuer.logout(map[string]any{"sid": nil})); status != http.StatusOK || g.signedIn() {
		t.Errorf("of the user: %d", status)
	}
}

func TestWebAppSignsOut(t *testing.T) {
	g := newGuest(t)
	g.signIn()
	if r := g.do("POST", "/sign-out", nil, "Sec-Fetch-Site", "cross-site"); r.status != http.StatusForbidden || !g.signedIn() {
		t.Errorf("from another site: %+v", r)
	}
	r := g.do("POST", "/sign-out", nil)
	u, _ := url.Parse(r.location)
	if q := u.Query(); !strings.HasPrefix(r.location, g.issuer.URL+"/logout?") || q.Get("id_token_hint") == "" || q.Get("client_id") != "demo-shop" || q.Get("post_logout_redirect_uri") != g.app.URL+"/signed-out" {
		t.Errorf("got %+v", r)
	}
	if g.signedIn() {
		t.Error("still signed in")
	}
	// Whose login ended at the issuer is signed out at the next renewal.
	g.signIn()
	g.issuer.mu.Lock()
	g.issuer.refresh = ""
	g.issuer.mu.Unlock()
	if r := g.do("POST", "/renew", nil); r.location != "/signed-out" || g.signedIn() {
		t.Errorf("got %+v", r)
	}
}

// C22: the app answers under its own name only.
func TestC22WebAppHost(t *testing.T) {
	g := newGuest(t)
	for _, host := range []string{"rebind.example.com", "localhost:" + g.app.URL[strings.LastIndex(g.app.URL, ":")+1:]} {
		if r := g.do("GET", "/", nil, "Host", host); r.status != http.StatusMisdirectedRequest {
			t.Errorf("%s: %d", host, r.status)
		}
	}
}

// What a stranger can make the app remember is bounded.
func TestWebAppMemoryIsBounded(t *testing.T) {
	g := newGuest(t)
	first := g.begin("/sign-in")
	for range 1000 {
		g.begin("/")
	}
	if r := g.answer(first, g.issuer.id(first.Get("nonce"), nil)); r.status != http.StatusBadRequest {
		t.Errorf("the oldest of a full memory was kept: %+v", r)
	}
	g.signIn()
}
