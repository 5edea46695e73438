package web_test

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

type deviceStart struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	URI        string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	ExpiresIn  int    `json:"expires_in"`
	Interval   int    `json:"interval"`
}

func (h *house) startDevice(pairs ...string) deviceStart {
	h.t.Helper()
	got := h.call("/oauth/device_authorization", append([]string{"client_id", "native", "scope", "openid orders:read"}, pairs...)...)
	var d deviceStart
	if err := json.Unmarshal([]byte(got.Body), &d); err != nil || got.Status != 200 || d.DeviceCode == "" {
		h.t.Fatalf("start: %d %s", got.Status, got.Body)
	}
	return d
}

func (h *house) poll(d deviceStart, pairs ...string) tokens {
	h.t.Helper()
	return h.call("/oauth/token", append([]string{"grant_type", iam.DeviceCode, "device_code", d.DeviceCode, "client_id", "native"}, pairs...)...)
}

// confirm types the code and returns the page that asks.
func (b *browser) confirm(code string) page {
	b.t.Helper()
	return b.post("/device", url.Values{"flow": {b.get("/device").field("flow")}, "user_code": {code}})
}

func (b *browser) decide(p page, decision string) page {
	b.t.Helper()
	return b.post("/device/confirm", url.Values{"flow": {p.field("flow")}, "decision": {decision}})
}

func TestDEVTheWholeWay(t *testing.T) {
	h := newHouse(t)
	d := h.startDevice()
	if d.URI != h.url+"/device" || d.Complete != d.URI+"?user_code="+d.UserCode || d.ExpiresIn != 600 || d.Interval != 5 {
		t.Errorf("got %+v", d)
	}
	if got := h.poll(d); got.Error != "authorization_pending" {
		t.Fatalf("got %+v", got)
	}
	b := h.browser()
	// The complete address fills the code in; it still asks for everything.
	login := b.get(strings.TrimPrefix(d.Complete, h.url))
	filled := b.signIn(login, "ada")
	if !strings.Contains(filled.body, `value="`+d.UserCode+`"`) {
		t.Fatalf("not filled in: %s", filled.body)
	}
	typed := strings.ToLower(strings.ReplaceAll(d.UserCode, "-", " "))
	p := b.post("/device", url.Values{"flow": {filled.field("flow")}, "user_code": {typed}})
	if p.StatusCode != 200 || !strings.Contains(p.body, "Native") || !strings.Contains(p.body, d.UserCode) || !strings.Contains(p.body, "Read your orders") {
		t.Fatalf("the page does not say what it is about: %d %s", p.StatusCode, p.body)
	}
	h.clock.Advance(6 * time.Second)
	if got := h.poll(d); got.Error != "authorization_pending" {
		t.Fatalf("asking is not allowing: %+v", got)
	}
	if done := b.decide(p, "allow"); done.StatusCode != 200 {
		t.Fatalf("got %d", done.StatusCode)
	}
	got := h.poll(d)
	if got.Status != 200 || got.ID == "" || got.Scope != "openid orders:read" || h.claims(got.ID, "jwt").Subject != string(h.ada.ID) {
		t.Fatalf("got %+v", got)
	}
	// Out of the browser is not out of the device.
	b.logout("client_id", "wiki")
	if status, _, _ := h.userinfo("GET", got.Access, nil); status != 200 {
		t.Errorf("got %d", status)
	}
	if again := h.poll(d); again.Error != "expired_token" {
		t.Errorf("a second use: %+v", again)
	}
	if status, _, _ := h.userinfo("GET", got.Access, nil); status != 401 {
		t.Errorf("replay ends what came of it: %d", status)
	}
}

func TestDEVRefusals(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	for name, tc := range map[string]struct {
		pairs []string
		want  string
	}{
		"a client without the grant (CVE-2024-38371)": {[]string{"client_id", "guest", "client_secret", h.guest}, "unauthorized_client"},
		"an unknown client":                           {[]string{"client_id", "nobody"}, "invalid_client"},
		"no client":                                   {[]string{"client_id", ""}, "invalid_client"},
		"no secret":                                   {[]string{"client_id", "wiki"}, "invalid_client"},
		"an unknown scope":                            {[]string{"scope", "x:y"}, "invalid_scope"},
		"an unknown resource":                         {[]string{"resource", "https://evil.example"}, "invalid_target"},
	} {
		if got := h.call("/oauth/device_authorization", append([]string{"client_id", "native", "scope", "openid"}, tc.pairs...)...); got.Error != tc.want {
			t.Errorf("%s: %+v, want %s", name, got, tc.want)
		}
	}
	d := h.startDevice()
	b.decide(b.confirm(d.UserCode), "allow")
	for name, tc := range map[string]struct {
		pairs []string
		want  string
	}{
		"another client's":    {[]string{"client_id", "wiki", "client_secret", h.wiki}, "expired_token"},
		"without the grant":   {[]string{"client_id", "guest", "client_secret", h.guest}, "unauthorized_client"},
		"an unknown code":     {[]string{"device_code", "x"}, "expired_token"},
		"T63 cut short":       {[]string{"device_code", d.DeviceCode[:51]}, "expired_token"},
		"T63 longer":          {[]string{"device_code", d.DeviceCode + "A"}, "expired_token"},
		"another case":        {[]string{"device_code", strings.ToLower(d.DeviceCode)}, "expired_token"},
		"the user code":       {[]string{"device_code", d.UserCode}, "expired_token"},
		"no code":             {[]string{"device_code", ""}, "invalid_request"},
		"far too long a code": {[]string{"device_code", strings.Repeat("A", 5000)}, "expired_token"},
	} {
		if got := h.poll(d, tc.pairs...); got.Error != tc.want {
			t.Errorf("%s: %+v, want %s", name, got, tc.want)
		}
	}
	if got := h.poll(d); got.Status != 200 {
		t.Errorf("a refusal spent it: %+v", got)
	}
	no := h.startDevice()
	b.decide(b.confirm(no.UserCode), "deny")
	if got := h.poll(no); got.Error != "access_denied" {
		t.Errorf("denied: %+v", got)
	}
	if p := b.confirm(no.UserCode); p.StatusCode != 400 {
		t.Errorf("a code that was decided is shown again: %d", p.StatusCode)
	}
	late := h.startDevice()
	page := b.confirm(late.UserCode)
	h.clock.Advance(iam.DeviceLife)
	if p := b.decide(page, "allow"); p.StatusCode != 400 {
		t.Errorf("allowed too late: %d", p.StatusCode)
	}
	if got := h.poll(late); got.Error != "expired_token" {
		t.Errorf("too late: %+v", got)
	}
}

// slow_down makes the pause five seconds longer, for good (RFC 8628 §3.5).
func TestDEVSlowDown(t *testing.T) {
	h := newHouse(t)
	d := h.startDevice()
	for i, step := range []struct {
		after time.Duration
		want  string
	}{{0, "authorization_pending"}, {4 * time.Second, "slow_down"}, {6 * time.Second, "slow_down"}, {14 * time.Second, "slow_down"}, {20 * time.Second, "authorization_pending"}, {19 * time.Second, "slow_down"}, {25 * time.Second, "authorization_pending"}} {
		h.clock.Advance(step.after)
		if got := h.poll(d); got.Error != step.want {
			t.Errorf("poll %d: %s, want %s", i, got.Error, step.want)
		}
	}
}

// A page that one user saw is not an answer of another, and a page that was
// never shown is none at all.
func TestDEVWhoDecides(t *testing.T) {
	h := newHouse(t)
	d := h.startDevice()
	b := h.signedIn()
	p := b.confirm(d.UserCode)
	direct := b.get("/device?user_code=" + d.UserCode)
	b.decide(direct, "allow")
	b.decide(b.get("/device"), "allow")
	if got := h.poll(d); got.Error != "authorization_pending" {
		t.Fatalf("allowed without the page that asks: %+v", got)
	}
	h.clock.Advance(time.Minute)
	b.signIn(b.authorize("prompt", "login"), "bob")
	b.decide(p, "allow")
	if got := h.poll(d); got.Error != "authorization_pending" {
		t.Errorf("ada saw it, bob's browser allowed it: %+v", got)
	}
	b.decide(b.confirm(d.UserCode), "perhaps")
	h.clock.Advance(time.Minute)
	if got := h.poll(d); got.Error != "access_denied" {
		t.Errorf("anything but yes is no: %+v", got)
	}
}

// What ends between the yes and the poll.
func TestDEVAChangeInTheMiddle(t *testing.T) {
	ctx := context.Background()
	for name, change := range map[string]func(h *house, b *browser){
		"user disabled": func(h *house, _ *browser) {
			h.must(h.parts.Directory.SetUser(ctx, "test", h.ada.ID, directory.Disabled))
		},
		"user deleted": func(h *house, _ *browser) { h.must(h.parts.Directory.DeleteUser(ctx, "test", h.ada.ID)) },
		"password changed": func(h *house, _ *browser) {
			h.must(h.parts.Directory.SetPassword(ctx, "test", h.ada.ID, "another-gate-entirely"))
		},
		"client disabled": func(h *house, _ *browser) {
			h.must(h.parts.Directory.SetClient(ctx, "test", "native", directory.Disabled))
		},
		"grant forbidden": func(h *house, _ *browser) {
			h.edit("native", func(c *iam.Client) { c.GrantTypes = []string{iam.AuthorizationCode} })
		},
		"roles taken": func(h *house, _ *browser) {
			_, err := h.parts.Directory.EditUser(ctx, "test", h.ada.ID, func(u *iam.User) error { u.Roles = nil; return nil })
			h.must(err)
		},
		"access taken back": func(h *house, b *browser) {
			b.post("/account/apps/revoke", url.Values{"flow": {b.get("/account").field("flow")}, "client_id": {"native"}})
		},
	} {
		h := newHouse(t)
		b := h.signedIn()
		d := h.startDevice()
		b.decide(b.confirm(d.UserCode), "allow")
		change(h, b)
		if got := h.poll(d); got.Status == 200 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Guesses at user codes run into a wall that a device of one's own does not
// take down; 34 bits against what gets through stay below one in a million.
func TestDEVGuesses(t *testing.T) {
	h := newHouse(t)
	b := h.signedIn()
	own := h.startDevice()
	tried, refused := 0, 0
	for i := range 60 {
		code := "BBBB-BBB" + string("BCDFGHJKLMNPQRSTVWXZ"[i%20])
		if code == own.UserCode {
			continue
		}
		switch p := b.confirm(code); p.StatusCode {
		case 400:
			tried++
		case 429:
			refused++
			if !strings.Contains(p.body, code) {
				t.Error("what was typed is gone")
			}
		default:
			t.Fatalf("got %d", p.StatusCode)
		}
		if i%3 == 2 {
			b.confirm(own.UserCode)
		}
	}
	if tried > 8 || refused == 0 {
		t.Errorf("%d guesses got through and %d did not", tried, refused)
	}
	// In the life of a code an account gets no more than these through.
	for range 200 {
		h.clock.Advance(3 * time.Second)
		if b.confirm("CCCC-CCCC").StatusCode == 400 {
			tried++
		}
	}
	const codes = 25_600_000_000 // 20^8
	if chance := float64(tried) * float64(iam.DeviceCap) / codes; chance > 1e-6 {
		t.Errorf("%d guesses: chance %g for one of %d waiting codes", tried, chance, iam.DeviceCap)
	}
}
