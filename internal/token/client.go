package token

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// errClient is the one answer to every failed client authentication: whether
// the client exists, is disabled or has another secret is for the log only.
var errClient = oauth.InvalidClient("The client is unknown, disabled, or did not prove who it is.")

// Authenticate proves who a client is (RFC 6749 §2.3). A public client names
// itself and presents no secret; all others must present theirs.
func (s *Service) Authenticate(ctx context.Context, c oauth.Credentials) (iam.Client, error) {
	client, err := s.people.Client(ctx, iam.ClientID(c.ClientID))
	if errors.Is(err, iam.ErrNotFound) {
		return iam.Client{}, errClient.Because(errors.New("no such client"))
	}
	if err != nil {
		return iam.Client{}, fmt.Errorf("read client: %w", err)
	}
	if client.Disabled {
		return iam.Client{}, errClient.Because(fmt.Errorf("client %s is disabled", client.ID))
	}
	if client.Type == iam.Public {
		if c.Method != oauth.MethodNone {
			return iam.Client{}, errClient.Because(fmt.Errorf("public client %s presented a secret", client.ID))
		}
		return client, nil
	}
	presented := sha256.Sum256([]byte(c.Secret))
	if c.Method == oauth.MethodNone || subtle.ConstantTimeCompare(presented[:], client.SecretHash) != 1 {
		return iam.Client{}, errClient.Because(fmt.Errorf("client %s: missing or wrong secret", client.ID))
	}
	return client, nil
}

// AuthenticateConfidential is Authenticate for endpoints that a public client
// has no business at: naming oneself proves nothing.
func (s *Service) AuthenticateConfidential(ctx context.Context, c oauth.Credentials) (iam.Client, error) {
	client, err := s.Authenticate(ctx, c)
	if err == nil && client.Type == iam.Public {
		return iam.Client{}, errClient.Because(fmt.Errorf("client %s is public", client.ID))
	}
	return client, err
}
