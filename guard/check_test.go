package guard_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Check is Enforce without HTTP: the same rules, the same refusals.
func TestC40CheckForOtherTransports(t *testing.T) {
	i := newIssuer(t)
	var log bytes.Buffer
	g := i.guard(func(c *guard.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	down := newIssuer(t)
	down.down.Store(true)
	for name, tc := range map[string]struct {
		g             *guard.Guard
		rule          guard.Rule
		authorization []string
		want          error
		text          string
	}{
		"allowed":             {g, guard.Rule{Scopes: []string{"orders:read"}}, []string{"Bearer " + i.token()}, nil, ""},
		"none":                {g, guard.Rule{}, nil, guard.ErrNoToken, ""},
		"another scheme":      {g, guard.Rule{}, []string{"Basic eDp5"}, guard.ErrNoToken, ""},
		"two values":          {g, guard.Rule{}, []string{"Bearer " + i.token(), "Bearer " + i.token()}, guard.ErrInvalid, "more than one"},
		"a list":              {g, guard.Rule{}, []string{"Bearer " + i.token() + ",Bearer x"}, guard.ErrInvalid, "one token"},
		"expired":             {g, guard.Rule{}, []string{"Bearer " + i.token("exp", 1)}, guard.ErrExpired, "expired"},
		"scope":               {g, guard.Rule{Scopes: []string{"orders:write"}}, []string{"Bearer " + i.token()}, guard.ErrForbidden, "orders:write"},
		"role":                {g, guard.Rule{Roles: []string{"editor"}}, []string{"Bearer " + i.token()}, guard.ErrForbidden, "role"},
		"login":               {g, guard.Rule{ACR: "phr"}, []string{"Bearer " + i.token()}, guard.ErrForbidden, "stronger login"},
		"unavailable":         {down.guard(), guard.Rule{}, []string{"Bearer " + down.token()}, guard.ErrUnavailable, ""},
		"a nil guard":         {nil, guard.Rule{}, []string{"Bearer " + i.token()}, guard.ErrUnavailable, ""},
		"a nil guard, no one": {nil, guard.Rule{}, nil, guard.ErrUnavailable, ""},
	} {
		c, err := tc.g.Check(tc.rule)(context.Background(), tc.authorization)
		if tc.want == nil {
			if err != nil || c.Subject() != "usr_ada" {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) || c.Subject() != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, reason := range []string{"reason=expired", "reason=scope", "reason=role", "reason=login", "reason=request"} {
		if !strings.Contains(log.String(), reason) {
			t.Errorf("the log has no %s:\n%s", reason, log.String())
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a rule that cannot be meant must panic when it is made")
		}
	}()
	g.Check(guard.Rule{Scopes: []string{"a b"}})
}

func TestC40NewContext(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	c, err := g.Verify(context.Background(), i.token())
	if err != nil {
		t.Fatal(err)
	}
	ctx := guard.NewContext(context.Background(), c)
	if got := guard.MustFromContext(ctx); got.Subject() != "usr_ada" {
		t.Errorf("got %q", got.Subject())
	}
	// A caller that came another way does not open a middleware: that verifies.
	w := httptest.NewRecorder()
	g.Authenticated()(hello).ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	if w.Code != 401 {
		t.Errorf("a caller put into the context opened a route: %d", w.Code)
	}
	defer func() {
		if recover() == nil {
			t.Error("the zero caller is nobody")
		}
	}()
	guard.NewContext(context.Background(), guard.Caller{})
}

// The issuer's name leads nowhere from here, its keys are at hand.
func TestC38KeysURLWithoutDiscovery(t *testing.T) {
	i := newIssuer(t)
	const name = "https://auth.internal.invalid"
	g := i.guard(func(c *guard.Config) { c.Issuer, c.KeysURL = name, i.url()+"/jwks.json" })
	h := g.Authenticated()(hello)
	if w := get(h, i.token("iss", name)); w.Code != 200 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	want(t, get(h, i.token()), 401, "invalid_token", "another issuer")
	without := i.guard(func(c *guard.Config) { c.Issuer = name })
	want(t, get(without.Authenticated()(hello), i.token("iss", name)), 503, "temporarily_unavailable", "")
}

// Keys on the disk let a restarted API go on while the issuer is down; without
// them the answer is 503, never 401 (A3-5, C18).
func TestA35C18ARestartWithTheIssuerDown(t *testing.T) {
	i := newIssuer(t)
	file := filepath.Join(t.TempDir(), "keys.json")
	first := i.guard(func(c *guard.Config) { c.SnapshotFile = file })
	if w := get(first.Authenticated()(hello), i.token()); w.Code != 200 {
		t.Fatal(w.Body)
	}
	first.Close()
	i.down.Store(true)
	h := i.guard(func(c *guard.Config) { c.SnapshotFile = file }).Authenticated()(hello)
	if w := get(h, i.token()); w.Code != 200 {
		t.Errorf("from the disk: %d %s", w.Code, w.Body)
	}
	want(t, get(h, i.token("aud", "x")), 401, "invalid_token", "another audience")
	// Of a key that is not on the disk nothing is known.
	want(t, get(h, sign(t, newSigner(t, jose.ES256), "at+jwt", i.claims())), 503, "temporarily_unavailable", "")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	g := i.guard(func(c *guard.Config) { c.SnapshotFile, c.Logger = file, slog.New(slog.NewTextHandler(&log, nil)) })
	w := get(g.Authenticated()(hello), i.token())
	want(t, w, 503, "temporarily_unavailable", "")
	if w.Header().Get("Retry-After") == "" || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("headers %v", w.Header())
	}
	g.Close() // nobody writes to the log any more
	for _, told := range []string{"issuer keys not fetched", "others may use it", "chmod 600", "reason=unavailable"} {
		if !strings.Contains(log.String(), told) {
			t.Errorf("the log does not say %q:\n%s", told, log.String())
		}
	}
	if strings.Contains(log.String(), `\n`) {
		t.Errorf("a cause of several lines:\n%s", log.String())
	}
}

// What a stranger writes into a header never begins a line of the log (A3-7).
func TestA37NothingOfATokenIsLoggedRaw(t *testing.T) {
	i := newIssuer(t)
	var log bytes.Buffer
	h := i.guard(func(c *guard.Config) { c.Logger = slog.New(unescaped{&log}) }).Authenticated()(hello)
	key := newECDSA(t)
	const evil = "x\r\nlevel=ERROR msg=forged"
	for _, raw := range []string{signAs(t, key, evil, i.claims()), signAs(t, key, "k", i.claims("iss", evil)), i.token("iss", evil), i.token("aud", evil), i.token("client_id", []string{evil}), sign(t, i.signer, evil, i.claims())} {
		if w := get(h, raw); w.Code != 401 {
			t.Errorf("got %d", w.Code)
		}
	}
	// Keycloak's typ and Entra's ver are read from the payload.
	for _, p := range products {
		other, _ := p.at(t)
		g := other.guard(func(c *guard.Config) {
			c.Audience, c.Profile, c.Logger = p.audience, p.profile, slog.New(unescaped{&log})
		})
		for _, claim := range []string{"typ", "ver"} {
			get(g.Authenticated()(hello), sign(t, other.signer, "JWT", merge(p.user(other.url()), map[string]any{claim: evil})))
		}
	}
	if log.Len() == 0 || strings.Contains(log.String(), "\n") {
		t.Errorf("the log: %q", log.String())
	}
}

// unescaped is a log handler that writes what it gets.
type unescaped struct{ b *bytes.Buffer }

func (unescaped) Enabled(context.Context, slog.Level) bool { return true }
func (h unescaped) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h unescaped) WithGroup(string) slog.Handler          { return h }
func (h unescaped) Handle(_ context.Context, r slog.Record) error {
	h.b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool { h.b.WriteString(" " + a.Key + "=" + a.Value.String()); return true })
	return nil
}
