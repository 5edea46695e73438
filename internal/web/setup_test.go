package web_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

const password = "seven green doors ajar"

// counted counts the hashes that are computed.
type counted struct {
	*login.Passwords
	hashes atomic.Int64
}

func (c *counted) Hash(ctx context.Context, password string) (string, error) {
	c.hashes.Add(1)
	return c.Passwords.Hash(ctx, password)
}

func furnish(t *testing.T) (http.Handler, *directory.Setup, *store.DB, *storetest.Clock, *counted) {
	t.Helper()
	clock := storetest.NewClock()
	db, err := store.Open(context.Background(), storetest.Config(t, t.TempDir(), clock.Now))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	passwords := &counted{Passwords: login.NewPasswords()}
	d, err := directory.New(directory.Config{APIs: db, Roles: db, Users: db, Clients: db, Logins: db, Passwords: passwords})
	if err != nil {
		t.Fatal(err)
	}
	setup := directory.NewSetup(d, db)
	return web.Setup(setup, slog.New(slog.DiscardHandler)), setup, db, clock, passwords
}

func post(h http.Handler, code, username string, header http.Header) *httptest.ResponseRecorder {
	form := url.Values{"code": {code}, "username": {username}, "password": {password}}
	r := httptest.NewRequest("POST", "https://auth.example.com/setup", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestASetupCodeMakesOneAdministrator(t *testing.T) {
	h, setup, db, _, _ := furnish(t)
	code, err := setup.Offer(context.Background(), "test")
	if err != nil {
		t.Fatal(err)
	}
	var made atomic.Int64
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if post(h, code, "admin"+string(rune('a'+i)), nil).Code == 200 {
				made.Add(1)
			}
		})
	}
	all.Wait()
	users, err := db.Users(context.Background(), "", 100)
	if err != nil || made.Load() != 1 || len(users) != 1 || users[0].Roles[0] != iam.Administrator {
		t.Errorf("20 claims at once made %d administrators: %+v %v", made.Load(), users, err)
	}
}

func TestASetupCodeExpires(t *testing.T) {
	h, setup, _, clock, passwords := furnish(t)
	code, err := setup.Offer(context.Background(), "test")
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(iam.SetupLife)
	if w := post(h, code, "ada", nil); w.Code != 400 || !strings.Contains(w.Body.String(), "gatehouse setup") {
		t.Errorf("an expired code: %d", w.Code)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/setup", nil))
	if w.Code != 404 {
		t.Errorf("the page of an expired code: %d", w.Code)
	}
	if n := passwords.hashes.Load(); n != 0 {
		t.Errorf("%d hashes were computed for a stranger", n)
	}
	clock.Advance(-time.Minute)
	if w := post(h, code, "ada", nil); w.Code != 200 {
		t.Errorf("a minute before its end: %d", w.Code)
	}
}

func TestAnotherSiteCannotPostTheSetup(t *testing.T) {
	h, setup, _, _, _ := furnish(t)
	code, err := setup.Offer(context.Background(), "test")
	if err != nil {
		t.Fatal(err)
	}
	for name, header := range map[string]http.Header{
		"by fetch metadata": {"Sec-Fetch-Site": {"cross-site"}},
		"by origin":         {"Origin": {"https://evil.example.com"}},
	} {
		if w := post(h, code, "eve", header); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if w := post(h, code, "ada", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"null"}}); w.Code != 200 {
		t.Errorf("our own page: %d", w.Code)
	}
}

func TestTheSetupPageEscapes(t *testing.T) {
	h, setup, _, _, _ := furnish(t)
	if _, err := setup.Offer(context.Background(), "test"); err != nil {
		t.Fatal(err)
	}
	w := post(h, "x", `"><script>alert(1)</script>`, nil)
	if strings.Contains(w.Body.String(), "<script>") || !strings.Contains(w.Body.String(), "&lt;script&gt;") {
		t.Errorf("%s", w.Body)
	}
}
