package guard_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/api"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

// authority is a whole Gatehouse on a real database and a real network.
type authority struct {
	t      testing.TB
	parts  *server.Parts
	server *httptest.Server
	url    string
	robot  string // the secret of a service account
	reader string // the secret of the API's reader
}

const housePassword = "nolub-hatiz-gefum-sibod"

func newAuthority(t testing.TB, change ...func(*server.Config)) *authority {
	t.Helper()
	dir := t.TempDir()
	kek, _ := keys.GenerateKEK()
	a := &authority{t: t, server: httptest.NewUnstartedServer(nil)}
	a.url = "http://" + a.server.Listener.Addr().String()
	c := server.Config{Issuer: a.url, Dir: dir, Database: storetest.Database(t, dir), KEKs: []keys.KEK{kek}, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&c)
	}
	var err error
	if a.parts, err = server.Assemble(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	a.server.Config.Handler = a.parts.Handler
	a.server.Start()
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { a.parts.Feed.Run(ctx) })
	t.Cleanup(func() { cancel(); ended.Wait(); a.server.Close(); a.parts.Close() })
	a.furnish()
	return a
}

func (a *authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) furnish() {
	d, ctx := a.parts.Directory, context.Background()
	_, err := d.CreateAPI(ctx, "test", iam.API{Name: "orders", Audience: audience, Scopes: []iam.Scope{{Name: "orders:read"}}})
	a.must(err)
	for _, role := range []string{"viewer", "other"} {
		_, err = d.CreateRole(ctx, "test", iam.Role{Name: role, Scopes: []iam.RoleScope{{API: "orders", Scope: "orders:read"}}})
		a.must(err)
	}
	for _, id := range []iam.ClientID{"app", "other-app"} {
		_, _, err = d.CreateClient(ctx, "test", iam.Client{ID: id, Type: iam.Public, FirstParty: true, Challenge: true, Scopes: []string{"orders:read", "offline_access"}, DefaultScopes: []string{"orders:read"}})
		a.must(err)
	}
	_, a.robot, err = d.CreateClient(ctx, "test", iam.Client{ID: "robot", Type: iam.Service, Roles: []string{"viewer"}})
	a.must(err)
	_, a.reader, err = d.CreateClient(ctx, "test", iam.Client{ID: "orders-api", Type: iam.Service, ReaderOf: []string{"orders"}})
	a.must(err)
}

func (a *authority) user(name string) iam.User {
	a.t.Helper()
	u, err := a.parts.Directory.CreateUser(context.Background(), "test", iam.User{Username: name, Roles: []string{"viewer"}}, housePassword)
	a.must(err)
	return u
}

func (a *authority) post(path string, pairs ...string) map[string]string {
	a.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	response, err := http.PostForm(a.url+path, form)
	a.must(err)
	defer response.Body.Close()
	var body map[string]any
	json.NewDecoder(response.Body).Decode(&body)
	if response.StatusCode != http.StatusOK {
		a.t.Fatalf("%s: %d %v", path, response.StatusCode, body)
	}
	texts := map[string]string{}
	for name, value := range body {
		texts[name], _ = value.(string)
	}
	return texts
}

// login is a whole native login: access and refresh token.
func (a *authority) login(user, client, scope string) map[string]string {
	a.t.Helper()
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	digest := sha256.Sum256([]byte(verifier))
	code := a.post("/oauth/authorize-challenge", "client_id", client, "username", user, "password", housePassword, "scope", scope,
		"code_challenge", base64.RawURLEncoding.EncodeToString(digest[:]), "code_challenge_method", "S256")["authorization_code"]
	return a.post("/oauth/token", "grant_type", "authorization_code", "client_id", client, "code", code, "code_verifier", verifier)
}

func (a *authority) service() string {
	a.t.Helper()
	return a.post("/oauth/token", "grant_type", "client_credentials", "client_id", "robot", "client_secret", a.robot)["access_token"]
}

func (a *authority) guard(change ...func(*guard.Config)) *guard.Guard {
	a.t.Helper()
	c := guard.Config{Issuer: a.url, Audience: audience, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&c)
	}
	g, err := guard.New(c)
	a.must(err)
	a.t.Cleanup(func() { g.Close() })
	return g
}

// Everything that ends access reaches an API that only has guard's three lines,
// in about a second, for tokens in its cache; and nothing else is refused.
func TestC14C15C16WhatEndsAccessReachesTheVerifier(t *testing.T) {
	a := newAuthority(t)
	d, ctx := a.parts.Directory, context.Background()
	byAdmin := func(end func(u iam.User) error) func(iam.User, map[string]string) error {
		return func(u iam.User, _ map[string]string) error { return end(u) }
	}
	for _, tc := range []struct {
		name  string
		scope string
		end   func(u iam.User, tokens map[string]string) error
		ends  []string // of: its tokens, its other app's tokens
	}{
		{"logout", "orders:read", func(u iam.User, tokens map[string]string) error {
			_, err := a.parts.Store.EndSession(ctx, iam.SessionID(claim(t, tokens["access_token"], "sid")), u.ID, iam.Event{Kind: iam.EventSessionEnded, Actor: "test"})
			return err
		}, []string{"own"}},
		{"token revoked", "orders:read", func(_ iam.User, tokens map[string]string) error {
			a.post("/oauth/revoke", "client_id", "app", "token", tokens["access_token"])
			return nil
		}, []string{"own"}},
		{"grant revoked", "orders:read offline_access", func(_ iam.User, tokens map[string]string) error {
			a.post("/oauth/revoke", "client_id", "app", "token", tokens["refresh_token"])
			return nil
		}, []string{"own"}},
		{"user disabled", "orders:read", byAdmin(func(u iam.User) error { return d.SetUser(ctx, "test", u.ID, directory.Disabled) }), []string{"own", "other app"}},
		{"user deleted", "orders:read", byAdmin(func(u iam.User) error { return d.DeleteUser(ctx, "test", u.ID) }), []string{"own", "other app"}},
		{"password changed", "orders:read", byAdmin(func(u iam.User) error { return d.SetPassword(ctx, "test", u.ID, "another-long-password-77") }), []string{"own", "other app"}},
		{"role given", "orders:read", byAdmin(func(u iam.User) error {
			_, err := d.EditUser(ctx, "test", u.ID, func(u *iam.User) error { u.Roles = []string{"viewer", "other"}; return nil })
			return err
		}), []string{"own", "other app"}},
		{"role taken", "orders:read offline_access", byAdmin(func(u iam.User) error {
			_, err := d.EditUser(ctx, "test", u.ID, func(u *iam.User) error { u.Roles = nil; return nil })
			return err
		}), []string{"own", "other app"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u, bystander := a.user("u"+claimless(tc.name)), a.user("b"+claimless(tc.name))
			own, other, bystanders := a.login(u.Username, "app", tc.scope), a.login(u.Username, "other-app", "orders:read")["access_token"], a.login(bystander.Username, "app", "orders:read")["access_token"]
			h := a.guard().Require("orders:read")(hello)
			for name, token := range map[string]string{"own": own["access_token"], "other app": other, "bystander": bystanders} {
				if w := get(h, token); w.Code != 200 {
					t.Fatalf("%s before: %d %s", name, w.Code, w.Body)
				}
			}
			a.must(tc.end(u, own))
			late := soon(t, tc.name, func() bool { return get(h, own["access_token"]).Code == 401 })
			want(t, get(h, own["access_token"]), 401, "invalid_token", "The token was revoked.")
			if late > 5*time.Second {
				t.Errorf("after %s", late)
			}
			t.Logf("after %s", late)
			code := 200
			if slices.Contains(tc.ends, "other app") {
				code = 401
			}
			if w := get(h, other); w.Code != code {
				t.Errorf("the user's other app: %d, want %d", w.Code, code)
			}
			if w := get(h, bystanders); w.Code != 200 {
				t.Errorf("a bystander: %d", w.Code)
			}
		})
	}
}

func claim(t testing.TB, raw, name string) string {
	t.Helper()
	token, err := jose.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := token.Claims()
	if err != nil {
		t.Fatal(err)
	}
	s, err := claims.String(name)
	if err != nil || s == "" {
		t.Fatalf("no claim %s: %v", name, err)
	}
	return s
}

func claimless(name string) string { return string(bytes.ReplaceAll([]byte(name), []byte(" "), nil)) }

func TestC15AClientThatIsDisabled(t *testing.T) {
	a := newAuthority(t)
	h := a.guard().Require("orders:read")(hello)
	a.user("ada")
	service, users, other := a.service(), a.login("ada", "app", "orders:read")["access_token"], a.login("ada", "other-app", "orders:read")["access_token"]
	for _, token := range []string{service, users, other} {
		if w := get(h, token); w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
	}
	for client, token := range map[iam.ClientID]string{"robot": service, "app": users} {
		a.must(a.parts.Directory.SetClient(context.Background(), "test", client, directory.Disabled))
		soon(t, "the end of "+string(client), func() bool { return get(h, token).Code == 401 })
		want(t, get(h, token), 401, "invalid_token", "The token was revoked.")
	}
	if w := get(h, other); w.Code != 200 {
		t.Errorf("another client's: %d", w.Code)
	}
	// Enabled again, its new tokens are good and its old ones are not (C16).
	a.must(a.parts.Directory.SetClient(context.Background(), "test", "robot", directory.Enabled))
	if w := get(h, a.service()); w.Code != 200 {
		t.Errorf("a new token: %d %s", w.Code, w.Body)
	}
	if w := get(h, service); w.Code != 401 {
		t.Errorf("the old one: %d", w.Code)
	}
}

func TestC15C24AKeyThatIsRetired(t *testing.T) {
	a := newAuthority(t)
	g := a.guard()
	h := g.Require("orders:read")(hello)
	old := a.service()
	if w := get(h, old); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	parsed, err := jose.Parse(old)
	a.must(err)
	_, err = a.parts.Keys.Retire(context.Background(), "test", iam.KeyID(parsed.KeyID()))
	a.must(err)
	late := soon(t, "the end of the key", func() bool { return get(h, old).Code == 401 })
	t.Logf("after %s", late)
	if late > 5*time.Second {
		t.Error("too late")
	}
	if w := get(h, a.service()); w.Code != 200 {
		t.Errorf("a token of the next key: %d %s", w.Code, w.Body)
	}
}

// A node whose clock is an hour fast, or whose copies are old, makes no token
// that survives its revocation: epochs are counters (C16). The token here has an
// iat in the future, as far as a verifier allows, and is refused all the same.
func TestC16AFastClockDoesNotSaveAToken(t *testing.T) {
	a := newAuthority(t)
	u := a.user("ada")
	h := a.guard(func(c *guard.Config) { c.Leeway = time.Minute }).Require("orders:read")(hello)
	ctx := context.Background()
	issued := a.login("ada", "app", "orders:read")["access_token"]
	token, err := jose.Parse(issued)
	a.must(err)
	var claims map[string]any
	a.must(json.Unmarshal(token.Payload(), &claims))
	signer, err := a.parts.Keys.Signer(ctx, string(token.Algorithm()))
	a.must(err)
	// What a node would sign that read the user before the change, with a clock
	// that is 55 seconds fast.
	ahead := time.Now().Add(55 * time.Second).Unix()
	claims["iat"], claims["exp"], claims["jti"], claims["sid"], claims["gid"] = ahead, ahead+600, "fast", "ses_fast", "gr_fast"
	fast := sign2(t, signer, claims)
	if w := get(h, fast); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	a.must(a.parts.Directory.SetPassword(ctx, "test", u.ID, "another-long-password-77"))
	soon(t, "the end of the token", func() bool { return get(h, fast).Code == 401 })
	// The same node, still with its old copy, signs another one after the change.
	claims["jti"] = "later"
	want(t, get(h, sign2(t, signer, claims)), 401, "invalid_token", "The token was revoked.")
	// A token of the user's new epoch is good, with a clock that is slow.
	claims["jti"], claims["iat"], claims["ue"] = "slow", time.Now().Add(-time.Hour).Unix(), claims["ue"].(float64)+1
	if w := get(h, sign2(t, signer, claims)); w.Code != 200 {
		t.Errorf("a token of the new epoch: %d %s", w.Code, w.Body)
	}
}

// The revocation is not forgotten before the last token that such a node may
// have signed: one a minute fast, at a verifier that allows for a minute.
func TestC16ARevocationOutlivesTheTokensOfAFastClock(t *testing.T) {
	c := &clock{}
	a := newAuthority(t, func(s *server.Config) { s.Now = c.now })
	u := a.user("ada")
	h := a.guard(func(g *guard.Config) { g.Leeway = time.Minute; g.SetClock(c.now) }).Require("orders:read")(hello)
	token, err := jose.Parse(a.login("ada", "app", "orders:read")["access_token"])
	a.must(err)
	var claims map[string]any
	a.must(json.Unmarshal(token.Payload(), &claims))
	signer, err := a.parts.Keys.Signer(t.Context(), string(token.Algorithm()))
	a.must(err)
	ahead := time.Now().Add(59 * time.Second)
	claims["iat"], claims["exp"], claims["jti"], claims["gid"], claims["sid"] = ahead.Unix(), ahead.Add(iam.AccessTokenLife).Unix(), "fast", "gr_fast", "ses_fast"
	fast := sign2(t, signer, claims)
	if w := get(h, fast); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	a.must(a.parts.Directory.SetPassword(t.Context(), "test", u.ID, "another-long-password-77"))
	soon(t, "the end of the token", func() bool { return get(h, fast).Code == 401 })
	for after := time.Duration(0); after < 13*time.Minute; after += 20 * time.Second {
		c.ahead.Store(int64(after))
		time.Sleep(20 * time.Millisecond)
		if after%(2*time.Minute) == 0 { // heartbeats come, and what may be forgotten is
			time.Sleep(1200 * time.Millisecond)
		}
		if w := get(h, fast); w.Code != 401 {
			t.Fatalf("%s after its revocation: %d", after, w.Code)
		}
		// A verifier that starts now hears of it, too.
		if after == 11*time.Minute+20*time.Second {
			late := a.guard(func(g *guard.Config) { g.Leeway = time.Minute; g.SetClock(c.now) })
			want(t, get(late.Require("orders:read")(hello), fast), 401, "invalid_token", "The token was revoked.")
		}
	}
}

func sign2(t testing.TB, s jose.Signer, claims any) string {
	t.Helper()
	raw, err := s.Sign("at+jwt", claims)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// C19: a private feed is for readers, and the same credential asks about a token
// while the feed is stale.
func TestC19APrivateFeed(t *testing.T) {
	a := newAuthority(t, func(c *server.Config) { c.FeedAccess = api.FeedPrivate })
	token := a.service()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := a.guard().Ready(ctx); !errors.Is(err, guard.ErrUnavailable) {
		t.Errorf("without a credential: %v", err)
	}
	n := newNetwork()
	later := &clock{}
	g := a.guard(func(c *guard.Config) {
		c.HTTPClient = &http.Client{Transport: n}
		c.Reader = guard.Reader{ClientID: "orders-api", ClientSecret: a.reader}
		c.SetClock(later.now)
	})
	a.must(g.Ready(t.Context()))
	h := g.Enforce(guard.Rule{OnStale: guard.StaleIntrospect})(hello)
	if w := get(h, token); w.Code != 200 || n.count("/oauth/introspect") != 0 {
		t.Errorf("fresh: %d, asked %d times", w.Code, n.count("/oauth/introspect"))
	}
	n.cutOff("/revocations")
	later.ahead.Store(int64(7 * time.Second))
	if w := get(h, token); w.Code != 200 || n.count("/oauth/introspect") != 1 {
		t.Errorf("stale: %d %s, asked %d times", w.Code, w.Body, n.count("/oauth/introspect"))
	}
	a.post("/oauth/revoke", "client_id", "robot", "client_secret", a.robot, "token", token)
	late := soon(t, "introspection knows", func() bool { return get(h, token).Code == 401 })
	want(t, get(h, token), 401, "invalid_token", "The token was revoked.")
	if late > 3*time.Second {
		t.Errorf("after %s", late)
	}
}

// A server that stops reading its database says nothing, and does not say that
// all is well.
func TestAFeedThatEndsIsStaleAndComesBack(t *testing.T) {
	a := newAuthority(t)
	n, later := newNetwork(), &clock{}
	g := a.guard(func(c *guard.Config) { c.HTTPClient = &http.Client{Transport: n}; c.SetClock(later.now) })
	a.must(g.Ready(t.Context()))
	h := g.Enforce(guard.Rule{OnStale: guard.StaleDeny})(hello)
	token := a.service()
	if w := get(h, token); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	n.cutOff("/revocations")
	soon(t, "it is stale", func() bool { return get(h, token).Code == 503 })
	a.post("/oauth/revoke", "client_id", "robot", "client_secret", a.robot, "token", token)
	n.mend()
	soon(t, "it knows what happened meanwhile", func() bool { return get(h, token).Code == 401 })
}
