package web_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

// intranet is an app that cannot speak OpenID Connect, behind guard.Handoff.
type intranet struct {
	url    string
	secret string
	log    *lockedLog
	seen   []string // what SignedIn was told
}

// newIntranet registers and runs it. change edits what it says to guard.
func (h *house) newIntranet(id string, mode iam.HandoffMode, change ...func(*guard.HandoffConfig)) *intranet {
	h.t.Helper()
	a := &intranet{log: &lockedLog{}}
	var handler *guard.HandoffHandler
	mux := http.NewServeMux()
	site := httptest.NewServer(mux)
	h.t.Cleanup(site.Close)
	a.url = site.URL
	var err error
	_, a.secret, err = h.parts.Directory.CreateClient(context.Background(), "test", iam.Client{ID: iam.ClientID(id), Name: "Intranet", Type: iam.Confidential, FirstParty: true,
		Scopes: []string{"openid", "email", "orders:read"}, GrantTypes: []string{iam.AuthorizationCode}, Handoff: &iam.Handoff{URL: a.url + "/handoff", Mode: mode}})
	h.must(err)
	config := guard.HandoffConfig{Issuer: h.url, ClientID: id, URL: a.url + "/handoff", Mode: guard.HandoffMode(mode), Home: "/home",
		Logger: slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		SignedIn: func(w http.ResponseWriter, r *http.Request, c guard.Caller) error {
			a.seen = append(a.seen, fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.URL, " ", r.Header.Get("Cookie"), " ", r.FormValue("handoff")))
			claims, err := guard.Claims[struct {
				Email string `json:"email"`
				Name  string `json:"name"`
			}](c)
			if err != nil {
				return err
			}
			http.SetCookie(w, &http.Cookie{Name: "app", Value: c.Subject(), Path: "/"})
			a.seen = append(a.seen, fmt.Sprint(c.Subject(), c.ClientID(), c.Roles(), c.Scopes(), c.ACR(), c.IsService(), claims.Email, claims.Name, c.TokenID() != "", strings.HasPrefix(c.SessionID(), "ses_")))
			return nil
		}}
	for _, c := range change {
		c(&config)
	}
	handler, err = guard.Handoff(config)
	h.must(err)
	h.t.Cleanup(func() { handler.Close() })
	mux.Handle("/handoff", handler)
	mux.HandleFunc("/home", func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Cookie("app")
		fmt.Fprint(w, "home of ", c.Value)
	})
	mux.HandleFunc("/orders/5", func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Cookie("app")
		fmt.Fprint(w, "order of ", c.Value)
	})
	return a
}

// begin goes from the app to the authority.
func (b *browser) begin(a *intranet, back string) page {
	b.t.Helper()
	start := b.get(a.url + "/handoff?return=" + url.QueryEscape(back))
	to := start.Header.Get("Location")
	if start.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, b.url+"/oauth/handoff?client_id=") {
		b.t.Fatalf("the app does not begin: %d %s %s", start.StatusCode, to, start.body)
	}
	return b.get(to)
}

func (b *browser) land(a *intranet, p page, want string) {
	b.t.Helper()
	to := p.Header.Get("Location")
	if p.StatusCode != http.StatusSeeOther || strings.Contains(to, "handoff") {
		b.t.Fatalf("C43: not sent to a clean URL: %d %s %s", p.StatusCode, to, p.body)
	}
	if end := b.get(a.url + to); end.body != want {
		b.t.Errorf("got %q at %s, want %q", end.body, to, want)
	}
}

func TestC33HandoffByForm(t *testing.T) {
	h := newHouse(t)
	a := h.newIntranet("intranet", iam.HandoffForm)
	b := h.browser()
	login := b.begin(a, "/orders/5")
	if login.StatusCode != 200 || !strings.Contains(login.body, "Sign in to <strong><bdi>Intranet") {
		t.Fatalf("got %d %s", login.StatusCode, login.body)
	}
	handed := b.signIn(login, "ada")
	raw := handed.field("handoff")
	if handed.StatusCode != 200 || !strings.Contains(handed.body, `action="`+a.url+`/handoff"`) || raw == "" {
		t.Fatalf("got %d %s", handed.StatusCode, handed.body)
	}
	if csp := handed.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action "+a.url+";") || strings.Contains(csp, "form-action 'self'") {
		t.Errorf("C30: form-action is not exactly the registered origin: %s", csp)
	}
	if handed.Header.Get("Cache-Control") != "no-store" || handed.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers %v", handed.Header)
	}
	claims := h.claims(raw, "handoff+jwt")
	if claims.Issuer != h.url || !slices.Equal(claims.Audience, []string{"intranet"}) || claims.Expires.Sub(claims.IssuedAt) != 30*time.Second || claims.ID == "" || !claims.Has("nonce_hash") {
		t.Errorf("C33: claims %+v", claims)
	}
	for _, absent := range []string{"scope", "nonce", "gid", "phone_number", "name", "at_hash"} {
		if claims.Has(absent) {
			t.Errorf("the token has %s", absent)
		}
	}
	b.land(a, b.post(a.url+"/handoff", url.Values{"handoff": {raw}}), "order of "+string(h.ada.ID))
	want := []string{fmt.Sprint("POST /handoff /handoff ", " ", ""), fmt.Sprint(h.ada.ID, "intranet", []string{"viewer"}, []string{}, "pwd", false, "ada@example.com", "", true, true)}
	// The session cookie of the authority is on the same loopback host, so the jar sends it; nothing of the hand-off may be left.
	if len(a.seen) != 2 || a.seen[1] != want[1] || strings.Contains(a.seen[0], raw) || strings.Contains(a.seen[0], "handoff-intranet") {
		t.Errorf("C43: SignedIn saw %q, want %q", a.seen, want)
	}
	if strings.Contains(a.log.String()+h.log.String(), raw) {
		t.Error("a log holds the token")
	}
	if n := h.events(iam.EventHandoff); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	apps, err := h.parts.Store.SessionApps(context.Background(), h.session())
	h.must(err)
	if len(apps) != 1 || apps[0].ClientID != "intranet" {
		t.Errorf("the session does not know the app: %+v", apps)
	}
	// The second time nobody is asked; the page is still a form.
	silent := b.begin(a, "")
	b.land(a, b.post(a.url+"/handoff", url.Values{"handoff": {silent.field("handoff")}}), "home of "+string(h.ada.ID))
}

func TestC33HandoffByQuery(t *testing.T) {
	h := newHouse(t)
	a := h.newIntranet("intranet", iam.HandoffQuery)
	b := h.browser()
	handed := b.signIn(b.begin(a, "/orders/5"), "ada")
	if handed.StatusCode != 200 || handed.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Fatalf("C30: after a form, a page of ours that tells nobody where it was: %d %v", handed.StatusCode, handed.Header)
	}
	to := handed.sent(t)
	if !strings.HasPrefix(to.String(), a.url+"/handoff?handoff=") {
		t.Fatalf("sent to %s", to)
	}
	end := b.get(to.String())
	if end.Header.Get("Referrer-Policy") != "no-referrer" || end.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", end.Header)
	}
	b.land(a, end, "order of "+string(h.ada.ID))
	raw := to.Query().Get("handoff")
	if len(a.seen) != 2 || !strings.HasPrefix(a.seen[0], "GET /handoff /handoff ") || strings.Contains(fmt.Sprint(a.seen), raw) {
		t.Errorf("C43: the app sees the token in its request: %q", a.seen)
	}
	if strings.Contains(a.log.String()+h.log.String(), raw) {
		t.Error("a log holds the token")
	}
	silent := b.begin(a, "")
	if silent.StatusCode != http.StatusSeeOther {
		t.Fatalf("C30: silent: %d", silent.StatusCode)
	}
	b.land(a, b.get(silent.sent(t).String()), "home of "+string(h.ada.ID))
	// A token that came back once is refused, also with its nonce put back.
	if again := b.get(to.String()); again.StatusCode != http.StatusForbidden || !strings.Contains(again.body, "Sign in again") {
		t.Errorf("replay: %d %s", again.StatusCode, again.body)
	}
}

// Apps of several processes let the authority remember.
func TestC33HandoffRedeemedAtTheAuthority(t *testing.T) {
	h := newHouse(t)
	var secret string
	a := h.newIntranet("intranet", iam.HandoffForm)
	secret = a.secret
	second := a // the same client in another process, at another port
	other, err := guard.Handoff(guard.HandoffConfig{Issuer: h.url, ClientID: "intranet", URL: a.url + "/handoff", ClientSecret: secret, Logger: slog.New(slog.DiscardHandler),
		SignedIn: func(http.ResponseWriter, *http.Request, guard.Caller) error { return nil }})
	h.must(err)
	t.Cleanup(func() { other.Close() })
	b := h.browser()
	handed := b.signIn(b.begin(second, ""), "ada")
	raw := handed.field("handoff")
	target, _ := url.Parse(a.url)
	send := func() *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "/handoff", strings.NewReader(url.Values{"handoff": {raw}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, c := range b.client.Jar.Cookies(target) {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		other.ServeHTTP(w, r)
		return w
	}
	if w := send(); w.Code != http.StatusSeeOther || h.events(iam.EventHandoffRedeemed) != 1 {
		t.Fatalf("got %d %s, %d events", w.Code, w.Body, h.events(iam.EventHandoffRedeemed))
	}
	if w := send(); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "used before") {
		t.Errorf("replay: %d %s", w.Code, w.Body)
	}
	wrong, err := guard.Handoff(guard.HandoffConfig{Issuer: h.url, ClientID: "intranet", URL: a.url + "/handoff", ClientSecret: "wrong", Logger: slog.New(slog.DiscardHandler),
		SignedIn: func(http.ResponseWriter, *http.Request, guard.Caller) error { t.Error("signed in"); return nil }})
	h.must(err)
	t.Cleanup(func() { wrong.Close() })
	raw = b.begin(a, "").field("handoff")
	other = wrong
	if w := send(); w.Code != http.StatusServiceUnavailable {
		t.Errorf("with a wrong secret nobody gets in: %d %s", w.Code, w.Body)
	}
}

const nonce = "a-nonce-of-the-test"

// hand gets a hand-off token for a signed-in browser without an app.
func (b *browser) hand(client string) string {
	b.t.Helper()
	p := b.get("/oauth/handoff?" + url.Values{"client_id": {client}, "nonce_hash": {oauth.NonceHash(nonce)}}.Encode())
	if strings.Contains(p.body, `action="/login"`) {
		p = b.signIn(p, "ada")
	}
	if p.field("handoff") == "" {
		b.t.Fatalf("no token: %d %s", p.StatusCode, p.body)
	}
	return p.field("handoff")
}

func TestC33RedeemRefusals(t *testing.T) {
	h := newHouse(t)
	a := h.newIntranet("intranet", iam.HandoffForm)
	second := h.newIntranet("second", iam.HandoffForm)
	b := h.browser()
	raw := b.hand("intranet")
	id := h.redeem(b.authorize("prompt", "none").sent(t))
	try := func(pairs ...string) tokens {
		form := map[string]string{"client_id": "intranet", "client_secret": a.secret, "handoff": raw, "nonce": nonce}
		for i := 0; i < len(pairs); i += 2 {
			form[pairs[i]] = pairs[i+1]
		}
		var list []string
		for name, value := range form {
			list = append(list, name, value)
		}
		return h.call("/oauth/handoff/redeem", list...)
	}
	for name, tc := range map[string]struct {
		pairs []string
		code  string
	}{
		"no secret":       {[]string{"client_secret", ""}, "invalid_client"},
		"wrong secret":    {[]string{"client_secret", "x"}, "invalid_client"},
		"other app":       {[]string{"client_id", "second", "client_secret", second.secret}, "invalid_grant"},
		"no hand-off app": {[]string{"client_id", "wiki", "client_secret", h.wiki}, "unauthorized_client"},
		"other nonce":     {[]string{"nonce", "another"}, "invalid_grant"},
		"the hash itself": {[]string{"nonce", oauth.NonceHash(nonce)}, "invalid_grant"},
		"no nonce":        {[]string{"nonce", ""}, "invalid_request"},
		"T56 ID token":    {[]string{"handoff", id.ID}, "invalid_grant"},
		"T56 access":      {[]string{"handoff", id.Access}, "invalid_grant"},
		"T56 refresh":     {[]string{"handoff", id.Refresh}, "invalid_grant"},
		"garbage":         {[]string{"handoff", "a.b.c"}, "invalid_grant"},
		"tampered":        {[]string{"handoff", raw[:len(raw)-4] + "AAAA"}, "invalid_grant"},
	} {
		if got := try(tc.pairs...); got.Error != tc.code {
			t.Errorf("%s: %+v, want %s", name, got, tc.code)
		}
	}
	// T56: with the very claims and a key of ours, every other type.
	signer, err := h.parts.Keys.Signer(context.Background(), "ES256")
	h.must(err)
	var claims map[string]any
	same := h.claims(raw, "handoff+jwt")
	h.must(same.Decode(&claims))
	for _, kind := range []string{"at+jwt", "JWT", "", "logout+jwt", "client-authentication+jwt", "dpop+jwt", "oauth-authz-req+jwt", "secevent+jwt"} {
		forged, err := signer.Sign(kind, claims)
		h.must(err)
		if got := try("handoff", forged); got.Error != "invalid_grant" {
			t.Errorf("T56 typ %q: %+v", kind, got)
		}
	}
	// None of these spent it. 200 at once: one.
	var won atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			switch got := try(); {
			case got.Status == 200 && strings.Contains(got.Body, string(h.ada.ID)):
				won.Add(1)
			case got.Error != "invalid_grant":
				t.Errorf("got %+v", got)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || h.events(iam.EventHandoffRedeemed) != 1 {
		t.Errorf("%d of 200 redemptions succeeded, %d events; want 1", won.Load(), h.events(iam.EventHandoffRedeemed))
	}
	for name, end := range map[string]func(){
		"expired at 30 s": func() { h.clock.Advance(30 * time.Second) },
		"logged out": func() {
			_, err := h.parts.Store.EndSession(context.Background(), h.session(), h.ada.ID, iam.Event{Kind: iam.EventSessionEnded, Actor: "test"})
			h.must(err)
		},
	} {
		raw = b.hand("intranet")
		end()
		if got := try(); got.Error != "invalid_grant" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	raw = b.hand("intranet")
	h.clock.Advance(29 * time.Second)
	if got := try(); got.Status != 200 {
		t.Errorf("at 29 s: %+v", got)
	}
	raw = b.hand("intranet")
	h.must(h.parts.Directory.SetUser(context.Background(), "test", h.ada.ID, directory.Disabled))
	if got := try(); got.Error != "invalid_grant" {
		t.Errorf("of a user who was disabled: %+v", got)
	}
}

// events counts the events of a kind.
func (h *house) events(kind string) int {
	h.t.Helper()
	all, err := h.parts.Store.Events(context.Background(), 0, 10_000)
	h.must(err)
	n := 0
	for _, e := range all {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// session is the newest one of ada.
func (h *house) session() iam.SessionID {
	h.t.Helper()
	list, err := h.parts.Store.Sessions(context.Background(), h.ada.ID)
	h.must(err)
	return list[0].ID
}

// A hand-off token opens nothing else (T56).
func TestT56HandoffTokenIsNothingElse(t *testing.T) {
	h := newHouse(t)
	a := h.newIntranet("intranet", iam.HandoffForm)
	b := h.browser()
	raw := b.hand("intranet")
	r, _ := http.NewRequest("GET", h.url+"/oauth/userinfo", nil)
	r.Header.Set("Authorization", "Bearer "+raw)
	answer, err := http.DefaultClient.Do(r)
	h.must(err)
	answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("userinfo takes it: %d", answer.StatusCode)
	}
	if got := h.call("/oauth/introspect", "client_id", "intranet", "client_secret", a.secret, "token", raw); !strings.Contains(got.Body, `{"active":false}`) {
		t.Errorf("introspection takes it: %s", got.Body)
	}
	if got := h.call("/oauth/token", "grant_type", "refresh_token", "refresh_token", raw, "client_id", "intranet", "client_secret", a.secret); got.Status == 200 {
		t.Errorf("as a refresh token: %+v", got)
	}
	if got := h.call("/oauth/token", "grant_type", "authorization_code", "code", raw, "code_verifier", verifier, "redirect_uri", callback, "client_id", "wiki", "client_secret", h.wiki); got.Error != "invalid_grant" {
		t.Errorf("as a code: %+v", got)
	}
	if got := h.call("/oauth/token", "grant_type", "client_credentials", "client_id", "intranet", "client_assertion", raw, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"); got.Status == 200 {
		t.Errorf("as a client assertion: %+v", got)
	}
	if p := b.get("/oauth/logout?id_token_hint=" + raw); p.StatusCode == http.StatusSeeOther || !b.signedIn() {
		t.Errorf("as an id_token_hint it logs out without a question: %d", p.StatusCode)
	}
	if p := b.authorize("prompt", "none", "id_token_hint", raw); p.sent(t).Query().Get("error") != "invalid_request" {
		t.Errorf("as an id_token_hint: %s", p.sent(t))
	}
	for _, aud := range []string{"intranet", "https://orders.example.com", h.url} {
		g, err := guard.New(guard.Config{Issuer: h.url, Audience: aud, Logger: slog.New(slog.DiscardHandler)})
		h.must(err)
		t.Cleanup(func() { g.Close() })
		if _, err := g.Verify(context.Background(), raw); err == nil {
			t.Errorf("guard for %s takes it for an access token", aud)
		}
	}
}

func (b *browser) signedIn() bool {
	return b.authorize("prompt", "none").sent(b.t).Query().Get("code") != ""
}

func TestC33HandoffRequestRefusals(t *testing.T) {
	h := newHouse(t)
	h.newIntranet("intranet", iam.HandoffForm)
	h.newIntranet("off", iam.HandoffForm)
	ctx := context.Background()
	h.must(h.parts.Directory.SetClient(ctx, "test", "off", directory.Disabled))
	good := url.Values{"client_id": {"intranet"}, "nonce_hash": {oauth.NonceHash(nonce)}}
	with := func(pairs ...string) string {
		q := url.Values{}
		for name, values := range good {
			q[name] = values
		}
		for i := 0; i < len(pairs); i += 2 {
			q.Set(pairs[i], pairs[i+1])
		}
		return q.Encode()
	}
	for name, tc := range map[string]struct{ query, says string }{
		"no client":                {with("client_id", ""), "client_id is missing"},
		"unknown client":           {with("client_id", "nobody"), "no client"},
		"disabled client":          {with("client_id", "off"), "is disabled"},
		"hand-off is off":          {with("client_id", "wiki"), "logins are not handed"},
		"no nonce":                 {with("nonce_hash", ""), "nonce_hash must be"},
		"a short hash":             {with("nonce_hash", "abc"), "nonce_hash must be"},
		"a hash with padding":      {with("nonce_hash", oauth.NonceHash(nonce)+"="), "nonce_hash must be"},
		"a hash in another coding": {with("nonce_hash", strings.Repeat("+", 43)), "nonce_hash must be"},
		"two clients":              {with() + "&client_id=wiki", "more than once"},
	} {
		p := h.browser().get("/oauth/handoff?" + tc.query)
		if p.StatusCode != http.StatusBadRequest || p.Header.Get("Location") != "" || !strings.Contains(unescape(p.body), tc.says) {
			t.Errorf("%s: %d %s, want a page that says %q", name, p.StatusCode, p.body, tc.says)
		}
	}
	if p := h.browser().post("/oauth/handoff", good); p.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", p.StatusCode)
	}
	// Parameters that would lead elsewhere are not looked at.
	b := h.browser()
	raw := b.signIn(b.get("/oauth/handoff?"+with("redirect_uri", "https://evil.example", "return", "https://evil.example", "url", "https://evil.example")), "ada")
	if strings.Contains(raw.body, "evil") {
		t.Error("the request chooses where the login goes")
	}
	// What changes while the login page is open counts at the next step (C31),
	// and so does what changes right after.
	b = h.browser()
	login := b.get("/oauth/handoff?" + with())
	late := h.browser()
	after := late.get("/oauth/handoff?" + with())
	after = late.post("/login", url.Values{"flow": {after.field("flow")}, "username": {"ada"}, "password": {password}})
	_, err := h.parts.Directory.EditClient(ctx, "test", "intranet", func(c *iam.Client) error { c.Handoff = nil; return nil })
	h.must(err)
	if p := b.post("/login", url.Values{"flow": {login.field("flow")}, "username": {"ada"}, "password": {password}}); p.StatusCode != http.StatusBadRequest || !strings.Contains(p.body, "logins are not handed") {
		t.Errorf("C31: switched off meanwhile: %d %s", p.StatusCode, p.body)
	}
	if p := late.follow(after); p.StatusCode != http.StatusBadRequest || !strings.Contains(p.body, "logins are not handed") {
		t.Errorf("C31: switched off after the login: %d %s", p.StatusCode, p.body)
	}
}

// Cookies for a parent domain need https, so the authority is asked directly,
// under the name that it would have.
func TestC33HandoffByCookie(t *testing.T) {
	h := &house{t: t, clock: storetest.NewClock()}
	ctx := context.Background()
	kek, _ := keys.GenerateKEK()
	var err error
	h.parts, err = server.Assemble(ctx, server.Config{Issuer: "https://auth.example.com", Dir: t.TempDir(), Database: storetest.Database(t, t.TempDir()), KEKs: []keys.KEK{kek}, Now: h.clock.Now})
	h.must(err)
	t.Cleanup(func() { h.parts.Close() })
	h.ada, err = h.parts.Directory.CreateUser(ctx, "test", iam.User{Username: "ada"}, password)
	h.must(err)
	app := func(id iam.ClientID, handoff iam.Handoff) {
		t.Helper()
		_, _, err := h.parts.Directory.CreateClient(ctx, "test", iam.Client{ID: id, Type: iam.Confidential, FirstParty: true, Scopes: []string{"openid"}, GrantTypes: []string{iam.AuthorizationCode}, Handoff: &handoff})
		h.must(err)
	}
	app("shop", iam.Handoff{URL: "https://shop.example.com/in", Mode: iam.HandoffCookie, Domain: "example.com"})
	app("far", iam.Handoff{URL: "https://www.far.example/in", Mode: iam.HandoffCookie, Domain: "far.example"})
	_, cookie, err := h.parts.Sessions.Begin(ctx, login.Login{User: h.ada, At: h.clock.Now(), ACR: "pwd", AMR: []string{"pwd"}}, login.Visit{}, "")
	h.must(err)
	get := func(client string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "https://auth.example.com/oauth/handoff?"+url.Values{"client_id": {client}, "nonce_hash": {oauth.NonceHash(nonce)}}.Encode(), nil)
		r.AddCookie(&http.Cookie{Name: "__Host-gatehouse-session", Value: cookie})
		w := httptest.NewRecorder()
		h.parts.Handler.ServeHTTP(w, r)
		return w
	}
	w := get("shop")
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "https://shop.example.com/in" {
		t.Fatalf("got %d %s %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	var set *http.Cookie
	for _, c := range w.Result().Cookies() {
		if c.Name == "__Secure-handoff-shop" {
			set = c
		}
	}
	if set == nil || !set.Secure || !set.HttpOnly || set.MaxAge != 30 || set.Domain != "example.com" || set.Path != "/in" || set.SameSite != http.SameSiteLaxMode {
		t.Fatalf("C33: cookie %+v", set)
	}
	if claims := h.claims(set.Value, "handoff+jwt"); claims.Audience[0] != "shop" {
		t.Errorf("claims %+v", claims)
	}
	if w := get("far"); w.Code != http.StatusBadRequest || len(w.Result().Cookies()) != 0 || !strings.Contains(w.Body.String(), "cannot set it") {
		t.Errorf("a domain that the issuer is not in: %d %s", w.Code, w.Body)
	}
}

// What does not fit an address or a cookie is refused, not cut off by a server
// on the way.
func TestC33HandoffThatDoesNotFit(t *testing.T) {
	h := newHouse(t)
	h.newIntranet("by-query", iam.HandoffQuery)
	h.newIntranet("by-form", iam.HandoffForm)
	ctx := context.Background()
	var roles []string
	for n := range 50 {
		roles = append(roles, fmt.Sprintf("%060d", n))
		_, err := h.parts.Directory.CreateRole(ctx, "test", iam.Role{Name: roles[n], Scopes: []iam.RoleScope{{API: "orders", Scope: "orders:read"}}})
		h.must(err)
	}
	_, err := h.parts.Directory.EditUser(ctx, "test", h.ada.ID, func(u *iam.User) error { u.Roles = roles; return nil })
	h.must(err)
	b := h.browser()
	if raw := b.hand("by-form"); len(raw) < iam.MaxHandoffBytes {
		t.Fatalf("the token has only %d bytes", len(raw))
	}
	p := b.get("/oauth/handoff?" + url.Values{"client_id": {"by-query"}, "nonce_hash": {oauth.NonceHash(nonce)}}.Encode())
	if p.StatusCode != http.StatusInternalServerError || p.Header.Get("Location") != "" || !strings.Contains(h.log.String(), "take scopes from the client") {
		t.Errorf("got %d %s", p.StatusCode, p.Header.Get("Location"))
	}
}
