package api_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

func (h *house) withSecret(secret string) answer {
	return h.post("/oauth/token", values("grant_type", "client_credentials", "client_id", "robot", "client_secret", secret))
}

func (h *house) rotate(overlap time.Duration) string {
	h.t.Helper()
	secret, err := h.parts.Directory.RotateSecret(context.Background(), "test", "robot", overlap)
	if err != nil {
		h.t.Fatal(err)
	}
	return secret
}

func TestSecretRotation(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	first := h.serviceSecret
	token := h.service().str("access_token")
	second := h.rotate(24 * time.Hour)
	if second == first || h.withSecret(first).status != 200 || h.withSecret(second).status != 200 || !h.active(token) {
		t.Fatal("after a rotation both secrets work and nothing ends")
	}
	h.restart()
	h.clock.Advance(24*time.Hour - time.Millisecond)
	if h.withSecret(first).status != 200 {
		t.Error("the old secret ended too early")
	}
	_, err := h.parts.Directory.RotateSecret(ctx, "test", "robot", time.Hour)
	var invalid *iam.Invalid
	if !errors.As(err, &invalid) {
		t.Errorf("a third secret: %v", err)
	}
	h.clock.Advance(time.Millisecond)
	wantError(t, h.withSecret(first), 401, "invalid_client")
	if h.withSecret(second).status != 200 {
		t.Error("the new secret must stay")
	}
	third := h.rotate(time.Hour)
	wantError(t, h.withSecret(first), 401, "invalid_client")
	if h.withSecret(second).status != 200 || h.withSecret(third).status != 200 {
		t.Error("the two newest secrets work")
	}
	// An edit in between keeps both.
	if _, err := h.parts.Directory.EditClient(ctx, "test", "robot", func(c *iam.Client) error { c.Name = "Robot"; c.OldSecretHash = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	if h.withSecret(second).status != 200 {
		t.Error("an edit ended the old secret")
	}
	token = h.withSecret(third).str("access_token")
	fourth, err := h.parts.Directory.NewSecret(ctx, "test", "robot")
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, h.withSecret(second), 401, "invalid_client")
	wantError(t, h.withSecret(third), 401, "invalid_client")
	if h.withSecret(fourth).status != 200 || h.active(token) {
		t.Error("--now leaves one secret and ends what was obtained before")
	}
	kinds := map[string]int{}
	events, err := h.parts.Store.Events(ctx, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		kinds[e.Kind]++
	}
	if kinds["service_account.secret_rotated"] != 2 || kinds["service_account.secret_changed"] != 1 {
		t.Errorf("journal %v", kinds)
	}
}

func TestSecretRotationRefusals(t *testing.T) {
	h := newHouse(t)
	for _, tc := range []struct {
		name    string
		id      iam.ClientID
		overlap time.Duration
	}{
		{"a public client", "app", time.Hour}, {"nobody", "nobody", time.Hour}, {"no overlap", "robot", 0},
		{"a negative overlap", "robot", -time.Hour}, {"for ever", "robot", 10 * 365 * 24 * time.Hour},
	} {
		if secret, err := h.parts.Directory.RotateSecret(context.Background(), "test", tc.id, tc.overlap); err == nil || secret != "" {
			t.Errorf("%s: %q %v", tc.name, secret, err)
		}
	}
	if h.withSecret(h.serviceSecret).status != 200 {
		t.Error("a refused rotation changed the secret")
	}
	wantError(t, h.withSecret(""), 401, "invalid_client")
}
