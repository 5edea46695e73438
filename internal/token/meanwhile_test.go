package token_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// meanwhile is a store in which something happens right before a token is recorded.
type meanwhile struct {
	*store.DB
	once    sync.Once
	happens func(iam.Client) (iam.Client, iam.Ending)
	t       *testing.T
}

func (m *meanwhile) IssueForClient(ctx context.Context, candidate iam.Grant, epoch int64, event iam.Event) (iam.GrantID, error) {
	m.once.Do(func() {
		c, err := m.Client(ctx, candidate.ClientID)
		must(m.t, err)
		c, ending := m.happens(c)
		must(m.t, m.UpdateClient(ctx, c, ending))
	})
	return m.DB.IssueForClient(ctx, candidate, epoch, event)
}

// Between the proof and the token the secret is replaced, because it leaked:
// whoever proved itself with the old one gets nothing that outlives it. A
// change of roles in the same moment is only computed anew.
func TestASecretThatIsReplacedMeanwhile(t *testing.T) {
	for _, tc := range []struct {
		name    string
		happens func(iam.Client) (iam.Client, iam.Ending)
		refused bool
	}{
		{"roles change", func(c iam.Client) (iam.Client, iam.Ending) { return c, iam.EndAccess }, false},
		{"the secret is replaced", func(c iam.Client) (iam.Client, iam.Ending) {
			c.SecretHash = []byte{1}
			return c, iam.EndEverything
		}, true},
		{"keys come instead", func(c iam.Client) (iam.Client, iam.Ending) {
			c.Auth, c.KeysURI = iam.AuthKey, "https://c.example"
			return c, iam.EndEverything
		}, true},
		{"the client is disabled", func(c iam.Client) (iam.Client, iam.Ending) {
			c.Disabled = true
			return c, iam.EndEverything
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, clock := context.Background(), storetest.NewClock()
			db, err := store.Open(ctx, storetest.Config(t, t.TempDir(), clock.Now))
			must(t, err)
			defer db.Close()
			must(t, db.CreateAPI(ctx, iam.API{Name: "orders", Audience: "https://orders.example.com", Algorithm: "ES256", Scopes: []iam.Scope{{Name: "read"}}}))
			must(t, db.CreateRole(ctx, iam.Role{Name: "viewer", Scopes: []iam.RoleScope{{API: "orders", Scope: "read"}}}))
			hash := sha256.Sum256([]byte("secret"))
			must(t, db.CreateClient(ctx, iam.Client{ID: "robot", Type: iam.Service, GrantTypes: []string{iam.ClientCredentials}, Roles: []string{"viewer"}, SecretHash: hash[:]}))
			kek, _ := keys.GenerateKEK()
			ring, err := keys.Open(ctx, keys.Config{Records: db, KEKs: []keys.KEK{kek}, Now: clock.Now})
			must(t, err)
			pool, err := jwks.NewPool(jwks.PoolConfig{HTTPClient: http.DefaultClient, Now: clock.Now})
			must(t, err)
			busy := &meanwhile{DB: db, happens: tc.happens, t: t}
			s, err := token.New(token.Config{Issuer: "https://auth.example.com", People: db, Grants: busy, Revocations: db, Requests: db, Proofs: db, ClientKeys: pool, Signer: ring, Sealer: ring, Now: clock.Now})
			must(t, err)
			client, err := s.Authenticate(ctx, oauth.Credentials{ClientID: "robot", Secret: "secret", Method: oauth.MethodPost})
			must(t, err)
			_, err = s.ClientCredentials(ctx, client, oauth.TokenRequest{GrantType: iam.ClientCredentials})
			var refusal *oauth.Error
			if tc.refused != (err != nil) || err != nil && (!errors.As(err, &refusal) || refusal.Code != oauth.CodeInvalidClient) {
				t.Errorf("got %v, want refused %v", err, tc.refused)
			}
		})
	}
}
