package web_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

func (b *browser) logout(pairs ...string) page {
	b.t.Helper()
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return b.get("/oauth/logout?" + q.Encode())
}

func (b *browser) in() bool {
	b.t.Helper()
	return b.authorize("prompt", "none").sent(b.t).Query().Get("code") != ""
}

const bye = "https://wiki.example.com/bye"

// Who cannot show an ID token of this very session cannot end it: the person is
// asked (ASVS 10.6.2).
func TestOIDC2ForcedLogoutAsks(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	older := b.tokensFor().ID
	elsewhere := h.signedIn().tokensFor().ID // the same user in another browser
	other := h.browser()
	other.signIn(other.authorize(), "bob")
	bobs := other.tokensFor().ID
	for name, pairs := range map[string][]string{
		"nothing at all": nil, "a client": {"client_id", "wiki", "post_logout_redirect_uri", bye}, "the same user's other session": {"id_token_hint", elsewhere},
		"another user's ID token": {"id_token_hint", bobs, "post_logout_redirect_uri", bye}, "a logout_hint": {"logout_hint", "ada"},
	} {
		p := b.logout(pairs...)
		p.asksFor(t, "/oauth/logout/confirm")
		if !b.in() {
			t.Fatalf("%s: signed out", name)
		}
	}
	p := b.logout("client_id", "wiki", "post_logout_redirect_uri", bye, "state", "x y")
	if stay := b.post("/oauth/logout/confirm", url.Values{"flow": {p.field("flow")}, "decision": {"stay"}}); stay.Header.Get("Location") != "/account" || !b.in() {
		t.Errorf("stay: %d %s", stay.StatusCode, stay.Header.Get("Location"))
	}
	out := b.post("/oauth/logout/confirm", url.Values{"flow": {p.field("flow")}, "decision": {"logout"}})
	if out.StatusCode != 200 || out.Header.Get("Location") != "" || !strings.Contains(out.body, bye+"?state=x&#43;y") || b.in() {
		t.Errorf("C30 logout: %d %s", out.StatusCode, out.body)
	}
	if !other.in() {
		t.Error("another user is signed out too")
	}
	h.clock.Advance(time.Second)
	b.signIn(b.authorize(), "ada")
	if p := b.logout("id_token_hint", older); p.StatusCode != 200 || !b.in() {
		t.Errorf("an ID token of the session before: %d", p.StatusCode)
	}
}

// The hint may have expired, and its key may have been retired: it says who was
// meant, nothing more.
func TestOIDC2AnOldHintIsGood(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	hint := b.tokensFor().ID
	h.clock.Advance(2 * time.Hour)
	b.get("/account")
	if p := b.logout("id_token_hint", hint, "post_logout_redirect_uri", bye, "state", "s"); p.Header.Get("Location") != bye+"?state=s" || b.in() {
		t.Errorf("got %d %s", p.StatusCode, p.Header.Get("Location"))
	}
	if p := b.logout("id_token_hint", hint, "post_logout_redirect_uri", bye); p.Header.Get("Location") != bye {
		t.Errorf("signed out already: %d %s", p.StatusCode, p.Header.Get("Location"))
	}
}

func TestOIDC2LogoutRefusals(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	got := b.tokensFor("scope", "openid orders:read")
	h.edit("wiki", func(c *iam.Client) { c.BackchannelLogoutURI = "https://wiki.example.com/logout" })
	wiki, err := h.parts.Store.Client(context.Background(), "wiki")
	h.must(err)
	logoutToken, err := h.parts.Tokens.LogoutToken(context.Background(), wiki, iam.LogoutDelivery{UserID: h.ada.ID, SessionID: "ses_x"})
	h.must(err)
	parts := strings.Split(got.ID, ".")
	for name, pairs := range map[string][]string{
		"an unregistered URI":        {"id_token_hint", got.ID, "post_logout_redirect_uri", bye + "/x"},
		"a redirect URI":             {"id_token_hint", got.ID, "post_logout_redirect_uri", callback},
		"another case":               {"id_token_hint", got.ID, "post_logout_redirect_uri", "https://WIKI.example.com/bye"},
		"javascript":                 {"id_token_hint", got.ID, "post_logout_redirect_uri", "javascript:alert(1)"},
		"a URI and no client":        {"post_logout_redirect_uri", bye},
		"another client":             {"id_token_hint", got.ID, "client_id", "guest", "post_logout_redirect_uri", bye},
		"a client that nobody knows": {"client_id", "nobody"},
		"a state of 1025 bytes":      {"id_token_hint", got.ID, "post_logout_redirect_uri", bye, "state", strings.Repeat("x", 1025)},
		"no token":                   {"id_token_hint", "x"},
		"T56 an access token":        {"id_token_hint", got.Access},
		"T56 a refresh token":        {"id_token_hint", got.Refresh},
		"T56 a logout token":         {"id_token_hint", logoutToken},
		"T03 no signature":           {"id_token_hint", parts[0] + "." + parts[1] + "."},
		"T04 another signature":      {"id_token_hint", parts[0] + "." + parts[1] + "." + strings.Split(got.Access, ".")[2]},
		"T01 alg none":               {"id_token_hint", "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + parts[1] + "."},
	} {
		p := b.logout(pairs...)
		if p.StatusCode != 400 || p.Header.Get("Location") != "" || !b.in() {
			t.Errorf("%s: %d %s", name, p.StatusCode, p.Header.Get("Location"))
		}
	}
	q := url.Values{"id_token_hint": {got.ID, got.ID}}
	if p := b.get("/oauth/logout?" + q.Encode()); p.StatusCode != 400 || !b.in() {
		t.Errorf("CVE-2026-9689 a parameter twice: %d", p.StatusCode)
	}
	// The address was withdrawn while the page was open.
	p := b.logout("client_id", "wiki", "post_logout_redirect_uri", bye)
	h.edit("wiki", func(c *iam.Client) { c.PostLogoutRedirectURIs = nil })
	out := b.post("/oauth/logout/confirm", url.Values{"flow": {p.field("flow")}, "decision": {"logout"}})
	if strings.Contains(out.body, bye) || b.in() {
		t.Errorf("got %d %s", out.StatusCode, out.body)
	}
}

// One session, several apps: its end is the end of all that depends on it, and
// of nothing else (C12, C14).
func TestC14WhatEndsWithASession(t *testing.T) {
	ctx := context.Background()
	for name, tc := range map[string]struct {
		end     func(h *house, b *browser)
		offline bool // does the offline grant survive
		other   bool // does the session in the other browser survive
	}{
		"logout":         {func(h *house, b *browser) { b.logout("id_token_hint", b.tokensFor().ID) }, true, true},
		"other sessions": {func(h *house, b *browser) { b.endFromAccount(h) }, true, true},
		"user disabled": {func(h *house, _ *browser) {
			h.must(h.parts.Directory.SetUser(ctx, "test", h.ada.ID, directory.Disabled))
		}, false, false},
		"user deleted": {func(h *house, _ *browser) { h.must(h.parts.Directory.DeleteUser(ctx, "test", h.ada.ID)) }, false, false},
		"password changed": {func(h *house, _ *browser) {
			h.must(h.parts.Directory.SetPassword(ctx, "test", h.ada.ID, "another-gate-entirely"))
		}, false, false},
		"idle": {func(h *house, _ *browser) { h.clock.Advance(iam.SessionIdle) }, true, false},
		"absolute": {func(h *house, b *browser) {
			for range 60 {
				h.clock.Advance(iam.SessionIdle - time.Minute)
				b.get("/account")
			}
			h.clock.Advance(time.Hour)
		}, false, false}, // the grant was not used for thirty days either
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			b, other := h.signedIn(), h.signedIn()
			bound, offline := b.tokensFor("scope", "openid"), b.tokensFor("scope", "openid offline_access")
			p := b.authorize(guestRequest...)
			guest := h.redeem(b.follow(b.post("/consent", url.Values{"flow": {p.field("flow")}, "decision": {"allow"}})).sent(t),
				"client_id", "guest", "client_secret", h.guest, "redirect_uri", "https://guest.example.com/cb")
			h.clock.Advance(time.Second)
			tc.end(h, b)
			if b.in() || other.in() != tc.other {
				t.Errorf("sessions: own %v, other %v", b.in(), other.in())
			}
			refresh := func(token, client, secret string) bool {
				return h.call("/oauth/token", "grant_type", "refresh_token", "refresh_token", token, "client_id", client, "client_secret", secret).Status == 200
			}
			if refresh(bound.Refresh, "wiki", h.wiki) || refresh(guest.Refresh, "guest", h.guest) || refresh(offline.Refresh, "wiki", h.wiki) != tc.offline {
				t.Error("C12 grants")
			}
			if status, _, _ := h.userinfo("GET", bound.Access, nil); status != 401 {
				t.Errorf("T62 the access token: %d", status)
			}
		})
	}
}

// endFromAccount ends the session of b as the same user does in another browser.
func (b *browser) endFromAccount(h *house) {
	h.t.Helper()
	c := h.signedIn()
	sessions, err := h.parts.Store.Sessions(context.Background(), h.ada.ID)
	h.must(err)
	sid, err := h.claims(b.tokensFor().ID, "jwt").String("sid")
	h.must(err)
	if len(sessions) < 2 {
		h.t.Fatal("no other session")
	}
	p := c.post("/account/sessions/end", url.Values{"flow": {c.get("/account").field("flow")}, "id": {sid}})
	if p.StatusCode != http.StatusOK || !c.in() {
		h.t.Fatalf("end another session: %d", p.StatusCode)
	}
}

// Nobody ends a session of somebody else.
func TestC14SessionsOfOthers(t *testing.T) {
	h := newHouse(t)
	b, bob := h.signedIn(), h.browser()
	bob.signIn(bob.authorize(), "bob")
	sid, err := h.claims(b.tokensFor().ID, "jwt").String("sid")
	h.must(err)
	bob.post("/account/sessions/end", url.Values{"flow": {bob.get("/account").field("flow")}, "id": {sid}})
	bob.post("/account/sessions/end-others", url.Values{"flow": {bob.get("/account").field("flow")}})
	if !b.in() || !bob.in() {
		t.Errorf("ada %v, bob %v", b.in(), bob.in())
	}
	// A form that ada's page made, in a browser where bob signed in meanwhile.
	form := url.Values{"flow": {b.get("/account").field("flow")}}
	h.clock.Advance(time.Second)
	b.signIn(b.authorize("prompt", "login"), "bob")
	b.post("/account/sessions/end-others", form)
	if !bob.in() {
		t.Error("the form of one user worked for another")
	}
}
