package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// From nothing to tokens, a second app without a password, and out of both.
func TestSignOn(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	login := b.authorize("scope", "openid profile email orders:read")
	if login.StatusCode != 200 || !strings.Contains(login.body, "Sign in to <strong><bdi>Wiki") {
		t.Fatalf("got %d %s", login.StatusCode, login.body)
	}
	end := b.signIn(login, "ada")
	if end.StatusCode != 200 {
		t.Fatalf("C30: a form ends on a page of ours: %d", end.StatusCode)
	}
	sent := end.sent(t)
	if q := sent.Query(); !strings.HasPrefix(sent.String(), callback+"?") || q.Get("state") != "s1" || q.Get("iss") != h.url || q.Get("code") == "" {
		t.Fatalf("sent to %s", sent)
	}
	got := h.redeem(sent)
	if got.Status != 200 || got.ID == "" || got.Refresh == "" {
		t.Fatalf("got %+v", got)
	}
	id := h.claims(got.ID, "jwt")
	nonce, _ := id.String("nonce")
	sid, _ := id.String("sid")
	if id.Issuer != h.url || id.Subject != string(h.ada.ID) || len(id.Audience) != 1 || id.Audience[0] != "wiki" || nonce != "n1" || !strings.HasPrefix(sid, "ses_") || !id.Has("at_hash") || !id.Has("auth_time") {
		t.Errorf("ID token %+v", id)
	}
	if id.Has("email") {
		t.Error("claims of scopes are for userinfo in the code flow")
	}
	access := h.claims(got.Access, "at+jwt")
	if of, _ := access.String("sid"); of != sid || access.Audience[0] != "https://orders.example.com" {
		t.Errorf("access token %+v", access)
	}
	// The second time nobody is asked, and the answer is a redirect.
	again := b.authorize("state", "s2", "prompt", "none")
	if again.StatusCode != http.StatusSeeOther || again.sent(t).Query().Get("code") == "" {
		t.Fatalf("silent sign-on: %d %s", again.StatusCode, again.body)
	}
	// Another app, of somebody else: no password, but consent.
	consent := b.authorize("client_id", "guest", "redirect_uri", "https://guest.example.com/cb", "scope", "openid email")
	if consent.StatusCode != 200 || !strings.Contains(consent.body, `action="/consent"`) {
		t.Fatalf("got %d %s", consent.StatusCode, consent.body)
	}
	allowed := b.follow(b.post("/consent", url.Values{"flow": {consent.field("flow")}, "decision": {"allow"}}))
	guest := h.redeem(allowed.sent(t), "client_id", "guest", "client_secret", h.guest, "redirect_uri", "https://guest.example.com/cb")
	if guest.Status != 200 {
		t.Fatalf("got %+v", guest)
	}
	if remembered := b.authorize("client_id", "guest", "redirect_uri", "https://guest.example.com/cb", "scope", "openid email"); remembered.StatusCode != http.StatusSeeOther {
		t.Errorf("consent is not remembered: %d", remembered.StatusCode)
	}
	// Out of both.
	out := b.get("/oauth/logout?" + url.Values{"id_token_hint": {got.ID}, "post_logout_redirect_uri": {"https://wiki.example.com/bye"}, "state": {"x"}}.Encode())
	if to := out.Header.Get("Location"); to != "https://wiki.example.com/bye?state=x" {
		t.Fatalf("after the logout: %d %s %s", out.StatusCode, to, out.body)
	}
	for name, r := range map[string]tokens{
		"wiki":  h.call("/oauth/token", "grant_type", "refresh_token", "refresh_token", got.Refresh, "client_id", "wiki", "client_secret", h.wiki),
		"guest": h.call("/oauth/token", "grant_type", "refresh_token", "refresh_token", guest.Refresh, "client_id", "guest", "client_secret", h.guest),
	} {
		if r.Error != "invalid_grant" {
			t.Errorf("C12: %s after the logout: %+v", name, r)
		}
	}
	if back := b.authorize("prompt", "none"); back.sent(t).Query().Get("error") != "login_required" {
		t.Errorf("still signed in: %s", back.sent(t))
	}
}
