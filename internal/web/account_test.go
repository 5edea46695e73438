package web_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
	"github.com/gatehouse-auth/gatehouse/internal/throttle"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

const (
	current = "lantern moat crow bell rope"
	next    = "seven green doors ajar"
)

// account is the page in a whole authority with one user, ada.
func account(t *testing.T) (http.Handler, *login.Passwords) {
	t.Helper()
	h := newHouse(t)
	passwords := login.NewPasswords()
	service, err := login.New(login.Config{Users: h.parts.Store, Changes: h.parts.Store, Passwords: passwords, Throttle: throttle.New(throttle.Config{Now: h.clock.Now}), Now: h.clock.Now})
	h.must(err)
	h.must(h.parts.Directory.SetPassword(context.Background(), "test", h.ada.ID, current))
	_, err = h.parts.Directory.EditUser(context.Background(), "test", h.ada.ID, func(u *iam.User) error { u.Email, u.Name = "lovelace@example.com", ""; return nil })
	h.must(err)
	return h.pages(service), passwords
}

// pages are the pages of the house over other logins.
func (h *house) pages(logins interface {
	Password(ctx context.Context, a login.Attempt) (login.Login, error)
	ChangePassword(ctx context.Context, a login.Attempt, next string) error
}) http.Handler {
	h.t.Helper()
	mux := http.NewServeMux()
	h.must(web.SignOn(mux, web.Config{Issuer: h.url, Pages: h.parts.Pages, Tokens: h.parts.Tokens, Logins: logins, Sessions: h.parts.Sessions, Records: h.parts.Store,
		Forms: h.parts.Keys, Keys: h.parts.Keys, Guesses: throttle.New(throttle.Config{}), Logger: slog.New(slog.DiscardHandler), Now: h.clock.Now}))
	return respond.Identify(mux)
}

func change(h http.Handler, username, current, next, again string, header http.Header) *httptest.ResponseRecorder {
	form := url.Values{"username": {username}, "current-password": {current}, "new-password": {next}, "new-password-again": {again}}
	r := httptest.NewRequest("POST", "https://auth.example.com/account/password", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestThePasswordForm(t *testing.T) {
	h, _ := account(t)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/account/password", nil))
	for _, want := range []string{`autocomplete="username"`, `autocomplete="current-password"`, `autocomplete="new-password"`, `method="post"`, `autocapitalize="none"`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the form has no %s", want)
		}
	}
	// A browser that cuts what is pasted would set another password than was meant.
	if strings.Contains(w.Body.String(), "maxlength=") || strings.Contains(w.Body.String(), "<script>") || strings.Contains(w.Body.String(), "style=") {
		t.Error("the form cuts, or has something inline")
	}
	if w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/change-password", nil))
	if w.Code != http.StatusFound || w.Header().Get("Location") != "/account/password" {
		t.Errorf("password managers get %d %s", w.Code, w.Header().Get("Location"))
	}
}

func TestThePasswordFormsRefusals(t *testing.T) {
	h, passwords := account(t)
	for _, tc := range []struct {
		name, username, current, next, again string
		field, text                          string
		hashes                               int64
	}{
		{"wrong password", "ada", "x", next, next, "fault", "That username and password don&#39;t match.", 1},
		{"unknown user", "eve", current, next, next, "fault", "That username and password don&#39;t match.", 1},
		{"too short", "ada", current, "short", "short", "new-fault", "needs at least 15", 0},
		{"on the list", "ada", current, "correct horse battery staple", "correct horse battery staple", "new-fault", "attackers try first", 0},
		{"another one the second time", "ada", current, next, next + " ", "again-fault", "not the same", 0},
		{"the address", "ada", current, "lovelace-1815-ada", "lovelace-1815-ada", "new-fault", "little more than", 1},
		{"the current one", "ada", current, current, current, "new-fault", "is the current one", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := passwords.Operations()
			w := change(h, tc.username, tc.current, tc.next, tc.again, nil)
			body := w.Body.String()
			if w.Code != http.StatusBadRequest || !strings.Contains(body, `id="`+tc.field+`"`) || !strings.Contains(body, tc.text) || passwords.Operations()-before != tc.hashes {
				t.Errorf("%d, %d hashes: %s", w.Code, passwords.Operations()-before, body)
			}
			if strings.Contains(body, current) || strings.Contains(body, next) || !strings.Contains(body, `value="`+tc.username+`"`) || !strings.Contains(body, "<title>Error:") {
				t.Errorf("the name is kept, passwords are not: %s", body)
			}
		})
	}
}

// V6.3.8: the page for an account that doesn't exist is byte for byte the other.
func TestThePasswordPageTellsNothing(t *testing.T) {
	h, passwords := account(t)
	for i := range 8 {
		before := passwords.Operations()
		ada := change(h, "ada", "wrong", next, next, nil)
		cost := passwords.Operations() - before
		eve := change(h, "eve", "wrong", next, next, nil)
		if ada.Code != eve.Code || strings.ReplaceAll(same(ada), "ada", "eve") != same(eve) || ada.Header().Get("Retry-After") != eve.Header().Get("Retry-After") || passwords.Operations()-before != 2*cost {
			t.Errorf("attempt %d:\n%d %s\n%d %s", i+1, ada.Code, ada.Body, eve.Code, eve.Body)
		}
		if i >= 5 && (ada.Code != http.StatusTooManyRequests || ada.Header().Get("Retry-After") != "2" || cost != 0 || !strings.Contains(ada.Body.String(), "Try again in 2 seconds")) {
			t.Errorf("attempt %d is not throttled: %d %s", i+1, ada.Code, ada.Body)
		}
	}
}

// same is a page without what is new each time: the sealed flow.
func same(w *httptest.ResponseRecorder) string {
	return regexp.MustCompile(`name="flow" value="[^"]*"`).ReplaceAllString(w.Body.String(), "")
}

func TestAnotherSiteCannotPostThePassword(t *testing.T) {
	h, passwords := account(t)
	before := passwords.Operations()
	for name, header := range map[string]http.Header{"by fetch metadata": {"Sec-Fetch-Site": {"cross-site"}}, "by origin": {"Origin": {"https://evil.example.com"}}} {
		for range throttle.Default.Pair.Free {
			if w := change(h, "ada", "wrong", next, next, header); w.Code != http.StatusForbidden {
				t.Errorf("%s: %d", name, w.Code)
			}
		}
	}
	if passwords.Operations() != before {
		t.Error("a hash was computed for another site")
	}
	// Nor was it counted: a page that the victim visits would lock the victim
	// out from the victim's own network.
	if w := change(h, "ada", current, next, next, http.Header{"Sec-Fetch-Site": {"same-origin"}}); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Password changed") || strings.Contains(w.Body.String(), `action="/account/password"`) {
		t.Errorf("our own page: %d %s", w.Code, w.Body)
	}
}

func TestThePasswordPageEscapesAndBounds(t *testing.T) {
	h, _ := account(t)
	if w := change(h, `"><script>alert(1)</script>`, "x", next, next, nil); strings.Contains(w.Body.String(), "<script>") {
		t.Errorf("%s", w.Body)
	}
	if w := change(h, strings.Repeat("x", 70_000), "x", next, next, nil); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "could not be read") {
		t.Errorf("a form of 70,000 bytes: %d", w.Code)
	}
}

// failing answers every change with one error.
type failing struct{ err error }

func (f failing) ChangePassword(context.Context, login.Attempt, string) error { return f.err }

func (f failing) Password(context.Context, login.Attempt) (login.Login, error) {
	return login.Login{}, f.err
}

func TestThePasswordPageWhenNothingCanBeDecided(t *testing.T) {
	h := newHouse(t)
	for _, tc := range []struct {
		err    error
		status int
		retry  string
		text   string
	}{
		{login.ErrBusy, http.StatusServiceUnavailable, "2", "A lot is going on"},
		{iam.ErrConflict, http.StatusConflict, "", "changed elsewhere"},
		{&login.Throttled{Wait: 90*time.Second + 1}, http.StatusTooManyRequests, "91", "in 2 minutes"},
		{errors.New("disk on fire"), http.StatusInternalServerError, "", "Nothing is wrong with your account"},
	} {
		w := change(h.pages(failing{tc.err}), "ada", current, next, next, nil)
		if w.Code != tc.status || w.Header().Get("Retry-After") != tc.retry || !strings.Contains(w.Body.String(), tc.text) || strings.Contains(w.Body.String(), "on fire") {
			t.Errorf("%v: %d %q %s", tc.err, w.Code, w.Header().Get("Retry-After"), w.Body)
		}
	}
}

// C14: in the browser where it was done the person stays signed in, with a
// session of another id and cookie; everywhere else it is over.
func TestC14TheSessionAfterAChangeIsANewOne(t *testing.T) {
	h := newHouse(t)
	here, there := h.browser(), h.browser()
	before := h.claims(h.redeem(here.signIn(here.authorize(), "ada").sent(t)).ID, "jwt")
	there.signIn(there.authorize(), "ada")
	old := here.client.Jar.Cookies(must(url.Parse(h.url)))
	done := here.post("/account/password", url.Values{"username": {"Ada"}, "current-password": {password}, "new-password": {current}, "new-password-again": {current}})
	if done.StatusCode != 200 || !strings.Contains(done.body, "Password changed") {
		t.Fatalf("%d %s", done.StatusCode, done.body)
	}
	after := h.claims(h.redeem(here.authorize("prompt", "none").sent(t)).ID, "jwt")
	sidBefore, _ := before.String("sid")
	sidAfter, _ := after.String("sid")
	if sidAfter == "" || sidAfter == sidBefore || after.Subject != before.Subject {
		t.Errorf("sid %q, before %q", sidAfter, sidBefore)
	}
	if got := there.authorize("prompt", "none").sent(t).Query().Get("error"); got != "login_required" {
		t.Errorf("another browser: %q", got)
	}
	thief := h.browser()
	thief.client.Jar.SetCookies(must(url.Parse(h.url)), old)
	if got := thief.authorize("prompt", "none").sent(t).Query().Get("error"); got != "login_required" {
		t.Errorf("the old cookie: %q", got)
	}
	// Somebody else's password changed here does not sign this person in as them.
	other := h.browser()
	other.signIn(other.authorize(), "bob")
	other.post("/account/password", url.Values{"username": {"ada"}, "current-password": {current}, "new-password": {next}, "new-password-again": {next}})
	if id := h.claims(h.redeem(other.authorize("prompt", "none").sent(t)).ID, "jwt"); id.Subject != string(h.bob.ID) {
		t.Errorf("signed in as %s", id.Subject)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
