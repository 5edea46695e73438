package web_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// userinfo asks with a token in the header, or as method and body say.
func (h *house) userinfo(method, bearer string, form url.Values) (int, map[string]any, http.Header) {
	h.t.Helper()
	r, err := http.NewRequest(method, h.url+"/oauth/userinfo", strings.NewReader(form.Encode()))
	h.must(err)
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := http.DefaultClient.Do(r)
	h.must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	h.must(err)
	var claims map[string]any
	_ = json.Unmarshal(body, &claims)
	return answer.StatusCode, claims, answer.Header
}

// signedIn is a browser in which ada signed in a second ago.
func (h *house) signedIn() *browser {
	h.t.Helper()
	b := h.browser()
	b.signIn(b.authorize(), "ada")
	h.clock.Advance(time.Second)
	return b
}

// tokensFor is a whole sign-on of a browser that is signed in.
func (b *browser) tokensFor(pairs ...string) tokens {
	b.t.Helper()
	got := b.redeem(b.authorize(pairs...).sent(b.t))
	if got.Status != http.StatusOK {
		b.t.Fatalf("got %d %s", got.Status, got.Body)
	}
	return got
}

func (p page) asksFor(t *testing.T, action string) {
	t.Helper()
	if p.StatusCode != http.StatusOK || !strings.Contains(p.body, `action="`+action+`"`) {
		t.Fatalf("no form for %s: %d %s %s", action, p.StatusCode, p.Header.Get("Location"), p.body)
	}
}

// sentError is the error that an answer carries, after the checks that every
// error has to pass (RFC 9207: iss is there too).
func (p page) sentError(t *testing.T, h *house) string {
	t.Helper()
	q := p.sent(t).Query()
	if q.Get("error") == "" || q.Get("code") != "" || q.Get("iss") != h.url || len(q["iss"]) != 1 {
		t.Fatalf("no error with iss: %s", p.sent(t))
	}
	return q.Get("error")
}

// The modules of the OpenID basic OP plan that concern a server like this one,
// under their names.
func TestOIDC1BasicPlan(t *testing.T) {
	h := newHouse(t)
	long := h.signedIn()
	for name, module := range map[string]func(t *testing.T, b *browser){
		"Server": func(t *testing.T, b *browser) {
			b.authorize("scope", "openid").asksFor(t, "/login")
			sent := b.signIn(b.authorize(), "ada").sent(t)
			if got := h.redeem(sent); got.Status != 200 || got.ID == "" || got.Access == "" {
				t.Errorf("got %+v", got)
			}
		},
		"ResponseTypeMissing": func(t *testing.T, b *browser) {
			p := b.authorize("response_type", "")
			if p.sentError(t, h) != "invalid_request" || p.sent(t).Query().Get("state") != "s1" {
				t.Errorf("sent %s", p.sent(t))
			}
		},
		"IdTokenSignature": func(t *testing.T, _ *browser) {
			got := long.tokensFor()
			if h.claims(got.ID, "jwt").Subject != string(h.ada.ID) { // claims checks the signature with the published keys
				t.Error("another user")
			}
			digest := sha256.Sum256([]byte(got.Access))
			if hash, _ := h.claims(got.ID, "jwt").String("at_hash"); hash != base64.RawURLEncoding.EncodeToString(digest[:16]) {
				t.Errorf("at_hash %s", hash)
			}
		},
		"UserInfoGet": func(t *testing.T, _ *browser) {
			got := long.tokensFor()
			status, claims, header := h.userinfo("GET", got.Access, nil)
			if status != 200 || claims["sub"] != h.claims(got.ID, "jwt").Subject || header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %v", status, claims)
			}
		},
		"UserInfoPostHeader": func(t *testing.T, _ *browser) {
			got := long.tokensFor()
			if status, claims, _ := h.userinfo("POST", got.Access, nil); status != 200 || claims["sub"] != string(h.ada.ID) {
				t.Errorf("got %d %v", status, claims)
			}
		},
		"UserInfoPostBody": func(t *testing.T, _ *browser) {
			got := long.tokensFor()
			if status, claims, _ := h.userinfo("POST", "", url.Values{"access_token": {got.Access}}); status != 200 || claims["sub"] != string(h.ada.ID) {
				t.Errorf("got %d %v", status, claims)
			}
			if status, claims, _ := h.userinfo("POST", got.Access, url.Values{"access_token": {got.Access}}); status != 400 || claims["error"] != "invalid_request" {
				t.Errorf("AT-2 two tokens: %d %v", status, claims)
			}
		},
		"ScopeProfile": wantClaims(h, long, "profile", "name", "given_name", "locale", "preferred_username", "updated_at"),
		"ScopeEmail":   wantClaims(h, long, "email", "email", "email_verified"),
		"ScopeAddress": wantClaims(h, long, "address", "address"),
		"ScopePhone":   wantClaims(h, long, "phone", "phone_number", "phone_number_verified"),
		"ScopeAll": wantClaims(h, long, "profile email address phone", "name", "given_name", "locale", "preferred_username", "updated_at",
			"email", "email_verified", "address", "phone_number", "phone_number_verified"),
		"EnsureOtherScopeOrderSucceeds": func(t *testing.T, _ *browser) {
			if got := long.tokensFor("scope", "email openid"); got.ID == "" || got.Scope != "email openid" {
				t.Errorf("got %+v", got)
			}
		},
		"PromptLogin": func(t *testing.T, _ *browser) {
			before := authTime(h, long.tokensFor().ID)
			h.clock.Advance(2 * time.Second)
			p := long.authorize("prompt", "login")
			p.asksFor(t, "/login")
			if !strings.Contains(p.body, "asks you to sign in again") && !strings.Contains(p.body, `class="note"`) {
				t.Error("the page does not say why")
			}
			after := authTime(h, h.redeem(long.signIn(p, "ada").sent(t)).ID)
			if after <= before {
				t.Errorf("auth_time %d is not after %d", after, before)
			}
			h.clock.Advance(time.Second)
		},
		"PromptNoneNotLoggedIn": func(t *testing.T, b *browser) {
			if code := b.authorize("prompt", "none").sentError(t, h); code != "login_required" {
				t.Errorf("got %s", code)
			}
		},
		"PromptNoneLoggedIn": func(t *testing.T, _ *browser) {
			before, p := long.tokensFor(), long.authorize("prompt", "none")
			got := h.redeem(p.sent(t))
			if p.StatusCode != http.StatusSeeOther || h.claims(got.ID, "jwt").Subject != h.claims(before.ID, "jwt").Subject || authTime(h, got.ID) != authTime(h, before.ID) {
				t.Errorf("got %d %+v", p.StatusCode, got)
			}
		},
		"MaxAge1": func(t *testing.T, _ *browser) {
			before := authTime(h, long.tokensFor().ID)
			h.clock.Advance(2 * time.Second)
			p := long.authorize("max_age", "1")
			p.asksFor(t, "/login")
			if after := authTime(h, h.redeem(long.signIn(p, "ada").sent(t)).ID); after <= before {
				t.Errorf("auth_time %d is not after %d", after, before)
			}
			h.clock.Advance(2 * time.Second)
			if code := long.authorize("max_age", "1", "prompt", "none").sentError(t, h); code != "login_required" {
				t.Errorf("with prompt=none: %s", code)
			}
		},
		"MaxAge10000": func(t *testing.T, _ *browser) {
			if got := long.tokensFor("max_age", "10000"); authTime(h, got.ID) == 0 {
				t.Error("no auth_time")
			}
		},
		"IdTokenHint": func(t *testing.T, b *browser) {
			hint := long.tokensFor().ID
			if sent := long.authorize("prompt", "none", "id_token_hint", hint).sent(t); sent.Query().Get("code") == "" {
				t.Errorf("sent %s", sent)
			}
			b.signIn(b.authorize(), "bob")
			if code := b.authorize("prompt", "none", "id_token_hint", hint).sentError(t, h); code != "login_required" {
				t.Errorf("another user's hint: %s", code)
			}
		},
		"LoginHint": func(t *testing.T, b *browser) {
			if p := b.authorize("login_hint", "ada"); !strings.Contains(p.body, `name="username" type="text" value="ada"`) {
				t.Errorf("not filled in: %s", p.body)
			}
		},
		"UiLocales": func(t *testing.T, b *browser) {
			if p := b.authorize("ui_locales", "xx de en"); p.Header.Get("Content-Language") != "de" {
				t.Errorf("got %s", p.Header.Get("Content-Language"))
			}
			many := strings.Repeat("xx ", 30) + "de"
			if p := b.authorize("ui_locales", many); p.StatusCode != 200 {
				t.Errorf("too many wishes are no error: %d", p.StatusCode)
			}
		},
		"ClaimsLocales": func(t *testing.T, _ *browser) { long.tokensFor("claims_locales", "de en") },
		"AcrValues": func(t *testing.T, _ *browser) {
			got := long.tokensFor("acr_values", "phr mfa pwd")
			if acr, _ := h.claims(got.ID, "jwt").String("acr"); acr != "pwd" {
				t.Errorf("acr %q is not what happened", acr)
			}
		},
		"CodeReuse": func(t *testing.T, _ *browser) { codeReuse(t, h, long, 0) },
		"CodeReuse30Seconds": func(t *testing.T, _ *browser) {
			codeReuse(t, h, long, 30*time.Second)
		},
		"EnsureRegisteredRedirectUri": func(t *testing.T, b *browser) {
			p := b.authorize("redirect_uri", callback+"/x")
			if p.StatusCode != http.StatusBadRequest || p.Header.Get("Location") != "" || !strings.Contains(p.body, "is not registered for client") {
				t.Errorf("got %d %s", p.StatusCode, p.Header.Get("Location"))
			}
		},
		"EnsurePostRequestSucceeds": func(t *testing.T, _ *browser) {
			p := long.post("/oauth/authorize", request())
			if p.StatusCode != http.StatusSeeOther || !strings.HasPrefix(p.Header.Get("Location"), h.url+"/oauth/authorize?") {
				t.Fatalf("C30: got %d %s", p.StatusCode, p.Header.Get("Location"))
			}
			if got := h.redeem(long.get(p.Header.Get("Location")).sent(t)); got.Status != 200 {
				t.Errorf("got %+v", got)
			}
		},
		"ClientSecretBasic": func(t *testing.T, _ *browser) {
			form := url.Values{"grant_type": {"authorization_code"}, "code": {long.authorize().sent(t).Query().Get("code")}, "code_verifier": {verifier}, "redirect_uri": {callback}}
			r, err := http.NewRequest("POST", h.url+"/oauth/token", strings.NewReader(form.Encode()))
			h.must(err)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth("wiki", h.wiki)
			answer, err := http.DefaultClient.Do(r)
			h.must(err)
			answer.Body.Close()
			if answer.StatusCode != 200 {
				t.Errorf("got %s", answer.Status)
			}
		},
		"ClientSecretPost": func(t *testing.T, _ *browser) { long.tokensFor() },
		"UnsignedRequestObjectRejected": func(t *testing.T, b *browser) {
			if code := b.authorize("request", "eyJhbGciOiJub25lIn0.e30.").sentError(t, h); code != "request_not_supported" {
				t.Errorf("request: %s", code)
			}
			for _, uri := range []string{"https://wiki.example.com/request.jwt", "urn:ietf:params:oauth:request_uri:" + strings.Repeat("x", 99)} {
				if code := b.authorize("request_uri", uri).sentError(t, h); code != "request_uri_not_supported" {
					t.Errorf("%s: %s", uri, code)
				}
			}
			if code := b.authorize("registration", "{}").sentError(t, h); code != "registration_not_supported" {
				t.Errorf("registration: %s", code)
			}
		},
		"UnknownParameters": func(t *testing.T, _ *browser) {
			long.tokensFor("extra", "foobar", "display", "popup", "vendor[x]", "<b>")
		},
		"ClaimsEssential": func(t *testing.T, _ *browser) {
			got := long.tokensFor("claims", `{"userinfo":{"name":{"essential":true},"email":null},"id_token":{"email":{"essential":true},"nonsense":null}}`)
			_, claims, _ := h.userinfo("GET", got.Access, nil)
			email, _ := h.claims(got.ID, "jwt").String("email")
			if claims["name"] != "Ada Lovelace" || claims["email"] != "ada@example.com" || claims["phone_number"] != nil || email != "ada@example.com" || h.claims(got.ID, "jwt").Has("nonsense") {
				t.Errorf("userinfo %v, ID token %s", claims, email)
			}
		},
		"RefreshToken": func(t *testing.T, _ *browser) {
			first := long.tokensFor("scope", "openid offline_access")
			h.clock.Advance(time.Second)
			next := h.call("/oauth/token", "grant_type", "refresh_token", "refresh_token", first.Refresh, "client_id", "wiki", "client_secret", h.wiki)
			if next.Status != 200 || next.Refresh == first.Refresh || next.Access == first.Access {
				t.Fatalf("got %+v", next)
			}
			a, b := h.claims(first.ID, "jwt"), h.claims(next.ID, "jwt")
			if b.Issuer != a.Issuer || b.Subject != a.Subject || !slices.Equal(b.Audience, a.Audience) || authTime(h, next.ID) != authTime(h, first.ID) || !b.IssuedAt.After(a.IssuedAt) || b.Has("nonce") {
				t.Errorf("OIDC Core §12.2: first %+v, then %+v", a, b)
			}
			if other := h.call("/oauth/token", "grant_type", "refresh_token", "refresh_token", next.Refresh, "client_id", "guest", "client_secret", h.guest); other.Error != "invalid_grant" {
				t.Errorf("CVE-2026-55672 another client's refresh token: %+v", other)
			}
		},
		"PKCE": func(t *testing.T, _ *browser) {
			sent := long.authorize().sent(t)
			if wrong := h.redeem(sent, "code_verifier", strings.Repeat("x", 43)); wrong.Error != "invalid_grant" {
				t.Errorf("wrong verifier: %+v", wrong)
			}
			if right := h.redeem(sent); right.Status != 200 {
				t.Errorf("C10 the failure spent the code: %+v", right)
			}
		},
		"NonceNotNeeded": func(t *testing.T, _ *browser) {
			if got := long.tokensFor("nonce", ""); h.claims(got.ID, "jwt").Has("nonce") {
				t.Error("a nonce of nobody's")
			}
		},
		"FormPost": func(t *testing.T, _ *browser) {
			p := long.authorize("response_mode", "form_post")
			if p.StatusCode != 200 || !strings.Contains(p.body, `action="`+callback+`"`) || p.field("state") != "s1" || p.field("iss") != h.url || p.field("code") == "" {
				t.Fatalf("got %d %s", p.StatusCode, p.body)
			}
			if csp := p.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action https://wiki.example.com;") {
				t.Errorf("C30 policy %s", csp)
			}
			p = long.authorize("response_mode", "form_post", "response_type", "token")
			if p.field("error") != "unsupported_response_type" || p.field("iss") != h.url || p.field("state") != "s1" {
				t.Errorf("an error: %s", p.body)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { module(t, h.browser()) })
	}
}

// wantClaims: with the scope userinfo has exactly these claims beside sub, each
// of the type that the standard says.
func wantClaims(h *house, b *browser, scope string, names ...string) func(*testing.T, *browser) {
	return func(t *testing.T, _ *browser) {
		status, claims, _ := h.userinfo("GET", b.tokensFor("scope", "openid "+scope).Access, nil)
		var got []string
		for name, value := range claims {
			switch value.(type) {
			case bool:
				if !strings.HasSuffix(name, "_verified") {
					t.Errorf("%s is a boolean", name)
				}
			case float64:
				if name != "updated_at" {
					t.Errorf("%s is a number", name)
				}
			case map[string]any:
				if name != "address" {
					t.Errorf("%s is an object", name)
				}
			case string:
				if strings.HasSuffix(name, "_verified") || name == "updated_at" || name == "address" {
					t.Errorf("CVE-2026-55076: %s is a string", name)
				}
			}
			if name != "sub" {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		slices.Sort(names)
		if status != 200 || !slices.Equal(got, names) {
			t.Errorf("got %d %v, want %v", status, got, names)
		}
	}
}

func authTime(h *house, idToken string) int64 {
	h.t.Helper()
	at, err := h.claims(idToken, "jwt").Int("auth_time")
	h.must(err)
	return at
}

// codeReuse: the second use is refused and ends what came of the first.
func codeReuse(t *testing.T, h *house, b *browser, pause time.Duration) {
	sent := b.authorize("scope", "openid orders:read").sent(t)
	first := h.redeem(sent)
	h.clock.Advance(pause)
	if second := h.redeem(sent); first.Status != 200 || second.Error != "invalid_grant" {
		t.Errorf("got %+v, then %+v", first, second)
	}
	if status, _, _ := h.userinfo("GET", first.Access, nil); status != 401 {
		t.Errorf("the first access token lives: %d", status)
	}
	if again := h.call("/oauth/token", "grant_type", "refresh_token", "refresh_token", first.Refresh, "client_id", "wiki", "client_secret", h.wiki); again.Error != "invalid_grant" {
		t.Errorf("the first refresh token lives: %+v", again)
	}
}

// edit changes a client as an administrator does.
func (h *house) edit(id iam.ClientID, change func(*iam.Client)) {
	h.t.Helper()
	_, err := h.parts.Directory.EditClient(context.Background(), "test", id, func(c *iam.Client) error { change(c); return nil })
	h.must(err)
}
