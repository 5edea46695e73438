package token_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

var errLost = errors.New("the connection died after the commit")

// lossy is a store whose answers get lost after the commit, as often as told.
type lossy struct {
	*store.DB
	lose atomic.Int64
}

func (l *lossy) RedeemCode(ctx context.Context, r iam.Redemption) (iam.RedeemOutcome, error) {
	outcome, err := l.DB.RedeemCode(ctx, r)
	if err == nil && l.lose.Add(-1) >= 0 {
		return 0, errLost
	}
	return outcome, err
}

func (l *lossy) TurnRefresh(ctx context.Context, t iam.Turn) (iam.Grant, iam.TurnOutcome, error) {
	grant, outcome, err := l.DB.TurnRefresh(ctx, t)
	if err == nil && l.lose.Add(-1) >= 0 {
		return iam.Grant{}, 0, errLost
	}
	return grant, outcome, err
}

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

// An answer that is lost after the commit is asked for again, and neither the
// code nor the refresh token counts as used twice (C10, C13).
func TestC10C13CommitUnknown(t *testing.T) {
	ctx := context.Background()
	clock := storetest.NewClock()
	db, err := store.Open(ctx, storetest.Config(t, t.TempDir(), clock.Now))
	must(t, err)
	defer db.Close()
	must(t, db.CreateAPI(ctx, iam.API{Name: "orders", Audience: "https://orders.example.com", Algorithm: "ES256", Scopes: []iam.Scope{{Name: "read"}}}))
	must(t, db.CreateRole(ctx, iam.Role{Name: "viewer", Scopes: []iam.RoleScope{{API: "orders", Scope: "read"}}}))
	user := iam.User{ID: iam.NewUserID(), Username: "ada", Roles: []string{"viewer"}}
	must(t, db.CreateUser(ctx, user))
	must(t, db.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public, FirstParty: true, Challenge: true, GrantTypes: []string{iam.AuthorizationCode, iam.RefreshToken}, Scopes: []string{"read"}}))
	kek, _ := keys.GenerateKEK()
	ring, err := keys.Open(ctx, keys.Config{Records: db, KEKs: []keys.KEK{kek}, Now: clock.Now})
	must(t, err)
	pool, err := jwks.NewPool(jwks.PoolConfig{HTTPClient: http.DefaultClient, Now: clock.Now})
	must(t, err)
	lossy := &lossy{DB: db}
	s, err := token.New(token.Config{Issuer: "https://auth.example.com", People: db, Grants: lossy, Revocations: db, Requests: db, Proofs: db, ClientKeys: pool, Signer: ring, Sealer: ring, Grace: iam.RefreshGrace, Now: clock.Now})
	must(t, err)
	client, err := db.Client(ctx, "app")
	must(t, err)
	user, err = db.User(ctx, user.ID)
	must(t, err)
	digest := sha256.Sum256([]byte(verifier))
	code, err := s.IssueCode(ctx, client, token.Login{User: user, At: clock.Now(), ACR: "pwd", AMR: []string{"pwd"}}, oauth.ChallengeRequest{Challenge: oauth.PKCEChallenge(base64.RawURLEncoding.EncodeToString(digest[:]))})
	must(t, err)

	lossy.lose.Store(1)
	login, err := s.Redeem(ctx, client, oauth.TokenRequest{Code: code, Verifier: verifier})
	must(t, err)
	lossy.lose.Store(1)
	next, err := s.Refresh(ctx, client, oauth.TokenRequest{RefreshToken: login.RefreshToken})
	must(t, err)
	again, err := s.Refresh(ctx, client, oauth.TokenRequest{RefreshToken: login.RefreshToken})
	must(t, err)
	if again.RefreshToken != next.RefreshToken {
		t.Error("the successor is another one")
	}
	if _, err := s.Refresh(ctx, client, oauth.TokenRequest{RefreshToken: next.RefreshToken}); err != nil {
		t.Errorf("the grant was ended by our own retry: %v", err)
	}
	// A store that stays away is an error, not a refusal.
	lossy.lose.Store(9)
	_, err = s.Refresh(ctx, client, oauth.TokenRequest{RefreshToken: next.RefreshToken})
	var refusal *oauth.Error
	if !errors.Is(err, errLost) || errors.As(err, &refusal) {
		t.Errorf("got %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
