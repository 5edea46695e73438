package api_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

func (h *house) refresh(refreshToken string) answer {
	return h.post("/oauth/token", refreshForm(refreshToken))
}

func TestC12SessionsAndOfflineAccess(t *testing.T) {
	h := newHouse(t)
	within := h.login("ada", "")
	if sid, _ := claimsOf(t, within.str("access_token"))["sid"].(string); !strings.HasPrefix(sid, "ses_") {
		t.Errorf("a login without offline_access belongs to a session, got sid %q", sid)
	}
	outlives := h.login("ada", "orders:read offline_access")
	if _, has := claimsOf(t, outlives.str("access_token"))["sid"]; has {
		t.Error("a token with offline_access carries no sid")
	}
	h.clock.Advance(iam.SessionIdle + time.Minute)
	wantError(t, h.refresh(within.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
	a := h.refresh(outlives.str("refresh_token"))
	if a.status != http.StatusOK {
		t.Fatalf("offline_access must outlive the session: %s", a.body)
	}
	h.clock.Advance(iam.GrantIdle + time.Minute)
	wantError(t, h.refresh(a.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
}

func TestC12AbsoluteLimit(t *testing.T) {
	h := newHouse(t)
	current := h.login("ada", "orders:read offline_access")
	for range 9 { // every ten days
		h.clock.Advance(10*24*time.Hour - time.Minute)
		next := h.refresh(current.str("refresh_token"))
		if next.status != http.StatusOK {
			t.Fatalf("an active grant ended early: %s", next.body)
		}
		current = next
	}
	h.clock.Advance(time.Hour)
	wantError(t, h.refresh(current.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
}

func TestC13ParallelRefreshGivesOneSuccessor(t *testing.T) {
	h := newHouse(t)
	first := h.login("ada", "").str("refresh_token")
	successors, jtis := map[string]int{}, map[any]bool{}
	for _, a := range parallel(200, func() answer { return h.refresh(first) }) {
		if a.status != http.StatusOK {
			t.Fatalf("got %d %s", a.status, a.body)
		}
		successors[a.str("refresh_token")]++
		jtis[claimsOf(t, a.str("access_token"))["jti"]] = true
	}
	if len(successors) != 1 || len(jtis) != 200 {
		t.Fatalf("%d refresh tokens and %d access tokens; want one and 200", len(successors), len(jtis))
	}
	var successor string
	for successor = range successors {
	}
	if parts := strings.Split(successor, "."); parts[3] != "2" {
		t.Errorf("the generation is %s, want 2: it must advance once", parts[3])
	}
	h.restart()
	if a := h.refresh(successor); a.status != http.StatusOK {
		t.Fatalf("after a restart: %s", a.body)
	}
	// Using the successor ends the grace: the first token is now reuse.
	wantError(t, h.refresh(first), http.StatusBadRequest, "invalid_grant")
	wantError(t, h.refresh(successor), http.StatusBadRequest, "invalid_grant")
}

func TestC13ReuseAfterTheGraceEndsTheGrant(t *testing.T) {
	h := newHouse(t)
	login := h.login("ada", "")
	first := login.str("refresh_token")
	second := h.refresh(first)
	h.clock.Advance(iam.RefreshGrace)
	h.restart() // the memory of reuse is in the database (CVE-2026-9802)
	wantError(t, h.refresh(first), http.StatusBadRequest, "invalid_grant")
	wantError(t, h.refresh(second.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
	if h.active(second.str("access_token")) || h.active(login.str("access_token")) {
		t.Error("reuse must end every token of the grant")
	}
	reused := false
	events, err := h.parts.Store.Events(context.Background(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		reused = reused || e.Kind == iam.EventRefreshReused
	}
	if !reused {
		t.Error("reuse is not in the journal")
	}
}

func TestC13WithoutGrace(t *testing.T) {
	h := newHouse(t)
	pool, err := jwks.NewPool(jwks.PoolConfig{HTTPClient: http.DefaultClient})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := token.New(token.Config{Issuer: issuer, People: h.parts.Store, Grants: h.parts.Store, Revocations: h.parts.Store, Requests: h.parts.Store, Proofs: h.parts.Store, ClientKeys: pool,
		Signer: h.parts.Keys, Sealer: h.parts.Keys, Grace: 0, Now: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	*h.parts.Tokens = *tokens
	first := h.login("ada", "").str("refresh_token")
	won := 0
	var last answer
	for _, a := range parallel(200, func() answer { return h.refresh(first) }) {
		if a.status == http.StatusOK {
			won++
			last = a
			continue
		}
		wantError(t, a, http.StatusBadRequest, "invalid_grant")
	}
	if won != 1 {
		t.Fatalf("%d succeeded, want 1", won)
	}
	wantError(t, h.refresh(last.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
}

func TestC13ForgedRefreshTokens(t *testing.T) {
	h := newHouse(t)
	good := h.login("ada", "").str("refresh_token")
	parts := strings.Split(good, ".")
	join := func(i int, v string) string {
		p := append([]string{}, parts...)
		p[i] = v
		return strings.Join(p, ".")
	}
	for name, raw := range map[string]string{
		"another generation": join(3, "2"), "generation 01": join(3, "01"), "generation +1": join(3, "+1"), "negative": join(3, "-1"),
		"another grant": join(2, "gr_other"), "another key": join(1, "key_other"), "another version": join(0, "v2"),
		"cut": good[:len(good)-1], "longer": good + "A", "padded": good + "=", "line break": good[:len(good)-4] + "\n" + good[len(good)-4:],
		"empty mac": join(4, ""), "five dots": good + ".x", "huge": "v1." + strings.Repeat("a", 2000) + ".gr_x.1.AA",
	} {
		a := h.refresh(raw)
		if a.status != http.StatusBadRequest || a.str("error") != "invalid_grant" && a.str("error") != "invalid_request" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	wantError(t, h.post("/oauth/token", with(refreshForm(good), "client_id", "other-app")), http.StatusBadRequest, "invalid_grant")
	if a := h.refresh(good); a.status != http.StatusOK {
		t.Errorf("a forgery or another client must not end the grant: %s", a.body)
	}
}

func TestC13NarrowingTouchesOneToken(t *testing.T) {
	h := newHouse(t)
	first := h.login("ada", "orders:read orders:write offline_access")
	narrow := h.post("/oauth/token", with(refreshForm(first.str("refresh_token")), "scope", "orders:read"))
	if narrow.str("scope") != "orders:read" {
		t.Fatalf("got scope %q", narrow.str("scope"))
	}
	wide := h.refresh(narrow.str("refresh_token"))
	if wide.str("scope") != "orders:read orders:write offline_access" {
		t.Errorf("got scope %q: narrowing must touch only that token", wide.str("scope"))
	}
	wantError(t, h.post("/oauth/token", with(refreshForm(wide.str("refresh_token")), "scope", "orders:read stock:read")), http.StatusBadRequest, "invalid_scope")
}

func TestC4OneGrantSeveralResources(t *testing.T) {
	h := newHouse(t)
	form := with(challengeForm("ada"), "scope", "orders:read stock:read", "resource", audience)
	first := h.post("/oauth/token", redeemForm(h.post("/oauth/authorize-challenge", form).str("authorization_code")))
	if aud := claimsOf(t, first.str("access_token"))["aud"]; aud != audience || first.str("scope") != "orders:read" {
		t.Fatalf("got aud %v scope %q", aud, first.str("scope"))
	}
	second := h.post("/oauth/token", with(refreshForm(first.str("refresh_token")), "resource", "https://stock.example.com"))
	if aud := claimsOf(t, second.str("access_token"))["aud"]; aud != "https://stock.example.com" || second.str("scope") != "stock:read" {
		t.Errorf("got aud %v scope %q", aud, second.str("scope"))
	}
	third := h.refresh(second.str("refresh_token"))
	if third.status != http.StatusOK || claimsOf(t, third.str("access_token"))["aud"] != audience {
		t.Errorf("another resource touches only that access token: %d %s", third.status, third.body)
	}
	wantError(t, h.post("/oauth/token", with(refreshForm(third.str("refresh_token")), "resource", "https://nobody.example.com")), http.StatusBadRequest, "invalid_target")
}

func TestC5RolesOfToday(t *testing.T) {
	h := newHouse(t)
	first := h.login("ada", "")
	if first.str("scope") != "orders:read orders:write" {
		t.Fatalf("got %q", first.str("scope"))
	}
	h.edit(h.ada.ID, "viewer")
	if h.active(first.str("access_token")) {
		t.Error("C16: taking a role ends access tokens")
	}
	second := h.refresh(first.str("refresh_token"))
	if second.status != http.StatusOK || second.str("scope") != "orders:read" {
		t.Fatalf("C14: the grant stays, with today's scopes: %d %s", second.status, second.body)
	}
	if ue := claimsOf(t, second.str("access_token"))["ue"]; ue != float64(2) {
		t.Errorf("C16: got ue %v, want 2", ue)
	}
	h.edit(h.ada.ID, "editor")
	third := h.refresh(second.str("refresh_token"))
	if third.str("scope") != "orders:read orders:write" {
		t.Errorf("got %q: a role given back counts again", third.str("scope"))
	}
}

func (h *house) edit(id iam.UserID, roles ...string) {
	h.t.Helper()
	if _, err := h.parts.Directory.EditUser(context.Background(), "test", id, func(u *iam.User) error { u.Roles = roles; return nil }); err != nil {
		h.t.Fatal(err)
	}
}

// What ends a user or a client ends everything that was issued.
func TestC14Endings(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(*house) error{
		"password change": func(h *house) error { return h.parts.Directory.SetPassword(ctx, "test", h.ada.ID, "other-"+password) },
		"user disabled":   func(h *house) error { return h.parts.Directory.SetUser(ctx, "test", h.ada.ID, directory.Disabled) },
		"user deleted":    func(h *house) error { return h.parts.Directory.DeleteUser(ctx, "test", h.ada.ID) },
		"client disabled": func(h *house) error { return h.parts.Directory.SetClient(ctx, "test", "app", directory.Disabled) },
		"client deleted":  func(h *house) error { return h.parts.Directory.DeleteClient(ctx, "test", "app") },
		"grant revoked":   revokeFirstGrant,
		"disabled and back": func(h *house) error {
			if err := h.parts.Directory.SetUser(ctx, "test", h.ada.ID, directory.Disabled); err != nil {
				return err
			}
			return h.parts.Directory.SetUser(ctx, "test", h.ada.ID, directory.Enabled)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			login := h.login("ada", "orders:read offline_access")
			if !h.active(login.str("access_token")) {
				t.Fatal("the token is not live to begin with")
			}
			if err := end(h); err != nil {
				t.Fatal(err)
			}
			if h.active(login.str("access_token")) {
				t.Error("the access token is still live")
			}
			if a := h.refresh(login.str("refresh_token")); a.status == http.StatusOK {
				t.Error("the refresh token still works")
			}
			rows, err := h.parts.Store.Revocations(ctx, 0, 100)
			if err != nil || len(rows) == 0 {
				t.Errorf("verifiers would not learn of it: %v %v", rows, err)
			}
		})
	}
}

func revokeFirstGrant(h *house) error {
	events, err := h.parts.Store.Events(context.Background(), 0, 1000)
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.Kind == iam.EventCodeRedeemed {
			_, err := h.parts.Store.RevokeGrant(context.Background(), e.GrantID, "test", iam.Event{Kind: iam.EventGrantRevoked, Actor: "test"})
			return err
		}
	}
	return iam.ErrNotFound
}

func TestC16RoleDefinitions(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	login, service := h.login("bob", ""), h.service()
	_, err := h.parts.Directory.EditRole(ctx, "test", "viewer", func(r *iam.Role) error {
		r.Scopes = append(r.Scopes, iam.RoleScope{API: "orders", Scope: "orders:write"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !h.active(login.str("access_token")) {
		t.Error("a changed definition waits for the next refresh")
	}
	next := h.refresh(login.str("refresh_token"))
	if next.str("scope") != "orders:read orders:write" {
		t.Errorf("got %q at the next refresh", next.str("scope"))
	}
	if err := h.parts.Directory.EndHolders(ctx, "test", "viewer"); err != nil {
		t.Fatal(err)
	}
	if h.active(next.str("access_token")) || h.active(service.str("access_token")) {
		t.Error("--now ends the access tokens of every holder")
	}
	last := h.refresh(next.str("refresh_token"))
	if err := h.parts.Directory.DeleteRole(ctx, "test", "viewer"); err != nil {
		t.Fatal(err)
	}
	if h.active(last.str("access_token")) {
		t.Error("deleting a role takes it from its holders")
	}
	if a := h.refresh(last.str("refresh_token")); a.status != http.StatusOK || a.json["scope"] != "" {
		t.Errorf("without roles the login stays and holds nothing: %d %s", a.status, a.body)
	}
}

// Rotating the mac key takes effect at each grant's next rotation: from then
// on nobody can make that grant's tokens with the old key, and a token that is
// made with it anyway changes nothing.
func TestC13TheOldMacKeyMakesNoTokenAfterTheRotation(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	first := h.login("ada", "").str("refresh_token")
	old := strings.Split(first, ".")[1]
	if _, err := h.parts.Keys.Rotate(ctx, "test", iam.RefreshKeys, "HS256", keys.AtOnce); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(time.Second)
	second := h.refresh(first).str("refresh_token")
	parts := strings.Split(second, ".")
	if parts[1] == old {
		t.Fatal("the successor is made with the old key")
	}
	message := strings.Join([]string{"v1", old, parts[2], parts[3]}, ".")
	mac, err := h.parts.Keys.RefreshMAC(iam.KeyID(old), message)
	if err != nil {
		t.Fatal(err)
	}
	forged := message + "." + base64.RawURLEncoding.EncodeToString(mac)
	wantError(t, h.refresh(forged), http.StatusBadRequest, "invalid_grant")
	if a := h.refresh(second); a.status != http.StatusOK {
		t.Errorf("the real token: %d %s", a.status, a.body)
	}
}
