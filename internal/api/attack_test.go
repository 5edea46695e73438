package api_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
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
