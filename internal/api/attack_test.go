package api_test

import (
	"context"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
	"net/http"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// A login that was granted no scope holds none later either: neither another
// resource nor new default scopes of the client fill it up.
func TestC5AGrantWithoutScopesStaysWithout(t *testing.T) {
	h := newHouse(t)
	form := with(challengeForm("ada"), "resource", "https://stock.example.com") // none of the default scopes is of this API
	code := func() string { return h.post("/oauth/authorize-challenge", form).str("authorization_code") }
	if a := h.post("/oauth/token", with(redeemForm(code()), "resource", audience)); a.str("scope") != "" {
		t.Errorf("redeemed for another resource: got scope %q", a.str("scope"))
	}
	login := h.post("/oauth/token", redeemForm(code()))
	if login.status != http.StatusOK || login.json["scope"] != "" {
		t.Fatalf("got %d %s", login.status, login.body)
	}
	other := h.post("/oauth/token", with(refreshForm(login.str("refresh_token")), "resource", audience))
	if other.status != http.StatusOK || other.json["scope"] != "" {
		t.Errorf("refreshed for another resource: got %d %s", other.status, other.body)
	}
	_, err := h.parts.Directory.EditClient(context.Background(), "test", "app", func(c *iam.Client) error {
		c.DefaultScopes = []string{"stock:read"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	later := h.post("/oauth/token", refreshForm(other.str("refresh_token")))
	if later.status != http.StatusOK || later.json["scope"] != "" {
		t.Errorf("after the client got other default scopes: %d %s", later.status, later.body)
	}
}

// Nobody gets a token for an API that has nothing to do with the client.
func TestC4NoTokenForAnAPIThatTheClientHasNoScopeOf(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	service := values("grant_type", "client_credentials", "client_id", "robot", "client_secret", h.serviceSecret)
	wantError(t, h.post("/oauth/token", with(service, "resource", "https://stock.example.com")), http.StatusBadRequest, "invalid_target")
	wantError(t, h.post("/oauth/token", with(service, "resource", issuer)), http.StatusBadRequest, "invalid_target")
	_, _, err := h.parts.Directory.CreateClient(ctx, "test", iam.Client{ID: "narrow", Type: iam.Public, FirstParty: true, Challenge: true, Scopes: []string{"orders:read"}})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, h.post("/oauth/authorize-challenge", with(challengeForm("ada"), "client_id", "narrow", "resource", "https://stock.example.com")), http.StatusBadRequest, "invalid_target")
	code := h.post("/oauth/authorize-challenge", with(challengeForm("ada"), "client_id", "narrow")).str("authorization_code")
	wantError(t, h.post("/oauth/token", with(redeemForm(code), "client_id", "narrow", "resource", "https://stock.example.com")), http.StatusBadRequest, "invalid_target")
}

// A client that is deleted and made again under the same id is another client:
// what the first one obtained stays ended.
func TestC14AClientMadeAgainInheritsNothing(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	code, login := h.code("ada", ""), h.login("ada", "")
	app, err := h.parts.Store.Client(ctx, "app")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.parts.Directory.DeleteClient(ctx, "test", "app"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.parts.Directory.CreateClient(ctx, "test", app); err != nil {
		t.Fatal(err)
	}
	wantError(t, h.post("/oauth/token", redeemForm(code)), http.StatusBadRequest, "invalid_grant")
	wantError(t, h.refresh(login.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
	if h.active(login.str("access_token")) {
		t.Error("the first client's access token is live")
	}
	next := h.login("ada", "").str("access_token")
	rows, err := h.parts.Store.Revocations(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if ce := claimsOf(t, next)["ce"].(float64); r.Kind == iam.RevokeClient && r.Subject == "app" && ce < float64(r.MinEpoch) {
			t.Errorf("a verifier that knows min_epoch %d would refuse the new client's token with ce %v", r.MinEpoch, ce)
		}
	}
	if !h.active(next) {
		t.Error("the new client's token is not live")
	}
}

// A secret that was replaced is worth nothing, also in the moment before a
// server hears of what another process did (C28): the token that it cannot get
// with the epoch it knows, it does not get with the next one either.
func TestC28AReplacedSecretGetsNoToken(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	h.service() // the server holds a copy of the client now
	other, err := store.Open(ctx, storetest.Config(t, h.dir, h.clock.Now))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	d, err := directory.New(directory.Config{APIs: other, Roles: other, Users: other, Clients: other, Logins: other, Passwords: login.NewPasswords()})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := d.NewSecret(ctx, "test", "robot")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(secret string) answer {
		return h.post("/oauth/token", values("grant_type", "client_credentials", "client_id", "robot", "client_secret", secret))
	}
	wantError(t, ask(h.serviceSecret), http.StatusUnauthorized, "invalid_client")
	wantError(t, ask(h.serviceSecret), http.StatusUnauthorized, "invalid_client")
	if a := ask(secret); a.status != http.StatusOK {
		t.Errorf("the new secret: %d %s", a.status, a.body)
	}
	// A change that is not of the secret makes no difference to who proved it.
	if _, err := d.EditClient(ctx, "test", "robot", func(c *iam.Client) error { c.Roles = []string{"viewer", "editor"}; return nil }); err != nil {
		t.Fatal(err)
	}
	if a := h.post("/oauth/token", values("grant_type", "client_credentials", "client_id", "robot", "client_secret", secret, "scope", "orders:write")); a.status != http.StatusOK || a.str("scope") != "orders:write" {
		t.Errorf("after a change of roles: %d %s", a.status, a.body)
	}
}
