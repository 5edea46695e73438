package api_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

func TestC10ChecksBeforeAnythingIsSpent(t *testing.T) {
	h := newHouse(t)
	code := h.code("ada", "")
	parts := strings.Split(code, ".")
	other := "A"
	if parts[2][0] == 'A' {
		other = "B"
	}
	for name, form := range map[string][]string{
		"another client":              {"client_id", "other-app"},
		"a wrong verifier":            {"code_verifier", strings.Repeat("a", 43)},
		"a verifier of 42 characters": {"code_verifier", verifier[:42]},
		"no such redirect_uri":        {"redirect_uri", "https://app.example.com/cb"},
		"a changed seal":              {"code", parts[0] + "." + parts[1] + "." + other + parts[2][1:]},
		"another key id":              {"code", parts[0] + ".key_x." + parts[2]},
		"a cut code":                  {"code", code[:len(code)-4]},
		"an oversized code":           {"code", code + strings.Repeat("A", 3000)},
	} {
		wantError(t, h.post("/oauth/token", with(redeemForm(code), form...)), http.StatusBadRequest, "invalid_grant")
		if t.Failed() {
			t.Fatal(name)
		}
	}
	wantError(t, h.post("/oauth/token", with(redeemForm(code), "code_verifier", "")), http.StatusBadRequest, "invalid_request")
	if a := h.post("/oauth/token", redeemForm(code)); a.status != http.StatusOK {
		t.Fatalf("the code was spent by a refused attempt: %s", a.body)
	}
}

func TestC10ParallelRedemption(t *testing.T) {
	h := newHouse(t)
	code := h.code("ada", "")
	answers := parallel(200, func() answer { return h.post("/oauth/token", redeemForm(code)) })
	var won []answer
	for _, a := range answers {
		if a.status == http.StatusOK {
			won = append(won, a)
			continue
		}
		wantError(t, a, http.StatusBadRequest, "invalid_grant")
	}
	if len(won) != 1 {
		t.Fatalf("%d redemptions succeeded, want exactly 1", len(won))
	}
	if h.active(won[0].str("access_token")) {
		t.Error("the grant of a replayed code must be revoked")
	}
	wantError(t, h.post("/oauth/token", refreshForm(won[0].str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
	h.restart()
	wantError(t, h.post("/oauth/token", redeemForm(code)), http.StatusBadRequest, "invalid_grant")
}

func TestC10CodesEnd(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	expired := h.code("ada", "")
	h.clock.Advance(iam.CodeLife)
	wantError(t, h.post("/oauth/token", redeemForm(expired)), http.StatusBadRequest, "invalid_grant")

	moved := h.code("ada", "")
	if _, err := h.parts.Directory.EditUser(ctx, "test", h.ada.ID, func(u *iam.User) error { u.Roles = []string{"viewer"}; return nil }); err != nil {
		t.Fatal(err)
	}
	wantError(t, h.post("/oauth/token", redeemForm(moved)), http.StatusBadRequest, "invalid_grant")

	disabled := h.code("bob", "")
	if err := h.parts.Directory.SetUser(ctx, "test", h.bob.ID, directory.Disabled); err != nil {
		t.Fatal(err)
	}
	wantError(t, h.post("/oauth/token", redeemForm(disabled)), http.StatusBadRequest, "invalid_grant")
}

func TestC11WhoMayUseTheChallengeEndpoint(t *testing.T) {
	h := newHouse(t)
	const path, form = "/oauth/authorize-challenge", "application/x-www-form-urlencoded"
	good := challengeForm("ada")
	wantError(t, h.post(path, with(good, "client_id", "plain-app")), http.StatusBadRequest, "unauthorized_client")
	wantError(t, h.post(path, with(good, "client_id", "portal")), http.StatusUnauthorized, "invalid_client")
	wantError(t, h.post(path, with(good, "client_id", "robot")), http.StatusUnauthorized, "invalid_client")
	wantError(t, h.post(path, with(good, "client_id", "nobody")), http.StatusUnauthorized, "invalid_client")
	wantError(t, h.post(path, with(good, "client_secret", "x")), http.StatusBadRequest, "invalid_request")
	wantError(t, h.do(http.MethodPost, path, form, good.Encode(), http.Header{"Origin": {"https://app.example.com"}}), http.StatusBadRequest, "invalid_request")
	wantError(t, h.do(http.MethodPost, path, form, good.Encode(), http.Header{"Sec-Fetch-Site": {"same-origin"}}), http.StatusBadRequest, "invalid_request")
	wantError(t, h.do(http.MethodPost, path, form, good.Encode(), http.Header{"Authorization": {"Basic eDp5"}}), http.StatusBadRequest, "invalid_request")
	wantError(t, h.post(path, with(good, "code_challenge", "")), http.StatusBadRequest, "invalid_request")
	wantError(t, h.post(path, with(good, "code_challenge_method", "plain")), http.StatusBadRequest, "invalid_request")
	wantError(t, h.post(path, with(good, "code_challenge_method", "")), http.StatusBadRequest, "invalid_request")
	wantError(t, h.post(path, with(good, "response_type", "token")), http.StatusBadRequest, "unsupported_response_type")
	wantError(t, h.post(path, with(good, "scope", "orders:raed")), http.StatusBadRequest, "invalid_scope")
	wantError(t, h.post(path, with(good, "scope", "orders:read stock:read")), http.StatusBadRequest, "invalid_target")
	wantError(t, h.post(path, with(good, "resource", "https://nobody.example.com")), http.StatusBadRequest, "invalid_target")
	a := h.do(http.MethodPost, path, form, good.Encode(), http.Header{"Cookie": {"session=x"}})
	if a.status != http.StatusOK || len(a.header.Values("Set-Cookie")) > 0 || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("got %d %v: the endpoint neither reads nor sets cookies and has no CORS", a.status, a.header)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Error("a code must not be stored by anything between")
	}
}

// Every way to fail a login gives the same bytes, and costs one hash.
func TestEnumerationAnswersAreEqual(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	if err := h.parts.Directory.SetUser(ctx, "test", h.bob.ID, directory.Disabled); err != nil {
		t.Fatal(err)
	}
	if _, err := h.parts.Directory.CreateUser(ctx, "test", iam.User{Username: "carol"}, ""); err != nil {
		t.Fatal(err)
	}
	var first answer
	for i, form := range []map[string]string{
		{"username": "ada", "password": "wrong-wrong-wrong-wrong"},
		{"username": "nobody", "password": password},
		{"username": "bob", "password": password},
		{"username": "carol", "password": password},
		{"username": "not a name\u200b", "password": password},
		{"username": "ada", "password": strings.Repeat("x", 3000)},
		{"username": "ada", "password": "x"},
	} {
		a := h.post("/oauth/authorize-challenge", with(challengeForm("ada"), "username", form["username"], "password", form["password"]))
		id := a.str("request_id")
		a.body = strings.ReplaceAll(a.body, id, "ID")
		a.header.Set("X-Request-Id", strings.ReplaceAll(a.header.Get("X-Request-Id"), id, "ID"))
		if i == 0 {
			first = a
			wantError(t, a, http.StatusBadRequest, "access_denied")
			continue
		}
		if a.status != first.status || a.body != first.body || len(a.header) != len(first.header) {
			t.Errorf("%q: %d %s differs from %d %s", form["username"], a.status, a.body, first.status, first.body)
		}
		for name := range first.header {
			if a.header.Get(name) != first.header.Get(name) {
				t.Errorf("%q: header %s differs", form["username"], name)
			}
		}
	}
}

func TestUsernamesFold(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"ADA", "Ada", "ａｄａ"} {
		if a := h.post("/oauth/authorize-challenge", with(challengeForm("x"), "username", name)); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func parallel(n int, call func() answer) []answer {
	answers := make([]answer, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			<-start
			answers[i] = call()
		})
	}
	close(start)
	all.Wait()
	return answers
}
