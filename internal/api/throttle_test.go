package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

// from posts a form from an address.
func (h *house) from(address, path string, form url.Values, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, h.issuer+path, strings.NewReader(form.Encode()))
	r.RemoteAddr = address
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.parts.Handler.ServeHTTP(w, r)
	return w
}

const challengePath = "/oauth/authorize-challenge"

// told is all that a guesser sees of an answer, without what is drawn for each
// request.
func told(w *httptest.ResponseRecorder) string {
	header := w.Header().Clone()
	id := header.Get("X-Request-Id")
	header.Del("X-Request-Id")
	return fmt.Sprint(w.Code, header, strings.ReplaceAll(w.Body.String(), id, "ID"))
}

// V6.3.8, rows 35 to 37: status, headers and body are byte-equal for an account
// that exists and one that doesn't, before and while they are throttled.
func TestC11GuessingIsThrottledAndTellsNothing(t *testing.T) {
	h := newHouse(t)
	ask := func(username, address string) string {
		return told(h.from(address, challengePath, with(challengeForm(username), "password", "wrong"), nil))
	}
	for i := range 9 {
		ada, eve := ask([]string{"ada", "ADA", "ａｄａ"}[i%3], "192.0.2.1:1000"), ask([]string{"eve", "EVE", "ｅｖｅ"}[i%3], "192.0.2.2:1000")
		if ada != eve {
			t.Errorf("attempt %d:\n%s\n%s", i+1, ada, eve)
		}
		if throttled := strings.HasPrefix(ada, "429"); throttled != (i >= 5) {
			t.Errorf("attempt %d: %s", i+1, ada)
		}
	}
	w := h.from("192.0.2.1:1000", challengePath, challengeForm("ada"), nil)
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "2" || !strings.Contains(w.Body.String(), `"error":"temporarily_unavailable","error_description":"Too many attempts. Try again in 2 seconds."`) {
		t.Errorf("the right password, too early: %d %s %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	if w := h.from("192.0.2.3:1000", challengePath, challengeForm("ada"), nil); w.Code != http.StatusOK {
		t.Errorf("the owner, from elsewhere: %d %s", w.Code, w.Body)
	}
	wait, _ := strconv.Atoi(w.Header().Get("Retry-After"))
	h.clock.Advance(time.Duration(wait) * time.Second)
	if w := h.from("192.0.2.1:1000", challengePath, challengeForm("ada"), nil); w.Code != http.StatusOK {
		t.Errorf("the owner, after Retry-After: %d %s", w.Code, w.Body)
	}
}

// What a client writes about its own address counts for nothing.
func TestTheThrottleBelievesNoHeader(t *testing.T) {
	h := newHouse(t)
	code := 0
	for i := range 7 {
		spoofed := fmt.Sprintf("203.0.113.%d", i)
		header := http.Header{"X-Forwarded-For": {spoofed}, "Forwarded": {"for=" + spoofed}, "X-Real-Ip": {spoofed}, "True-Client-Ip": {spoofed}}
		code = h.from("192.0.2.1:"+strconv.Itoa(1000+i), challengePath, with(challengeForm("ada"), "password", "wrong"), header).Code
	}
	if code != http.StatusTooManyRequests {
		t.Errorf("without a proxy: %d", code)
	}
	kek, _ := keys.GenerateKEK()
	behind := &house{t: t, dir: t.TempDir(), kek: kek, issuer: issuer, clock: storetest.NewClock(), log: &logBuffer{}}
	parts, err := server.Assemble(context.Background(), server.Config{Issuer: issuer, Dir: behind.dir, Database: storetest.Database(t, behind.dir), KEKs: []keys.KEK{kek}, Now: behind.clock.Now, Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}})
	if err != nil {
		t.Fatal(err)
	}
	behind.parts = parts
	t.Cleanup(func() { parts.Close() })
	behind.furnish()
	for i := range 7 {
		code = behind.from("10.0.0.5:1000", challengePath, with(challengeForm("ada"), "password", "wrong"), http.Header{"X-Forwarded-For": {fmt.Sprintf("203.0.113.%d, 198.51.100.7", i)}}).Code
	}
	if code != http.StatusTooManyRequests {
		t.Errorf("behind a proxy, an address that the client made up: %d", code)
	}
	if w := behind.from("10.0.0.5:1000", challengePath, challengeForm("ada"), http.Header{"X-Forwarded-For": {"198.51.100.8"}}); w.Code != http.StatusOK {
		t.Errorf("another client of the same proxy: %d %s", w.Code, w.Body)
	}
}

// C14: a change of the password at the page ends what the old one opened.
func TestC14ThePasswordPageEndsEverything(t *testing.T) {
	h := newHouse(t)
	before := h.login("ada", "orders:read offline_access")
	pending := h.code("ada", "")
	if !h.active(before.str("access_token")) {
		t.Fatal("not live before")
	}
	const next = "seven green doors ajar"
	form := values("username", "Ada", "current-password", password, "new-password", next, "new-password-again", next)
	if w := h.from("192.0.2.1:1000", "/account/password", form, nil); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if h.active(before.str("access_token")) {
		t.Error("the access token is live")
	}
	wantError(t, h.refresh(before.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
	wantError(t, h.post("/oauth/token", redeemForm(pending)), http.StatusBadRequest, "invalid_grant")
	wantError(t, h.post(challengePath, challengeForm("ada")), http.StatusBadRequest, "access_denied")
	if w := h.from("192.0.2.1:1000", challengePath, with(challengeForm("ada"), "password", next), nil); w.Code != http.StatusOK {
		t.Errorf("the new password: %d %s", w.Code, w.Body)
	}
	events, err := h.parts.Store.Events(context.Background(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range events {
		if e.Kind == iam.EventPasswordChanged && e.Actor == string(h.ada.ID) {
			n++
		}
		if text := fmt.Sprint(e); strings.Contains(text, next) || strings.Contains(text, password) {
			t.Errorf("the journal holds a password: %v", e.Kind)
		}
	}
	if n != 1 || strings.Contains(h.log.String(), next) || strings.Contains(h.log.String(), password) {
		t.Errorf("%d rows in the journal, or a password in the log", n)
	}
}

// C14: so does one by an administrator.
func TestC14AnAdministratorsPasswordEndsEverything(t *testing.T) {
	h := newHouse(t)
	before := h.login("ada", "orders:read offline_access")
	if err := h.parts.Directory.SetPassword(context.Background(), "test", h.ada.ID, "seven green doors ajar"); err != nil {
		t.Fatal(err)
	}
	if h.active(before.str("access_token")) {
		t.Error("the access token is live")
	}
	wantError(t, h.refresh(before.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
}

// A hash that is made anew is no change of the password: nothing ends.
func TestARenewedHashEndsNothing(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	const bcrypt = "$2b$05$7nta9U4Uo2hD9kAWeeo3du5zWRd3syTGpUuU1bOTZmaB/oMVX1Esi" // of lantern moat crow
	if _, err := h.parts.Directory.CreateUserWithHash(ctx, "test", iam.User{Username: "bea", Roles: []string{"viewer"}}, bcrypt); err != nil {
		t.Fatal(err)
	}
	form := with(challengeForm("bea"), "password", "lantern moat crow")
	first := h.post("/oauth/token", redeemForm(h.post(challengePath, form).str("authorization_code")))
	if first.status != http.StatusOK {
		t.Fatalf("%d %s", first.status, first.body)
	}
	u, err := h.parts.Store.UserByName(ctx, "bea")
	if err != nil || !strings.HasPrefix(u.PasswordHash, "$argon2id$") {
		t.Fatalf("not renewed: %v", err)
	}
	if !h.active(first.str("access_token")) || h.refresh(first.str("refresh_token")).status != http.StatusOK || u.Epoch != 1 {
		t.Errorf("something ended; epoch %d", u.Epoch)
	}
	if _, err := h.parts.Directory.CreateUserWithHash(ctx, "test", iam.User{Username: "cyd"}, "$1$md5$x"); err == nil {
		t.Error("a hash that cannot be verified was stored")
	}
}
