package web_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// push sends a request of the wiki in advance and returns its request_uri.
func (h *house) push(form url.Values) string {
	h.t.Helper()
	got := h.pushed(form)
	if got.Status != 201 {
		h.t.Fatalf("push: %d %s", got.Status, got.Body)
	}
	_, uri, _ := strings.Cut(got.Body, `"request_uri":"`)
	uri, _, _ = strings.Cut(uri, `"`)
	return uri
}

func (h *house) pushed(form url.Values) tokens {
	h.t.Helper()
	pairs := []string{"client_secret", h.wiki}
	for name := range form {
		pairs = append(pairs, name, form.Get(name))
	}
	return h.call("/oauth/par", pairs...)
}

func TestPARSingleUseBindingAndLife(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	visit := func(b *browser, client, uri string, more ...string) page {
		q := url.Values{"client_id": {client}, "request_uri": {uri}}
		for i := 0; i+1 < len(more); i += 2 {
			q.Set(more[i], more[i+1])
		}
		return b.get("/oauth/authorize?" + q.Encode())
	}
	uri := h.push(request())
	if p := visit(b, "guest", uri); p.StatusCode != 400 || p.Header.Get("Location") != "" {
		t.Errorf("another client's: %d", p.StatusCode)
	}
	// What the front channel says beside it does not count (RFC 9126 §4).
	sent := visit(b, "wiki", uri, "redirect_uri", "https://evil.example", "state", "evil", "scope", "openid orders:read", "code_challenge", strings.Repeat("A", 43)).sent(t)
	got := h.redeem(sent)
	if got.Status != 200 || got.Scope != "openid" || sent.Query().Get("state") != "s1" {
		t.Errorf("sent %s, got %+v", sent, got)
	}
	if p := visit(b, "wiki", uri); p.StatusCode != 400 || !strings.Contains(p.body, "invalid_request_uri") {
		t.Errorf("a second use: %d", p.StatusCode)
	}
	if code := visit(b, "wiki", uri, "redirect_uri", callback).sentError(t, h); code != "invalid_request_uri" {
		t.Errorf("a second use with a proven redirect URI: %s", code)
	}
	late := h.push(request())
	h.clock.Advance(iam.PushedLife)
	if p := visit(b, "wiki", late); p.StatusCode != 400 {
		t.Errorf("after a minute: %d", p.StatusCode)
	}
	// The login page of a pushed request survives a reload, and nothing of the
	// request stands in a cookie (CVE-2024-4540).
	fresh := h.browser()
	first := visit(fresh, "wiki", h.push(request("state", "only-in-the-request")))
	if !strings.HasPrefix(first.Header.Get("Location"), "/continue?flow=") || strings.Contains(strings.Join(first.Header["Set-Cookie"], ""), "only-in") {
		t.Fatalf("got %d %s", first.StatusCode, first.Header)
	}
	fresh.follow(first).asksFor(t, "/login")
	again := fresh.follow(first)
	if sent := fresh.signIn(again, "ada").sent(t); sent.Query().Get("state") != "only-in-the-request" || sent.Query().Get("code") == "" {
		t.Errorf("sent %s", sent)
	}
	if code := visit(h.browser(), "wiki", h.push(request("prompt", "none"))).sentError(t, h); code != "login_required" {
		t.Errorf("prompt=none: %s", code)
	}
}

func TestPARRefusals(t *testing.T) {
	h := newHouse(t)
	for name, tc := range map[string]struct {
		pairs []string
		want  string
	}{
		"another request_uri":       {[]string{"request_uri", "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"},
		"no redirect URI":           {[]string{"redirect_uri", ""}, "invalid_request"},
		"another's redirect URI":    {[]string{"redirect_uri", "https://guest.example.com/cb"}, "invalid_request"},
		"another client's id":       {[]string{"client_id", "guest"}, "invalid_client"},
		"a wrong secret":            {[]string{"client_secret", "ghs_wrong"}, "invalid_client"},
		"no secret":                 {[]string{"client_secret", ""}, "invalid_client"},
		"no PKCE":                   {[]string{"code_challenge", ""}, "invalid_request"},
		"a request object":          {[]string{"request", "x.y.z"}, "request_not_supported"},
		"an unknown scope":          {[]string{"scope", "x:y"}, "invalid_scope"},
		"another response type":     {[]string{"response_type", "token"}, "unsupported_response_type"},
		"too large for a code":      {[]string{"claims", `{"userinfo":{` + strings.TrimPrefix(many(`,"claim_of_a_long_name_%d":null`, 50), ",") + `}}`, "nonce", strings.Repeat("n", 512)}, "invalid_request"},
		"form_post to another host": {[]string{"response_mode", "fragment"}, "invalid_request"},
	} {
		pairs := []string{"client_secret", h.wiki}
		for key, value := range request() {
			pairs = append(pairs, key, value[0])
		}
		got := h.call("/oauth/par", append(pairs, tc.pairs...)...)
		if got.Error != tc.want || got.Status == 201 {
			t.Errorf("%s: %+v, want %s", name, got, tc.want)
		}
	}
	// As many parameters as a form may have: what was pushed can be read again.
	form := request()
	for i := range 64 - len(form) - 1 {
		form.Set("x"+many("%d", i+1), "y")
	}
	uri := h.push(form)
	if sent := h.signedIn().get("/oauth/authorize?client_id=wiki&request_uri=" + uri).sent(t); sent.Query().Get("code") == "" {
		t.Errorf("sent %s", sent)
	}
	// A client that authenticates otherwise need not repeat its id.
	b := h.signedIn()
	h.edit("wiki", func(c *iam.Client) { c.RequirePAR = true })
	if sent := b.get("/oauth/authorize?client_id=wiki&request_uri=" + h.push(request())).sent(t); sent.Query().Get("code") == "" {
		t.Errorf("PAR required and done: %s", sent)
	}
	h.edit("wiki", func(c *iam.Client) { c.RedirectURIs = []string{"https://wiki.example.com/new"} })
	h.edit("wiki", func(c *iam.Client) { c.RedirectURIs = []string{callback} })
	kept := h.push(request())
	h.edit("wiki", func(c *iam.Client) { c.RedirectURIs = []string{"https://wiki.example.com/new"} })
	if p := b.get("/oauth/authorize?client_id=wiki&request_uri=" + kept); p.StatusCode != 400 || p.Header.Get("Location") != "" {
		t.Errorf("the redirect URI was withdrawn after the push: %d", p.StatusCode)
	}
}

// The credentials of a push are not part of the request that is kept.
func TestPARKeepsNoCredentials(t *testing.T) {
	h := newHouse(t)
	uri := h.push(request())
	kept, err := h.parts.Store.TakePushed(context.Background(), hashOf(strings.TrimPrefix(uri, "urn:ietf:params:oauth:request_uri:")), "wiki")
	h.must(err)
	if strings.Contains(kept, "secret") || strings.Contains(kept, h.wiki) || !strings.Contains(kept, "code_challenge") {
		t.Errorf("kept %s", kept)
	}
	if strings.Contains(h.log.String(), h.wiki) {
		t.Error("the secret is in the log")
	}
	h.clock.Advance(time.Second)
}

func hashOf(s string) string {
	d := sha256.Sum256([]byte(s))
	return hex.EncodeToString(d[:])
}
