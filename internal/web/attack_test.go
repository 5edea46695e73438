package web_test

import (
	"context"
	"fmt"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/throttle"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

var guestRequest = []string{"client_id", "guest", "redirect_uri", "https://guest.example.com/cb", "scope", "openid email"}

func with(base []string, more ...string) []string {
	return append(append([]string{}, base...), more...)
}

// cookie is the value that a browser holds under a name that begins so.
func (b *browser) cookie(prefix string) string {
	u, _ := url.Parse(b.url)
	for _, c := range b.client.Jar.Cookies(u) {
		if strings.HasPrefix(c.Name, prefix) {
			return c.Value
		}
	}
	return ""
}

// A flow works in the browser that it was made for, and nowhere else.
func TestC31AFlowBelongsToOneBrowser(t *testing.T) {
	h := newHouse(t)
	mine, other := h.browser(), h.browser()
	login := mine.authorize()
	flow := login.field("flow")
	other.authorize() // has a browser cookie of its own
	for name, b := range map[string]*browser{"another browser": other, "no cookie": h.browser()} {
		p := b.post("/login", url.Values{"flow": {flow}, "username": {"ada"}, "password": {password}})
		if p.StatusCode != 400 || b.cookie("gatehouse-session") != "" || p.field("flow") == "" {
			t.Errorf("%s signed in with it: %d", name, p.StatusCode)
		}
		if p := b.get("/continue?flow=" + flow); p.StatusCode != 400 || p.Header.Get("Location") != "" {
			t.Errorf("%s went on with it: %d", name, p.StatusCode)
		}
	}
	// The page that came back instead is the other browser's own, and good.
	p := other.post("/login", url.Values{"flow": {flow}, "username": {"bob"}, "password": {password}})
	if end := other.signIn(p, "bob"); end.sent(t).Query().Get("code") == "" {
		t.Error("the page that is shown again is of no use")
	}
	if p := mine.signIn(login, "ada"); p.sent(t).Query().Get("code") == "" {
		t.Error("and in its own browser it works")
	}
}

func TestC31ATamperedFlowIsRefused(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	flow := b.authorize().field("flow")
	device := b.get("/device").field("flow")
	parts := strings.Split(flow, ".")
	flip := []byte(parts[2])
	flip[10] ^= 1
	for name, bad := range map[string]string{
		"empty": "", "one bit": parts[0] + "." + parts[1] + "." + string(flip), "cut": flow[:len(flow)-4], "longer": flow + "AAAA", "another version": "v2." + parts[1] + "." + parts[2],
		"another key": parts[0] + ".key_zzzzzzzzzzzzzzzzzzzzzzzzzz." + parts[2], "padded": flow + "=", "line break": parts[0] + "." + parts[1] + ".\r\n" + parts[2],
		"a code": "v1.x.y", "too large": "v1." + parts[1] + "." + strings.Repeat("A", 9000), "four parts": flow + ".x",
	} {
		for _, path := range []string{"/login", "/consent", "/device", "/device/confirm", "/oauth/logout/confirm", "/account/sessions/end-others"} {
			if p := b.post(path, url.Values{"flow": {bad}, "username": {"ada"}, "password": {password}, "decision": {"allow"}}); p.StatusCode != 400 || b.cookie("gatehouse-session") != "" {
				t.Errorf("%s at %s: %d", name, path, p.StatusCode)
			}
		}
		if p := b.get("/continue?flow=" + url.QueryEscape(bad)); p.StatusCode != 400 {
			t.Errorf("%s at /continue: %d", name, p.StatusCode)
		}
	}
	for path, wrong := range map[string]string{"/consent": device, "/device": flow, "/device/confirm": flow, "/oauth/logout/confirm": flow, "/account/apps/revoke": flow} {
		if p := b.post(path, url.Values{"flow": {wrong}, "decision": {"allow"}}); p.StatusCode != 400 {
			t.Errorf("a flow of another kind at %s: %d", path, p.StatusCode)
		}
	}
}

// A page that was open too long is shown again, with what was typed and asked.
func TestC31AnExpiredPageLosesNothing(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	login := b.authorize("state", "kept")
	h.clock.Advance(time.Hour + time.Second)
	p := b.post("/login", url.Values{"flow": {login.field("flow")}, "username": {"ada"}, "password": {password}})
	if p.StatusCode != 400 || !strings.Contains(p.body, `value="ada"`) || b.cookie("gatehouse-session") != "" {
		t.Fatalf("got %d", p.StatusCode)
	}
	if end := b.signIn(p, "ada"); end.sent(t).Query().Get("state") != "kept" || end.sent(t).Query().Get("code") == "" {
		t.Error("the request is gone")
	}
	h.clock.Advance(time.Second)
	consent := b.authorize(guestRequest...)
	h.clock.Advance(2 * time.Hour)
	p = b.post("/consent", url.Values{"flow": {consent.field("flow")}, "decision": {"allow"}})
	p.asksFor(t, "/consent")
	if p = b.follow(b.post("/consent", url.Values{"flow": {p.field("flow")}, "decision": {"allow"}})); p.sent(t).Query().Get("code") == "" {
		t.Error("the consent is gone")
	}
}

// What was typed for a request of yesterday is no login for today's.
func TestOIDC1AnOldAddressAsksAgain(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	done := b.post("/login", url.Values{"flow": {b.authorize("prompt", "login").field("flow")}, "username": {"ada"}, "password": {password}})
	address := done.Header.Get("Location")
	h.clock.Advance(time.Second)
	if b.get(address).sent(t).Query().Get("code") == "" {
		t.Fatal("not answered")
	}
	if b.get(address).sent(t).Query().Get("code") == "" {
		t.Error("loading the page again is harmless")
	}
	h.clock.Advance(time.Hour + time.Second)
	b.get(address).asksFor(t, "/login")
	cancel := b.authorize("prompt", "login")
	denied := b.post("/login", url.Values{"flow": {cancel.field("flow")}, "cancel": {"1"}}).Header.Get("Location")
	if code := b.get(denied).sentError(t, h); code != "access_denied" {
		t.Errorf("got %s", code)
	}
}

// A form that comes from another site signs nobody in or out (login CSRF).
func TestC30CrossSiteForms(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	session := b.cookie("gatehouse-session")
	for _, path := range []string{"/login", "/consent", "/device", "/device/confirm", "/oauth/logout/confirm", "/account/sessions/end-others", "/account/sessions/end", "/account/apps/revoke", "/language"} {
		for name, header := range map[string]http.Header{
			"cross-site": {"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, "same-site": {"Sec-Fetch-Site": {"same-site"}, "Origin": {"http://localhost:1"}},
			"old browser": {"Origin": {"https://evil.example"}}, "opaque": {"Origin": {"null"}},
		} {
			r, _ := http.NewRequest("POST", h.url+path, strings.NewReader(url.Values{"flow": {b.authorize("prompt", "login").field("flow")}, "username": {"bob"}, "password": {password}, "decision": {"logout"}}.Encode()))
			r.Header = header.Clone()
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			answer, err := b.client.Do(r)
			h.must(err)
			answer.Body.Close()
			if answer.StatusCode != http.StatusForbidden || b.cookie("gatehouse-session") != session {
				t.Errorf("%s at %s: %s", name, path, answer.Status)
			}
		}
	}
	// Authorize and logout take one, read no cookie, and answer with a GET.
	for _, path := range []string{"/oauth/authorize", "/oauth/logout"} {
		r, _ := http.NewRequest("POST", h.url+path, strings.NewReader(request().Encode()))
		r.Header = http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}, "Content-Type": {"application/x-www-form-urlencoded"}}
		answer, err := b.client.Do(r)
		h.must(err)
		answer.Body.Close()
		to, _ := url.Parse(answer.Header.Get("Location"))
		if answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to.String(), h.url+path+"?") || to.Query().Get("state") != "s1" || len(answer.Cookies()) > 0 || to.Query().Get("code") != "" {
			t.Errorf("%s: %s %s", path, answer.Status, to)
		}
	}
	if b.authorize("prompt", "none").sent(t).Query().Get("code") == "" {
		t.Error("the session is gone")
	}
}

// The cookie is new at each login, and the one before is worth nothing.
func TestC31SessionFixation(t *testing.T) {
	h := newHouse(t)
	attacker, victim := h.browser(), h.browser()
	attacker.signIn(attacker.authorize(), "bob")
	planted := attacker.cookie("gatehouse-session")
	u, _ := url.Parse(h.url)
	victim.client.Jar.SetCookies(u, []*http.Cookie{{Name: "gatehouse-session-" + u.Port(), Value: planted, Path: "/"}})
	h.clock.Advance(time.Second)
	victim.signIn(victim.authorize("prompt", "login"), "ada")
	own := victim.cookie("gatehouse-session")
	if own == planted || len(own) < 52 {
		t.Fatalf("the planted cookie was kept, or is too short: %q", own)
	}
	if code := attacker.authorize("prompt", "none").sentError(t, h); code != "login_required" {
		t.Errorf("the planted session still works: %s", code)
	}
	// The same user again: one session, a new cookie.
	h.clock.Advance(time.Second)
	victim.signIn(victim.authorize("prompt", "login"), "ada")
	stale := h.browser()
	stale.client.Jar.SetCookies(u, []*http.Cookie{{Name: "gatehouse-session-" + u.Port(), Value: own, Path: "/"}})
	if victim.cookie("gatehouse-session") == own || stale.authorize("prompt", "none").sentError(t, h) != "login_required" {
		t.Error("the cookie from before the login is still good")
	}
	sessions, err := h.parts.Store.Sessions(context.Background(), h.ada.ID)
	h.must(err)
	if len(sessions) != 1 || sessions[0].CookieHash == victim.cookie("gatehouse-session") {
		t.Errorf("%d sessions; the cookie is stored as it is: %v", len(sessions), len(sessions) == 1)
	}
}

// Of two cookies of one name, one was planted: neither counts.
func TestC31TwoCookiesOfOneName(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	u, _ := url.Parse(h.url)
	name := "gatehouse-session-" + u.Port()
	for _, header := range []string{name + "=x; " + name + "=" + b.cookie("gatehouse-session"), name + "=" + b.cookie("gatehouse-session") + "; " + name + "=x", name + "=" + strings.Repeat("x", 4000)} {
		r, _ := http.NewRequest("GET", h.url+"/oauth/authorize?"+request("prompt", "none").Encode(), nil)
		r.Header.Set("Cookie", header)
		answer, err := (&http.Client{CheckRedirect: b.client.CheckRedirect}).Do(r)
		h.must(err)
		answer.Body.Close()
		if !strings.Contains(answer.Header.Get("Location"), "error=login_required") {
			t.Errorf("%.40s: %s %s", header, answer.Status, answer.Header.Get("Location"))
		}
	}
}

// The cookies of an https issuer cannot be set by a neighbour, read by a script
// or sent with another site's form.
func TestC31CookieAttributes(t *testing.T) {
	kek, _ := keys.GenerateKEK()
	parts, err := server.Assemble(context.Background(), server.Config{Issuer: "https://auth.example.com", Dir: t.TempDir(), Database: storetest.Database(t, t.TempDir()), KEKs: []keys.KEK{kek}})
	if err != nil {
		t.Fatal(err)
	}
	defer parts.Close()
	if _, err := parts.Directory.CreateUser(context.Background(), "test", iam.User{Username: "ada"}, password); err != nil {
		t.Fatal(err)
	}
	serve := func(method, path, body, cookie string) *http.Response {
		r := httptest.NewRequest(method, "https://auth.example.com"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		parts.Handler.ServeHTTP(w, r)
		return w.Result()
	}
	check := func(c *http.Cookie, name string) {
		t.Helper()
		if c.Name != name || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("cookie %s", c)
		}
	}
	first := serve("GET", "/account", "", "")
	check(first.Cookies()[0], "__Host-gatehouse-browser")
	var b strings.Builder
	if err := first.Write(&b); err != nil {
		t.Fatal(err)
	}
	flow := page{first, b.String()}.field("flow")
	own := first.Cookies()[0].Name + "=" + first.Cookies()[0].Value
	in := serve("POST", "/login", url.Values{"flow": {flow}, "username": {"ada"}, "password": {password}}.Encode(), own)
	if in.StatusCode != http.StatusSeeOther || len(in.Cookies()) != 1 {
		t.Fatalf("got %s %v", in.Status, in.Cookies())
	}
	check(in.Cookies()[0], "__Host-gatehouse-session")
}

// Who allows is who was asked, and what is allowed is what was shown.
func TestC31ConsentOfAnotherUserOrOfMore(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	b := h.signedIn()
	consent := b.authorize(guestRequest...)
	consent.asksFor(t, "/consent")
	h.clock.Advance(time.Second)
	b.signIn(b.authorize("prompt", "login"), "bob")
	p := b.post("/consent", url.Values{"flow": {consent.field("flow")}, "decision": {"allow"}})
	p.asksFor(t, "/consent")
	for _, u := range []iam.User{h.ada, h.bob} {
		if c, err := h.parts.Store.Consent(ctx, u.ID, "guest"); err != nil || !c.At.IsZero() {
			t.Errorf("%s allowed it: %+v %v", u.Username, c, err)
		}
	}
	// An administrator widens the client while the page is open.
	h.edit("guest", func(c *iam.Client) { c.Scopes = []string{"openid", "email"} })
	narrow := b.authorize(with(guestRequest, "scope", "openid email phone")...)
	narrow.asksFor(t, "/consent")
	h.edit("guest", func(c *iam.Client) { c.Scopes = []string{"openid", "email", "phone"} })
	p = b.post("/consent", url.Values{"flow": {narrow.field("flow")}, "decision": {"allow"}})
	p.asksFor(t, "/consent")
	if c, _ := h.parts.Store.Consent(ctx, h.bob.ID, "guest"); !c.At.IsZero() {
		t.Errorf("more was allowed than was shown: %v", c.Scopes)
	}
	p = b.post("/consent", url.Values{"flow": {p.field("flow")}, "decision": {"maybe"}})
	if code := b.follow(p).sentError(t, h); code != "access_denied" {
		t.Errorf("anything but yes is no: %s", code)
	}
}

// Consent covers what the claims parameter asks by name, and offline access.
func TestOIDC1ConsentCoversClaimsAndOfflineAccess(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	allow := func(p page) page {
		p.asksFor(t, "/consent")
		return b.follow(b.post("/consent", url.Values{"flow": {p.field("flow")}, "decision": {"allow"}}))
	}
	allow(b.authorize(guestRequest...))
	h.clock.Advance(time.Second)
	plain := with(guestRequest, "prompt", "none")
	if b.authorize(plain...).sent(t).Query().Get("code") == "" {
		t.Fatal("not remembered")
	}
	for name, more := range map[string][]string{
		"claims": {"claims", `{"userinfo":{"phone_number":null}}`}, "claims of the ID token": {"claims", `{"id_token":{"phone_number":{"essential":true}}}`},
		"offline_access": {"scope", "openid email offline_access"}, "another scope": {"scope", "openid phone"},
	} {
		if code := b.authorize(with(plain, more...)...).sentError(t, h); code != "consent_required" {
			t.Errorf("%s without consent: %s", name, code)
		}
	}
	again := b.authorize(with(guestRequest, "prompt", "consent")...)
	again.asksFor(t, "/consent")
	h.clock.Advance(time.Second)
	if allow(again).sent(t).Query().Get("code") == "" {
		t.Error("prompt=consent loops")
	}
	h.clock.Advance(time.Second)
	got := h.redeem(allow(b.authorize(with(guestRequest, "scope", "openid email offline_access", "claims", `{"userinfo":{"phone_number":null}}`)...)).sent(t),
		"client_id", "guest", "client_secret", h.guest, "redirect_uri", "https://guest.example.com/cb")
	_, claims, _ := h.userinfo("GET", got.Access, nil)
	if got.Scope != "openid email offline_access" || claims["phone_number"] != "+4930123456" || claims["email"] == nil {
		t.Errorf("got %q %v", got.Scope, claims)
	}
	h.edit("guest", func(c *iam.Client) { c.Scopes = []string{"openid", "email", "offline_access"} })
	next := h.call("/oauth/token", "grant_type", "refresh_token", "refresh_token", got.Refresh, "client_id", "guest", "client_secret", h.guest)
	if _, claims, _ := h.userinfo("GET", next.Access, nil); claims["phone_number"] != nil || claims["email"] == nil {
		t.Errorf("C5 what the client may not hold any more: %v", claims)
	}
}

// Whoever listens on a loopback port or takes a private-use scheme is never
// answered without the person (RFC 8252 §8.6).
func TestNATAnImpersonableAppIsNeverAnsweredInSilence(t *testing.T) {
	h := newHouse(t)
	h.edit("native", func(c *iam.Client) { c.RedirectURIs = append(c.RedirectURIs, "https://app.example.com/claimed") })
	for _, uri := range []string{"http://127.0.0.1:4711/cb", "com.example.app:/cb"} {
		b := h.signedIn()
		native := []string{"client_id", "native", "redirect_uri", uri}
		if code := b.authorize(with(native, "prompt", "none")...).sentError(t, h); code != "consent_required" {
			t.Errorf("%s in silence: %s", uri, code)
		}
		p := b.authorize(native...)
		p.asksFor(t, "/consent")
		h.clock.Advance(time.Second)
		sent := b.follow(b.post("/consent", url.Values{"flow": {p.field("flow")}, "decision": {"allow"}})).sent(t)
		if !strings.HasPrefix(sent.String(), uri+"?code=") {
			t.Fatalf("sent %s", sent)
		}
		if got := h.redeem(sent, "client_id", "native", "client_secret", "", "redirect_uri", uri); got.Status != 200 {
			t.Errorf("got %+v", got)
		}
		h.clock.Advance(time.Second)
		b.authorize(native...).asksFor(t, "/consent") // a yes of before is not one of now
		fresh := h.browser()
		if sent := fresh.signIn(fresh.authorize(native...), "ada").sent(t); sent.Query().Get("code") == "" {
			t.Error("an app of the operator's own that the person just signed in for asks twice")
		}
	}
	if sent := h.signedIn().authorize("client_id", "native", "redirect_uri", "https://app.example.com/claimed", "prompt", "none").sent(t); sent.Query().Get("code") == "" {
		t.Errorf("a claimed https address belongs to the app: %s", sent)
	}
}

// prompt=none is answered by redirect whatever the matter is.
func TestOIDC1PromptNoneShowsNoPage(t *testing.T) {
	h := newHouse(t)
	in, out := h.signedIn(), h.browser()
	for name, tc := range map[string]struct {
		b     *browser
		pairs []string
		want  string
	}{
		"not signed in":             {out, nil, "login_required"},
		"too long ago":              {in, []string{"max_age", "0"}, "login_required"},
		"another user":              {in, []string{"claims", `{"id_token":{"sub":{"value":"usr_other"}}}`}, "login_required"},
		"no consent":                {in, guestRequest, "consent_required"},
		"no such strength":          {in, []string{"claims", `{"id_token":{"acr":{"essential":true,"values":["phr"]}}}`}, "unmet_authentication_requirements"},
		"with another prompt":       {in, []string{"prompt", "none login"}, "invalid_request"},
		"unknown prompt":            {in, []string{"prompt", "nobody"}, "invalid_request"},
		"a scope that nobody knows": {in, []string{"scope", "openid x:y"}, "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			p := tc.b.authorize(append([]string{"prompt", "none"}, tc.pairs...)...)
			if p.StatusCode != http.StatusSeeOther || p.sentError(t, h) != tc.want || p.body != "" {
				t.Errorf("got %d %s, want %s", p.StatusCode, p.Header.Get("Location"), tc.want)
			}
		})
	}
}

// Asked for one user, another one signs in: that is an error, not a loop.
func TestOIDC1AnotherUserThanAskedFor(t *testing.T) {
	h := newHouse(t)
	hint := h.signedIn().tokensFor().ID
	for name, pairs := range map[string][]string{"id_token_hint": {"id_token_hint", hint}, "claims": {"claims", `{"id_token":{"sub":{"value":"` + string(h.ada.ID) + `"}}}`}} {
		b := h.browser()
		p := b.authorize(pairs...)
		h.clock.Advance(time.Second)
		if code := b.signIn(p, "bob").sentError(t, h); code != "login_required" {
			t.Errorf("%s: %s", name, code)
		}
		h.clock.Advance(time.Second)
		p = b.authorize(pairs...) // bob is signed in: he may sign in as ada
		p.asksFor(t, "/login")
		if sent := b.signIn(p, "ada").sent(t); sent.Query().Get("code") == "" {
			t.Errorf("%s: %s", name, sent)
		}
	}
	b := h.signedIn()
	b.authorize("prompt", "select_account").asksFor(t, "/login")
	if code := b.authorize("claims", `{"id_token":{"sub":{"value":"a"}},"userinfo":{"sub":{"value":"b"}}}`).sentError(t, h); code != "invalid_request" {
		t.Errorf("two subs: %s", code)
	}
}

// BCP 9700 §4.8: leaving out or doubling what protects a request is refused or,
// for what the client itself compares, comes back as it was sent.
func TestOA211Downgrades(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	double := func(name string) string {
		q := request("resource", "https://orders.example.com", "scope", "openid orders:read")
		return q.Encode() + "&" + name + "=" + url.QueryEscape(q.Get(name))
	}
	for name, query := range map[string]string{
		"no challenge":             request("code_challenge", "").Encode(),
		"no method means plain":    request("code_challenge_method", "").Encode(),
		"plain":                    request("code_challenge_method", "plain").Encode(),
		"method in another case":   request("code_challenge_method", "s256").Encode(),
		"a short challenge":        request("code_challenge", "abc").Encode(),
		"a padded challenge":       request("code_challenge", request().Get("code_challenge")+"=").Encode(),
		"two challenges":           double("code_challenge"),
		"two methods":              double("code_challenge_method"),
		"two nonces":               double("nonce"),
		"two states":               double("state"),
		"two resources":            double("resource"),
		"two scopes":               double("scope"),
		"two response types":       double("response_type"),
		"response_type=code token": request("response_type", "code token").Encode(),
		"response_mode=fragment":   request("response_mode", "fragment").Encode(),
	} {
		p := b.get("/oauth/authorize?" + query)
		if code := p.sentError(t, h); code != "invalid_request" && code != "unsupported_response_type" {
			t.Errorf("%s: %s", name, code)
		}
		if len(p.sent(t).Query()["state"]) > 1 || name == "two states" && p.sent(t).Query().Has("state") {
			t.Errorf("%s: %s", name, p.sent(t))
		}
	}
	for _, name := range []string{"client_id", "redirect_uri"} {
		p := b.get("/oauth/authorize?" + double(name))
		if p.StatusCode != 400 || p.Header.Get("Location") != "" || !strings.Contains(p.body, "more than once") {
			t.Errorf("two of %s: %d %s", name, p.StatusCode, p.body)
		}
	}
	h.edit("wiki", func(c *iam.Client) { c.RequirePAR = true })
	if code := b.authorize().sentError(t, h); code != "invalid_request" {
		t.Errorf("no PAR: %s", code)
	}
	h.edit("wiki", func(c *iam.Client) { c.RequirePAR = false })
	sent := b.authorize("nonce", "", "state", "").sent(t)
	if sent.Query().Has("state") || h.claims(h.redeem(sent).ID, "jwt").Has("nonce") {
		t.Error("a state or nonce of nobody's")
	}
	// At the token endpoint (CVE-2024-23647, CVE-2024-22258).
	for name, pairs := range map[string][]string{"no verifier": {"code_verifier", ""}, "another resource": {"resource", "https://evil.example"}} {
		if got := h.redeem(b.authorize().sent(t), pairs...); got.Status != 400 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// CVE-2026-28513, CVE-2026-55672, CVE-2026-32245: a code opens with all of
// client, secret, redirect URI and verifier, and with no three of them; a
// failure spends nothing.
func TestOA212TruthTable(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	sent := b.authorize("scope", "openid offline_access").sent(t)
	for mask := range 16 {
		pairs := []string{}
		bad := func(bit int, more ...string) {
			if mask&bit != 0 {
				pairs = append(pairs, more...)
			}
		}
		bad(1, "client_id", "guest", "client_secret", h.guest) // another client, properly authenticated
		bad(2, "client_secret", "ghs_wrong")
		bad(4, "redirect_uri", "https://wiki.example.com/other")
		bad(8, "code_verifier", strings.Repeat("w", 43))
		if mask == 0 {
			continue
		}
		got := h.redeem(sent, pairs...)
		want := "invalid_grant"
		if mask&2 != 0 {
			want = "invalid_client"
		}
		if got.Error != want {
			t.Errorf("mask %04b: %+v, want %s", mask, got, want)
		}
	}
	if got := h.redeem(sent, "redirect_uri", ""); got.Error != "invalid_grant" {
		t.Errorf("C11 no redirect_uri: %+v", got)
	}
	got := h.redeem(sent)
	if got.Status != 200 {
		t.Fatalf("a failure spent the code: %+v", got)
	}
	for name, pairs := range map[string][]string{"another client": {"client_id", "guest", "client_secret", h.guest}, "a public client": {"client_id", "native"}, "no secret": {"client_id", "wiki"}} {
		if r := h.call("/oauth/token", append([]string{"grant_type", "refresh_token", "refresh_token", got.Refresh}, pairs...)...); r.Status == 200 {
			t.Errorf("refresh by %s: %+v", name, r)
		}
	}
	if r := h.call("/oauth/token", "grant_type", "refresh_token", "refresh_token", got.Refresh, "client_id", "wiki", "client_secret", h.wiki); r.Status != 200 {
		t.Errorf("a failure spent the refresh token: %+v", r)
	}
	late := b.authorize().sent(t)
	h.clock.Advance(iam.CodeLife)
	if got := h.redeem(late); got.Error != "invalid_grant" {
		t.Errorf("C10 after a minute: %+v", got)
	}
}

// What changes in the middle of a flow counts at the next step.
func TestC10AChangeInTheMiddle(t *testing.T) {
	ctx := context.Background()
	type change func(h *house)
	changes := map[string]change{
		"user disabled":    func(h *house) { h.must(h.parts.Directory.SetUser(ctx, "test", h.ada.ID, directory.Disabled)) },
		"user deleted":     func(h *house) { h.must(h.parts.Directory.DeleteUser(ctx, "test", h.ada.ID)) },
		"password changed": func(h *house) { h.must(h.parts.Directory.SetPassword(ctx, "test", h.ada.ID, "another-gate-entirely")) },
		"client disabled":  func(h *house) { h.must(h.parts.Directory.SetClient(ctx, "test", "guest", directory.Disabled)) },
		"client deleted":   func(h *house) { h.must(h.parts.Directory.DeleteClient(ctx, "test", "guest")) },
		"redirect URI withdrawn": func(h *house) {
			h.edit("guest", func(c *iam.Client) { c.RedirectURIs = []string{"https://guest.example.com/new"} })
		},
		"PAR required":        func(h *house) { h.edit("guest", func(c *iam.Client) { c.RequirePAR = true }) },
		"code flow forbidden": func(h *house) { h.edit("guest", func(c *iam.Client) { c.GrantTypes = []string{iam.RefreshToken} }) },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			b := h.browser()
			login := b.authorize(guestRequest...)
			early := h.signedIn()
			consent := early.authorize(guestRequest...)
			consent.asksFor(t, "/consent")
			late := h.signedIn()
			p := late.authorize(with(guestRequest, "prompt", "consent")...)
			code := late.follow(late.post("/consent", url.Values{"flow": {p.field("flow")}, "decision": {"allow"}})).sent(t)
			h.clock.Advance(time.Second)
			change(h)
			got := b.post("/login", url.Values{"flow": {login.field("flow")}, "username": {"ada"}, "password": {password}})
			if got.StatusCode == http.StatusSeeOther && strings.Contains(got.Header.Get("Location"), "guest.example.com") || b.cookie("gatehouse-session") != "" {
				t.Errorf("the login: %d %s", got.StatusCode, got.Header.Get("Location"))
			}
			got = early.post("/consent", url.Values{"flow": {consent.field("flow")}, "decision": {"allow"}})
			if got.StatusCode == http.StatusSeeOther || strings.Contains(got.body, "code=v1.") {
				t.Errorf("the consent: %d %s", got.StatusCode, got.Header.Get("Location"))
			}
			redeemed := h.redeem(code, "client_id", "guest", "client_secret", h.guest, "redirect_uri", "https://guest.example.com/cb")
			if kept := name == "redirect URI withdrawn" || name == "PAR required"; (redeemed.Status == 200) != kept {
				t.Errorf("the code: %+v", redeemed)
			}
		})
	}
	t.Run("consent taken back", func(t *testing.T) {
		h := newHouse(t)
		b := h.signedIn()
		p := b.authorize(guestRequest...)
		code := b.follow(b.post("/consent", url.Values{"flow": {p.field("flow")}, "decision": {"allow"}})).sent(t)
		account := b.get("/account")
		if p := b.post("/account/apps/revoke", url.Values{"flow": {account.field("flow")}, "client_id": {"guest"}}); p.StatusCode != 200 {
			t.Fatalf("got %d", p.StatusCode)
		}
		if got := h.redeem(code, "client_id", "guest", "client_secret", h.guest, "redirect_uri", "https://guest.example.com/cb"); got.Error != "invalid_grant" {
			t.Errorf("CVE-2026-43983: %+v", got)
		}
		b.authorize(guestRequest...).asksFor(t, "/consent")
	})
	t.Run("logged out before the code is redeemed", func(t *testing.T) {
		h := newHouse(t)
		b := h.signedIn()
		id := b.tokensFor().ID
		code := b.authorize("scope", "openid offline_access").sent(t)
		b.get("/oauth/logout?id_token_hint=" + id)
		if got := h.redeem(code); got.Error != "invalid_grant" {
			t.Errorf("got %+v", got)
		}
	})
}

// A HEAD of a link checker neither spends nor ends anything.
func TestHeadIsNoVisit(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	hint := b.tokensFor().ID
	pushed := h.push(request())
	for _, path := range []string{"/oauth/authorize?" + request().Encode(), "/oauth/authorize?client_id=wiki&request_uri=" + pushed, "/oauth/logout?id_token_hint=" + hint, "/continue?flow=x"} {
		if p := b.send("HEAD", path, nil); p.StatusCode != 405 || p.Header.Get("Location") != "" || !strings.HasPrefix(p.Header.Get("Allow"), "GET") {
			t.Errorf("%.30s: %d %s %s", path, p.StatusCode, p.Header.Get("Location"), p.Header.Get("Allow"))
		}
	}
	if b.get("/oauth/authorize?client_id=wiki&request_uri="+pushed).sent(t).Query().Get("code") == "" {
		t.Error("the pushed request is spent, or the session has ended")
	}
	for _, path := range []string{"/account", "/device"} {
		if p := b.send("HEAD", path, nil); p.StatusCode != 200 || p.body != "" {
			t.Errorf("%s: %d", path, p.StatusCode)
		}
	}
	for _, method := range []string{"PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"} {
		if p := b.send(method, "/oauth/authorize?"+request().Encode(), nil); p.StatusCode != 405 || p.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("C21 %s: %d", method, p.StatusCode)
		}
	}
}

// Whatever a request holds, it comes back as it was, or not at all.
func TestHostileParameters(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	for name, state := range map[string]string{
		"1024 bytes of unicode": strings.Repeat("ж", 512), "markup": `"><script>alert(1)</script>`, "1024 of what JSON escapes": strings.Repeat("<", 1024),
		"an ampersand": "a&code=evil&iss=https://evil.example", "percent": "%0d%0aSet-Cookie:x=y", "line separators": strings.Repeat("\u2028", 300), "tab": "a\tb", "direction": "\u202eabc",
	} {
		for _, mode := range []string{"query", "form_post"} {
			p := b.authorize("state", state, "response_mode", mode)
			got := ""
			if mode == "form_post" {
				got = p.field("state")
				for from, to := range map[string]string{"&#34;": `"`, "&lt;": "<", "&gt;": ">", "&amp;": "&", "&#43;": "+"} {
					got = strings.ReplaceAll(got, from, to)
				}
			} else {
				q := p.sent(t).Query()
				if got = q.Get("state"); q.Get("iss") != h.url || len(q["code"]) != 1 || len(p.Header["Set-Cookie"]) > 0 {
					t.Errorf("%s: %s", name, p.sent(t))
				}
			}
			if got != state {
				t.Errorf("%s by %s: got %q", name, mode, got)
			}
		}
		// And through a login page.
		fresh := h.browser()
		if q := fresh.signIn(fresh.authorize("state", state), "ada").sent(t).Query(); q.Get("state") != state {
			t.Errorf("%s through the login page: %q", name, q.Get("state"))
		}
	}
	for name, tc := range map[string]struct{ query, want string }{
		"a state of 1025 bytes":     {request("state", strings.Repeat("x", 1025)).Encode(), "invalid_request"},
		"a nonce of 513 bytes":      {request("nonce", strings.Repeat("x", 513)).Encode(), "invalid_request"},
		"a login_hint of 257 bytes": {request("login_hint", strings.Repeat("x", 257)).Encode(), "invalid_request"},
		"claims of 2049 bytes":      {request("claims", `{"a":"`+strings.Repeat("x", 2050)+`"}`).Encode(), "invalid_request"},
		"a hint of nobody":          {request("id_token_hint", "a.b.c").Encode(), "invalid_request"},
		"NUL":                       {request("nonce", "a\x00b").Encode(), "invalid_request"},
		"not UTF-8":                 {request().Encode() + "&x=%ff%fe", "invalid_request"},
		"a broken escape":           {request().Encode() + "&x=%zz", "invalid_request"},
		"65 parameters":             {request().Encode() + strings.Repeat("&a=b", 60), ""},
		"CRLF":                      {request("login_hint", "a\r\nSet-Cookie: x=y").Encode(), "invalid_request"},
		"max_age of letters":        {request("max_age", "soon").Encode(), "invalid_request"},
		"max_age below zero":        {request("max_age", "-1").Encode(), "invalid_request"},
		"max_age of a century":      {request("max_age", "9999999999").Encode(), "invalid_request"},
		"claims that are no object": {request("claims", "[]").Encode(), "invalid_request"},
		"claims given twice inside": {request("claims", `{"userinfo":{"email":null,"email":null}}`).Encode(), "invalid_request"},
		"a scope with two spaces":   {request("scope", "openid  email").Encode(), "invalid_scope"},
		"a scope of nobody":         {request("scope", `openid "x\`).Encode(), "invalid_scope"},
		"a relative resource":       {request("resource", "/orders").Encode(), "invalid_target"},
		"an unknown resource":       {request("resource", "https://evil.example").Encode(), "invalid_target"},
		"scopes too many to carry":  {request("scope", "openid"+many(" x%d", 70)).Encode(), "invalid_scope"},
		"too large for a code":      {request("claims", `{"userinfo":{`+strings.TrimPrefix(many(`,"claim_of_a_long_name_%d":null`, 50), ",")+`}}`, "nonce", strings.Repeat("n", 512)).Encode(), "invalid_request"},
	} {
		p := b.get("/oauth/authorize?" + tc.query)
		if tc.want == "" {
			if p.StatusCode != 400 || p.Header.Get("Location") != "" || !strings.Contains(p.body, "more than 64 parameters") {
				t.Errorf("%s: %d %s", name, p.StatusCode, p.body)
			}
			continue
		}
		if code := p.sentError(t, h); code != tc.want {
			t.Errorf("%s: %s, want %s", name, code, tc.want)
		}
		description := p.sent(t).Query().Get("error_description")
		if description == "" || strings.ContainsFunc(description, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
			t.Errorf("%s: RFC 6749 §4.1.2.1: error_description %q", name, description)
		}
	}
	if p := b.get("/oauth/authorize?" + request().Encode() + "&x=" + strings.Repeat("x", 13<<10)); p.StatusCode != 400 || !strings.Contains(p.body, "more than 12288 bytes") {
		t.Errorf("too large: %d %s", p.StatusCode, p.body)
	}
	if p := b.send("POST", "/oauth/authorize", url.Values{"x": {strings.Repeat("x", 13<<10)}}); p.StatusCode != 413 {
		t.Errorf("too large a form: %d", p.StatusCode)
	}
}

func many(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// Until client and redirect URI are proven nothing is answered by redirect,
// whatever else is wrong (RFC 6749 §4.1.2.1, CVE-2026-44681).
func TestOA211NoRedirectToTheUnproven(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	ctx := context.Background()
	_, _, err := h.parts.Directory.CreateClient(ctx, "test", iam.Client{ID: "robot", Type: iam.Service})
	h.must(err)
	_, _, err = h.parts.Directory.CreateClient(ctx, "test", iam.Client{ID: "off", Type: iam.Confidential, RedirectURIs: []string{callback}, Scopes: []string{"openid"}})
	h.must(err)
	h.must(h.parts.Directory.SetClient(ctx, "test", "off", directory.Disabled))
	for name, pairs := range map[string][]string{
		"no client": {"client_id", ""}, "unknown client": {"client_id", "nobody"}, "markup": {"client_id", "<script>alert(1)</script>"}, "disabled": {"client_id", "off"},
		"service account": {"client_id", "robot"}, "no redirect URI": {"redirect_uri", ""}, "another client's": {"redirect_uri", "https://guest.example.com/cb"},
		"evil": {"redirect_uri", "https://evil.example/cb"}, "javascript": {"redirect_uri", "javascript:alert(1)"}, "relative": {"redirect_uri", "/account"},
	} {
		for _, more := range [][]string{nil, {"scope", "x:y"}, {"response_type", "token"}, {"prompt", "none"}, {"request", "x"}, {"request_uri", "https://evil.example"}, {"response_mode", "form_post"}} {
			p := b.authorize(append(append([]string{}, more...), pairs...)...)
			if p.StatusCode != 400 || p.Header.Get("Location") != "" || strings.Contains(p.body, "http-equiv") || strings.Contains(p.body, "<form") || strings.Contains(p.body, "<script>alert") {
				t.Errorf("%s %v: %d %s", name, more, p.StatusCode, p.Header.Get("Location"))
			}
			if !strings.Contains(p.body, "<details>") {
				t.Errorf("%s: the developer is told nothing", name)
			}
		}
	}
}

// A redirect URI with a query keeps it, once.
func TestOA211ARedirectURIWithAQuery(t *testing.T) {
	h := newHouse(t)
	h.edit("wiki", func(c *iam.Client) {
		c.RedirectURIs = append(c.RedirectURIs, "https://wiki.example.com/cb?tenant=a%20b&x=")
	})
	b := h.signedIn()
	sent := b.authorize("redirect_uri", "https://wiki.example.com/cb?tenant=a%20b&x=").sent(t)
	if !strings.HasPrefix(sent.String(), "https://wiki.example.com/cb?tenant=a%20b&x=&code=") || len(sent.Query()["code"]) != 1 {
		t.Errorf("sent %s", sent)
	}
	if got := h.redeem(sent, "redirect_uri", "https://wiki.example.com/cb?tenant=a%20b&x="); got.Status != 200 {
		t.Errorf("got %+v", got)
	}
	for _, mode := range []string{"http://[::1]:99/cb", "com.example.app:/cb"} {
		h.edit("native", func(c *iam.Client) {
			c.RedirectURIs = []string{"http://[::1]/cb", "com.example.app:/cb", "http://127.0.0.1/cb"}
		})
		p := b.authorize("client_id", "native", "redirect_uri", mode, "response_mode", "form_post")
		if code := p.sentError(t, h); code != "invalid_request" {
			t.Errorf("form_post to %s: %s", mode, code)
		}
	}
	p := b.authorize("client_id", "native", "redirect_uri", "http://127.0.0.1:4711/cb", "response_mode", "form_post", "prompt", "none")
	if p.field("error") != "consent_required" || !strings.Contains(p.Header.Get("Content-Security-Policy"), "form-action http://127.0.0.1:4711;") {
		t.Errorf("form_post to loopback: %d %s", p.StatusCode, p.body)
	}
}

// What the browser could not carry to the end is refused before anybody types a
// password for it: here scopes that an API defines and the client may not hold.
func TestC31ARequestTooLargeForAFlow(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	var scopes []iam.Scope
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprintf("%s:%d", strings.Repeat("s", 98), i))
		scopes = append(scopes, iam.Scope{Name: names[i]})
	}
	_, err := h.parts.Directory.CreateAPI(ctx, "test", iam.API{Name: "wordy", Audience: "https://wordy.example.com", Scopes: scopes})
	h.must(err)
	h.edit("wiki", func(c *iam.Client) { c.Scopes = append(c.Scopes, names[0]) })
	if code := h.browser().authorize("scope", strings.Join(names, " ")).sentError(t, h); code != "invalid_request" {
		t.Errorf("got %s", code)
	}
	b := h.browser()
	most := b.authorize("scope", strings.Join(names[:35], " "), "state", strings.Repeat("<", 1024), "login_hint", strings.Repeat("h", 256), "ui_locales", strings.Repeat("xx-yyyy-zz ", 8))
	if sent := b.signIn(most, "ada").sent(t); sent.Query().Get("code") == "" || len(sent.Query().Get("state")) != 1024 {
		t.Errorf("what fits is carried: %s", sent)
	}
}

// A yes to one API is none to another that happens to call a scope the same,
// neither at the next request, nor at redemption, nor at a refresh.
func TestC31ConsentIsForOneAPI(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	_, err := h.parts.Directory.CreateAPI(ctx, "test", iam.API{Name: "bank", Audience: "https://bank.example.com", Scopes: []iam.Scope{{Name: "orders:read", Description: "Read the standing orders of your account"}, {Name: "pay"}}})
	h.must(err)
	_, err = h.parts.Directory.CreateRole(ctx, "test", iam.Role{Name: "customer", Scopes: []iam.RoleScope{{API: "bank", Scope: "orders:read"}, {API: "bank", Scope: "pay"}}})
	h.must(err)
	_, err = h.parts.Directory.EditUser(ctx, "test", h.ada.ID, func(u *iam.User) error { u.Roles = append(u.Roles, "customer"); return nil })
	h.must(err)
	h.edit("guest", func(c *iam.Client) { c.Scopes = append(c.Scopes, "pay") })
	b := h.signedIn()
	const shop, bank = "https://orders.example.com", "https://bank.example.com"
	at := func(resource string, more ...string) []string {
		return with(guestRequest, append([]string{"scope", "openid orders:read pay offline_access", "resource", resource}, more...)...)
	}
	p := b.authorize(at(shop)...)
	p.asksFor(t, "/consent")
	if strings.Contains(p.body, "pay") {
		t.Error("the page asks for a scope of another API")
	}
	sent := b.follow(b.post("/consent", url.Values{"flow": {p.field("flow")}, "decision": {"allow"}})).sent(t)
	as := []string{"client_id", "guest", "client_secret", h.guest, "redirect_uri", "https://guest.example.com/cb"}
	if got := h.redeem(sent, with(as, "resource", bank)...); got.Error != "invalid_target" {
		t.Errorf("redeemed for the other API: %+v", got)
	}
	got := h.redeem(sent, with(as, "resource", shop)...)
	if got.Scope != "openid orders:read offline_access" {
		t.Fatalf("got %+v", got)
	}
	refresh := with(as[:4], "grant_type", "refresh_token", "refresh_token", got.Refresh)
	if other := h.call("/oauth/token", with(refresh, "resource", bank)...); other.Error != "invalid_target" {
		t.Errorf("refreshed for the other API: %+v", other)
	}
	if same := h.call("/oauth/token", with(refresh, "resource", shop)...); same.Status != 200 {
		t.Errorf("refreshed for its own: %+v", same)
	}
	h.clock.Advance(time.Second)
	if code := b.authorize(at(bank, "prompt", "none")...).sentError(t, h); code != "consent_required" {
		t.Errorf("silently at the other API: %s", code)
	}
	if b.authorize(at(shop, "prompt", "none")...).sent(t).Query().Get("code") == "" {
		t.Error("not remembered for its own")
	}
	p = b.authorize(at(bank)...)
	p.asksFor(t, "/consent")
	if !strings.Contains(p.body, "standing orders of your account") || !strings.Contains(p.body, "pay") {
		t.Errorf("not in the words of the bank: %s", p.body)
	}
	b.follow(b.post("/consent", url.Values{"flow": {p.field("flow")}, "decision": {"allow"}}))
	if account := b.get("/account"); !strings.Contains(account.body, "standing orders") || !strings.Contains(account.body, "Read your orders") {
		t.Error("the account page does not tell the two apart")
	}
}

// Trouble on our side is a page for a person, and for prompt=none an answer: in
// a hidden frame nobody reads a page.
func TestOIDC1TroubleOnOurSide(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	h.must(h.parts.Keys.Confirm(t.Context()))
	h.must(h.parts.Store.Close())
	p := b.authorize("prompt", "none")
	if code := p.sentError(t, h); p.StatusCode != http.StatusSeeOther || code != "server_error" || p.sent(t).Query().Get("state") != "s1" {
		t.Errorf("got %d %s", p.StatusCode, p.sent(t))
	}
	p = b.authorize()
	if p.StatusCode != 500 || p.Header.Get("Location") != "" || strings.Contains(p.body, "sql") || !strings.Contains(p.body, p.Header.Get("X-Request-Id")) {
		t.Errorf("got %d %s", p.StatusCode, p.body)
	}
	if log := h.log.String(); strings.Count(log, "database is closed") < 2 {
		t.Error("the log does not have the cause")
	}
	// A second later the keys are not known to be those of today: no answer is
	// sealed with them, and whoever asks may ask again.
	h.clock.Advance(2 * time.Second)
	p = b.authorize("prompt", "none")
	if code := p.sentError(t, h); code != "temporarily_unavailable" {
		t.Errorf("got %d %s", p.StatusCode, p.sent(t))
	}
	if p = b.authorize(); p.StatusCode != 503 || !strings.Contains(p.body, p.Header.Get("X-Request-Id")) {
		t.Errorf("got %d %s", p.StatusCode, p.body)
	}
}

// full is a store whose disk is full at one place.
type full struct{ *store.Copies }

func (full) Consent(context.Context, iam.UserID, iam.ClientID) (iam.Consent, error) {
	return iam.Consent{}, fmt.Errorf("read consent: %w", iam.ErrUnavailable)
}

// A full disk passes: people and apps are told to come again.
func TestOIDC1TheDatabaseCannotBeUsed(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	mux := http.NewServeMux()
	h.must(web.SignOn(mux, web.Config{Issuer: h.url, Pages: h.parts.Pages, Tokens: h.parts.Tokens, Logins: h.parts.Logins, Sessions: h.parts.Sessions, Records: full{h.parts.Store},
		Forms: h.parts.Keys, Keys: h.parts.Keys, Guesses: throttle.New(throttle.Config{}), Logger: slog.New(slog.DiscardHandler), Now: h.clock.Now}))
	h.handle = mux
	if p := b.authorize(); p.StatusCode != 503 || p.Header.Get("Retry-After") == "" || p.Header.Get("Location") != "" {
		t.Errorf("got %d %s", p.StatusCode, p.Header)
	}
	if code := b.authorize("prompt", "none").sentError(t, h); code != "temporarily_unavailable" {
		t.Errorf("got %s", code)
	}
}
