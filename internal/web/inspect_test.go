package web_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// inspector is a browser of ada's on the page /inspect.
func inspector(t *testing.T, h *house) (*browser, page) {
	t.Helper()
	b := h.browser()
	login := b.get("/inspect")
	if login.StatusCode != 200 || !strings.Contains(login.body, `action="/login"`) {
		t.Fatalf("without a session: %d %s", login.StatusCode, login.body)
	}
	to := b.signIn(login, "ada")
	if to.StatusCode != http.StatusSeeOther || to.Header.Get("Location") != "/inspect" {
		t.Fatalf("after the login: %d %s", to.StatusCode, to.Header.Get("Location"))
	}
	form := b.get("/inspect")
	if form.StatusCode != 200 || !strings.Contains(form.body, `action="/inspect"`) || !strings.Contains(form.body, `method="post"`) {
		t.Fatalf("no form: %d %s", form.StatusCode, form.body)
	}
	return b, form
}

// accessToken is one of the authority's own, for ada.
func accessToken(t *testing.T, h *house, b *browser) string {
	t.Helper()
	return h.redeem(b.authorize("scope", "openid orders:read", "prompt", "none").sent(t)).Access
}

func TestInspectPage(t *testing.T) {
	h := newHouse(t)
	b, form := inspector(t, h)
	own := accessToken(t, h, b)
	other, err := jose.GenerateSigner(jose.ES256)
	h.must(err)
	key, err := json.Marshal(other.Key())
	h.must(err)
	foreign, err := other.Sign("at+jwt", map[string]any{"iss": "https://other.example.com", "sub": "usr_secretly_ada", "aud": "x", "exp": h.clock.Now().Unix() + 600, "iat": h.clock.Now().Unix(), "jti": "1", "client_id": "c"})
	h.must(err)
	forged, err := other.Sign("at+jwt", map[string]any{"iss": h.url, "sub": "admin", "aud": "x", "exp": h.clock.Now().Unix() + 600, "iat": h.clock.Now().Unix(), "jti": "1", "client_id": "c"})
	h.must(err)
	lines := strings.ReplaceAll("Authorization: Bearer "+own, ".", ".\r\n  ")
	for _, tc := range []struct {
		name, token, key string
		status           int
		want, not        string
	}{
		{"our own", own, "", 200, "Verified</h2>", string(h.ada.ID)},
		{"our own, over lines", lines, "", 200, "Verified</h2>", ""},
		{"our own, cut off", own[:len(own)-10], "", 200, "Invalid</h2>", ""},
		{"another issuer's", foreign, "", 200, "of another issuer. Paste", "usr_secretly_ada"},
		{"another issuer's, with its key", foreign, string(key), 200, "Verified</h2>", ""},
		{"in our name, by another key", forged, "", 200, "Invalid</h2>", "Verified</h2>"},
		{"with alg none", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "", 200, "T01", ""},
		{"markup in a claim", "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(`{"x":"<script>alert(1)</script>"}`)) + ".", "", 200, "&lt;script&gt;", "<script>alert"},
		{"nothing", " ", "", 400, "Paste a token.", "Verified</h2>"},
		{"a key that is none", own, "secret", 400, "could not be read", "Verified</h2>"},
		{"a private key", own, `{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"c"}`, 400, "private key", "Verified</h2>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := b.post("/inspect", url.Values{"flow": {form.field("flow")}, "token": {tc.token}, "key": {tc.key}})
			if got.StatusCode != tc.status || !strings.Contains(got.body, tc.want) || tc.not != "" && strings.Contains(got.body, tc.not) {
				t.Errorf("got %d %s", got.StatusCode, got.body)
			}
			// The page holds neither the token nor a part of it that could be used.
			for _, part := range strings.Split(strings.TrimSpace(tc.token), ".") {
				if len(part) > 20 && strings.Contains(got.body, part) {
					t.Errorf("the page holds %.20s…", part)
				}
			}
			if policy := got.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || !strings.Contains(policy, "form-action 'self'") || strings.Contains(policy, "unsafe") || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", got.Header)
			}
		})
	}
	if got := b.post("/inspect", url.Values{"flow": {form.field("flow")}, "token": {own}, "reveal": {"1"}}); !strings.Contains(got.body, string(h.ada.ID)) {
		t.Error("what was asked for is not shown")
	}
	// Not a word of any token is in the log, which is at its most talkative.
	for _, token := range []string{own, foreign, forged} {
		for i, part := range strings.Split(token, ".") {
			if i > 0 && strings.Contains(h.log.String(), part) {
				t.Errorf("part %d of a token is in the log", i)
			}
		}
	}
}

// What is refused, and shows nothing of a token.
func TestInspectPageRefusals(t *testing.T) {
	h := newHouse(t)
	b, form := inspector(t, h)
	own := accessToken(t, h, b)
	stranger, bob := h.browser(), h.browser()
	bob.signIn(bob.get("/inspect"), "bob")
	account := b.get("/account")
	for _, tc := range []struct {
		name   string
		who    *browser
		form   url.Values
		status int
		want   string
	}{
		{"nobody's session", stranger, url.Values{"flow": {form.field("flow")}, "token": {own}}, 200, `action="/login"`},
		{"C31: another browser's flow", bob, url.Values{"flow": {form.field("flow")}, "token": {own}}, 200, `action="/inspect"`},
		{"no flow", b, url.Values{"token": {own}}, 400, ""},
		{"a flow of another page", b, url.Values{"flow": {account.field("flow")}, "token": {own}}, 400, ""},
		{"a field twice", b, url.Values{"flow": {form.field("flow")}, "token": {own, own}}, 400, ""},
		{"a field of another page", b, url.Values{"flow": {form.field("flow")}, "token": {own}, "issuer": {"https://evil.example"}}, 400, ""},
		{"too much", b, url.Values{"flow": {form.field("flow")}, "token": {strings.Repeat("x", 300<<10)}}, 413, "too much text"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.who.post("/inspect", tc.form)
			if got.StatusCode != tc.status || !strings.Contains(got.body, tc.want) || strings.Contains(got.body, `id="verdict"`) {
				t.Errorf("got %d %s", got.StatusCode, got.body)
			}
		})
	}
	b.header.Set("Origin", "https://evil.example.com")
	b.header.Set("Sec-Fetch-Site", "cross-site")
	r, err := http.NewRequest("POST", h.url+"/inspect", strings.NewReader(url.Values{"flow": {form.field("flow")}, "token": {own}}.Encode()))
	h.must(err)
	r.Header = b.header.Clone()
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := b.client.Do(r)
	h.must(err)
	answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("another site may post: %d", answer.StatusCode)
	}
}

// Whatever addresses are in a token, the server asks none of them.
func TestInspectPageFetchesNothing(t *testing.T) {
	h := newHouse(t)
	b, form := inspector(t, h)
	var asked atomic.Int64
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer trap.Close()
	text := base64.RawURLEncoding.EncodeToString
	token := text([]byte(`{"alg":"RS256","kid":"`+trap.URL+`","jku":"`+trap.URL+`","x5u":"`+trap.URL+`"}`)) + "." + text([]byte(`{"iss":"`+trap.URL+`"}`)) + "." + text(make([]byte, 256))
	if got := b.post("/inspect", url.Values{"flow": {form.field("flow")}, "token": {token}}); got.StatusCode != 200 || !strings.Contains(got.body, "J13") {
		t.Fatalf("got %d %s", got.StatusCode, got.body)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestInspectPageInGerman(t *testing.T) {
	h := newHouse(t)
	b, _ := inspector(t, h)
	b.header.Set("Accept-Language", "de")
	form := b.get("/inspect")
	got := b.post("/inspect", url.Values{"flow": {form.field("flow")}, "token": {"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."}})
	if !strings.Contains(got.body, "Ungültig</h2>") || !strings.Contains(got.body, `<html lang="de">`) {
		t.Errorf("got %s", got.body)
	}
}
